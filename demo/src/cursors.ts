import { EditorSelection, type Extension, StateEffect } from "@codemirror/state";
import { EditorView, type LayerMarker, RectangleMarker, type ViewUpdate, ViewPlugin, layer } from "@codemirror/view";
import * as Y from "yjs";
import type { OpenFile } from "./file";
import { colorOf, inkOn, nameOf } from "./identity";

/**
 * The others' carets and selections, from the awareness of the file that is shown, and one's own for
 * them. Drawn as layers above and below the text, so that nothing of it is in the editable content, and
 * coloured through the CSSOM, so that what a peer sends as its colour never becomes style text.
 */

const PUBLISH_MS = 40;
const LABEL_ROOM_PX = 18;

const moved = StateEffect.define<null>();

interface RemoteCursor {
  client: number;
  name: string;
  color: string;
  anchor: number;
  head: number;
}

/** The presence layer of an editor that shows this file. */
export function cursors(file: OpenFile): Extension {
  const redraw = (update: ViewUpdate) =>
    update.docChanged || update.viewportChanged || update.geometryChanged ||
    update.transactions.some((transaction) => transaction.effects.some((effect) => effect.is(moved)));
  return [
    ViewPlugin.define((view) => new OwnCursor(view, file)),
    layer({ above: false, class: "cm-remote-selections", update: redraw, markers: (view) => selections(view, file) }),
    layer({ above: true, class: "cm-remote-carets", update: redraw, markers: (view) => carets(view, file) }),
    theme,
  ];
}

/** The others' cursors that can be placed in this file's text. */
export function remoteCursors(file: OpenFile, length: number): RemoteCursor[] {
  const found: RemoteCursor[] = [];
  for (const [client, state] of file.awareness.getStates()) {
    if (client === file.doc.clientID) continue;
    const anchor = placeOf(state["cursor"]?.anchor, file);
    const head = placeOf(state["cursor"]?.head, file);
    if (anchor === null || head === null) continue;
    const at = (index: number) => Math.min(index, length);
    const color = colorOf(state["user"]?.color, client);
    found.push({ client, name: nameOf(state["user"]?.name), color, anchor: at(anchor), head: at(head) });
  }
  return found;
}

function placeOf(json: unknown, { doc, text }: OpenFile): number | null {
  if (typeof json !== "object" || json === null) return null;
  try {
    const place = Y.createAbsolutePositionFromRelativePosition(Y.createRelativePositionFromJSON(json), doc);
    return place?.type === text ? place.index : null;
  } catch {
    return null;
  }
}

function selections(view: EditorView, file: OpenFile): LayerMarker[] {
  return remoteCursors(file, view.state.doc.length)
    .filter(({ anchor, head }) => anchor !== head)
    .flatMap(({ anchor, head, color }) =>
      RectangleMarker.forRange(view, "cm-remote-selection", EditorSelection.range(anchor, head)).map(
        (area) => new Tinted(area, color),
      ),
    );
}

function carets(view: EditorView, file: OpenFile): LayerMarker[] {
  return remoteCursors(file, view.state.doc.length).flatMap(({ head, name, color }) =>
    RectangleMarker.forRange(view, "cm-remote-caret", EditorSelection.cursor(head)).map(
      (area) => new Tinted(area, color, name),
    ),
  );
}

/** A rectangle in a member's colour; a caret has the member's name on it. */
class Tinted implements LayerMarker {
  constructor(
    readonly area: RectangleMarker,
    readonly color: string,
    readonly name: string | null = null,
  ) {}

  eq(other: LayerMarker): boolean {
    return other instanceof Tinted && other.color === this.color && other.name === this.name && this.area.eq(other.area);
  }

  draw(): HTMLElement {
    const element = this.area.draw();
    if (this.name !== null) {
      const label = document.createElement("span");
      label.className = "cm-remote-label";
      element.append(label);
    }
    this.#paint(element);
    return element;
  }

  update(element: HTMLElement, previous: LayerMarker): boolean {
    if (!(previous instanceof Tinted) || (previous.name === null) !== (this.name === null)) return false;
    if (!this.area.update(element, previous.area)) return false;
    this.#paint(element);
    return true;
  }

  #paint(element: HTMLElement): void {
    element.style.setProperty("--member", this.color);
    element.style.setProperty("--ink", inkOn(this.color));
    const label = element.querySelector(".cm-remote-label");
    if (label && this.name !== null) {
      label.textContent = this.name;
      label.classList.toggle("below", this.area.top < LABEL_ROOM_PX);
    }
  }
}

/** Publishes one's own caret, a few times a second at most, and redraws when another's has moved. */
class OwnCursor {
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #view: EditorView;
  readonly #file: OpenFile;
  readonly #awareness: OpenFile["awareness"];

  constructor(view: EditorView, file: OpenFile) {
    this.#view = view;
    this.#file = file;
    this.#awareness = file.awareness;
    this.#awareness.on("change", this.#onChange);
  }

  update(update: ViewUpdate): void {
    if (update.selectionSet || update.docChanged || update.focusChanged) {
      this.#timer ??= setTimeout(() => this.#publish(), PUBLISH_MS);
    }
  }

  destroy(): void {
    clearTimeout(this.#timer);
    this.#awareness.off("change", this.#onChange);
    if (this.#awareness === this.#file.awareness) this.#file.setCursor(null);
  }

  readonly #onChange = ({ added, updated, removed }: Record<"added" | "updated" | "removed", number[]>): void => {
    const others = [...added, ...updated, ...removed].some((client) => client !== this.#awareness.clientID);
    if (others) this.#view.dispatch({ effects: moved.of(null) });
  };

  #publish(): void {
    this.#timer = undefined;
    if (!this.#view.hasFocus) return;
    const { anchor, head } = this.#view.state.selection.main;
    const at = (index: number) => Y.createRelativePositionFromTypeIndex(this.#file.text, index);
    this.#file.setCursor({ anchor: at(anchor), head: at(head) });
  }
}

const theme = EditorView.baseTheme({
  ".cm-remote-selections, .cm-remote-carets": { pointerEvents: "none" },
  ".cm-remote-selection": { backgroundColor: "var(--member)", opacity: "0.22" },
  ".cm-remote-caret": { borderLeft: "2px solid var(--member)", marginLeft: "-1px" },
  ".cm-remote-label": {
    position: "absolute",
    left: "-2px",
    bottom: "100%",
    padding: "0 5px",
    borderRadius: "4px 4px 4px 0",
    backgroundColor: "var(--member)",
    color: "var(--ink)",
    font: "600 11px/16px system-ui, sans-serif",
    whiteSpace: "nowrap",
    maxWidth: "16em",
    overflow: "hidden",
    textOverflow: "ellipsis",
  },
  ".cm-remote-label.below": { bottom: "auto", top: "100%", borderRadius: "0 4px 4px 4px" },
});
