// Clients without Yjs through the Worker: JSON over a plain WebSocket, beside a stock provider.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PATIENCE_MS, Page, restText, startBoth, textOf } from './clients.mjs';
import { connect, until } from './support.mjs';

const FILE = 'src/main.js';
let both;

before(async () => {
  both = await startBoth();
});
after(() => both?.close());

/** A file over text frames, as docs/PROTOCOL.md says: takes nothing while a change of its own is unanswered. */
class Plain {
  text = '';
  position = undefined;
  unanswered = 0;
  lost = false;
  errors = [];
  events = [];

  static async open(t, room, { region = 'enam', file = FILE, at = both.edge.ws } = {}) {
    const client = new Plain();
    client.file = file;
    client.connection = await connect(`${at}/rooms/${room}?region=${region}`);
    client.connection.socket.on('message', (data, binary) => client.take(data, binary));
    t.after(() => client.connection.socket.terminate());
    client.say({ type: 'open' });
    await until(() => client.position, PATIENCE_MS, `the text of ${file}`);
    return client;
  }

  say(message) {
    this.connection.socket.send(JSON.stringify({ file: this.file, ...message }));
  }

  edit(at, remove, insert) {
    const edits = [{ at, delete: remove, insert }];
    this.text = applied(this.text, edits);
    this.unanswered += 1;
    this.say({ type: 'edit', position: this.position, edits });
  }

  whole(text) {
    this.text = text;
    this.unanswered += 1;
    this.say({ type: 'code-change', position: this.position, text });
  }

  take(data, binary) {
    assert.ok(!binary, 'a client that speaks text gets text only');
    const message = JSON.parse(data);
    const free = this.unanswered === 0;
    if (message.type === 'logged') this.unanswered -= 1;
    else if (message.type === 'error') {
      this.errors.push(message.code);
      if (message.file === this.file && this.unanswered > 0) this.unanswered -= 1;
      this.lost = true;
    } else if (message.type === 'text' && free) {
      [this.text, this.position, this.lost] = [message.text, message.position, false];
    } else if (message.type === 'edit' && free && !this.lost) {
      [this.text, this.position] = [applied(this.text, message.edits), message.position];
    } else if (message.type !== 'text' && message.type !== 'edit') this.events.push(message);
  }

  /** Waits until it has this text and nothing of its own is unanswered. */
  async has(text) {
    const has = () => this.unanswered === 0 && !this.lost && this.text === text;
    await until(has, PATIENCE_MS, JSON.stringify(text)).catch((error) => {
      throw new Error(`${error.message}: it has ${JSON.stringify([this.text, this.unanswered, this.errors])}`);
    });
  }
}

function applied(text, edits) {
  return edits.reduce((text, { at, delete: gone, insert }) => text.slice(0, at) + insert + text.slice(at + gone), text);
}

async function provider(t, room, region) {
  const page = new Page(both.edge.url, room, { region });
  t.after(() => page.close());
  return page.opened(FILE);
}

test('a stock provider and clients of text frames in two regions write one text', async (t) => {
  const yjs = await provider(t, 'plain', 'enam');
  const here = await Plain.open(t, 'plain', { region: 'enam' });
  const there = await Plain.open(t, 'plain', { region: 'weur' });
  textOf(yjs).insert(0, 'let a = 1;\n');
  await Promise.all([here, there].map((client) => client.has('let a = 1;\n')));
  here.edit(4, 1, '\u{1f600}');
  there.whole('let a = 1;\nlet b = 2;\n');
  const both_ = 'let \u{1f600} = 1;\nlet b = 2;\n';
  await Promise.all([here, there].map((client) => client.has(both_)));
  await until(() => textOf(yjs).toString() === both_, PATIENCE_MS, 'the same for Yjs');
  assert.equal(await restText(both.origin.url, 'plain', FILE), both_, 'what is acknowledged is logged');
  assert.deepEqual([...here.errors, ...there.errors], []);
});

