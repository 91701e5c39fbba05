// Two regions at two origins that share Redis and MongoDB: what is typed, said and shown in one reaches the other
// through Redis, also while a hub moves between the origins, and nobody is told "saved" before Redis has it.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PATIENCE_MS, Page, Single, converged, othersOf, restText, textOf, type } from './clients.mjs';
import { FILE, Members } from './members.mjs';
import { replayed } from './stores.mjs';
import { until } from './support.mjs';
import { Author, parts, recording } from './trace.mjs';
import { REGIONS, startTwoOrigins } from './two_origins.mjs';

let all;
before(async () => {
  // What is dirty is flushed when the last member leaves, not before: until then the log is whole.
  all = await startTwoOrigins({ env: { FLUSH_DELAY_MS: '600000', LEASE_MS: '10000', SWEEP_MS: '1000' } });
});
after(() => all?.close());

/** One page in each region with the room itself open, linked to different origins. */
async function pages(t, room) {
  const both = REGIONS.map((region) => new Page(all.edge.url, room, { region }));
  t.after(() => both.forEach((page) => page.close()));
  await Promise.all(both.map((page) => page.opensRoom()));
  assert.deepEqual(both.map(({ wire }) => wire.sockets.map(({ region }) => region)), REGIONS.map((one) => [one]));
  await eachHasItsOrigin();
  return both;
}

async function eachHasItsOrigin() {
  const isSo = async () => `${await all.metric('links')}` === '1,1';
  await until(isSo, PATIENCE_MS, 'a link of each region to its own origin');
}

/** All have left: the whole text is in the database, and nothing is in Redis. */
async function isStored(room, text) {
  const stored = await all.stored(room, FILE);
  assert.equal(stored?.text, text);
  for (const { url } of [all.edge, all.origin]) {
    assert.equal(await restText(url, room, FILE, '?from=archive'), text);
    assert.equal(await restText(url, room, FILE), text);
  }
}

test('an edit in one region reaches the other through Redis, and so do chat, visible files and presence', async (t) => {
  const room = 'regions';
  const [ann, ben] = await pages(t, room);
  const [anns, bens] = await Promise.all([ann.opened(FILE), ben.opened(FILE)]);
  const cay = await new Single(all.edge.url, room, FILE, { region: 'enam' }).opened();
  t.after(() => cay.close());

  for (let round = 0; round < 50; round++) {
    type(anns, `a${round} `);
    textOf(bens).insert(0, `b${round} `);
    if (round % 5 === 0) type(cay, `c${round} `);
    await new Promise(setImmediate);
  }
  const text = await converged([anns, bens, cay], (text) => text.split(' ').length === 111);
  assert.equal(await restText(all.origins[1].url, room, FILE), text);

  for (const [client, user] of [[anns, 'ann'], [bens, 'ben'], [cay, 'cay']]) {
    client.awareness.setLocalStateField('user', user);
  }
  await until(() => `${othersOf(anns)}` === 'ben,cay', PATIENCE_MS, 'what ann is shown');
  await until(() => `${othersOf(cay)}` === 'ann,ben', PATIENCE_MS, 'what cay is shown');
  ann.say({ type: 'chat', text: 'hello' });
  const hello = await ben.event('chat', (event) => event.text === 'hello');
  assert.deepEqual(hello, await ann.event('chat', (event) => event.text === 'hello'), 'the same chat for both');
  ben.say({ type: 'visible-files', files: [FILE] });
  await ann.event('visible-files', ({ files }) => `${files}` === FILE);
  ann.say({ type: 'broadcast', data: { at: 7 } });
  await ben.event('broadcast', ({ data }) => data.at === 7);

  bens.destroy();
  await until(() => `${othersOf(anns)}` === 'cay', PATIENCE_MS, 'the end of what ben shows');

  // The first update of each goes to every hub, its own too, and names none.
  const hubs = new Set((await all.redis.log(room, FILE)).map(({ hub }) => hub).filter((hub) => hub !== ''));
  assert.deepEqual([...hubs].sort(), REGIONS.map((region) => `${room}~${region}`).sort());
  assert.deepEqual(await all.metric('backfills_total'), [0, 0], 'pub/sub has carried it all');
  [ann, ben, cay].forEach((client) => client.close());
  await isStored(room, text);
});

