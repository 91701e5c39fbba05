import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { until } from "./until.mjs";

const SHOTS = fileURLToPath(new URL("../../../test-output/", import.meta.url));
const PICTURE = fileURLToPath(new URL("../../../docs/page.png", import.meta.url));
const FLAGS = [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];

/** The browser whose program is named by `CHROMIUM`. */
export async function startBrowser() {
  const executablePath = process.env.CHROMIUM;
  if (!executablePath) throw new Error("CHROMIUM must name a Chromium");
  return chromium.launch({ executablePath, args: FLAGS });
}

/** A window with storage of its own, as another person's browser has it. */
export class Window {
  static async open(browser, name, options = {}) {
    const context = await browser.newContext({ viewport: { width: 1280, height: 720 }, ...options });
    context.setDefaultTimeout(120_000);
    await context.addInitScript((name) => localStorage.getItem("edgeroom.name") ?? localStorage.setItem("edgeroom.name", name), name);
    return new Window(await context.newPage(), name);
  }

  constructor(page, name) {
    this.page = page;
    this.name = name;
    this.problems = [];
    this.loads = 0;
    page.on("pageerror", (error) => this.problems.push(String(error)));
    page.on("console", (message) => {
      if (/Content Security Policy|Refused to/.test(message.text())) this.problems.push(message.text());
    });
    page.on("load", () => (this.loads += 1));
  }

  async visit(url) {
    await this.page.goto(url);
    await this.ready();
  }

  async ready() {
    await until(`${this.name}'s page is ready`, () => this.page.evaluate(() => document.body.dataset.ready === "true" && window.edgeroom !== undefined));
  }

  item(path) {
    return this.page.locator(`.files li[data-path="${path}"]`);
  }

  async show(path) {
    await this.item(path).getByRole("button").click();
    await until(`${this.name} shows ${path}`, () =>
      this.page.evaluate((path) => typeof window.edgeroom.files[path]?.editorText === "string" && !window.edgeroom.room.open.get(window.edgeroom.room.tree.get(path)).readOnly, path),
    );
  }

  /** Types at the start or the end of the shown file, key by key. */
  async type(text, where) {
    await this.page.locator(".cm-content").focus();
    await this.page.keyboard.press(where === "start" ? "Control+Home" : "Control+End");
    await this.page.keyboard.type(text, { delay: 8 });
  }

  async file(path) {
    return this.page.evaluate((path) => window.edgeroom.files[path], path);
  }

  async status(path) {
    return this.item(path).getAttribute("data-status");
  }

  async say(text) {
    await this.page.getByLabel("Message", { exact: true }).fill(text);
    await this.page.getByRole("button", { name: "Send" }).click();
  }

  async hears(text) {
    await this.page.getByRole("log").getByText(text).waitFor();
  }

  async shot(name) {
    await mkdir(SHOTS, { recursive: true });
    await this.page.screenshot({ path: `${SHOTS}${name}.png` });
  }

  /** Takes the picture of the README again, where `EDGEROOM_PICTURE` asks for it. */
  async picture() {
    if (process.env.EDGEROOM_PICTURE) await this.page.screenshot({ path: PICTURE });
  }
}

/** All windows have the same text of the file, all of these pieces are in it, and all show it as saved. */
export async function agree(windows, path, pieces) {
  return until(`all agree on ${path}`, async () => {
    const files = await Promise.all(windows.map((window) => window.file(path)));
    const statuses = await Promise.all(windows.map((window) => window.status(path)));
    const [{ text }] = files;
    const missing = pieces.filter((piece) => text.split(piece).length !== 2);
    const same = files.every((file) => file.text === text && (file.editorText ?? text) === text && file.unsynced === 0);
    if (missing.length > 0 || !same || statuses.some((status) => status !== "saved")) {
      throw new Error(JSON.stringify({ missing, statuses, files }));
    }
    return text;
  });
}
