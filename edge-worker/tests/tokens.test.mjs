// Tokens at both doors: the Worker with the WebCrypto of workerd, and the origin behind it. Stock clients.

import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import * as encoding from 'lib0/encoding';
import { Page, PATIENCE_MS, Single, converged, restText, startBoth, textOf, type } from './clients.mjs';
import { badTokens, inSeconds, jwks, makeKey, makeToken } from './jwt.mjs';
import { startMirror } from './mirror.mjs';
import { connect, freePort, startEdge, startOrigin, until } from './support.mjs';

const keys = { ed: makeKey('EdDSA', 'ed'), ec: makeKey('ES256', 'ec'), hs: makeKey('HS256', 'hs') };
const JWT_KEYS = jwks(...Object.values(keys));
const byTokens = { AUTH: 'jwt', JWT_KEYS };
const token = (changes) => makeToken(keys.ed, changes);

/** The Auth frame of a document, as a provider of version 4 writes it. */
function authFrame(key, shown) {
  const encoder = encoding.createEncoder();
  encoding.writeVarString(encoder, key);
  encoding.writeVarUint(encoder, 2);
  encoding.writeVarUint(encoder, 0);
  encoding.writeVarString(encoder, shown);
  encoding.writeVarString(encoder, '4.8.0');
  return encoding.toUint8Array(encoder);
}

const denial = (frames) => frames.map((frame) => /\x02\x01.(.+)$/s.exec(frame.toString('latin1'))?.[1]).find(Boolean);

/** Ends all of these, whatever happens. */
const closing = (t, ...clients) => t.after(() => clients.forEach((client) => client.close()));

