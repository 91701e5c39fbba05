import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, readlink, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { until } from "./until.mjs";

const TOP = fileURLToPath(new URL("../../..", import.meta.url));
const START_MS = 20 * 60_000;

/** Starts everything as a user would, on free ports and a folder of its own. */
export async function startDev() {
  const dataDir = await mkdtemp(join(tmpdir(), "edgeroom-page-"));
  const args = ["xtask", "dev", "--json", "--port", "0", "--origin-port", "0", "--data-dir", dataDir];
  const dev = spawn("cargo", args, { cwd: TOP, stdio: ["ignore", "pipe", "pipe"] });
  const log = [];
  dev.stderr.on("data", (lines) => log.push(String(lines)));
  const lines = createInterface({ input: dev.stdout });
  const line = await Promise.race([
    once(lines, "line").then(([first]) => first),
    once(dev, "exit").then(([code]) => Promise.reject(new Error(`dev ended with ${code}:\n${log.join("")}`))),
    new Promise((_, fail) => setTimeout(() => fail(new Error(`dev is not ready:\n${log.join("")}`)), START_MS).unref()),
  ]).catch((error) => {
    dev.kill("SIGTERM");
    throw error;
  });
  return new Dev(dev, JSON.parse(line), dataDir);
}

/** A running `dev`, whose origin can be killed and started again. */
class Dev {
  #origin;
  #second;

  constructor(process, { edge, origins }, dataDir) {
    this.process = process;
    this.url = edge.url;
    this.dataDir = dataDir;
    this.#origin = origins[0];
  }

  /** Kills the origin without warning; returns what starts the same one again. */
  async killOrigin() {
    const { pid, url } = this.#origin;
    const words = async (file) => (await readFile(`/proc/${pid}/${file}`, "utf8")).split("\0").filter(Boolean);
    const [program, ...args] = await words("cmdline");
    const env = Object.fromEntries((await words("environ")).map((pair) => pair.split(/=(.*)/s, 2)));
    const cwd = await readlink(`/proc/${pid}/cwd`);
    process.kill(pid, "SIGKILL");
    await until("the origin is gone", () => fetch(`${url}/healthz`).then(() => false, () => true));
    return async () => {
      this.#second = spawn(program, args, { cwd, env: { ...env, LISTEN: new URL(url).host }, stdio: "ignore" });
      await until("the origin answers again", () => fetch(`${url}/healthz`).then(() => true));
    };
  }

  async stop() {
    this.process.kill("SIGTERM");
    this.#second?.kill("SIGTERM");
    const ended = (child) => !child || child.exitCode !== null || child.signalCode !== null;
    await until("dev and the origin have ended", () => ended(this.process) && ended(this.#second));
    await rm(this.dataDir, { recursive: true, force: true });
  }
}
