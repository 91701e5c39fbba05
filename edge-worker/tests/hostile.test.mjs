// Whoever means harm: updates that break a CRDT library, frames that end too early or are too large, presence without
// measure. Each is refused with a code and a reason, at the edge and at the origin, and nobody else notices.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { after, before, describe, test } from 'node:test';
import * as encoding from 'lib0/encoding';
import WebSocket from 'ws';
import { PATIENCE_MS, Page, converged, restText, startBoth, textOf, type } from './clients.mjs';
import { connect, until } from './support.mjs';

/** What a client writes: numbers, texts and bytes as lib0 spells them. */
function written(write) {
  const encoder = encoding.createEncoder();
  write(encoder, {
    number: (value) => encoding.writeVarUint(encoder, value),
    text: (value) => encoding.writeVarString(encoder, value),
    bytes: (value) => encoding.writeVarUint8Array(encoder, value),
    raw: (value) => encoding.writeUint8Array(encoder, value),
  });
  return encoding.toUint8Array(encoder);
}

/** One struct of client 1 at clock 0 in a root, with what is given as its content, and nothing deleted. */
const struct = (kind, root, content) =>
  written((encoder, { number, text, raw }) => {
    [1, 1, 1, 0, kind, 1].forEach(number);
    text(root);
    raw(content);
    number(0);
  });
const spelled = (...numbers) => written((_, { number }) => numbers.forEach(number));
const string = (value) => written((_, { text }) => text(value));

/** Updates that pass no gate, by the reason that is told. */
const UPDATES = {
  'nested Any values': ['update-kind', struct(8, 'content', Uint8Array.from({ length: 100_001 }, (_, at) => (at % 2 ? 1 : 117)))],
  'JSON that announces more than there is': ['update-kind', struct(2, 'content', spelled(2 ** 31))],
  'a count of 2^27 clients': ['update-truncated', spelled(2 ** 27)],
  'a delete set out of order': ['update-order', spelled(0, 1, 1, 2, 9, 1, 3, 1)],
  'a delete set beyond the last clock': ['update-length', spelled(0, 1, 1, 1, 2 ** 31 - 1, 5)],
  'a garbage-collected length beyond the last clock': ['update-length', spelled(1, 1, 1, 5, 0, 2 ** 31 - 1, 0)],
  'a clock that is too large': ['update-number', spelled(1, 1, 1, 2 ** 40)],
  'another root': ['update-root', struct(4, 'elsewhere', string('x'))],
  'a map entry': ['update-kind', struct(4 | 32, 'content', string('x'))],
  'a length of zero': ['update-length', struct(4, 'content', string(''))],
  'half a character': ['update-text', struct(4, 'content', Uint8Array.of(2, 0xc3, 0x28))],
  'bytes after the end': ['update-trailing', spelled(0, 0, 7)],
};

const frame = (key, ...parts) =>
  written((_, { text, raw }) => {
    text(key);
    parts.forEach(raw);
  });
const bytes = (value) => written((_, { bytes }) => bytes(value));
const SYNC_UPDATE = Uint8Array.of(0, 2);
const AWARENESS = Uint8Array.of(1);
const token = (key) => frame(key, Uint8Array.of(2, 0), string('any'), string('4.8.0'));

/** The words of a frame: the reason of a CLOSE, the JSON of a stateless message. */
const says = (frames, text) => frames.some((frame) => frame.includes(text));

let both;
before(async () => {
  both = await startBoth({ env: { FLUSH_DELAY_MS: '50', FLUSH_LIMIT: '1000' } });
});
after(() => both?.close());

