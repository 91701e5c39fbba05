// What the alert rules and the dashboard ask for is there to be asked for.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { until } from '../kill/support/patience.mjs';
import { setStage } from '../kill/support/stage.mjs';
import { startRedis } from '../queue/support/redis.mjs';
import { readMetrics } from './support/metrics.mjs';
import { namesIn, readQueries, readRules, textOf } from './support/rules.mjs';

/** Not the origin's: Prometheus makes the first two itself, the others are redis_exporter's. */
const OTHERS = ['up', 'ALERTS', 'redis_memory_used_bytes', 'redis_memory_max_bytes'];

/** What `query` names that these samples do not have. */
function unknownNames(query, samples) {
  const { metrics, pairs, labels } = namesIn(query);
  const own = (name) => !OTHERS.includes(name);
  const named = samples.filter(({ name }) => metrics.includes(name));
  return [
    ...metrics.filter((name) => own(name) && !samples.some((sample) => sample.name === name)),
    ...pairs
      .filter(({ metric }) => own(metric))
      .filter(({ metric, label, value }) => !named.some((one) => one.name === metric && one.labels[label] === value))
      .map(({ metric, label, value }) => `${metric}{${label}="${value}"}`),
    ...labels.filter((label) => !named.some((sample) => label in sample.labels)),
  ];
}

test('a real origin has every metric and label that a rule or the dashboard names', async (t) => {
  const [redis, stage] = [await startRedis(t), setStage(t)];
  const origin = await stage.origin({ REDIS_URL: redis.url });
  // Its queue has figures once its connection is up.
  const samples = await until('the queue is counted', async () => {
    const samples = await readMetrics(origin);
    return samples.some(({ name }) => name === 'edgeroom_flush_queue_jobs') && samples;
  });
  const queries = [
    ...readRules(textOf('ops/alerts.yml')).map(({ expr }) => expr),
    ...readQueries(textOf('ops/grafana/edgeroom.json')),
  ];
  const unknown = queries.flatMap((query) => unknownNames(query, samples).map((name) => `${name} in ${query}`));
  assert.deepEqual(unknown, []);
  for (const name of OTHERS) assert.ok(queries.some((query) => namesIn(query).metrics.includes(name)), name);

  // A name or label that nobody has is noticed.
  assert.deepEqual(unknownNames('sum(rate(edgeroom_backfills[5m])) > 0', samples), ['edgeroom_backfills']);
  assert.deepEqual(unknownNames('max by (stat) (edgeroom_flush_queue_jobs)', samples), ['stat']);
  const wrong = 'edgeroom_flush_queue_jobs{state="broken"}';
  assert.deepEqual(unknownNames(`max(${wrong}) or vector(0)`, samples), [wrong]);
  assert.deepEqual(unknownNames('redis_memory_used / redis_memory_max_bytes', samples), ['redis_memory_used']);
});
