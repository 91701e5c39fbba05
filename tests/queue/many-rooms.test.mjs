// Forty rooms that change at once and two processes that flush: the numbers hold for both together, every room is
// flushed, and only what was changed is written.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setStage } from '../kill/support/stage.mjs';
import { until } from '../kill/support/patience.mjs';
import { openQueue } from './support/queue.mjs';
import { startRedis } from './support/redis.mjs';

const [ROOMS, CONCURRENCY, LIMIT] = [40, 3, 10];

/** How many jobs began under each limiter key, from what Redis says of it. */
async function watchLimiter(redis) {
  await redis.asking.config('SET', 'notify-keyspace-events', 'K$gx');
  const client = redis.asking.duplicate();
  redis.used(() => client.disconnect());
  const windows = [0];
  client.on('message', (_, event) => {
    if (event === 'incrby') windows[windows.length - 1] += 1;
    if (event === 'expired' || event === 'del') windows.push(0);
  });
  await client.subscribe('__keyspace@0__:bull:flush:limiter');
  return windows;
}

/** How many jobs ran at one moment, from the order of the events that the scripts left. */
async function atOnce(redis) {
  const running = new Set();
  let most = 0;
  for (const [, fields] of await redis.asking.xrange('bull:flush:events', '-', '+')) {
    const told = Object.fromEntries(fields.flatMap((name, at) => (at % 2 ? [] : [[name, fields[at + 1]]])));
    if (told.event === 'active') running.add(told.jobId);
    else if (['completed', 'failed', 'delayed', 'stalled'].includes(told.event)) running.delete(told.jobId);
    most = Math.max(most, running.size);
  }
  assert.equal(running.size, 0);
  return most;
}

test('forty rooms that change at once are flushed by two processes within the numbers', async (t) => {
  const [redis, stage] = [await startRedis(t), setStage(t)];
  const [queue, windows] = [openQueue(redis), await watchLimiter(redis)];
  const settings = { REDIS_URL: redis.url, FLUSH_DELAY_MS: '1000', FLUSH_WINDOW_MS: '1000' };
  const origin = await stage.origin(settings, 'serve');
  const workers = [];
  for (const name of ['w1', 'w2']) workers.push(await stage.origin({ ...settings, ORIGIN_ID: name }, 'flush'));
  const archive = stage.archive();
  const rooms = Array.from({ length: ROOMS }, (_, n) => `room-${n}`);
  const files = [];
  for (const id of rooms) {
    await origin.create({ id, files: ['changed.txt', 'other.txt'].map((path) => ({ path, text: '' })) });
    const member = stage.member(origin, id);
    files.push(member.begin('changed.txt'), member.begin('other.txt'));
  }
  for (const file of files) await file.saved();
  const changed = files.filter(({ path }) => path === 'changed.txt');

  for (const round of [1, 2]) {
    changed.forEach((file) => file.append(`${round};`));
    for (const file of changed) await file.saved();
    const stored = (id) => archive.file(id, 'changed.txt').text.endsWith(`${round};`);
    await until(`round ${round} is stored`, () => rooms.every(stored));
  }
  await until('no job is left', async () => {
    const counts = await queue.getJobCounts('active', 'waiting', 'delayed');
    return Object.values(counts).every((count) => count === 0);
  });

  for (const id of rooms) {
    const versions = ['changed.txt', 'other.txt'].map((path) => archive.file(id, path).ver);
    assert.deepEqual(versions, [3, 1], `${id}: made, and written once in each round`);
  }
  assert.ok((await atOnce(redis)) <= CONCURRENCY, `${await atOnce(redis)} at one moment`);
  assert.ok(windows.length > 1 && Math.max(...windows) <= LIMIT, `began under one key: ${windows}`);
  const done = await queue.getCompleted();
  const by = new Set(done.map(({ processedBy }) => processedBy.split('.')[0]));
  assert.deepEqual([...by].sort(), ['w1', 'w2'], 'both had work');
  assert.ok(done.length >= 2 * ROOMS && (await queue.getFailedCount()) === 0);
});
