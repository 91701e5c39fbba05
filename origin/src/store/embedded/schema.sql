-- The room store in one process: what must outlast it. Leases and loaders live in memory.
CREATE TABLE IF NOT EXISTS meta (
    name TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) WITHOUT ROWID;

-- A populated room. Changes up to trimmed_seq may have left the log.
CREATE TABLE IF NOT EXISTS rooms (
    room TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    trimmed_seq INTEGER NOT NULL
);

-- created_ts: when a file became dirty, if no row of the log says so: it was claimed, or its log was compacted.
-- NULL once it was flushed.
CREATE TABLE IF NOT EXISTS names (
    room TEXT NOT NULL,
    file TEXT NOT NULL,
    path TEXT NOT NULL,
    created_ts INTEGER,
    PRIMARY KEY (room, file)
);

CREATE TABLE IF NOT EXISTS bases (
    room TEXT NOT NULL,
    file TEXT NOT NULL,
    ts INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (room, file)
);

-- A base that the archive lacks: up to where it has the file. A row that is not of the base's ts says nothing.
CREATE TABLE IF NOT EXISTS compacted (
    room TEXT NOT NULL,
    file TEXT NOT NULL,
    base_ts INTEGER NOT NULL,
    stored_seq INTEGER NOT NULL,
    PRIMARY KEY (room, file)
);

-- A file with rows here is dirty; the first row is its first unflushed change.
CREATE TABLE IF NOT EXISTS log (
    room TEXT NOT NULL,
    seq INTEGER NOT NULL,
    file TEXT NOT NULL,
    ts INTEGER NOT NULL,
    hub TEXT NOT NULL,
    hub_seq INTEGER NOT NULL,
    channel INTEGER NOT NULL,
    bytes BLOB NOT NULL,
    PRIMARY KEY (room, seq)
);

-- The number of the last event that was logged of each hub. With an empty hub: the room's deletion was begun.
CREATE TABLE IF NOT EXISTS marks (
    room TEXT NOT NULL,
    hub TEXT NOT NULL,
    hub_seq INTEGER NOT NULL,
    PRIMARY KEY (room, hub)
);
