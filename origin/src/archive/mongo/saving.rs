//! Writing one file: a compare-and-set on its version, one write if nobody interferes.
//!
//! Promise: a file is written over what its writer has seen or not at all, however often a write is repeated.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use shared::id::RoomId;
use tokio::time::sleep;

use super::{connection::Connection, failure::Failure, record};
use crate::archive::{ArchiveError, FileWrite, Saved};

/// How often a write is tried while what is stored explains no miss.
const TRIES: u32 = 8;
/// How often a write is made whose outcome is unknown.
const BLIND_TRIES: u32 = 2;
/// The first pause between two tries; each is twice as long. A majority read can be behind what a write sees.
const PAUSE: Duration = Duration::from_millis(10);

/// One write of a file, over any number of tries.
struct Write<'a> {
    shard: &'a RoomId,
    making: i64,
    known: Option<u64>,
    file: &'a FileWrite,
}

/// What is stored where a write did not match.
enum Found {
    /// This write itself, of an earlier try.
    Own(u64),
    /// What somebody else has written.
    Others(Box<crate::archive::StoredFile>),
    /// What the writer has seen.
    Known,
    /// Nothing.
    Nothing,
}

impl Connection {
    /// See [`crate::archive::Archive::save_file`].
    pub(super) async fn save(
        &self,
        id: &RoomId,
        known: Option<u64>,
        file: &FileWrite,
    ) -> Result<Saved, ArchiveError> {
        self.indexed().await?;
        let Some(head) = self.head(id).await? else { return Ok(Saved::NoShard) };
        if file.making.is_some_and(|meant| meant != head.id()) {
            return Ok(Saved::NoShard);
        }
        let write = Write { shard: id, making: head.making, known, file };
        let (mut is_new, mut lost) = (known.is_none(), 0);
        for tried in 0..TRIES {
            let failure = match self.put(&write, is_new).await {
                Ok(true) if is_new => return self.confirm(&write).await,
                Ok(true) => return Ok(Saved::Written(write.version())),
                Ok(false) | Err(Failure::Duplicate(_)) => None,
                Err(failure @ Failure::Away(_)) => return Err(failure.into()),
                Err(failure) => Some(failure),
            };
            match self.look(&write).await? {
                Found::Own(_) if is_new => return self.confirm(&write).await,
                Found::Own(version) => return Ok(Saved::Written(version)),
                Found::Others(stored) => return Ok(Saved::Miss(stored)),
                Found::Known => is_new = false,
                Found::Nothing => is_new = true,
            }
            if self.path_is_held(&write).await? {
                return Err(ArchiveError::Path(file.path.clone()));
            }
            match failure {
                Some(Failure::Lost(_)) if lost + 1 < BLIND_TRIES => lost += 1,
                Some(failure) => return Err(failure.into()),
                None => sleep(PAUSE * 2_u32.pow(tried)).await,
            }
        }
        Err(ArchiveError::Failed(format!("{} is not written, for no visible reason", file.id)))
    }

    /// The write itself: whether it was done.
    async fn put(&self, write: &Write<'_>, is_new: bool) -> Result<bool, Failure> {
        let fields = record::file_fields(write.shard, write.making, write.version(), write.file);
        let version = match write.known {
            Some(known) if !is_new => record::long(known),
            _ => Bson::Document(doc! { "$exists": false }),
        };
        let newer = doc! { "v": { "$gt": record::FORMAT } };
        let seen = doc! { "_id": write.key(), "ver": version, "$nor": [newer] };
        let update = self.files.update_one(seen, doc! { "$set": fields }).upsert(is_new);
        let done = self.write(update).await?;
        Ok(done.matched_count > 0 || done.upserted_id.is_some())
    }

    /// After a file came to be: a shard that was deleted meanwhile must not keep it.
    async fn confirm(&self, write: &Write<'_>) -> Result<Saved, ArchiveError> {
        if self.head(write.shard).await?.is_some_and(|head| head.making == write.making) {
            return Ok(Saved::Written(write.version()));
        }
        let own = doc! { "_id": write.key(), "wid": &write.file.write_id };
        self.write(self.files.delete_one(own)).await?;
        Ok(Saved::NoShard)
    }

    async fn look(&self, write: &Write<'_>) -> Result<Found, ArchiveError> {
        let Some(stored) = self.file(write.shard, &write.file.id).await? else { return Ok(Found::Nothing) };
        if !self.is_of_its_shard(write, &stored).await? {
            return Ok(Found::Nothing);
        }
        let version = record::version_of(&stored)?;
        Ok(if record::text(&stored, "wid")? == write.file.write_id {
            Found::Own(version)
        } else if write.known == Some(version) {
            Found::Known
        } else {
            Found::Others(Box::new(record::stored_file(&stored)?))
        })
    }

    /// Whether another file of the shard has the path.
    async fn path_is_held(&self, write: &Write<'_>) -> Result<bool, ArchiveError> {
        let at = doc! { "shard": write.shard.as_str(), "path": write.file.path.as_str() };
        let fields = doc! { "v": 1, "fid": 1, "gen": 1 };
        let Some(holder) = self.read(self.files.find_one(at).projection(fields)).await? else {
            return Ok(false);
        };
        let holder = record::readable(holder)?;
        let is_another = record::text(&holder, "fid")? != write.file.id.as_str();
        Ok(is_another && self.is_of_its_shard(write, &holder).await?)
    }

    /// Whether a record belongs to the shard as it is; one that an earlier shard of that id left behind is
    /// removed.
    async fn is_of_its_shard(&self, write: &Write<'_>, stored: &Document) -> Result<bool, ArchiveError> {
        let making = record::making_of(stored)?;
        if making != write.making {
            let left = record::of_making(doc! { "_id": record::text(stored, "_id")? }, making);
            self.write(self.files.delete_one(left)).await?;
        }
        Ok(making == write.making)
    }

    /// See [`crate::archive::Archive::synced`]. The tree in the shard's record follows; the files decide.
    pub(super) async fn synced(&self, id: &RoomId, last_sync_timestamp: u64) -> Result<(), ArchiveError> {
        let fields = doc! { "v": 1, "fid": 1, "path": 1, "gen": 1 };
        let Some((shard, files)) = self.snapshot(id, fields).await? else { return Ok(()) };
        let tree = files.iter().map(|file| {
            Ok::<_, ArchiveError>(record::tree_entry(record::text(file, "fid")?, record::text(file, "path")?))
        });
        let tree = Bson::Array(tree.collect::<Result<_, _>>()?);
        let mut change = doc! { "$max": { "last_sync_timestamp": record::long(last_sync_timestamp) } };
        if shard.get("files") != Some(&tree) {
            change.insert("$set", doc! { "files": tree });
        }
        let of_it = record::of_making(doc! { "_id": id.as_str() }, record::making_of(&shard)?);
        Ok(self.write(self.shards.update_one(of_it, change)).await.map(drop)?)
    }
}

impl Write<'_> {
    fn key(&self) -> String {
        record::file_key(self.shard, &self.file.id)
    }

    fn version(&self) -> u64 {
        self.known.unwrap_or(0) + 1
    }
}
