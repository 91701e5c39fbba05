//! Group commit: what hubs send waits in one queue while an append is in flight, then goes as one batch.
//!
//! A sync waits in the same queue: its answer holds everything that its link had sent before it.

use std::collections::VecDeque;

use bytes::Bytes;
use shared::{
    id::{ChannelId, FileId},
    limits,
    wire::link::OriginMessage,
};

use super::{Effect, LinkId, Room, judge::Verdict, text::Typing};
use crate::room_store::{Batch, Entry, LogEntry, Logged, Source, StoreError};

/// What waits for the log, and what is on its way there.
#[derive(Debug, Default)]
pub(super) struct Commit {
    pub(super) queue: VecDeque<Pending>,
    pub(super) queued_bytes: usize,
    in_flight: Option<Vec<(Change, Verdict)>>,
    pub(super) hold: super::hold::Hold,
}

/// Something that a hub has sent and that is answered in its turn.
#[derive(Debug)]
pub(super) enum Pending {
    Change(Change),
    Sync {
        link: LinkId,
        channel: ChannelId,
        file: FileId,
        ask: u64,
        state_vector: Bytes,
    },
    /// A channel of text frames is to get its text whole.
    TextAnew {
        link: LinkId,
        channel: ChannelId,
        file: FileId,
        round: u64,
    },
    /// What the room store has lost of a file is to be given back.
    Return {
        file: FileId,
    },
}

/// One change of a hub.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) link: LinkId,
    pub(super) hub: String,
    pub(super) channel: ChannelId,
    pub(super) file: FileId,
    pub(super) hub_seq: u64,
    pub(super) what: What,
    pub(super) bytes: Bytes,
    /// The log was already asked for what it depends on.
    pub(super) looked: bool,
}

/// What a change is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    Update,
    Step2 {
        may_edit: bool,
    },
    Event,
    /// A change of a text frame; its bytes are the frame until it was judged, then the update.
    Text(Typing),
    /// What was logged before, and lost by the room store.
    Returned,
}

impl Commit {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.in_flight.is_none()
    }

    pub(super) fn is_flying(&self) -> bool {
        self.in_flight.is_some()
    }

    pub(super) fn push(&mut self, pending: Pending) {
        if let Pending::Change(change) = &pending {
            self.queued_bytes += change.bytes.len();
        }
        self.queue.push_back(pending);
    }

    fn pop(&mut self) -> Option<Pending> {
        let pending = self.queue.pop_front()?;
        if let Pending::Change(change) = &pending {
            self.queued_bytes -= change.bytes.len();
        }
        Some(pending)
    }

    fn put_back(&mut self, change: Change) {
        self.queued_bytes += change.bytes.len();
        self.queue.push_front(Pending::Change(change));
    }

    /// Gives up everything that was to be logged: the hubs will send it again.
    pub(super) fn give_up(&mut self) -> Vec<Change> {
        let flying = self.in_flight.take().unwrap_or_default().into_iter().map(|(change, _)| change);
        let mut dropped: Vec<Change> = flying.collect();
        let (changes, syncs): (Vec<_>, Vec<_>) = std::mem::take(&mut self.queue)
            .into_iter()
            .partition(|pending| matches!(pending, Pending::Change(_)));
        dropped.extend(changes.into_iter().filter_map(|pending| match pending {
            Pending::Change(change) => Some(change),
            Pending::Sync { .. } | Pending::TextAnew { .. } | Pending::Return { .. } => None,
        }));
        self.queue = syncs.into();
        self.queued_bytes = 0;
        dropped
    }
}

impl Room {
    /// Takes a change into the queue, unless its link is to replay from an earlier one.
    pub(super) fn take(
        &mut self,
        link: LinkId,
        channel: ChannelId,
        file: FileId,
        hub_seq: u64,
        what: What,
        bytes: Bytes,
    ) {
        self.counts.received += 1;
        if self.refusal.is_some() || !self.follows(link, hub_seq, bytes.len()) {
            return;
        }
        let hub = self.links.get(&link).map(|state| state.hub.clone()).unwrap_or_default();
        self.commit.push(Pending::Change(Change {
            link,
            hub,
            channel,
            file,
            hub_seq,
            what,
            bytes,
            looked: false,
        }));
    }

