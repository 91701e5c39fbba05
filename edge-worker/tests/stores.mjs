// The stores that several origins share: a Redis of the test's own, and a server that speaks MongoDB's protocol.
// What is in them is read here without any origin. Both end with the test that started them.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import * as decoding from 'lib0/decoding';
import { MongoClient } from 'mongodb';
import * as Y from 'yjs';
import { freePort, until } from './support.mjs';

/** Long enough for an image that has to be fetched. */
const START_MS = 600_000;
const IMAGE = 'docker.io/library/mongo:8';
const children = new Set();
process.on('exit', () => children.forEach((child) => child.kill('SIGKILL')));

/**
 * A Redis of the test's own, with an append-only file and `noeviction`.
 *
 * `freeze()` stops the process where it is, `thaw()` lets it go on. Between `fill()` and `empty()` it has no memory left. `keys(room)` are the keys of a room, the indexes
 * that still name it included. `log(room, file)` are the changes of a file in order, as `{ seq, hub, bytes }`.
 */
export async function startRedis() {
  const dir = mkdtempSync(join(tmpdir(), 'edgeroom-redis-'));
  const port = await freePort();
  const options = { port, bind: '127.0.0.1', save: '', appendonly: 'yes', appendfsync: 'everysec' };
  const words = Object.entries({ ...options, 'maxmemory-policy': 'noeviction', dir });
  const server = run('redis-server', words.flatMap(([name, value]) => [`--${name}`, `${value}`]));
  const redis = new Redis(port, '127.0.0.1', { lazyConnect: true, maxRetriesPerRequest: 0 });
  redis.on('error', () => {});
  const key = (room, kind) => `c:{${room}}:${kind}`;
  const answers = () => redis.dbsize().then(() => true, () => false);
  await until(answers, START_MS, 'an answer of redis-server');
  return {
    url: `redis://127.0.0.1:${port}`,
    freeze: () => server.kill('SIGSTOP'),
    thaw: () => server.kill('SIGCONT'),
    fill: () => redis.config('SET', 'maxmemory', '1'),
    empty: () => redis.config('SET', 'maxmemory', '0'),
    async keys(room) {
      const own = await redis.keys(key(room, '*'));
      const indexes = await redis.keys('c:idx:*');
      const naming = await Promise.all(indexes.map((index) => redis.zscore(index, room)));
      return [...own, ...indexes.filter((_, at) => naming[at] !== null)];
    },
    async leases(room) {
      const [seconds] = await redis.time();
      return redis.zcount(key(room, 'p'), `(${seconds}000000`, '+inf');
    },
    async log(room, path) {
      const file = await redis.hget(key(room, 'n'), path);
      const entries = await redis.xrangeBuffer(key(room, `l:${file}`), '-', '+');
      return entries.flatMap(([id, fields]) => changes(Number(`${id}`.split('-')[1]), fields));
    },
    async close() {
      redis.disconnect();
      server.kill('SIGCONT');
      await end(server);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** An entry of a log: one record named `d`, or several named by their places; the last has the entry's seq. */
function changes(last, fields) {
  const places = fields.filter((_, at) => at % 2 === 0).map((name) => Number(`${name}`) || 0);
  const seq = (place) => last - places.at(-1) + place;
  return places.map((place, at) => ({ seq: seq(place), ...read(fields[2 * at + 1]) }));
}

/** A record of a log: version, hub, its number for the change, channel, update. */
function read(record) {
  const decoder = decoding.createDecoder(new Uint8Array(record));
  assert.equal(decoding.readUint8(decoder), 1);
  const hub = decoding.readVarString(decoder);
  decoding.readVarUint(decoder);
  decoding.readVarUint(decoder);
  return { hub, bytes: decoding.readTailAsUint8Array(decoder) };
}

/** The text that a log makes of nothing; fails where an entry builds on what comes only after it. */
export function replayed(log) {
  const document = new Y.Doc();
  let last = 0;
  for (const { seq, bytes } of log) {
    assert.ok(seq > last, 'seq rises');
    last = seq;
    Y.applyUpdate(document, bytes);
    assert.equal(document.store.pendingStructs, null, `seq ${seq} comes after all that it builds on`);
    assert.equal(document.store.pendingDs, null, `seq ${seq} deletes what is there`);
  }
  return document.getText('content').toString();
}

/** Whether every insertion of a log is in it once, and those of each author in the order in which they were made. */
export function isInOrderOnce(log) {
  const next = new Map();
  for (const { seq, bytes } of log) {
    for (const { id, length } of Y.decodeUpdate(bytes).structs) {
      assert.equal(id.clock, next.get(id.client) ?? 0, `seq ${seq} brings what its author made next`);
      next.set(id.client, id.clock + length);
    }
  }
}

/**
 * A server that speaks MongoDB's protocol: that of `MONGODB_URL`, else the program of `EDGEROOM_MONGO`, else a
 * `mongod`, else the image where a container engine runs. `file(shard, path)` is what is stored of a file.
 */
export async function startMongo() {
  const dir = mkdtempSync(join(tmpdir(), 'edgeroom-mongo-'));
  const port = await freePort();
  const given = process.env.MONGODB_URL;
  const server = given ? undefined : run(...command(port, dir));
  const address = given ?? `mongodb://127.0.0.1:${port}/edgeroom_tests?directConnection=true`;
  const client = new MongoClient(address, { serverSelectionTimeoutMS: 1_000 });
  const answers = () => client.db('admin').command({ ping: 1 }).then(() => true, () => false);
  await until(answers, START_MS, 'an answer of the server that speaks MongoDB’s protocol');
  return {
    url: address,
    file: (shard, path) => client.db().collection('files').findOne({ shard, path }),
    async close() {
      await client.close();
      if (server) await end(server);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

function command(port, dir) {
  if (process.env.EDGEROOM_MONGO) {
    return [process.env.EDGEROOM_MONGO, ['-listen', `127.0.0.1:${port}`, '-dir', dir]];
  }
  if (runs('mongod', ['--version'])) {
    return ['mongod', ['--dbpath', dir, '--bind_ip', '127.0.0.1', '--port', `${port}`]];
  }
  const engine = ['docker', 'podman'].find((engine) => runs(engine, ['info']));
  assert.ok(engine, 'no server speaks MongoDB’s protocol here: run `cargo xtask test`');
  return [engine, ['run', '--rm', '--publish', `127.0.0.1:${port}:27017`, IMAGE]];
}

function runs(program, words) {
  return spawnSync(program, words, { stdio: 'ignore' }).status === 0;
}

function run(program, words) {
  const child = spawn(program, words, { stdio: 'ignore' });
  children.add(child);
  child.on('error', (error) => console.error(`${program}: ${error.message}`));
  child.on('exit', () => children.delete(child));
  return child;
}

async function end(child) {
  const ended = new Promise((done) => child.on('exit', done));
  child.kill('SIGTERM');
  if (child.exitCode === null && child.signalCode === null) await ended;
}
