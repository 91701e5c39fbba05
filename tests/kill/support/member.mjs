// A person who has files of a room open: the stock provider, one socket, a document per file.

import { HocuspocusProvider, HocuspocusProviderWebsocket } from '@hocuspocus/provider';
import WebSocket from 'ws';
import * as Y from 'yjs';
import { until } from './patience.mjs';

/** A socket that is given up while it connects reports that to nobody. */
class Socket extends WebSocket {
  constructor(...address) {
    super(...address);
    this.on('error', () => {});
  }
}

/** A file that a member has open. */
class OpenFile {
  #provider;

  constructor(path, websocketProvider) {
    this.path = path;
    this.doc = new Y.Doc();
    this.edits = 0;
    this.stateless = [];
    this.#provider = new HocuspocusProvider({ name: path, document: this.doc, websocketProvider });
    this.#provider.on('stateless', ({ payload }) => this.stateless.push(JSON.parse(payload)));
    this.#provider.attach();
  }

  get text() {
    return this.doc.getText('content').toString();
  }

  /** Whether the first handshake is done and everything is acknowledged. */
  get isSaved() {
    return this.#provider.isSynced && !this.#provider.hasUnsyncedChanges;
  }

  /** How many of the edits, the earliest first, are acknowledged; no longer true once it reconnects. */
  get acknowledged() {
    return this.edits - this.#provider.unsyncedChanges;
  }

  insert(at, text) {
    this.edits += 1;
    this.doc.getText('content').insert(at, text);
  }

  append(text) {
    this.insert(this.doc.getText('content').length, text);
  }

  delete(at, length) {
    this.edits += 1;
    this.doc.getText('content').delete(at, length);
  }

  /** Waits until everything that was done is acknowledged. */
  async saved() {
    await until(`${this.path} is saved`, () => this.isSaved);
    return this;
  }

  close() {
    this.#provider.destroy();
    this.doc.destroy();
  }
}

export class Member {
  #socket;
  #files = [];
  /** The codes with which the socket was closed, in order. */
  closes = [];

  constructor(url) {
    this.#socket = new HocuspocusProviderWebsocket({ url, WebSocketPolyfill: Socket });
    this.#socket.on('disconnect', ({ event }) => this.closes.push(event.code));
  }

  /** Opens a file without waiting. `.room` is the room itself. */
  begin(path) {
    const file = new OpenFile(path, this.#socket);
    this.#files.push(file);
    return file;
  }

  /** Opens a file and waits until it is synchronised. */
  open(path) {
    return this.begin(path).saved();
  }

  /** Waits until the socket has ended: whatever the origin had sent before is taken in. */
  async gone() {
    await until('the socket has ended', () => this.closes.length > 0);
  }

  /** Closes everything, as a closed tab does; what was typed lives on only where it was sent. */
  leave() {
    this.#socket.destroy();
    this.#files.forEach((file) => file.close());
    this.#files = [];
  }
}
