// Members of a room who all type words, and what must be true of them in the end.

import assert from 'node:assert/strict';
import { setTimeout as pause } from 'node:timers/promises';
import { PATIENCE_MS, Page, converged, restText, textOf, type } from './clients.mjs';
import { replayed } from './stores.mjs';
import { until } from './support.mjs';

/** The file that they type into. */
export const FILE = 'src/main.js';

/**
 * Members of a room, each with a page of their own and the file open in it. `place` is where: its `edge`, and the
 * `origin` that is asked what is logged.
 */
export class Members {
  words = [];
  pages = [];
  providers = [];
  /** So many of them type, the first ones; the others read. */
  authors = Infinity;

  constructor(t, place, room) {
    this.place = place;
    this.room = room;
    t.after(() => this.leave());
  }

  /** One member in each of these regions opens the file. */
  async come(...regions) {
    this.pages = regions.map((region) => new Page(this.place.edge.url, this.room, { region }));
    this.providers = await Promise.all(this.pages.map((page) => page.opened(FILE)));
  }

  /** Each types one word, at a place of their own. */
  typeOne() {
    for (const [number, provider] of this.providers.slice(0, this.authors).entries()) {
      const word = `<${number}:${this.words.length}>`;
      this.words.push(word);
      if (number % 2) type(provider, word);
      else textOf(provider).insert(0, word);
    }
  }

  typeSome(count) {
    for (let round = 0; round < count; round++) this.typeOne();
  }

  /** Keeps typing until `event` has come about: ever more slowly, or a slow machine would never be done with it. */
  async typeUntil(event) {
    let over = false;
    const ended = event.finally(() => (over = true));
    const begun = Date.now();
    while (!over) {
      this.typeOne();
      await pause(5 + (Date.now() - begun) / 20);
    }
    await ended;
  }

  /** Waits until a member sees the last word of another one. */
  async sees(reader, writer) {
    const last = this.words.findLast((word) => word.startsWith(`<${writer}:`));
    const text = textOf(this.providers[reader]);
    await until(() => text.toString().includes(last), PATIENCE_MS, `${last} at member ${reader}`);
  }

  /** Waits until everybody has every word, once, and nothing is owed; gives the text. Nobody has lost a socket. */
  async agree() {
    const text = await this.agreeAgain();
    for (const [number, { wire }] of this.pages.entries()) {
      assert.equal(wire.sockets.length, 1, `page ${number} kept its socket`);
    }
    return text;
  }

  /** The same, whatever became of their sockets. */
  async agreeAgain() {
    const length = this.words.join('').length;
    const text = await converged(this.providers, (text) => text.length >= length);
    this.hasEveryWordOnce(text);
    assert.equal(await restText(this.place.origin.url, this.room, FILE), text, 'what is acknowledged is logged');
    for (const provider of this.providers) assert.ok(provider.synced);
    return text;
  }

  hasEveryWordOnce(text) {
    assert.equal(text.length, this.words.join('').length);
    const times = Map.groupBy(text.match(/<[^<>]*>/g) ?? [], (word) => word);
    for (const word of this.words) assert.equal(times.get(word)?.length, 1, `${word}, once`);
  }

  /** Nobody was told more often than they have asked. */
  async areToldOnce() {
    await Promise.all(this.pages.map((page) => page.settled()));
    for (const [number, page] of this.pages.entries()) {
      const provider = this.providers[number];
      assert.deepEqual(page.statusesOf(provider), Array(1 + page.updatesOf(provider)).fill(1));
    }
  }

  /** Makes the hub of a region sleep at once, so that it loses its memory, and keeps its sockets or closes them. */
  async evict(region, webSockets) {
    const { edge } = this.place;
    const { made } = await edge.stats(this.room, region);
    // One with a request under way cannot be put to sleep yet.
    const asleep = () => edge.evict(`${this.room}~${region}`, webSockets).then(() => true, () => false);
    await until(asleep, PATIENCE_MS, `the sleep of ${this.room}~${region}`);
    assert.notEqual((await edge.stats(this.room, region)).made, made);
  }

  /** All leave: the log makes this text in the order in which it is, though nobody could give it back any more. */
  async areLogged(text) {
    this.leave();
    assert.equal(replayed(await this.place.redis.log(this.room, FILE)), text);
  }

  /** The log makes this text in the order in which it is, and after all have left the database holds it. */
  async areLoggedAndStored(text) {
    assert.equal(replayed(await this.place.redis.log(this.room, FILE)), text);
    this.leave();
    assert.equal((await this.place.stored(this.room, FILE))?.text, text);
    assert.equal(await restText(this.place.edge.url, this.room, FILE, '?from=archive'), text);
  }

  leave() {
    this.pages.splice(0).forEach((page) => page.close());
  }
}
