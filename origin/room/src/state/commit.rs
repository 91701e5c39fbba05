//! Group commit: what hubs send waits in one queue while an append is in flight, then goes as one batch.
//!
//! A sync waits in the same queue: its answer holds everything that its link had sent before it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use bytes::Bytes;
use shared::{
    id::{ChannelId, FileId},
    limits,
    wire::link::OriginMessage,
};

use super::{
    Effect, LinkId, Room,
    change::{Change, What},
    judge::Verdict,
};
use crate::{
    log::{Batch, Entry, LogEntry, Logged},
    store::StoreError,
};

/// What waits for the log, and what is on its way there.
#[derive(Debug, Default)]
pub(super) struct Commit {
    pub(super) queue: VecDeque<Pending>,
    /// How many changes of text frames wait in it, by file.
    texts: BTreeMap<FileId, usize>,
    pub(super) queued_bytes: usize,
    pub(super) in_flight: Option<Vec<(Change, Verdict)>>,
    /// How often in a row an append was refused because the log had more than was judged by.
    pub(super) overtaken: u32,
    /// Channels with a change that contradicts the log: what follows on it has no meaning, until they are opened again.
    pub(super) contradicting: BTreeSet<(LinkId, ChannelId)>,
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

impl Commit {
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty() && self.in_flight.is_none()
    }

    pub(super) fn is_flying(&self) -> bool {
        self.in_flight.is_some()
    }

    /// Whether a change of a text frame waits to be made into an update of the file.
    pub(super) fn has_text(&self, file: &FileId) -> bool {
        self.texts.contains_key(file)
    }

    pub(super) fn push(&mut self, pending: Pending) {
        if let Pending::Change(change) = &pending {
            self.enter(change);
        }
        self.queue.push_back(pending);
    }

    fn pop(&mut self) -> Option<Pending> {
        let pending = self.queue.pop_front()?;
        if let Pending::Change(change) = &pending {
            self.queued_bytes -= change.bytes.len();
            if let (What::Text(_), Some(count)) = (&change.what, self.texts.get_mut(&change.file)) {
                *count -= 1;
                if *count == 0 {
                    self.texts.remove(&change.file);
                }
            }
        }
        Some(pending)
    }

    pub(super) fn put_back(&mut self, change: Change) {
        self.enter(&change);
        self.queue.push_front(Pending::Change(change));
    }

    fn enter(&mut self, change: &Change) {
        self.queued_bytes += change.bytes.len();
        if matches!(change.what, What::Text(_)) {
            *self.texts.entry(change.file.clone()).or_default() += 1;
        }
    }

    /// A channel opens a document, perhaps again.
    pub(super) fn forget_channel(&mut self, link: LinkId, channel: ChannelId) {
        self.contradicting.remove(&(link, channel));
    }

    /// A link is gone.
    pub(super) fn forget_link(&mut self, link: LinkId) {
        self.contradicting.retain(|(of, _)| *of != link);
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
        self.texts.clear();
        dropped
    }
}

impl Room {
    /// Takes a change of a link into the queue, unless the link is to replay from an earlier one.
    pub(super) fn take(&mut self, link: LinkId, change: Change) {
        self.counts.received += 1;
        if self.refusal.is_some() || !self.follows(link, change.hub_seq, change.bytes.len()) {
            return;
        }
        let hub = self.links.get(&link).map(|state| state.hub.clone()).unwrap_or_default();
        let author = self.author(link, &change);
        self.commit.push(Pending::Change(Change { link, hub, author, ..change }));
    }

    /// The member to whom what a change extends belongs: as the hub says, or who has the channel.
    fn author(&self, link: LinkId, change: &Change) -> Arc<str> {
        let open = self.opens.get(link, change.channel);
        match open {
            _ if !self.settings.owned => "".into(),
            Some(open) if change.author.is_empty() => open.grant.member.id.clone(),
            _ => change.author.clone(),
        }
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
        if self.refusal.is_none() && self.names.has(&file) {
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
                || !self.names.has(&file)
                || self.live.get(&file).is_some_and(|live| live.past.is_some() || !of_text);
            if !known {
                self.want(&file);
                return (judged, true);
            }
            // One that is overtaken again and again keeps no others from the log.
            let most = if self.commit.overtaken > 0 { 1 } else { limits::BATCH_CHANGES };
            let full = judged.len() >= most || bytes + size > limits::BATCH_BYTES;
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
                    let verdict = self.judge_in_turn(&mut change);
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
            state_vector: live.state_vector(state_vector),
            size: live.size.bytes() as u64,
            position: self.position,
            file: file.clone(),
        };
        let size = live.size.message(file);
        self.tell(link, std::iter::once(message).chain(size).collect());
    }

    /// The room store's answer to [`Effect::Append`]. A failure's outcome is unknown: everything is held, the log
    /// is asked, and the hubs replay.
    pub fn appended(&mut self, answer: Result<Vec<Logged>, StoreError>, now: shared::Millis) {
        match answer {
            Ok(logged) => {
                self.commit.overtaken = 0;
                self.settle_batch(&logged, now);
            }
            Err(StoreError::Overtaken) => self.judge_again(),
            Err(StoreError::Owned { file, client, owner }) => {
                if let Some(live) = self.live.get_mut(&file) {
                    live.owners.insert(client, owner.into());
                }
                self.judge_again();
            }
            Err(error) => self.hold(error.word(), now),
        }
        self.commit_next();
    }

    fn settle_batch(&mut self, logged: &[Logged], now: shared::Millis) {
        let Some(judged) = self.commit.in_flight.take() else { return };
        self.settle_files(judged.iter().map(|(change, _)| &change.file));
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

    /// What was on its way of these files is logged by now, or never will be.
    pub(super) fn settle_files<'a>(&mut self, files: impl Iterator<Item = &'a FileId>) {
        for file in files.collect::<BTreeSet<_>>() {
            if let Some(live) = self.live.get_mut(file) {
                live.settle();
            }
        }
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

    pub(super) fn answer(&mut self, change: Change, verdict: Verdict) {
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
                let live = self.live.get(&file);
                let state_vector = live.map(|live| live.state_vector(&[])).unwrap_or_default();
                self.ask_owners(&change, &state_vector);
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
        let size = self.live.get(&change.file).map_or(0, |live| live.size.bytes() as u64);
        let Change { link, channel, file, hub_seq, .. } = change.clone();
        self.tell(link, vec![OriginMessage::Ack { channel, file, hub_seq, seq, size }]);
    }
}
