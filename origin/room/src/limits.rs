//! The sizes, counts and times of a room that only origins know. Sizes are bytes, times milliseconds.

/// How much further the origin goes than the hub, so that no update is refused after its fan-out.
pub const FILE_SLACK_BYTES: usize = 1 << 20;
/// Largest state that deleting can make of a file: each deleted range divides text, which leaves traces.
pub const FILE_DELETED_BYTES: usize = 16 << 20;
/// How much may be logged or deleted of a file close to its limit until its size is measured again.
pub const FILE_DOUBT_BYTES: usize = 256 << 10;
/// Bytes of a file's log in the room store from which on it is compacted there while the archive does not take the file.
pub const LOG_BYTES: usize = 2 << 20;
/// Updates of a file that are kept so that a text change can be based on them; between this many and twice as many.
pub const TEXT_PAST: usize = 200;
/// Bytes of the same.
pub const TEXT_PAST_BYTES: usize = 1 << 20;
/// How long presence outlives its link before the members are told that it is gone.
pub const PRESENCE_GRACE_MS: u64 = 10_000;
/// Updates and events in one append.
pub const BATCH_CHANGES: usize = 512;
/// Bytes in one append (one larger change is a batch of its own).
pub const BATCH_BYTES: usize = 4 << 20;
/// Bytes of changes that wait for the append before them, per room; more is held at the hubs.
pub const QUEUE_BYTES: usize = 32 << 20;
/// What a room keeps at an origin of what is logged in Redis and not in the archive yet; beyond it, only Redis has it.
pub const UNFLUSHED_BYTES: usize = 32 << 20;
/// Room events kept in the log of a room.
pub const ROOM_EVENTS: usize = 500;
