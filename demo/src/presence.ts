import { h } from "./dom";
import { colorOf, initialsOf, inkOn, nameOf, rememberName } from "./identity";
import type { Room } from "./room";

/** A member who is here. */
export interface Present {
  client: number;
  name: string;
  color: string;
  /** The path of the file that the member looks at. */
  file: string | null;
  self: boolean;
}

const AVATARS = 6;

/** Who is here, oneself first, by the presence of the room. */
export function presentIn(room: Room): Present[] {
  const self = room.presence.clientID;
  return [...room.presence.getStates()]
    .filter(([, state]) => typeof state["user"] === "object" && state["user"] !== null)
    .map(([client, state]) => ({
      client,
      name: nameOf(state["user"].name),
      color: colorOf(state["user"].color, client),
      file: typeof state["file"] === "string" ? state["file"] : null,
      self: client === self,
    }))
    .sort((a, b) => Number(b.self) - Number(a.self) || a.name.localeCompare(b.name) || a.client - b.client);
}

/** A round badge with a member's initials. */
export function avatar({ name, color, self }: Present): HTMLElement {
  const badge = h("span", { class: "avatar", title: self ? `${name} (you)` : name, "aria-hidden": "true" }, initialsOf(name));
  badge.style.setProperty("--member", color);
  badge.style.setProperty("--ink", inkOn(color));
  return badge;
}

/** At most a few badges, and how many more there are. */
export function avatars(people: Present[], most = AVATARS): HTMLElement[] {
  const shown = people.slice(0, people.length > most ? most - 1 : most).map(avatar);
  const rest = people.length - shown.length;
  if (rest > 0) shown.push(h("span", { class: "avatar more", "aria-hidden": "true" }, `+${rest}`));
  return shown;
}

/** The list of members, with one's own name to edit. */
export class People {
  readonly element: HTMLElement;
  readonly #list = h("ul", { class: "people" });
  readonly #heading = h("h2", {}, "People");
  readonly #room: Room;

  constructor(room: Room) {
    this.#room = room;
    const name = h("input", { name: "name", value: room.self.name, maxlength: 40, autocomplete: "nickname" });
    const form = h(
      "form",
      { class: "name-form", on: { submit: (event) => (event.preventDefault(), name.blur()) } },
      h("label", {}, h("span", {}, "Your name"), name),
    );
    name.addEventListener("change", () => {
      name.value = nameOf(name.value);
      rememberName(name.value);
      room.rename(name.value);
    });
    this.element = h("section", { class: "panel", "aria-label": "People" }, this.#heading, this.#list, form);
    room.on("presence", () => this.#render());
    this.#render();
  }

  #render(): void {
    const people = presentIn(this.#room);
    this.#heading.textContent = people.length > 1 ? `People (${people.length})` : "People";
    this.#list.replaceChildren(
      ...people.map((person) =>
        h(
          "li",
          { "data-member": person.name },
          avatar(person),
          h("span", { class: "who" }, person.self ? `${person.name} (you)` : person.name),
          person.file && h("span", { class: "where", title: person.file }, person.file),
        ),
      ),
    );
  }
}
