//! What is known of a room beside its text: kept in its meta hash, so that it goes with the room.

use serde::{Deserialize, Serialize, de::DeserializeOwned};
use shared::id::{FileId, RoomId};

use super::{RedisStore, keys::Keys, record::damaged, reply::Reply, script};
use crate::room_store::{FailedFlush, Outcome, SetAside, StoreError, Survey};

/// The format of what is kept.
const VERSION: u32 = 1;

/// Something that is kept, as it stands in Redis.
#[derive(Serialize, Deserialize)]
struct Kept<T> {
    v: u32,
    it: T,
}

#[derive(Deserialize)]
struct Head {
    v: u32,
}

impl RedisStore {
    pub(super) async fn write_outcome(&self, room: &RoomId, outcome: Outcome) -> Result<(), StoreError> {
        let call = script::TELL.call().key(Keys::new(room).meta());
        let call = call.text(outcome.flushed_at.map(|at| at.to_string()).unwrap_or_default());
        let call = call.text(encode(outcome.failed)?).text(encode(outcome.parked)?);
        call.run(&self.bulk).await.map(drop)
    }

    pub(super) async fn read_survey(&self, room: &RoomId, files: &[FileId]) -> Result<Survey, StoreError> {
        let keys = Keys::new(room);
        let call = script::SURVEY.call().key(keys.meta()).key(keys.seal()).key(keys.log(&FileId::room()));
        let call = call.keys(files.iter().map(|file| keys.log(file)));
        let mut reply = Reply::new(call.run(&self.bulk).await?)?;
        // The first of them is the log of the events.
        let (mut file_bytes, deletion_left) = (reply.take::<Vec<u64>>()?, reply.take::<u8>()? == 1);
        let log_bytes = file_bytes.iter().sum();
        file_bytes.drain(..1.min(file_bytes.len()));
        let flushed_at = match reply.take::<String>()?.as_str() {
            "" => None,
            at => Some(at.parse().map_err(damaged)?),
        };
        let failed = decode::<FailedFlush>(&reply.take::<String>()?)?;
        let parked = decode::<Vec<SetAside>>(&reply.take::<String>()?)?;
        Ok(Survey { log_bytes, file_bytes, deletion_left, outcome: Outcome { flushed_at, failed, parked } })
    }
}

fn encode<T: Serialize>(it: Option<T>) -> Result<String, StoreError> {
    let Some(it) = it else { return Ok(String::new()) };
    serde_json::to_string(&Kept { v: VERSION, it }).map_err(damaged)
}

/// What a newer version has kept says nothing to this one.
fn decode<T: DeserializeOwned>(kept: &str) -> Result<Option<T>, StoreError> {
    if kept.is_empty() || serde_json::from_str::<Head>(kept).map_err(damaged)?.v > VERSION {
        return Ok(None);
    }
    Ok(Some(serde_json::from_str::<Kept<T>>(kept).map_err(damaged)?.it))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_has_its_form_and_a_newer_one_is_passed_over() {
        let failed = FailedFlush { at: 7, reason: "away".to_owned() };
        let kept = r#"{"v":1,"it":{"at":7,"reason":"away"}}"#;
        assert_eq!(encode(Some(&failed)).unwrap(), kept);
        assert_eq!(decode(kept).unwrap(), Some(failed));
        assert_eq!(decode::<FailedFlush>(r#"{"v":2,"what":1}"#).unwrap(), None);
        assert_eq!(decode::<FailedFlush>("").unwrap(), None);
        assert!(decode::<FailedFlush>("{}").is_err());
    }
}
