//! The outbox: changes that the origin has not acknowledged, in order, and the rows that keep them.
//!
//! Lazy: a change is stored only when it is late or when there is no link, many changes to a row. A row is
//! forgotten when all its changes are settled.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::{Bytes, BytesMut};

use super::{clocks::Showing, effect::Effect, output::Output};
use crate::{
    Millis,
    id::{ChannelId, FileId},
    limits,
    wire::link::{self, HubMessage},
};

/// One unacknowledged change.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    hub_seq: u64,
    /// An `Update` or a logged `Event`, as it goes over the link.
    message: HubMessage,
    /// How many bytes it takes in a frame of the link.
    bytes: usize,
    /// When it was last handed to the link, or taken.
    at: Millis,
    row: Option<u64>,
    settled: bool,
    showing: Showing,
    /// Whether it was read from a row: who has seen it is not known.
    restored: bool,
}

/// A change that needs no replay any more.
#[derive(Clone, Debug)]
pub(super) struct Settled {
    pub(super) message: HubMessage,
    /// Whether other sessions of the hub may have seen it before it was answered.
    pub(super) shown: bool,
}

/// What is not acknowledged yet.
#[derive(Debug)]
pub(super) struct Outbox {
    entries: VecDeque<Entry>,
    next: u64,
    bytes: usize,
    live: usize,
    unsaved: usize,
    /// The number from which on changes are in no row.
    unsaved_from: u64,
    /// The unsettled updates of each file, by number.
    updates: BTreeMap<FileId, BTreeSet<u64>>,
    /// How many unsettled changes each stored row still has.
    rows: BTreeMap<u64, usize>,
}

impl Outbox {
    /// Numbers begin with the time, so that they rise over evictions without a write.
    pub(super) fn new(now: Millis) -> Self {
        let next = now.max(1) << 9;
        Self {
            entries: VecDeque::new(),
            next,
            bytes: 0,
            live: 0,
            unsaved: 0,
            unsaved_from: next,
            updates: BTreeMap::new(),
            rows: BTreeMap::new(),
        }
    }

    /// Reads stored rows back. A row that cannot be read is reported by its number.
    pub(super) fn restore(&mut self, rows: Vec<(u64, Bytes)>, now: Millis) -> Vec<u64> {
        let mut unreadable = Vec::new();
        for (row, bytes) in rows {
            let Some(messages) = read_row(&bytes) else {
                unreadable.push(row);
                continue;
            };
            for message in messages {
                let Some(hub_seq) = number(&message) else { continue };
                self.next = self.next.max(hub_seq + 1);
                let bytes = self.enter(hub_seq, &message);
                *self.rows.entry(row).or_default() += 1;
                // Who has seen it is lost with the memory: the origin sends it to everybody here.
                let message = held(message);
                self.entries.push_back(Entry {
                    hub_seq,
                    message,
                    bytes,
                    at: now,
                    row: Some(row),
                    settled: false,
                    showing: Showing::Logged,
                    restored: true,
                });
            }
        }
        self.entries.make_contiguous().sort_by_key(|entry| entry.hub_seq);
        self.unsaved_from = self.next;
        unreadable
    }

    /// The number that the next change gets.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    /// A number for something that is not a change, never used before, not even by a memory that was lost.
    pub(super) fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    pub(super) fn has_room_for(&self, bytes: usize) -> bool {
        self.bytes + bytes <= limits::OUTBOX_BYTES
    }

    /// Takes a change that nobody here sees before it is logged, which `make` builds around its number, and returns it
    /// for the link.
    pub(super) fn push(&mut self, now: Millis, make: impl FnOnce(u64) -> HubMessage) -> HubMessage {
        self.push_showing(now, Showing::Logged, make)
    }

    /// [`Self::push`] of a change that others here may see before.
    pub(super) fn push_showing(
        &mut self,
        now: Millis,
        showing: Showing,
        make: impl FnOnce(u64) -> HubMessage,
    ) -> HubMessage {
        let hub_seq = self.next;
        self.next += 1;
        let message = make(hub_seq);
        let bytes = self.enter(hub_seq, &message);
        self.unsaved += 1;
        self.entries.push_back(Entry {
            hub_seq,
            message: message.clone(),
            bytes,
            at: now,
            row: None,
            settled: false,
            showing,
            restored: false,
        });
        message
    }

