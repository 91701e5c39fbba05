// Stock clients of other versions: `@hocuspocus/provider` 2.15 and 3.4, `y-websocket` 2.1, beside the newest of both.
// None of them throws, all of them end with the same text, and each is told by its own means that a change is logged.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import * as two from '@hocuspocus/provider-2';
import * as three from '@hocuspocus/provider-3';
import { WebsocketProvider } from 'y-websocket-2';
import * as Y from 'yjs';
import { PATIENCE_MS, Page, Single, Socket, converged, othersOf, restText, startBoth, textOf, type } from './clients.mjs';
import { until } from './support.mjs';

let both;
before(async () => {
  both = await startBoth({ env: { FLUSH_DELAY_MS: '50', FLUSH_LIMIT: '1000' } });
});
after(() => both?.close());

/** One file by a provider of version 2 or 3. The one of version 2 attaches itself. */
class Old {
  constructor(at, room, name, { HocuspocusProvider, HocuspocusProviderWebsocket }) {
    this.socket = new HocuspocusProviderWebsocket({
      url: `${at.replace(/^http/, 'ws')}/rooms/${room}`,
      WebSocketPolyfill: Socket,
    });
    this.provider = new HocuspocusProvider({
      websocketProvider: this.socket,
      name,
      document: new Y.Doc(),
      token: 'any',
      onAuthenticationFailed: ({ reason }) => (this.failure = reason),
    });
    this.provider.attach?.();
    this.document = this.provider.document;
    this.awareness = this.provider.awareness;
  }

  get unsyncedChanges() {
    return this.provider.unsyncedChanges;
  }

  async opened() {
    await until(() => this.provider.synced && !this.provider.hasUnsyncedChanges, PATIENCE_MS, 'a file');
    assert.equal(this.failure, undefined);
    return this;
  }

  close() {
    this.provider.destroy();
    this.socket.destroy();
  }
}

/** One file by the newest provider. */
class Newest {
  constructor(page, provider) {
    Object.assign(this, { page, provider, document: provider.document, awareness: provider.awareness });
  }

  get unsyncedChanges() {
    return this.provider.unsyncedChanges;
  }

  close() {
    this.page.close();
  }
}

const OPENING = {
  'provider 4.8': async (at, room) => {
    const page = new Page(at, room);
    const provider = await page.opened('a.txt');
    return new Newest(page, provider);
  },
  'provider 3.4': (at, room) => new Old(at, room, 'a.txt', three).opened(),
  'provider 2.15': (at, room) => new Old(at, room, 'a.txt', two).opened(),
  'y-websocket 3.1': (at, room) => new Single(at, room, 'a.txt').opened(),
  'y-websocket 2.1': (at, room) => new Single(at, room, 'a.txt', { Provider: WebsocketProvider }).opened(),
};

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
