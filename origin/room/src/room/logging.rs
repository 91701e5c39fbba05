//! What goes into the log and comes out of it: changes are appended in batches, applied to the documents and sent to
//! hubs; what the archive lacks is kept, and restored if the room store loses it.

use std::fmt::Display;

use bytes::Bytes;
use shared::{
    Millis,
    close::CloseCode,
    id::{FileId, FilePath},
    position::Position,
    wire::event::{self, EventOut},
};

use super::{
    Room,
    epoch::{Around, Read},
};
use crate::{
    change::{Change, Kind, Verdict},
    effect::{Effect, LinkId, Settings},
    flush_lag::LagStep,
    log::{FileLog, LogEntry, Logged},
    queue::Pending,
    store::{Backfill, Claimed, Dirty, StoreError},
    tail::Order,
};

impl Room {
    /// Takes a change of a link into the queue, unless the link is to replay from an earlier one.
    pub(super) fn take(&mut self, link: LinkId, change: Change) {
        self.counts.received += 1;
        let commit = &self.epoch.commit;
        let (holds, full) = (commit.held_until().is_some(), commit.is_full_for(change.bytes.len()));
        if self.epoch.refusal.is_some() || !self.links.takes(link, change.hub_seq, holds, full) {
            return;
        }
        // What a change extends belongs to whom the hub says, or to the member who has the channel.
        let author = match self.links.opens().get((link, change.channel)) {
            _ if !self.settings.owned => "".into(),
            Some(open) if change.author.is_empty() => open.grant.member.id.clone(),
            _ => change.author.clone(),
        };
        let hub = self.links.hub(link).to_owned();
        self.epoch.commit.queue.push(Pending::Change(Change { link, hub, author, ..change }));
    }

    /// Answers what can be answered, and sends the next batch if none is in flight.
    pub(super) fn commit_next(&mut self) {
        while !self.epoch.commit.is_in_flight() && self.epoch.tail.is_complete() {
            let next = self.epoch.next_batch(Around {
                texts: &mut self.texts,
                recovery: &mut self.recovery,
                opens: self.links.opens(),
                shared: self.settings.shared,
            });
            self.effects.extend(next.effects);
            next.messages.into_iter().for_each(|(link, message)| self.links.send(link, message));
            next.sizes.into_iter().for_each(|size| self.links.send_size(size));
            if next.validated.is_empty() {
                break;
            }
            let Settings { origin, confirm, .. } = &self.settings;
            match self.epoch.commit.begin(next.validated, origin, *confirm) {
                Some(batch) => self.effects.push(Effect::Append(batch)),
                None => self.settle(&[], 0),
            }
            if next.stopped {
                break;
            }
        }
        if self.epoch.commit.queue.is_empty() && self.epoch.commit.held_until().is_none() {
            self.links.resume();
        }
    }

    /// The room store's answer to [`Effect::Append`]. A failure's outcome is unknown: everything is held, the log
    /// is read, and the hubs replay.
    pub fn appended(&mut self, answer: Result<Vec<Logged>, StoreError>, now: Millis) {
        match answer {
            Ok(logged) => {
                self.epoch.commit.appended();
                self.settle(&logged, now);
                self.check_lag(now);
            }
            Err(StoreError::Overtaken) => self.validate_again(),
            Err(StoreError::Owned { file, client, owner }) => {
                if let Some(live) = self.epoch.documents.get_mut(&file) {
                    live.learn_owner(client, owner.into());
                }
                self.validate_again();
            }
            Err(error) => self.hold(&error, now),
        }
        self.commit_next();
    }

    /// What was in flight is answered; `logged` says where what was to be logged stands.
    fn settle(&mut self, logged: &[Logged], now: Millis) {
        let mut logged = logged.iter();
        let mut dirty = false;
        for (change, verdict) in self.epoch.end_batch() {
            if verdict != Verdict::Log {
                self.answer(change, verdict, self.position().seq);
                continue;
            }
            let Some(place) = logged.next() else { continue };
            dirty |= !change.file.is_room();
            if !place.duplicate {
                let entry = change.entry();
                let (seq, ts, source) = (place.seq, place.ts, entry.source);
                self.apply_own(LogEntry { file: entry.file, seq, ts, source, bytes: entry.bytes }, now);
            }
            self.answer(change, verdict, place.seq);
        }
        if dirty {
            self.effects.push(Effect::Flush);
        }
    }

    fn answer(&mut self, change: Change, verdict: Verdict, seq: u64) {
        if change.kind == Kind::Restored {
            if self.recovery.answered(&change.file, verdict) {
                self.effects.push(Effect::ReadArchive(change.file));
            }
            return;
        }
        self.counts.missing += u64::from(verdict == Verdict::MissingDependencies);
        self.counts.refused += u64::from(matches!(verdict, Verdict::Refuse(_)));
        let reply = self.epoch.reply(&change, verdict, seq, self.links.opens());
        reply.into_iter().for_each(|(link, message)| self.links.send(link, message));
        self.texts.answered(&change, verdict);
    }

