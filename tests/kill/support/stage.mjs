// What one test of this folder stands on: a data folder of its own, origins on it, members of their rooms.
// When the test ends, however it ends, all of it is gone.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { lockForWriting, openArchive, openRooms } from './databases.mjs';
import { Member } from './member.mjs';
import { Origin } from './origin.mjs';

/** A stage for the test `t`. */
export function setStage(t) {
  const folder = mkdtempSync(join(tmpdir(), 'edgeroom-kill-'));
  const dataDir = join(folder, 'data');
  const [members, origins, databases] = [new Set(), new Set(), new Set()];
  const clear = () => members.forEach((member) => member.leave());
  t.after(async () => {
    clear();
    databases.forEach((database) => database.close());
    await Promise.all([...origins].map((origin) => origin.end('SIGKILL')));
    rmSync(folder, { recursive: true, force: true });
  });
  const opened = (database) => {
    databases.add(database);
    return database;
  };
  return {
    dataDir,
    /** A running origin on the data folder, with these settings beside `AUTH=open`, in this role if one is named. */
    async origin(settings = {}, role) {
      const origin = new Origin({ DATA_DIR: dataDir, ...settings }, role ? [role] : []);
      origins.add(origin);
      await origin.listening();
      return origin;
    },
    /** A person who has a room open, on a socket of their own. */
    member(origin, room) {
      const member = new Member(`${origin.ws}/rooms/${room}`);
      members.add(member);
      return member;
    },
    /** Every member leaves, with all their documents. */
    clear,
    /** What the archive has, read beside the origin. */
    archive: () => opened(openArchive(join(dataDir, 'archive.db'))),
    /** Keeps everybody from writing to the archive until the answer is called. */
    lockArchive() {
      const lock = opened(lockForWriting(join(dataDir, 'archive.db')));
      return () => {
        databases.delete(lock);
        lock.close();
      };
    },
    /** What the room store has, read beside the origin. */
    rooms: () => opened(openRooms(join(dataDir, 'rooms.db'))),
  };
}
