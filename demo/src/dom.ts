/** Elements without a framework. Text only ever becomes text: nothing here parses HTML. */

type Child = Node | string | null | undefined | false;

/** Attributes of an element; `on` holds its listeners, `null` and `false` leave an attribute out. */
export interface Attributes {
  on?: { [Name in keyof HTMLElementEventMap]?: (event: HTMLElementEventMap[Name]) => void };
  [name: string]: unknown;
}

/** Makes an element with these attributes and children. */
export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Attributes = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") continue;
    if (value !== null && value !== undefined && value !== false) element.setAttribute(name, String(value));
  }
  for (const [name, listener] of Object.entries(attributes.on ?? {})) {
    element.addEventListener(name, listener as EventListener);
  }
  element.append(...children.filter((child): child is Node | string => Boolean(child)));
  return element;
}

/** Hands the browser a text as a download. */
export function download(name: string, text: string): void {
  const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
  h("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
