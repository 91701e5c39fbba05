//! The bytes of an update, struct by struct and range by range: one pass, no recursion, no allocation.
//!
//! Layout as `UpdateEncoderV1` of Yjs writes it: groups of structs, one per client, then lists of deleted
//! ranges, one per client.

use std::ops::Range;

use super::GateError;
use crate::{limits, wire::varint::Reader};

/// Largest client id of Yjs.
pub(super) const CLIENT_MAX: u64 = (1 << 53) - 1;
/// Largest clock, and largest end of a range of clocks.
const CLOCK_MAX: u64 = (1 << 31) - 1;

const GC: u8 = 0;
const DELETED: u8 = 1;
const STRING: u8 = 4;
const SKIP: u8 = 10;

const HAS_ORIGIN: u8 = 0x80;
const HAS_RIGHT_ORIGIN: u8 = 0x40;
const KIND: u8 = 0x3f;

/// Names one character by its author and the author's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Id {
    pub(super) client: u64,
    pub(super) clock: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Content<'a> {
    /// Text that is there.
    Text(&'a str),
    /// Text that was deleted; its place is known.
    Deleted,
    /// Something that was deleted with what it stood in; no update of a text has a reason for it.
    Garbage,
    /// Not in this update.
    Skip,
}

/// A run of characters of one author.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Struct<'a> {
    pub(super) clock: u32,
    pub(super) end: u32,
    pub(super) content: Content<'a>,
    /// What it was typed after.
    pub(super) origin: Option<Id>,
    /// What it was typed before.
    pub(super) right_origin: Option<Id>,
}

impl Struct<'_> {
    /// What it takes in an update at most: kind, neighbours, length, text.
    pub(super) fn bytes_at_most(&self) -> usize {
        let text = if let Content::Text(text) = self.content { text.len() } else { 0 };
        1 + 2 * 13 + 5 + text
    }
}

/// The head of a client's structs; they follow one another, beginning at `clock`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Group {
    pub(super) client: u64,
    pub(super) structs: u32,
    pub(super) clock: u32,
}

pub(super) struct UpdateReader<'a>(Reader<'a>);

impl<'a> UpdateReader<'a> {
    pub(super) fn new(update: &'a [u8]) -> Self {
        Self(Reader::new(update))
    }

    /// Goes on where [`Self::position`] was.
    pub(super) fn at(update: &'a [u8], position: usize) -> Self {
        Self(Reader::at(update, position))
    }

    pub(super) fn position(&self) -> usize {
        self.0.position()
    }

    /// A number of things that take at least `bytes` bytes each.
    pub(super) fn count(&mut self, bytes: usize) -> Result<u32, GateError> {
        let count = self.clock_sized()?;
        if count as usize > self.0.left() / bytes { Err(GateError::End) } else { Ok(count) }
    }

    pub(super) fn group(&mut self) -> Result<Group, GateError> {
        let structs = self.clock_sized()?;
        let client = self.client()?;
        let clock = self.clock_sized()?;
        if structs == 0 {
            return Err(GateError::Length);
        }
        if structs as usize > self.0.left() / 2 {
            return Err(GateError::End);
        }
        Ok(Group { client, structs, clock })
    }

    /// The next struct of `client`, which begins at `clock`.
    pub(super) fn next_struct(&mut self, client: u64, clock: u32) -> Result<Struct<'a>, GateError> {
        let info = self.0.u8()?;
        let mut origins = [None, None];
        let (content, length) = match info {
            GC => (Content::Garbage, self.clock_sized()?),
            SKIP => (Content::Skip, self.clock_sized()?),
            _ => {
                origins = self.place(info)?;
                match info & KIND {
                    DELETED => (Content::Deleted, self.clock_sized()?),
                    STRING => {
                        let text = self.0.text()?;
                        (Content::Text(text), utf16_length(text)?)
                    }
                    kind => return Err(GateError::Kind(kind)),
                }
            }
        };
        let [origin, right_origin] = origins;
        if origins.iter().flatten().any(|id| id.client == client && id.clock >= clock) {
            return Err(GateError::Future);
        }
        let end = end_of(clock, length)?;
        Ok(Struct { clock, end, content, origin, right_origin })
    }

    /// Where the struct stands: beside others, or alone in the file's text.
    fn place(&mut self, info: u8) -> Result<[Option<Id>; 2], GateError> {
        let origin = if info & HAS_ORIGIN != 0 { Some(self.id()?) } else { None };
        let right_origin = if info & HAS_RIGHT_ORIGIN != 0 { Some(self.id()?) } else { None };
        if origin.is_none() && right_origin.is_none() {
            let by_name = self.0.var(u64::from(u32::MAX))? == 1;
            if !by_name || self.0.bytes()? != limits::TEXT_ROOT.as_bytes() {
                return Err(GateError::Root);
            }
        }
        Ok([origin, right_origin])
    }

    fn id(&mut self) -> Result<Id, GateError> {
        Ok(Id { client: self.client()?, clock: self.clock_sized()? })
    }

    fn client(&mut self) -> Result<u64, GateError> {
        Ok(self.0.var(CLIENT_MAX)?)
    }

    fn clock_sized(&mut self) -> Result<u32, GateError> {
        Ok(self.0.var(CLOCK_MAX)? as u32)
    }

    /// Everything behind the structs.
    pub(super) fn ranges(&mut self, mut on: impl FnMut(Part<'a>)) -> Result<(), GateError> {
        for _ in 0..self.count(2)? {
            let client = self.client()?;
            on(Part::Deleter(client));
            let mut last = 0;
            for _ in 0..self.count(2)? {
                on(Part::Range(client, self.next_range(&mut last)?));
            }
        }
        if self.0.left() > 0 { Err(GateError::Trailing) } else { Ok(()) }
    }

    /// The next deleted range of a client whose ranges so far end at `last`; `last` moves on.
    fn next_range(&mut self, last: &mut u32) -> Result<Range<u32>, GateError> {
        let start = self.clock_sized()?;
        let length = self.clock_sized()?;
        let end = end_of(start, length)?;
        if start < *last {
            return Err(GateError::Order);
        }
        *last = end;
        Ok(start..end)
    }
}

fn end_of(clock: u32, length: u32) -> Result<u32, GateError> {
    match clock.checked_add(length) {
        Some(end) if length > 0 && u64::from(end) <= CLOCK_MAX => Ok(end),
        _ => Err(GateError::Length),
    }
}

fn utf16_length(text: &str) -> Result<u32, GateError> {
    let units: usize = text.chars().map(char::len_utf16).sum();
    u32::try_from(units).map_err(|_| GateError::Length)
}

/// What an update is made of, in the order in which it comes.
pub(super) enum Part<'a> {
    /// The structs of one author begin.
    Author(u64),
    Struct(u64, Struct<'a>),
    /// The deleted ranges of one author begin.
    Deleter(u64),
    Range(u64, Range<u32>),
}

/// Calls `on` with everything that the update holds.
pub(super) fn walk<'a>(update: &'a [u8], mut on: impl FnMut(Part<'a>)) -> Result<(), GateError> {
    let mut reader = UpdateReader::new(update);
    for _ in 0..reader.count(5)? {
        let group = reader.group()?;
        on(Part::Author(group.client));
        let mut clock = group.clock;
        for _ in 0..group.structs {
            let read = reader.next_struct(group.client, clock)?;
            clock = read.end;
            on(Part::Struct(group.client, read));
        }
    }
    reader.ranges(on)
}
