//! What a file was: enough of its log to make the text again that a client of text frames has.
//!
//! Such a client has what was logged up to a position, and its own changes since then. Others' changes since
//! then it does not have; so what it types is made in a document that lacks them, and merges as any update does.

use bytes::Bytes;
use shared::{id::ChannelId, limits, wire::text::TextPosition};

use crate::log::{FileLog, LogEntry};

/// The log of a file since a base that is not older than it has to be.
#[derive(Debug)]
pub(super) struct Past {
    older: Option<Stretch>,
    newer: Stretch,
    /// What was made of text changes and is on its way to the log.
    made: Vec<Made>,
}

/// A part of the log, and what the file was before it.
#[derive(Debug)]
struct Stretch {
    base: Bytes,
    seq: u64,
    updates: Vec<(u64, Made)>,
    bytes: usize,
}

/// An update and whose it is.
#[derive(Clone, Debug)]
struct Made {
    channel: ChannelId,
    hub_seq: u64,
    bytes: Bytes,
}

impl Past {
    /// The past as far as the room store has it.
    pub(super) fn read(log: &FileLog) -> Self {
        let newer = Stretch { base: log.base.clone(), seq: log.base_seq, updates: Vec::new(), bytes: 0 };
        let mut past = Self { older: None, newer, made: Vec::new() };
        log.updates.iter().for_each(|entry| past.add(entry));
        past
    }

    /// A change of the file was logged.
    pub(super) fn add(&mut self, entry: &LogEntry) {
        let (channel, hub_seq) = (ChannelId(entry.source.channel), entry.source.hub_seq);
        self.newer.bytes += entry.bytes.len();
        self.newer.updates.push((entry.seq, Made { channel, hub_seq, bytes: entry.bytes.clone() }));
    }

    /// A change was made and goes to the log.
    pub(super) fn make(&mut self, channel: ChannelId, hub_seq: u64, bytes: Bytes) {
        self.made.push(Made { channel, hub_seq, bytes });
    }

    /// What was on its way is in the log by now, or never will be.
    pub(super) fn settle(&mut self) {
        self.made.clear();
    }

    /// Whether it is time to begin anew, so that it does not grow without end.
    pub(super) fn is_long(&self) -> bool {
        self.newer.updates.len() >= limits::TEXT_PAST || self.newer.bytes >= limits::TEXT_PAST_BYTES
    }

    /// Begins anew from the file's state as it is at `seq`; what was before is kept once more.
    pub(super) fn turn(&mut self, state: Bytes, seq: u64) {
        let newer = Stretch { base: state, seq, updates: Vec::new(), bytes: 0 };
        self.older = Some(std::mem::replace(&mut self.newer, newer));
    }

    /// From where on positions are safe for long: clients with an older one are given a new one.
    pub(super) fn begins(&self) -> u64 {
        self.newer.seq
    }

    /// Whether a change of a channel is logged, or on its way.
    pub(super) fn has(&self, channel: ChannelId, hub_seq: u64) -> bool {
        let stretches = self.older.iter().chain([&self.newer]);
        let logged = stretches.flat_map(|stretch| stretch.updates.iter().map(|(_, made)| made));
        logged.chain(&self.made).any(|made| made.channel == channel && made.hub_seq == hub_seq)
    }

    /// The updates that make the text which a change of `channel` is based on: the position's, and what its channel
    /// and this one have made since, up to the change. `None` if that is too long ago.
    pub(super) fn updates_for(
        &self,
        base: &TextPosition,
        channel: ChannelId,
        hub_seq: u64,
    ) -> Option<Vec<&[u8]>> {
        let stretches: Vec<&Stretch> = match &self.older {
            _ if base.seq >= self.newer.seq => vec![&self.newer],
            Some(older) if base.seq >= older.seq => vec![older, &self.newer],
            _ => return None,
        };
        let is_own = |made: &Made| match made.channel {
            own if own == channel => made.hub_seq < hub_seq,
            other => other == base.channel,
        };
        let logged = stretches.iter().flat_map(|stretch| &stretch.updates);
        let logged = logged.filter(|(seq, made)| *seq <= base.seq || is_own(made)).map(|(_, made)| made);
        let own = self.made.iter().filter(|made| is_own(made));
        Some(std::iter::once(&*stretches[0].base).chain(logged.chain(own).map(|made| &*made.bytes)).collect())
    }
}
