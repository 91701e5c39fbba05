import type { RoomEvent, TreeEntry } from "./events";

/** A file of the tree; one that is being created has no id yet. */
export interface Entry {
  id: string | null;
  path: string;
}

/** The room's files by path, sorted. The server orders all changes; this follows them. */
export class Tree {
  #entries = new Map<string, Entry>();

  get entries(): Entry[] {
    return [...this.#entries.values()].sort((a, b) => comparePaths(a.path, b.path));
  }

  get(path: string): Entry | undefined {
    return this.#entries.get(path);
  }

  byId(id: string): Entry | undefined {
    return [...this.#entries.values()].find((entry) => entry.id === id);
  }

  /** Takes the server's list, but keeps what is being created and what `keep` says. Entries keep their identity. */
  load(files: TreeEntry[], keep: (entry: Entry) => boolean): void {
    const known = this.#entries;
    const ids = new Map([...known.values()].filter(({ id }) => id).map((entry) => [entry.id, entry]));
    this.#entries = new Map([...known].filter(([, entry]) => entry.id === null || keep(entry)));
    for (const { id, path } of files) {
      const entry = ids.get(id) ?? known.get(path) ?? { id, path };
      this.remove(entry);
      this.#entries.set(path, Object.assign(entry, { id, path }));
    }
  }

  /** A file that this page is creating. */
  expect(path: string): Entry {
    const entry = this.#entries.get(path) ?? { id: null, path };
    this.#entries.set(path, entry);
    return entry;
  }

  /** Takes an entry out, for instance because its creation was refused. */
  remove(entry: Entry): void {
    if (this.#entries.get(entry.path) === entry) this.#entries.delete(entry.path);
  }

  /** Follows one change; returns the entry that it is about. */
  apply({ op, id, path }: Extract<RoomEvent, { type: "files" }>["changes"][number]): Entry | undefined {
    const entry = this.byId(id) ?? (op === "create" ? this.#entries.get(path) : undefined);
    if (op === "delete") {
      if (entry) this.remove(entry);
      return entry;
    }
    const moved = entry ?? { id, path };
    this.remove(moved);
    this.#entries.set(path, Object.assign(moved, { id, path }));
    return moved;
  }
}

/** Folders after the files beside them, names as people sort them. */
export function comparePaths(a: string, b: string): number {
  const [left, right] = [a.split("/"), b.split("/")];
  for (let depth = 0; ; depth += 1) {
    const [one, other] = [left[depth], right[depth]];
    if (one === undefined || other === undefined) return left.length - right.length;
    const folders = Number(depth < left.length - 1) - Number(depth < right.length - 1);
    if (one !== other) return folders || one.localeCompare(other, "en", { numeric: true }) || (one < other ? -1 : 1);
  }
}

/** A path as the server would take it, or what is wrong with it. */
export function newPath(input: string): { path: string } | { problem: string } {
  const path = input.trim().normalize("NFC").replace(/^\/+/, "");
  const segments = path.split("/");
  if (path === "") return { problem: "Type a name, for example src/util.js." };
  if (/[\p{Cc}\\]/u.test(path)) return { problem: "A name has no backslashes and no control characters." };
  if (segments.some((part) => part === "" || part === "." || part === "..")) {
    return { problem: "Every part between slashes needs a name." };
  }
  if (new TextEncoder().encode(path).length > 512 || segments.length > 32) return { problem: "That is too long." };
  if (path === ".room") return { problem: "This name is taken by the room itself." };
  return { path };
}
