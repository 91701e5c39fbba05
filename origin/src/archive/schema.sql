-- The embedded archive. Each record says in which format it was written.
CREATE TABLE IF NOT EXISTS shards (
    id TEXT PRIMARY KEY,
    format INTEGER NOT NULL,
    title TEXT NOT NULL,
    template TEXT,
    last_sync_timestamp INTEGER NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE IF NOT EXISTS files (
    shard TEXT NOT NULL,
    fid TEXT NOT NULL,
    format INTEGER NOT NULL,
    path TEXT NOT NULL,
    ver INTEGER NOT NULL,
    ts INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    wid TEXT NOT NULL,
    eol TEXT NOT NULL,
    stored_at INTEGER NOT NULL,
    text TEXT NOT NULL,
    state BLOB NOT NULL,
    PRIMARY KEY (shard, fid)
);

CREATE UNIQUE INDEX IF NOT EXISTS files_by_path ON files (shard, path);