    fn validate_again(&mut self) {
        for (change, verdict) in self.epoch.overtaken() {
            self.answer(change, verdict, 0);
        }
        self.catch_up();
    }

    /// The room store takes nothing: every hub is told to keep its changes.
    fn hold(&mut self, error: &StoreError, now: Millis) {
        let given_up = self.epoch.hold(now);
        self.links.hold(&given_up, error.word());
    }

    /// Applies an own change that the store has just logged. Behind changes of others it waits for its turn; it is
    /// acknowledged now.
    fn apply_own(&mut self, entry: LogEntry, now: Millis) {
        if self.epoch.tail.waits_for(entry.seq, now) {
            self.epoch.keep(&entry);
        } else {
            self.apply(entry);
        }
    }

    /// Applies a logged change if it is the next one. One that does not follow means that others were missed:
    /// then the log is read.
    pub(super) fn apply(&mut self, entry: LogEntry) {
        let (order, size) = self.epoch.apply(&entry);
        match order {
            Order::Old => return,
            Order::Gap => return self.look_at_log(),
            Order::Next => {}
        }
        size.into_iter().for_each(|size| self.links.send_size(size));
        if self.links.opens().has_text(&entry.file) {
            self.texts.mark_due(&entry.file);
        }
        self.links.deliver(&entry, self.position());
    }

    /// Sends every channel of text frames what makes its text the current one. Nothing while something is logged
    /// that this room has not seen: what was acknowledged must be in the text that is sent.
    pub(super) fn send_texts(&mut self) {
        if !self.epoch.tail.is_complete() {
            return;
        }
        for file in self.texts.take_due() {
            let places = self.links.opens().texts_of(&file);
            if places.is_empty() {
                continue;
            }
            if let Some(live) = self.epoch.documents.with_text_history(&file) {
                for (link, message) in self.texts.updates(&file, live, self.position(), places) {
                    self.links.send(link, message);
                }
            } else if self.epoch.names.has(&file) {
                self.want(&file);
                self.texts.mark_due(&file);
            }
        }
    }

    /// Brings a file into memory if it is not there.
    pub(super) fn want(&mut self, file: &FileId) {
        self.effects.extend(self.epoch.want(file, self.links.opens()));
    }

    /// The answer to [`Effect::Read`].
    pub fn file_read(&mut self, file: &FileId, answer: Result<FileLog, StoreError>, now: Millis) {
        let (read, effect) = self.epoch.read(file, answer, self.links.opens());
        self.effects.extend(effect);
        match read {
            Read::Done => self.links.loaded(file),
            Read::Unchecked => {
                tracing::warn!(
                    file.id = %file,
                    "what is stored has text in impossible places; new text is not refused for its place"
                );
                self.counts.unchecked += 1;
                self.links.loaded(file);
            }
            Read::Broken(error) => {
                // It is closed for all members; the other files go on.
                tracing::error!(file.id = %file, %error, "a file cannot be opened");
                let closed = self.links.close_all(Some(file), CloseCode::NotFound, "file-broken");
                self.closed(closed);
            }
            Read::Failed(error) => self.hold(&error, now),
        }
        self.commit_next();
    }

    /// Published changes may have been missed: the log is read.
    pub fn look_at_log(&mut self) {
        self.counts.backfills += 1;
        self.catch_up();
    }

    pub(super) fn catch_up(&mut self) {
        self.effects.extend(self.epoch.tail.catch_up());
    }

    /// The room store's answer to [`Effect::CatchUp`]: what it has beyond the room's position, which settles the
    /// outcome of an append whose answer was lost.
    pub fn caught_up(&mut self, answer: Result<Backfill, StoreError>, now: Millis) {
        self.epoch.tail.caught_up();
        match answer {
            Ok(Backfill::Changes(position, entries)) if position.epoch == self.position().epoch => {
                entries.into_iter().for_each(|entry| self.apply(entry));
                self.epoch.commit.resume();
                for file in self.epoch.documents.take_read_again() {
                    self.want(&file);
                }
                self.check_lag(now);
                self.restore_all();
                self.commit_next();
            }
            // Emptied, or populated again by another origin: nothing here continues it.
            Ok(_) | Err(StoreError::Cold | StoreError::Epoch(_)) => self.epoch.tail.end(),
            Err(error) => self.hold(&error, now),
        }
    }

