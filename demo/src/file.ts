import { type HocuspocusProviderWebsocket, HocuspocusProvider, WebSocketStatus } from "@hocuspocus/provider";
import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { reopening } from "./closing";
import { Emitter } from "./emitter";
import type { Identity } from "./identity";
import { type Delivery, type Levels, type SaveStatus, saveStatus } from "./status";

/** The name of the text in every file's document. */
const TEXT_ROOT = "content";
const REOPEN_FIRST_MS = 500;
const REOPEN_MAX_MS = 15_000;

/** What a file needs of its room. */
export interface FileContext {
  socket: HocuspocusProviderWebsocket;
  token: () => string;
  self: () => Identity;
  linked: () => boolean;
}

interface FileEvents {
  /** Something that the status depends on has changed. */
  status: void;
  /** `doc`, `text`, `awareness` and `undo` are other objects now. */
  document: void;
  /** The text has been synchronised for the first time since the document is this one. */
  loaded: void;
  /** The server refused a change: the text before it was fetched again. */
  reset: { mine: string };
  /** The server does not let this file be open. */
  refused: { why: string };
}

/** An open file: its document, its own awareness, its undo history and its way to the server. */
export class OpenFile extends Emitter<FileEvents> {
  doc!: Y.Doc;
  text!: Y.Text;
  awareness!: Awareness;
  /** Outlives editor states, so that the history survives a change of file. */
  undo!: Y.UndoManager;
  /** Where the caret was when the file was last shown. */
  caret: { anchor: Y.RelativePosition; head: Y.RelativePosition } | null = null;
  loaded = false;
  levels: Levels = { logged: undefined, stored: undefined };

  #provider!: HocuspocusProvider;
  #refused = false;
  #reopenMs = REOPEN_FIRST_MS;
  #reopenTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    /** The document name: a file id, or the path of a file that is being created. */
    public name: string,
    readonly around: FileContext,
  ) {
    super();
    this.#make();
    this.#provider.attach();
  }

  get unsynced(): number {
    return this.#provider.unsyncedChanges;
  }

  get readOnly(): boolean {
    return !this.loaded || this.#refused || this.#provider.authorizedScope === "readonly";
  }

  get status(): SaveStatus {
    return saveStatus(this.delivery);
  }

  get delivery(): Delivery {
    return {
      connected:
        this.around.socket.status === WebSocketStatus.Connected &&
        !this.#refused &&
        (this.#provider.isAuthenticated || !this.loaded),
      linked: this.around.linked(),
      synced: this.#provider.synced,
      unsynced: this.#provider.unsyncedChanges,
    };
  }

  /** Tells the others where the caret is, or with `null` that it is gone. */
  setCursor(cursor: { anchor: unknown; head: unknown } | null): void {
    if (this.awareness.getLocalState()) this.awareness.setLocalStateField("cursor", cursor);
  }

  /** Tells the others a new name or colour. */
  introduce(): void {
    if (this.awareness.getLocalState()) this.awareness.setLocalStateField("user", this.around.self());
  }

  /** Opens the same document by its id: its path, which it was opened by, is another one now. */
  rehome(id: string): void {
    if (this.name === id) return;
    clearTimeout(this.#reopenTimer);
    this.name = id;
    this.#provider.detach();
    this.#provider.configuration.name = id;
    this.#provider.attach();
  }

  destroy(): void {
    clearTimeout(this.#reopenTimer);
    this.undo.destroy();
    this.#provider.destroy();
    this.doc.destroy();
  }

  #make(): void {
    this.loaded = false;
    this.doc = new Y.Doc();
    this.text = this.doc.getText(TEXT_ROOT);
    this.awareness = new Awareness(this.doc);
    this.awareness.setLocalState({ user: this.around.self(), cursor: null });
    this.undo = new Y.UndoManager(this.text, { trackedOrigins: new Set() });
    this.#provider = new HocuspocusProvider({
      name: this.name,
      document: this.doc,
      awareness: this.awareness,
      websocketProvider: this.around.socket,
      token: this.around.token,
    });
    const changed = () => this.emit("status", undefined);
    this.#provider.on("unsyncedChanges", changed);
    this.#provider.on("status", changed);
    this.#provider.on("synced", () => this.#onSynced());
    this.#provider.on("authenticated", () => this.#onAuthenticated());
    this.#provider.on("authenticationFailed", ({ reason }: { reason: string }) => this.#refuse(reason));
    this.#provider.on("close", ({ event }: { event: { reason: string } }) => this.#onClose(event));
  }

  #onAuthenticated(): void {
    // After a reconnect the peers hold this clock as removed, until it moves on.
    this.awareness.setLocalState(this.awareness.getLocalState());
    this.emit("status", undefined);
  }

  #onSynced(): void {
    this.#reopenMs = REOPEN_FIRST_MS;
    if (!this.loaded) {
      this.loaded = true;
      this.emit("loaded", undefined);
    }
    this.emit("status", undefined);
  }

  /** A CLOSE of this document, or the end of the socket, which brings the provider back by itself. */
  #onClose({ reason }: { reason: string }): void {
    const socketEnded = this.around.socket.status !== WebSocketStatus.Connected;
    if (socketEnded || reason === "provider_initiated") {
      this.emit("status", undefined);
      return;
    }
    const next = reopening(reason);
    if (next.kind === "never") return this.#refuse(next.why);
    if (next.kind === "again") this.#startAgain();
    else this.#provider.detach();
    // Not at once: what is sent before the server has heard of the leaving may count as left behind.
    clearTimeout(this.#reopenTimer);
    this.#reopenTimer = setTimeout(() => this.#provider.attach(), this.#reopenMs);
    this.#reopenMs = Math.min(this.#reopenMs * 2, REOPEN_MAX_MS);
    this.emit("status", undefined);
  }

  #startAgain(): void {
    const mine = this.text.toString();
    this.undo.destroy();
    this.#provider.destroy();
    this.doc.destroy();
    this.caret = null;
    this.#make();
    const done = this.on("loaded", () => {
      done();
      if (this.text.toString() !== mine) this.emit("reset", { mine });
    });
    this.emit("document", undefined);
  }

  #refuse(why: string): void {
    this.#refused = true;
    this.emit("refused", { why });
    this.emit("status", undefined);
  }
}
