// Members whose connection is cut and who are back at once, with the same document: everybody sees them again before
// they renew what they show. No stock client here renews anything, so nothing but the server can bring that about.

import assert from 'node:assert/strict';
import { createConnection, createServer } from 'node:net';
import { after, before, describe, test } from 'node:test';
import { PATIENCE_MS, othersOf, startBoth } from './clients.mjs';
import { until } from './support.mjs';
import { OPENING } from './versions.mjs';

const NAMES = Object.keys(OPENING);
const REGION = 'weur';

let both;
before(async () => (both = await startBoth()));
after(() => both?.close());

/** A way to a server that can be cut, at both ends or only at the client's, and opened again. */
async function startNetwork(t, to) {
  let ends = [];
  let isCut = false;
  const { hostname, port } = new URL(to);
  const server = createServer((near) => {
    if (isCut) return near.resetAndDestroy();
    const far = createConnection(Number(port), hostname);
    ends.push({ near, far });
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => near.write(bytes));
    for (const end of [near, far]) end.on('error', () => {});
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  const reset = (which) => ends.forEach((pair) => which.forEach((end) => pair[end].resetAndDestroy()));
  t.after(() => {
    reset(['near', 'far']);
    server.close();
  });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    /** Nobody comes through until it is opened again. */
    cut() {
      isCut = true;
      reset(['near', 'far']);
      ends = [];
    },
    open: () => (isCut = false),
    /** The clients lose their connections, and the server does not hear of it until `tell` is called. */
    cutNear() {
      const lost = ends;
      lost.forEach(({ near }) => near.resetAndDestroy());
      ends = [];
      return { tell: () => lost.forEach(({ far }) => far.resetAndDestroy()) };
    },
  };
}

/** Clients of every version in a room, one of which reaches it over a network; all of them see each other. */
async function gather(t, at, network, room, returning) {
  const clients = {};
  // The link is asked for under the address by which the edge is reached first: not that of the network.
  for (const name of NAMES.filter((name) => name !== returning)) clients[name] = await OPENING[name](at, room, REGION);
  clients[returning] = await OPENING[returning](network.url, room, REGION);
  t.after(() => Object.values(clients).forEach((client) => client.close()));
  for (const [name, { awareness }] of Object.entries(clients)) {
    // It renews nothing, and takes nobody for gone who does not.
    clearInterval(awareness._checkInterval);
    awareness.setLocalStateField('user', name);
  }
  const others = Object.entries(clients).filter(([name]) => name !== returning);
  const seenBy = () => others.filter(([, client]) => othersOf(client).includes(returning)).length;
  await until(() => seenBy() === others.length, PATIENCE_MS, `${returning} in view of all`);
  return { client: clients[returning], others: others.map(([, client]) => client), seenBy };
}

for (const place of ['edge', 'origin']) {
  describe(`at the ${place}`, () => {
    for (const name of NAMES) {
      test(`a member with ${name} who is cut off and back is seen by all again`, async (t) => {
        const network = await startNetwork(t, both[place].url);
        const room = `back-${place}-${NAMES.indexOf(name)}`;
        const { client, others, seenBy } = await gather(t, both[place].url, network, room, name);
        network.cut();
        await until(() => seenBy() === 0, PATIENCE_MS, 'its end in view of all');
        const { clock } = client.awareness.meta.get(client.document.clientID);
        network.open();
        await until(() => seenBy() === others.length, PATIENCE_MS, `${name} in view of all again`);
        // Once it has what the server says after that, it was told no more than once.
        await until(() => client.provider.synced, PATIENCE_MS, 'the document');
        assert.equal(client.awareness.meta.get(client.document.clientID).clock, clock + 1);
      });
    }
  });
}

for (const name of NAMES) {
  test(`a member with ${name} who is back before the old connection ends stays in view`, async (t) => {
    const network = await startNetwork(t, both.edge.url);
    const room = `before-${NAMES.indexOf(name)}`;
    const { client, others, seenBy } = await gather(t, both.edge.url, network, room, name);
    const ended = new Set();
    for (const { awareness } of others) {
      awareness.on('change', ({ removed }) => removed.forEach((id) => ended.add(id)));
    }
    const sessions = async () => (await both.edge.stats(room, REGION)).hub.sessions;
    const old = network.cutNear();
    const isBack = async () => client.provider.synced && (await sessions()) === NAMES.length + 1;
    await until(isBack, PATIENCE_MS, 'a second connection');
    old.tell();
    await until(async () => (await sessions()) === NAMES.length, PATIENCE_MS, 'the end of the first one');
    // Whatever that has caused comes before what somebody else shows next.
    const [one, ...rest] = others;
    one.awareness.setLocalStateField('at', 7);
    const at = ({ awareness }) => awareness.getStates().get(one.document.clientID)?.at;
    await until(() => rest.every((other) => at(other) === 7), PATIENCE_MS, 'what somebody else shows next');
    await until(() => seenBy() === others.length, PATIENCE_MS, `${name} in view of all`);
    // The others repeat what they are shown: unless the origin has answered later, that was not told apart.
    if (name === 'provider 4.8') assert.ok(!ended.has(client.document.clientID), 'nobody was told that it had gone');
  });
}
