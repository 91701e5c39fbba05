//! What hubs have sent and is answered in its turn: while an append is in flight, or a file is being read, it waits
//! here.
//!
//! A sync waits in the same queue: its answer holds everything that its link had sent before it.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use shared::id::{ChannelId, FileId};

use crate::{
    change::{Change, Kind},
    effect::LinkId,
};

/// The queue of a room.
#[derive(Debug, Default)]
pub(crate) struct Queue {
    pending: VecDeque<Pending>,
    /// How many changes of text frames wait in it, by file.
    texts: BTreeMap<FileId, usize>,
    bytes: usize,
}

/// Something that is answered in its turn.
#[derive(Debug)]
pub(crate) enum Pending {
    Change(Change),
    Sync {
        link: LinkId,
        channel: ChannelId,
        file: FileId,
        ask: u64,
        state_vector: Bytes,
    },
    /// A channel of text frames is to get its text whole.
    WholeText {
        link: LinkId,
        channel: ChannelId,
        file: FileId,
        round: u64,
    },
    /// What the room store has lost of a file is to be restored.
    Restore {
        file: FileId,
    },
}

impl Pending {
    /// The file that it needs in memory.
    pub(crate) fn file(&self) -> &FileId {
        match self {
            Self::Change(change) => &change.file,
            Self::Sync { file, .. } | Self::WholeText { file, .. } | Self::Restore { file } => file,
        }
    }

    /// What it adds to a batch; `None` if it is no change.
    pub(crate) fn bytes(&self) -> Option<usize> {
        match self {
            Self::Change(change) => Some(change.bytes.len()),
            _ => None,
        }
    }

    /// Whether it needs the text history of its file.
    pub(crate) fn needs_history(&self) -> bool {
        self.text_file().is_some()
    }

    fn text_file(&self) -> Option<&FileId> {
        match self {
            Self::Change(change) if matches!(change.kind, Kind::Text(_)) => Some(&change.file),
            _ => None,
        }
    }
}

impl Queue {
    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }

    /// The bytes of the changes that wait.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether a change of a text frame waits to be encoded as an update of the file.
    pub(crate) fn has_text(&self, file: &FileId) -> bool {
        self.texts.contains_key(file)
    }

    /// What is next.
    pub(crate) fn front(&self) -> Option<&Pending> {
        self.pending.front()
    }

    /// Something waits behind everything else.
    pub(crate) fn push(&mut self, pending: Pending) {
        self.count(&pending);
        self.pending.push_back(pending);
    }

    /// A change waits in front of everything else.
    pub(crate) fn push_front(&mut self, change: Change) {
        let pending = Pending::Change(change);
        self.count(&pending);
        self.pending.push_front(pending);
    }

    /// Takes what is next.
    pub(crate) fn pop(&mut self) -> Option<Pending> {
        let pending = self.pending.pop_front()?;
        self.bytes -= pending.bytes().unwrap_or(0);
        if let Some(file) = pending.text_file()
            && let Some(count) = self.texts.get_mut(file)
        {
            *count -= 1;
            if *count == 0 {
                self.texts.remove(file);
            }
        }
        Some(pending)
    }

    /// Takes every change; the rest stays.
    pub(crate) fn take_changes(&mut self) -> Vec<Change> {
        let mut changes = Vec::new();
        for pending in std::mem::take(self).pending {
            match pending {
                Pending::Change(change) => changes.push(change),
                other => self.pending.push_back(other),
            }
        }
        changes
    }

    fn count(&mut self, pending: &Pending) {
        self.bytes += pending.bytes().unwrap_or(0);
        if let Some(file) = pending.text_file() {
            *self.texts.entry(file.clone()).or_default() += 1;
        }
    }
}
