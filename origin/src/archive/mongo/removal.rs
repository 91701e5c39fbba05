//! Deleting a shard: its document first, with which it is gone, then its files, then their pieces.
//!
//! A removal that stops in between leaves files or pieces that nobody reads. The next removal or making of that id
//! clears them away.

use std::collections::HashSet;

use mongodb::bson::{Document, doc};
use shared::id::RoomId;

use super::{connection::Connection, failure::Failure, reading::Head, record};
use crate::archive::ArchiveError;

impl Connection {
    /// See [`crate::archive::Archive::delete`].
    pub(super) async fn delete(&self, id: &RoomId) -> Result<bool, ArchiveError> {
        // Looked at before the shard: none of these can belong to a making that begins later.
        let mut makings = HashSet::new();
        for collection in [&self.files, &self.pieces] {
            for left in self.records(collection, record::of_shard(id), Some(doc! { "gen": 1 })).await? {
                makings.insert(record::making_of(&left)?);
            }
        }
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
            self.remove(record::of_making(record::of_shard(id), making)).await?;
        }
        Ok(is_gone)
    }

    /// Removes files that no shard has, and then their pieces: no record names what is not there.
    pub(super) async fn remove(&self, left: Document) -> Result<(), Failure> {
        self.write(self.files.delete_many(left.clone())).await?;
        self.write(self.pieces.delete_many(left)).await.map(drop)
    }
}
