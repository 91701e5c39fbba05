//! Validating what hubs have sent, in turn, as much as fits one batch; and what they are answered.

use shared::{
    update::REUSE,
    wire::{link::OriginMessage, text::STALE},
};

use super::EpochState;
use crate::{
    change::{Change, Kind, Verdict},
    commit::Validated,
    effect::{Effect, LinkId},
    opens::Opens,
    queue::Pending,
    recovery::{Recovery, RestoreStep},
    text_clients::{TextClients, TextContext},
};

/// What was validated for one batch.
#[derive(Debug, Default)]
pub(in crate::room) struct NextBatch {
    pub(in crate::room) validated: Validated,
    /// Something must come first: a file that is not in memory, or changes that the log has and the room has not.
    pub(in crate::room) stopped: bool,
    /// What hubs are sent, in order.
    pub(in crate::room) messages: Vec<(LinkId, OriginMessage)>,
    pub(in crate::room) effects: Vec<Effect>,
    /// Sizes that were measured, for the hubs that have these files open.
    pub(in crate::room) sizes: Vec<OriginMessage>,
}

/// The other parts of the room that validation concerns.
pub(in crate::room) struct Around<'a> {
    pub(in crate::room) texts: &'a mut TextClients,
    pub(in crate::room) recovery: &'a mut Recovery,
    pub(in crate::room) opens: &'a Opens,
    /// Whether other origins can have the room open too.
    pub(in crate::room) shared: bool,
}

impl EpochState {
    /// Validates from the front of the queue as much as fits one batch.
    pub(in crate::room) fn next_batch(&mut self, mut around: Around<'_>) -> NextBatch {
        let mut next = NextBatch::default();
        let mut bytes = 0;
        while let Some(front) = self.commit.queue.front() {
            let (file, size) = (front.file().clone(), front.bytes());
            if !self.is_ready(front) {
                next.effects.extend(self.want(&file, around.opens));
                next.stopped = true;
                break;
            }
            let full = next.validated.len() >= self.commit.batch_changes()
                || bytes + size.unwrap_or(0) > crate::limits::BATCH_BYTES;
            // The answer to anything but a change must hold what is validated but not logged yet.
            if !next.validated.is_empty() && (full || size.is_none()) {
                break;
            }
            match self.commit.queue.pop() {
                Some(Pending::Sync { link, channel, file, ask, state_vector }) => {
                    let position = self.tail.position();
                    let live = self.documents.get(&file);
                    let answer =
                        live.map(|live| live.sync_answer(channel, file, ask, &state_vector, position));
                    next.messages.extend(answer.into_iter().flatten().map(|message| (link, message)));
                }
                Some(Pending::WholeText { link, channel, round, .. }) => {
                    around.texts.send_whole((link, channel), round);
                }
                Some(Pending::Restore { file }) => {
                    match around.recovery.restore(&file, self.documents.get(&file)) {
                        RestoreStep::Nothing => {}
                        RestoreStep::Log(change) => self.commit.queue.push_front(*change),
                        RestoreStep::ReadArchive => next.effects.push(Effect::ReadArchive(file)),
                    }
                }
                Some(Pending::Change(mut change)) => {
                    let verdict = self.validate(&mut change, &mut around, &mut next.sizes);
                    let is_missing = verdict == Verdict::MissingDependencies;
                    if is_missing && !std::mem::replace(&mut change.looked_up, true) {
                        // Another origin may have logged what it depends on: the log is read before it is a miss.
                        self.commit.queue.push_front(change);
                        next.effects.extend(self.tail.catch_up());
                        next.stopped = true;
                        break;
                    }
                    bytes += size.unwrap_or(0);
                    next.validated.push((change, verdict));
                }
                None => break,
            }
        }
        next
    }

    /// Whether the file that something needs is in memory, or cannot be.
    fn is_ready(&self, pending: &Pending) -> bool {
        let file = pending.file();
        file.is_room() || !self.names.has(file) || self.documents.has(file, pending.needs_history())
    }

