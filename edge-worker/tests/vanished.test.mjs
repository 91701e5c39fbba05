// Members whose network is gone, so that no close frame comes: they go from everybody's screen within a minute, with
// what they looked at, whatever client they use; and nobody who is there is given up. The objects sleep meanwhile.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { createConnection, createServer } from 'node:net';
import * as two from '@hocuspocus/provider-2';
import * as Y from 'yjs';
import { PATIENCE_MS, Page, Single, Socket, othersOf } from './clients.mjs';
import { FILE } from './members.mjs';
import { until } from './support.mjs';
import { startTwoOrigins } from './two_origins.mjs';

let all;
before(async () => {
  all = await startTwoOrigins();
});
after(() => all?.close());

/** A way to the edge on which nothing comes through any more once it is cut; no end is told. */
async function startNetwork(t) {
  const ends = [];
  let isCut = false;
  const { hostname, port } = new URL(all.edge.url);
  const server = createServer((near) => {
    if (isCut) return near.destroy();
    const far = createConnection(Number(port), hostname);
    ends.push(near, far);
    near.pipe(far);
    far.pipe(near);
    for (const end of [near, far]) end.on('error', () => {});
  });
  await new Promise((done) => server.listen(0, '127.0.0.1', done));
  t.after(() => {
    ends.forEach((end) => end.destroy());
    server.close();
  });
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    cut() {
      isCut = true;
      for (const end of ends) {
        end.unpipe();
        end.pause();
      }
    },
  };
}

/** One file by a provider of version 2, which knows no Ping. */
function openOld(t, at, room) {
  const url = `${at.replace(/^http/, 'ws')}/rooms/${room}?region=weur`;
  const websocketProvider = new two.HocuspocusProviderWebsocket({ url, WebSocketPolyfill: Socket });
  const provider = new two.HocuspocusProvider({ websocketProvider, name: FILE, document: new Y.Doc(), token: 'any' });
  t.after(() => {
    provider.destroy();
    websocketProvider.destroy();
  });
  return provider;
}

test('members who vanish are gone in their region and in the other, and so is what they looked at', async (t) => {
  const room = 'vanished';
  const network = await startNetwork(t);
  const page = (at, region) => {
    const opened = new Page(at, room, { region });
    t.after(() => opened.close());
    return opened;
  };
  const single = (at) => {
    const opened = new Single(at, room, FILE, { region: 'weur' });
    t.after(() => opened.close());
    return opened;
  };
  const [near, far] = [page(all.edge.url, 'weur'), page(all.edge.url, 'enam')];
  // The link is asked for under the address by which the edge is reached first: not that of the network to be cut.
  await near.opensRoom();
  const here = {
    near: await near.opened(FILE),
    far: await far.opened(FILE),
    'near-single': single(all.edge.url),
    'near-old': openOld(t, all.edge.url, room),
  };
  const lost = page(network.url, 'weur');
  const gone = {
    lost: await lost.opened(FILE),
    'lost-single': single(network.url),
    'lost-old': openOld(t, network.url, room),
  };
  await Promise.all([lost, near, far].map((one) => one.opensRoom()));
  for (const [name, client] of Object.entries({ ...here, ...gone })) {
    client.awareness.setLocalStateField('user', name);
  }
  const watchers = [here.near, here.far];
  const everybody = Object.keys({ ...here, ...gone });
  const seen = (client) => new Set([...client.awareness.getStates().values()].map(({ user }) => user));
  const isSeen = (names) => watchers.every((client) => names.every((name) => seen(client).has(name)));
  await until(() => isSeen(everybody), PATIENCE_MS, 'everybody at both');
  lost.say({ type: 'visible-files', files: [FILE] });
  lost.say({ type: 'chat', text: 'hello' });
  await Promise.all([near, far].map((one) => one.event('visible-files', ({ files }) => `${files}` === FILE)));
  await Promise.all([near, far].map((one) => one.event('chat', ({ text }) => text === 'hello')));

  // A client drops by itself what was not renewed for 30 s; what the server has said it is told by `removed`.
  network.cut();
  const withdrawn = watchers.map(() => new Set());
  for (const [at, client] of watchers.entries()) {
    const names = new Map([...client.awareness.getStates()].map(([id, { user }]) => [id, user]));
    client.awareness.on('change', ({ removed }) => removed.forEach((id) => withdrawn[at].add(names.get(id))));
  }
  const ended = ({ events }) => events.findLast(({ type }) => type === 'visible-files').files.length === 0;
  const allGone = () => Object.keys(gone).every((name) => watchers.every((client) => !seen(client).has(name)));
  const sessions = async () => (await all.edge.stats(room, 'weur')).hub.sessions;
  // Within a minute, as simulated time shows; here a slow machine may take its time.
  await until(async () => (await sessions()) === 3, PATIENCE_MS, 'the end of three sessions');
  await until(() => allGone() && ended(near) && ended(far), PATIENCE_MS, 'nobody of them in view').catch((error) => {
    const views = watchers.map((client) => [...seen(client)]);
    throw new Error(`${error.message}: ${JSON.stringify({ views, ended: [near, far].map(ended) })}`);
  });
  for (const names of withdrawn) assert.deepEqual([...names].sort(), Object.keys(gone).sort());

  assert.ok(isSeen(Object.keys(here)), 'who is there is still shown');
  for (const one of [near, far]) assert.equal(one.wire.sockets.length, 1, 'and has kept the socket');
  assert.deepEqual(othersOf(here['near-single']), ['far', 'near', 'near-old']);
});
