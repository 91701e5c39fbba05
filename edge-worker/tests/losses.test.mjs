// What may be lost under people who type: the origin is killed, the hub loses its memory, or both. Nobody's socket
// notices, nothing typed is lost or doubled, and every change is acknowledged once it is logged.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { PATIENCE_MS, restText, startBoth } from './clients.mjs';
import { FILE, Members } from './members.mjs';
import { until } from './support.mjs';

let both;

before(async () => {
  both = await startBoth();
});
after(() => both?.close());

test('an origin is killed and comes back while people type through the Worker', async (t) => {
  const members = new Members(t, both, 'restart');
  await members.come('weur', 'weur', 'enam');
  members.typeSome(20);
  await both.origin.kill('SIGKILL');
  members.typeSome(20);
  await members.sees(1, 0);
  assert.ok(members.providers[0].hasUnsyncedChanges, 'which nobody calls saved');
  await members.typeUntil(both.revive());
  members.typeSome(20);
  const text = await members.agree();
  await members.areToldOnce();

  members.leave();
  await both.origin.kill('SIGKILL');
  await both.revive();
  assert.equal(await restText(both.origin.url, members.room, FILE), text);
  assert.equal(await restText(both.edge.url, members.room, FILE), text);
});

test('a hub loses its memory while people type', async (t) => {
  const members = new Members(t, both, 'forgetful');
  await members.come('weur', 'weur', 'enam');
  for (let time = 0; time < 3; time++) {
    await members.typeUntil(members.evict('weur'));
    members.typeSome(5);
  }
  await members.agree();
  await members.areToldOnce();
});

test('a hub loses its memory before its origin has answered', async (t) => {
  const members = new Members(t, both, 'unanswered');
  await members.come('weur', 'weur', 'enam');
  process.kill(both.origin.pid, 'SIGSTOP');
  try {
    const hub = async () => (await both.edge.stats(members.room, 'weur')).hub;
    members.typeSome(10);
    await until(async () => (await hub()).unacknowledged === 20, PATIENCE_MS, 'changes on their way');
    await members.evict('weur');
    members.typeSome(10);
    await until(async () => (await hub()).outbox_rows > 0, PATIENCE_MS, 'changes that are late');
    await members.evict('weur');
    members.typeSome(10);
  } finally {
    process.kill(both.origin.pid, 'SIGCONT');
  }
  await members.agree();
  await members.areToldOnce();
});

test('a hub loses its memory while its origin is away', async (t) => {
  const members = new Members(t, both, 'alone');
  await members.come('weur', 'weur', 'enam');
  members.typeSome(5);
  await both.origin.kill('SIGKILL');
  members.typeSome(5);
  await members.evict('weur');
  members.typeSome(5);
  await members.evict('enam');
  members.typeSome(5);
  await both.revive();
  await members.agree();
  await members.areToldOnce();
});
