// A minute of unbroken typing is stored again and again meanwhile, not only when it ends. The minute is real
// time, since the intervals between the flushes are the defaults that an origin has.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { pass, until } from './support/patience.mjs';
import { setStage } from './support/stage.mjs';

const TYPING_MS = 60_000;
const EVERY_MS = 50;

test('60 s of unbroken typing is stored at least five times', async (t) => {
  const stage = setStage(t);
  const origin = await stage.origin();
  const empty = ['novel.txt', 'idle.txt'].map((path) => ({ path, text: '' }));
  await origin.create({ id: 'demo', files: empty });
  const ada = stage.member(origin, 'demo');
  const [novel, room] = await Promise.all([ada.open('novel.txt'), ada.begin('.room')]);
  const stored = () => room.stateless.filter(({ type }) => type === 'stored');

  const begun = performance.now();
  let halfway;
  for (let edit = 1; performance.now() - begun < TYPING_MS; edit += 1) {
    novel.append(`${edit} `);
    if (!halfway && performance.now() - begun > TYPING_MS / 2) halfway = stored().length;
    await pass(begun + edit * EVERY_MS - performance.now());
  }
  const events = stored();
  t.diagnostic(`${novel.edits} edits, ${events.length} stored events`);
  assert.ok(novel.edits > TYPING_MS / EVERY_MS / 2, `it was typed without a break: ${novel.edits} edits`);
  assert.ok(events.length >= 5, `${events.length} stored events`);
  const spread = halfway >= 2 && events.length - halfway >= 2;
  assert.ok(spread, `they are spread over the minute: ${halfway} by its half`);
  const { id } = (await origin.room('demo')).files.find(({ path }) => path === 'novel.txt');
  let before = { seq: 0, at: 0 };
  for (const { files } of events) {
    assert.deepEqual(files.map((file) => [file.id, file.path]), [[id, 'novel.txt']]);
    const [{ seq, at }] = files;
    assert.ok(Number.isInteger(seq) && seq > before.seq, `seq ${seq} after ${before.seq}`);
    assert.ok(at > before.at, `at ${at} after ${before.at}`);
    before = { seq, at };
  }

  await novel.saved();
  const { text } = novel;
  const last = (await origin.room('demo')).files.find(({ path }) => path === 'novel.txt').logged;
  await until('the last edit is stored', () => stored().at(-1).files[0].seq === last);
  assert.equal(stage.archive().file('demo', 'novel.txt').text, text);
  assert.equal(await origin.text('demo', 'novel.txt', '?from=archive'), text);
});
