// A process that flushes dies, or is stopped for too long, at each point of a flush. Another finishes, nothing is lost,
// and what the archive has already is not written again.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setStage } from '../kill/support/stage.mjs';
import { pass, until } from '../kill/support/patience.mjs';
import { openQueue } from './support/queue.mjs';
import { startProxy, startRedis } from './support/redis.mjs';

const [LOCK_MS, STALLED_MS] = [4000, 2000];

// `read.lua` is the first of a flush that names a base; `ack.lua` names a base and the dirty files.
const READ = /c:\{doomed\}:b:f_/;
const ACK = /c:\{doomed\}:b:f_[^]*c:\{doomed\}:d\r/;
const DIRTY = /c:\{doomed\}:d\r/;

/** Where a flush is when its process dies: the requests up to the one that it could not send any more. */
const POINTS = [
  { where: 'before the archive is written', requests: [READ], written: false, told: false },
  { where: 'between archive and acknowledgement', requests: [ACK], written: true, told: true },
  { where: 'after the acknowledgement', requests: [ACK, DIRTY], written: true, told: true },
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
  const member = stage.member(origin, 'doomed');
  const [room, file] = [member.begin('.room'), member.begin('a.txt')];
  await file.saved();
  return { redis, stage, proxy, origin, worker, first, room, file, queue: openQueue(redis) };
}

for (const { where, requests, written, told } of POINTS) {
  test(`a worker that is killed ${where} leaves nothing undone`, async (t) => {
    const { redis, stage, proxy, origin, worker, first, room, file, queue } = await doom(t);
    const archive = stage.archive();
    const reached = proxy.holdAt(...requests);
    file.append('all of it');
    await file.saved();
    await reached;
    const [job] = await queue.getActive();
    assert.match(job.processedBy, /^first\./);
    const second = await worker(redis.url, 'second');
    await first.end('SIGKILL');
    assert.equal(archive.file('doomed', 'a.txt').ver, written ? 2 : 1);
    const stored = () => room.stateless.some(({ type }) => type === 'stored');
    if (told) await until('members are told', stored);
    else assert.ok(!stored());
    // What is checked later is not what a client gave back.
    stage.clear();
    const taken = async () => (await queue.getJob(job.id)).finishedOn;
    await until('the job is taken over and done', taken);
    const { processedBy, failedReason } = await queue.getJob(job.id);
    assert.match(processedBy, /^second\./, failedReason);
    assert.equal(failedReason, undefined);
    const metrics = await (await fetch(`${second.url}/metrics`)).text();
    assert.equal(/^edgeroom_flush_stalled_total (.*)$/m.exec(metrics)[1], '1');
    const gone = async () => (await redis.asking.keys('c:{doomed}:*')).length === 0;
    await until('the room is gone', gone);
    const { text, ver } = archive.file('doomed', 'a.txt');
    assert.deepEqual([text, ver], ['all of it', 2], 'written once');
    assert.equal(await origin.text('doomed', 'a.txt'), 'all of it');
  });
}

test('a worker that is stopped past its lock and goes on overwrites nothing newer', async (t) => {
  const { redis, stage, proxy, origin, worker, first, file, queue } = await doom(t);
  const letGo = stage.lockArchive();
  const read = proxy.answered(READ);
  file.append('one ');
  await file.saved();
  await read;
  // With what it has read it comes to the lock of the archive, and waits there.
  await pass(300);
  assert.match((await queue.getActive())[0].processedBy, /^first\./);
  // Else it could take the lock in its last moment, and keep it.
  await first.freeze();
  letGo();
  file.append('two');
  await file.saved();
  await worker(redis.url, 'second');
  const stored = () => stage.archive().file('doomed', 'a.txt');
  await until('the second has stored it', () => stored().text === 'one two');
  first.signal('SIGCONT');
  stage.clear();
  const gone = async () => (await redis.asking.keys('c:{doomed}:*')).length === 0;
  await until('the room is flushed and gone', gone);
  assert.equal((await first.end('SIGTERM')).code, 0, first.output);
  const { text, ver } = stored();
  assert.deepEqual([text, ver], ['one two', 2], 'written once, by the second');
  assert.equal(await origin.text('doomed', 'a.txt'), 'one two');
});
