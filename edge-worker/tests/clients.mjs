// Stock clients as an application uses them: pages with many files on one socket by `@hocuspocus/provider`, single
// files by `y-websocket`, and what goes over their wires.

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider';
import * as decoding from 'lib0/decoding';
import WebSocket from 'ws';
import { WebsocketProvider } from 'y-websocket';
import * as Y from 'yjs';
import { PATIENCE_MS, freePort, startEdge, startOrigin, until } from './support.mjs';

export { PATIENCE_MS };

const SYNC = 0;
const SYNC_UPDATE = 2;
const SYNC_STATUS = 8;

/** An edge in front of an origin. The origin can be killed and revived; `close()` ends both, with what is stored. */
export async function startBoth({ env = {}, vars = {}, rates } = {}) {
  const dataDir = mkdtempSync(join(tmpdir(), 'edgeroom-clients-'));
  const both = {
    dataDir,
    /** Starts the killed origin again, at the same address and with the same data. */
    async revive() {
      both.origin = await startOrigin({ env, dataDir, edge: both.edge.url, port: new URL(both.origin.url).port });
    },
    async close() {
      await Promise.allSettled([both.edge?.close(), both.origin?.close()]);
      rmSync(dataDir, { recursive: true, force: true });
    },
  };
  try {
    // The edge first: an origin that asks for tokens only dials edges that it is told of.
    const port = await freePort();
    both.edge = await startEdge({ vars: { ORIGIN_URLS: `http://127.0.0.1:${port}`, ...vars }, rates });
    both.origin = await startOrigin({ env, dataDir, edge: both.edge.url, port });
    return both;
  } catch (error) {
    await both.close();
    throw error;
  }
}

/** The WebSocket class of a client. */
export class Socket extends WebSocket {
  constructor(url, protocols) {
    // workerd may keep the connection after a close, see closes.test.mjs.
    super(url, protocols, { closeTimeout: 200 });
    // A client that closes while it connects has no listener left for the error of that.
    this.on('error', () => {});
    this.on('upgrade', (answer) => (this.region = answer.headers['x-edgeroom-region']));
  }
}

/** Everything that a page has opened, sent and got. */
class Wire {
  sockets = [];
  sent = [];
  got = [];

  /** The WebSocket class that a client is to use. */
  get polyfill() {
    const wire = this;
    return class extends Socket {
      constructor(url, protocols) {
        super(url, protocols);
        wire.sockets.push(this);
        this.on('message', (data) => wire.got.push(read(new Uint8Array(data))));
      }

      send(data) {
        wire.sent.push(read(new Uint8Array(data)));
        super.send(data);
      }
    };
  }
}

/** Key, type and first byte of a Hocuspocus frame. */
function read(frame) {
  if (frame.length === 1) return { type: frame[0] };
  const decoder = decoding.createDecoder(frame);
  const key = decoding.readVarString(decoder);
  const type = decoding.readVarUint(decoder);
  return { key, type, first: decoder.pos < frame.length ? frame[decoder.pos] : undefined };
}

/** A browser's page: one socket, many files. */
export class Page {
  wire = new Wire();
  events = [];
  providers = [];

  /** `at` is the address of an edge or an origin. */
  constructor(at, room, { region } = {}) {
    this.room = room;
    this.socket = new HocuspocusProviderWebsocket({
      url: `${at.replace(/^http/, 'ws')}/rooms/${room}${region ? `?region=${region}` : ''}`,
      WebSocketPolyfill: this.wire.polyfill,
    });
  }

  /** Opens a file, or the room itself as `.room`; `options` are the provider's own. */
  open(name, options = {}) {
    const provider = new HocuspocusProvider({ websocketProvider: this.socket, name, token: 'any', ...options });
    provider.on('authenticationFailed', ({ reason }) => (provider.failure = reason));
    if (name === '.room') provider.on('stateless', ({ payload }) => this.events.push(JSON.parse(payload)));
    this.providers.push(provider);
    provider.attach();
    return provider;
  }