for (const place of ['edge', 'origin']) {
  describe(`tokens at the ${place}`, () => {
    let both, at, ws;
    before(async () => {
      both = await startBoth({ env: { ...byTokens, CREATE_ON_OPEN: '1' }, vars: byTokens });
      at = both[place].url;
      ws = at.replace(/^http/, 'ws');
    });
    after(() => both?.close());

    test('of each kind of key open a room, and a member is who its token says', async (t) => {
      for (const key of Object.values(keys)) {
        const room = `kind-${key.kid}`;
        const page = new Page(at, room);
        closing(t, page);
        const file = await page.opened('a.js', { token: makeToken(key, { room }) });
        type(file, 'x');
        await converged([file], (text) => text === 'x');
        assert.equal(file.authorizedScope, 'read-write');
        const headers = { authorization: `Bearer ${makeToken(key, { room, role: 'viewer' })}` };
        const { members } = await (await fetch(`${at}/api/v1/rooms/${room}`, { headers })).json();
        assert.deepEqual(members.map(({ id, name, role }) => [id, name, role]), [['ann', 'Ann', 'editor']]);
      }
    });

    test('travel in the Auth frame, in the query, and beside the subprotocol', async (t) => {
      const framed = new Page(at, 'demo');
      const asked = new Single(at, 'demo', 'ways.js', { token: token() });
      const offered = new Single(at, 'demo', 'ways.js', { protocols: ['edgeroom.v1', `bearer.${token()}`] });
      closing(t, framed, asked, offered);
      const file = await framed.opened('ways.js', { token: token() });
      await asked.opened();
      await offered.opened();
      assert.equal(offered.provider.ws.protocol, 'edgeroom.v1');
      for (const client of [file, asked, offered]) type(client, '.');
      await converged([file, asked, offered], (text) => text === '...');
    });

    test('that are bad are refused with their reason and code', async () => {
      const missing = await connect(`${ws}/yjs/demo/a.js`);
      assert.deepEqual(await missing.closed, { code: 4401, reason: 'no-token' });
      for (const [bad, word, code] of badTokens(keys)) {
        const single = await connect(`${ws}/yjs/demo/a.js?token=${bad}`);
        assert.deepEqual(await single.closed, { code, reason: word }, bad);
        const offered = await connect(`${ws}/yjs/demo/a.js`, { protocols: ['edgeroom.v1', `bearer.${bad}`] });
        assert.deepEqual(await offered.closed, { code, reason: word }, bad);
        const framed = await connect(`${ws}/rooms/demo`);
        framed.socket.send(authFrame('a.js', bad));
        assert.equal(await until(() => denial(framed.frames), PATIENCE_MS, `the refusal of ${bad}`), word);
        assert.equal(framed.socket.readyState, framed.socket.OPEN);
        framed.socket.send(authFrame('a.js', token()));
        const granted = (frame) => frame.includes('read-write');
        await until(() => framed.frames.some(granted), PATIENCE_MS, 'the way in with a good one');
        framed.socket.close();
        const headers = { authorization: `Bearer ${bad}` };
        const rest = await fetch(`${at}/api/v1/shards/demo`, { headers });
        assert.deepEqual([rest.status, (await rest.json()).code], [code === 4403 ? 403 : 401, word], bad);
      }
    });

    test('of viewers change nothing: they are told so, and nobody sees a letter of theirs', async (t) => {
      const editor = new Page(at, 'demo');
      const viewer = new Page(at, 'demo');
      closing(t, editor, viewer);
      const file = await editor.opened('kept.js', { token: token() });
      type(file, 'kept');
      await converged([file], (text) => text === 'kept');
      const seen = [];
      file.document.on('update', () => seen.push(textOf(file).toString()));

      const read = token({ sub: 'vic', role: 'viewer' });
      const copy = await viewer.opened('kept.js', { token: read });
      viewer.own = await viewer.opened('.room', { token: read });
      assert.equal(copy.authorizedScope, 'readonly');
      type(copy, ' by a viewer');
      await until(() => viewer.statusesOf(copy).includes(0), PATIENCE_MS, 'SyncStatus(0)');
      await viewer.event('error', ({ code }) => code === 'read-only');
      assert.equal(copy.hasUnsyncedChanges, true);

      const single = new Single(at, 'demo', 'kept.js', { token: read });
      closing(t, single);
      const closed = new Promise((done) => single.provider.on('connection-close', done));
      await single.opened();
      type(single, ' by another');
      const { code, reason } = await closed;
      assert.deepEqual([code, reason], [4403, 'read-only']);
      assert.equal(single.provider.shouldConnect, false, 'a y-websocket does not come back after that');

      type(file, '!');
      await converged([file], (text) => text === 'kept!');
      assert.deepEqual(seen.filter((text) => text.includes('by')), []);
    });

    test('with a rule keep their bearer from the file that it names and from no other', async (t) => {
      const shown = (changes) => ({ token: token({ room: 'ruled', ...changes }) });
      const ann = new Page(at, 'ruled');
      const ben = new Page(at, 'ruled');
      closing(t, ann, ben);
      await ann.opened('pages/[id].tsx', shown());
      const rules = [{ paths: 'pages/[id].tsx', role: 'viewer' }];
      const kept = await ben.opened('pages/[id].tsx', shown({ sub: 'ben', rules }));
      const free = await ben.opened('pages/i.tsx', shown({ sub: 'ben', rules }));
      assert.deepEqual([kept.authorizedScope, free.authorizedScope], ['readonly', 'read-write']);
    });

    test('that end close with 4401, and one that a provider gets in time prolongs', async (t) => {
      const page = new Page(at, 'demo');
      closing(t, page);
      let asked = 0;
      // Long enough to open the file on a busy machine.
      const end = inSeconds(10);
      const renewing = async () => token({ exp: ++asked === 1 ? end : inSeconds(3600) });
      const file = await page.opened('long.js', { token: renewing });
      const single = await connect(`${ws}/yjs/demo/long.js?token=${token({ exp: inSeconds(2) })}`);
      assert.deepEqual(await single.closed, { code: 4401, reason: 'token-expired' });
      await until(() => asked > 1, PATIENCE_MS, 'the question for another token');
      // Another one with the first token's end shows that the moment has passed.
      const other = await connect(`${ws}/yjs/demo/long.js?token=${token({ exp: Math.max(end, inSeconds(2)) })}`);
      assert.deepEqual(await other.closed, { code: 4401, reason: 'token-expired' });
      type(file, 'still here');
      await converged([file], (text) => text === 'still here');
      assert.equal(page.wire.sockets.length, 1);
    });

    test('with another role change it at once, and the member is told', async (t) => {
      const page = new Page(at, 'demo');
      closing(t, page);
      let role = 'viewer';
      const options = { token: async () => token({ role }) };
      page.own = await page.opened('.room', options);
      const file = await page.opened('kept.js', options);
      for (const [next, scope] of [['editor', 'read-write'], ['viewer', 'readonly'], ['owner', 'read-write']]) {
        role = next;
        page.events.length = 0;
        page.own.sendToken();
        await until(() => file.authorizedScope === scope, PATIENCE_MS, `${scope} of the other document`);
        assert.equal((await page.event('role')).role, next);
      }
    });
  });
}

