// Stock clients of other versions: `@hocuspocus/provider` 2.15 and 3.4, `y-websocket` 2.1, beside the newest of both.

import assert from 'node:assert/strict';
import * as two from '@hocuspocus/provider-2';
import * as three from '@hocuspocus/provider-3';
import { WebsocketProvider } from 'y-websocket-2';
import * as Y from 'yjs';
import { PATIENCE_MS, Page, Single, Socket } from './clients.mjs';
import { until } from './support.mjs';

/** One file by a provider of version 2 or 3. The one of version 2 attaches itself. */
class Old {
  constructor(at, room, name, region, { HocuspocusProvider, HocuspocusProviderWebsocket }) {
    this.socket = new HocuspocusProviderWebsocket({
      url: `${at.replace(/^http/, 'ws')}/rooms/${room}${region ? `?region=${region}` : ''}`,
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

/** How each of them opens the file `a.txt` of a room, at an edge, perhaps in a region that is given, or at an origin. */
export const OPENING = {
  'provider 4.8': async (at, room, region) => {
    const page = new Page(at, room, { region });
    const provider = await page.opened('a.txt');
    return new Newest(page, provider);
  },
  'provider 3.4': (at, room, region) => new Old(at, room, 'a.txt', region, three).opened(),
  'provider 2.15': (at, room, region) => new Old(at, room, 'a.txt', region, two).opened(),
  'y-websocket 3.1': (at, room, region) => new Single(at, room, 'a.txt', { region }).opened(),
  'y-websocket 2.1': (at, room, region) =>
    new Single(at, room, 'a.txt', { region, Provider: WebsocketProvider }).opened(),
};
