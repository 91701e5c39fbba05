//! What a file was: enough of its log to restore the text that a client of text frames has.
//!
//! Such a client has what was logged up to a position, and its own changes since then. Others' changes since
//! then it does not have; so what it types is encoded in a document that lacks them, and merges as any update does.

use bytes::Bytes;
use shared::{id::ChannelId, wire::text::TextPosition};

use crate::log::{FileLog, LogEntry};

/// The log of a file since a base that is not older than it has to be.
#[derive(Debug)]
pub(crate) struct TextHistory {
    older: Option<Segment>,
    newer: Segment,
    /// Text changes that were encoded and are on their way to the log.
    pending: Vec<Authored>,
}

/// A part of the log, and the file's state before it.
#[derive(Debug)]
struct Segment {
    base: Bytes,
    seq: u64,
    updates: Vec<(u64, Authored)>,
    bytes: usize,
}

/// An update and whose it is.
#[derive(Clone, Debug)]
struct Authored {
    channel: ChannelId,
    hub_seq: u64,
    bytes: Bytes,
}

impl Segment {
    fn new(base: Bytes, seq: u64) -> Self {
        Self { base, seq, updates: Vec::new(), bytes: 0 }
    }
}

impl TextHistory {
    /// The history as far as the room store has it.
    pub(crate) fn read(log: &FileLog) -> Self {
        let newer = Segment::new(log.base.clone(), log.base_seq);
        let mut history = Self { older: None, newer, pending: Vec::new() };
        log.updates.iter().for_each(|entry| history.add(entry));
        history
    }

    /// A change of the file was logged.
    pub(crate) fn add(&mut self, entry: &LogEntry) {
        let (channel, hub_seq) = (ChannelId(entry.source.channel), entry.source.hub_seq);
        self.newer.bytes += entry.bytes.len();
        self.newer.updates.push((entry.seq, Authored { channel, hub_seq, bytes: entry.bytes.clone() }));
    }

    /// A text change was encoded and goes to the log.
    pub(crate) fn add_pending(&mut self, channel: ChannelId, hub_seq: u64, bytes: Bytes) {
        self.pending.push(Authored { channel, hub_seq, bytes });
    }

    /// What was on its way is in the log by now, or never will be.
    pub(crate) fn settle(&mut self) {
        self.pending.clear();
    }

    /// Whether it is time for a new segment, so that the history does not grow without end.
    pub(crate) fn is_long(&self) -> bool {
        self.newer.updates.len() >= crate::limits::TEXT_PAST
            || self.newer.bytes >= crate::limits::TEXT_PAST_BYTES
    }

    /// Begins a segment with the file's state at `seq`; the segment before it is kept.
    pub(crate) fn begin_segment(&mut self, state: Bytes, seq: u64) {
        self.older = Some(std::mem::replace(&mut self.newer, Segment::new(state, seq)));
    }

    /// From where on positions are safe for long: clients with an older one are given a new one.
    pub(crate) fn begins(&self) -> u64 {
        self.newer.seq
    }

    /// Whether a change of a channel is logged, or on its way.
    pub(crate) fn has(&self, channel: ChannelId, hub_seq: u64) -> bool {
        let segments = self.older.iter().chain([&self.newer]);
        let logged = segments.flat_map(|segment| segment.updates.iter().map(|(_, update)| update));
        logged.chain(&self.pending).any(|update| update.channel == channel && update.hub_seq == hub_seq)
    }

    /// The updates that make the text which a change of `channel` is based on: the position's, and what its channel
    /// and this one have logged since, up to the change. `None` if that is too long ago.
    pub(crate) fn updates_for(
        &self,
        base: &TextPosition,
        channel: ChannelId,
        hub_seq: u64,
    ) -> Option<Vec<&[u8]>> {
        let segments: Vec<&Segment> = match &self.older {
            _ if base.seq >= self.newer.seq => vec![&self.newer],
            Some(older) if base.seq >= older.seq => vec![older, &self.newer],
            _ => return None,
        };
        let is_own = |update: &Authored| match update.channel {
            own if own == channel => update.hub_seq < hub_seq,
            other => other == base.channel,
        };
        let logged = segments.iter().flat_map(|segment| &segment.updates);
        let logged =
            logged.filter(|(seq, update)| *seq <= base.seq || is_own(update)).map(|(_, update)| update);
        let own = self.pending.iter().filter(|update| is_own(update));
        let updates = logged.chain(own).map(|update| &*update.bytes);
        Some(std::iter::once(&*segments[0].base).chain(updates).collect())
    }
}
