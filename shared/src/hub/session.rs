//! A session: one WebSocket of one member, with its channels.
//!
//! Whatever a snapshot keeps is borrowed mutably through methods that note it: nobody has to remember to save.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{
    admission::{Admission, Shown},
    backlog::Backlog,
    channel::Channel,
    effect::{Dialect, Effect, Visitor},
    liveness::Liveness,
    output::Output,
    pending::{self, Pending},
    routing_key::{self, RoutingKey},
    saved::Saved,
    snapshot::{ChannelRow, ChannelSnapshot, SessionSnapshot},
};
use crate::{
    Millis,
    close::Denial,
    grant::{Grant, Role},
    id::{ChannelId, SessionId},
    limits,
};

/// What a hub knows of a socket.
#[derive(Clone, Debug)]
pub(super) struct Session {
    id: SessionId,
    dialect: Dialect,
    /// The tokens that it has shown, and its rights.
    admission: Admission,
    /// Whether its provider is of version 4 or later: those before throw on CLOSE, Ping and Pong.
    modern: bool,
    channels: BTreeMap<u16, Channel>,
    /// The channels by routing key.
    keys: BTreeMap<Arc<str>, u16>,
    /// Those of them that have the room's document open.
    rooms: BTreeMap<Arc<str>, u16>,
    next_index: u16,
    /// How many of its channels name the room.
    room_keys: usize,
    pending: Pending,
    backlog: Backlog,
    liveness: Liveness,
    /// Whether others have seen something of it that was refused: from then on they see what is logged.
    distrusted: bool,
    /// The files that the member looks at, as the room event that said so.
    visible: Option<Bytes>,
    saved: Saved,
}

impl Session {
    pub(super) fn new(id: SessionId, visitor: Visitor, now: Millis) -> Self {
        Self {
            id,
            dialect: visitor.dialect,
            admission: Admission::beginning(visitor.token, now),
            modern: false,
            channels: BTreeMap::new(),
            keys: BTreeMap::new(),
            rooms: BTreeMap::new(),
            next_index: 1,
            room_keys: 0,
            pending: Pending::default(),
            backlog: Backlog::default(),
            liveness: Liveness::new(now),
            distrusted: false,
            visible: None,
            saved: Saved::default(),
        }
    }

    /// What a snapshot has kept, without its channels.
    pub(super) fn restored(id: SessionId, snapshot: SessionSnapshot, bytes: Bytes, now: Millis) -> Self {
        let SessionSnapshot { dialect, grant, token, modern, next_index, .. } = snapshot;
        let keepalive_sent_at = snapshot.keepalive_sent_at.unwrap_or(now);
        Self {
            admission: Admission::restored(grant, token, now),
            modern,
            next_index,
            liveness: Liveness::restored(keepalive_sent_at, snapshot.probe_sent_at),
            saved: Saved::restored(bytes),
            ..Self::new(id, Visitor { dialect, token: None }, now)
        }
    }

    /// A channel whose row was read back, with what the snapshot of its session has of it.
    pub(super) fn restore_channel(
        &mut self,
        index: u16,
        row: ChannelRow,
        unsettled: ChannelSnapshot,
        next: u64,
    ) {
        let key = RoutingKey::new(&row.key, !self.is_hocuspocus());
        let grant = self.admission.grant();
        let role = grant.map_or(Role::Viewer, |grant| grant.role_at(row.path.as_ref()));
        let is_room = row.file.is_room();
        self.visible = row.visible.or(self.visible.take());
        let mut channel = Channel::restored(key.clone(), row.file, row.path, role);
        unsettled.restore(&mut channel, next);
        self.insert(index, channel);
        self.saved.channel_changed(index);
        if is_room {
            self.rooms.insert(key.as_arc().clone(), index);
        }
    }

    pub(super) fn id(&self) -> SessionId {
        self.id
    }

    pub(super) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    pub(super) fn is_hocuspocus(&self) -> bool {
        self.dialect == Dialect::Hocuspocus
    }

    pub(super) fn is_modern(&self) -> bool {
        self.modern
    }

    /// The provider says its version.
    pub(super) fn set_version(&mut self, version: Option<&str>) {
        let major = version.and_then(|version| version.split('.').next()?.parse::<u32>().ok());
        if major.is_some_and(|major| major >= 4) && !self.modern {
            self.modern = true;
            self.saved.session_changed();
        }
    }

    pub(super) fn is_distrusted(&self) -> bool {
        self.distrusted
    }

    /// Others have seen something of it that was refused.
    pub(super) fn distrust(&mut self) {
        self.distrusted = true;
    }

    pub(super) fn admission(&self) -> &Admission {
        &self.admission
    }