for (const place of ['edge', 'origin']) {
  describe(`at the ${place}`, () => {
    const room = `${place}-hostile`;
    const ws = () => both[place].url.replace(/^http/, 'ws');
    let witness, file;
    before(async () => {
      witness = new Page(both[place].url, room);
      file = await witness.opened('a.txt');
      type(file, 'kept');
      await converged([file]);
    });
    after(() => witness.close());

    /** A socket with a.txt open, that says whatever it likes. */
    const guest = async () => {
      const client = await connect(`${ws()}/rooms/${room}`);
      client.socket.send(token('a.txt'));
      client.socket.send(frame('a.txt', Uint8Array.of(0, 0), bytes(Uint8Array.of(0))));
      await until(() => says(client.frames, 'kept'), PATIENCE_MS, 'the file');
      return client;
    };
    const bare = async () => {
      const client = await connect(`${ws()}/yjs/${room}/a.txt`);
      client.socket.send(Uint8Array.of(0, 0, 1, 0));
      await until(() => says(client.frames, 'kept'), PATIENCE_MS, 'the file');
      return client;
    };
    const undisturbed = async (text = 'kept') => {
      type(file, '.');
      textOf(file).delete(textOf(file).length - 1, 1);
      await converged([file], (now) => now === text);
      assert.equal(witness.wire.sockets.length, 1);
      assert.equal(await restText(both[place].url, room, 'a.txt'), text);
    };

    test('an update that no document could bear is refused with its reason', async () => {
      for (const [what, [reason, update]] of Object.entries(UPDATES)) {
        const [client, single] = await Promise.all([guest(), bare()]);
        client.socket.send(frame('a.txt', SYNC_UPDATE, bytes(update)));
        await until(() => says(client.frames, reason), PATIENCE_MS, `${reason} for ${what}`);
        assert.equal(client.socket.readyState, WebSocket.OPEN, what);
        single.socket.send(written((_, { number, bytes }) => [number(0), number(2), bytes(update)]));
        assert.deepEqual(await single.closed, { code: 4400, reason }, what);
        client.socket.close();
      }
      await undisturbed();
    });

    test('a frame that ends too early closes the socket that sent it', async () => {
      const whole = frame('a.txt', SYNC_UPDATE, bytes(struct(4, 'content', string('x'))));
      const short = [0, 1, 5, 6, 7, 8, 9, 12, whole.length - 1].map((length) => whole.subarray(0, length));
      for (const piece of short) {
        const client = await guest();
        client.socket.send(piece);
        assert.deepEqual(await client.closed, { code: 4400, reason: 'bad-frame' }, `${piece.length} bytes`);
      }
      await undisturbed();
    });

    test('a frame of 9 MB or 20 MB closes its document, whoever sends it again', async () => {
      for (let round = 1; round <= 3; round++) {
        for (const size of [9 << 20, 20 << 20]) {
          const client = await guest();
          client.socket.send(frame('a.txt', SYNC_UPDATE, bytes(new Uint8Array(size))));
          await until(() => says(client.frames, 'file-too-large'), PATIENCE_MS, `a refusal of ${size} bytes`);
          assert.equal(client.socket.readyState, WebSocket.OPEN);
          client.socket.close();
          const single = await bare();
          single.socket.send(written((_, { number, bytes }) => [number(0), number(2), bytes(new Uint8Array(size))]));
          assert.deepEqual(await single.closed, { code: 4513, reason: 'file-too-large' });
        }
      }
      await undisturbed();
    });

    test('a stock provider whose paste is too large is told once and does not come back indefinitely', async () => {
      const page = new Page(both[place].url, room);
      try {
        const mine = await page.opened('a.txt');
        const closed = new Promise((done) => mine.on('close', ({ event }) => done(event.reason)));
        type(mine, 'x'.repeat(9 << 20));
        assert.equal(await closed, 'file-too-large');
        assert.equal(mine.hasUnsyncedChanges, true, 'it does not look saved');
        const own = await page.opened('.room');
        assert.equal(own.failure, undefined);
        assert.equal(page.wire.sockets.length, 1);
      } finally {
        page.close();
      }
      await undisturbed();
    });

    test('presence of 1 MB, of a thousand clients, or nested without end is refused and shown to nobody', async () => {
      const entry = (client, state) => written((_, { number, text }) => [number(client), number(1), text(state)]);
      const presence = (...entries) => bytes(Buffer.concat([spelled(entries.length), ...entries]));
      const crowd = Array.from({ length: 1000 }, (_, at) => entry(7_000_000 + at, '{}'));
      const kinds = {
        'presence-too-large': presence(entry(7_000_001, JSON.stringify({ user: 'x'.repeat(1 << 20) }))),
        'presence-too-many': presence(...crowd),
        'bad-presence': presence(entry(7_000_001, `{"user":${'['.repeat(4000)}${']'.repeat(4000)}}`)),
      };
      for (const [reason, update] of Object.entries(kinds)) {
        const [client, single] = await Promise.all([guest(), bare()]);
        client.socket.send(frame('a.txt', AWARENESS, update));
        await until(() => says(client.frames, reason), PATIENCE_MS, reason);
        single.socket.send(Buffer.concat([AWARENESS, update]));
        await until(() => says(single.frames, reason), PATIENCE_MS, `${reason} for y-websocket`);
        for (const { socket } of [client, single]) {
          assert.equal(socket.readyState, WebSocket.OPEN);
          socket.close();
        }
      }
      await undisturbed();
      const seen = [...file.awareness.getStates().keys()].filter((id) => id >= 7_000_000 && id < 7_001_000);
      assert.deepEqual(seen, []);
    });

    test('ten thousand documents at once are refused one by one', async () => {
      const client = await connect(`${ws()}/rooms/${place}-crowd`);
      for (let at = 0; at < 10_000; at++) client.socket.send(token(`${at}.txt`));
      const refusals = () =>
        client.frames.filter((frame) => frame.includes('too-many-documents') || frame.includes('rate-limited')).length;
      await until(() => refusals() === 9_000, PATIENCE_MS, 'nine thousand refusals');
      assert.equal(client.socket.readyState, WebSocket.OPEN);
      client.socket.close();
      await undisturbed();
    });

    test('markup in presence travels as it is and is nobody’s to interpret', async () => {
      const page = new Page(both[place].url, room);
      try {
        const mine = await page.opened('a.txt');
        const name = '<img src=x onerror=alert(1)>{{7*7}}\u0000';
        mine.awareness.setLocalStateField('user', { name });
        const shown = () => file.awareness.getStates().get(mine.document.clientID)?.user?.name;
        assert.equal(await until(shown, PATIENCE_MS, 'the name'), name);
      } finally {
        page.close();
      }
    });
  });
}

test('more rounds of the same take no more memory', async () => {
  const [pages, resident] = [[], []];
  for (let round = 1; round <= 6; round++) {
    for (const place of ['edge', 'origin']) {
      for (const size of [9 << 20, 20 << 20]) {
        const client = await connect(`${both[place].url.replace(/^http/, 'ws')}/rooms/memory?region=weur`);
        client.socket.send(token('a.txt'));
        client.socket.send(frame('a.txt', SYNC_UPDATE, bytes(new Uint8Array(size))));
        await until(() => says(client.frames, 'file-too-large'), PATIENCE_MS, 'a refusal');
        client.socket.close();
      }
    }
    pages.push((await both.edge.stats('memory', 'weur')).memory_pages);
    resident.push(Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${both.origin.pid}/status`, 'utf8'))[1]));
  }
  assert.equal(pages[2], pages[1], `${pages} pages`);
  // Each thread's heap keeps room for one such frame.
  assert.ok(resident[5] - resident[3] < 16 << 10, `${resident} KB`);
});
