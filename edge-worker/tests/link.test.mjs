// What the Worker makes of a link that is newer, or older, than it is: origins that are none dial it and say so.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { answerEmpty, nonceOf, startMirror } from './mirror.mjs';
import { PATIENCE_MS, connect, sign, startEdge, until } from './support.mjs';

const STEP1 = Buffer.from([0, 0, 1, 0]);
/** What each fake origin does with the links that it opens. */
const manners = [() => {}, () => {}];
let edge;
let mirrors = [];

before(async () => {
  mirrors = await Promise.all(manners.map((_, number) => startMirror((dial) => open(number, dial))));
  edge = await startEdge({ vars: { ORIGIN_URLS: mirrors.map(({ url }) => url).join() } });
});
after(async () => {
  await edge?.close();
  mirrors.forEach((mirror) => mirror.close());
});

async function open(number, dial) {
  const [, , room, region] = dial.url.split('/');
  const authorization = sign('link', edge.url, room, region, { nonce: nonceOf(dial) });
  manners[number](await connect(`${edge.ws}/internal/rooms/${room}/${region}`, { headers: { authorization } }));
}

/** A y-websocket client that asks for a file. */
async function visitor(t, room) {
  const client = await connect(`${edge.ws}/yjs/${room}/main.js?region=weur`);
  t.after(() => client.socket.close());
  client.socket.send(STEP1);
  return client;
}

test('a message of an unknown kind is skipped, and the next one is read', async (t) => {
  const goodbyes = [];
  manners[0] = (link) => {
    link.closed.then(({ code }) => goodbyes.push(code));
    // Version, then a tag that nobody has given a meaning, with a body of three bytes, then a pong.
    link.socket.send(Buffer.from([1, 200, 3, 1, 2, 3, 13, 0]));
    answerEmpty(link);
  };
  const client = await visitor(t, 'unknown');
  await until(() => client.frames.length, PATIENCE_MS, 'the document over the same link');
  assert.equal((await edge.stats('unknown', 'weur')).hub.link_up, true);
  // A slow machine may have been asked to dial twice: then the second link has replaced the first.
  assert.ok(!goodbyes.includes(4400), `no link was given up as unreadable: ${goodbyes}`);
});

test('a link of another version ends with the reason, and is not asked for in a storm', async (t) => {
  const goodbyes = [];
  for (const number of manners.keys()) {
    mirrors[number].dials.length = 0;
    manners[number] = (link) => {
      link.socket.send(Buffer.from([99]));
      link.closed.then((goodbye) => goodbyes.push(goodbye));
    };
  }
  const client = await visitor(t, 'versions');
  const dials = () => mirrors.flatMap((mirror) => mirror.dials).map(({ at }) => at).sort((a, b) => a - b);
  await until(() => dials().length >= 6, PATIENCE_MS, 'six dials');
  const [first, , , , , sixth] = dials();
  // The second at once, then doubled from 200 ms: 200, 400, 800, 1600, and what each takes.
  assert.ok(sixth - first >= 3_000, `six dials within ${sixth - first} ms`);
  for (const { dials } of mirrors) assert.ok(dials.length >= 2, 'the origins are asked in turn');
  for (const { code, reason } of goodbyes) {
    assert.deepEqual([code, reason], [4400, 'the link speaks version 99, this side speaks 1']);
  }
  assert.ok(goodbyes.length >= 5);
  assert.ok(edge.logs().some((line) => line.includes('the link speaks version 99, this side speaks 1')));

  assert.equal(client.socket.readyState, client.socket.OPEN, 'its members stay');
  manners.fill(answerEmpty);
  await until(() => client.frames.length, PATIENCE_MS, 'the document, from an origin that speaks version 1');
});
