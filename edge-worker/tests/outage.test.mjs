// The origins are away while three members of a region type: they go on together, nothing is lost, doubled or out of
// order, and nobody is told "saved" before it is.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { PATIENCE_MS, textOf } from './clients.mjs';
import { FILE, Members } from './members.mjs';
import { isInOrderOnce } from './stores.mjs';
import { until } from './support.mjs';
import { metric, startTwoOrigins } from './two_origins.mjs';

/** How long the origins are away, and how many edits each of three authors makes meanwhile. */
const AWAY_MS = 20_000;
const EDITS = 167;

let all;
before(async () => {
  // What is dirty is flushed when the last member leaves, not before: until then the log is whole.
  all = await startTwoOrigins({ env: { FLUSH_DELAY_MS: '600000', LEASE_MS: '10000', SWEEP_MS: '1000' } });
});
after(() => all?.close());

/** Three authors in one region, and a reader in the other. */
async function three(t, room) {
  const members = new Members(t, all, room);
  members.authors = 3;
  await members.come('weur', 'weur', 'weur', 'enam');
  return members;
}

/** Each author types so many words, spread over this time, and is never told that one is saved. */
async function typeWhileAway(members) {
  const end = Date.now() + AWAY_MS;
  for (let left = EDITS; left > 0; left--) {
    members.typeOne();
    await pause(Math.max(0, end - Date.now()) / left);
    for (const author of members.providers.slice(0, 3)) assert.ok(author.hasUnsyncedChanges, 'nobody has logged it');
  }
}

/** The log holds every edit once and in order. */
async function isLoggedOnce(members) {
  const log = await all.redis.log(members.room, FILE);
  isInOrderOnce(log);
  assert.equal(log.length, members.words.length, 'one entry for each edit');
}

test('500 edits that are typed while every origin is away for 20 s are logged in order, once', async (t) => {
  t.after(() => all.asAtFirst());
  const members = await three(t, 'away');
  members.typeSome(3);
  await members.agree();

  await Promise.all(all.origins.map((origin) => origin.kill('SIGKILL')));
  await typeWhileAway(members);
  assert.ok(members.words.length >= 500);
  for (const [reader, writer] of [[0, 1], [1, 2], [2, 0]]) await members.sees(reader, writer);
  const before = textOf(members.providers[3]).toString();
  const { hub } = await all.edge.stats(members.room, 'weur');
  assert.ok(hub.outbox_rows > 0, 'it is in rows');
  assert.equal(hub.unacknowledged, 3 * EDITS);
  for (const author of members.providers.slice(0, 3)) assert.equal(author.unsyncedChanges, EDITS);
  assert.equal(before.length, members.words.slice(0, 9).join('').length, 'the other region has heard of none');

  all.homes = { weur: [0, 1], enam: [0, 1] };
  await Promise.all([all.revive(0), all.revive(1)]);
  const text = await members.agree();
  await members.areToldOnce();
  assert.equal((await all.edge.stats(members.room, 'weur')).rows.outbox, 0, 'and the rows are gone');
  await isLoggedOnce(members);
  await members.areLoggedAndStored(text);
});

test('an origin that stands still is left for the other one, and harms nothing when it goes on', async (t) => {
  t.after(() => all.asAtFirst());
  const members = await three(t, 'stands-still');
  members.typeSome(3);
  await members.agree();
  const { url, pid } = all.origins[0];

  // Its door stays open: whoever asks it waits.
  all.homes.weur = [0, 1];
  process.kill(pid, 'SIGSTOP');
  try {
    const both = async () => (await metric(all.origins[1], 'links')) === 2;
    const moved = () => until(both, PATIENCE_MS, 'both links at the other origin');
    await members.typeUntil(moved());
    for (const [reader, writer] of [[0, 1], [1, 2], [2, 0], [3, 0]]) await members.sees(reader, writer);
  } finally {
    process.kill(pid, 'SIGCONT');
  }
  members.typeSome(20);
  await until(async () => (await fetch(`${url}/readyz`)).ok, PATIENCE_MS, 'the origin that stood still');
  // What it had not read of its link it now logs once more, which changes nothing.
  const text = await members.agree();
  await members.areToldOnce();
  await members.areLoggedAndStored(text);
});

test('one of two origins is gone for good, and nobody loses a socket', async (t) => {
  t.after(() => all.asAtFirst());
  const members = await three(t, 'for-good');
  members.typeSome(3);
  await members.agree();
  all.homes.weur = [0, 1];
  await all.origins[0].kill('SIGKILL');
  members.typeSome(100);
  const text = await members.agree();
  await members.areToldOnce();
  await isLoggedOnce(members);
  const alone = async () => (await all.redis.leases(members.room)) === 1;
  await until(alone, PATIENCE_MS, 'the end of what the dead origin held');
  await members.areLoggedAndStored(text);
});
