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
        let novelty = match self.history.compare(&self.ahead, &change.bytes) {
            Err(error) => return Verdict::Refuse(error.word()),
            Ok(novelty) if novelty.new_garbage && !returned => {
                return Verdict::Refuse(GateError::Garbage.word());
            }
            Ok(novelty) if !novelty.is_new => return Verdict::Known,
            Ok(_) if !may_edit => return Verdict::Refuse("read-only"),
            Ok(novelty) => novelty,
        };
        let extends = matches!(change.what, What::Update | What::Held) && !change.author.is_empty();
        if extends && !self.owned_by_others(change).is_empty() {
            return Verdict::Missing;
        }
        // The hub has let it in below its own cap: the slack keeps the two from disagreeing. What only deletes may go
        // further, since deleting is what helps.
        let most = match novelty.text_bytes {
            0 => limits::FILE_DELETED_BYTES,
            _ => limits::FILE_BYTES + limits::FILE_SLACK_BYTES,
        };
        if !returned && self.is_beyond(most, novelty.growth()) {
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

    /// Whether the state is larger than this with so many bytes more; measured before it is said to be.
    pub(super) fn is_beyond(&mut self, most: usize, bytes: usize) -> bool {
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

#[cfg(test)]
mod tests {
    use shared::{
        id::{ChannelId, FileId, FilePath},
        position::Position,
    };

    use super::*;
    use crate::{log::FileLog, text::state_of};

    /// A file with the text "abc" of client 7, whose state is said to be so large.
    fn file(bytes: usize) -> LiveFile {
        let log = FileLog {
            position: Position::default(),
            path: FilePath::parse("a.txt").unwrap(),
            base_ts: 1,
            base_seq: 0,
            stored_seq: 0,
            base: state_of("abc", 7),
            updates: vec![],
        };
        let mut live = LiveFile::read(&log).unwrap();
        live.size.measure(bytes, bytes);
        live
    }

    fn verdict(bytes: usize, update: &'static [u8]) -> Verdict {
        let id = FileId::from_random(1);
        let mut change = Change::new(ChannelId(1), id, 1, What::Held, Bytes::from_static(update));
        file(bytes).judge(&mut change, true)
    }

    #[test]
    fn a_full_file_takes_what_only_deletes_up_to_a_limit_of_its_own() {
        // "x" behind "abc", and the deletion of "b".
        const TYPED: &[u8] = &[1, 1, 9, 0, 0x84, 7, 2, 1, b'x', 0];
        const DELETED: &[u8] = &[0, 1, 7, 1, 1, 1];
        let too_large = Verdict::Refuse("file-too-large");
        let full = limits::FILE_BYTES + limits::FILE_SLACK_BYTES;
        for (bytes, of_typed, of_deleted) in [
            (full - 100, Verdict::Log, Verdict::Log),
            (full, too_large, Verdict::Log),
            (limits::FILE_DELETED_BYTES, too_large, too_large),
        ] {
            assert_eq!((verdict(bytes, TYPED), verdict(bytes, DELETED)), (of_typed, of_deleted), "{bytes}");
        }
    }
}
