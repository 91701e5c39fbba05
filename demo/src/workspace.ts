import type { Api } from "./api";
import { Chat } from "./chat";
import { download, h } from "./dom";
import { Editor } from "./editor";
import { FileList, shownStatus } from "./files";
import { randomColor, rememberedName } from "./identity";
import { People, avatars, presentIn } from "./presence";
import { type Connection, Room, type RoomAddress } from "./room";
import { roomUrl, sharedUrl } from "./start";
import type { Entry } from "./tree";

const CONNECTION_LABEL: Record<Connection, string> = {
  connecting: "Connecting",
  connected: "Connected",
  "edge-only": "Connected, storage away",
  offline: "Reconnecting",
  closed: "Closed",
};

/** The files that one would want to see first, best first. */
const FIRST_FILES = [/(^|\/)App\.\w+$/, /(^|\/)app\.\w+$/, /^src\/main\.\w+$/, /(^|\/)index\.\w+$/, /^README\.md$/i];

/** The editor page of one room. */
export class Workspace {
  readonly element: HTMLElement;
  readonly room: Room;
  readonly editor: Editor;
  shown: Entry | null = null;

  readonly #files: FileList;
  readonly #title = h("h1", {}, "Project");
  readonly #connection = h("span", { class: "connection", role: "status" });
  readonly #people = h("span", { class: "avatars" });
  readonly #path = h("h2", { class: "path" });
  readonly #status = h("span", { class: "status" });
  readonly #export = h("button", { type: "button", class: "quiet", hidden: true }, "Download");
  readonly #notices = h("div", { class: "notices", role: "status", "aria-live": "polite" });
  readonly #empty = h("p", { class: "empty" }, "Opening the project…");
  readonly #api: Api;

  constructor(address: RoomAddress, api: Api) {
    this.#api = api;
    this.room = new Room(address, { name: rememberedName(), color: randomColor() }, api);
    const surface = h("div", { class: "surface" }, this.#empty);
    this.#files = new FileList(this.room, (entry) => {
      this.show(entry);
      this.editor.focus();
    });
    this.element = h(
      "div",
      { class: "workspace" },
      this.#header(),
      this.#files.element,
      h(
        "main",
        { class: "file", "aria-label": "Editor" },
        h("div", { class: "file-bar" }, this.#path, this.#status, this.#export),
        surface,
      ),
      h("aside", { class: "side", "aria-label": "People and chat" }, new People(this.room).element, new Chat(this.room).element),
      this.#notices,
    );
    this.editor = new Editor(surface);
    this.#export.addEventListener("click", () => void this.#download());
    this.#listen();
  }

  /** Opens the file that the address names, or a likely one. */
  async start(wanted: string | null): Promise<void> {
    await this.room.ready;
    const { entries } = this.room.tree;
    const first = (wanted && this.room.tree.get(wanted)) || firstOf(entries);
    if (wanted && first?.path !== wanted) this.#notice(`There is no file ${wanted} here.`);
    if (!first) return;
    this.show(first);
    const file = this.room.file(first);
    if (!file.loaded) await new Promise<void>((loaded) => void file.on("loaded", loaded));
  }

  /** Shows a file in the editor. */
  show(entry: Entry): void {
    this.shown = entry;
    this.editor.show(this.room.file(entry), entry.path);
    this.#files.activate(entry);
    this.room.look(entry);
    history.replaceState(null, "", roomUrl(this.room.id, entry.path));
    this.#render();
  }

  #listen(): void {
    const { room } = this;
    for (const event of ["tree", "status", "connection", "presence"] as const) room.on(event, () => this.#render());
    room.on("tree", () => {
      if (!this.shown) this.#showFirst();
    });
    room.on("notice", ({ text, download: kept }) => this.#notice(text, kept));
    room.on("closed", ({ why }) => this.#showClosed(why));
    room.on("gone", (entry) => {
      if (entry !== this.shown) return;
      this.#notice(`${entry.path} is gone.`);
      this.shown = null;
      this.editor.clear();
      this.#files.activate(null);
      queueMicrotask(() => this.#showFirst());
    });
    this.#render();
  }

  /** A project can be empty at first, and its shown file can be deleted. */
  #showFirst(): void {
    const first = firstOf(this.room.tree.entries);
    if (!this.shown && first) this.show(first);
    this.#render();
  }

  #header(): HTMLElement {
    const copy = h("button", { type: "button", class: "copy-link" }, "Copy link");
    copy.addEventListener("click", () => void this.#copyLink(copy));
    return h(
      "header",
      { class: "bar" },
      h("a", { href: "/", class: "brand", "aria-label": "Edgeroom, start page" }, "Edgeroom"),
      this.#title,
      this.#connection,
      h("span", { class: "spring" }),
      this.#people,
      copy,
    );
  }

  #render(): void {
    const { room, shown } = this;
    const { connection } = room;
    this.#title.textContent = room.title || room.id;
    document.title = `${room.title || room.id} – Edgeroom`;
    this.#connection.dataset["connection"] = connection;
    if (this.#connection.textContent !== CONNECTION_LABEL[connection]) {
      this.#connection.textContent = CONNECTION_LABEL[connection];
    }
    this.#people.replaceChildren(...avatars(presentIn(room)));
    this.#empty.hidden = shown !== null;
    this.#export.hidden = !shown?.id;
    this.#path.textContent = shown?.path ?? "";
    const { status, label, title } = shown ? shownStatus(room, shown) : { status: "", label: "", title: "" };
    this.#status.dataset["status"] = status;
    this.#status.textContent = label;
    this.#status.title = title;
  }

  async #copyLink(button: HTMLButtonElement): Promise<void> {
    const link = sharedUrl(this.room.id, this.shown?.path);
    try {
      await navigator.clipboard.writeText(link);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy link"), 2000);
    } catch {
      this.#notice(`The link of this project: ${link}`);
    }
  }

  async #download(): Promise<void> {
    if (!this.shown) return;
    const { path } = this.shown;
    const link = h("a", { download: path.split("/").at(-1) ?? path });
    try {
      link.href = URL.createObjectURL(await this.#api.fileBytes(this.room.id, path));
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
    } catch (error) {
      this.#notice(error instanceof Error ? error.message : "The download failed.");
    }
  }

  #notice(text: string, kept?: { name: string; text: string }): void {
    const close = h("button", { type: "button", class: "quiet", "aria-label": "Dismiss" }, "×");
    const save = kept && h("button", { type: "button" }, "Download what you had");
    const notice = h("div", { class: "notice" }, h("p", {}, text), save, close);
    close.addEventListener("click", () => notice.remove());
    save?.addEventListener("click", () => download(kept?.name ?? "", kept?.text ?? ""));
    this.#notices.append(notice);
    while (this.#notices.childElementCount > 4) this.#notices.firstElementChild?.remove();
    if (!kept) setTimeout(() => notice.remove(), 12_000);
  }

  #showClosed(why: string): void {
    this.#empty.textContent = why;
    const again = h("button", { type: "button", on: { click: () => location.reload() } }, "Try again");
    this.element.prepend(h("div", { class: "closed", role: "alert" }, h("p", {}, why), again));
    this.#render();
  }
}

function firstOf(entries: Entry[]): Entry | undefined {
  for (const pattern of FIRST_FILES) {
    const found = entries.find(({ path }) => pattern.test(path));
    if (found) return found;
  }
  return entries[0];
}
