//! Why a room does not do what it is asked.

/// Why a room does not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RoomError {
    /// There is no such room.
    #[error("no such room")]
    NoRoom,
    /// There is no such file in the room.
    #[error("no such file")]
    NoFile,
    /// This origin takes no hubs any more.
    #[error("this origin is draining")]
    Draining,
    /// Anything else.
    #[error("room: {0}")]
    Failed(String),
}
