// Two documents with one Yjs client id: a tab that was duplicated with what it had stored, or a laptop that changes its
// network while its old socket is half open. What is shown as saved is saved; whoever has other text is told.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import * as Y from 'yjs';
import { PATIENCE_MS, Page, Single, converged, restText, textOf, type } from './clients.mjs';
import { FILE } from './members.mjs';
import { until } from './support.mjs';
import { REGIONS, startTwoOrigins } from './two_origins.mjs';

let all;
before(async () => (all = await startTwoOrigins()));
after(() => all?.close());

/** A page with the file open in a document that has this client id, and with the room itself. */
async function tab(t, room, client, { region = REGIONS[0], state, at = all.edge.url } = {}) {
  const page = new Page(at, room, { region });
  t.after(() => page.close());
  await page.opensRoom();
  const document = new Y.Doc();
  if (state) Y.applyUpdate(document, state);
  document.clientID = client;
  page.file = await page.opened(FILE, { document });
  page.closes = [];
  page.file.on('close', ({ event }) => page.closes.push(event.reason));
  return page;
}

const stateOf = (page) => Y.encodeStateAsUpdate(page.file.document);

/** Both tabs type before either has heard of the other. One is told; the other's text, and a neighbour's, is the log's. */
async function collide(room, [one, other], neighbour) {
  for (const [page, text] of [[one, 'one '], [other, 'other ']]) {
    page.typed = text;
    textOf(page.file).insert(0, text);
  }
  const told = ({ closes }) => closes.includes('update-reuse');
  await until(() => told(one) || told(other), PATIENCE_MS, 'that one of the two is told');
  const [loser, winner] = told(one) ? [one, other] : [other, one];
  const error = await loser.event('error', ({ code }) => code === 'update-reuse');
  assert.ok(error.reason.length > 0 && error.file);
  assert.ok(loser.file.hasUnsyncedChanges, 'it never showed its text as saved');
  await until(() => !winner.file.hasUnsyncedChanges, PATIENCE_MS, 'what the other one has typed is saved');

  // An application goes on with a new document; the old one would bring the same again.
  loser.file.destroy();
  loser.file = await loser.opened(FILE, { document: new Y.Doc() });
  type(loser.file, 'goes on ');
  const clients = [loser.file, neighbour.file];
  const text = await converged(clients, (text) => text.includes('goes on ') && text.includes(winner.typed));
  assert.ok(!text.includes(loser.typed));
  assert.equal(await restText(all.origins[0].url, room, FILE), text);
}

for (const [where, regions] of [['one region', [REGIONS[0], REGIONS[0]]], ['two regions at two origins', REGIONS]]) {
  test(`a tab that was duplicated with its client id is told, and nothing that is saved is lost: ${where}`, async (t) => {
    const room = `duplicated-${regions.join('-')}`;
    const one = await tab(t, room, 4711, { region: regions[0] });
    const neighbour = await tab(t, room, 99, { region: REGIONS[1] });
    type(one.file, 'before ');
    await converged([one.file, neighbour.file], (text) => text === 'before ');
    const other = await tab(t, room, 4711, { region: regions[1], state: stateOf(one) });
    await collide(room, [one, other], neighbour);
  });
}

test('at the sockets of an origin the second tab is told too', async (t) => {
  const room = 'duplicated-direct';
  const [first, second] = all.origins;
  const one = await tab(t, room, 4711, { at: first.url });
  const neighbour = await tab(t, room, 99, { at: second.url });
  type(one.file, 'before ');
  await converged([one.file, neighbour.file], (text) => text === 'before ');
  const other = await tab(t, room, 4711, { at: second.url, state: stateOf(one) });
  await collide(room, [one, other], neighbour);
});

test('a y-websocket with a client id that is in use is closed for good', async (t) => {
  const room = 'duplicated-single';
  const one = await tab(t, room, 4711);
  const document = new Y.Doc();
  document.clientID = 4711;
  const single = new Single(all.edge.url, room, FILE, { region: REGIONS[1], document });
  t.after(() => single.close());
  const closes = [];
  single.provider.on('connection-close', (event) => event && closes.push(event.code));
  await single.opened();
  // It is away for a moment, and both type.
  single.provider.disconnect();
  textOf(single).insert(0, 'single, and longer ');
  textOf(one.file).insert(0, 'one ');
  await until(() => !one.file.hasUnsyncedChanges, PATIENCE_MS, 'the first one is saved');
  single.provider.connect();
  await until(() => closes.includes(4409), PATIENCE_MS, 'that it is told');
  await new Promise((later) => setTimeout(later, 1_000));
  assert.deepEqual([single.provider.wsconnected, closes.at(-1)], [false, 4409], 'it does not come back with the same document');
  assert.equal(await restText(all.origins[0].url, room, FILE), 'one ');
});

test('a laptop that changes its network types on, while its old socket is half open', async (t) => {
  const room = 'network';
  const laptop = await tab(t, room, 4711);
  const neighbour = await tab(t, room, 99);
  type(laptop.file, 'at home ');
  await converged([laptop.file, neighbour.file], (text) => text === 'at home ');
  // Nothing passes through the old socket any more, and nobody tells the server.
  const [old] = laptop.wire.sockets;
  old._socket.pause();
  old.send = () => {};
  t.after(() => old.terminate());
  const away = new Page(all.edge.url, room, { region: REGIONS[1] });
  t.after(() => away.close());
  away.file = await away.opened(FILE, { document: laptop.file.document });
  textOf(away.file).insert(0, 'on the road ');
  await until(() => !away.file.hasUnsyncedChanges, PATIENCE_MS, 'what is typed is saved');
  await converged([away.file, neighbour.file], (text) => text === 'on the road at home ');
});
