// The queue of flushes as BullMQ's own packages and a stock Bull Board see and operate it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setStage } from '../kill/support/stage.mjs';
import { until } from '../kill/support/patience.mjs';
import { NAME, listen, openQueue, startBoard } from './support/queue.mjs';
import { startRedis } from './support/redis.mjs';

/** A member types in a file of a room that is made for it. */
async function typed(stage, origin, room, text) {
  await origin.create({ id: room, files: [{ path: 'a.txt', text: '' }] });
  const file = stage.member(origin, room).begin('a.txt');
  file.append(text);
  await file.saved();
  return file;
}

test('stock BullMQ sees every state of a job, and what it adds is done', async (t) => {
  const [redis, stage] = [await startRedis(t), setStage(t)];
  const [queue, events] = [openQueue(redis), await listen(redis)];
  const settings = { REDIS_URL: redis.url, FLUSH_DELAY_MS: '300', ORIGIN_ID: 'o1' };
  const origin = await stage.origin(settings);
  await typed(stage, origin, 'seen', 'all of it');

  const { jobId } = await events.until('completed');
  const states = events.heard.filter((one) => one.jobId === jobId).map(({ event }) => event);
  assert.deepEqual(states, ['added', 'delayed', 'waiting', 'active', 'completed']);
  const job = await queue.getJob(jobId);
  assert.deepEqual([job.name, job.data], ['flush-room', { room: 'seen' }]);
  assert.equal(await job.getState(), 'completed');
  assert.equal(job.returnvalue.written, 1);
  assert.match(job.processedBy, /^o1\./);
  assert.equal(await origin.text('seen', 'a.txt', '?from=archive'), 'all of it');
  const workers = await queue.getWorkers();
  assert.ok(workers.some(({ rawname }) => /:w:o1\./.test(rawname)), JSON.stringify(workers));

  const added = await queue.add('flush-room', { room: 'seen' });
  await events.until('completed', added.id);
  assert.deepEqual((await queue.getJob(added.id)).returnvalue.written, 0);

  await queue.pause();
  const waiting = await queue.add('flush-room', { room: 'seen' });
  await events.until('waiting', waiting.id);
  assert.equal(await queue.getWaitingCount(), 1);
  await queue.resume();
  await events.until('completed', waiting.id);
});

test('a board lists jobs, shows why one failed, and its retry is done', async (t) => {
  const [redis, stage] = [await startRedis(t), setStage(t)];
  const [queue, events] = [openQueue(redis), await listen(redis)];
  const board = await startBoard(t, queue);
  const few = { FLUSH_ATTEMPTS: '2', FLUSH_BACKOFF_MS: '100', FLUSH_TIMEOUT_MS: '3000', FLUSH_DELAY_MS: '100' };
  const origin = await stage.origin({ REDIS_URL: redis.url, ...few });
  await origin.create({ id: 'stuck', files: [{ path: 'a.txt', text: '' }] });
  const file = stage.member(origin, 'stuck').begin('a.txt');
  await file.saved();
  const letGo = stage.lockArchive();
  file.append('all of it');
  await file.saved();

  const { jobId } = await events.until('failed');
  const shown = async () => {
    const { queues } = await board.get(`/api/queues?activeQueue=${NAME}&status=failed&page=1`);
    return queues[0];
  };
  assert.equal((await shown()).counts.failed, 1);
  const [job] = (await shown()).jobs;
  assert.deepEqual([job.id, job.data, job.failedReason], [jobId, { room: 'stuck' }, 'not finished after 3000 ms']);
  // It shows the latest first.
  assert.deepEqual(job.stacktrace, [2, 1].map((nth) => `attempt ${nth}: not finished after 3000 ms`));

  letGo();
  await board.put(`/api/queues/${NAME}/${jobId}/retry`);
  await events.until('completed', jobId);
  await until('it is stored', async () => (await origin.text('stuck', 'a.txt', '?from=archive')) === 'all of it');
  assert.equal((await shown()).counts.failed, 0);
});
