//! Deleting a shard: its document first, with which it is gone, then its files.
//!
//! A removal that stops between the two leaves files that nobody reads. The next removal or making of that id
//! clears them away.

use std::collections::HashSet;

use mongodb::bson::doc;
use shared::id::RoomId;

use super::{connection::Connection, reading::Head, record};
use crate::archive::ArchiveError;

impl Connection {
    /// See [`crate::archive::Archive::delete`].
    pub(super) async fn delete(&self, id: &RoomId) -> Result<bool, ArchiveError> {
        // Looked at before the shard: none of these can belong to a making that begins later.
        let files = self.records(record::of_shard(id), Some(doc! { "gen": 1 })).await?;
        let mut makings = files.iter().map(record::making_of).collect::<Result<HashSet<_>, _>>()?;
        let mut is_gone = false;
        match self.any_head(id).await? {
            Some(Head { step: Some(_), .. }) => return Ok(false),
            Some(Head { making, step: None }) => {
                let shard = record::of_making(doc! { "_id": id.as_str() }, making);
                is_gone = self.write(self.shards.delete_one(shard)).await?.deleted_count > 0;
                makings.insert(making);
            }
            None => {}
        }
        for making in makings {
            let left = record::of_making(record::of_shard(id), making);
            self.write(self.files.delete_many(left)).await?;
        }
        Ok(is_gone)
    }
}
