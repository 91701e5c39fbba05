// The two SQLite files of an origin, read by others while it runs: what is really on the disk.

import { DatabaseSync } from 'node:sqlite';
import * as Y from 'yjs';

/** The archive: `file(shard, path)` with its text, version and decoded document, and `files(shard)`. */
export function openArchive(path) {
  const database = new DatabaseSync(path, { readOnly: true });
  const one = database.prepare('SELECT * FROM files WHERE shard = ? AND path = ?');
  const all = database.prepare(
    'SELECT fid, path, ver, ts, stored_at FROM files WHERE shard = ? ORDER BY path',
  );
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

/** The room store: `holds(room)` says whether a row of any table speaks of a room. */
export function openRooms(path) {
  const database = new DatabaseSync(path, { readOnly: true });
  const named = database.prepare(
    `SELECT m.name FROM sqlite_schema AS m, pragma_table_info(m.name) AS c
     WHERE m.type = 'table' AND c.name = 'room'`,
  );
  const any = named.all().map(({ name }) => database.prepare(`SELECT 1 FROM ${name} WHERE room = ? LIMIT 1`));
  return {
    holds: (room) => any.some((rows) => rows.get(room)),
    close: () => database.close(),
  };
}

/** Holds a database's write lock until it is closed. */
export function lockForWriting(path) {
  const database = new DatabaseSync(path);
  database.exec('BEGIN IMMEDIATE');
  return database;
}

/** Whether two documents hold the same insertions and deletions, and read the same. */
export function sameDocument(one, other) {
  const same = Y.equalSnapshots(Y.snapshot(one), Y.snapshot(other));
  return same && one.getText('content').toString() === other.getText('content').toString();
}
