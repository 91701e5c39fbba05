import { h } from "./dom";
import { colorOf, nameOf } from "./identity";
import type { Room } from "./room";

const KEPT_LINES = 500;
const LONGEST = 2000;

/** The chat of a room. A message appears when the server sends it, to its author like to all others. */
export class Chat {
  readonly element: HTMLElement;
  readonly #lines = h("ol", { class: "chat-lines", role: "log", "aria-label": "Chat messages", tabindex: "0" });
  readonly #input = h("input", {
    type: "text", name: "message", maxlength: LONGEST, autocomplete: "off", placeholder: "Write a message",
    "aria-label": "Message",
  });
  readonly #note = h("p", { class: "note", role: "status" });
  readonly #seen = new Set<string>();
  readonly #room: Room;

  constructor(room: Room) {
    this.#room = room;
    const form = h(
      "form",
      { class: "chat-form", on: { submit: (event) => this.#submit(event) } },
      this.#input,
      h("button", { type: "submit" }, "Send"),
    );
    this.element = h("section", { class: "panel chat", "aria-label": "Chat" }, h("h2", {}, "Chat"), this.#lines, this.#note, form);
    room.on("chat", ({ id, member, text, at }) => {
      // A message can come twice, after the link between edge and origin was made again.
      if (this.#seen.has(id)) return;
      this.#seen.add(id);
      this.#append(nameOf(member.name), member.id, text, new Date(at / 1000));
    });
  }

  #submit(event: SubmitEvent): void {
    event.preventDefault();
    const text = this.#input.value.trim();
    if (text === "") return;
    const sent = this.#room.say(text);
    this.#note.textContent = sent ? "" : "Not connected: the message stays here until you send it again.";
    if (sent) this.#input.value = "";
  }

  #append(name: string, member: string, text: string, at: Date): void {
    const atEnd = this.#lines.scrollHeight - this.#lines.scrollTop - this.#lines.clientHeight < 40;
    const author = h("strong", {}, name);
    author.style.setProperty("--member", this.#colorOf(name, member));
    const time = Number.isNaN(at.getTime())
      ? null
      : h("time", { datetime: at.toISOString() }, at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
    this.#lines.append(h("li", {}, author, time, h("p", {}, text.slice(0, LONGEST * 4))));
    while (this.#lines.childElementCount > KEPT_LINES) this.#lines.firstElementChild?.remove();
    if (atEnd) this.#lines.scrollTop = this.#lines.scrollHeight;
  }

  /** The colour of a member who is here by that name, else one made from the member's id. */
  #colorOf(name: string, member: string): string {
    for (const [client, state] of this.#room.presence.getStates()) {
      if (nameOf(state["user"]?.name) === name) return colorOf(state["user"]?.color, client);
    }
    return colorOf(null, member);
  }
}
