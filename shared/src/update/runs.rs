//! Runs: who has typed what beside what, so that it can be told whether an update says the same.
//!
//! A run is consecutive text of one author, each character typed behind the one before it. Text that is deleted is
//! forgotten, its place is not. Neighbouring runs are joined, so that what is kept depends on what the document has
//! and not on how it came.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    ops::Range,
};

use super::{
    GateError, IdRanges,
    read::{Content, Id, Struct},
};

/// Longest text of a run in bytes, about: what is done with a run is bounded by it.
const RUN_BYTES: usize = 512;
/// What stands for half of a surrogate pair.
const REPLACEMENT: u16 = 0xfffd;

/// The runs of one file.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    /// By the id of their first character.
    runs: BTreeMap<Id, Run>,
    /// Surrogate pairs that were divided, by the id of their second half.
    pub(super) divided: BTreeSet<Id>,
}

/// What was divided long ago and is deleted by now makes no difference.
impl PartialEq for Runs {
    fn eq(&self, other: &Self) -> bool {
        self.runs == other.runs
    }
}

impl Eq for Runs {}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Run {
    end: u32,
    origin: Option<Id>,
    right_origin: Option<Id>,
    text: Written,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Written {
    Text(String),
    /// Its text is deleted, its neighbours are known.
    Deleted,
    /// Garbage: neither is known.
    Unknown,
}

/// What comparing an update with runs has found so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Comparison {
    /// How many runs were looked at.
    pub(super) runs: usize,
    /// Whether garbage may stand where text is known.
    pub(super) lenient: bool,
    /// In front of which characters something of the update stands or ends, and what it deletes.
    pub(super) divides: BTreeSet<Id>,
    pub(super) deletes: IdRanges,
    /// Half of a surrogate pair stood where the other side has a replacement character, though nothing divides it.
    pub(super) inexact: bool,
}

impl Runs {
    /// Adds the part of a struct that begins at clock `from`, which is where the author's runs end.
    pub(super) fn append(&mut self, client: u64, read: &Struct<'_>, from: u32) {
        let mut origin = match from.checked_sub(1) {
            Some(before) if from > read.clock => Some(Id { client, clock: before }),
            _ => read.origin,
        };
        let right_origin = read.right_origin;
        let text = match read.content {
            Content::Skip => return,
            Content::Deleted => Written::Deleted,
            Content::Garbage => Written::Unknown,
            Content::Text(text) => {
                let mut clock = from;
                let text = behind(text, from - read.clock, read.end - read.clock);
                for piece in pieces(&text) {
                    let end = clock + units_of(piece);
                    let text = Written::Text(piece.to_owned());
                    self.put(Id { client, clock }, Run { end, origin, right_origin, text });
                    origin = end.checked_sub(1).map(|clock| Id { client, clock });
                    clock = end;
                }
                return;
            }
        };
        self.put(Id { client, clock: from }, Run { end: read.end, origin, right_origin, text });
    }

    /// The text of a range is deleted.
    pub(super) fn delete(&mut self, client: u64, range: Range<u32>) {
        self.cut(client, range.start);
        self.cut(client, range.end);
        let mut clock = range.start;
        // The run behind the range too: it may be one with the last in it.
        while clock <= range.end {
            let Some((start, end)) = self.at_or_behind(client, clock) else { return };
            let id = Id { client, clock: start };
            let Some(mut run) = self.runs.remove(&id) else { return };
            if start < range.end && matches!(run.text, Written::Text(_)) {
                run.text = Written::Deleted;
            }
            self.put(id, run);
            clock = end;
        }
    }

