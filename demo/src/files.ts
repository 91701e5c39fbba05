import { h } from "./dom";
import { avatars, presentIn } from "./presence";
import type { Room } from "./room";
import { STATUS_LABEL, type SaveStatus, statusTitle } from "./status";
import { type Entry, newPath } from "./tree";

/** What the page says about a file. */
export interface Shown {
  status: SaveStatus;
  label: string;
  title: string;
}

/** The status of a file of the tree. One that is not open here has no changes of this page that could be lost. */
export function shownStatus(room: Room, entry: Entry): Shown {
  const file = room.open.get(entry);
  if (file) {
    const { status } = file;
    const opening = status === "saving" && !file.loaded;
    const title = opening ? "On the way from the server." : statusTitle(status, file.unsynced, file.levels);
    return { status, label: opening ? "Opening" : STATUS_LABEL[status], title };
  }
  const reached = room.connection === "connected" || room.connection === "edge-only";
  const status = reached ? "saved" : "offline";
  return { status, label: STATUS_LABEL[status], title: reached ? "Not open here." : "The server cannot be reached." };
}

/** The list of files: which is shown, how each is saved, who is in it; and the box for a new one. */
export class FileList {
  readonly element: HTMLElement;
  readonly #list = h("ul", { class: "files" });
  readonly #items = new Map<Entry, Item>();
  readonly #room: Room;
  readonly #choose: (entry: Entry) => void;
  #active: Entry | null = null;

  constructor(room: Room, choose: (entry: Entry) => void) {
    this.#room = room;
    this.#choose = choose;
    this.element = h(
      "nav",
      { class: "sidebar", "aria-label": "Files" },
      h("h2", {}, "Files"),
      this.#list,
      this.#newFileForm(),
    );
    const render = () => this.render();
    for (const event of ["tree", "status", "presence", "connection"] as const) room.on(event, render);
  }

  /** Marks the file that the editor shows. */
  activate(entry: Entry | null): void {
    this.#active = entry;
    this.render();
  }

  render(): void {
    const people = presentIn(this.#room).filter(({ self }) => !self);
    const { entries } = this.#room.tree;
    for (const [entry, item] of this.#items) {
      if (entries.includes(entry)) continue;
      item.element.remove();
      this.#items.delete(entry);
    }
    entries.forEach((entry, index) => {
      const item = this.#items.get(entry) ?? new Item(() => this.#choose(entry));
      this.#items.set(entry, item);
      const open = this.#room.open.has(entry);
      const here = people.filter(({ file }) => file === entry.path);
      item.update(entry, shownStatus(this.#room, entry), { active: entry === this.#active, open, here });
      // Moving an element takes the focus away from it: only what is out of place is moved.
      if (this.#list.children[index] !== item.element) this.#list.insertBefore(item.element, this.#list.children[index] ?? null);
    });
  }

  #newFileForm(): HTMLElement {
    const input = h("input", { name: "path", placeholder: "src/new-file.js", autocomplete: "off", spellcheck: "false" });
    const problem = h("p", { class: "note", role: "alert" });
    const submit = (event: SubmitEvent) => {
      event.preventDefault();
      const checked = newPath(input.value);
      problem.textContent = "problem" in checked ? checked.problem : "";
      if ("problem" in checked) return;
      input.value = "";
      this.#choose(this.#room.tree.get(checked.path) ?? this.#room.tree.expect(checked.path));
    };
    return h(
      "form",
      { class: "new-file", on: { submit } },
      h("label", {}, h("span", {}, "New file"), input),
      h("button", { type: "submit" }, "Create"),
      problem,
    );
  }
}

/** One line of the list, changed in place so that it keeps the focus. */
class Item {
  readonly #folder = h("span", { class: "folder" });
  readonly #base = h("span", { class: "base" });
  readonly #here = h("span", { class: "here" });
  readonly #status = h("span", { class: "status" });
  readonly #button: HTMLButtonElement;
  readonly element: HTMLLIElement;
  #hereKey = "";

  constructor(choose: () => void) {
    const path = h("span", { class: "path" }, this.#folder, this.#base);
    this.#button = h("button", { type: "button", on: { click: choose } }, path, this.#here, this.#status);
    this.element = h("li", {}, this.#button);
  }

  update(
    { path }: Entry,
    { status, label, title }: Shown,
    { active, open, here }: { active: boolean; open: boolean; here: ReturnType<typeof presentIn> },
  ): void {
    const slash = path.lastIndexOf("/") + 1;
    this.#folder.textContent = path.slice(0, slash);
    this.#base.textContent = path.slice(slash);
    this.#button.title = path;
    Object.assign(this.element.dataset, { path, status, open: String(open) });
    if (active) this.#button.setAttribute("aria-current", "true");
    else this.#button.removeAttribute("aria-current");
    this.#status.textContent = label;
    this.#status.title = title;
    const names = here.map(({ name }) => name).join(", ");
    const key = here.map(({ client, name, color }) => `${client} ${color} ${name}`).join("\n");
    if (key === this.#hereKey) return;
    this.#hereKey = key;
    this.#here.replaceChildren(...avatars(here, 3), ...(names ? [h("span", { class: "sr-only" }, `Here: ${names}.`)] : []));
  }
}