  /** Opens a file and waits until it has come and nothing is owed. */
  async opened(name, options) {
    const provider = this.open(name, options);
    await until(() => provider.synced && !provider.hasUnsyncedChanges, PATIENCE_MS, `${name} in ${this.room}`);
    assert.equal(provider.failure, undefined);
    return provider;
  }

  /** Opens the room's own document, if that has not been done. */
  async opensRoom() {
    this.own ??= await this.opened('.room');
    return this.own;
  }

  say(event) {
    this.own.sendStateless(JSON.stringify(event));
  }

  /** Waits for a room event with this type for which `condition` holds. */
  event(type, condition = () => true) {
    const found = () => this.events.find((event) => event.type === type && condition(event));
    return until(found, PATIENCE_MS, `an event ${type} in ${this.room}`);
  }

  /** Waits until whatever this page has caused is answered: a chat message comes back through the log. */
  async settled() {
    await this.opensRoom();
    const text = `settled ${Math.random()}`;
    this.say({ type: 'chat', text });
    await this.event('chat', (event) => event.text === text);
  }

  /** The Update frames that a provider has sent. */
  updatesOf(provider) {
    const { sent } = this.wire;
    const theirs = ({ key, type, first }) => key === provider.effectiveName && type === SYNC && first === SYNC_UPDATE;
    return sent.filter(theirs).length;
  }

  /** The answers to a provider's changes, in order: 1 for logged, 0 for refused. */
  statusesOf(provider) {
    const { got } = this.wire;
    const theirs = ({ key, type }) => key === provider.effectiveName && type === SYNC_STATUS;
    return got.filter(theirs).map(({ first }) => first);
  }

  close() {
    this.socket.destroy();
    for (const provider of this.providers) provider.destroy();
  }
}

/** A stock y-websocket client of one file. */
export class Single {
  /** `Provider` is the class of another version. */
  constructor(at, room, path, { region, token, protocols, document = new Y.Doc(), Provider = WebsocketProvider } = {}) {
    this.provider = new Provider(`${at.replace(/^http/, 'ws')}/yjs/${room}`, path, document, {
      WebSocketPolyfill: Socket,
      params: { ...(region && { region }), ...(token && { token }) },
      protocols,
      disableBc: true,
    });
    this.document = this.provider.doc;
    this.awareness = this.provider.awareness;
  }

  /** Waits until the file has come. */
  async opened() {
    await until(() => this.provider.synced, PATIENCE_MS, `${this.provider.roomname} by y-websocket`);
    return this;
  }

  close() {
    this.provider.destroy();
    this.document.destroy();
  }
}

/** The text of any stock client's file. */
export function textOf({ document }) {
  return document.getText('content');
}

/** Types at the end. */
export function type(client, text) {
  const content = textOf(client);
  content.insert(content.length, text);
}

/** Waits until all of these have the same text, no change is owed to any, and gives that text. */
export async function converged(clients, condition = () => true) {
  const texts = () => clients.map((client) => textOf(client).toString());
  const settled = () => {
    const [first, ...others] = texts();
    return others.every((text) => text === first) && condition(first) && !clients.some(owes);
  };
  await until(settled, PATIENCE_MS, 'one text everywhere').catch((error) => {
    const seen = texts().map((text) => text.slice(0, 300));
    throw new Error(`${error.message}: ${JSON.stringify({ seen, owed: clients.map(owes) })}`);
  });
  return texts()[0];
}

function owes({ unsyncedChanges = 0 }) {
  return unsyncedChanges > 0;
}

/** The states that others show a client, by what they call themselves. */
export function othersOf({ awareness, document }) {
  const states = [...awareness.getStates()].filter(([id]) => id !== document.clientID);
  return states.map(([, state]) => state.user).filter(Boolean).sort();
}

/** A file's text over REST. */
export async function restText(at, room, path, query = '') {
  const answer = await fetch(`${at}/api/v1/shards/${room}/files/${path}${query}`);
  assert.equal(answer.status, 200, `${path} in ${room}: ${await answer.clone().text()}`);
  return answer.text();
}
