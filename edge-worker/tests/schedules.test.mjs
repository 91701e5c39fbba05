// The orders of events that lose text in a straightforward server, in the object and with stock clients: what a hub owes
// its members when it has lost its memory. Each is named after what it guards, and evicts in the middle.
//
// | schedule | where else it is shown under workerd |
// | --- | --- |
// | 6, owners of awareness after a wake | `presence.test.mjs` |
// | 9 to 14 | `schedules_link.test.mjs` |
// | 19, a whole text keeps what others have typed | `text.test.mjs` |

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PATIENCE_MS, Page, converged, othersOf, restText, textOf, type } from './clients.mjs';
import { FILE, Members } from './members.mjs';
import { number } from './mirror.mjs';
import { DOWN, UP, startStrait } from './strait.mjs';
import { until } from './support.mjs';

let strait;
before(async () => {
  // Nothing is flushed: what is there, is in the log.
  strait = await startStrait({ env: { FLUSH_DELAY_MS: '600000' } });
});
after(() => strait?.close());

const hub = async (room, region = 'weur') => (await strait.edge.stats(room, region)).hub;
const logged = (room, file = FILE) => restText(strait.origin.url, room, file);
const has = (provider, text) =>
  until(() => textOf(provider).toString() === text, PATIENCE_MS, `${text}, not ${textOf(provider)}`);

async function come(t, room, ...regions) {
  const members = new Members(t, strait, room);
  await members.come(...regions);
  return members;
}

async function comes(t, room, { file = FILE, region = 'weur' } = {}) {
  const page = new Page(strait.edge.url, room, { region });
  t.after(() => page.close());
  return { page, provider: await page.opened(file) };
}

test('schedule 1: what never left a hub that lost its memory is acknowledged after the wake, once', async (t) => {
  const room = 'one';
  const members = await come(t, room, 'weur', 'weur');
  const passage = strait.passage(room, 'weur');
  for (let round = 1; round <= 2; round++) {
    passage.holds('up', UP.update);
    members.typeOne();
    await members.sees(1, 0);
    await members.evict('weur');
    assert.ok(members.providers[0].hasUnsyncedChanges, 'nobody has logged it');
    // The first of it is lost for good: the link that had it ends.
    passage.cut();
    await members.agree();
    assert.equal(passage.links, 1 + round);
  }
  await members.areToldOnce();
});

test('schedule 2: who opens a file gets what neighbours have in flight, also from a hub that has forgotten', async (t) => {
  const room = 'two';
  const { provider: ann } = await comes(t, room);
  const passage = strait.passage(room, 'weur');
  passage.holds('up', UP.update);
  type(ann, 'in flight');
  await until(() => passage.held.length, PATIENCE_MS, 'it is on its way');
  const late = async () => {
    const page = new Page(strait.edge.url, room, { region: 'weur' });
    t.after(() => page.close());
    const provider = page.open(FILE);
    await has(provider, 'in flight');
    return provider;
  };
  await late();
  await until(async () => (await hub(room)).outbox_bytes > 0, PATIENCE_MS, 'it is late');
  await new Members(t, strait, room).evict('weur');
  const last = await late();
  assert.equal(await logged(room), '', 'nothing is logged yet');
  passage.open();
  await until(() => !ann.hasUnsyncedChanges, PATIENCE_MS, 'its acknowledgement');
  await converged([ann, last]);
  assert.equal(await logged(room), 'in flight');
});

test('schedule 3: nothing is called saved before the Step2 of an opening is logged, with all before it', async (t) => {
  const room = 'three-opening';
  const { page, provider: ann } = await comes(t, room);
  const passage = strait.passage(room, 'weur');
  page.socket.disconnect();
  await until(() => page.socket.status === 'disconnected', PATIENCE_MS, 'the end of the socket');
  type(ann, 'offline 1, ');
  type(ann, 'offline 2');
  const before = page.statusesOf(ann).length;
  passage.holds('down', DOWN.ack);
  await page.socket.connect();
  await until(async () => (await logged(room)).length === 20, PATIENCE_MS, 'it is logged');
  assert.ok(ann.hasUnsyncedChanges, 'and the hub does not know');
  assert.equal(page.statusesOf(ann).length, before);
  passage.open();
  await until(() => !ann.hasUnsyncedChanges, PATIENCE_MS, 'the acknowledgement');
  assert.deepEqual([...new Set(page.statusesOf(ann))], [1]);
});

