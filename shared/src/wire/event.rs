//! Room events: JSON with a `type`, the same for every kind of client.

mod read;

use serde::{Deserialize, Serialize};

pub use self::read::{read, read_attributed, stored_files, tree_changes, visible_files};
pub use super::json::RawJson;
use crate::{
    grant::{Member, Role},
    id::{FileId, FilePath},
    limits,
};

/// An event from a member.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum EventIn {
    /// Says something to everybody in the room; logged.
    Chat {
        /// What is said.
        text: String,
    },
    /// Which files the member looks at, by path.
    VisibleFiles {
        /// The paths.
        files: Vec<FilePath>,
    },
    /// Anything, to everybody who is here at the moment; not logged.
    Broadcast {
        /// What the application makes of it.
        data: RawJson,
    },
}

/// Why an event is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EventError {
    /// Longer than [`limits::EVENT_BYTES`].
    #[error("an event has at most {} bytes", limits::EVENT_BYTES)]
    TooLong,
    /// Nests deeper than [`limits::JSON_DEPTH`].
    #[error("an event nests at most {} levels", limits::JSON_DEPTH)]
    TooDeep,
    /// Not an event: no JSON, no type that is known, or not the fields of that type.
    #[error("this is not an event that a member can send")]
    Malformed,
    /// A chat text longer than [`limits::CHAT_BYTES`].
    #[error("a chat message has at most {} bytes", limits::CHAT_BYTES)]
    ChatTooLong,
    /// More visible files than a room has, or something that is no path.
    #[error("visible files are at most {} file paths", limits::FILES)]
    Files,
}

impl EventError {
    /// The stable word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::TooLong => "event-too-long",
            Self::TooDeep => "event-too-deep",
            Self::Malformed => "bad-event",
            Self::ChatTooLong => "chat-too-long",
            Self::Files => "bad-files",
        }
    }
}

/// An event with its author, as a hub passes it on: the author may be gone when it arrives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Attributed {
    /// Whose it is.
    pub member: Member,
    /// What it is.
    pub event: EventIn,
}

impl Attributed {
    /// The bytes for the link.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// An event for members.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum EventOut {
    /// A member says something.
    Chat {
        /// Names the message, the same for everybody and at every delivery.
        id: String,
        /// Who says it.
        member: Member,
        /// What is said.
        text: String,
        /// When it was logged, in microseconds since the Unix epoch.
        at: u64,
    },
    /// Which files a member looks at.
    VisibleFiles {
        /// Who looks.
        member: Member,
        /// The paths.
        files: Vec<FilePath>,
    },
    /// Anything from a member's application.
    Broadcast {
        /// Who sends it.
        member: Member,
        /// What the application makes of it.
        data: RawJson,
    },
    /// The file tree has changed.
    Files {
        /// The changes in order.
        changes: Vec<FileChange>,
    },
    /// The receiver's own role has changed.
    Role {
        /// The role from now on.
        role: Role,
    },
    /// A change of the receiver is in the log.
    Logged {
        /// The file.
        file: FileId,
        /// The room's seq of the change.
        seq: u64,
    },
    /// Files are in the archive.
    Stored {
        /// The epoch in which `seq` counts.
        epoch: u64,
        /// What of which file.
        files: Vec<StoredFile>,
    },
    /// Whether the archive keeps up.
    Storing {
        /// How it stands.
        state: StoringState,
    },
    /// The connection between the members' region and the origin.
    Link {
        /// How it stands.
        state: LinkState,
    },
    /// The room store takes no changes at the moment; they are kept.
    Hold {
        /// Why, in a stable word.
        why: String,
    },
    /// Something was refused or went wrong.
    Error {
        /// What, in a stable word.
        code: String,
        /// Why, for people.
        reason: String,
        /// The file, if it is about one.
        #[serde(skip_serializing_if = "Option::is_none")]
        file: Option<FileId>,
    },
}

impl EventOut {
    /// A new file.
    pub fn created(id: &FileId, path: &FilePath) -> Self {
        Self::Files { changes: vec![FileChange { op: FileOp::Create, id: id.clone(), path: path.clone() }] }
    }

    /// The event as members get it.
    pub fn to_json(&self) -> String {
        // Nothing in an event can fail to be JSON: its maps have text keys.
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// One change of the file tree.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileChange {
    /// What happened.
    pub op: FileOp,
    /// The file.
    pub id: FileId,
    /// Its path: the new one after a rename, the last one after a deletion.
    pub path: FilePath,
}

/// What happens to a file in the tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FileOp {
    /// It is new.
    Create,
    /// It has another path.
    Rename,
    /// It is gone.
    Delete,
}

/// What the archive has of one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredFile {
    /// The file.
    pub id: FileId,
    /// Its path.
    pub path: FilePath,
    /// The room's seq of the last update that the archive has.
    pub seq: u64,
    /// When it was stored, in microseconds since the Unix epoch.
    pub at: u64,
}

/// Whether the archive keeps up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoringState {
    /// Changes wait longer than they should.
    Behind,
    /// They no longer do.
    CaughtUp,
}

/// Whether a region reaches the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkState {
    /// It does.
    Up,
    /// It does not; changes are kept at the edge.
    Down,
}
