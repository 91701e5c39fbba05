//! The hubs that are connected to a room, and what their sessions have open.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::{
    grant::Grant,
    id::{ChannelId, FileId},
    wire::link::OriginMessage,
};

use super::{LinkId, Room, text::TextView};
use crate::room_store::LogEntry;

/// One connection to a hub.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The hub's name; empty before its hello.
    pub(super) hub: String,
    pub(super) channels: BTreeMap<ChannelId, OpenChannel>,
    /// The seq that its hello named, while what follows is being read.
    pub(super) read: u64,
    /// Changes are thrown away until the hub replays from this number or below.
    pub(super) replay_from: Option<u64>,
    /// Told to hold; not told to resume yet.
    pub(super) held: bool,
    pub(super) reading: Reading,
    /// What each of its members looks at, as room events.
    pub(super) visible: BTreeMap<ChannelId, Bytes>,
    /// What it is to be told.
    pub(super) out: Vec<OriginMessage>,
}

/// How far a hub has been told.
#[derive(Debug, Default)]
pub(super) enum Reading {
    /// It has not said hello: it is told nothing.
    #[default]
    Silent,
    /// It has everything up to this seq.
    Until(u64),
    /// What it lacks is being read; what is logged meanwhile waits here.
    Behind(Vec<LogEntry>),
}

/// A document that a channel has open.
#[derive(Clone, Debug)]
pub(super) struct OpenChannel {
    pub(super) file: FileId,
    pub(super) grant: Grant,
    /// What it has of the file, if it speaks text frames.
    pub(super) text: Option<TextView>,
}

impl Link {
    /// Whether a channel of text frames has the file open.
    pub(super) fn has_text(&self, file: &FileId) -> bool {
        self.channels.values().any(|open| open.file == *file && open.text.is_some())
    }
}

impl Room {
    /// A hub is connected. Its first message is a hello.
    pub fn attach(&mut self, link: LinkId) {
        self.links.insert(link, Link::default());
    }

    /// The room begins anew while hubs have stayed, with nothing open: they count from its new position.
    pub(super) fn greet_again(&mut self) {
        let position = self.position;
        for state in self.links.values_mut().filter(|state| !matches!(state.reading, Reading::Silent)) {
            state.reading = Reading::Until(position.seq);
            state.replay_from = None;
            state.out.push(OriginMessage::Updates { position, updates: Vec::new() });
        }
    }

    /// A hub's connection is gone: its members are, unless a new link brings them back within the grace.
    pub fn detach(&mut self, link: LinkId, now: shared::Millis) {
        let Some(gone) = self.links.remove(&link) else { return };
        self.orphan_presence(&gone.hub, now);
        self.visible.orphan(&gone.hub, gone.visible);
        for waiting in self.claiming.values_mut() {
            waiting.retain(|(asker, _)| *asker != link);
        }
        self.forget_idle_files();
        self.commit_next();
    }

    /// A channel leaves its document.
    pub(super) fn close(&mut self, link: LinkId, channel: ChannelId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.channels.remove(&channel);
            link.visible.remove(&channel);
        }
        for waiting in self.claiming.values_mut() {
            waiting.retain(|(_, asker)| *asker != channel);
        }
        self.forget_idle_files();
    }

    /// Every channel that has a document open, with the hub it is at.
    pub fn members(&self) -> impl Iterator<Item = (&str, ChannelId, &Grant)> {
        self.links.values().flat_map(|link| {
            link.channels.iter().map(|(channel, open)| (link.hub.as_str(), *channel, &open.grant))
        })
    }

    pub(super) fn links_with(&self, file: &FileId) -> Vec<LinkId> {
        let has_it = |link: &Link| link.channels.values().any(|open| open.file == *file);
        self.links.iter().filter(|(_, link)| has_it(link)).map(|(id, _)| *id).collect()
    }

    /// Documents that nobody has open leave memory; the log has them.
    fn forget_idle_files(&mut self) {
        if !self.commit.is_empty() {
            return;
        }
        let open: std::collections::BTreeSet<&FileId> =
            self.links.values().flat_map(|link| link.channels.values().map(|open| &open.file)).collect();
        self.live.retain(|file, _| open.contains(file));
        for (file, live) in &mut self.live {
            if live.past.is_some() && !self.links.values().any(|link| link.has_text(file)) {
                live.past = None;
            }
        }
    }

    /// Tells every link that has something open, once each.
    pub(super) fn tell_all(&mut self, message: &OriginMessage) {
        let links: Vec<LinkId> = self.links.keys().copied().collect();
        for link in links {
            self.tell(link, vec![message.clone()]);
        }
    }
}