    /// The room store's answer to [`Effect::Claim`], which offered `id` for the path.
    pub fn claimed(
        &mut self,
        path: &FilePath,
        id: &FileId,
        answer: Result<Claimed, StoreError>,
        now: Millis,
    ) {
        let waiting = self.epoch.claims.end(path);
        let Ok((file, created)) = self.epoch.claimed(path, id, answer) else {
            for place in waiting {
                self.close(place);
                self.links.send_closed(place, CloseCode::Failed, "cannot-create");
            }
            return self.recovery.try_later(now);
        };
        if let Some(entry) = created {
            self.apply_own(entry, now);
            self.effects.push(Effect::Flush);
        }
        for place in waiting {
            let text = self.texts.close(place);
            if let Some(grant) = self.links.opens().get(place).map(|open| open.grant.clone()) {
                self.opened(place, file.clone(), grant, text);
            }
        }
        if let Some(lost) = self.recovery.file_at(path) {
            self.restore(&lost);
        }
        self.commit_next();
    }

    /// Puts everything that is to be restored into the queue.
    pub(super) fn restore_all(&mut self) {
        for file in self.recovery.start() {
            self.restore(&file);
        }
    }

    fn restore(&mut self, file: &FileId) {
        self.effects.extend(self.epoch.restore(file, &mut self.recovery));
    }

    /// The answer to [`Effect::ReadArchive`].
    pub fn archive_read(&mut self, file: &FileId, answer: Result<Option<Bytes>, impl Display>, now: Millis) {
        match answer {
            Ok(state) => {
                if self.recovery.found_in_archive(file, state) {
                    self.restore(file);
                }
            }
            Err(error) => {
                tracing::warn!(file.id = %file, %error, "what a file builds on cannot be read; tried again");
                self.recovery.archive_failed(file, now);
            }
        }
        self.commit_next();
    }

    /// A flush says what it has stored.
    pub(super) fn note_flushed(&mut self, json: &[u8], now: Millis) {
        if let Some((epoch, files)) = event::stored_files(json)
            && epoch == self.position().epoch.0
        {
            files.iter().for_each(|file| self.epoch.ledger.flushed(&file.id, file.seq, now));
        }
    }

    /// The answer to [`Effect::Dirty`]. A store that does not give one has stored nothing either.
    pub fn dirty_read(&mut self, answer: Result<Dirty, StoreError>, now: Millis) {
        if let Ok(dirty) = answer
            && dirty.epoch == self.position().epoch
        {
            self.epoch.ledger.reconcile(&dirty);
        }
        let step = self.lag.answered(self.epoch.ledger.oldest(), now);
        self.lag_step(step);
    }

    /// Members are told when the archive falls behind or has caught up; before, the room store is asked.
    pub(super) fn check_lag(&mut self, now: Millis) {
        self.epoch.ledger.date(now);
        let step = self.lag.check(self.epoch.ledger.oldest(), now);
        self.lag_step(step);
    }

    fn lag_step(&mut self, step: LagStep) {
        match step {
            LagStep::Nothing => {}
            LagStep::Ask => self.effects.push(Effect::Dirty),
            LagStep::Tell(state) => self.broadcast(EventOut::Storing { state }.to_json().into()),
        }
    }

    /// Whether no document is open and nothing is on its way to the log.
    pub fn is_idle(&self) -> bool {
        self.epoch.commit.is_empty() && self.epoch.claims.is_empty() && self.links.opens().is_empty()
    }

    /// Whether the room store has the room in another epoch: it is to be joined again.
    pub fn is_stale(&self) -> bool {
        self.epoch.tail.is_stale()
    }

    /// Whether what the room store has lost is on its way back.
    pub fn is_restoring(&self) -> bool {
        !self.recovery.is_empty()
    }

    /// Whether copies are kept here that the archive is not known to have.
    pub fn holds_unflushed(&self) -> bool {
        self.epoch.ledger.has_copies() || self.is_restoring()
    }

    /// Since when a change waits for the archive, if one does.
    pub fn unflushed_since(&self) -> Option<Millis> {
        self.epoch.ledger.oldest()
    }

    /// Another origin has the room open and keeps copies of what is logged from now on. `dirty` is what the room store
    /// knows to be dirty, asked afterwards: the rest is stored, unless the store lags behind what was logged.
    pub fn hand_over(&mut self, dirty: Option<&Dirty>) {
        let Position { epoch, ts, .. } = self.position();
        self.epoch.ledger.hand_over(dirty.filter(|dirty| dirty.epoch == epoch && dirty.cutoff >= ts));
    }

    /// Ends every link: the hubs come back and synchronise.
    pub fn unlink_all(&mut self, why: &'static str) {
        self.effects.extend(self.links.ids().into_iter().map(|link| Effect::Unlink(link, why)));
    }
}
