//! Writing one file: a compare-and-set on its version, one write if nobody interferes.
//!
//! Promise: a file is written over what its writer has seen or not at all, however often a write is repeated. The
//! pieces of a large file are written before, and those that it had are removed after. Before the first of them the
//! record is marked as begun, so that after a crash whoever writes the file next knows of them.

use std::time::Duration;

use mongodb::bson::{Bson, Document, doc};
use shared::id::RoomId;
use tokio::time::sleep;

use super::{connection::Connection, failure::Failure, file_record, pieces, reading, record};
use crate::archive::{ArchiveError, FileWrite, Saved, StoredFile};

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
    /// Whether its pieces are there, if it has any.
    has_pieces: bool,
    /// How often nobody knew whether it was done.
    lost: u32,
}

/// What a write expects to be stored.
#[derive(PartialEq)]
enum Over {
    Nothing,
    /// What its writer has seen, and no pieces.
    Whole,
    /// What its writer has seen, and pieces, begun by this write the last of them.
    Pieces(String),
}

/// What is stored where a write did not match.
enum Found {
    /// This write itself, of an earlier try.
    Own(u64),
    /// What somebody else has written.
    Others(Box<StoredFile>),
    /// What can be written over.
    Free(Over),
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
        let mut write = Write { shard: id, making: head.making, known, file, has_pieces: false, lost: 0 };
        let saved = self.save_over(&mut write).await;
        let is_refused = matches!(saved, Ok(Saved::Miss(_) | Saved::NoShard) | Err(ArchiveError::Path(_)));
        // A write that may still arrive needs its pieces. What cannot be removed goes with the next write.
        if is_refused && write.has_pieces && write.lost == 0 {
            let _ = self.remove_pieces(id, file).await;
        }
        saved
    }

    async fn save_over(&self, write: &mut Write<'_>) -> Result<Saved, ArchiveError> {
        let mut over = if write.known.is_none() { Over::Nothing } else { Over::Whole };
        for tried in 0..TRIES {
            let failure = match self.put(write, &over).await {
                Ok(true) => return self.written(write, over, write.version()).await,
                Ok(false) | Err(Failure::Duplicate(_)) => None,
                Err(failure @ Failure::Away(_)) => return Err(failure.into()),
                Err(failure) => Some(failure),
            };
            if matches!(failure, Some(Failure::Lost(_))) {
                write.lost += 1;
            }
            match self.look(write).await? {
                Found::Own(version) => return self.written(write, over, version).await,
                Found::Others(stored) => return Ok(Saved::Miss(stored)),
                Found::Free(found) => over = found,
            }
            if self.path_is_held(write).await? {
                return Err(ArchiveError::Path(write.file.path.clone()));
            }
            match failure {
                Some(Failure::Lost(_)) if write.lost < BLIND_TRIES => {}
                Some(failure) => return Err(failure.into()),
                None => sleep(PAUSE * 2_u32.pow(tried)).await,
            }
        }
        Err(ArchiveError::Failed(format!("{} is not written, for no visible reason", write.file.id)))
    }

    /// The write itself, with its pieces before it: whether it was done.
    async fn put(&self, write: &mut Write<'_>, over: &Over) -> Result<bool, Failure> {
        let is_large = pieces::is_large(write.file);
        if is_large && !write.has_pieces {
            if *over != Over::Nothing && !self.begin(write).await? {
                return Ok(false);
            }
            let version = write.version();
            for piece in pieces::records(write.shard, write.making, version, write.file) {
                self.write_piece(&piece).await?;
            }
            write.has_pieces = true;
        }
        let mut seen = write.seen(over);
        if *over == Over::Whole && !is_large {
            seen.insert("begun", doc! { "$exists": false });
        }
        let fields = file_record::fields(write.shard, write.making, write.version(), write.file);
        let mut change = doc! { "$set": fields };
        if is_large || matches!(over, Over::Pieces(_)) {
            change.insert("$unset", file_record::fields_without(write.file));
        }
        let done = self.write(self.files.update_one(seen, change).upsert(*over == Over::Nothing)).await?;
        Ok(done.matched_count > 0 || done.upserted_id.is_some())
    }

    /// Marks a record before there are pieces that it does not name: whether it is still what the writer has seen.
    async fn begin(&self, write: &Write<'_>) -> Result<bool, Failure> {
        let begun = doc! { "$set": { "begun": &write.file.write_id } };
        Ok(self.write(self.files.update_one(write.seen(&Over::Whole), begun)).await?.matched_count > 0)
    }

    /// After the write: a file that came to be must not stay if its shard was deleted meanwhile, and pieces that
    /// are not needed any more go.
    async fn written(&self, write: &Write<'_>, over: Over, version: u64) -> Result<Saved, ArchiveError> {
        let confirm = async {
            let is_new = over == Over::Nothing;
            let head = if is_new { self.head(write.shard).await? } else { None };
            Ok::<_, ArchiveError>(!is_new || head.is_some_and(|head| head.making == write.making))
        };
        // The file is written, whether this succeeds or not.
        let (is_there, _) = tokio::join!(confirm, self.clear(write, &over, version));
        if is_there? {
            return Ok(Saved::Written(version));
        }
        let own = doc! { "_id": write.key(), "wid": &write.file.write_id };
        self.write(self.files.delete_one(own)).await?;
        Ok(Saved::NoShard)
    }

    async fn clear(&self, write: &Write<'_>, over: &Over, version: u64) -> Result<(), Failure> {
        let is_large = pieces::is_large(write.file);
        if *over == Over::Whole && !is_large {
            return Ok(());
        }
        self.clear_pieces(write.shard, write.making, version, write.file).await?;
        let Over::Pieces(begun) = over else { return Ok(()) };
        if !is_large {
            // If nobody has begun others since.
            let own = doc! { "_id": write.key(), "wid": &write.file.write_id, "begun": begun };
            self.write(self.files.update_one(own, doc! { "$unset": { "begun": "" } })).await?;
        }
        Ok(())
    }

    async fn look(&self, write: &Write<'_>) -> Result<Found, ArchiveError> {
        let nothing = Ok(Found::Free(Over::Nothing));
        let Some(record) = self.file(write.shard, &write.file.id).await? else { return nothing };
        if !self.is_of_its_shard(write, &record).await? {
            return nothing;
        }
        let version = record::version_of(&record)?;
        if record::text(&record, "wid")? == write.file.write_id {
            return Ok(Found::Own(version));
        }
        if write.known == Some(version) {
            return Ok(Found::Free(record::begun(&record).map_or(Over::Whole, Over::Pieces)));
        }
        let stored = self.stored_file(write.shard, &write.file.id, write.making, Some(record)).await?;
        stored.map_or(nothing, |stored| Ok(Found::Others(Box::new(stored))))
    }

    /// Whether another file of the shard has the path.
    async fn path_is_held(&self, write: &Write<'_>) -> Result<bool, ArchiveError> {
        let at = doc! { "shard": write.shard.as_str(), "path": write.file.path.as_str() };
        let fields = doc! { "v": 1, "fid": 1, "gen": 1 };
        let Some(holder) = self.read(self.files.find_one(at).projection(fields)).await? else {
            return Ok(false);
        };
        let holder = reading::file_record(holder)?;
        let is_another = record::text(&holder, "fid")? != write.file.id.as_str();
        Ok(is_another && self.is_of_its_shard(write, &holder).await?)
    }

    /// Whether a record belongs to the shard as it is; one that an earlier shard of that id left behind is
    /// removed.
    async fn is_of_its_shard(&self, write: &Write<'_>, stored: &Document) -> Result<bool, ArchiveError> {
        let making = record::making_of(stored)?;
        if making != write.making {
            let key = record::text(stored, "_id")?;
            let left = record::of_making(doc! { "_id": key }, making);
            self.write(self.files.delete_one(left)).await?;
            let pieces = record::of_making(record::below(key), making);
            self.write(self.pieces.delete_many(pieces)).await?;
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

    /// The record that it is to be written over, or to which nothing is.
    fn seen(&self, over: &Over) -> Document {
        let version = match self.known {
            Some(known) if *over != Over::Nothing => record::long(known),
            _ => Bson::Document(doc! { "$exists": false }),
        };
        doc! { "_id": self.key(), "ver": version, "$nor": [{ "v": { "$gt": record::FILE_FORMAT } }] }
    }
}
