//! The gate in front of the log: shape, rights, size, novelty, causality.

use std::sync::Arc;

use shared::{
    limits,
    update::{self, GateError, Span},
};

use super::LiveFile;
use crate::change::{Change, Kind, Verdict};

impl LiveFile {
    /// Validates an update against what is logged and what the batch before it adds; what is to be logged counts from
    /// now on.
    pub(crate) fn validate(&mut self, change: &mut Change, may_edit: bool) -> Verdict {
        let restored = change.kind == Kind::Restored;
        let shape = update::check(&change.bytes);
        // What was logged once and is restored was within the bounds, and is taken as it is.
        if let Err(error) = shape
            && !restored
        {
            return Verdict::Refuse(error.word());
        }
        let novelty = match self.history.compare(&self.ahead, &change.bytes) {
            Err(error) => return Verdict::Refuse(error.word()),
            Ok(novelty) if novelty.new_garbage && !restored => {
                return Verdict::Refuse(GateError::Garbage.word());
            }
            Ok(novelty) if !novelty.is_new => return Verdict::Duplicate,
            Ok(_) if !may_edit => return Verdict::Refuse("read-only"),
            Ok(novelty) => novelty,
        };
        let extends = change.kind.extends_clients() && !change.author.is_empty();
        if extends && !self.other_owners(change).is_empty() {
            return Verdict::MissingDependencies;
        }
        // The hub has let it in below its own cap: the slack keeps the two from disagreeing. What only deletes may go
        // further, since deleting is what helps.
        let most = match novelty.text_bytes {
            0 => crate::limits::FILE_DELETED_BYTES,
            _ => limits::FILE_BYTES + crate::limits::FILE_SLACK_BYTES,
        };
        if !restored && self.is_beyond(most, novelty.growth()) {
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
            Err(error) if error.is_missing() => Verdict::MissingDependencies,
            Err(error) => Verdict::Refuse(error.word()),
        }
    }

    /// Whether the state is larger than this with so many bytes more; measured before it is said to be.
    pub(crate) fn is_beyond(&mut self, most: usize, bytes: usize) -> bool {
        if self.size.bytes() + bytes > most && self.size.is_doubtful_with(bytes) {
            self.measure();
        }
        self.size.bytes() + bytes > most
    }

    /// The room store knows the owner of a client.
    pub(crate) fn learn_owner(&mut self, client: u64, owner: Arc<str>) {
        self.owners.insert(client, owner);
    }

    /// The other members whose clients an update extends.
    pub(crate) fn other_owners(&self, change: &Change) -> Vec<Arc<str>> {
        let spans = update::spans(&change.bytes).unwrap_or_default();
        let is_new = |span: &Span| {
            span.end > self.history.state_vector.get(span.client).max(self.ahead.get(span.client))
        };
        let owners =
            spans.iter().filter(|span| is_new(span)).filter_map(|span| self.owners.get(&span.client));
        owners.filter(|owner| **owner != change.author).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
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
        let mut live = LiveFile::read(&log, false).unwrap();
        live.size.measure(bytes, bytes);
        live
    }

    fn verdict(bytes: usize, update: &'static [u8]) -> Verdict {
        let id = FileId::from_random(1);
        let mut change = Change::new(ChannelId(1), id, 1, Kind::Held, Bytes::from_static(update));
        file(bytes).validate(&mut change, true)
    }

    #[test]
    fn a_full_file_takes_what_only_deletes_up_to_a_limit_of_its_own() {
        // "x" behind "abc", and the deletion of "b".
        const TYPED: &[u8] = &[1, 1, 9, 0, 0x84, 7, 2, 1, b'x', 0];
        const DELETED: &[u8] = &[0, 1, 7, 1, 1, 1];
        let too_large = Verdict::Refuse("file-too-large");
        let full = limits::FILE_BYTES + crate::limits::FILE_SLACK_BYTES;
        for (bytes, of_typed, of_deleted) in [
            (full - 100, Verdict::Log, Verdict::Log),
            (full, too_large, Verdict::Log),
            (crate::limits::FILE_DELETED_BYTES, too_large, too_large),
        ] {
            assert_eq!((verdict(bytes, TYPED), verdict(bytes, DELETED)), (of_typed, of_deleted), "{bytes}");
        }
    }
}
