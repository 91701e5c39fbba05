// The stock worker of npm's `bullmq`, beside which `jobs` is measured: does the same jobs of the same queue, which
// are nothing to do. Called with the address of Redis, the name of the queue, how many jobs there are, after how
// many it counts, and how many at once; prints one line of JSON.

import { Queue, Worker } from 'bullmq';

const [redis, name, ...numbers] = process.argv.slice(2);
const [jobs, first, concurrency] = numbers.map(Number);
const { hostname: host, port } = new URL(redis);
const connection = { host, port: Number(port), maxRetriesPerRequest: null };

let ended;
const measured = new Promise((resolve) => {
  ended = resolve;
});
let begun, used;
let done = 0;

async function nothing() {
  done += 1;
  if (done === first) {
    [begun, used] = [performance.now(), process.cpuUsage()];
  } else if (done === jobs) {
    const [seconds, cpu] = [(performance.now() - begun) / 1000, process.cpuUsage(used)];
    ended({ jobs: jobs - first, seconds, cpu_ms: (cpu.user + cpu.system) / 1000 });
  }
  return {};
}

const worker = new Worker(name, nothing, {
  connection,
  concurrency,
  // What is kept of them is up to the worker, and is what ours keeps.
  removeOnComplete: { age: 3600, count: 1000 },
  metrics: { maxDataPoints: 14 * 24 * 60 },
});
worker.on('error', (error) => console.error(error.message));
const said = await measured;
await worker.close();

const queue = new Queue(name, { connection });
const left = await queue.getJobCountByTypes('waiting', 'active', 'delayed', 'failed');
await queue.close();
if (left > 0) throw new Error(`${left} jobs are not done`);
console.log(JSON.stringify(said));
