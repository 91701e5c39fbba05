// The orders of events between a hub and stock clients that lose text if taken naively, with the built Worker: the
// objects forget everything in the worst moments. Simulated time has them more exactly; this is the real platform.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, afterEach, before, test } from 'node:test';
import { PATIENCE_MS, Page, converged, restText, textOf, type } from './clients.mjs';
import { FILE, Members } from './members.mjs';
import { startStraightEdge } from './straight_edge.mjs';
import { until } from './support.mjs';
import { startTwoOrigins } from './two_origins.mjs';

let all;
before(async () => {
  // What is dirty is flushed when the last member leaves, and not even then while the lease of a killed origin
  // lasts: until then the log is whole. The lease is longer than Redis ever stands still. No sweep comes either: one
  // that is there before the queue is flushes without it.
  const env = { FLUSH_DELAY_MS: '600000', LEASE_MS: '60000', SWEEP_MS: '3600000', REDIS_DEADLINE_MS: '500' };
  all = await startTwoOrigins({ env });
});
after(() => all?.close());
afterEach(() => all.redis.thaw());

async function members(t, room, ...regions) {
  const here = new Members(t, all, room);
  await here.come(...regions);
  return here;
}

const logLength = async (room) => (await all.redis.log(room, FILE)).length;

test('schedule 1: a change that its hub forgot and its origin never read is asked for and acknowledged', async (t) => {
  t.after(() => all.asAtFirst());
  const here = await members(t, 'schedule-1', 'weur', 'weur');
  process.kill(all.origins[0].pid, 'SIGSTOP');
  here.typeOne();
  await here.sees(1, 0);
  await here.evict('weur');
  await all.origins[0].kill('SIGKILL');
  await all.revive(0);
  const text = await here.agree();
  await here.areToldOnce();
  await here.areLogged(text);
});

test('schedule 2: who opens a file gets what its hub’s members have in flight, also after the hub forgot it', async (t) => {
  const here = await members(t, 'schedule-2', 'weur');
  all.redis.freeze();
  here.typeSome(3);
  const kept = async () => (await all.edge.stats(here.room, 'weur')).rows.outbox > 0;
  await until(kept, PATIENCE_MS, 'a row of what is late');
  await here.evict('weur');
  const late = new Page(all.edge.url, here.room, { region: 'weur' });
  t.after(() => late.close());
  const copy = late.open(FILE);
  const [ann] = here.providers;
  await until(() => textOf(copy).toString() === textOf(ann).toString(), PATIENCE_MS, 'what is in flight');
  assert.ok(ann.hasUnsyncedChanges, 'though nothing of it is logged');
  all.redis.thaw();
  await here.agree();
});

test('schedule 3: a synchronisation that a client forces begins its count again, also after the hub forgot it', async (t) => {
  const here = await members(t, 'schedule-3', 'weur', 'weur');
  const [page] = here.pages;
  const [ann] = here.providers;
  all.redis.freeze();
  here.typeSome(3);
  ann.forceSync();
  await here.evict('weur');
  here.typeSome(2);
  for (const provider of here.providers) assert.ok(provider.hasUnsyncedChanges, 'nothing of it is logged');
  all.redis.thaw();
  const text = await here.agree();
  await page.settled();
  assert.deepEqual(page.statusesOf(ann), [1, 1, 1, 1], 'the opening, the forced synchronisation, and two changes');
  await here.areLoggedAndStored(text);
});

test('schedule 4: who comes back with nothing new makes no entry, and who comes back with offline work one', async (t) => {
  const here = await members(t, 'schedule-4', 'weur', 'weur');
  here.typeSome(5);
  const [ann, ben] = here.providers;
  await here.agree();
  const logged = await logLength(here.room);
  const heard = () => here.pages[1].wire.got.filter(({ type, first }) => type === 0 && first === 2).length;
  const before = heard();
  const comeBack = async (meanwhile = () => {}) => {
    here.pages[0].socket.disconnect();
    await until(() => !ann.synced, PATIENCE_MS, 'the end of a socket');
    meanwhile();
    await here.evict('weur');
    here.pages[0].socket.connect();
    await until(() => ann.synced && !ann.hasUnsyncedChanges, PATIENCE_MS, 'a member who is back');
  };
  for (let time = 0; time < 3; time++) await comeBack();
  assert.deepEqual([await logLength(here.room), heard()], [logged, before], 'nothing logged, nothing sent');
  await comeBack(() => type(ann, 'offline'));
  await converged([ann, ben], (text) => text.endsWith('offline'));
  assert.equal(await logLength(here.room), logged + 1);
});