test('schedule 3: a Step2 that the server has asked for cancels no edit in flight', async (t) => {
  const room = 'three-asked';
  const { page, provider: ann } = await comes(t, room);
  const passage = strait.passage(room, 'weur');
  passage.holds('up', UP.update);
  type(ann, 'a');
  await until(() => passage.held.length, PATIENCE_MS, 'a change on its way');
  const { body } = passage.held[0];
  // The origin asks all who write (as after a `missing`), of a change that nobody has made; then the client types.
  const [channel, at] = number(body, 0);
  const file = body.subarray(0, at + 1 + body[at]);
  const asked = () => page.wire.sent.filter(({ key, type, first }) => key === FILE && type === 0 && first === 1).length;
  const before = asked();
  passage.send('down', DOWN.missing, Buffer.from([...file, 99, 1, 0]));
  await until(() => asked() > before, PATIENCE_MS, `the answer of channel ${channel}`);
  passage.passes = (way, tag) => way !== 'down' || tag !== DOWN.ack;
  type(ann, 'b');
  await until(() => passage.held.some(({ direction }) => direction === 'down') || page.updatesOf(ann) === 2, PATIENCE_MS, 'b');
  passage.open();
  await until(() => !ann.hasUnsyncedChanges, PATIENCE_MS, 'its acknowledgement');
  assert.equal(await logged(room), 'ab');
  await page.settled();
  assert.deepEqual(page.statusesOf(ann), [1, 1, 1], 'one for the opening, one for each edit');
});

test('schedule 3: a forced synchronisation begins the count anew', async (t) => {
  const room = 'three-forced';
  const members = await come(t, room, 'weur', 'weur');
  const [ann] = members.providers;
  for (let round = 0; round < 5; round++) {
    members.typeSome(2);
    ann.forceSync();
    members.typeOne();
    if (round % 2) await members.evict('weur');
    await members.agree();
  }
  assert.deepEqual([...new Set(members.pages[0].statusesOf(ann))], [1]);
});

test('schedule 4: joiners who bring nothing new are acknowledged, and log and send nothing', async (t) => {
  const room = 'four';
  const { page, provider: ann } = await comes(t, room);
  await page.opensRoom();
  const seq = async (text) => {
    const known = page.events.length;
    type(ann, text);
    const said = () => page.events.slice(known).find(({ type }) => type === 'logged');
    return (await until(said, PATIENCE_MS, `${text} in the log`)).seq;
  };
  await seq('some text');
  textOf(ann).delete(0, 5);
  await until(() => !ann.hasUnsyncedChanges, PATIENCE_MS, 'a deletion in the log');
  const before = await seq('!');
  const heard = () => page.wire.got.filter(({ key, type, first }) => key === FILE && type === 0 && first === 2).length;
  const quiet = heard();
  for (let joiner = 0; joiner < 20; joiner++) {
    const { provider } = await comes(t, room, { region: joiner % 2 ? 'enam' : 'weur' });
    assert.equal(textOf(provider).toString(), 'text!');
    if (joiner % 8 === 5) await new Members(t, strait, room).evict('weur');
  }
  assert.equal(heard(), quiet, 'nothing has come of them');
  assert.equal(await seq('?'), before + 1, 'nor is anything in the log');
});