    /// A client's Step1, or the wish for a whole document (channel 0).
    pub(super) fn sync(
        &mut self,
        link: LinkId,
        channel: ChannelId,
        file: FileId,
        ask: u64,
        state_vector: Bytes,
    ) {
        if self.refusal.is_none() && self.names.contains_key(&file) {
            self.commit.push(Pending::Sync { link, channel, file, ask, state_vector });
        }
    }

    /// Answers what can be answered, and sends the next batch if none is in flight.
    pub(super) fn commit_next(&mut self) {
        while !self.commit.is_flying() && !self.catching_up && !self.waits_for_others() {
            let (judged, stopped) = self.next_batch();
            if judged.is_empty() {
                break;
            }
            let entries: Vec<Entry> = judged
                .iter()
                .filter(|(_, verdict)| *verdict == Verdict::Log)
                .map(|(change, _)| change.entry())
                .collect();
            let confirm =
                self.settings.confirm && judged.iter().any(|(_, verdict)| *verdict == Verdict::Known);
            self.commit.in_flight = Some(judged);
            if entries.is_empty() && !confirm {
                self.settle_batch(&[], 0);
            } else {
                self.batches += 1;
                self.counts.batches += 1;
                let batch = Batch { origin: self.settings.origin.clone(), number: self.batches, entries };
                self.effects.push(Effect::Append(batch));
            }
            if stopped {
                break;
            }
        }
        if self.commit.queue.is_empty() {
            self.resume_busy_links();
        }
    }

    /// Judges from the front of the queue as much as fits one batch. A file that is not in memory stops it.
    fn next_batch(&mut self) -> (Vec<(Change, Verdict)>, bool) {
        let mut judged = Vec::new();
        let mut bytes = 0;
        loop {
            let (file, size, of_text) = match self.commit.queue.front() {
                None => return (judged, false),
                Some(
                    Pending::Sync { file, .. } | Pending::TextAnew { file, .. } | Pending::Return { file },
                ) => (file.clone(), 0, false),
                Some(Pending::Change(change)) => {
                    (change.file.clone(), change.bytes.len(), matches!(change.what, What::Text(_)))
                }
            };
            let known = file.is_room()
                || !self.names.contains_key(&file)
                || self.live.get(&file).is_some_and(|live| live.past.is_some() || !of_text);
            if !known {
                self.want(&file);
                return (judged, true);
            }
            let full = judged.len() >= limits::BATCH_CHANGES || bytes + size > limits::BATCH_BYTES;
            if full && !judged.is_empty() {
                return (judged, false);
            }
            // The answer to anything else must hold what is judged but not logged yet.
            if !judged.is_empty() && !matches!(self.commit.queue.front(), Some(Pending::Change(_))) {
                return (judged, false);
            }
            match self.commit.pop() {
                Some(Pending::Sync { link, channel, file, ask, state_vector }) => {
                    self.answer_sync(link, channel, file, ask, &state_vector);
                }
                Some(Pending::TextAnew { link, channel, round, .. }) => self.text_anew(link, channel, round),
                Some(Pending::Return { file }) => {
                    if let Some(change) = self.return_file(&file) {
                        self.commit.put_back(change);
                    }
                }
                Some(Pending::Change(mut change)) => {
                    let verdict = self.judge(&mut change);
                    if verdict == Verdict::Missing && !std::mem::replace(&mut change.looked, true) {
                        // Another origin may have logged what it depends on: the log is read before it is a miss.
                        self.commit.put_back(change);
                        self.catch_up();
                        return (judged, true);
                    }
                    bytes += size;
                    judged.push((change, verdict));
                }
                None => return (judged, false),
            }
        }
    }

