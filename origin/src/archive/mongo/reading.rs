//! Reading. A shard's document and its files are several reads, made to look like one: the document is read
//! before and after, since a shard that is deleted loses its document first.

use std::time::Duration;

use mongodb::{
    Collection,
    bson::{Document, doc},
};
use shared::id::{FileId, RoomId};
use tokio::time::sleep;

use super::{connection::Connection, failure::Failure, record};
use crate::archive::{ArchiveError, Making, StoredFile};

/// How often a shard is read again because it was deleted and made again meanwhile, and a file because it was written.
const TRIES: u32 = 5;
/// The first pause before a file is read again; each is twice as long. After a failover a majority read may be behind.
const PAUSE: Duration = Duration::from_millis(20);

/// What decides which files belong to a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    /// Which making of the shard it is.
    pub(super) making: i64,
    /// How far the making has come; `None` when the shard is made.
    pub(super) step: Option<i64>,
}

impl Head {
    /// The making as others know it.
    pub(super) fn id(self) -> Making {
        Making(self.making.cast_unsigned())
    }
}

impl Connection {
    /// The head of a shard that is made.
    pub(super) async fn head(&self, id: &RoomId) -> Result<Option<Head>, ArchiveError> {
        Ok(self.any_head(id).await?.filter(|head| head.step.is_none()))
    }

    /// The head of a shard, also of one that is being made.
    pub(super) async fn any_head(&self, id: &RoomId) -> Result<Option<Head>, ArchiveError> {
        let fields = doc! { "v": 1, "gen": 1, "making": 1 };
        let found = self.read(self.shards.find_one(doc! { "_id": id.as_str() }).projection(fields)).await?;
        found.map(shard_record).transpose()?.as_ref().map(head_of).transpose()
    }

    /// The record of one file, whatever making of the shard it belongs to.
    pub(super) async fn file(&self, id: &RoomId, file: &FileId) -> Result<Option<Document>, ArchiveError> {
        let found = self.read(self.files.find_one(doc! { "_id": record::file_key(id, file) })).await?;
        found.map(file_record).transpose()
    }

    /// One file of this making of its shard with its contents, if it has it, beginning with its record as it was
    /// read. Whose pieces have been replaced meanwhile is read again.
    pub(super) async fn stored_file(
        &self,
        id: &RoomId,
        file: &FileId,
        making: i64,
        mut record: Option<Document>,
    ) -> Result<Option<StoredFile>, ArchiveError> {
        for tried in 0..TRIES {
            let Some(found) = record else { return Ok(None) };
            if record::making_of(&found)? != making {
                return Ok(None);
            }
            if let Some(contents) = self.contents(&found).await? {
                return record::stored_file(&found, contents).map(Some);
            }
            sleep(PAUSE * 2_u32.pow(tried)).await;
            record = self.file(id, file).await?;
        }
        Err(ArchiveError::Failed(format!("pieces of {file} are not found")))
    }

    /// Every file of a shard with its contents, by path.
    pub(super) async fn stored_files(&self, id: &RoomId) -> Result<Vec<StoredFile>, ArchiveError> {
        'again: for _ in 0..TRIES {
            let Some((shard, records)) = self.snapshot(id, None).await? else { return Ok(Vec::new()) };
            let making = record::making_of(&shard)?;
            let mut files = Vec::with_capacity(records.len());
            for record in records {
                let file = record::entry(&record)?.id;
                match self.stored_file(id, &file, making, Some(record)).await? {
                    Some(stored) => files.push(stored),
                    None => continue 'again,
                }
            }
            return Ok(files);
        }
        Err(made_again())
    }

    /// The records of a shard and of its files by path, as they were at one time; of the files these fields, or
    /// all.
    pub(super) async fn snapshot(
        &self,
        id: &RoomId,
        fields: impl Into<Option<Document>>,
    ) -> Result<Option<(Document, Vec<Document>)>, ArchiveError> {
        let fields = fields.into();
        let mut before = self.shard(id).await?;
        for _ in 0..TRIES {
            let Some(shard) = before else { return Ok(None) };
            let making = record::making_of(&shard)?;
            let filter = record::of_making(record::of_shard(id), making);
            let records = self.records(&self.files, filter, fields.clone()).await?;
            before = self.shard(id).await?;
            if before.as_ref().map(record::making_of).transpose()? == Some(making) {
                let mut files = records.into_iter().map(file_record).collect::<Result<Vec<_>, _>>()?;
                files.sort_by(|a, b| a.get_str("path").ok().cmp(&b.get_str("path").ok()));
                return Ok(Some((shard, files)));
            }
        }
        Err(made_again())
    }

    /// Records of a collection.
    pub(super) async fn records(
        &self,
        collection: &Collection<Document>,
        filter: Document,
        fields: Option<Document>,
    ) -> Result<Vec<Document>, Failure> {
        let mut cursor = self.read(collection.find(filter).with_options(projected(fields))).await?;
        let mut records = Vec::new();
        while self.read(cursor.advance()).await? {
            records.push(cursor.deserialize_current()?);
        }
        Ok(records)
    }

    async fn shard(&self, id: &RoomId) -> Result<Option<Document>, ArchiveError> {
        let found = self.read(self.shards.find_one(doc! { "_id": id.as_str() })).await?;
        let Some(shard) = found.map(shard_record).transpose()? else { return Ok(None) };
        Ok(head_of(&shard)?.step.is_none().then_some(shard))
    }
}

fn shard_record(record: Document) -> Result<Document, ArchiveError> {
    record::readable(record, record::SHARD_FORMAT)
}

/// The record of a file as one that this software reads.
pub(super) fn file_record(record: Document) -> Result<Document, ArchiveError> {
    record::readable(record, record::FILE_FORMAT)
}

fn made_again() -> ArchiveError {
    ArchiveError::Failed("the shard is being made again and again".to_owned())
}

fn projected(fields: Option<Document>) -> mongodb::options::FindOptions {
    mongodb::options::FindOptions::builder().projection(fields).build()
}

fn head_of(shard: &Document) -> Result<Head, ArchiveError> {
    let step = shard.get("making").map(|step| step.as_i64().unwrap_or_default());
    Ok(Head { making: record::making_of(shard)?, step })
}
