//! Who a member is and what the member may do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{id::FilePath, path_pattern::PathPattern};

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
    /// Other roles for the files of some paths; the first that fits counts.
    #[serde(default, skip_serializing_if = "no_rules")]
    pub rules: Arc<[Rule]>,
}

fn no_rules(rules: &Arc<[Rule]>) -> bool {
    rules.is_empty()
}

impl Grant {
    /// The role for the file of this path; for the room itself, which has none, that of the member.
    pub fn role_at(&self, path: Option<&FilePath>) -> Role {
        let rule = path.and_then(|path| self.rules.iter().find(|rule| rule.paths.fits(path)));
        rule.map_or(self.role, |rule| rule.role)
    }
}

/// A role for the files of some paths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Which paths.
    pub paths: PathPattern,
    /// What the member may do there.
    pub role: Role,
}
