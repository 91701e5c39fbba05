//! Bytes for tests: hexadecimal, golden files, updates written by hand.

use bytes::Bytes;
use shared::wire::varint::Writer;

pub(crate) const GOLDEN_FRAMES: &str = include_str!("../golden/frames.tsv");

/// The columns of every line that is not a comment.
pub(crate) fn rows(tsv: &str) -> impl Iterator<Item = Vec<&str>> {
    tsv.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    text.as_bytes()
        .chunks(2)
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
        .collect()
}

/// A struct written by hand.
#[derive(Clone, Debug)]
pub(crate) enum Piece {
    Gc(u64),
    Skip(u64),
    /// Text, its origin and its right origin.
    Text(&'static str, Option<(u64, u64)>, Option<(u64, u64)>),
    Deleted(u64, Option<(u64, u64)>, Option<(u64, u64)>),
    Raw(Vec<u8>),
}

/// Writes an update: groups of (client, clock, pieces) and lists of (client, ranges as start and length).
pub(crate) fn update(groups: &[(u64, u64, Vec<Piece>)], deleted: &[(u64, Vec<(u64, u64)>)]) -> Bytes {
    let mut writer = Writer::default();
    writer.var(groups.len() as u64);
    for (client, clock, pieces) in groups {
        writer.var(pieces.len() as u64);
        writer.var(*client);
        writer.var(*clock);
        pieces.iter().for_each(|piece| piece.write(&mut writer));
    }
    writer.var(deleted.len() as u64);
    for (client, ranges) in deleted {
        writer.var(*client);
        writer.var(ranges.len() as u64);
        for (start, length) in ranges {
            writer.var(*start);
            writer.var(*length);
        }
    }
    writer.finish()
}

impl Piece {
    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Gc(length) => {
                writer.u8(0);
                writer.var(*length);
            }
            Self::Skip(length) => {
                writer.u8(10);
                writer.var(*length);
            }
            Self::Text(text, origin, right_origin) => {
                place(writer, 4, *origin, *right_origin);
                writer.text(text);
            }
            Self::Deleted(length, origin, right_origin) => {
                place(writer, 1, *origin, *right_origin);
                writer.var(*length);
            }
            Self::Raw(bytes) => writer.raw(bytes),
        }
    }
}

fn place(writer: &mut Writer, kind: u8, origin: Option<(u64, u64)>, right_origin: Option<(u64, u64)>) {
    let flags = if origin.is_some() { 0x80 } else { 0 } | if right_origin.is_some() { 0x40 } else { 0 };
    writer.u8(kind | flags);
    for (client, clock) in [origin, right_origin].into_iter().flatten() {
        writer.var(client);
        writer.var(clock);
    }
    if flags == 0 {
        writer.u8(1);
        writer.text("content");
    }
}
