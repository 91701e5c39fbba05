// The two SQLite files of an origin, read by others while it runs: what is really on the disk.

import { DatabaseSync } from 'node:sqlite';
import * as Y from 'yjs';

/** The archive: `file(shard, path)` with its text, version and decoded document, and `files(shard)`. */
export function openArchive(path) {
  const database = new DatabaseSync(path, { readOnly: true });
  const one = database.prepare('SELECT fid, path, ver, ts, text, state FROM files WHERE shard = ? AND path = ?');
  const all = database.prepare('SELECT fid, path, ver, ts, stored_at FROM files WHERE shard = ? ORDER BY path');
  return {
    file(shard, path) {
      const row = one.get(shard, path);
      if (!row) return undefined;
      const doc = new Y.Doc();
      Y.applyUpdate(doc, row.state);
      return { ...row, doc };
    },
    files: (shard) => all.all(shard),
    close: () => database.close(),
  };
}

/** The room store: `left(room)` counts the rows of every table that still speak of a room. */
export function openRooms(path) {
  const database = new DatabaseSync(path, { readOnly: true });
  const named = database.prepare(
    "SELECT m.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table' AND c.name = 'room'",
  );
  const counts = named.all().map(({ name }) => [
    name,
    database.prepare(`SELECT count(*) AS rows FROM ${name} WHERE room = ?`),
  ]);
  return {
    left: (room) => Object.fromEntries(counts.map(([name, count]) => [name, count.get(room).rows])),
    holds: (room) => counts.some(([, count]) => count.get(room).rows > 0),
    close: () => database.close(),
  };
}

/** Whether two documents hold the same insertions and deletions, and read the same. */
export function sameDocument(one, other) {
  const same = Y.equalSnapshots(Y.snapshot(one), Y.snapshot(other));
  return same && one.getText('content').toString() === other.getText('content').toString();
}
