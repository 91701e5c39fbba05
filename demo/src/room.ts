import { HocuspocusProvider, HocuspocusProviderWebsocket, WebSocketStatus } from "@hocuspocus/provider";
import { Awareness } from "y-protocols/awareness";
import * as Y from "yjs";
import { type Api, ApiError } from "./api";
import { permanentClose, reopening } from "./closing";
import { Emitter } from "./emitter";
import { type RoomEvent, type RoomMessage, readRoomEvent } from "./events";
import { OpenFile } from "./file";
import { type Identity, PALETTE, colorOf } from "./identity";
import { type Entry, Tree } from "./tree";

/** The document that stands for the room itself. */
const ROOM_DOCUMENT = ".room";
/** Longer waits keep a page offline long after its server is back. */
const RECONNECT_MAX_MS = 4_000;
const RELOAD_MS = 2_000;

/** How the room is reached. */
export type Connection = "connecting" | "connected" | "edge-only" | "offline" | "closed";

interface RoomEvents {
  connection: Connection;
  /** The tree has changed. */
  tree: void;
  /** A file was opened, or its status changed. */
  status: OpenFile;
  /** A member came, left, or looks at another file. */
  presence: void;
  chat: Extract<RoomEvent, { type: "chat" }>;
  /** Something to tell the person at the page; `download` is text that would be lost otherwise. */
  notice: { text: string; download?: { name: string; text: string } };
  /** The room stays closed. */
  closed: { why: string };
  /** A file that this page had open is gone. */
  gone: Entry;
}

/** A room: one socket, the document `.room` for presence and events, one document per open file. */
export class Room extends Emitter<RoomEvents> {
  readonly tree = new Tree();
  readonly open = new Map<Entry, OpenFile>();
  readonly presence: Awareness;
  title = "";
  self: Identity;

  readonly #socket: HocuspocusProviderWebsocket;
  readonly #provider: HocuspocusProvider;
  readonly #api: Api;
  readonly #address: RoomAddress;
  readonly #ready = Promise.withResolvers<void>();
  #linked = true;
  #treeChanges = 0;
  #reload: ReturnType<typeof setTimeout> | undefined;
  #closed = false;
  #holding = false;

