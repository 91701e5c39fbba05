// A panic in one room: what it destroys there, and that its neighbour in the same isolate does not notice.
// It takes a Worker that was built with the feature `fault-injection`.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import * as Y from 'yjs';
import { answerEmpty, nonceOf, startMirror } from './mirror.mjs';
import { PATIENCE_MS, TOP, connect, sign, startEdge, until } from './support.mjs';

const REGION = 'weur';
let edge, mirror;

before(async () => {
  mirror = await startMirror();
  const build = join(TOP, 'edge-worker/build-faulty');
  edge = await startEdge({ build, vars: { ORIGIN_URLS: mirror.url } });
});
after(async () => {
  await edge?.close();
  mirror?.close();
});

/** A y-websocket frame that brings one letter, by an author of its own. */
function letter(text) {
  const doc = new Y.Doc();
  doc.getText('content').insert(0, text);
  const update = Y.encodeStateAsUpdate(doc);
  return Buffer.from([0, 2, update.length, ...update]);
}

/** A room with a link and two sessions that have the same file open. */
async function furnish(room) {
  const join = async () => {
    const client = await connect(`${edge.ws}/yjs/${room}/main.js?region=${REGION}`);
    client.socket.send(Buffer.from([0, 0, 1, 0]));
    return client;
  };
  const author = await join();
  const dial = await until(() => mirror.dial(room), PATIENCE_MS, 'a dial');
  const authorization = sign('link', edge.url, room, REGION, { nonce: nonceOf(dial) });
  const link = await connect(`${edge.ws}/internal/rooms/${room}/${REGION}`, { headers: { authorization } });
  answerEmpty(link, { onChange: ({ log }) => log() });
  const reader = await join();
  const stats = () => edge.stats(room, REGION);
  await until(() => author.frames.length && reader.frames.length, PATIENCE_MS, 'two open documents');
  return { room, author, reader, link, stats };
}

/** What the author types is logged and reaches the reader. */
async function delivers({ author, reader, room }, text) {
  const frame = letter(text);
  author.socket.send(frame);
  await until(() => reader.frames.some((seen) => frame.equals(seen)), PATIENCE_MS, `${text} in ${room}`);
}

function panic(room, at) {
  const headers = { authorization: sign('link', edge.url, room, REGION) };
  return fetch(`${edge.url}/internal/rooms/${room}/${REGION}/panic?at=${at}`, { headers });
}

const isOpen = ({ author, reader, link }) =>
  [author, reader, link].every(({ socket }) => socket.readyState === socket.OPEN);

for (const at of ['message', 'request']) {
  test(`a panic in the turn of a ${at} is that room's own and lasts one turn`, async () => {
    const [ill, well] = [await furnish(`ill-${at}`), await furnish(`well-${at}`)];
    for (const room of [ill, well]) await delivers(room, 'before');
    const [illBefore, wellBefore] = [await ill.stats(), await well.stats()];
    assert.ok(wellBefore.made > illBefore.made, 'both are objects of one isolate');

    const answer = await panic(ill.room, at);
    assert.equal(answer.status, at === 'message' ? 200 : 500);
    if (at === 'message') ill.author.socket.send(letter('lost'));
    const logged = () => edge.logs().some((line) => line.includes(`a panic in the turn of a ${at}`));
    await until(logged, PATIENCE_MS, 'a panic');

    await delivers(well, 'after');
    assert.ok(isOpen(well));
    const wellAfter = await well.stats();
    assert.equal(wellAfter.made, wellBefore.made, 'the neighbour was not made again');
    const changes = wellBefore.hub.counters.changes + 1;
    assert.equal(wellAfter.hub.counters.changes, changes, 'and its hub kept its memory');

    await delivers(ill, 'after');
    assert.ok(isOpen(ill));
    const illAfter = await ill.stats();
    assert.equal(illAfter.made, illBefore.made, 'the object itself is not made again either');
    assert.equal(illAfter.hub.counters.changes, 1, 'but its hub was rebuilt from what was saved');
    assert.equal(illAfter.hub.link_up, true);
    for (const { socket } of [ill.author, ill.reader, well.author, well.reader]) socket.close();
  });
}
