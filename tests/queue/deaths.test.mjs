// A process that flushes dies, or is stopped for too long, at each point of a flush. Another finishes, nothing is lost,
// and what the archive has already is not written again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setStage } from '../kill/support/stage.mjs';
import { until } from '../kill/support/patience.mjs';
import { openQueue } from './support/queue.mjs';
import { startProxy, startRedis } from './support/redis.mjs';

const [LOCK_MS, STALLED_MS] = [2000, 500];
/** What two scans and the end of the lock may take, and a busy machine besides. */
const TAKEN_OVER_MS = LOCK_MS + 2 * STALLED_MS + 5000;

/** Where a flush is when its process dies: the request that it has not been able to send. */
const POINTS = [
  // `read.lua` has no other key than the room's meta, the log and the base.
  { where: 'before the archive is written', request: /c:\{doomed\}:b:f_/, ver: 2 },
  // `ack.lua` is the one with a base and the dirty files.
  { where: 'between archive and acknowledgement', request: /c:\{doomed\}:b:f_[^]*c:\{doomed\}:d\r/, ver: 2 },
  { where: 'after the acknowledgement', request: /"type":"stored"/, ver: 2 },
];

/** An origin that serves, a worker behind a proxy, and a room with one file. */
async function doom(t) {
  const [redis, stage] = [await startRedis(t), setStage(t)];
  const proxy = await startProxy(t, redis.port);
  const timing = { FLUSH_LOCK_MS: `${LOCK_MS}`, FLUSH_STALLED_MS: `${STALLED_MS}`, FLUSH_DELAY_MS: '200' };
  const origin = await stage.origin({ REDIS_URL: redis.url, ...timing }, 'serve');
  const worker = (url, name) => stage.origin({ REDIS_URL: url, ORIGIN_ID: name, ...timing }, 'flush');
  const first = await worker(proxy.url, 'first');
  await origin.create({ id: 'doomed', files: [{ path: 'a.txt', text: '' }] });
  const file = stage.member(origin, 'doomed').begin('a.txt');
  await file.saved();
  return { redis, stage, proxy, origin, worker, first, file, queue: openQueue(redis) };
}

for (const { where, request, ver } of POINTS) {
  test(`a worker that is killed ${where} leaves nothing undone`, async (t) => {
    const { redis, stage, proxy, origin, worker, first, file, queue } = await doom(t);
    const reached = proxy.holdAt(request);
    file.append('all of it');
    await file.saved();
    await reached;
    const [job] = await queue.getActive();
    assert.match(job.processedBy, /^first\./);
    await first.end('SIGKILL');
    // What is judged later is not what a client gave back.
    stage.clear();
    await worker(redis.url, 'second');
    const gone = async () => (await redis.asking.keys('c:{doomed}:*')).length === 0;
    await until('the room is flushed and gone', gone, TAKEN_OVER_MS);
    const stored = stage.archive().file('doomed', 'a.txt');
    assert.deepEqual([stored.text, stored.ver], ['all of it', ver]);
    assert.equal(await origin.text('doomed', 'a.txt'), 'all of it');
  });
}

test('a worker that is stopped past its lock and goes on overwrites nothing newer', async (t) => {
  const { redis, stage, origin, worker, first, file, queue } = await doom(t);
  const letGo = stage.lockArchive();
  file.append('one ');
  await file.saved();
  const active = async () => (await queue.getActive())[0];
  await until('the first has the job', active);
  // It waits for the lock of the archive with what it has read.
  await until('it has read', async () => (await redis.asking.llen('bull:flush:active')) === 1);
  first.signal('SIGSTOP');
  letGo();
  file.append('two');
  await file.saved();
  await worker(redis.url, 'second');
  const stored = () => stage.archive().file('doomed', 'a.txt').text;
  await until('the second has stored it', () => stored() === 'one two', TAKEN_OVER_MS);
  first.signal('SIGCONT');
  stage.clear();
  const gone = async () => (await redis.asking.keys('c:{doomed}:*')).length === 0;
  await until('the room is flushed and gone', gone, TAKEN_OVER_MS);
  assert.equal((await first.end('SIGTERM')).code, 0, first.output);
  assert.equal(stored(), 'one two');
  assert.equal(await origin.text('doomed', 'a.txt'), 'one two');
});
