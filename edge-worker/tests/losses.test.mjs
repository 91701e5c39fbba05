// What may be lost under people who type: the origin is killed, the hub loses its memory, or both. Nobody's socket
// notices, nothing typed is lost or doubled, and every change is acknowledged once it is logged.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';
import { PATIENCE_MS, Page, converged, restText, startBoth, textOf, type } from './clients.mjs';
import { until } from './support.mjs';

const FILE = 'src/main.js';
let both;

before(async () => {
  both = await startBoth();
});
after(() => both?.close());

/** Members of a room, each with a page of their own and the file open in it, who can all type words. */
class Members {
  words = [];
  pages = [];
  providers = [];

  constructor(t, room) {
    this.room = room;
    t.after(() => this.leave());
  }

  async come(...regions) {
    this.pages = regions.map((region) => new Page(both.edge.url, this.room, { region }));
    this.providers = await Promise.all(this.pages.map((page) => page.opened(FILE)));
  }

  /** Each types one word, at a place of their own. */
  typeOne() {
    for (const [number, provider] of this.providers.entries()) {
      const word = `<${number}:${this.words.length}>`;
      this.words.push(word);
      if (number % 2) type(provider, word);
      else textOf(provider).insert(0, word);
    }
  }

  typeSome(count) {
    for (let round = 0; round < count; round++) this.typeOne();
  }

  /** Keeps typing until `event` has come about. */
  async typeUntil(event) {
    let over = false;
    const ended = event.finally(() => (over = true));
    while (!over) {
      this.typeOne();
      await pause(5);
    }
    await ended;
  }

  /** Waits until everybody has every word, once, and nothing is owed; gives the text. */
  async agree() {
    const length = this.words.join('').length;
    const text = await converged(this.providers, (text) => text.length >= length);
    assert.equal(text.length, length);
    for (const word of this.words) assert.equal(text.split(word).length, 2, `${word}, once`);
    assert.equal(await restText(both.origin.url, this.room, FILE), text, 'what is acknowledged is logged');
    for (const [number, { wire }] of this.pages.entries()) {
      assert.equal(wire.sockets.length, 1, `page ${number} kept its socket`);
      assert.ok(this.providers[number].synced);
    }
    return text;
  }

  /** Nobody was told more often than they have asked. */
  async areToldOnce() {
    await Promise.all(this.pages.map((page) => page.settled()));
    for (const [number, page] of this.pages.entries()) {
      const provider = this.providers[number];
      assert.deepEqual(page.statusesOf(provider), Array(1 + page.updatesOf(provider)).fill(1));
    }
  }

  leave() {
    this.pages.splice(0).forEach((page) => page.close());
  }
}

/** Makes a hub sleep at once, so that it loses its memory and keeps its sockets. */
async function evict(room, region) {
  const { made } = await both.edge.stats(room, region);
  // One with a request under way cannot be put to sleep yet.
  const asleep = () => both.edge.evict(`${room}~${region}`).then(() => true, () => false);
  await until(asleep, PATIENCE_MS, `the sleep of ${room}~${region}`);
  assert.notEqual((await both.edge.stats(room, region)).made, made);
}

test('an origin is killed and comes back while people type through the Worker', async (t) => {
  const members = new Members(t, 'restart');
  await members.come('weur', 'weur', 'enam');
  members.typeSome(20);
  await both.origin.kill('SIGKILL');
  members.typeSome(20);
  const [ann, ben] = members.providers;
  const [here] = members.words.slice(-3);
  await until(() => textOf(ben).toString().includes(here), PATIENCE_MS, 'what a neighbour types meanwhile');
  assert.ok(ann.hasUnsyncedChanges, 'which nobody calls saved');
  await members.typeUntil(both.revive());
  members.typeSome(20);
  const text = await members.agree();
  await members.areToldOnce();

  members.leave();
  await both.origin.kill('SIGKILL');
  await both.revive();
  assert.equal(await restText(both.origin.url, members.room, FILE), text);
  assert.equal(await restText(both.edge.url, members.room, FILE), text);
});

test('a hub loses its memory while people type', async (t) => {
  const members = new Members(t, 'forgetful');
  await members.come('weur', 'weur', 'enam');
  for (let time = 0; time < 3; time++) {
    await members.typeUntil(evict(members.room, 'weur'));
    members.typeSome(5);
  }
  await members.agree();
  await members.areToldOnce();
});

test('a hub loses its memory before its origin has answered', async (t) => {
  const members = new Members(t, 'unanswered');
  await members.come('weur', 'weur', 'enam');
  process.kill(both.origin.pid, 'SIGSTOP');
  try {
    const hub = async () => (await both.edge.stats(members.room, 'weur')).hub;
    members.typeSome(10);
    await until(async () => (await hub()).unacknowledged === 20, PATIENCE_MS, 'changes on their way');
    await evict(members.room, 'weur');
    members.typeSome(10);
    await until(async () => (await hub()).outbox_rows > 0, PATIENCE_MS, 'changes that are late');
    await evict(members.room, 'weur');
    members.typeSome(10);
  } finally {
    process.kill(both.origin.pid, 'SIGCONT');
  }
  await members.agree();
  await members.areToldOnce();
});

test('a hub loses its memory while its origin is away', async (t) => {
  const members = new Members(t, 'alone');
  await members.come('weur', 'weur', 'enam');
  members.typeSome(5);
  await both.origin.kill('SIGKILL');
  members.typeSome(5);
  await evict(members.room, 'weur');
  members.typeSome(5);
  await evict(members.room, 'enam');
  members.typeSome(5);
  await both.revive();
  await members.agree();
  await members.areToldOnce();
});