    pub(super) fn admission_mut(&mut self) -> &mut Admission {
        self.saved.session_changed();
        &mut self.admission
    }

    pub(super) fn grant(&self) -> Option<&Grant> {
        self.admission.grant()
    }

    /// A channel shows a token.
    #[must_use]
    pub(super) fn show_token(&mut self, channel: ChannelId, token: &str) -> Shown {
        if let Some(channel) = self.channel_mut(channel.index()) {
            channel.authenticate();
        }
        self.saved.session_changed();
        self.admission.show(channel, token, &mut self.pending)
    }

    /// The next token that waits to be verified.
    #[must_use]
    pub(super) fn next_token(&mut self) -> Option<(ChannelId, Shown)> {
        let Self { admission, pending, channels, .. } = self;
        let next = admission.next(pending, |id| channels.contains_key(&id.index()));
        if next.is_some() {
            self.saved.session_changed();
        }
        next
    }

    /// A token was refused. Whether the whole session ends: it has nothing else, is to come back later, or a guest has
    /// more waiting than a guest may.
    #[must_use]
    pub(super) fn denied(&mut self, denial: &Denial, comes_back: bool) -> bool {
        self.admission_mut().denied(&denial.reason);
        let waits = self.grant().is_none() && self.pending.exceeds(self.admission.pending_most());
        !self.is_hocuspocus() || comes_back || waits
    }

    /// A frame has come: the client is there, whatever its socket has to send.
    pub(super) fn heard(&mut self) {
        self.backlog.heard();
        if self.liveness.heard() {
            self.saved.session_changed();
        }
    }

    pub(super) fn liveness(&self) -> &Liveness {
        &self.liveness
    }

    pub(super) fn liveness_mut(&mut self) -> &mut Liveness {
        self.saved.session_changed();
        &mut self.liveness
    }

    /// A channel was sent Step1: that may be the probe.
    pub(super) fn step1_sent(&mut self, channel: ChannelId, now: Millis) {
        let backlog = self.backlog.bytes();
        if self.liveness.step1_sent(channel, backlog, now) {
            self.saved.session_changed();
        }
    }

    pub(super) fn backlog(&self) -> &Backlog {
        &self.backlog
    }

    pub(super) fn backlog_mut(&mut self) -> &mut Backlog {
        &mut self.backlog
    }

    /// When it is to be looked at next.
    pub(super) fn due_at(&self) -> Option<Millis> {
        let token = self.admission.due_at(self.modern);
        [token, self.liveness.gives_up_at(), self.backlog.gives_up_at()].into_iter().flatten().min()
    }

    /// Whether the awareness that it sends now may be all that it knows, not only its own.
    pub(super) fn repeats_awareness(&self) -> bool {
        self.liveness.answers() && !self.modern
    }

    pub(super) fn visible(&self) -> Option<&Bytes> {
        self.visible.as_ref()
    }

    /// The member looks at other files, or at none; what it looked at before. The room's row keeps it.
    pub(super) fn set_visible(&mut self, visible: Option<Bytes>) -> Option<Bytes> {
        if let Some(room) = self.rooms.values().next().copied()
            && let Some(channel) = self.channel_mut(room)
        {
            channel.row_changed();
        }
        std::mem::replace(&mut self.visible, visible)
    }

    pub(super) fn channel(&self, index: u16) -> Option<&Channel> {
        self.channels.get(&index)
    }

    /// Borrows a channel, which counts as changed.
    pub(super) fn channel_mut(&mut self, index: u16) -> Option<&mut Channel> {
        let channel = self.channels.get_mut(&index)?;
        self.saved.channel_changed(index);
        Some(channel)
    }

    /// Its channels in the order of their keys.
    pub(super) fn channels(&self) -> impl Iterator<Item = (ChannelId, &Channel)> {
        let by_key = self.keys.values().filter_map(|index| Some((*index, self.channels.get(index)?)));
        by_key.map(|(index, channel)| (self.id.channel(index), channel))
    }

    pub(super) fn channel_count(&self) -> usize {
        self.channels.len()
    }

    /// The channel with a routing key.
    pub(super) fn by_key(&self, key: &str) -> Option<ChannelId> {
        self.keys.get(key).map(|index| self.id.channel(*index))
    }

    /// The channel of text frames that has a file by the name it was opened with, or by its id.
    pub(super) fn by_text_name(&self, name: &str) -> Option<ChannelId> {
        let has_id = |channel: &Channel| channel.file().is_some_and(|file| file.as_str() == name);
        let by_id = || self.channels().find(|(_, channel)| channel.key().is_text() && has_id(channel));
        self.by_key(&routing_key::text_key(name)).or_else(|| by_id().map(|(id, _)| id))
    }

