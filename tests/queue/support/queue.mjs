// The stock packages, pointed at the queue of the origins.

import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import { Queue, QueueEvents } from 'bullmq';
import express from 'express';
import { until } from '../../kill/support/patience.mjs';

export const NAME = 'flush';

/** A `Queue` of npm's `bullmq`. */
export function openQueue(redis) {
  const queue = new Queue(NAME, { connection: redis.address });
  queue.on('error', () => {});
  redis.used(() => queue.close());
  return queue;
}

/** What `QueueEvents` hears from now on: `heard` in order, and `until(event, ...)` for one that is heard. */
export async function listen(redis) {
  const events = new QueueEvents(NAME, { connection: redis.address });
  events.on('error', () => {});
  redis.used(() => events.close());
  await events.waitUntilReady();
  const heard = [];
  for (const event of ['added', 'delayed', 'waiting', 'active', 'completed', 'failed', 'retries-exhausted']) {
    events.on(event, (told) => heard.push({ event, ...told }));
  }
  return {
    heard,
    /** The first that was heard of this kind, about this job if one is named. */
    until: (event, jobId) =>
      until(`${event} of ${jobId ?? 'a job'} is heard`, () =>
        heard.find((one) => one.event === event && (!jobId || one.jobId === jobId)),
      ),
  };
}

/** A stock Bull Board: `get(path)` and `put(path)` of its API. */
export async function startBoard(t, queue) {
  const adapter = new ExpressAdapter();
  createBullBoard({ queues: [new BullMQAdapter(queue)], serverAdapter: adapter });
  const app = express().use('/', adapter.getRouter());
  const server = await new Promise((done) => {
    const listening = app.listen(0, '127.0.0.1', () => done(listening));
  });
  t.after(() => server.close());
  const url = `http://127.0.0.1:${server.address().port}`;
  const ask = async (path, method) => {
    const answer = await fetch(url + path, { method });
    const text = await answer.text();
    if (!answer.ok) throw new Error(`${method} ${path}: ${answer.status} ${text}`);
    return text.startsWith('{') ? JSON.parse(text) : text;
  };
  return { get: (path) => ask(path, 'GET'), put: (path) => ask(path, 'PUT') };
}
