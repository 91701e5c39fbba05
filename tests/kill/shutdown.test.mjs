// SIGTERM: members are told to come back, what was acknowledged is kept, and the process ends in time.
// And two processes never share a data folder.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pass, until } from './support/patience.mjs';
import { Origin } from './support/origin.mjs';
import { setStage } from './support/stage.mjs';

/** Longer than a slow machine takes; who does not end by then is cut off, and says so. */
const GRACE_MS = 120_000;
const COME_BACK = [4503, 1012];

/** Ends the origin as an operator does: without an error, and when everything is done. */
async function terminate(origin) {
  const ended = await origin.end('SIGTERM');
  assert.deepEqual(ended, { code: 0, signal: null }, origin.output);
  assert.doesNotMatch(origin.output, /the grace has ended/);
}

test('SIGTERM tells members to come back, and what was just acknowledged is kept', async (t) => {
  const stage = setStage(t);
  const origin = await stage.origin({ SHUTDOWN_GRACE_MS: String(GRACE_MS) });
  const members = [stage.member(origin, 'demo'), stage.member(origin, 'demo'), stage.member(origin, 'quiet')];
  const [ada, ben] = await Promise.all(members.map((member) => member.open('a.txt')));
  ben.append('from Ben ');
  await ben.saved();
  ada.append('from Ada ');
  await ada.saved();
  await terminate(origin);
  await Promise.all(members.map((member) => member.gone()));
  for (const { closes } of members) assert.ok(COME_BACK.includes(closes[0]), `closed with ${closes[0]}`);
  stage.clear();

  const again = await stage.origin();
  const words = (await again.text('demo', 'a.txt')).split(' ').filter(Boolean);
  assert.deepEqual(words.toSorted(), ['Ada', 'Ben', 'from', 'from']);
});

test('what is acknowledged while the origin drains is kept', async (t) => {
  const stage = setStage(t);
  const origin = await stage.origin({ SHUTDOWN_GRACE_MS: String(GRACE_MS) });
  const ada = stage.member(origin, 'demo');
  const file = await ada.open('a.txt');
  let typing = true;
  const hand = (async () => {
    for (; typing; await pass(1)) file.append(`${file.edits} `);
  })();
  await until('something is acknowledged', () => file.acknowledged > 0);
  await terminate(origin);
  await ada.gone();
  typing = false;
  await hand;
  // Nobody hears this one any more.
  file.append('unheard ');
  const { acknowledged } = file;
  assert.ok(acknowledged > 0 && acknowledged < file.edits, `${acknowledged} of ${file.edits}`);
  stage.clear();

  const again = await stage.origin();
  const kept = (await again.text('demo', 'a.txt')).split(' ').filter(Boolean).map(Number);
  assert.deepEqual(kept, Array.from(kept, (_, index) => index), 'in order and once each');
  assert.ok(kept.length >= acknowledged, `${kept.length} kept, ${acknowledged} acknowledged`);
});

test('a second process on the same data folder is refused and says why', async (t) => {
  const stage = setStage(t);
  const first = await stage.origin();
  const second = new Origin({ DATA_DIR: stage.dataDir });
  t.after(() => second.end('SIGKILL'));
  const { code } = await second.ended;
  assert.equal(code, 1);
  assert.match(second.output, /in use by another process/);
  assert.ok(second.output.includes(stage.dataDir) && second.output.includes('DATA_DIR'), second.output);
  assert.equal((await first.fetch('/readyz')).status, 200);

  await first.end('SIGKILL');
  const third = await stage.origin();
  const ready = async () => (await third.fetch('/readyz')).status === 200;
  await until('the lock of a killed process is free', ready);
});