    /// Validates a change, unless its channel has contradicted the log.
    fn validate(
        &mut self,
        change: &mut Change,
        around: &mut Around<'_>,
        sizes: &mut Vec<OriginMessage>,
    ) -> Verdict {
        let place = (change.link, change.channel);
        let of_document = change.kind.is_of_document();
        if of_document && self.commit.is_contradicting(place) {
            return Verdict::Refuse(REUSE);
        }
        if change.kind == Kind::Event {
            return Verdict::Log;
        }
        let Some(live) = self.documents.get_mut(&change.file) else { return Verdict::Refuse("no-file") };
        let bytes = live.bytes();
        let verdict = match change.kind {
            Kind::Text(_) => {
                let (position, secret) = (self.tail.position(), &*self.secret);
                let context = TextContext { position, secret, shared: around.shared };
                return around.texts.validate(change, live, context);
            }
            Kind::Step2 { may_edit } => live.validate(change, may_edit),
            _ => live.validate(change, true),
        };
        if live.bytes() != bytes {
            sizes.extend(live.size_message(change.file.clone()));
        }
        if of_document && verdict == Verdict::Refuse(REUSE) {
            self.commit.contradicts(place);
        }
        verdict
    }

    /// What hubs are sent about a change that was answered so; `seq` is where it stands in the log.
    pub(in crate::room) fn reply(
        &self,
        change: &Change,
        verdict: Verdict,
        seq: u64,
        opens: &Opens,
    ) -> Vec<(LinkId, OriginMessage)> {
        let Change { link, channel, hub_seq, .. } = *change;
        let file = change.file.clone();
        let message = match verdict {
            Verdict::Log | Verdict::Duplicate => {
                let size = self.documents.bytes(&file);
                OriginMessage::Ack { channel, file, hub_seq, seq, size }
            }
            Verdict::MissingDependencies => return self.ask_again(change, opens),
            Verdict::Refuse(reason) => {
                OriginMessage::Refuse { channel, file, hub_seq, reason: reason.to_owned() }
            }
        };
        vec![(link, message)]
    }

    /// Asks the author for what is missing, and the members whose clients the change extends for what they have in
    /// flight, so that it is logged first.
    fn ask_again(&self, change: &Change, opens: &Opens) -> Vec<(LinkId, OriginMessage)> {
        let live = self.documents.get(&change.file);
        let state_vector = live.map(|live| live.state_vector(&[])).unwrap_or_default();
        let owners = live.map(|live| live.other_owners(change)).unwrap_or_default();
        let missing = |(link, channel), hub_seq| {
            let (file, state_vector) = (change.file.clone(), state_vector.clone());
            (link, OriginMessage::Missing { channel, file, hub_seq, state_vector })
        };
        let owners = opens.of_members(&change.file, change.link, &owners).into_iter();
        let author = missing((change.link, change.channel), change.hub_seq);
        owners.map(|place| missing(place, 0)).chain([author]).collect()
    }

    /// What was in flight is answered by now.
    pub(in crate::room) fn end_batch(&mut self) -> Validated {
        let validated = self.commit.end();
        self.documents.settle(validated.iter().map(|(change, _)| &change.file));
        validated
    }

    /// Nothing was logged, since another origin was first: the batch is validated again by all that the log has. After
    /// too many times in a row, these changes are answered so instead.
    pub(in crate::room) fn overtaken(&mut self) -> Validated {
        let files = self.commit.files_in_flight();
        self.documents.settle(&files);
        let given_up = self.commit.overtaken().into_iter().map(|change| {
            // Its author is asked for it again, by what the log has then.
            let is_text = matches!(change.kind, Kind::Text(_));
            let verdict = if is_text { Verdict::Refuse(STALE) } else { Verdict::MissingDependencies };
            (change, verdict)
        });
        given_up.collect()
    }

    /// Gives up what is in flight and queued, and takes nothing for a while.
    pub(in crate::room) fn hold(&mut self, now: shared::Millis) -> Vec<Change> {
        let given_up = self.commit.hold(now);
        self.documents.settle(given_up.iter().map(|change| &change.file));
        given_up
    }
}
