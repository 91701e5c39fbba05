//! What is saved of a session, and what has to be: noted where the session or a channel is borrowed mutably.

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

    /// Whether anything may have to be saved.
    pub(super) fn may_have_changed(&self) -> bool {
        self.is_changed || !self.channels.is_empty()
    }

    /// Whether the snapshot may be another one than that which was saved last.
    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    /// Whether channels are on their way to a document, which frames may wait for.
    pub(super) fn is_opening(&self) -> bool {
        !self.unsettled.opening.is_empty()
    }

    /// Looks at the channels that have changed: whether the snapshot holds something else of them; saves and drops their
    /// rows.
    pub(super) fn channels(
        &mut self,
        session: SessionId,
        channels: &mut BTreeMap<u16, Channel>,
        visible: Option<&Bytes>,
        output: &mut Output,
    ) {
        self.drop_removed(session, output);
        for index in mem::take(&mut self.channels) {
            let channel = channels.get_mut(&index);
            self.is_changed |= self.unsettled.note(index, channel.as_deref());
            let Some(channel) = channel else { continue };
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
    /// A channel is like this now, `None` if it is gone; whether that is something else than before.
    fn note(&mut self, index: u16, channel: Option<&Channel>) -> bool {
        let before = self.written.remove(&index);
        self.bytes -= before.as_ref().map_or(0, Bytes::len);
        let was_opening = self.opening.remove(&index);
        match channel {
            Some(channel) if channel.file().is_some() => {
                self.write(index, &ChannelSnapshot::of(channel));
            }
            Some(channel) if !matches!(channel.stage(), Stage::Closed(_)) => {
                self.opening.insert(index);
            }
            _ => {}
        }
        was_opening != self.opening.contains(&index) || before.as_ref() != self.written.get(&index)
    }

    fn write(&mut self, index: u16, channel: &ChannelSnapshot) {
        if *channel != ChannelSnapshot::default() {
            let written = channel.write(index);
            self.bytes += written.len();
            self.written.insert(index, written);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{super::routing_key::RoutingKey, *};
    use crate::{grant::Role, id::FileId};

    #[test]
    fn a_channel_that_stays_as_it_was_makes_no_other_snapshot() {
        let key = RoutingKey::new("a.txt", false);
        let mut channel = Channel::restored(key, FileId::from_random(1), None, Role::Editor);
        let mut unsettled = Unsettled::default();
        assert!(!unsettled.note(1, Some(&channel)), "it is at rest");
        channel.receipts.count(Some(7));
        assert!(unsettled.note(1, Some(&channel)));
        assert!(!unsettled.note(1, Some(&channel)));
        assert!(unsettled.note(1, None));
        channel.close("gone");
        assert!(!unsettled.note(1, Some(&channel)), "nothing is kept of it");
    }
}
