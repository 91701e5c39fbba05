// When a connection ends after a close: what the platform makes of it, shown with an object that does nothing else,
// and what the built Worker does. Both in a workerd that is reached straight.
//
// The object of a socket that may sleep cannot end its connection if it closes before a message has come: the client
// answers the close, the object hears of that, and yet the connection stays until the object sleeps.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { Miniflare, convertV4MiniflareOptions } from 'miniflare';
import { unstable_readConfig } from 'wrangler';
import WebSocket from 'ws';
import { startStraightEdge } from './straight_edge.mjs';
import { PATIENCE_MS, TOP, freePort, startOrigin, until } from './support.mjs';

const REASON = 'a reason';
const CODES = [1000, 1012, 4400, 4401, 4403, 4404, 4410, 4413, 4500, 4503, 4508, 4513, 4529];
/** States of a socket. */
const [CLOSING, CLOSED] = [2, 3];

/** A client that leaves it to the server to end the connection. `ended` is with what: `{ code, reason }`. */
async function enter(url) {
  const socket = new WebSocket(url.replace(/^http/, 'ws'), { closeTimeout: 10 * PATIENCE_MS });
  const frames = [];
  socket.on('message', (data) => frames.push(data));
  const ended = new Promise((done) => socket.on('close', (code, reason) => done({ code, reason: `${reason}` })));
  await new Promise((done, failed) => {
    socket.on('open', done);
    socket.on('error', failed);
  });
  return { socket, frames, ended };
}

describe('a bare object', () => {
  let server, url;
  before(async () => {
    const { compatibility_date } = unstable_readConfig({ config: join(TOP, 'wrangler.toml') });
    const options = {
      rootPath: import.meta.dirname,
      modules: [{ type: 'ESModule', path: 'bare_object.mjs' }],
      name: 'bare',
      host: '127.0.0.1',
      port: 0,
      cf: false,
      compatibilityDate: compatibility_date,
      durableObjects: { BARE: { className: 'Bare', useSQLite: true } },
    };
    server = new Miniflare(convertV4MiniflareOptions(options));
    url = (await server.ready).origin;
  });
  after(() => server?.dispose());

  /** A client in a room of its own. */
  const visit = async (room) => {
    const client = await enter(`${url}/?room=${room}`);
    const ask = (what) => fetch(`${url}/${what}${what.includes('?') ? '&' : '?'}room=${room}`);
    const state = async () => (await ask('state')).json();
    const { number } = await state();
    return { ...client, ask, state, number };
  };
  /** The close is known to both sides. */
  const closed = (client) => until(async () => (await client.state()).closes[0], PATIENCE_MS, 'a close on both sides');

  test('ends the connection with its own close, from whichever event, if the client has ever said something', async () => {
    const ends = CODES.map(async (code) => {
      const [own, other] = [await visit(`own-${code}`), await visit(`other-${code}`)];
      own.socket.send(`close ${code}`);
      other.socket.send('hello');
      await until(async () => (await other.state()).heard, PATIENCE_MS, 'a message');
      await other.ask(`close?code=${code}`);
      for (const client of [own, other]) {
        assert.deepEqual(await client.ended, { code, reason: REASON });
        assert.equal((await client.state()).number, client.number, 'without having slept');
      }
    });
    await Promise.all(ends);
  });

  test('that closes before a message has come ends the connection only when it sleeps', async () => {
    const ends = CODES.map(async (code) => {
      const client = await visit(`silent-${code}`);
      await client.ask(`close?code=${code}`);
      assert.deepEqual(await closed(client), [code, CLOSED], 'the client has answered');
      assert.equal(client.socket.readyState, CLOSING, 'and waits');
      assert.deepEqual(await client.ended, { code, reason: REASON });
      assert.notEqual((await client.state()).number, client.number, 'it has slept');
    });
    await Promise.all(ends);
  });

  test('has to answer a close of the client itself', async () => {
    for (const code of [1000, 4321]) {
      const [answered, ignored] = [await visit(`answered-${code}`), await visit(`ignored-${code}`)];
      answered.socket.send('answer');
      ignored.socket.send('hello');
      for (const { socket } of [answered, ignored]) socket.close(code, REASON);
      assert.deepEqual(await answered.ended, { code, reason: REASON });
      assert.equal((await answered.state()).number, answered.number);
      assert.deepEqual(await closed(ignored), [code, CLOSING]);
      assert.equal((await ignored.ended).code, 1006);
    }
  });
});

describe('the Worker', () => {
  let edge, origin;
  before(async () => {
    const port = await freePort();
    edge = await startStraightEdge({ ORIGIN_URLS: `http://127.0.0.1:${port}` });
    origin = await startOrigin({ edge: edge.url, port });
  });
  after(() => Promise.all([edge?.close(), origin?.close()]));

  const STEP1 = Buffer.from([0, 0, 1, 0]);
  /** A client that has a file open, so it has said something; `made` tells which object it is at. */
  const opened = async (room) => {
    const client = await enter(`${edge.url}/yjs/${room}/a.txt?region=weur`);
    client.socket.send(STEP1);
    await until(() => client.frames.length > 0, PATIENCE_MS, 'the file');
    return { ...client, made: async () => (await edge.stats(room, 'weur')).made };
  };
  /** Asks the object meanwhile, so that it does not sleep. */
  const ends = async (client, end) => {
    const made = await client.made();
    let ended;
    client.ended.then((known) => (ended = known));
    assert.deepEqual(await until(async () => (await client.made(), ended), PATIENCE_MS, 'the end'), end);
    assert.equal(await client.made(), made, 'the object has not slept');
  };

  test('ends the connection of a client that it closes, for each reason', async () => {
    const malformed = await opened('malformed');
    malformed.socket.send(Buffer.alloc(8, 255));
    await ends(malformed, { code: 4400, reason: 'bad-frame' });

    const large = await opened('large');
    large.socket.send(Buffer.concat([Buffer.from([0, 2, 0x80, 0x80, 0xc0, 0x04]), Buffer.alloc(9 << 20)]));
    await ends(large, { code: 4513, reason: 'file-too-large' });

    const deleted = await opened('deleted');
    assert.equal((await fetch(`${origin.url}/api/v1/shards/deleted`, { method: 'DELETE' })).status, 204);
    await ends(deleted, { code: 4410, reason: 'deleted' });

    // Not by an object.
    const nowhere = await enter(`${edge.url}/rooms/no~room`);
    assert.deepEqual(await nowhere.ended, { code: 4404, reason: 'not-found' });
  });

  test('answers the close of a client and ends the connection', async () => {
    for (const [code, told] of [[1000, 1000], [4321, 4321], [undefined, 1000]]) {
      const client = await opened('left');
      client.socket.close(code);
      await ends(client, { code: told, reason: '' });
    }
  });
});
