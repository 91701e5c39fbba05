//! Who a member is and what the member may do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a member may do in a room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Reads, chats and shows a cursor; changes no file.
    Viewer,
    /// Also changes files.
    Editor,
    /// Also changes roles.
    Owner,
}

impl Role {
    /// Whether the role may change files.
    pub fn may_edit(self) -> bool {
        self >= Role::Editor
    }

    /// The scope as the Hocuspocus protocol spells it.
    pub fn scope(self) -> &'static str {
        if self.may_edit() { "read-write" } else { "readonly" }
    }
}

/// A person in a room.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Member {
    /// The token's subject.
    pub id: Arc<str>,
    /// The name that others see.
    pub name: Arc<str>,
}

/// What admission allows a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who it is.
    pub member: Member,
    /// What the member may do.
    pub role: Role,
    /// When it ends, in milliseconds since the Unix epoch.
    pub expires: Option<u64>,
    /// Counts the changes of this member's rights; an update carries the version it was admitted under.
    pub version: u32,
}
