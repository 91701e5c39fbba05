//! Who is let in and as what: the one place where that is decided.

use std::sync::Arc;

use shared::{
    grant::{Grant, Member, Role},
    hub::Denial,
};

/// Longest name of a member, in characters.
const NAME_CHARS: usize = 80;
/// The name of somebody who gives none.
const NO_NAME: &str = "Guest";

/// The rule by which people are let in. With `AUTH=open`, the only one so far, anybody is an editor.
#[derive(Clone, Copy, Debug)]
pub struct Access {
    role: Role,
}

/// What a socket brought along about its member.
#[derive(Clone, Debug, Default, serde::Deserialize)]
pub struct Credentials {
    /// `?token=`.
    pub token: Option<String>,
    /// `?name=`: the name that others see.
    pub name: Option<String>,
}

impl Access {
    /// `AUTH=open`: any token is accepted.
    pub fn open() -> Self {
        Self { role: Role::Editor }
    }

    /// Who is on a socket: a made-up id, the name as asked for.
    pub fn introduce(&self, credentials: &Credentials) -> Member {
        let id = format!("guest-{:016x}", rand::random::<u64>());
        Member { id: id.into(), name: name_of(credentials.name.as_deref()) }
    }

    /// The verdict on a token of that member. A token is read for every document that is opened.
    pub fn admit(&self, member: &Member, token: &str) -> Result<Grant, Denial> {
        // Without keys there is nothing to check a token against.
        let _ = token;
        Ok(Grant { member: member.clone(), role: self.role, expires: None, version: 0 })
    }
}

fn name_of(asked: Option<&str>) -> Arc<str> {
    let clean: String =
        asked.unwrap_or_default().chars().filter(|c| !c.is_control()).take(NAME_CHARS).collect();
    match clean.trim() {
        "" => NO_NAME.into(),
        name => name.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn anybody_is_an_editor_under_the_name_asked_for() {
        let access = Access::open();
        let asked = |name: &str| access.introduce(&Credentials { name: Some(name.to_owned()), token: None });
        assert_eq!(&*asked(" Ada\n ").name, "Ada");
        assert_eq!(&*asked("").name, NO_NAME);
        assert_eq!(asked(&"x".repeat(500)).name.len(), NAME_CHARS);
        let (one, other) = (asked("Ada"), asked("Ada"));
        assert_ne!(one.id, other.id);
        assert_eq!(
            access.admit(&one, "anything").map(|grant| (grant.member, grant.role)),
            Ok((one, Role::Editor))
        );
    }
}
