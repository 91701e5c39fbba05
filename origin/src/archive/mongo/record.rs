//! What is stored, field by field.
//!
//! Every record says in `v` in which format it was written. One without `v` is from before that: what it
//! lacks has a default. A newer one is refused before anything else in it is looked at. Times and counts are
//! 64-bit integers, times in microseconds.

use bytes::Bytes;
use mongodb::bson::{Bson, Document, doc};
use shared::id::{FileId, FilePath, RoomId};

use crate::archive::{ArchiveError, Eol, FileEntry, NewShard, Shard, StoredFile};

/// The format of shards.
pub(super) const SHARD_FORMAT: u32 = 1;
/// The format of files whose record holds text and state.
pub(super) const WHOLE_FORMAT: u32 = 1;
/// The newest format of files: their record says how many pieces text and state are in.
pub(super) const FILE_FORMAT: u32 = 2;
/// How `state` is encoded: the Yjs v1 update as it is.
pub(super) const ENCODING: &str = "v1";

/// Text and state of a file.
pub(super) struct Contents {
    pub(super) text: String,
    pub(super) state: Bytes,
}

/// The `_id` of a file.
pub(super) fn file_key(shard: &RoomId, file: &FileId) -> String {
    format!("{shard}/{file}")
}

/// Every file of a shard, or every piece of its files, by `_id`: unlike the path, it never changes while it is
/// being read.
pub(super) fn of_shard(shard: &RoomId) -> Document {
    below(shard.as_str())
}

/// What has an `_id` that begins with this and '/'. '0' follows '/', and an id has no '/'.
pub(super) fn below(key: &str) -> Document {
    doc! { "_id": { "$gte": format!("{key}/"), "$lt": format!("{key}0") } }
}

/// What also belongs to this making of the shard. 0 is that of records from before there was `gen`.
pub(super) fn of_making(mut filter: Document, making: i64) -> Document {
    if making == 0 {
        filter.insert("$or", vec![doc! { "gen": 0 }, doc! { "gen": { "$exists": false } }]);
    } else {
        filter.insert("gen", making);
    }
    filter
}

/// The fields of a file that [`entry`] reads.
pub(super) fn entry_fields() -> Document {
    doc! { "v": 1, "fid": 1, "path": 1, "ts": 1, "gen": 1, "eol": 1, "updatedAt": 1 }
}

/// All fields of a new shard but `_id` and `gen`.
pub(super) fn shard_fields(shard: &NewShard) -> Document {
    let files = shard.files.iter().map(|file| tree_entry(file.id.as_str(), file.path.as_str()));
    doc! {
        "v": SHARD_FORMAT,
        "title": &shard.title,
        "template": shard.template.as_deref(),
        "files": files.collect::<Vec<_>>(),
        "last_sync_timestamp": 0_i64,
        "createdAt": long(shard.now),
        "updatedAt": long(shard.now),
    }
}

/// A file as it is named in its shard's record.
pub(super) fn tree_entry(id: &str, path: &str) -> Bson {
    Bson::Document(doc! { "fid": id, "path": path })
}

/// The record as one that this software reads, which knows formats up to `newest`.
pub(super) fn readable(record: Document, newest: u32) -> Result<Document, ArchiveError> {
    match number_or(&record, "v", 0)? {
        version if version <= u64::from(newest) => Ok(record),
        version => Err(ArchiveError::Version(u32::try_from(version).unwrap_or(u32::MAX))),
    }
}

/// Which making of its shard a record belongs to.
pub(super) fn making_of(record: &Document) -> Result<i64, ArchiveError> {
    number_or(record, "gen", 0).map(|making| i64::try_from(making).unwrap_or(i64::MAX))
}

/// A shard, with these files.
pub(super) fn shard(id: &RoomId, record: &Document, files: Vec<FileEntry>) -> Result<Shard, ArchiveError> {
    Ok(Shard {
        id: id.clone(),
        title: text(record, "title")?.to_owned(),
        template: record.get_str("template").ok().map(str::to_owned),
        files,
        last_sync_timestamp: number(record, "last_sync_timestamp")?,
    })
}