    /// Compares a part of a struct, all of which is in these runs. What is deleted on either side has no text, but the
    /// neighbours that it was typed beside.
    pub(super) fn compare(
        &self,
        client: u64,
        read: &Struct<'_>,
        part: Range<u32>,
        comparison: &mut Comparison,
    ) -> Result<(), GateError> {
        // What is stored may have become garbage in one replica and not in another.
        if read.content == Content::Garbage && comparison.lenient {
            return Ok(());
        }
        let mut units = match read.content {
            Content::Text(text) => Some(units_from(text, read.end - read.clock, part.start - read.clock)),
            _ => None,
        };
        let mut clock = part.start;
        while clock < part.end {
            let Some((id, run)) = self.covering(client, clock) else { return Err(GateError::Reuse) };
            comparison.runs += 1;
            let end = run.end.min(part.end);
            let is_unknown = run.text == Written::Unknown;
            if read.content == Content::Garbage && !is_unknown {
                return Err(GateError::Reuse);
            }
            let before = |start: u32, origin| match clock {
                at if at == start => origin,
                at => Some(Id { client, clock: at - 1 }),
            };
            let same_place = before(read.clock, read.origin) == before(id.clock, run.origin)
                && read.right_origin == run.right_origin;
            if !is_unknown && !same_place {
                return Err(GateError::Reuse);
            }
            if let Some(units) = &mut units {
                let theirs = units.by_ref().take((end - clock) as usize);
                match &run.text {
                    Written::Text(text) => {
                        let ours = units_from(text, run.end - id.clock, clock - id.clock);
                        for ((one, other), at) in theirs.zip(ours).zip(clock..) {
                            if one == other {
                                continue;
                            }
                            let Some(offset) = second_half(one, other) else { return Err(GateError::Reuse) };
                            let id = Id { client, clock: at + offset };
                            comparison.inexact |= !self.divided.contains(&id)
                                && !comparison.divides.contains(&id)
                                && !comparison.deletes.contains_range(client, at..at + 1);
                        }
                    }
                    Written::Deleted | Written::Unknown => theirs.for_each(drop),
                }
            }
            clock = end;
        }
        Ok(())
    }

    /// A clock at most so many units in front of this one, not inside a surrogate pair.
    pub(super) fn in_front(&self, client: u64, clock: u32, units: u32) -> u32 {
        let target = clock.saturating_sub(units);
        if self.is_inside_a_pair(client, target) { target + 1 } else { target }
    }

    /// Something stands, or ends, before this character. If that is inside a surrogate pair, replicas have two
    /// replacement characters from then on, or one if the other half is deleted; what looks like that may have been one.
    pub(super) fn divide(&mut self, client: u64, clock: u32) {
        let id = Id { client, clock };
        if self.is_inside_a_pair(client, clock) {
            self.divided.insert(id);
            self.cut(client, clock);
            if let Some(back) = self.runs.remove(&id) {
                self.put(id, back);
            }
        } else if clock > 0 {
            match (self.unit_at(client, clock - 1), self.unit_at(client, clock)) {
                (Some(Some(REPLACEMENT)), Some(Some(REPLACEMENT) | None))
                | (Some(None), Some(Some(REPLACEMENT))) => {
                    self.divided.insert(id);
                }
                _ => {}
            }
        }
    }

    fn is_inside_a_pair(&self, client: u64, clock: u32) -> bool {
        let begins = || self.covering(client, clock).is_some_and(|(id, _)| id.clock == clock);
        matches!(self.unit_at(client, clock), Some(Some(unit)) if is_second_half(unit) && !begins())
    }

    /// A unit of text, `Some(None)` if it is deleted.
    fn unit_at(&self, client: u64, clock: u32) -> Option<Option<u16>> {
        let (id, run) = self.covering(client, clock)?;
        match &run.text {
            Written::Text(text) => Some(units_from(text, run.end - id.clock, clock - id.clock).next()),
            Written::Deleted => Some(None),
            Written::Unknown => None,
        }
    }

    fn covering(&self, client: u64, clock: u32) -> Option<(Id, &Run)> {
        let (id, run) = self.runs.range(..=Id { client, clock }).next_back()?;
        (id.client == client && run.end > clock).then_some((*id, run))
    }

    /// Start and end of the run with this clock, or of the first one behind it.
    fn at_or_behind(&self, client: u64, clock: u32) -> Option<(u32, u32)> {
        if let Some((id, run)) = self.covering(client, clock) {
            return Some((id.clock, run.end));
        }
        let (id, run) = self.runs.range(Id { client, clock }..).next()?;
        (id.client == client).then_some((id.clock, run.end))
    }

