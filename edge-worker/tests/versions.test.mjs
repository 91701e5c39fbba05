// Stock clients of other versions: `@hocuspocus/provider` 2.15 and 3.4, `y-websocket` 2.1, beside the newest of both.
// None of them throws, all of them end with the same text, and each is told by its own means that a change is logged.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { PATIENCE_MS, converged, othersOf, restText, startBoth, textOf, type } from './clients.mjs';
import { until } from './support.mjs';
import { OPENING } from './versions.mjs';

let both;
before(async () => {
  both = await startBoth({ env: { FLUSH_DELAY_MS: '50', FLUSH_LIMIT: '1000' } });
});
after(() => both?.close());

for (const place of ['edge', 'origin']) {
  describe(`clients of every version at the ${place}`, () => {
    const room = `${place}-versions`;
    const names = Object.keys(OPENING);
    let clients = [];
    before(async () => {
      clients = await Promise.all(names.map((name) => OPENING[name](both[place].url, room)));
    });
    after(() => clients.forEach((client) => client.close()));

    test('converge on one file together', async () => {
      for (let round = 0; round < 5; round++) {
        for (const [at, client] of clients.entries()) {
          type(client, `${names[at]} in round ${round}\n`);
          textOf(client).insert(0, '🦀');
          textOf(client).delete(0, 2);
        }
        await new Promise(setImmediate);
      }
      const text = await converged(clients, (text) => text.split('\n').length === 26);
      for (const name of names) assert.equal(text.split(name).length, 6, name);
      const logged = () => restText(both[place].url, room, 'a.txt').then((logged) => logged === text);
      await until(logged, PATIENCE_MS, 'the text in the log');
    });

    test('see each other come, move and go', async () => {
      for (const [at, client] of clients.entries()) client.awareness.setLocalStateField('user', names[at]);
      const sees = (client, users) =>
        until(() => othersOf(client).join() === users.sort().join(), PATIENCE_MS, `${users.join()} in view`);
      const others = (at, there = clients) => names.filter((_, other) => other !== at && there.includes(clients[other]));
      await Promise.all(clients.map((client, at) => sees(client, others(at))));
      const leaver = 2;
      const staying = clients.filter((_, at) => at !== leaver);
      clients[leaver].close();
      await Promise.all(staying.map((client) => sees(client, others(clients.indexOf(client), staying))));
      clients[leaver] = await OPENING[names[leaver]](both[place].url, room);
      await sees(clients[leaver], others(leaver));
    });

    test('go on after the origin was killed', async () => {
      await both.origin.kill();
      for (const [at, client] of clients.entries()) type(client, `${names[at]} meanwhile\n`);
      await both.revive();
      const text = await converged(clients, (text) => names.every((name) => text.includes(`${name} meanwhile\n`)));
      for (const name of names) assert.equal(text.split(`${name} meanwhile\n`).length, 2, name);
    });
  });
}
