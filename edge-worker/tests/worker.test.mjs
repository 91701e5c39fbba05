// The Worker's routes and refusals, and the link: signed both ways, invited, and only once.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { after, before, describe, test } from 'node:test';
import { answerEmpty, nonceOf, startMirror } from './mirror.mjs';
import { PATIENCE_MS, connect, sign, startEdge, until } from './support.mjs';

/** An origin that drains: it takes nothing. */
async function startDraining() {
  const server = createServer((request, response) => {
    request.resume();
    request.on('end', () => response.writeHead(503).end());
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

/** A y-websocket client's first words: Step1 with an empty state vector. */
const STEP1 = Buffer.from([0, 0, 1, 0]);

describe('the Worker', () => {
  let edge, mirror, draining;
  before(async () => {
    [mirror, draining] = await Promise.all([startMirror(), startDraining()]);
    edge = await startEdge({ vars: { ORIGIN_URLS: `${draining.url},${mirror.url}/` } });
  });
  after(async () => {
    await edge?.close();
    mirror?.close();
    draining?.close();
  });

  const invite = async (room, region = 'weur') => {
    const client = await connect(`${edge.ws}/yjs/${room}/main.js?region=${region}`);
    const dial = await until(() => mirror.dial(room), PATIENCE_MS, 'a dial');
    return { client, dial, nonce: nonceOf(dial), link: `${edge.ws}/internal/rooms/${room}/${region}` };
  };
  /** An object with a timer or a request under way cannot be put to sleep yet. */
  const evicted = (object) =>
    until(() => edge.evict(object).then(() => true, () => false), PATIENCE_MS, `the sleep of ${object}`);
  const signed = (room, region, more) => ({
    headers: { authorization: sign('link', edge.url, room, region, more) },
  });

  test('is healthy, serves the page, and knows what it does not have', async () => {
    const health = await (await fetch(`${edge.url}/healthz`)).json();
    assert.equal(health.ok, true);
    assert.match(health.version, /^\d+\.\d+\.\d+$/);
    // In the order of ORIGIN_URLS: one drains, one takes traffic.
    assert.deepEqual(health.origins, [{ ready: false }, { ready: true }]);
    assert.match(await (await fetch(`${edge.url}/`)).text(), /the page/);
    assert.equal((await fetch(`${edge.url}/rooms/demo`)).status, 426);
    const missing = await fetch(`${edge.url}/internal/elsewhere`);
    assert.equal(missing.status, 404);
    assert.equal((await missing.json()).code, 'not-found');
  });

  test('tells the region of a session, and lets the parameter decide it', async () => {
    for (const [query, region] of [['?region=weur', 'weur'], ['?region=moon', 'enam'], ['', 'enam']]) {
      const client = await connect(`${edge.ws}/rooms/regions${query}`);
      assert.equal(client.headers['x-edgeroom-region'], region, query);
      client.socket.close();
    }
  });

  test('echoes its subprotocol and no other', async () => {
    const client = await connect(`${edge.ws}/rooms/protocols`, { protocols: ['edgeroom.v1', 'bearer.x.y.z'] });
    assert.equal(client.socket.protocol, 'edgeroom.v1');
    client.socket.close();
  });

  test('accepts the socket of a foreign page or a bad room and closes it with the reason', async () => {
    const foreign = await connect(`${edge.ws}/rooms/demo`, { headers: { origin: 'https://evil.example' } });
    assert.deepEqual(await foreign.closed, { code: 4403, reason: 'origin-not-allowed' });
    for (const path of ['/rooms/a~b', '/rooms/', '/yjs/demo/', '/yjs/demo/%FF']) {
      const nowhere = await connect(edge.ws + path);
      assert.deepEqual(await nowhere.closed, { code: 4404, reason: 'not-found' }, path);
    }
    for (const origin of ['https://app.example', edge.url]) {
      const listed = await connect(`${edge.ws}/rooms/demo`, { headers: { origin } });
      assert.equal(listed.socket.readyState, listed.socket.OPEN);
      listed.socket.close();
    }
  });

  test('passes the API on to the first origin that takes it, with a request id', async () => {
    const headers = { 'x-request-id': 'mine-1', authorization: 'Bearer t', 'content-type': 'text/plain' };
    const url = `${edge.url}/api/v1/shards/a/files/src/%C3%A4.js?from=archive`;
    const answer = await fetch(url, { method: 'PUT', headers, body: 'text of the file' });
    assert.equal(answer.status, 201);
    assert.equal(answer.headers.get('x-request-id'), 'mine-1');
    assert.equal(answer.headers.get('etag'), '"1"');
    const seen = await answer.json();
    assert.equal(seen.method, 'PUT');
    assert.equal(seen.url, '/api/v1/shards/a/files/src/%C3%A4.js?from=archive');
    assert.equal(seen.body, 'text of the file');
    assert.equal(seen.headers.authorization, 'Bearer t');
    assert.equal(seen.headers['x-request-id'], 'mine-1');

    const given = await fetch(`${edge.url}/api/v1/templates`);
    const id = given.headers.get('x-request-id');
    assert.match(id, /^[0-9a-f]{32}$/);
    assert.equal((await given.json()).headers['x-request-id'], id);
    const line = (log) => log.includes('GET /api/v1/templates: 201') && log.includes(id);
    await until(() => edge.logs().some(line), PATIENCE_MS, 'its line in the log');
    const large = await fetch(`${edge.url}/api/v1/shards`, { method: 'POST', body: Buffer.alloc((16 << 20) + 1) });
    assert.equal(large.status, 413);
    assert.equal((await large.json()).code, 'too-large');
  });

  test('refuses an internal request without a good signature', async () => {
    const stats = `${edge.url}/internal/rooms/signed/weur/stats`;
    const old = Math.floor(Date.now() / 1000) - 120;
    const bad = [
      undefined,
      'Edgeroom nonsense',
      sign('dial', edge.url, 'signed', 'weur'),
      sign('link', edge.url, 'other', 'weur'),
      sign('link', edge.url, 'signed', 'enam'),
      sign('link', 'https://elsewhere.example', 'signed', 'weur'),
      sign('link', edge.url, 'signed', 'weur', { ts: old }),
      sign('link', edge.url, 'signed', 'weur', { keys: 'test:another-secret' }),
      sign('link', edge.url, 'signed', 'weur', { keys: 'nobody:a-secret-that-only-tests-know' }),
    ];
    for (const authorization of bad) {
      const answer = await fetch(stats, { headers: authorization ? { authorization } : {} });
      assert.equal(answer.status, 401, authorization);
      assert.equal((await answer.json()).code, 'bad-signature');
    }
    assert.equal((await edge.stats('signed', 'weur')).hub.sessions, 0);
  });

  test('refuses an address that asks too often, and nobody else', async (t) => {
    const rates = { ADDRESS_RATE: { limit: 3, period: 60 } };
    const strict = await startEdge({ vars: { ORIGIN_URLS: mirror.url }, rates });
    t.after(() => strict.close());
    const headers = (address) => ({ headers: { 'cf-connecting-ip': address } });
    const ask = (address) => fetch(`${strict.url}/api/v1/templates`, headers(address));
    assert.equal((await ask('203.0.113.9')).status, 201);
    // A window may end in between: then some more are taken.
    const denial = async () => {
      const answer = await ask('203.0.113.9');
      return answer.status === 429 && answer;
    };
    const refused = await until(denial, PATIENCE_MS, 'a refusal');
    assert.equal((await refused.json()).code, 'rate-limited');
    assert.equal(refused.headers.get('retry-after'), '10');
    const attempt = async () => {
      const { socket, headers: given, closed } = await connect(`${strict.ws}/rooms/often`, headers('203.0.113.9'));
      if (!('x-edgeroom-region' in given)) return closed;
      socket.terminate();
    };
    assert.deepEqual(await until(attempt, PATIENCE_MS, 'a refusal'), { code: 4529, reason: 'rate-limited' });
    assert.equal((await ask('203.0.113.10')).status, 201);
  });

  test('asks an origin to dial with a signature for this object only', async () => {
    const { client, dial, nonce } = await invite('dialled');
    assert.equal(dial.method, 'POST');
    assert.equal(dial.url, '/dial/dialled/weur');
    assert.deepEqual(JSON.parse(dial.body), { edge: edge.url });
    const id = dial.headers['x-request-id'];
    assert.match(id, /^[0-9a-f]{32}$/);
    await until(() => edge.logs().some((line) => line.includes('link.dial') && line.includes(id)), PATIENCE_MS, 'its line');
    const ts = /ts=(\d+)/.exec(dial.headers.authorization)[1];
    assert.equal(dial.headers.authorization, sign('dial', edge.url, 'dialled', 'weur', { nonce, ts }));
    client.socket.close();
  });

  test('takes a link with the nonce of its dial, once', async () => {
    const { client, nonce, link } = await invite('linked');
    await assert.rejects(connect(link), /answered 401/);
    await assert.rejects(connect(link, signed('linked', 'weur')), /answered 401/);
    await assert.rejects(connect(link, signed('linked', 'weur', { nonce, keys: 'test:wrong' })), /answered 401/);

    const origin = await connect(link, signed('linked', 'weur', { nonce }));
    const hello = await until(() => origin.frames[0], PATIENCE_MS, 'a hello');
    assert.match(hello.toString('latin1'), /linked~weur/);
    assert.equal((await edge.stats('linked', 'weur')).hub.link_up, true);

    await assert.rejects(connect(link, signed('linked', 'weur', { nonce })), /answered 401/);
    client.socket.close();
    origin.socket.close();
  });

  test('replaces an older link and ignores that it closes', async () => {
    const { client, nonce, link } = await invite('replaced');
    // Without its memory, the hub asks again although an answer to the first dial is still to be expected.
    await evicted('replaced~weur');
    const again = await connect(`${edge.ws}/yjs/replaced/main.js?region=weur`);
    const asked = (dial) => dial.url === '/dial/replaced/weur' && nonceOf(dial) !== nonce;
    const second = await until(() => mirror.dials.find(asked), PATIENCE_MS, 'a second dial');

    const older = await connect(link, signed('replaced', 'weur', { nonce }));
    const newer = await connect(link, signed('replaced', 'weur', { nonce: nonceOf(second) }));
    assert.deepEqual(await older.closed, { code: 1012, reason: 'replaced' });
    await until(() => newer.frames.length, PATIENCE_MS, 'a hello');
    const { link: up, hub } = await edge.stats('replaced', 'weur');
    assert.deepEqual([up, hub.link_up], [true, true]);
    for (const { socket } of [client, again]) socket.close();
    assert.equal((await newer.closed).code, 1000);
  });

  test('keeps sessions and link while the object loses its memory', async () => {
    const { client, nonce, link } = await invite('asleep');
    const origin = await connect(link, signed('asleep', 'weur', { nonce }));
    client.socket.send(STEP1);
    answerEmpty(origin);
    await until(async () => (await edge.stats('asleep', 'weur')).rows.channels === 1, PATIENCE_MS, 'a row');
    const before = await edge.stats('asleep', 'weur');
    await evicted('asleep~weur');
    const woken = await edge.stats('asleep', 'weur');
    assert.notEqual(woken.made, before.made);
    assert.equal(woken.link, true);
    assert.deepEqual([woken.hub.sessions, woken.hub.channels, woken.hub.link_up], [1, 1, true]);
    origin.socket.close();
    client.socket.close();
  });

  test('writes no row for somebody who only knocks', async () => {
    const client = await connect(`${edge.ws}/rooms/guests?region=weur`);
    const { rows, hub, sockets } = await edge.stats('guests', 'weur');
    assert.deepEqual(rows, { channels: 0, outbox: 0, dials: 0 });
    assert.equal(hub.sessions, 1);
    assert.equal(sockets, 1);
    assert.equal(mirror.dial('guests'), undefined);
    client.socket.close();
  });
});

describe('a Worker that nobody may use', () => {
  const refusal = async (vars, code, text) => {
    const edge = await startEdge({ vars });
    try {
      for (const path of ['/rooms/demo', '/api/v1/templates', '/internal/rooms/demo/weur/stats']) {
        const answer = await fetch(edge.url + path);
        assert.equal(answer.status, 503, path);
        assert.equal(answer.headers.get('content-type'), 'application/problem+json');
        const problem = await answer.json();
        assert.equal(problem.code, code);
        assert.match(problem.detail, text);
      }
      assert.equal((await fetch(`${edge.url}/healthz`)).status, 200);
    } finally {
      await edge.close();
    }
  };

  test('says that tokens, the default, need keys', async () => {
    await refusal({ AUTH: undefined }, 'not-configured', /JWT_KEYS/);
    await refusal({ AUTH: 'jwt', JWT_KEYS: '{"keys":[]}' }, 'not-configured', /JWT_KEYS/);
  });

  test('says which variable it lacks', async () => {
    await refusal({ LINK_KEYS: undefined }, 'not-configured', /LINK_KEYS/);
  });
});

test('AUTH=open is announced, and refused beyond loopback unless that is allowed', async () => {
  for (const [vars, status] of [[{}, 503], [{ ALLOW_OPEN: '1' }, 426]]) {
    const edge = await startEdge({ vars });
    try {
      assert.equal((await fetch(`${edge.url}/rooms/demo`)).status, 426);
      const outside = await edge.fetch('http://edge.example/rooms/demo');
      assert.equal(outside.status, status);
      if (status === 503) assert.equal((await outside.json()).code, 'open-beyond-loopback');
      assert.equal(edge.logs().filter((line) => /ANYBODY/.test(line)).length, 1);
    } finally {
      await edge.close();
    }
  }
});
