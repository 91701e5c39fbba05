// A stock Bull Board on the queue of flushes: its jobs, why one failed, and the button that retries it. REDIS_URL,
// QUEUE_NAME and QUEUE_PREFIX as at the origins, HOST and PORT for its page. Whoever reaches the page operates the queue.

import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { ExpressAdapter } from '@bull-board/express';
import { Queue } from 'bullmq';
import express from 'express';

const {
  REDIS_URL: url = 'redis://127.0.0.1:6379',
  QUEUE_NAME: name = 'flush',
  QUEUE_PREFIX: prefix = 'bull',
  HOST: host = '127.0.0.1',
  PORT: port = '3000',
} = process.env;

if (!/^rediss?:/.test(url)) {
  console.error('REDIS_URL: the board speaks redis:// and rediss://, to one server');
  process.exit(1);
}
const queue = new Queue(name, { connection: { url }, prefix });
// It connects again by itself, indefinitely.
queue.on('error', ({ code, message }) => console.error(`the queue ${name}: ${message || code}`));

const adapter = new ExpressAdapter();
createBullBoard({
  queues: [new BullMQAdapter(queue)],
  serverAdapter: adapter,
  options: { uiConfig: { boardTitle: 'Edgeroom' } },
});
const server = express()
  .use(adapter.getRouter())
  .listen(Number(port), host, (error) => {
    if (error) throw error;
    console.log(`the board listens on http://${host}:${server.address().port}`);
  });
