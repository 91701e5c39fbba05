//! Who is at an origin, as it stands in Redis.

use serde::{Deserialize, Serialize};

use super::record::damaged;
use crate::store::{ListedMember, StoreError};

/// The format of a list.
const VERSION: u32 = 1;

/// What stands in Redis for an origin.
#[derive(Serialize, Deserialize)]
struct List {
    v: u32,
    members: Vec<ListedMember>,
}

#[derive(Deserialize)]
struct Head {
    v: u32,
}

/// The list as it is kept.
pub(super) fn encode(members: Vec<ListedMember>) -> Result<String, StoreError> {
    serde_json::to_string(&List { v: VERSION, members }).map_err(damaged)
}

/// A list of a newer version says nothing to this one.
pub(super) fn decode(list: &[u8]) -> Result<Option<Vec<ListedMember>>, StoreError> {
    if list.is_empty() || serde_json::from_slice::<Head>(list).map_err(damaged)?.v > VERSION {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice::<List>(list).map_err(damaged)?.members))
}

#[cfg(test)]
mod tests {
    use shared::grant::Role;

    use super::*;

    #[test]
    fn a_list_keeps_its_form_and_a_newer_one_is_passed_over() {
        let ada = ListedMember {
            id: "u1".to_owned(),
            name: "Ada".to_owned(),
            role: Role::Editor,
            region: "weur".to_owned(),
        };
        let list = r#"{"v":1,"members":[{"id":"u1","name":"Ada","role":"editor","region":"weur"}]}"#;
        assert_eq!(encode(vec![ada.clone()]).unwrap(), list);
        assert_eq!(decode(list.as_bytes()).unwrap(), Some(vec![ada]));
        assert_eq!(decode(br#"{"v":2,"who":"else"}"#).unwrap(), None);
        assert_eq!(decode(b"").unwrap(), None);
        assert!(decode(b"{}").is_err());
    }
}