    fn answer_sync(
        &mut self,
        link: LinkId,
        channel: ChannelId,
        file: FileId,
        ask: u64,
        state_vector: &Bytes,
    ) {
        let Some(live) = self.live.get(&file) else { return };
        let bytes = if state_vector.is_empty() { Bytes::new() } else { live.diff(state_vector) };
        let message = OriginMessage::Diff {
            channel,
            ask,
            bytes,
            state_vector: live.state_vector(),
            size: live.size as u64,
            position: self.position,
            file,
        };
        self.tell(link, vec![message]);
    }

    /// The room store's answer to [`Effect::Append`]. A failure's outcome is unknown: everything is held, the log
    /// is asked, and the hubs replay.
    pub fn appended(&mut self, answer: Result<Vec<Logged>, StoreError>, now: shared::Millis) {
        match answer {
            Ok(logged) => self.settle_batch(&logged, now),
            Err(error) => self.hold(error.word(), now),
        }
        self.commit_next();
    }

    fn settle_batch(&mut self, logged: &[Logged], now: shared::Millis) {
        let Some(judged) = self.commit.in_flight.take() else { return };
        for live in self.live.values_mut() {
            live.settle();
        }
        let mut logged = logged.iter();
        let mut dirty = false;
        for (change, verdict) in judged {
            if verdict == Verdict::Log {
                let Some(place) = logged.next() else { continue };
                dirty |= !change.file.is_room();
                self.logged(change, *place, now);
            } else {
                self.answer(change, verdict);
            }
        }
        if dirty {
            self.effects.push(Effect::Flush);
        }
        self.look_at_storing(now);
    }

    fn logged(&mut self, change: Change, place: Logged, now: shared::Millis) {
        self.counts.logged += 1;
        if !place.duplicate {
            let entry = change.entry();
            let source = entry.source;
            let entry =
                LogEntry { file: entry.file, seq: place.seq, ts: place.ts, source, bytes: entry.bytes };
            self.apply_own(entry, now);
        }
        if change.what == What::Returned {
            return self.returned(&change.file, Verdict::Log);
        }
        self.acknowledge(&change, place.seq);
        self.text_answered(&change, Verdict::Log);
    }

    fn answer(&mut self, change: Change, verdict: Verdict) {
        if change.what == What::Returned {
            return self.returned(&change.file, verdict);
        }
        let Change { link, channel, file, hub_seq, .. } = change.clone();
        let message = match verdict {
            Verdict::Log | Verdict::Known => {
                self.counts.known += 1;
                self.acknowledge(&change, self.position.seq);
                return self.text_answered(&change, verdict);
            }
            Verdict::Missing => {
                self.counts.missing += 1;
                let state_vector =
                    self.live.get(&file).map(super::LiveFile::state_vector).unwrap_or_default();
                OriginMessage::Missing { channel, file, hub_seq, state_vector }
            }
            Verdict::Refuse(reason) => {
                self.counts.refused += 1;
                OriginMessage::Refuse { channel, file, hub_seq, reason: reason.to_owned() }
            }
        };
        self.tell(link, vec![message]);
        self.text_answered(&change, verdict);
    }

    fn acknowledge(&mut self, change: &Change, seq: u64) {
        let size = self.live.get(&change.file).map_or(0, |live| live.size as u64);
        let Change { link, channel, file, hub_seq, .. } = change.clone();
        self.tell(link, vec![OriginMessage::Ack { channel, file, hub_seq, seq, size }]);
    }
}

impl Change {
    fn entry(&self) -> Entry {
        // What a Step2 or a text frame brings its own hub has not fanned out: it goes to every hub, whoever sent it.
        let hub = if matches!(self.what, What::Step2 { .. } | What::Text(_)) {
            String::new()
        } else {
            self.hub.clone()
        };
        let author = match &self.what {
            What::Text(typing) => typing.author(),
            _ => None,
        };
        let channel = author.unwrap_or(self.channel).0;
        let source = Source { hub, hub_seq: self.hub_seq, channel };
        Entry { file: self.file.clone(), source, bytes: self.bytes.clone() }
    }
}