    /// A channel that has the room's document open.
    pub(super) fn room_channel(&self) -> Option<(ChannelId, &Channel)> {
        let index = *self.rooms.values().next()?;
        Some((self.id.channel(index), self.channels.get(&index)?))
    }

    /// Whether all of its channels speak text frames.
    pub(super) fn is_text_only(&self) -> bool {
        !self.keys.is_empty() && self.keys.keys().all(|key| routing_key::is_text_key(key))
    }

    /// The channel for a routing key, made if it is not known; `None` if the session may have no more.
    pub(super) fn add_channel(&mut self, key: &str) -> Option<ChannelId> {
        if let Some(known) = self.by_key(key) {
            return Some(known);
        }
        let key = RoutingKey::new(key, !self.is_hocuspocus());
        let rooms = self.room_keys + usize::from(key.is_room());
        if self.keys.len() + 1 - rooms.min(1) > limits::CHANNELS {
            return None;
        }
        let index = loop {
            let candidate = self.next_index;
            self.next_index = self.next_index.checked_add(1).unwrap_or(1);
            if !self.channels.contains_key(&candidate) {
                break candidate;
            }
        };
        self.insert(index, Channel::new(key));
        self.saved.session_changed();
        self.saved.channel_changed(index);
        Some(self.id.channel(index))
    }

    fn insert(&mut self, index: u16, channel: Channel) {
        self.keys.insert(channel.key().as_arc().clone(), index);
        self.room_keys += usize::from(channel.key().is_room());
        self.channels.insert(index, channel);
    }

    /// A channel is gone.
    pub(super) fn remove_channel(&mut self, index: u16) {
        let Some(channel) = self.channels.remove(&index) else { return };
        self.keys.remove(channel.key().as_arc());
        self.room_keys -= usize::from(channel.key().is_room());
        self.saved.channel_removed(index, channel.has_row());
    }

    /// A channel has the room's document open, or no longer.
    pub(super) fn set_in_room(&mut self, index: u16, is_open: bool) {
        let Some(key) = self.channels.get(&index).map(|channel| channel.key().as_arc().clone()) else {
            return;
        };
        if is_open {
            self.rooms.insert(key, index);
        } else {
            self.rooms.remove(&key);
        }
    }

    /// Keeps a frame of a channel until its document is open; whether it may wait. One large Step2 of offline work may
    /// come before its document is open.
    #[must_use]
    pub(super) fn keep_pending(&mut self, index: u16, frame: Bytes) -> bool {
        let weight = pending::weight(frame.len());
        let is_member = self.grant().is_some();
        let kept = self.pending.add(weight, self.admission.pending_most())
            || is_member && self.pending.add_alone(weight);
        if let Some(channel) = self.channel_mut(index).filter(|_| kept) {
            channel.push_pending(frame);
        }
        kept
    }

    /// The frames that have waited for a document.
    pub(super) fn take_pending(&mut self, index: u16) -> impl Iterator<Item = Bytes> + use<> {
        let frames = self.channel_mut(index).map(Channel::take_pending).unwrap_or_default();
        frames.iter().for_each(|frame| self.pending.remove(pending::weight(frame.len())));
        frames.into_iter()
    }

    /// Saves what has changed of what outlives an eviction.
    pub(super) fn save(&mut self, output: &mut Output) {
        let Self { id, channels, saved, visible, .. } = self;
        if saved.may_have_changed() {
            saved.channels(*id, channels, visible.as_ref(), output);
        }
        if !self.saved.is_changed() {
            return;
        }
        let snapshot = SessionSnapshot {
            dialect: self.dialect.clone(),
            grant: self.grant().cloned(),
            token: self.admission.kept_token().cloned(),
            modern: self.modern,
            next_index: self.next_index,
            keepalive_sent_at: Some(self.liveness.keepalive_sent_at()),
            probe_sent_at: self.liveness.probe_sent_at(),
            // A verdict to come would find nobody.
            partial: self.admission.is_verifying() || self.saved.is_opening(),
        };
        if let Some(snapshot) = self.saved.session(&snapshot) {
            output.push(Effect::SaveSession { session: self.id, snapshot });
        }
    }

    /// Nothing of it is saved.
    pub(super) fn forget_changes(&mut self) {
        self.saved.forget_changes();
    }

    /// Drops what was saved of its channels.
    pub(super) fn drop_saved(&mut self, output: &mut Output) {
        let dropped = self.channels.iter().filter(|(_, channel)| channel.has_row());
        output.extend(dropped.map(|(index, _)| Effect::DropChannel { channel: self.id.channel(*index) }));
        self.saved.drop_removed(self.id, output);
    }
}
