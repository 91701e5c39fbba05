//! Who a member is and what the member may do.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{id::FilePath, limits, path_pattern::PathPattern};

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
    pub name: MemberName,
}

impl Member {
    /// Somebody whom no token names: under an id made of these random bits and the name asked for.
    pub fn guest(name: Option<&str>, random: u64) -> Self {
        Self { id: format!("guest-{random:016x}").into(), name: name.unwrap_or_default().into() }
    }
}

/// The name that others see of a member: made of whatever somebody calls themselves, the same at every door. Without
/// control characters and blanks around it, cut to [`limits::NAME_CHARS`]; [`Self::default`] if nothing is left.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub struct MemberName(Arc<str>);

impl MemberName {
    /// What can be shown of a text, if anything can.
    pub fn given(text: &str) -> Option<Self> {
        let clean: String = text.chars().filter(|c| !c.is_control()).collect();
        let cut: String = clean.trim().chars().take(limits::NAME_CHARS).collect();
        Some(cut.trim_end()).filter(|name| !name.is_empty()).map(|name| Self(name.into()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for MemberName {
    /// Of somebody who gives none.
    fn default() -> Self {
        Self("Guest".into())
    }
}

impl From<&str> for MemberName {
    fn from(text: &str) -> Self {
        Self::given(text).unwrap_or_default()
    }
}

impl From<String> for MemberName {
    fn from(text: String) -> Self {
        text.as_str().into()
    }
}

impl From<MemberName> for String {
    fn from(name: MemberName) -> String {
        name.0.to_string()
    }
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
    /// What a guest may do where no tokens are required: edit everything.
    pub fn of_guest(guest: Member) -> Self {
        Self { member: guest, role: Role::Editor, expires: None, version: 0, rules: [].into() }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_an_editor_under_the_name_asked_for() {
        let grant = Grant::of_guest(Member::guest(Some(" Ada "), 0x0123_4567_89ab_cdef));
        assert_eq!((grant.role, grant.member.name.as_str()), (Role::Editor, "Ada"));
        assert_eq!(&*grant.member.id, "guest-0123456789abcdef");
        assert_eq!(Member::guest(None, 7).name, MemberName::default());
        assert_ne!(Member::guest(None, 7).id, Member::guest(None, 8).id);
    }

    #[test]
    fn a_name_is_what_can_be_shown_of_it() {
        let name = |text: &str| String::from(MemberName::from(text));
        for (text, shown) in [
            (" Ada\n ", "Ada"),
            ("a\0b", "ab"),
            ("\u{1b}[31m", "[31m"),
            ("", "Guest"),
            (" \n\u{7f} ", "Guest"),
            ("\n \u{e4}", "\u{e4}"),
        ] {
            assert_eq!(name(text), shown, "{text:?}");
        }
        assert_eq!(name(&"\u{e4}".repeat(64)), "\u{e4}".repeat(64));
        assert_eq!(name(&"a".repeat(65)), "a".repeat(64));
        assert_eq!(name(&format!("{} b", "a".repeat(63))), "a".repeat(63));
        assert_eq!(serde_json::from_str(r#""a\u0000b""#).ok(), MemberName::given("ab"));
    }
}
