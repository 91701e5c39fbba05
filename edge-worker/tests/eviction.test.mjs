// The objects of both regions lose their memory, their sockets, or their whole process while people type: nothing is
// lost, nothing doubled, and nobody waits indefinitely to be told "saved".

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PATIENCE_MS, Single, converged, restText, textOf, type } from './clients.mjs';
import { startKillableEdge } from './killable_edge.mjs';
import { FILE, Members } from './members.mjs';
import { startOrigin, until } from './support.mjs';
import { REGIONS, startTwoOrigins } from './two_origins.mjs';

describe('objects that are evicted', () => {
  let all;
  before(async () => {
    // What is dirty is flushed when the last member leaves, not before: until then the log is whole.
    all = await startTwoOrigins({ env: { FLUSH_DELAY_MS: '600000', LEASE_MS: '10000', SWEEP_MS: '1000' } });
  });
  after(() => all?.close());

  test('a hub that forgets everything again and again in the middle of typing keeps its sockets', async (t) => {
    const members = new Members(t, all, 'forgets');
    await members.come('weur', 'weur', 'enam', 'enam');
    const single = await new Single(all.edge.url, members.room, FILE, { region: 'weur' }).opened();
    t.after(() => single.close());
    for (let time = 0; time < 5; time++) {
      for (const region of REGIONS) await members.typeUntil(members.evict(region));
      await members.typeUntil(Promise.all(REGIONS.map((region) => members.evict(region))));
    }
    const text = await members.agree();
    await members.areToldOnce();
    await converged([single, ...members.providers]);
    single.close();
    await members.areLoggedAndStored(text);
  });

  test('a hub whose sockets go too, as with a deploy, gets its members back', async (t) => {
    const members = new Members(t, all, 'redeployed');
    await members.come('weur', 'weur', 'enam');
    for (let time = 0; time < 3; time++) {
      await members.typeUntil(members.evict('weur', 'close'));
      members.typeSome(5);
    }
    const text = await members.agreeAgain();
    assert.ok(members.pages[0].wire.sockets.length > 1, 'they came back');
    assert.equal(members.pages[2].wire.sockets.length, 1, 'and nobody else had to');
    await members.areLoggedAndStored(text);
  });

  test('hubs that forget while both origins are away and after they are back lose and double nothing', async (t) => {
    t.after(() => all.asAtFirst());
    const members = new Members(t, all, 'forgets-alone');
    await members.come('weur', 'weur', 'enam');
    members.typeSome(5);
    await Promise.all(all.origins.map((origin) => origin.kill('SIGKILL')));
    for (const region of REGIONS) {
      members.typeSome(10);
      await members.evict(region);
    }
    members.typeSome(10);
    all.homes = { weur: [0, 1], enam: [0, 1] };
    await members.typeUntil(Promise.all([all.revive(0), all.revive(1)]));
    for (const region of REGIONS) await members.typeUntil(members.evict(region));
    const text = await members.agree();
    await members.areToldOnce();
    await members.areLoggedAndStored(text);
  });
});

describe('workerd that is killed', () => {
  let origin, edge;
  before(async () => {
    origin = await startOrigin({ env: { FLUSH_DELAY_MS: '200', FLUSH_LIMIT: '1000' } });
    edge = await startKillableEdge({ vars: { ORIGIN_URLS: origin.url } });
  });
  after(async () => {
    await edge?.close();
    await origin?.close();
  });

  test('gives what it had stored to the origin when it is started again, with nobody there', async (t) => {
    const place = { edge, origin };
    const members = new Members(t, place, 'stored');
    await members.come('weur', 'weur');
    members.typeSome(10);
    await members.agree();
    process.kill(origin.pid, 'SIGSTOP');
    try {
      members.typeSome(50);
      const stored = async () => {
        const { hub, rows } = await edge.stats('stored', 'weur');
        return hub.unacknowledged === 100 && rows.outbox > 0 && hub.outbox_bytes > 0;
      };
      await until(stored, PATIENCE_MS, 'all of it in rows');
      // What is late is stored after 250 ms; what came last is there when its members are gone.
      members.leave();
      await until(async () => (await edge.stats('stored', 'weur')).hub.sessions === 0, PATIENCE_MS, 'nobody');
      await edge.kill();
    } finally {
      process.kill(origin.pid, 'SIGCONT');
    }
    await edge.revive();
    const logged = async () => (await restText(origin.url, 'stored', FILE)).length === members.words.join('').length;
    await until(logged, PATIENCE_MS, 'what was in rows');
    members.hasEveryWordOnce(await restText(origin.url, 'stored', FILE));
    const archived = async () => (await restText(origin.url, 'stored', FILE, '?from=archive')).length;
    const all = members.words.join('').length;
    await until(async () => (await archived()) === all, PATIENCE_MS, 'all of it in the archive');
  });

  test('and its members come back, synchronise, and wait for nothing', async (t) => {
    const place = { edge, origin };
    const members = new Members(t, place, 'killed');
    await members.come('weur', 'weur', 'enam');
    for (let time = 0; time < 2; time++) {
      members.typeSome(10);
      await edge.kill();
      await members.typeUntil(edge.revive());
      members.typeSome(10);
      members.hasEveryWordOnce(await members.agreeAgain());
    }
    const [ann, ben] = members.providers;
    type(ann, '!');
    await converged([ann, ben]);
    assert.ok(textOf(ben).toString().endsWith('!'));
    const text = textOf(ann).toString();
    members.leave();
    const archived = () => restText(origin.url, 'killed', FILE, '?from=archive');
    await until(async () => (await archived()) === text, PATIENCE_MS, 'the text in the archive');
  });
});
