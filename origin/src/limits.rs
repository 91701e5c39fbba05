//! The sizes and counts of one origin and its stores.

/// Rooms in one answer to an operator, if not fewer are asked for.
pub const ADMIN_ROOMS: usize = 100;
/// The most of them that can be asked for.
pub const ADMIN_ROOMS_MAX: usize = 1000;
/// Dirty files of a room that an operator is shown.
pub const ADMIN_FILES: usize = 100;
/// Rooms whose logs a metric names: the largest.
pub const LARGEST_ROOMS: usize = 10;
/// Parked files of a room that its room store keeps for operators.
pub const PARKED_SHOWN: usize = 100;
/// Bytes of a reason that it keeps.
pub const REASON_BYTES: usize = 1000;
/// Messages that wait on one room.
pub const ROOM_INBOX: usize = 1024;
