/** Room events: the JSON that travels as stateless messages of the document `.room`. */

/** A file as the tree lists it. */
export interface TreeEntry {
  id: string;
  path: string;
}

/** What the server tells a room. Times (`at`) are microseconds. */
export type RoomEvent =
  | { type: "chat"; id: string; member: { id: string; name: string }; text: string; at: number }
  | { type: "files"; changes: ({ op: "create" | "rename" | "delete" } & TreeEntry)[] }
  | { type: "stored"; epoch: number; files: { id: string; path: string; seq: number; at: number }[] }
  | { type: "logged"; file: string; seq: number }
  | { type: "link"; state: "up" | "down" }
  | { type: "hold"; why: string }
  | { type: "role"; role: string }
  | { type: "error"; code: string; reason: string; file?: string };

/** What this page tells the room. */
export type RoomMessage = { type: "chat"; text: string } | { type: "visible-files"; files: string[] };

type Shape = { [name: string]: "string" | "number" | Shape | [Shape] };

const SHAPES: Record<RoomEvent["type"], Shape> = {
  chat: { id: "string", member: { id: "string", name: "string" }, text: "string", at: "number" },
  files: { changes: [{ op: "string", id: "string", path: "string" }] },
  stored: { files: [{ id: "string", path: "string", seq: "number", at: "number" }] },
  logged: { file: "string", seq: "number" },
  link: { state: "string" },
  hold: { why: "string" },
  role: { role: "string" },
  error: { code: "string", reason: "string" },
};

/** Reads one event; `null` for what is malformed or unknown, which a newer server may send. */
export function readRoomEvent(payload: string): RoomEvent | null {
  let event: unknown;
  try {
    event = JSON.parse(payload);
  } catch {
    return null;
  }
  const type = (event as { type?: unknown } | null)?.type;
  if (typeof type !== "string" || !Object.hasOwn(SHAPES, type)) return null;
  return fits(event, SHAPES[type as RoomEvent["type"]]) ? (event as RoomEvent) : null;
}

function fits(value: unknown, shape: Shape): boolean {
  if (typeof value !== "object" || value === null) return false;
  return Object.entries(shape).every(([name, kind]) => {
    const field: unknown = (value as Record<string, unknown>)[name];
    if (typeof kind === "string") return typeof field === kind;
    if (Array.isArray(kind)) return Array.isArray(field) && field.every((item) => fits(item, kind[0]));
    return fits(field, kind);
  });
}
