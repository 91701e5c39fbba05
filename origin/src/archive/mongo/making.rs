//! Creating a shard with all its files, or nothing, without a transaction.
//!
//! The maker first reserves the id with a document that nobody reads as a shard, then writes the files, of each
//! large one its pieces first, and then, in one write, makes the document the shard: that is the commit. Files carry the number of their
//! making, and only those of the shard's own making count. A reservation whose maker does not go on is taken
//! over, by a compare-and-set that ends the old making whatever its maker still does.

use std::{collections::HashSet, mem, time::Duration};

use mongodb::bson::{Document, doc};
use shared::id::RoomId;
use tokio::time::{Instant, sleep};

use super::{connection::Connection, failure::Failure, file_record, pieces, reading::Head, record};
use crate::archive::{ArchiveError, FileWrite, NewShard};

/// Files of about this size (bytes of text and state) are written at once, so that each write is well within
/// its deadline.
const AT_ONCE: usize = 4 << 20;
/// How often somebody else's making is looked at.
const GLANCE: Duration = Duration::from_millis(50);

impl Connection {
    /// See [`crate::archive::Archive::create`].
    pub(super) async fn create(&self, shard: &NewShard) -> Result<(), ArchiveError> {
        each_path_once(&shard.files)?;
        self.indexed().await?;
        // 0 is the making of records from before there were any; the sign is not used.
        let making = (rand::random::<i64>() & i64::MAX).max(1);
        self.reserve(&shard.id, making).await?;
        match self.make(shard, making).await {
            Ok(()) => Ok(()),
            Err(error) => self.give_up(&shard.id, making, error).await,
        }
    }

    /// Makes the id this making's own, or says that it is taken.
    async fn reserve(&self, id: &RoomId, making: i64) -> Result<(), ArchiveError> {
        let begun = Instant::now();
        let (mut seen, mut since): (Option<Head>, _) = (None, begun);
        loop {
            let reservation =
                doc! { "_id": id.as_str(), "v": record::SHARD_FORMAT, "gen": making, "making": 0_i64 };
            match self.write(self.shards.insert_one(reservation)).await {
                Ok(_) => return Ok(()),
                Err(Failure::Duplicate(_) | Failure::Lost(_)) => {}
                Err(failure) => return Err(failure.into()),
            }
            match self.any_head(id).await? {
                Some(head) if head.making == making => return Ok(()),
                Some(Head { step: None, .. }) => return Err(ArchiveError::Taken),
                found if found != seen => (seen, since) = (found, Instant::now()),
                Some(head)
                    if since.elapsed() >= self.deadlines.making
                        && self.take_over(id, head, making).await? =>
                {
                    return Ok(());
                }
                _ => {}
            }
            if begun.elapsed() > 3 * self.deadlines.making {
                return Err(ArchiveError::Failed("the id is being made by others all the time".to_owned()));
            }
            sleep(GLANCE).await;
        }
    }

    async fn take_over(&self, id: &RoomId, from: Head, making: i64) -> Result<bool, Failure> {
        let as_seen = doc! { "_id": id.as_str(), "gen": from.making, "making": from.step };
        let change = doc! { "$set": { "gen": making, "making": 0_i64 } };
        Ok(self.write(self.shards.update_one(as_seen, change)).await?.matched_count > 0)
    }

    async fn make(&self, shard: &NewShard, making: i64) -> Result<(), ArchiveError> {
        let mut left = record::of_shard(&shard.id);
        left.insert("gen", doc! { "$ne": making });
        self.remove(left).await?;
        let mut portion = Vec::new();
        let mut size = 0;
        for file in &shard.files {
            if pieces::is_large(file) {
                for piece in pieces::records(&shard.id, making, 1, file) {
                    self.write_piece(&piece).await?;
                    self.advance(&shard.id, making, doc! { "$inc": { "making": 1_i64 } }).await?;
                }
            } else {
                size += file.text.len() + file.state.len();
            }
            let mut fields = file_record::fields(&shard.id, making, 1, file);
            fields.insert("_id", record::file_key(&shard.id, &file.id));
            portion.push(fields);
            if size >= AT_ONCE {
                self.write(self.files.insert_many(mem::take(&mut portion))).await?;
                size = 0;
                self.advance(&shard.id, making, doc! { "$inc": { "making": 1_i64 } }).await?;
            }
        }
        if !portion.is_empty() {
            self.write(self.files.insert_many(portion)).await?;
        }
        let commit = doc! { "$set": record::shard_fields(shard), "$unset": { "making": "" } };
        self.advance(&shard.id, making, commit).await
    }

    /// Changes the reservation, if it still is this making's own.
    async fn advance(&self, id: &RoomId, making: i64, change: Document) -> Result<(), ArchiveError> {
        match self.write(self.shards.update_one(reservation(id, making), change)).await?.matched_count {
            0 => Err(ArchiveError::Failed("the making of the shard was taken over".to_owned())),
            _ => Ok(()),
        }
    }

    /// Takes back what was made. If that cannot be done since the commit, whose answer was lost, has come
    /// through, the shard is made after all.
    async fn give_up(&self, id: &RoomId, making: i64, error: ArchiveError) -> Result<(), ArchiveError> {
        self.write(self.shards.delete_one(reservation(id, making))).await?;
        if self.head(id).await?.is_some_and(|head| head.making == making) {
            return Ok(());
        }
        self.remove(record::of_making(record::of_shard(id), making)).await?;
        Err(error)
    }
}

fn reservation(id: &RoomId, making: i64) -> Document {
    doc! { "_id": id.as_str(), "gen": making, "making": { "$exists": true } }
}

fn each_path_once(files: &[FileWrite]) -> Result<(), ArchiveError> {
    let mut paths = HashSet::new();
    match files.iter().find(|file| !paths.insert(&file.path)) {
        Some(twice) => Err(ArchiveError::Path(twice.path.clone())),
        None => Ok(()),
    }
}
