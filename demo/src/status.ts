/**
 * What the page may say about a file: Saved only for what the server has acknowledged, and it
 * acknowledges only what is logged. Pure, so that every case is a test.
 */

/** What is known of a file's way to the server. */
export interface Delivery {
  /** The socket is open and the document has not been closed. */
  connected: boolean;
  /** The edge reaches its origin (`link` room events). */
  linked: boolean;
  /** The document has been synchronised since the socket opened. */
  synced: boolean;
  /** Changes without an acknowledgement. */
  unsynced: number;
}

/** The save status of a file. */
export type SaveStatus = "saved" | "saving" | "offline";

/** The words that the page shows. */
export const STATUS_LABEL: Record<SaveStatus, string> = { saved: "Saved", saving: "Saving", offline: "Offline" };

/** The status of a file that is open. */
export function saveStatus({ connected, linked, synced, unsynced }: Delivery): SaveStatus {
  if (!connected) return "offline";
  if (synced && unsynced === 0) return "saved";
  return linked ? "saving" : "offline";
}

/** How far a file has come, beyond its status. */
export interface Levels {
  /** The room's number of this page's last logged change, if the server said so. */
  logged: number | undefined;
  /** What the archive has. */
  stored: { seq: number; at: Date } | undefined;
}

/** The sentence behind a status: what was received, logged and stored. */
export function statusTitle(status: SaveStatus, unsynced: number, { logged, stored }: Levels): string {
  const changes = unsynced === 1 ? "1 change" : `${unsynced} changes`;
  const parts = {
    saved: ["The server has logged every change made here."],
    saving: [`${changes} on the way to the server.`],
    offline: unsynced > 0 ? [`${changes} kept here until the server can be reached.`] : ["The server cannot be reached."],
  }[status];
  if (logged !== undefined) parts.push(`Logged up to change ${logged}.`);
  if (stored) parts.push(`Stored up to change ${stored.seq}, at ${stored.at.toLocaleTimeString()}.`);
  return parts.join(" ");
}
