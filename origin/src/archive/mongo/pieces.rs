//! Text and state of large files in pieces, since a record holds at most 16 MiB.
//!
//! All pieces of a write are there before the file's record names the write, and go after it names another one.
//! A piece says for which version of the file it was written. Versions rise, so once a file has that version,
//! pieces of other writes for it, or for an older one, can never be named any more. A file's record says in `begun`
//! that pieces may be there which it does not name: until they are cleared away.

use std::ops::Range;

use bytes::Bytes;
use mongodb::bson::{Binary, Bson, Document, doc, spec::BinarySubtype};
use shared::id::RoomId;

use super::{
    connection::Connection,
    failure::Failure,
    record::{self, Contents},
};
use crate::archive::{ArchiveError, FileWrite};

/// The format of pieces.
const FORMAT: u32 = 1;
/// A file of up to this size (bytes of text and state) is one record.
const WHOLE_BYTES: usize = 8 << 20;
/// Bytes of a piece, so that each write is well within its deadline.
const PIECE_BYTES: usize = 4 << 20;
/// How often a piece is written whose outcome is unknown.
const BLIND_TRIES: u32 = 2;

/// Whether a file is written in pieces.
pub(super) fn is_large(file: &FileWrite) -> bool {
    file.text.len() + file.state.len() > WHOLE_BYTES
}

/// How many pieces of text and of state a file has, as its record says it.
pub(super) fn counts(file: &FileWrite) -> Document {
    let count = |number: usize| record::long(number as u64);
    doc! { "text": count(texts(&file.text).count()), "state": count(states(&file.state).count()) }
}

/// The pieces of a large file, made one by one.
pub(super) fn records<'a>(
    shard: &'a RoomId,
    making: i64,
    version: u64,
    file: &'a FileWrite,
) -> impl Iterator<Item = Document> + 'a {
    let texts = texts(&file.text).map(Bson::from).enumerate().map(|(nth, text)| ("text", nth, text));
    let states = states(&file.state).enumerate().map(|(nth, state)| {
        let bytes = file.state[state].to_vec();
        ("state", nth, Bson::Binary(Binary { subtype: BinarySubtype::Generic, bytes }))
    });
    texts.chain(states).map(move |(field, nth, content)| {
        let key = piece_key(&record::file_key(shard, &file.id), &file.write_id, field, nth);
        let mut piece = doc! { "_id": key, "v": FORMAT, "gen": making, "ver": record::long(version) };
        piece.insert("wid", &file.write_id);
        piece.insert(field, content);
        piece
    })
}

fn texts(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE_BYTES));
        rest = after;
        (!piece.is_empty()).then_some(piece)
    })
}

fn states(state: &[u8]) -> impl Iterator<Item = Range<usize>> + use<> {
    let length = state.len();
    (0..length).step_by(PIECE_BYTES).map(move |begin| begin..length.min(begin + PIECE_BYTES))
}

fn piece_key(file_key: &str, write_id: &str, field: &str, nth: usize) -> String {
    format!("{file_key}/{write_id}/{field}/{nth:04}")
}

impl Connection {
    /// Writes a piece, or writes it again.
    pub(super) async fn write_piece(&self, piece: &Document) -> Result<(), Failure> {
        let mut tried = 0;
        loop {
            let this = doc! { "_id": piece.get("_id") };
            tried += 1;
            match self.write(self.pieces.replace_one(this, piece).upsert(true)).await {
                Err(Failure::Lost(_)) if tried < BLIND_TRIES => {}
                // Of two tries that arrive at once, one is second.
                Ok(_) | Err(Failure::Duplicate(_)) => return Ok(()),
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Text and state of a file, wherever they are; `None` if pieces are gone, or not visible yet, since another
    /// write has replaced them.
    pub(super) async fn contents(&self, file: &Document) -> Result<Option<Contents>, ArchiveError> {
        let Some((texts, states)) = record::pieces(file)? else { return record::contents(file).map(Some) };
        let (mut text, mut state) = (String::new(), Vec::new());
        for nth in 0..texts {
            let Some(piece) = self.piece(file, "text", nth).await? else { return Ok(None) };
            text.push_str(record::text(&piece, "text")?);
        }
        for nth in 0..states {
            let Some(piece) = self.piece(file, "state", nth).await? else { return Ok(None) };
            state.extend_from_slice(record::binary(&piece, "state")?);
        }
        Ok(Some(Contents { text, state: Bytes::from(state) }))
    }

    async fn piece(
        &self,
        file: &Document,
        field: &str,
        nth: usize,
    ) -> Result<Option<Document>, ArchiveError> {
        let key = piece_key(record::text(file, "_id")?, record::text(file, "wid")?, field, nth);
        let found = self.read(self.pieces.find_one(doc! { "_id": key })).await?;
        found.map(|piece| record::readable(piece, FORMAT)).transpose()
    }

    /// Removes the pieces that no record of this file can name any more, now that this write has given it this
    /// version.
    pub(super) async fn clear_pieces(
        &self,
        shard: &RoomId,
        making: i64,
        version: u64,
        file: &FileWrite,
    ) -> Result<(), Failure> {
        let mut left = record::of_making(record::below(&record::file_key(shard, &file.id)), making);
        left.insert("ver", doc! { "$lte": record::long(version) });
        left.insert("wid", doc! { "$ne": &file.write_id });
        self.write(self.pieces.delete_many(left)).await.map(drop)
    }

    /// Removes the pieces of a write that no record will ever name.
    pub(super) async fn remove_pieces(&self, shard: &RoomId, file: &FileWrite) -> Result<(), Failure> {
        let of_write = format!("{}/{}", record::file_key(shard, &file.id), file.write_id);
        self.write(self.pieces.delete_many(record::below(&of_write))).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_between_letters_and_loses_none() {
        let letters = "x".to_owned() + &"\u{1f600}".repeat(PIECE_BYTES / 2);
        let pieces: Vec<_> = texts(&letters).collect();
        assert_eq!(pieces.concat(), letters);
        assert!(pieces.iter().all(|piece| piece.len() <= PIECE_BYTES), "none is too large");
        assert_eq!(pieces.len(), 3);
        assert_eq!(texts("").count(), 0);
    }

    #[test]
    fn state_is_cut_at_the_size_of_a_piece() {
        let sizes = |length: usize| states(&vec![0; length]).map(|state| state.len()).collect::<Vec<_>>();
        assert_eq!(sizes(2 * PIECE_BYTES), [PIECE_BYTES, PIECE_BYTES]);
        assert_eq!(sizes(PIECE_BYTES + 1), [PIECE_BYTES, 1]);
        assert_eq!(sizes(0), Vec::<usize>::new());
    }
}
