//! What is saved of a session, and what has to be: noted by whoever borrows the session or a channel mutably.

use std::{
    collections::{BTreeMap, BTreeSet},
    mem,
};

use bytes::Bytes;

use super::{
    channel::{Channel, RowChange, Stage},
    effect::Effect,
    output::Output,
    snapshot::{ChannelRow, ChannelSnapshot, SessionSnapshot},
};
use crate::id::SessionId;

/// What is saved of a session, and what has to be.
#[derive(Clone, Debug)]
pub(super) struct Saved {
    unsettled: Unsettled,
    /// The snapshot that was saved last.
    bytes: Bytes,
    /// Whether it may be another one by now.
    is_changed: bool,
    /// Channels that may have changed.
    channels: BTreeSet<u16>,
    /// Removed channels of which a row is stored.
    removed: Vec<u16>,
}

impl Default for Saved {
    fn default() -> Self {
        Self {
            unsettled: Unsettled::default(),
            bytes: Bytes::new(),
            is_changed: true,
            channels: BTreeSet::new(),
            removed: Vec::new(),
        }
    }
}

impl Saved {
    /// What was read back.
    pub(super) fn restored(bytes: Bytes) -> Self {
        Self { bytes, is_changed: false, ..Self::default() }
    }

    pub(super) fn session_changed(&mut self) {
        self.is_changed = true;
    }

    pub(super) fn channel_changed(&mut self, index: u16) {
        self.is_changed = true;
        self.channels.insert(index);
    }

    pub(super) fn channel_removed(&mut self, index: u16, has_row: bool) {
        self.channel_changed(index);
        self.removed.extend(has_row.then_some(index));
    }

    /// Nothing is saved: what has changed need not be known.
    pub(super) fn forget_changes(&mut self) {
        self.channels.clear();
        self.removed.clear();
    }

    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Whether channels are on their way to a document, which frames may wait for.
    pub(super) fn is_opening(&self) -> bool {
        !self.unsettled.opening.is_empty()
    }

    /// Looks at the channels that have changed; saves and drops their rows.
    pub(super) fn channels(
        &mut self,
        session: SessionId,
        channels: &mut BTreeMap<u16, Channel>,
        visible: Option<&Bytes>,
        output: &mut Output,
    ) {
        self.drop_removed(session, output);
        for index in mem::take(&mut self.channels) {
            let Some(channel) = channels.get_mut(&index) else {
                self.unsettled.note(index, None);
                continue;
            };
            self.unsettled.note(index, Some(channel));
            let id = session.channel(index);
            match (channel.take_row_change(), ChannelRow::of(channel, visible)) {
                (Some(RowChange::Save), Some(row)) => {
                    output.push(Effect::SaveChannel { channel: id, row: row.write() });
                }
                (Some(RowChange::Drop), _) => output.push(Effect::DropChannel { channel: id }),
                _ => {}
            }
        }
    }

    /// Drops the rows of channels that are gone.
    pub(super) fn drop_removed(&mut self, session: SessionId, output: &mut Output) {
        let removed = mem::take(&mut self.removed).into_iter();
        output.extend(removed.map(|index| Effect::DropChannel { channel: session.channel(index) }));
    }

    /// The snapshot as it is to be saved, if it is not the one that was saved last.
    pub(super) fn session(&mut self, snapshot: &SessionSnapshot) -> Option<Bytes> {
        self.is_changed = false;
        let bytes = snapshot.write(&self.unsettled.written, self.unsettled.bytes);
        (bytes != self.bytes).then(|| {
            self.bytes = bytes.clone();
            bytes
        })
    }
}

/// What of a session's channels goes into its snapshot, kept up to date channel by channel.
#[derive(Clone, Debug, Default)]
struct Unsettled {
    /// What is not at rest, as it is written, by the index of the channel.
    written: BTreeMap<u16, Bytes>,
    bytes: usize,
    /// Channels on their way to a document, with frames that wait.
    opening: BTreeSet<u16>,
}

impl Unsettled {
    /// A channel is like this now; `None` if it is gone.
    fn note(&mut self, index: u16, channel: Option<&Channel>) {
        if let Some(before) = self.written.remove(&index) {
            self.bytes -= before.len();
        }
        self.opening.remove(&index);
        match channel {
            Some(channel) if channel.file().is_some() => {
                self.write(index, &ChannelSnapshot::of(channel));
            }
            Some(channel) if !matches!(channel.stage(), Stage::Closed(_)) => {
                self.opening.insert(index);
            }
            _ => {}
        }
    }

    fn write(&mut self, index: u16, channel: &ChannelSnapshot) {
        if *channel != ChannelSnapshot::default() {
            let written = channel.write(index);
            self.bytes += written.len();
            self.written.insert(index, written);
        }
    }
}
