import { autocompletion, closeBrackets, closeBracketsKeymap, completionKeymap } from "@codemirror/autocomplete";
import { defaultKeymap, indentWithTab } from "@codemirror/commands";
import { bracketMatching, foldGutter, foldKeymap, indentOnInput, syntaxHighlighting } from "@codemirror/language";
import { highlightSelectionMatches, searchKeymap } from "@codemirror/search";
import { Compartment, EditorState, type Extension } from "@codemirror/state";
import {
  EditorView,
  drawSelection,
  dropCursor,
  highlightActiveLine,
  highlightActiveLineGutter,
  highlightSpecialChars,
  keymap,
  lineNumbers,
  rectangularSelection,
} from "@codemirror/view";
import { yCollab, yUndoManagerKeymap } from "y-codemirror.next";
import * as Y from "yjs";
import { cursors } from "./cursors";
import type { OpenFile } from "./file";
import { languageOf } from "./languages";
import { highlighting, look } from "./theme";

/** The one editor of the page. It shows one file at a time; the others stay current in their documents. */
export class Editor {
  readonly view: EditorView;
  #shown: { file: OpenFile; path: string; off: () => void } | null = null;
  readonly #access = new Compartment();
  readonly #language = new Compartment();

  constructor(parent: HTMLElement) {
    this.view = new EditorView({ parent, state: EditorState.create({ extensions: [look, EditorView.editable.of(false)] }) });
  }

  /** The file that is shown. */
  get file(): OpenFile | null {
    return this.#shown?.file ?? null;
  }

  /** The editor's own text, which must equal the document's. */
  get text(): string {
    return this.view.state.doc.toString();
  }

  /** Shows a file. Its state is built from the document's text: a kept one would be stale. */
  show(file: OpenFile, path: string): void {
    this.#leave();
    const built = () => this.view.setState(this.#stateOf(file, path));
    const offs = [
      file.on("document", built),
      file.on("loaded", () => this.#allow(file)),
      file.on("status", () => this.#allow(file)),
    ];
    this.#shown = { file, path, off: () => offs.forEach((off) => off()) };
    built();
    void languageOf(path).then(
      (language) => {
        if (this.file === file) this.view.dispatch({ effects: this.#language.reconfigure(language) });
      },
      () => undefined,
    );
    this.view.dispatch({ effects: EditorView.scrollIntoView(this.view.state.selection.main, { y: "center" }) });
  }

  /** Shows nothing. */
  clear(): void {
    this.#leave();
    this.view.setState(EditorState.create({ extensions: [look, EditorView.editable.of(false)] }));
  }

  focus(): void {
    this.view.focus();
  }

  #leave(): void {
    if (!this.#shown) return;
    const { file, off } = this.#shown;
    const { anchor, head } = this.view.state.selection.main;
    const at = (index: number) => Y.createRelativePositionFromTypeIndex(file.text, index);
    file.caret = { anchor: at(anchor), head: at(head) };
    off();
    this.#shown = null;
  }

  #allow(file: OpenFile): void {
    if (this.view.state.readOnly !== file.readOnly) {
      this.view.dispatch({ effects: this.#access.reconfigure(accessOf(file)) });
    }
  }

  #stateOf(file: OpenFile, path: string): EditorState {
    const doc = file.text.toString();
    const at = (place: Y.RelativePosition | undefined) =>
      Math.min((place && Y.createAbsolutePositionFromRelativePosition(place, file.doc)?.index) ?? 0, doc.length);
    return EditorState.create({
      doc,
      selection: { anchor: at(file.caret?.anchor), head: at(file.caret?.head) },
      extensions: [
        look,
        editing,
        EditorView.contentAttributes.of({
          "aria-label": `Text of ${path}`,
          "aria-description": "Escape, then Tab, leaves the editor.",
        }),
        this.#access.of(accessOf(file)),
        this.#language.of([]),
        keymap.of(yUndoManagerKeymap),
        yCollab(file.text, null, { undoManager: file.undo }),
        cursors(file),
        keymaps,
      ],
    });
  }
}

function accessOf(file: OpenFile): Extension {
  return EditorState.readOnly.of(file.readOnly);
}

const editing: Extension = [
  // A line break is one character to CodeMirror: with "\r\n" in the text, positions would drift apart.
  EditorState.lineSeparator.of("\n"),
  EditorView.clipboardInputFilter.of((text) => text.replace(/\r\n?/g, "\n")),
  EditorState.allowMultipleSelections.of(true),
  EditorState.tabSize.of(2),
  lineNumbers(),
  highlightActiveLineGutter(),
  highlightSpecialChars(),
  foldGutter(),
  drawSelection(),
  dropCursor(),
  indentOnInput(),
  syntaxHighlighting(highlighting),
  bracketMatching(),
  closeBrackets(),
  autocompletion(),
  rectangularSelection(),
  highlightActiveLine(),
  highlightSelectionMatches(),
];

const keymaps = keymap.of([
  // All is saved by itself; the browser's dialog would only be in the way.
  { key: "Mod-s", run: () => true, preventDefault: true },
  ...closeBracketsKeymap,
  ...defaultKeymap,
  ...searchKeymap,
  ...foldKeymap,
  ...completionKeymap,
  indentWithTab,
]);
