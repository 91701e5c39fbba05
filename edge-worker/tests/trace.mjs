// Recorded editing, typed again: by authors whose pens know only what the recorded authors had seen.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import * as Y from 'yjs';
import { PATIENCE_MS } from './clients.mjs';
import { TOP } from './support.mjs';

/** So many transactions are typed before others get their turn. */
const AT_ONCE = 8;
/** So many changes may be on their way at a time. */
const IN_FLIGHT = 200;

/** A recording of `traces/`. */
export function recording(name) {
  return JSON.parse(gunzipSync(readFileSync(join(TOP, `edge-worker/tests/traces/${name}.json.gz`))));
}

/** What each author of a recording types, each transaction with how many of the other's came before it. */
export function parts({ txns }) {
  const written = [[], []];
  const known = [];
  for (const { agent, parents, patches } of txns) {
    const before = [0, 1].map((author) => Math.max(0, ...parents.map((parent) => known[parent][author])));
    assert.equal(before[agent], written[agent].length, 'everybody knows what they have written themselves');
    written[agent].push({ patches, needs: before[1 - agent] });
    known.push(before.map((count, author) => (author === agent ? written[agent].length : count)));
  }
  return written;
}

/** Types patches of `[position, deleted, inserted]` as one transaction. */
export function write(document, patches) {
  const text = document.getText('content');
  document.transact(() => {
    for (const [position, deleted, inserted] of patches) {
      text.delete(position, deleted);
      text.insert(position, inserted);
    }
  });
}

/** Gives others their turn now and then, and waits when too much is on its way. */
export class Pace {
  typed = 0;

  constructor(provider) {
    this.provider = provider;
  }

  async keep() {
    this.typed += 1;
    if (this.typed % AT_ONCE === 0) await new Promise(setImmediate);
    while (this.provider.unsyncedChanges > IN_FLIGHT) await news(this.provider, 'unsyncedChanges');
  }
}

/**
 * An author at a stock provider, whose document gets everything as soon as it comes. The author's pen is a document
 * beside it that takes over the other's transactions only when the next one to be typed was typed after them.
 */
export class Author {
  typed = [];
  read = 0;

  constructor(agent, provider) {
    this.provider = provider;
    this.pen = new Y.Doc();
    this.pen.clientID = agent + 1;
    this.pen.on('update', (update, origin) => {
      if (origin === this) return;
      this.typed.push(update);
      Y.applyUpdate(provider.document, update, this);
    });
  }

  /** Types a part while `other` types the other one. */
  async write(part, other) {
    const pace = new Pace(this.provider);
    for (const { patches, needs } of part) {
      await this.reads(other, needs);
      write(this.pen, patches);
      await pace.keep();
    }
  }

  /** Takes over so many of the other's transactions, once the provider has got them. */
  async reads(other, count) {
    while (this.read < count) {
      const next = other.typed[this.read];
      if (next && holds(this.provider.document, next)) {
        Y.applyUpdate(this.pen, next, this);
        this.read += 1;
      } else {
        await news(this.provider.document, 'update');
      }
    }
  }
}

/** Whether a document has all that an update brings, what it deletes included. */
function holds(document, update) {
  const { structs, ds } = Y.decodeUpdate(update);
  const { store } = document;
  if (structs.some(({ id, length }) => Y.getState(store, id.client) < id.clock + length)) return false;
  const isDeleted = (client, clock) =>
    clock < Y.getState(store, client) && Y.getItem(store, Y.createID(client, clock)).deleted;
  for (const [client, ranges] of ds.clients) {
    for (const { clock, len } of ranges) {
      for (let at = clock; at < clock + len; at++) if (!isDeleted(client, at)) return false;
    }
  }
  return true;
}

/** Waits for the next event of this kind. */
function news(emitter, event) {
  return new Promise((done, failed) => {
    const patience = setTimeout(() => {
      emitter.off(event, heard);
      failed(new Error(`no ${event} within ${PATIENCE_MS} ms`));
    }, PATIENCE_MS);
    const heard = () => {
      clearTimeout(patience);
      emitter.off(event, heard);
      done();
    };
    emitter.on(event, heard);
  });
}
