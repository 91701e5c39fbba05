import { type Api, ApiError, type Template } from "./api";
import { h } from "./dom";
import { nameOf, rememberName, rememberedName } from "./identity";

const ROOM_ID = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** The address of a project's page, for this browser: it keeps the token that the page was opened with. */
export function roomUrl(id: string, file?: string | null): string {
  return sharedUrl(id, file) + location.hash;
}

/** The same without the token: the link that one hands on. */
export function sharedUrl(id: string, file?: string | null): string {
  const url = new URL(location.href);
  url.hash = "";
  const region = url.searchParams.get("region");
  url.search = "";
  url.searchParams.set("room", id);
  if (file) url.searchParams.set("file", file);
  if (region) url.searchParams.set("region", region);
  return url.href;
}

/** The room that a pasted link or id means; `null` if it means none. */
export function roomOf(input: string): { id: string; href?: string } | null {
  const text = input.trim();
  if (ROOM_ID.test(text)) return { id: text };
  try {
    const url = new URL(text, location.href);
    const id = url.searchParams.get("room");
    if (url.origin !== location.origin || id === null || !ROOM_ID.test(id)) return null;
    return { id, href: url.href };
  } catch {
    return null;
  }
}

/** The page at `/`: who you are, and a project from a template or one that exists. */
export function startPage(api: Api): HTMLElement {
  const name = h("input", { name: "name", value: rememberedName(), maxlength: 40, autocomplete: "nickname" });
  const keepName = () => {
    name.value = nameOf(name.value);
    rememberName(name.value);
  };
  return h(
    "main",
    { class: "start" },
    h("header", {}, h("h1", {}, "Edgeroom"), h("p", {}, "Edit the files of a project together. What is shown as saved is saved.")),
    h("section", { class: "card" }, h("label", { class: "field" }, h("span", {}, "Your name"), name)),
    creation(api, keepName),
    opening(keepName),
  );
}

function creation(api: Api, keepName: () => void): HTMLElement {
  const title = h("input", { name: "title", maxlength: 80, placeholder: "My project", autocomplete: "off" });
  const choices = h("div", { class: "templates" }, h("p", { class: "note" }, "Loading the templates…"));
  const create = h("button", { type: "submit", class: "primary", disabled: true }, "Create project");
  const problem = h("p", { class: "note problem", role: "alert" });
  const submit = async (event: SubmitEvent) => {
    event.preventDefault();
    const template = new FormData(event.currentTarget as HTMLFormElement).get("template");
    if (typeof template !== "string") return;
    keepName();
    create.disabled = true;
    problem.textContent = "";
    try {
      const { id } = await api.createShard({ template, ...(title.value.trim() && { title: title.value.trim() }) });
      location.assign(roomUrl(id));
    } catch (error) {
      problem.textContent = messageOf(error);
      create.disabled = false;
    }
  };
  const load = async () => {
    try {
      const templates = await api.templates();
      choices.replaceChildren(...templates.map(choice));
      create.disabled = templates.length === 0;
    } catch (error) {
      const retry = h("button", { type: "button", on: { click: () => void load() } }, "Try again");
      choices.replaceChildren(h("p", { class: "note problem", role: "alert" }, `${messageOf(error)} `, retry));
    }
  };
  void load();
  return h(
    "form",
    { class: "card create", on: { submit: (event) => void submit(event) } },
    h("h2", {}, "New project"),
    h("label", { class: "field" }, h("span", {}, "Title (may stay empty)"), title),
    h("fieldset", {}, h("legend", {}, "Template"), choices),
    problem,
    create,
  );
}

function choice({ id, title, description }: Template, index: number): HTMLElement {
  return h(
    "label",
    { class: "template" },
    h("input", { type: "radio", name: "template", value: id, checked: index === 0 }),
    h("span", { class: "title" }, title),
    description && h("span", { class: "description" }, description),
  );
}

function opening(keepName: () => void): HTMLElement {
  const link = h("input", { name: "link", placeholder: "Link or id", autocomplete: "off", spellcheck: "false" });
  const problem = h("p", { class: "note problem", role: "alert" });
  const submit = (event: SubmitEvent) => {
    event.preventDefault();
    const room = roomOf(link.value);
    problem.textContent = room ? "" : "This is neither a project's link on this server nor an id.";
    if (!room) return;
    keepName();
    location.assign(room.href ?? roomUrl(room.id));
  };
  return h(
    "form",
    { class: "card open", on: { submit } },
    h("h2", {}, "Open a project"),
    h("label", { class: "field" }, h("span", {}, "Link or id"), link),
    problem,
    h("button", { type: "submit" }, "Open"),
  );
}

function messageOf(error: unknown): string {
  return error instanceof ApiError ? error.message : "Something went wrong in this page.";
}