    /// The updates that wait for the change with this number, or for anything, to be shown: number, channel, file, bytes.
    pub(super) fn waiting(&self, behind: Option<u64>) -> Vec<(u64, ChannelId, FileId, Bytes)> {
        let waits = |entry: &&Entry| match (behind, entry.showing) {
            (Some(number), Showing::Behind(change)) => number == change,
            (None, showing) => showing != Showing::Now,
            (Some(_), _) => false,
        };
        // Nothing waits for what came after it.
        let from = behind.map_or(0, |number| self.entries.partition_point(|entry| entry.hub_seq <= number));
        let waiting = self.entries.range(from..).filter(|entry| !entry.settled).filter(waits);
        let updates = waiting.filter_map(|entry| match &entry.message {
            HubMessage::Update { kind: link::ChangeKind::Step2, .. } => None,
            HubMessage::Update { channel, file, bytes, .. } => {
                Some((entry.hub_seq, *channel, file.clone(), bytes.clone()))
            }
            _ => None,
        });
        updates.collect()
    }

    /// An update was shown.
    pub(super) fn shown(&mut self, hub_seq: u64) {
        if let Ok(at) = self.entries.binary_search_by_key(&hub_seq, |entry| entry.hub_seq)
            && let Some(entry) = self.entries.get_mut(at)
        {
            entry.showing = Showing::Now;
        }
    }

    /// A change is logged, refused or missing: it needs no replay. `None` if it is not known (any more).
    pub(super) fn settle(&mut self, hub_seq: u64, output: &mut Output) -> Option<Settled> {
        let at = self.entries.binary_search_by_key(&hub_seq, |entry| entry.hub_seq).ok()?;
        let entry = self.entries.get_mut(at).filter(|entry| !entry.settled)?;
        entry.settled = true;
        self.live -= 1;
        self.bytes -= entry.bytes;
        let may_be_shown = entry.showing == Showing::Now || entry.restored;
        let settled = Settled { message: entry.message.clone(), shown: may_be_shown };
        if let Some(file) = updated(&entry.message)
            && let Some(numbers) = self.updates.get_mut(file)
        {
            numbers.remove(&hub_seq);
            if numbers.is_empty() {
                self.updates.remove(file);
            }
        }
        match entry.row {
            None => self.unsaved -= 1,
            Some(row) => {
                let left = self.rows.get_mut(&row)?;
                *left -= 1;
                if *left == 0 {
                    self.rows.remove(&row);
                    output.push(Effect::ForgetOutbox { row });
                }
            }
        }
        while self.entries.front().is_some_and(|entry| entry.settled) {
            self.entries.pop_front();
        }
        Some(settled)
    }

    /// Everything unacknowledged, in order, marked as sent now.
    pub(super) fn replay(&mut self, now: Millis) -> Vec<HubMessage> {
        let live = self.entries.iter_mut().filter(|entry| !entry.settled);
        live.map(|entry| {
            entry.at = now;
            entry.message.clone()
        })
        .collect()
    }

    /// The unacknowledged updates of a file that other channels have made here and that are shown.
    pub(super) fn updates_of<'a>(
        &'a self,
        file: &'a FileId,
        except: ChannelId,
    ) -> impl Iterator<Item = &'a Bytes> {
        let numbers = self.updates.get(file).into_iter().flatten();
        numbers.filter_map(move |number| {
            let at = self.entries.binary_search_by_key(number, |entry| entry.hub_seq).ok()?;
            let entry = self.entries.get(at).filter(|entry| entry.showing == Showing::Now)?;
            match &entry.message {
                HubMessage::Update { channel, bytes, .. } if *channel != except => Some(bytes),
                _ => None,
            }
        })
    }

    fn enter(&mut self, hub_seq: u64, message: &HubMessage) -> usize {
        let bytes = message.encoded_len();
        self.bytes += bytes;
        self.live += 1;
        if let Some(file) = updated(message) {
            self.updates.entry(file.clone()).or_default().insert(hub_seq);
        }
        bytes
    }

    /// Where those begin that are in no row.
    fn first_unsaved(&self) -> usize {
        self.entries.partition_point(|entry| entry.hub_seq < self.unsaved_from)
    }

    /// Stores everything that is not in a row yet.
    pub(super) fn store(&mut self, output: &mut Output) {
        if self.unsaved == 0 {
            return;
        }
        let mut row = None;
        let mut buffer = BytesMut::new();
        let from = self.first_unsaved();
        for entry in self.entries.range_mut(from..).filter(|entry| !entry.settled) {
            let frame = link::encode_hub(std::slice::from_ref(&entry.message));
            if let Some(full) = row
                && buffer.len() + frame.len() > limits::OUTBOX_ROW_BYTES
            {
                output.push(Effect::SaveOutbox { row: full, bytes: buffer.split().freeze() });
                row = None;
            }
            let number = *row.get_or_insert(entry.hub_seq);
            entry.row = Some(number);
            *self.rows.entry(number).or_default() += 1;
            buffer.extend_from_slice(&u32::try_from(frame.len()).unwrap_or(u32::MAX).to_be_bytes());
            buffer.extend_from_slice(&frame);
        }
        if let Some(row) = row {
            output.push(Effect::SaveOutbox { row, bytes: buffer.freeze() });
        }
        self.unsaved = 0;
        self.unsaved_from = self.next;
    }

    /// When the oldest change that is in no row becomes late.
    pub(super) fn late_at(&self) -> Option<Millis> {
        if self.unsaved == 0 {
            return None;
        }
        let oldest = self.entries.range(self.first_unsaved()..).find(|entry| !entry.settled)?;
        Some(oldest.at + limits::OUTBOX_LATE_MS)
    }

    /// When the oldest unacknowledged change was handed to the link.
    pub(super) fn oldest_at(&self) -> Option<Millis> {
        self.entries.front().map(|entry| entry.at)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.live == 0
    }

    pub(super) fn len(&self) -> usize {
        self.live
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn rows(&self) -> usize {
        self.rows.len()
    }
}