describe('a guest at the edge', () => {
  let edge, mirror;
  before(async () => {
    mirror = await startMirror();
    edge = await startEdge({ vars: { ORIGIN_URLS: mirror.url, ...byTokens } });
  });
  after(async () => {
    await edge?.close();
    mirror?.close();
  });

  test('costs no dial, no row, no alarm, and is shown out after 10 s', async () => {
    const guest = await connect(`${edge.ws}/rooms/demo?region=weur`);
    guest.socket.send(authFrame('a.js', makeToken(makeKey('EdDSA', 'ed'))));
    await until(() => denial(guest.frames), PATIENCE_MS, 'a refusal');
    const { rows, hub, alarm } = await edge.stats('demo', 'weur');
    assert.deepEqual(rows, { channels: 0, outbox: 0, dials: 0 });
    assert.deepEqual([hub.sessions, hub.counters.dials, alarm], [1, 0, false]);
    assert.deepEqual(await guest.closed, { code: 4401, reason: 'wrong-signature' });
    assert.equal(mirror.dial('demo'), undefined);
    assert.equal((await edge.stats('demo', 'weur')).hub.sessions, 0);
  });

  test('may leave 64 KB waiting and no more', async () => {
    const guest = await connect(`${edge.ws}/rooms/demo?region=weur`);
    const frame = (bytes) => Buffer.concat([Buffer.from([1, 97, 1]), Buffer.alloc(bytes)]);
    const awareness = (bytes) => {
      const encoder = encoding.createEncoder();
      encoding.writeVarUint8Array(encoder, new Uint8Array(bytes));
      return Buffer.concat([frame(0), encoding.toUint8Array(encoder)]);
    };
    for (let at = 0; at < 6; at++) guest.socket.send(awareness(10_000));
    await until(async () => (await edge.stats('demo', 'weur')).hub.channels === 1, PATIENCE_MS, 'its document');
    assert.equal(guest.socket.readyState, guest.socket.OPEN);
    guest.socket.send(awareness(10_000));
    assert.deepEqual(await guest.closed, { code: 4529, reason: 'too-much-before-open' });
  });

  test('with a bad token in its address does not even reach an object', async () => {
    for (const path of ['/rooms/untouched', '/yjs/untouched/a.js']) {
      const client = await connect(`${edge.ws}${path}?region=weur&token=${token({ room: 'another' })}`);
      assert.deepEqual(await client.closed, { code: 4403, reason: 'wrong-room' });
      assert.equal(client.headers['x-edgeroom-region'], undefined);
    }
  });
});

test('a member who comes too often is refused at the edge, however the token travels, and nobody else is', async (t) => {
  // A socket with the token in its address and in a frame shows it three times.
  const rates = { MEMBER_RATE: { limit: 4, period: 60 } };
  const both = await startBoth({ env: { ...byTokens, CREATE_ON_OPEN: '1' }, vars: byTokens, rates });
  t.after(() => both.close());
  const often = token({ sub: 'often', room: '*' });
  /** How the socket of a member ends; nothing if it is let in. */
  const come = async ({ inAddress, inFrame }) => {
    const client = await connect(`${both.edge.ws}/rooms/often?region=weur${inAddress ? `&token=${inAddress}` : ''}`);
    const first = inFrame ?? inAddress;
    if ('x-edgeroom-region' in client.headers) client.socket.send(authFrame('a.js', first));
    let end;
    client.closed.then((closed) => (end = closed));
    await until(() => end || client.frames.length > 0, PATIENCE_MS, 'an answer');
    client.socket.terminate();
    return end;
  };
  assert.equal(await come({ inAddress: often }), undefined);
  const refusal = { code: 4529, reason: 'rate-limited' };
  // A window may end in between: then some more are let in.
  for (const way of [{ inAddress: often }, { inFrame: often }]) {
    assert.deepEqual(await until(() => come(way), PATIENCE_MS, 'a refusal'), refusal);
  }
  assert.equal(await come({ inAddress: token({ sub: 'seldom', room: '*' }) }), undefined);
});