test('schedule 5: what an origin would refuse is shown to nobody, also by a hub that has just woken', async (t) => {
  const here = await members(t, 'schedule-5', 'weur', 'weur', 'enam');
  here.typeSome(2);
  await here.agree();
  const logged = await logLength(here.room);
  await here.evict('weur');
  const [ann, ben, cay] = here.providers;
  let closed;
  ann.on('close', ({ event }) => (closed = event.reason));
  ann.document.getMap('another root').set('key', 'value');
  await until(() => closed, PATIENCE_MS, 'a refusal');
  assert.equal(closed, 'update-root');
  assert.ok(ann.hasUnsyncedChanges, 'it does not look saved');
  type(ben, 'goes on');
  await converged([ben, cay], (text) => text.endsWith('goes on'));
  for (const { document } of [ben, cay]) assert.ok(!document.share.has('another root'));
  assert.equal(await logLength(here.room), logged + 1);
});

test('schedule 7: a session with more documents than an attachment holds loses nothing with its hub', async (t) => {
  const page = new Page(all.edge.url, 'schedule-7', { region: 'weur' });
  t.after(() => page.close());
  const names = Array.from({ length: 300 }, (_, number) => `src/a-rather-long-folder-name/file-${number}.js`);
  const files = await Promise.all(names.map((name) => page.opened(name)));
  all.redis.freeze();
  files.forEach((file, number) => type(file, `${number}`));
  const asleep = () => all.edge.evict('schedule-7~weur').then(() => true, () => false);
  await until(asleep, PATIENCE_MS, 'the sleep of the hub');
  files.forEach((file, number) => type(file, `-${number}`));
  all.redis.thaw();
  const settled = () => files.every((file) => file.synced && !file.hasUnsyncedChanges);
  await until(settled, PATIENCE_MS, 'every change acknowledged');
  for (const number of [0, 150, 299]) {
    assert.equal(await restText(all.origin.url, page.room, names[number]), `${number}-${number}`);
  }
});

test('schedule 8: a reader that stops is shut out with 4508, holds nobody up, and comes back to the whole text', async (t) => {
  const room = 'schedule-8';
  const edge = await startStraightEdge({ ORIGIN_URLS: all.origin.url });
  t.after(() => edge.close());
  const names = ['a.txt', 'b.txt', 'c.txt', 'd.txt', 'e.txt', 'f.txt'];
  const pages = Array.from({ length: 3 }, () => new Page(edge.url, room, { region: 'weur' }));
  t.after(() => pages.forEach((page) => page.close()));
  const opened = (page) => Promise.all(names.map((name) => page.opened(name)));
  const [anns, bens, slow] = await Promise.all(pages.map(opened));
  const [socket] = pages[2].wire.sockets;
  const ends = [];
  socket.on('close', (code) => ends.push(code));
  const hub = async () => (await edge.stats(room, 'weur')).hub;
  socket.pause();
  // Random, since what goes over the wire may be compressed.
  const paste = randomBytes(192 << 10).toString('base64');
  let pastes = 0;
  for (; (await hub()).sessions === 3; pastes++) {
    const file = pastes % names.length;
    assert.ok(pastes < 180, 'the reader is still there');
    type(anns[file], paste);
    await converged([anns[file], bens[file]]);
  }
  anns.forEach((file) => type(file, '!'));
  socket.resume();
  for (const [file, name] of names.entries()) {
    const length = paste.length * Math.ceil((pastes - file) / names.length) + 1;
    const text = await converged([anns[file], bens[file], slow[file]], (text) => text.length === length);
    assert.ok((await restText(all.origin.url, room, name)) === text, `${name} is logged`);
  }
  assert.deepEqual(ends, [4508]);
  const sockets = pages.map(({ wire }) => wire.sockets.length);
  assert.deepEqual(sockets, [1, 1, 2], 'it came back, and nobody else had to');
});
