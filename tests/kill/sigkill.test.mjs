// SIGKILL of the origin at random moments of typing. All clients are closed, with their documents, before the
// origin is started again: what is there then was on its disk. Every acknowledged edit must be, exactly once.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { randomOf, seedOf } from './support/chance.mjs';
import { pass, until } from './support/patience.mjs';
import { setStage } from './support/stage.mjs';

const ROUNDS = 14;
const FILES = ['src/one.txt', 'two.txt'];
const CLIENTS = 3;
/** So many edits are acknowledged in a round before the kill may come. */
const EACH_ROUND = 5;

/** What one client does to one file: words of its own, most of them inserted, some deleted again. */
class Hand {
  /** Each edit in order: `{ word, inserted }`. */
  edits = [];

  constructor(name, file, random) {
    Object.assign(this, { name, file, random });
  }

  type() {
    const { text } = this.file;
    const own = this.edits.findLast(({ word, inserted }) => inserted && text.includes(`${word} `));
    const again = own && this.random() < 0.15;
    if (again) {
      this.file.delete(text.indexOf(`${own.word} `), own.word.length + 1);
      this.edits.push({ word: own.word, inserted: false });
    } else {
      const word = `${this.name}.${this.edits.length}`;
      // At the beginning, the end, or between two words: no insertion tears another's word apart.
      const gaps = [0, ...[...text.matchAll(/ /g)].map(({ index }) => index + 1)];
      this.file.insert(gaps[Math.floor(this.random() * gaps.length)], `${word} `);
      this.edits.push({ word, inserted: true });
    }
  }

  /** The origin is dead: settles what must be there, what must be gone, and what may be either. */
  settle() {
    const { acknowledged } = this.file;
    assert.ok(acknowledged >= 0 && acknowledged <= this.edits.length, `${this.name}: ${acknowledged}`);
    this.acknowledged = acknowledged;
    this.claims = new Map();
    this.edits.forEach(({ word, inserted }, index) => {
      const known = inserted ? 'there' : 'gone';
      this.claims.set(word, index < acknowledged ? known : 'either');
    });
  }
}

/** Checks a file's text against what it had before the round and what the round's hands claim. */
function check(text, before, hands, where) {
  const found = text.split(' ').filter(Boolean);
  const present = new Set(found);
  assert.equal(present.size, found.length, `${where}: a word is there twice: ${text}`);
  const claims = new Map(before.map((word) => [word, 'there']));
  for (const hand of hands) hand.claims.forEach((claim, word) => claims.set(word, claim));
  for (const word of found) assert.ok(claims.has(word), `${where}: nobody has typed ${word}: ${text}`);
  claims.forEach((claim, word) => {
    const is = present.has(word);
    if (claim === 'there') assert.ok(is, `${where}: ${word} was acknowledged and is lost: ${text}`);
    if (claim === 'gone') assert.ok(!is, `${where}: the deletion of ${word} is lost: ${text}`);
  });
  return found;
}

test('every acknowledged edit is there after a SIGKILL, exactly once', async (t) => {
  const seed = seedOf(t);
  const random = randomOf(seed);
  const stage = setStage(t);
  const words = new Map(FILES.map((path) => [path, []]));
  let [typed, acknowledged] = [0, 0];

  for (let round = 0; round < ROUNDS; round += 1) {
    const where = `round ${round} of seed ${seed}`;
    // Flushed while it is typed, so that archive, base and log are caught at every stage.
    const settings = { FLUSH_DELAY_MS: String(Math.floor(random() * 60)), FLUSH_LIMIT: '100000' };
    const origin = await stage.origin(settings);
    const clients = Array.from({ length: CLIENTS }, () => stage.member(origin, 'demo'));
    const hands = await Promise.all(
      clients.flatMap((client, index) =>
        FILES.map(async (path) => new Hand(`${round}.${index}${path[0]}`, await client.open(path), random)),
      ),
    );
    for (const { file } of hands) check(file.text, words.get(file.path), [], `${where}, when opened`);

    let typing = true;
    const type = async (hand) => {
      while (typing) {
        hand.type();
        await pass(random() * 8);
      }
    };
    const all = hands.map(type);
    const acknowledgedBy = () => hands.reduce((sum, { file }) => sum + file.acknowledged, 0);
    await until('some of it is acknowledged', () => acknowledgedBy() > EACH_ROUND);
    await pass(random() * 145);
    await origin.end('SIGKILL');
    typing = false;
    await Promise.all([...all, ...clients.map((client) => client.gone())]);
    hands.forEach((hand) => hand.settle());
    stage.clear();

    const after = await stage.origin(settings);
    for (const path of FILES) {
      const text = await after.text('demo', path);
      words.set(path, check(text, words.get(path), hands.filter(({ file }) => file.path === path), where));
    }
    if (random() < 0.5) await checkArchive(stage, words, where);
    await after.end('SIGKILL');
    typed += hands.reduce((sum, { edits }) => sum + edits.length, 0);
    acknowledged += hands.reduce((sum, hand) => sum + hand.acknowledged, 0);
  }
  t.diagnostic(`${typed} edits, ${acknowledged} of them acknowledged before the kill`);
  assert.ok(acknowledged > ROUNDS * EACH_ROUND && acknowledged < typed, `${acknowledged} of ${typed}`);
  await stage.origin({ FLUSH_DELAY_MS: '20' });
  await checkArchive(stage, words, `the end of seed ${seed}`);
});

/** The sweeper of a restarted origin stores what was left, and then drops the room. */
async function checkArchive(stage, words, where) {
  const [archive, rooms] = [stage.archive(), stage.rooms()];
  await until(`${where}: the room store holds nothing of the room`, () => !rooms.holds('demo'));
  for (const path of FILES) {
    const { text, doc } = archive.file('demo', path);
    assert.deepEqual(text.split(' ').filter(Boolean), words.get(path), `${where}: ${path} in the archive`);
    assert.equal(doc.getText('content').toString(), text, `${where}: text and state of ${path} agree`);
  }
}
