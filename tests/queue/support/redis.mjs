// A Redis of a test's own, and a proxy in front of it that stops a connection at a request.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis as Client } from 'ioredis';
import { until } from '../../kill/support/patience.mjs';

const running = new Set();
process.on('exit', () => running.forEach((child) => child.kill('SIGKILL')));

/** Starts `redis-server` for the test `t`: `url`, `port`, and `asking`, a connection. */
export async function startRedis(t) {
  const folder = mkdtempSync(join(tmpdir(), 'edgeroom-redis-'));
  const port = await freePort();
  const options = ['--port', port, '--bind', '127.0.0.1', '--save', '', '--maxmemory-policy', 'noeviction'];
  const child = spawn('redis-server', [...options.map(String), '--dir', folder], { stdio: 'ignore' });
  const failed = new Promise((_, fail) => {
    child.once('error', () => fail(new Error('the tests need redis-server on the PATH')));
  });
  failed.catch(() => {});
  running.add(child);
  const users = [];
  t.after(async () => {
    for (const end of users.reverse()) await end();
    child.kill('SIGKILL');
    running.delete(child);
    rmSync(folder, { recursive: true, force: true });
  });
  const address = { host: '127.0.0.1', port };
  const asking = new Client(address);
  asking.on('error', () => {});
  /** What is to be ended before the server is, the last first. */
  const used = (end) => users.push(end);
  used(() => asking.disconnect());
  await Promise.race([failed, until('Redis answers', () => asking.ping())]);
  return { url: `redis://127.0.0.1:${port}`, port, address, asking, used };
}

/** A way to a port of this machine that can be stopped: `url`, `holdAt(patterns)`, `answered(pattern)`. */
export async function startProxy(t, port) {
  const sockets = new Set();
  const waits = new Set();
  let hold;
  const server = createServer((client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {}).setNoDelay(true);
      socket.on('close', () => [client, upstream].forEach((one) => one.destroy()));
    }
    client.on('data', (bytes) => {
      for (const wait of waits) if (wait.pattern.test(bytes.toString('latin1'))) wait.asked = upstream;
      if (hold?.patterns[0]?.test(bytes.toString('latin1'))) hold.patterns.shift();
      if (hold && !hold.stopped && hold.patterns.length === 0) {
        // Neither this nor anything after it arrives, on any connection.
        hold.stopped = true;
        hold.reached();
      }
      if (!hold?.stopped) upstream.write(bytes);
    });
    upstream.on('data', (bytes) => {
      client.write(bytes);
      for (const wait of waits) if (wait.asked === upstream && waits.delete(wait)) wait.over();
    });
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    server.close();
    sockets.forEach((socket) => socket.destroy());
  });
  return {
    url: `redis://127.0.0.1:${server.address().port}`,
    /** Ends when requests have matched in this order; the last and all after it are held back for good. */
    holdAt(...patterns) {
      return new Promise((reached) => (hold = { patterns, reached, stopped: false }));
    },
    /** Ends when a request has matched and something was answered after it. */
    answered: (pattern) => new Promise((over) => waits.add({ pattern, over })),
  };
}

async function freePort() {
  const server = createServer();
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const { port } = server.address();
  await new Promise((done) => server.close(done));
  assert.ok(port);
  return port;
}
