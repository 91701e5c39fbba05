// Bundles the page into demo/dist: index.html, app.js, app.css and one chunk per language.
// `--dev` keeps names and adds source maps; `--check` runs the type checker first.
import { spawnSync } from "node:child_process";
import { copyFile, rm } from "node:fs/promises";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const dev = process.argv.includes("--dev");

if (process.argv.includes("--check")) {
  const tsc = createRequire(import.meta.url).resolve("typescript/bin/tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", at("tsconfig.json")], { stdio: "inherit" });
  if (status !== 0) process.exit(status ?? 1);
}

await rm(at("dist"), { recursive: true, force: true });
await build({
  entryPoints: [
    { in: at("src/main.ts"), out: "app" },
    { in: at("src/style.css"), out: "app" },
  ],
  outdir: at("dist"),
  chunkNames: "chunks/[name]-[hash]",
  bundle: true,
  splitting: true,
  format: "esm",
  target: "es2022",
  minify: !dev,
  sourcemap: dev,
  legalComments: "none",
  logLevel: "warning",
});
await copyFile(at("src/index.html"), at("dist/index.html"));
