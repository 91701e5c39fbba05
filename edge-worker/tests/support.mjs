// What all node tests need: the built Worker in workerd, an origin beside it, signed requests, and patience.
// Whoever starts something here ends it, also when a test fails: `close()` in an `after`, and at exit.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { createHmac, randomBytes } from 'node:crypto';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { createTestHarness, unstable_readConfig } from 'wrangler';

/** The top folder of the project. */
export const TOP = join(dirname(fileURLToPath(import.meta.url)), '../..');
/** The key that edge and origin share in tests. */
export const LINK_KEYS = 'test:a-secret-that-only-tests-know';

const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  return port;
}

/** A hang fails by this. It is far above what anything takes on a slow machine that is busy besides. */
export const PATIENCE_MS = 120_000;

/** Waits until `condition` gives something true, and gives that; fails with `what` after `ms`, or if it hangs. */
export async function until(condition, ms = PATIENCE_MS, what = 'a condition') {
  const end = Date.now() + ms;
  let timer;
  const hangs = new Promise((_, fail) => {
    timer = setTimeout(() => fail(new Error(`${what}: asking for it hangs`)), ms + PATIENCE_MS);
  });
  try {
    for (;;) {
      const value = await Promise.race([condition(), hangs]);
      if (value) return value;
      if (Date.now() > end) assert.fail(`${what} did not come about within ${ms} ms`);
      await new Promise((done) => setTimeout(done, 10));
    }
  } finally {
    clearTimeout(timer);
  }
}

const randomNonce = () => randomBytes(16).toString('hex');

/** The value of the `authorization` header that edge and origin show each other. */
export function sign(verb, edge, room, region, { nonce = randomNonce(), ts, keys = LINK_KEYS } = {}) {
  const [kid, secret] = keys.split(':');
  const seconds = ts ?? Math.floor(Date.now() / 1000);
  const text = [verb, edge, room, region, seconds, nonce].join('\n');
  const sig = createHmac('sha256', secret).update(text).digest('hex');
  return `Edgeroom kid=${kid},ts=${seconds},nonce=${nonce},sig=${sig}`;
}

/** How a hub of the edge at this address stands. */
export async function hubStats(edge, room, region) {
  const headers = { authorization: sign('link', edge, room, region) };
  // An object that was evicted may take a kept connection along.
  const ask = () => fetch(`${edge}/internal/rooms/${room}/${region}/stats`, { headers }).catch(() => undefined);
  const answer = await until(ask, PATIENCE_MS, 'an answer of the hub');
  assert.equal(answer.status, 200, await answer.clone().text());
  return answer.json();
}

/**
 * Runs the built Worker.
 *
 * `vars` are added to those of a local Worker with `AUTH=open`; a var that is `undefined` is left out. `rates` are
 * limits that take the place of those of `wrangler.toml`, by their names.
 * `build` is the folder of the built Worker. The answer has `url` (no slash at the end), `ws` (the same for
 * sockets), `evict('room~region')`, which makes the object sleep at once and lose its memory (with `'close'` its sockets too),
 * `stats(room, region)`, `fetch()`, `logs()` and `close()`.
 */
