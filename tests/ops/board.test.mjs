// The board of the queue as it is shipped: what it needs, and what an operator sees in it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startBrowser } from '../../demo/tests/support/windows.mjs';
import { until } from '../kill/support/patience.mjs';
import { setStage } from '../kill/support/stage.mjs';
import { startRedis } from '../queue/support/redis.mjs';
import { startBoard } from './support/board.mjs';
import { readMetrics } from './support/metrics.mjs';
import { textOf } from './support/rules.mjs';

test('a failed job shows its reason in the page, and a button retries it', async (t) => {
  const [redis, stage] = [await startRedis(t), setStage(t)];
  const queue = { REDIS_URL: redis.url, QUEUE_NAME: 'stores', QUEUE_PREFIX: 'shop' };
  const few = { FLUSH_ATTEMPTS: '1', FLUSH_TIMEOUT_MS: '3000', FLUSH_DELAY_MS: '100' };
  const origin = await stage.origin({ ...queue, ...few });
  await origin.create({ id: 'stuck', files: [{ path: 'a.txt', text: '' }] });
  const file = stage.member(origin, 'stuck').begin('a.txt');
  await file.saved();
  const letGo = stage.lockArchive();
  file.append('all of it');
  await file.saved();
  const failed = async () => {
    const jobs = (await readMetrics(origin)).find(
      ({ name, labels }) => name === 'edgeroom_flush_queue_jobs' && labels.state === 'failed',
    );
    return jobs?.value;
  };
  await until('the job has failed', async () => (await failed()) === 1);

  const board = await startBoard(t, queue);
  const browser = await startBrowser();
  t.after(() => browser.close());
  const page = await browser.newPage({ viewport: { width: 1280, height: 900 } });
  await page.goto(`${board}/queue/stores?status=failed`);
  await page.getByText('not finished after 3000 ms').first().waitFor();
  assert.match(await page.locator('body').innerText(), /flush-room[^]*stuck/);

  letGo();
  await page.getByRole('button', { name: 'Retry all' }).click();
  await page.getByRole('button', { name: 'Confirm' }).click();
  await until('it is stored', async () => (await origin.text('stuck', 'a.txt', '?from=archive')) === 'all of it');
  await until('no job has failed', async () => (await failed()) === 0);
});

test('its image installs what it imports', () => {
  const { dependencies } = JSON.parse(textOf('package.json'));
  const imports = [...textOf('ops/bull-board.mjs').matchAll(/^import .* from '(@[^/']+\/[^/']+|[^/']+)/gm)];
  assert.ok(imports.length > 3);
  for (const [, name] of imports) assert.ok(name in dependencies, `${name} is no dependency`);
  // It is bullmq's peer, which bullmq alone does not bring.
  assert.ok('ioredis' in dependencies);
  assert.match(textOf('ops/Dockerfile'), /^RUN npm ci --omit=dev/m);
});

test('it refuses an address that it cannot speak to', async (t) => {
  const started = startBoard(t, { REDIS_URL: 'redis+cluster://127.0.0.1:1' });
  await assert.rejects(started, /REDIS_URL: the board speaks redis/);
});
