// The last member leaves, with an edit just acknowledged, and another joins in that very moment: a little
// before, during or a little after. The joiner sees everything, nothing is there twice, and the archive has
// it in the end.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomOf, seedOf } from './support/chance.mjs';
import { sameDocument } from './support/databases.mjs';
import { pass, until } from './support/patience.mjs';
import { setStage } from './support/stage.mjs';

const ROUNDS = 240;
const PATH = 'src/shared.txt';
/** How far the two may be apart. A room is flushed and dropped some 10 to 30 ms after the last has left. */
const [NEAR_MS, FAR_MS] = [12, 60];
/** No joiner waits for a loader that is gone, whose lease lasts for 10 s. */
const JOIN_MS = 9_000;

/** Every word once, in whatever order. */
function assertHolds(text, words, where) {
  const found = text.split(' ').filter(Boolean).sort();
  assert.deepEqual(found, [...words].sort(), where);
}

test('a member who joins while the last one leaves loses nothing', async (t) => {
  const seed = seedOf(t);
  const random = randomOf(seed);
  const stage = setStage(t);
  const origin = await stage.origin({ FLUSH_DELAY_MS: '20', FLUSH_LIMIT: '100000' });
  const other = { path: 'other.txt', text: 'o' };
  await origin.create({ id: 'race', files: [{ path: PATH, text: 'first ' }, other] });
  const words = ['first'];
  const epochs = [];

  let leaver = stage.member(origin, 'race');
  let file = await leaver.open(PATH);
  for (let round = 0; round < ROUNDS; round += 1) {
    const where = `round ${round} of seed ${seed}`;
    const type = async (word) => {
      file.insert(random() < 0.5 ? 0 : file.text.length, `${word} `);
      words.push(word);
      await file.saved();
    };
    await type(`r${round}`);
    if (random() < 0.5) await type(`again${round}`);

    const leaving = leaver;
    const leave = async (delay) => {
      await pass(delay);
      leaving.leave();
    };
    const join = async (delay) => {
      await pass(delay);
      leaver = stage.member(origin, 'race');
      const begun = performance.now();
      file = await leaver.open(PATH);
      const took = performance.now() - begun;
      assert.ok(took < JOIN_MS, `${where}: joining took ${took} ms`);
    };
    const later = random() * (random() < 0.8 ? NEAR_MS : FAR_MS);
    const [joinAt, leaveAt] = random() < 0.3 ? [0, later] : [later, 0];
    await Promise.all([leave(leaveAt), join(joinAt)]);

    assertHolds(file.text, words, where);
    epochs.push((await origin.room('race')).epoch);
    assertHolds(await origin.text('race', PATH), words, `${where}, over REST`);
  }
  const again = epochs.filter((epoch, round) => round > 0 && epoch !== epochs[round - 1]).length;
  t.diagnostic(`${ROUNDS} rounds, in ${again} of them the room was populated again`);
  assert.ok(again > 0 && again < ROUNDS - 1, `the joiners came before and after the end of the room: ${again}`);

  const { doc, text } = file;
  leaver.leave();
  const [archive, rooms] = [stage.archive(), stage.rooms()];
  await until('the room store holds nothing of the room', () => !rooms.holds('race'));
  const stored = archive.file('race', PATH);
  assert.equal(stored.text, text);
  assert.ok(sameDocument(stored.doc, doc), 'the archive has the state of the last member');
  assert.equal(archive.file('race', other.path).ver, 1);
});
