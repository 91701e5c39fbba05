// What people do without `cargo xtask dev`: plain `wrangler dev` and `wrangler deploy --dry-run` from the top
// folder, with wrangler.toml as it is. Its build command builds the Worker and the page.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const top = fileURLToPath(new URL('../../', import.meta.url));
const limit = 600_000;

/** Runs the pinned wrangler in the top folder, in a process group of its own; `output()` is what it has said. */
function wrangler(...args) {
  const cli = join(top, 'node_modules/wrangler/bin/wrangler.js');
  const child = spawn(process.execPath, [cli, ...args], {
    cwd: top,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text) => (output += text));
  }
  const ended = once(child, 'exit');
  const stop = async () => {
    if (child.exitCode === null && child.signalCode === null) process.kill(-child.pid, 'SIGTERM');
    await ended;
  };
  return { child, ended, stop, output: () => output };
}

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

test('plain wrangler dev builds the Worker and serves it and the page', { timeout: limit }, async (t) => {
  const port = await freePort();
  const state = await mkdtemp(join(tmpdir(), 'edgeroom-wrangler-'));
  const dev = wrangler(
    ...['dev', '--ip', '127.0.0.1', '--port', String(port), '--inspector-port', '0', '--persist-to', state],
  );
  t.after(async () => {
    await dev.stop();
    await rm(state, { recursive: true, force: true });
  });

  const url = `http://127.0.0.1:${port}`;
  for (;;) {
    assert.equal(dev.child.exitCode, null, `wrangler dev has ended:\n${dev.output()}`);
    t.signal.throwIfAborted();
    const answer = await fetch(`${url}/healthz`).catch(() => undefined);
    if (answer?.status === 200) break;
    await new Promise((done) => setTimeout(done, 200));
  }
  const page = await fetch(`${url}/`);
  assert.equal(page.status, 200);
  assert.match(page.headers.get('content-type'), /text\/html/);
  assert.match(dev.output(), /cargo xtask build-worker/);
});

test('wrangler deploy --dry-run bundles the Worker with its Durable Object and assets', { timeout: limit }, async (t) => {
  const out = await mkdtemp(join(tmpdir(), 'edgeroom-dry-run-'));
  const deploy = wrangler('deploy', '--dry-run', '--outdir', out);
  t.after(async () => {
    await deploy.stop();
    await rm(out, { recursive: true, force: true });
  });

  const [code] = await deploy.ended;
  assert.equal(code, 0, deploy.output());
  assert.match(deploy.output(), /env\.ROOM \(Room\)/);
  assert.match(deploy.output(), /env\.ASSETS/);
  for (const limit of ['ADDRESS_RATE', 'MEMBER_RATE']) assert.ok(deploy.output().includes(`env.${limit}`), limit);
  assert.ok((await stat(join(out, 'index.js'))).size > 0);
  const [, upload] = /gzip: ([\d.]+) KiB/.exec(deploy.output());
  // Cloudflare takes 3 MB; this notices what comes in by mistake. A twelfth of it are names for stack traces.
  assert.ok(Number(upload) <= 700, `${upload} KiB to upload`);
});

test('wrangler check startup runs the Worker to its first request', { timeout: limit }, async (t) => {
  const out = await mkdtemp(join(tmpdir(), 'edgeroom-startup-'));
  const profile = join(out, 'startup.cpuprofile');
  const check = wrangler('check', 'startup', '--outfile', profile);
  t.after(async () => {
    await check.stop();
    await rm(out, { recursive: true, force: true });
  });

  const [code] = await check.ended;
  assert.equal(code, 0, check.output());
  const { nodes, timeDeltas } = JSON.parse(await readFile(profile, 'utf8'));
  assert.ok(nodes.length > 0 && timeDeltas.length > 0);
});