    /// Puts a run where there is none, and joins it with the one in front of it if the two are one.
    fn put(&mut self, id: Id, run: Run) {
        if let Some((_, before)) = self.runs.range_mut(..id).next_back().filter(|(other, before)| {
            let follows = other.client == id.client && before.end == id.clock;
            let behind_it = Some(Id { client: id.client, clock: before.end.saturating_sub(1) });
            follows && run.origin == behind_it && run.right_origin == before.right_origin
        }) {
            let fits = |text: &str| text.len() < RUN_BYTES;
            match (&mut before.text, &run.text) {
                (Written::Text(text), Written::Text(more)) if fits(text) && fits(more) => {
                    text.push_str(more);
                    before.end = run.end;
                    return;
                }
                (Written::Deleted, Written::Deleted) | (Written::Unknown, Written::Unknown) => {
                    before.end = run.end;
                    return;
                }
                _ => {}
            }
        }
        self.runs.insert(id, run);
    }

    /// Makes a run of text begin at a clock, if one stands across it.
    fn cut(&mut self, client: u64, clock: u32) {
        let Some((id, run)) = self.runs.range_mut(..Id { client, clock }).next_back() else { return };
        if id.client != client || run.end <= clock {
            return;
        }
        let Written::Text(text) = &mut run.text else { return };
        let (front, back) = split(text, run.end - id.clock, clock - id.clock);
        *text = front;
        let end = std::mem::replace(&mut run.end, clock);
        let origin = clock.checked_sub(1).map(|clock| Id { client, clock });
        let back = Run { end, origin, right_origin: run.right_origin, text: Written::Text(back) };
        self.runs.insert(Id { client, clock }, back);
    }
}

/// Whether a cut at a clock inside a struct would divide a surrogate pair.
pub(super) fn divides_a_pair(read: &Struct<'_>, clock: u32) -> bool {
    let Content::Text(text) = read.content else { return false };
    let mut units = units_from(text, read.end - read.clock, clock - read.clock);
    units.next().is_some_and(is_second_half)
}

/// Where the pair would be divided, if one of two units is half of a pair and the other stands for half of one: in
/// front of this unit, or of the next one.
fn second_half(one: u16, other: u16) -> Option<u32> {
    match (one, other) {
        (REPLACEMENT, half @ 0xd800..0xe000) | (half @ 0xd800..0xe000, REPLACEMENT) => {
            Some(u32::from(!is_second_half(half)))
        }
        _ => None,
    }
}

fn is_second_half(unit: u16) -> bool {
    (0xdc00..0xe000).contains(&unit)
}

/// The units of a text of so many from an offset on.
fn units_from(text: &str, units: u32, offset: u32) -> impl Iterator<Item = u16> {
    let (text, skipped) = if text.len() == units as usize {
        (text.get(offset as usize..).unwrap_or_default(), 0)
    } else {
        (text, offset as usize)
    };
    text.encode_utf16().skip(skipped)
}

fn units_of(text: &str) -> u32 {
    text.chars().map(|char| char.len_utf16() as u32).sum()
}

fn behind(text: &str, offset: u32, units: u32) -> Cow<'_, str> {
    if offset == 0 { Cow::Borrowed(text) } else { Cow::Owned(split(text, units, offset).1) }
}

/// The text in pieces of at most [`RUN_BYTES`] bytes, and so no more units.
fn pieces(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let mut at = rest.len().min(RUN_BYTES);
        while !rest.is_char_boundary(at) {
            at -= 1;
        }
        let (piece, behind) = rest.split_at(at);
        rest = behind;
        (!piece.is_empty()).then_some(piece)
    })
}

/// Splits a text of so many units. Of a pair that is cut in two, as in Yjs, each half becomes a replacement character.
fn split(text: &str, units: u32, offset: u32) -> (String, String) {
    if text.len() == units as usize {
        let (front, back) = text.split_at_checked(offset as usize).unwrap_or((text, ""));
        return (front.to_owned(), back.to_owned());
    }
    let mut at = 0;
    for (byte, char) in text.char_indices() {
        if at == offset {
            return (text[..byte].to_owned(), text[byte..].to_owned());
        }
        at += char.len_utf16() as u32;
        if at > offset {
            let (front, back) = (&text[..byte], &text[byte + char.len_utf8()..]);
            return (format!("{front}\u{fffd}"), format!("\u{fffd}{back}"));
        }
    }
    (text.to_owned(), String::new())
}