test('schedule 5: a refusal after the fan-out resets the file for all who have seen it', async (t) => {
  const room = 'five';
  const { provider: ann } = await comes(t, room);
  const { provider: ben } = await comes(t, room);
  const { provider: far } = await comes(t, room, { region: 'enam' });
  type(ann, 'good');
  await converged([ann, ben, far], (text) => text === 'good');
  const passage = strait.passage(room, 'weur');
  const closed = [ann, ben].map((provider) => new Promise((done) => provider.on('close', ({ event }) => done(event.reason))));
  passage.holds('up', UP.update);
  type(ann, ', refused');
  await has(ben, 'good, refused');
  await until(async () => (await hub(room)).outbox_bytes > 0, PATIENCE_MS, 'it is late');
  await new Members(t, strait, room).evict('weur');
  const { body } = passage.held.find(({ tag }) => tag === UP.update);
  const [, at] = number(body, 0);
  const [, end] = number(body, at + 1 + body[at]);
  passage.open({ lost: true });
  passage.send('down', DOWN.refuse, Buffer.from([...body.subarray(0, end), 3, ...Buffer.from('why')]));
  assert.deepEqual(await Promise.all(closed), ['reset', 'reset']);
  const { provider: again } = await comes(t, room);
  type(again, '!');
  await converged([again, far], (text) => text === 'good!');
  assert.equal(await logged(room), 'good!');
});

test('schedule 6: who comes after the wake is shown who is there, and not who left meanwhile', async (t) => {
  const room = 'six';
  const all = [await comes(t, room), await comes(t, room), await comes(t, room, { region: 'enam' })];
  for (const [at, name] of ['ann', 'ben', 'far'].entries()) all[at].provider.awareness.setLocalStateField('user', name);
  await until(() => `${othersOf(all[2].provider)}` === 'ann,ben', PATIENCE_MS, 'both');
  await new Members(t, strait, room).evict('weur');
  all[0].page.wire.sockets[0].terminate();
  all[0].page.close();
  for (const [at, others] of [[1, 'far'], [2, 'ben']]) {
    await until(() => `${othersOf(all[at].provider)}` === others, PATIENCE_MS, `the end of ann for ${at}`);
  }
  await new Members(t, strait, room).evict('weur');
  const late = await comes(t, room);
  await until(() => `${othersOf(late.provider)}` === 'ben,far', PATIENCE_MS, 'who is there');
});

test('schedule 7: 300 files that are open on one socket outlive the memory of the hub', async (t) => {
  const room = 'seven';
  const page = new Page(strait.edge.url, room, { region: 'weur' });
  t.after(() => page.close());
  const path = (file) => `src/a-folder-with-a-name/that-is-long/file-number-${file}.js`;
  const files = Array.from({ length: 300 }, (_, file) => page.open(path(file)));
  const open = () => files.filter((file) => file.synced && !file.hasUnsyncedChanges).length;
  await until(() => open() === 300, PATIENCE_MS * 3, '300 open files');
  for (const [number, file] of files.entries()) type(file, `${number}`);
  await new Members(t, strait, room).evict('weur');
  for (const file of files) type(file, ' and more');
  await until(() => open() === 300, PATIENCE_MS * 3, 'all is saved');
  for (const file of [0, 1, 150, 299]) assert.equal(await logged(room, path(file)), `${file} and more`);
  const { page: other } = await comes(t, room);
  for (const file of [7, 298]) {
    const provider = await other.opened(path(file));
    type(files[file], '!');
    await has(provider, `${file} and more!`);
  }
});

test('schedule 8: a client that stops reading is closed with 4508 and comes back by its state vector', async (t) => {
  const room = 'eight';
  const { page, provider: slow } = await comes(t, room);
  const { provider: ben } = await comes(t, room);
  const { provider: ann } = await comes(t, room);
  const [socket] = page.wire.sockets;
  const closed = new Promise((done) => socket.on('close', done));
  socket._socket.pause();
  const chunk = 'x'.repeat(900_000);
  let rounds = 0;
  for (; (await hub(room)).counters.slow_consumers === 0; rounds++) {
    assert.ok(rounds < 60, 'more than a socket may hold was sent');
    if (rounds === 2) await new Members(t, strait, room).evict('weur');
    textOf(ann).insert(0, chunk);
    textOf(ann).delete(0, chunk.length);
    await until(() => !ann.hasUnsyncedChanges, PATIENCE_MS, 'nobody is held up');
  }
  type(ann, 'done');
  await has(ben, 'done');
  socket._socket.resume();
  assert.equal(await closed, 4508);
  await converged([slow, ben, ann], (text) => text === 'done');
  assert.equal(page.wire.sockets.length, 2);
});
