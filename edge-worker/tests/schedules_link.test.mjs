// The orders of events on the link that lose text if taken naively, with the built Worker, whose objects forget
// everything in the worst moments.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { PATIENCE_MS, Page, converged, textOf, type } from './clients.mjs';
import { FILE, Members } from './members.mjs';
import { answerEmpty, nonceOf, startMirror } from './mirror.mjs';
import { connect, sign, startEdge, until } from './support.mjs';
import { startTwoOrigins } from './two_origins.mjs';

describe('two origins on one Redis', () => {
  let all;
  before(async () => {
    // No sweep comes: one that is there before the queue flushes without it, and the log is no longer whole.
    const env = { FLUSH_DELAY_MS: '600000', LEASE_MS: '60000', SWEEP_MS: '3600000', REDIS_DEADLINE_MS: '500' };
    all = await startTwoOrigins({ env });
  });
  after(() => all?.close());

  async function members(t, room, ...regions) {
    t.after(() => all.asAtFirst());
    const here = new Members(t, all, room);
    await here.come(...regions);
    return here;
  }

  test('schedule 9: what comes down while a hub is between two origins, or has forgotten how far it read, reaches it', async (t) => {
    const here = await members(t, 'schedule-9', 'weur', 'enam');
    here.typeSome(3);
    await here.agree();
    const [, there] = here.providers;
    await all.origins[0].kill('SIGKILL');
    for (let round = 0; round < 5; round++) type(there, word(here, round));
    all.homes.weur = 1;
    await here.evict('weur');
    for (let round = 5; round < 10; round++) type(there, word(here, round));
    await here.agree();
    await here.evict('weur');
    here.typeSome(2);
    const text = await here.agree();
    await here.areLogged(text);
  });

  function word(here, round) {
    const text = `<1:down ${round}>`;
    here.words.push(text);
    return text;
  }

  test('schedule 13: a change whose append failed is no duplicate when it is replayed', async (t) => {
    const here = await members(t, 'schedule-13', 'weur', 'weur');
    await here.pages[0].opensRoom();
    all.redis.freeze();
    t.after(() => all.redis.thaw());
    here.typeSome(5);
    await until(() => isHeld(here), PATIENCE_MS, 'an append that failed');
    await here.evict('weur');
    here.typeSome(5);
    await all.origins[0].kill('SIGKILL');
    all.homes.weur = 1;
    all.redis.thaw();
    // The other origin may have closed sockets while it had no Redis either.
    const text = await here.agreeAgain();
    await here.areLogged(text);
  });

  const isHeld = (here) => here.pages.some(({ events }) => events.some((event) => event.type === 'hold'));

  for (const [how, begin, end] of [
    ['is full', () => all.redis.fill(), () => all.redis.empty()],
    ['stands still', () => all.redis.freeze(), () => all.redis.thaw()],
  ]) {
    test(`schedule 14: a room store that ${how} holds the link, and no origin is asked in vain`, async (t) => {
      const here = await members(t, `schedule-14-${how.split(' ')[1]}`, 'weur', 'weur');
      await Promise.all(here.pages.map((page) => page.opensRoom()));
      const dials = async () => (await all.edge.stats(here.room, 'weur')).hub.counters.dials;
      t.after(end);
      await begin();
      const before = await dials();
      here.typeSome(5);
      await until(() => isHeld(here), PATIENCE_MS, 'members who are told');
      // Longer than a hub waits for an origin that says nothing.
      for (let second = 0; second < 12; second++) {
        here.typeOne();
        await pause(1_000);
      }
      assert.equal(await dials(), before, 'silence of the store is not that of the origin');
      for (const provider of here.providers) assert.ok(provider.hasUnsyncedChanges);
      await here.evict('weur');
      here.typeSome(5);
      await end();
      const text = await here.agree();
      await here.areToldOnce();
      await here.areLoggedAndStored(text);
    });
  }
});

describe('an origin that is none', { concurrency: true }, () => {
  let edge, mirror;
  /** What it does with the links of a room. */
  const manners = new Map();
  before(async () => {
    mirror = await startMirror(open);
    edge = await startEdge({ vars: { ORIGIN_URLS: mirror.url } });
  });
  after(async () => {
    await edge?.close();
    mirror?.close();
  });

  async function open(dial) {
    const [, , room, region] = dial.url.split('/');
    const authorization = sign('link', edge.url, room, region, { nonce: nonceOf(dial) });
    const link = await connect(`${edge.ws}/internal/rooms/${room}/${region}`, { headers: { authorization } });
    answerEmpty(link, manners.get(room));
  }

  async function pageIn(t, room) {
    const page = new Page(edge.url, room, { region: 'weur' });
    t.after(() => page.close());
    return [page, await page.opened(FILE)];
  }

  test('schedule 10: a change whose dependencies are nowhere stops nobody and comes back with its file', async (t) => {
    const changes = [];
    let misses = 0;
    const onChange = (change) => {
      changes.push(change);
      if (misses > 0 && !change.isStep2) {
        misses -= 1;
        change.miss();
      } else change.log();
    };
    manners.set('schedule-10', { onChange });
    const [[one, ann], [two, ben]] = [await pageIn(t, 'schedule-10'), await pageIn(t, 'schedule-10')];
    const asleep = () => edge.evict('schedule-10~weur').then(() => true, () => false);
    await until(asleep, PATIENCE_MS, 'the sleep of the hub');
    changes.length = 0;
    misses = 1;
    type(ann, 'lost');
    type(ben, 'goes on');
    const text = await converged([ann, ben], (text) => text.includes('lost') && text.includes('goes on'));
    assert.equal(text.length, 'lostgoes on'.length);
    const { hub } = await edge.stats('schedule-10', 'weur');
    assert.deepEqual([hub.counters.missing, hub.unacknowledged], [1, 0]);
    const asked = new Set(changes.filter(({ isStep2 }) => isStep2).map(({ channel }) => channel));
    assert.equal(asked.size, 2, 'all who may write are asked for what they have');
    for (const { wire } of [one, two]) assert.equal(wire.sockets.length, 1);
    assert.equal(mirror.dials.filter(({ url }) => url.includes('schedule-10')).length, 1, 'the link goes on');
  });

  test('schedule 11: a link that has died under a quiet hub is noticed and asked for again', async (t) => {
    let dead;
    const manner = { onChange: (change) => change.ack(), isDead: () => dead };
    manners.set('schedule-11', manner);
    const [page, reader] = await pageIn(t, 'schedule-11');
    const asleep = () => edge.evict('schedule-11~weur').then(() => true, () => false);
    await until(asleep, PATIENCE_MS, 'the sleep of the hub');
    // Its socket stays open, but nothing comes back any more, also for a ping.
    dead = true;
    const dials = () => mirror.dials.filter(({ url }) => url.includes('schedule-11')).length;
    assert.equal(dials(), 1);
    manners.set('schedule-11', { onChange: manner.onChange });
    await until(() => dials() > 1, PATIENCE_MS, 'another dial');
    type(reader, 'still here');
    await until(() => !reader.hasUnsyncedChanges, PATIENCE_MS, 'an answer on the new link');
    assert.equal(textOf(reader).toString(), 'still here');
    assert.equal(page.wire.sockets.length, 1);
  });
});