for (const signal of ['SIGTERM', 'SIGKILL']) {
  test(`typing goes on while a link moves to the other origin, which a ${signal} makes it do`, async (t) => {
    t.after(() => all.asAtFirst());
    const members = new Members(t, all, `moves-${signal.toLowerCase()}`);
    await members.come('weur', 'weur', 'enam');
    await eachHasItsOrigin();
    members.typeSome(20);
    // The other region goes on at its own origin.
    all.homes.weur = 1;
    const moved = async () => {
      await all.origins[0].kill(signal);
      await until(async () => `${await all.metric('links')}` === '2', PATIENCE_MS, 'both links at one origin');
    };
    await members.typeUntil(moved());
    members.typeSome(20);
    const text = await members.agree();
    await members.areToldOnce();
    const log = await all.redis.log(members.room, FILE);
    assert.equal(replayed(log), text, 'the log is causal, and whole');

    // And back, while the origin that has both is there.
    await all.revive(0);
    all.homes.weur = 0;
    all.homes.enam = 0;
    const back = async () => {
      await all.origins[1].kill(signal);
      await until(async () => `${await all.metric('links')}` === '2', PATIENCE_MS, 'both links at the other one');
    };
    await members.typeUntil(back());
    members.typeSome(20);
    const end = await members.agree();
    await members.areToldOnce();
    assert.equal(replayed(await all.redis.log(members.room, FILE)), end);

    const alone = async () => (await all.redis.leases(members.room)) === 1;
    await until(alone, PATIENCE_MS, 'the end of what the other origin held');
    members.leave();
    await isStored(members.room, end);
  });
}

test('nobody is told that a change is saved before Redis has it', async (t) => {
  const members = new Members(t, all, 'frozen');
  await members.come('weur', 'weur', 'enam');
  const [ann] = members.pages;
  await ann.opensRoom();
  members.typeSome(5);
  await members.agree();

  all.redis.freeze();
  try {
    members.typeSome(20);
    await members.sees(0, 1);
    await members.sees(1, 0);
    // The call has outlived its deadline, and its outcome is unknown.
    await ann.event('hold');
    for (const provider of members.providers) assert.ok(provider.hasUnsyncedChanges, 'nobody has logged it');
    assert.ok(!textOf(members.providers[2]).toString().includes(members.words.at(-3)), 'nor told the other region');
  } finally {
    all.redis.thaw();
  }
  const text = await members.agree();
  await members.areToldOnce();
  members.leave();
  await isStored(members.room, text);
});

test('a text typed by two authors at two origins ends as it was recorded, in Redis and in the database', async (t) => {
  const { txns, endContent } = recording('friendsforever');
  const room = 'friends';
  const both = await pages(t, room);
  const providers = await Promise.all(both.map((page) => page.opened(FILE)));
  const cay = await new Single(all.edge.url, room, FILE, { region: 'enam' }).opened();
  t.after(() => cay.close());

  const backfills = await all.metric('backfills_total');
  const [anns, bens] = parts({ txns });
  const [ann, ben] = providers.map((provider, agent) => new Author(agent, provider));
  await Promise.all([ann.write(anns, ben), ben.write(bens, ann)]);
  await Promise.all([ann.reads(ben, bens.length), ben.reads(ann, anns.length)]);
  await converged([...providers, cay], (text) => text.length === endContent.length);
  for (const client of [...providers, cay]) assert.equal(textOf(client).toString(), endContent);
  for (const { url } of all.origins) assert.equal(await restText(url, room, FILE), endContent);
  assert.equal(replayed(await all.redis.log(room, FILE)), endContent);
  assert.deepEqual(await all.metric('backfills_total'), backfills);
  await Promise.all(both.map((page) => page.settled()));
  for (const [agent, page] of both.entries()) {
    assert.deepEqual(page.statusesOf(providers[agent]), Array(1 + page.updatesOf(providers[agent])).fill(1));
  }
  [...both, cay].forEach((client) => client.close());
  await isStored(room, endContent);
});
