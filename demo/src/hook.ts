import type { OpenFile } from "./file";
import type { SaveStatus } from "./status";
import type { Workspace } from "./workspace";

/** What tests (and the curious, from the console) can see of a file that is open. */
interface FileView {
  text: string;
  /** The text of the editor, if it shows this file. */
  editorText: string | null;
  status: SaveStatus;
  unsynced: number;
}

declare global {
  interface Window {
    edgeroom?: { room: Workspace["room"]; readonly files: Record<string, FileView>; show: (path: string) => void };
  }
}

/** Publishes `window.edgeroom`. */
export function publish(workspace: Workspace): void {
  const { room, editor } = workspace;
  const viewOf = (file: OpenFile): FileView => ({
    text: file.text.toString(),
    editorText: editor.file === file ? editor.text : null,
    status: file.status,
    unsynced: file.unsynced,
  });
  window.edgeroom = {
    room,
    get files() {
      return Object.fromEntries([...room.open].map(([entry, file]) => [entry.path, viewOf(file)]));
    },
    show(path) {
      const entry = room.tree.get(path);
      if (entry) workspace.show(entry);
    },
  };
}
