//! The record of a file, whole or with its text and state in pieces.

use mongodb::bson::{Binary, Document, doc, spec::BinarySubtype};
use shared::id::RoomId;

use super::{
    pieces,
    record::{ENCODING, FILE_FORMAT, WHOLE_FORMAT, eol_word, long},
};
use crate::archive::FileWrite;

/// All fields of a file but `_id`.
pub(super) fn fields(shard: &RoomId, making: i64, version: u64, file: &FileWrite) -> Document {
    let mut fields = doc! {
        "shard": shard.as_str(),
        "fid": file.id.as_str(),
        "path": file.path.as_str(),
        "ver": long(version),
        "gen": making,
        "ts": long(file.ts),
        "seq": long(file.seq),
        "wid": &file.write_id,
        "enc": ENCODING,
        "bytes": long(file.state.len() as u64),
        "eol": eol_word(file.eol),
        "updatedAt": long(file.now),
    };
    if pieces::is_large(file) {
        fields.extend(doc! { "v": FILE_FORMAT, "pieces": pieces::counts(file), "begun": &file.write_id });
    } else {
        let state = Binary { subtype: BinarySubtype::Generic, bytes: file.state.to_vec() };
        fields.extend(doc! { "v": WHOLE_FORMAT, "text": &file.text, "state": state });
    }
    fields
}

/// The fields that a file does not have which is written so, and may have had before.
pub(super) fn fields_without(file: &FileWrite) -> Document {
    if pieces::is_large(file) {
        doc! { "text": "", "state": "" }
    } else {
        doc! { "pieces": "" }
    }
}
