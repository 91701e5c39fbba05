//! Who is in a room, by origin: a list under each lease, which is nothing without it.

use serde::{Deserialize, Serialize};
use shared::id::RoomId;

use super::{RedisStore, keys::Keys, record::damaged, reply::Reply, script, script::Call};
use crate::room_store::{Listed, ListedMember, StoreError};

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

impl RedisStore {
    pub(super) async fn write_list(
        &self,
        room: &RoomId,
        origin: &str,
        members: &[ListedMember],
    ) -> Result<(), StoreError> {
        let call = call(&script::LIST, room).text(origin).text(encode(members)?);
        call.run(&self.bulk).await.map(drop)
    }

    pub(super) async fn read_lists(&self, room: &RoomId) -> Result<Vec<Listed>, StoreError> {
        let mut reply = Reply::new(call(&script::LISTED, room).run(&self.bulk).await?)?;
        let mut lists = Vec::with_capacity(reply.left() / 2);
        while reply.left() > 0 {
            let (origin, list) = (reply.take()?, reply.take::<Vec<u8>>()?);
            lists.push(Listed { origin, members: decode(&list)? });
        }
        Ok(lists)
    }
}

fn call(script: &'static script::Script, room: &RoomId) -> Call {
    let keys = Keys::new(room);
    script.call().key(keys.meta()).key(keys.members()).key(keys.listed())
}

fn encode(members: &[ListedMember]) -> Result<String, StoreError> {
    serde_json::to_string(&List { v: VERSION, members: members.to_vec() }).map_err(damaged)
}

/// A list of a newer version says nothing to this one.
fn decode(list: &[u8]) -> Result<Option<Vec<ListedMember>>, StoreError> {
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
        assert_eq!(encode(std::slice::from_ref(&ada)).unwrap(), list);
        assert_eq!(decode(list.as_bytes()).unwrap(), Some(vec![ada]));
        assert_eq!(decode(br#"{"v":2,"who":"else"}"#).unwrap(), None);
        assert_eq!(decode(b"").unwrap(), None);
        assert!(decode(b"{}").is_err());
    }
}