export async function startEdge({ vars = {}, rates = {}, build = join(TOP, 'edge-worker/build') } = {}) {
  const main = join(build, 'index.js');
  assert.ok(existsSync(main), `${main} is not there: the Worker is built by \`cargo xtask build-worker\``);
  const scratch = mkdtempSync(join(tmpdir(), 'edgeroom-edge-'));
  writeFileSync(join(scratch, 'index.html'), '<!doctype html><title>the page</title>');
  const { compatibility_date, durable_objects, migrations, assets, ratelimits } = unstable_readConfig({
    config: join(TOP, 'wrangler.toml'),
  });
  const local = {
    AUTH: 'open',
    REGION_PARAM: '1',
    LINK_KEYS,
    ORIGIN_URLS: 'http://127.0.0.1:9',
    ALLOWED_ORIGINS: 'https://app.example',
  };
  const given = Object.entries({ ...local, ...vars }).filter(([, value]) => value !== undefined);
  const harness = createTestHarness({
    root: scratch,
    workers: [
      {
        config: {
          name: 'edgeroom',
          main,
          compatibility_date,
          durable_objects: { bindings: durable_objects.bindings },
          migrations,
          ratelimits: ratelimits.map((rate) => ({ ...rate, simple: rates[rate.name] ?? rate.simple })),
          assets: { ...assets, directory: scratch },
          vars: Object.fromEntries(given),
        },
      },
    ],
  });
  const { url } = await harness.listen();
  const base = url.origin;
  return {
    url: base,
    ws: base.replace(/^http/, 'ws'),
    /** Like the global one, but the Worker sees the URL's host. */
    fetch: (...request) => harness.fetch(...request),
    async evict(object, webSockets = 'hibernate') {
      await harness.getWorker().evictDurableObject('Room', { name: object, webSockets });
    },
    stats: (room, region) => hubStats(base, room, region),
    logs: () => harness.getLogs().map((log) => log.message),
    async close() {
      await harness.close();
      rmSync(scratch, { recursive: true, force: true });
    },
  };
}

/**
 * Starts the origin of `EDGEROOM_ORIGIN` and waits until it is ready.
 *
 * `edge` is the Worker's URL, `dataDir` keeps what it stores (by default a folder that goes with it), `port`
 * its port. The answer has `url`, `pid`, `runs()`, `output()`, `kill(signal)` and `close()`.
 */
export async function startOrigin({ edge = '', dataDir, env = {}, port } = {}) {
  const binary = process.env.EDGEROOM_ORIGIN;
  assert.ok(binary && existsSync(binary), 'EDGEROOM_ORIGIN names no binary: run `cargo xtask test`');
  const scratch = dataDir ? undefined : mkdtempSync(join(tmpdir(), 'edgeroom-origin-'));
  const listen = `127.0.0.1:${port ?? (await freePort())}`;
  const settings = {
    LISTEN: listen,
    DATA_DIR: dataDir ?? scratch,
    AUTH: 'open',
    LINK_KEYS,
    EDGE_URLS: edge,
    ...env,
  };
  const child = spawn(binary, [], {
    env: { PATH: process.env.PATH, RUST_LOG: process.env.RUST_LOG ?? 'info', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  children.add(child);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (output += data));
  const ended = new Promise((done) =>
    child.on('exit', () => {
      children.delete(child);
      done();
    }),
  );
  const origin = {
    url: `http://${listen}`,
    pid: child.pid,
    runs: () => child.exitCode === null && child.signalCode === null,
    output: () => output,
    async kill(signal = 'SIGKILL') {
      child.kill(signal);
      await ended;
    },
    async close() {
      if (origin.runs()) await origin.kill();
      if (scratch) rmSync(scratch, { recursive: true, force: true });
    },
  };
  const ready = async () => {
    assert.equal(child.exitCode, null, `the origin ended:\n${output}`);
    return (await fetch(`${origin.url}/readyz`).catch(() => undefined))?.ok;
  };
  try {
    await until(ready, PATIENCE_MS, 'a ready origin');
  } catch (error) {
    await origin.close();
    throw error;
  }
  return origin;
}

/**
 * Opens a WebSocket. The answer has `socket`, `headers` of the upgrade, `frames` (what has come), and `closed`, a
 * promise of `{ code, reason }`.
 */
export async function connect(url, { protocols = [], headers = {} } = {}) {
  // workerd may keep the connection after a close, see closes.test.mjs.
  const socket = new WebSocket(url, protocols, { headers, closeTimeout: 200 });
  const frames = [];
  let upgrade;
  socket.on('message', (data, binary) => frames.push(binary ? data : data.toString()));
  socket.on('upgrade', (answer) => (upgrade = answer.headers));
  const closed = new Promise((done) =>
    socket.on('close', (code, reason) => done({ code, reason: reason.toString() })),
  );
  await new Promise((done, failed) => {
    socket.on('open', done);
    socket.on('error', failed);
    const refused = (status) => failed(new Error(`the upgrade is answered ${status}`));
    socket.on('unexpected-response', (_, answer) => refused(answer.statusCode));
  });
  return { socket, headers: upgrade, frames, closed };
}