test('rights outlive the sleep of an object, and a new link shows the token again', async (t) => {
  const both = await startBoth({ env: { ...byTokens, CREATE_ON_OPEN: '1' }, vars: byTokens });
  t.after(() => both.close());
  const page = new Page(both.edge.url, 'demo', { region: 'weur' });
  const viewer = new Page(both.edge.url, 'demo', { region: 'weur' });
  closing(t, page, viewer);
  const file = await page.opened('a.js', { token: token() });
  const copy = await viewer.opened('a.js', { token: token({ sub: 'vic', role: 'viewer' }) });
  const asleep = () => both.edge.evict('demo~weur').then(() => true, () => false);
  await until(asleep, PATIENCE_MS, 'the sleep of the object');
  await both.origin.kill();
  await both.revive();
  type(copy, 'no');
  type(file, 'yes');
  await until(() => viewer.statusesOf(copy).includes(0), PATIENCE_MS, 'SyncStatus(0)');
  await converged([file], (text) => text === 'yes');
  await page.opened('later.js', { token: token() });
  assert.deepEqual([page, viewer].map(({ wire }) => wire.sockets.length), [1, 1]);
});

test('keys rotate at one side and then at the other, and neither is started again for it', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'edgeroom-keys-'));
  const file = join(folder, 'keys.json');
  const [before, next] = [makeKey('EdDSA', 'before'), makeKey('ES256', 'next')];
  const originHas = (...list) => {
    writeFileSync(`${file}.new`, jwks(...list));
    renameSync(`${file}.new`, file);
  };
  originHas(before);
  const started = [];
  t.after(async () => {
    await Promise.allSettled(started.map((one) => one.close()));
    rmSync(folder, { recursive: true, force: true });
  });
  const port = await freePort();
  const edgeWith = async (...list) => {
    const edge = await startEdge({
      vars: { ORIGIN_URLS: `http://127.0.0.1:${port}`, AUTH: 'jwt', JWT_KEYS: jwks(...list) },
    });
    started.push(edge);
    return edge;
  };
  // The Worker of before a rotation and that of after it: a secret is put with a new version.
  const [old, ahead] = [await edgeWith(before), await edgeWith(before, next)];
  const env = { AUTH: 'jwt', JWT_KEYS: file, CREATE_ON_OPEN: '1', EDGE_URLS: `${old.url},${ahead.url}` };
  const origin = await startOrigin({ port, env });
  started.push(origin);
  const outcome = async (edge, key) => {
    const client = await connect(`${edge.ws}/rooms/demo`);
    client.socket.send(authFrame('a.js', makeToken(key)));
    const answered = () =>
      denial(client.frames) ?? (client.frames.some((frame) => frame.includes('read-write')) && 'in');
    const found = await until(answered, PATIENCE_MS, 'an answer to a token');
    client.socket.close();
    return found;
  };
  for (const edge of [old, ahead]) assert.equal(await outcome(edge, before), 'in');
  assert.equal(await outcome(ahead, next), 'unknown-key', 'the origin looks again');
  originHas(next, before);
  assert.equal(await outcome(ahead, next), 'in');
  assert.equal(await outcome(old, before), 'in');
  assert.equal(await outcome(old, next), 'unknown-key');
  originHas(next);
  assert.equal(await outcome(ahead, before), 'unknown-key');
  assert.equal(await outcome(ahead, next), 'in');
  assert.equal((await fetch(`${origin.url}/readyz`)).status, 200, 'it is the same process');
});