test('schedule 19: a whole text merges against the one that it was based on', async (t) => {
  const yjs = await provider(t, 'schedule-19', 'enam');
  const plain = await Plain.open(t, 'schedule-19');
  textOf(yjs).insert(0, 'T0');
  await plain.has('T0');
  const { position } = plain;
  textOf(yjs).insert(2, 'x');
  await plain.has('T0x');
  const asleep = () => both.edge.evict('schedule-19~enam').then(() => true, () => false);
  await until(asleep, PATIENCE_MS, 'the sleep of the hub');
  // It types on top of what it had before that.
  Object.assign(plain, { position });
  plain.whole('T0y');
  await until(() => plain.unanswered === 0 && plain.text.length === 4, PATIENCE_MS, 'both letters');
  assert.ok(['T0xy', 'T0yx'].includes(plain.text), plain.text);
  await until(() => textOf(yjs).toString() === plain.text, PATIENCE_MS, 'both letters for Yjs');
  plain.position = 'long gone';
  plain.whole('all for nothing');
  await plain.has(textOf(yjs).toString());
  assert.deepEqual(plain.errors, ['stale']);
});

test('an eviction in the middle of typing loses and doubles nothing of a text client', async (t) => {
  const plain = await Plain.open(t, 'evicted');
  let expected = '';
  for (let round = 0; round < 30; round++) {
    const letter = String.fromCharCode(97 + (round % 26));
    expected += letter;
    plain.edit(plain.text.length, 0, letter);
    if (round % 7 === 3) {
      // It runs, since it has just answered something; what comes after that may be anywhere.
      const { unanswered } = plain;
      await until(() => plain.unanswered < unanswered, PATIENCE_MS, 'an answer');
      plain.edit(plain.text.length, 0, '-');
      expected += '-';
      await both.edge.evict('evicted~enam');
    }
  }
  await plain.has(expected);
  assert.equal(await restText(both.origin.url, 'evicted', FILE), expected);
  assert.equal(plain.connection.socket.readyState, plain.connection.socket.OPEN);
});

test('while the origin is away text clients go on typing, and all of it is logged once it is back', async (t) => {
  const plain = await Plain.open(t, 'away');
  plain.whole('before\n');
  await plain.has('before\n');
  await both.origin.kill();
  for (let line = 0; line < 20; line++) plain.edit(plain.text.length, 0, `line ${line}\n`);
  const expected = plain.text;
  assert.equal(plain.unanswered, 20);
  await both.revive();
  await plain.has(expected);
  assert.equal(await restText(both.origin.url, 'away', FILE), expected);
  assert.deepEqual(plain.errors, []);
});

test('room events are text frames too, and what is not understood is answered', async (t) => {
  const page = new Page(both.edge.url, 'events', { region: 'enam' });
  t.after(() => page.close());
  await page.opensRoom();
  const plain = await Plain.open(t, 'events');
  plain.say({ type: 'chat', text: 'from text' });
  await page.event('chat', ({ text }) => text === 'from text');
  page.say({ type: 'chat', text: 'from Yjs' });
  const heard = () => plain.events.find(({ type, text }) => type === 'chat' && text === 'from Yjs');
  await until(heard, PATIENCE_MS, 'the chat');
  for (const bad of ['{', '[]', '{"type":"no-such-thing"}', '{"type":"edit","file":"a","edits":[{"at":-1}]}']) {
    plain.connection.socket.send(bad);
  }
  await until(() => plain.errors.length === 4, PATIENCE_MS, 'four answers');
  assert.deepEqual(new Set(plain.errors), new Set(['bad-event']));
  assert.equal(plain.connection.socket.readyState, plain.connection.socket.OPEN);
});

test('the origin speaks text frames itself', async (t) => {
  const plain = await Plain.open(t, 'direct', { at: both.origin.url.replace(/^http/, 'ws') });
  plain.whole('straight\n');
  await plain.has('straight\n');
  assert.equal(await restText(both.origin.url, 'direct', FILE), 'straight\n');
});