  constructor(address: RoomAddress, self: Identity, api: Api) {
    super();
    this.#address = address;
    this.#api = api;
    this.self = self;
    const doc = new Y.Doc();
    this.presence = new Awareness(doc);
    this.presence.setLocalState({ user: self, file: null });
    this.#socket = new HocuspocusProviderWebsocket({ url: this.#url(), maxDelay: RECONNECT_MAX_MS });
    this.#provider = new HocuspocusProvider({
      name: ROOM_DOCUMENT,
      document: doc,
      awareness: this.presence,
      websocketProvider: this.#socket,
      token: () => this.#address.token,
    });
    this.#socket.on("status", () => this.#onStatus());
    this.#socket.on("close", ({ event }: { event: CloseEvent }) => this.#onSocketClose(event.code));
    this.#provider.on("authenticated", () => this.#onAuthenticated());
    this.#provider.on("authenticationFailed", ({ reason }: { reason: string }) => this.#close(refusal(reason)));
    this.#provider.on("close", ({ event }: { event: { reason: string } }) => this.#onRoomClose(event.reason));
    this.#provider.on("stateless", ({ payload }: { payload: string }) => this.#onEvent(readRoomEvent(payload)));
    this.presence.on("change", () => {
      this.#differ();
      this.emit("presence", undefined);
    });
    this.#provider.attach();
    this.#ready.promise.catch(() => undefined);
  }

  get id(): string {
    return this.#address.id;
  }

  get connection(): Connection {
    if (this.#closed) return "closed";
    if (this.#socket.status === WebSocketStatus.Connected) return this.#linked ? "connected" : "edge-only";
    return this.#socket.status === WebSocketStatus.Connecting ? "connecting" : "offline";
  }

  /** Settles when the files are known, or fails when the room is closed before. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Opens a file of the tree; the same object for the same file. It stays open, so it stays current. */
  file(entry: Entry): OpenFile {
    const known = this.open.get(entry);
    if (known) return known;
    const file = new OpenFile(entry.id ?? entry.path, {
      socket: this.#socket,
      token: () => this.#address.token,
      self: () => this.self,
      linked: () => this.#linked,
    });
    this.open.set(entry, file);
    file.on("status", () => {
      if (this.#holding && file.unsynced === 0 && file.delivery.synced) this.#holding = false;
      this.emit("status", file);
    });
    file.on("refused", ({ why }) => this.#onRefused(entry, why));
    file.on("reset", ({ mine }) =>
      this.emit("notice", {
        text: `The server refused a change of ${entry.path}, so its text was fetched again.`,
        download: { name: entry.path.split("/").at(-1) ?? "file.txt", text: mine },
      }),
    );
    this.emit("status", file);
    return file;
  }

  /** The others see which file one looks at. */
  look(entry: Entry | null): void {
    this.presence.setLocalStateField("file", entry?.path ?? null);
    this.#send({ type: "visible-files", files: entry ? [entry.path] : [] });
  }

  /** Says something to the room; `false` while nobody would hear it. */
  say(text: string): boolean {
    return this.#send({ type: "chat", text });
  }

  /** Takes another name. The server learns a name when a socket opens, hence a new one. */
  rename(name: string): void {
    this.#introduce({ ...this.self, name });
    this.#socket.setConfiguration({ ...this.#socket.configuration, url: this.#url() });
    this.#socket.webSocket?.close();
  }

  destroy(): void {
    clearTimeout(this.#reload);
    for (const file of this.open.values()) file.destroy();
    this.open.clear();
    this.#provider.destroy();
    this.#socket.destroy();
  }

  #url(): string {
    const { id, host, secure, region } = this.#address;
    const query = new URLSearchParams({ name: this.self.name });
    if (region) query.set("region", region);
    return `${secure ? "wss" : "ws"}://${host}/rooms/${encodeURIComponent(id)}?${query}`;
  }

  #introduce(self: Identity): void {
    this.self = self;
    this.presence.setLocalStateField("user", self);
    for (const file of this.open.values()) file.introduce();
  }

  /** Of two members with the same colour the one with the larger client id takes a free one. */
  #differ(): void {
    const others = [...this.presence.getStates()].filter(([client]) => client !== this.presence.clientID);
    const colors = new Map(others.map(([client, state]) => [colorOf(state["user"]?.color, client), client]));
    const rival = colors.get(this.self.color);
    const free = PALETTE.find((color) => !colors.has(color));
    if (rival !== undefined && rival < this.presence.clientID && free) this.#introduce({ ...this.self, color: free });
  }

  #send(message: RoomMessage): boolean {
    if (!this.#provider.isAuthenticated) return false;
    this.#provider.sendStateless(JSON.stringify(message));
    return true;
  }

  #onAuthenticated(): void {
    // After a reconnect the peers hold this clock as removed, until it moves on.
    this.presence.setLocalState(this.presence.getLocalState());
    const path: unknown = this.presence.getLocalState()?.["file"];
    if (typeof path === "string") this.#send({ type: "visible-files", files: [path] });
    this.emit("connection", this.connection);
    void this.#load();
  }

  /** Asks for title and files: also for what happened to the tree while the socket was away. */
  async #load(): Promise<void> {
    clearTimeout(this.#reload);
    const seen = this.#treeChanges;
    try {
      const { title, files } = await this.#api.shard(this.id);
      if (seen !== this.#treeChanges) return this.#load();
      this.title = title;
      this.tree.load(files, (entry) => this.open.has(entry));
    } catch (error) {
      // A room that was only just made by opening it may not be stored yet.
      if (!(error instanceof ApiError && error.status === 404)) {
        this.#reload = setTimeout(() => void this.#load(), RELOAD_MS);
        return;
      }
    }
    this.emit("tree", undefined);
    this.#ready.resolve();
  }

  #onStatus(): void {
    // A new socket may meet another hub, which tells of a missing link by itself.
    if (this.#socket.status !== WebSocketStatus.Connected) this.#linked = true;
    this.emit("connection", this.connection);
    for (const file of this.open.values()) this.emit("status", file);
  }

  #onSocketClose(code: number): void {
    const why = permanentClose(code);
    if (why) this.#close(why);
  }

  #onRoomClose(reason: string): void {
    if (this.#socket.status !== WebSocketStatus.Connected || reason === "provider_initiated") return;
    const next = reopening(reason);
    if (next.kind === "never") this.#close(refusal(next.why));
    else this.#socket.webSocket?.close();
  }

  #close(why: string): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#socket.disconnect();
    this.#ready.reject(new Error(why));
    this.emit("closed", { why });
    this.emit("connection", this.connection);
  }

  #onEvent(event: RoomEvent | null): void {
    switch (event?.type) {
      case "chat":
        return this.emit("chat", event);
      case "files":
        this.#treeChanges += 1;
        for (const change of event.changes) {
          const entry = this.tree.apply(change);
          if (change.op === "delete" && entry) this.#forget(entry);
          if (change.op === "rename" && entry) this.open.get(entry)?.rehome(change.id);
        }
        return this.emit("tree", undefined);
      case "stored":
        for (const { id, seq, at } of event.files) {
          this.#note(id, { stored: { seq, at: new Date(at / 1000) } });
        }
        return;
      case "logged":
        return this.#note(event.file, { logged: event.seq });
      case "link":
        this.#linked = event.state === "up";
        this.#holding &&= !this.#linked;
        this.emit("connection", this.connection);
        for (const file of this.open.values()) this.emit("status", file);
        return;
      case "hold":
        if (!this.#holding) this.emit("notice", { text: `The server takes no changes for the moment: ${event.why}` });
        this.#holding = true;
        return;
      case "error":
        // The file says so itself, with what would be lost.
        if (event.file && event.code.startsWith("update-")) return;
        return this.emit("notice", { text: event.reason || event.code });
    }
  }

  #note(id: string, levels: Partial<OpenFile["levels"]>): void {
    const entry = this.tree.byId(id);
    const file = entry && this.open.get(entry);
    if (!file) return;
    Object.assign(file.levels, levels);
    this.emit("status", file);
  }

  #onRefused(entry: Entry, why: string): void {
    this.emit("notice", { text: `${entry.path} cannot be opened: ${why}.` });
    if (entry.id) return;
    this.tree.remove(entry);
    this.#forget(entry);
    this.emit("tree", undefined);
  }

  #forget(entry: Entry): void {
    const file = this.open.get(entry);
    if (!file) return;
    this.open.delete(entry);
    this.emit("gone", entry);
    file.destroy();
  }
}

/** Where a room is, and with what token one enters. */
export interface RoomAddress {
  id: string;
  host: string;
  secure: boolean;
  region: string | null;
  token: string;
}

function refusal(reason: string): string {
  return `The server does not open this project: ${reason}.`;
}