/// A file without its contents.
pub(super) fn entry(record: &Document) -> Result<FileEntry, ArchiveError> {
    Ok(FileEntry {
        id: FileId::parse(text(record, "fid")?)?,
        path: FilePath::parse(text(record, "path")?)?,
        ts: number(record, "ts")?,
        stored_at: number(record, "updatedAt")?,
        eol: eol(record)?,
    })
}

/// A file with its contents.
pub(super) fn stored_file(record: &Document, contents: Contents) -> Result<StoredFile, ArchiveError> {
    let entry = entry(record)?;
    if record.get("enc").is_some_and(|encoding| encoding.as_str() != Some(ENCODING)) {
        return Err(damaged("enc"));
    }
    Ok(StoredFile {
        id: entry.id,
        path: entry.path,
        version: version_of(record)?,
        text: contents.text,
        state: contents.state,
        ts: entry.ts,
        eol: entry.eol,
        write_id: text(record, "wid")?.to_owned(),
        stored_at: entry.stored_at,
    })
}

/// Text and state of a file whose record holds them.
pub(super) fn contents(record: &Document) -> Result<Contents, ArchiveError> {
    let state = Bytes::copy_from_slice(binary(record, "state")?);
    Ok(Contents { text: text(record, "text")?.to_owned(), state })
}

/// In how many pieces text and state of a file are; `None` if its record holds them.
pub(super) fn pieces(record: &Document) -> Result<Option<(usize, usize)>, ArchiveError> {
    if number_or(record, "v", 0)? <= u64::from(WHOLE_FORMAT) {
        return Ok(None);
    }
    let pieces = record.get_document("pieces").map_err(|_| damaged("pieces"))?;
    let count = |field| usize::try_from(number(pieces, field)?).map_err(|_| damaged(field));
    Ok(Some((count("text")?, count("state")?)))
}

/// The last write that began to write pieces of a file, if any of them may be there that nobody needs.
pub(super) fn begun(record: &Document) -> Option<String> {
    record.get_str("begun").ok().map(str::to_owned)
}

/// How often a file was written.
pub(super) fn version_of(record: &Document) -> Result<u64, ArchiveError> {
    number(record, "ver")
}

/// A text field.
pub(super) fn text<'a>(record: &'a Document, field: &str) -> Result<&'a str, ArchiveError> {
    record.get_str(field).map_err(|_| damaged(field))
}

/// A field of bytes.
pub(super) fn binary<'a>(record: &'a Document, field: &str) -> Result<&'a [u8], ArchiveError> {
    record.get_binary_generic(field).map(Vec::as_slice).map_err(|_| damaged(field))
}

/// A number as it is stored.
pub(super) fn long(number: u64) -> Bson {
    Bson::Int64(i64::try_from(number).unwrap_or(i64::MAX))
}

fn number(record: &Document, field: &str) -> Result<u64, ArchiveError> {
    let number = match record.get(field) {
        Some(Bson::Int64(number)) => u64::try_from(*number).ok(),
        Some(Bson::Int32(number)) => u64::try_from(*number).ok(),
        // What people type into MongoDB's shell is stored as a double.
        Some(Bson::Double(number)) if number.fract() == 0.0 && (0.0..9e15).contains(number) => {
            Some(*number as u64)
        }
        _ => None,
    };
    number.ok_or_else(|| damaged(field))
}

fn number_or(record: &Document, field: &str, default: u64) -> Result<u64, ArchiveError> {
    if record.contains_key(field) { number(record, field) } else { Ok(default) }
}

/// How line ends are named.
pub(super) fn eol_word(eol: Eol) -> &'static str {
    match eol {
        Eol::Lf => "lf",
        Eol::Crlf => "crlf",
        Eol::Cr => "cr",
    }
}

fn eol(record: &Document) -> Result<Eol, ArchiveError> {
    if !record.contains_key("eol") {
        return Ok(Eol::default());
    }
    let word = text(record, "eol")?;
    let known = [Eol::Lf, Eol::Crlf, Eol::Cr].into_iter().find(|eol| eol_word(*eol) == word);
    known.ok_or_else(|| damaged("eol"))
}

fn damaged(field: &str) -> ArchiveError {
    ArchiveError::Failed(format!("a stored record has no such {field:?} as it should"))
}
