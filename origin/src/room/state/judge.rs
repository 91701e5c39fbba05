//! The gate in front of the log: shape, rights, size, novelty, causality.

use std::sync::Arc;

use bytes::Bytes;
use shared::{
    limits,
    update::{self, GateError, REUSE, Span},
    wire::{link::OriginMessage, text::STALE},
};

use super::{
    Room,
    change::{Change, What},
    file::LiveFile,
};

/// How often in a row a change is judged again.
const OVERTAKEN_IN_A_ROW: u32 = 8;

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Log it.
    Log,
    /// It brings nothing that is not logged: acknowledge only.
    Known,
    /// It depends on what is not logged.
    Missing,
    /// Refused for good.
    Refuse(&'static str),
}

impl Room {
    /// Judges a change, unless its channel has contradicted the log.
    pub(super) fn judge_in_turn(&mut self, change: &mut Change) -> Verdict {
        let place = (change.link, change.channel);
        let of_document = matches!(change.what, What::Update | What::Held | What::Step2 { .. });
        if of_document && self.commit.contradicting.contains(&place) {
            return Verdict::Refuse(REUSE);
        }
        let verdict = self.judge(change);
        if of_document && verdict == Verdict::Refuse(REUSE) {
            self.commit.contradicting.insert(place);
        }
        verdict
    }

    /// Judges one change against what is logged and what the batch before it adds.
    pub(super) fn judge(&mut self, change: &mut Change) -> Verdict {
        let may_edit = match change.what {
            What::Event => return Verdict::Log,
            What::Text(_) => return self.judge_text(change),
            What::Step2 { may_edit } => may_edit,
            What::Update | What::Held | What::Returned => true,
        };
        let Some(live) = self.live.get_mut(&change.file) else { return Verdict::Refuse("no-file") };
        let size = live.size;
        let verdict = live.judge(change, may_edit);
        if live.size != size {
            self.tell_size(&change.file);
        }
        verdict
    }
}

impl LiveFile {
    /// Judges an update; what is to be logged counts from now on.
    pub(super) fn judge(&mut self, change: &mut Change, may_edit: bool) -> Verdict {
        let returned = change.what == What::Returned;
        let shape = update::check(&change.bytes);
        // What was logged once and is given back was within the bounds, and is taken as it is.
        if let Err(error) = shape
            && !returned
        {
            return Verdict::Refuse(error.word());
        }
        let new_text = match self.history.compare(&self.ahead, &change.bytes) {
            Err(error) => return Verdict::Refuse(error.word()),
            Ok(novelty) if novelty.new_garbage && !returned => {
                return Verdict::Refuse(GateError::Garbage.word());
            }
            Ok(novelty) if !novelty.is_new => return Verdict::Known,
            Ok(_) if !may_edit => return Verdict::Refuse("read-only"),
            Ok(novelty) => novelty.new_text,
        };
        let extends = matches!(change.what, What::Update | What::Held) && !change.author.is_empty();
        if extends && !self.owned_by_others(change).is_empty() {
            return Verdict::Missing;
        }
        // Deleting is what helps.
        if new_text && !returned && self.is_too_large_with(change.bytes.len()) {
            return Verdict::Refuse("file-too-large");
        }
        let admitted = self.history.admit(&self.ahead, &change.bytes).and_then(|advance| {
            self.ahead.apply(&advance, &change.bytes)?;
            Ok(advance)
        });
        match admitted {
            Ok(advance) => {
                change.extensions = advance.iter().collect();
                if extends {
                    let clients = change.extensions.iter().map(|extension| extension.client);
                    self.owners.extend(clients.map(|client| (client, change.author.clone())));
                }
                Verdict::Log
            }
            Err(error) if error.is_missing() => Verdict::Missing,
            Err(error) => Verdict::Refuse(error.word()),
        }
    }

    /// Whether so many bytes more are too much. The hub has let them in below its own cap: the slack keeps the two from
    /// disagreeing.
    fn is_too_large_with(&mut self, bytes: usize) -> bool {
        let most = limits::FILE_BYTES + limits::FILE_SLACK_BYTES;
        if self.size.bytes() + bytes > most && self.size.is_doubtful_with(bytes) {
            self.measure();
        }
        self.size.bytes() + bytes > most
    }

    /// The other members whose clients an update extends.
    fn owned_by_others(&self, change: &Change) -> Vec<Arc<str>> {
        let spans = update::spans(&change.bytes).unwrap_or_default();
        let is_new = |span: &Span| {
            span.end > self.history.state_vector.get(span.client).max(self.ahead.get(span.client))
        };
        let owners =
            spans.iter().filter(|span| is_new(span)).filter_map(|span| self.owners.get(&span.client));
        owners.filter(|owner| **owner != change.author).cloned().collect()
    }
}

impl Room {
    /// Another origin was first with text of the same client, and nothing was logged: the batch is judged again by all
    /// that the log has.
    pub(super) fn judge_again(&mut self) {
        self.commit.overtaken += 1;
        let gives_up = self.commit.overtaken > OVERTAKEN_IN_A_ROW;
        let judged = self.commit.in_flight.take().unwrap_or_default();
        self.settle_files(judged.iter().map(|(change, _)| &change.file));
        for (mut change, _) in judged.into_iter().rev() {
            change.extensions.clear();
            change.unmake();
            if gives_up {
                // Its author is asked for it again, which is judged by what the log has then.
                let stale = matches!(change.what, What::Text(_));
                self.answer(change, if stale { Verdict::Refuse(STALE) } else { Verdict::Missing });
            } else {
                self.commit.put_back(change);
            }
        }
        if gives_up {
            self.commit.overtaken = 0;
        }
        self.catch_up();
    }

    /// Asks the members whose clients an update of somebody else extends for what they have in flight, so that it is
    /// logged first.
    pub(super) fn ask_owners(&mut self, change: &Change, state_vector: &Bytes) {
        let Some(live) = self.live.get(&change.file) else { return };
        let owners = live.owned_by_others(change);
        if owners.is_empty() {
            return;
        }
        for (link, channel) in self.opens.of(&change.file) {
            let open = self.opens.get(link, channel);
            if link != change.link && open.is_some_and(|open| owners.contains(&open.grant.member.id)) {
                let (file, state_vector) = (change.file.clone(), state_vector.clone());
                self.tell(link, vec![OriginMessage::Missing { channel, file, hub_seq: 0, state_vector }]);
            }
        }
    }
}