/// An update that is not known to have been shown.
fn held(mut message: HubMessage) -> HubMessage {
    if let HubMessage::Update { kind, .. } = &mut message
        && *kind == link::ChangeKind::Update
    {
        *kind = link::ChangeKind::Held;
    }
    message
}

/// The file that is changed by an update.
fn updated(message: &HubMessage) -> Option<&FileId> {
    match message {
        HubMessage::Update { file, .. } => Some(file),
        _ => None,
    }
}

fn number(message: &HubMessage) -> Option<u64> {
    match message {
        HubMessage::Update { hub_seq, .. }
        | HubMessage::Event { hub_seq, .. }
        | HubMessage::Text { hub_seq, .. } => Some(*hub_seq),
        _ => None,
    }
}

fn read_row(bytes: &Bytes) -> Option<Vec<HubMessage>> {
    let mut messages = Vec::new();
    let mut rest = bytes.clone();
    while !rest.is_empty() {
        let length = rest.get(..4)?.try_into().ok().map(u32::from_be_bytes)?;
        let length = usize::try_from(length).ok()?;
        let _ = rest.split_to(4);
        if rest.len() < length {
            return None;
        }
        messages.extend(link::decode_hub(&rest.split_to(length)).ok()?);
    }
    Some(messages)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(file: &FileId, channel: u64) -> impl FnOnce(u64) -> HubMessage {
        let (channel, file) = (ChannelId(channel), file.clone());
        let (kind, bytes) = (link::ChangeKind::Update, Bytes::from_static(b"u"));
        move |hub_seq| HubMessage::Update {
            channel,
            file,
            hub_seq,
            kind,
            grant_version: 0,
            may_edit: true,
            author: "".into(),
            bytes,
        }
    }

    #[test]
    fn what_is_in_a_row_is_not_looked_at_again_and_a_file_has_its_own_updates() {
        let [one, two] = [1, 2].map(FileId::from_random);
        let (mut outbox, mut output) = (Outbox::new(1), Output::default());
        for channel in 1..=100 {
            outbox.push_showing(1, Showing::Now, update(&one, channel));
        }
        outbox.store(&mut output);
        assert_eq!((output.take().len(), outbox.first_unsaved(), outbox.late_at()), (1, 100, None));
        outbox.push_showing(50, Showing::Now, update(&two, 7));
        let last = outbox.next() - 1;
        assert_eq!((outbox.first_unsaved(), outbox.late_at()), (100, Some(50 + limits::OUTBOX_LATE_MS)));
        outbox.store(&mut output);
        assert!(matches!(output.take()[0], Effect::SaveOutbox { row, .. } if row == last));
        assert_eq!(outbox.updates_of(&one, ChannelId(3)).count(), 99);
        assert_eq!(outbox.updates_of(&two, ChannelId(3)).count(), 1);
        outbox.settle(last, &mut output);
        assert_eq!(outbox.updates_of(&two, ChannelId(3)).count(), 0);
    }
}
