//! The hubs that are connected to a room: they come, their channels leave documents, they go.

use std::collections::BTreeMap;

use bytes::Bytes;
use shared::{
    grant::Grant,
    id::{ChannelId, FileId, FilePath},
    wire::link::OriginMessage,
};

use super::{LinkId, Room};
use crate::log::LogEntry;

/// One connection to a hub.
#[derive(Debug, Default)]
pub(super) struct Link {
    /// The hub's name; empty before its hello.
    pub(super) hub: String,
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
        self.close_link(link);
        self.commit.forget_link(link);
        self.forget_idle_files();
        self.commit_next();
    }

    /// The channels of a link have nothing open any more.
    pub(super) fn close_link(&mut self, link: LinkId) {
        for (channel, open) in self.opens.close_link(link) {
            self.claims_no_more(link, channel, open.claims);
        }
    }

    /// A channel leaves its document.
    pub(super) fn close(&mut self, link: LinkId, channel: ChannelId) {
        if let Some(link) = self.links.get_mut(&link) {
            link.visible.remove(&channel);
        }
        if let Some(open) = self.opens.close(link, channel) {
            self.claims_no_more(link, channel, open.claims);
        }
        self.forget_idle_files();
    }

    fn claims_no_more(&mut self, link: LinkId, channel: ChannelId, path: Option<FilePath>) {
        if let Some(waiting) = path.and_then(|path| self.claiming.get_mut(&path)) {
            waiting.retain(|asker| *asker != (link, channel));
        }
    }

    /// Every channel that has a document open, with the hub it is at.
    pub fn members(&self) -> impl Iterator<Item = (&str, ChannelId, &Grant)> {
        self.opens.iter().filter_map(|(link, channel, open)| {
            Some((self.links.get(&link)?.hub.as_str(), channel, &open.grant))
        })
    }

    /// Documents that nobody has open any more leave memory; the log has them.
    fn forget_idle_files(&mut self) {
        if !self.commit.is_empty() {
            return;
        }
        for file in self.opens.take_left() {
            if !self.opens.is_open(&file) {
                self.condense_before_leaving(&file);
                self.live.remove(&file);
            } else if !self.opens.has_text(&file)
                && let Some(live) = self.live.get_mut(&file)
            {
                live.past = None;
            }
        }
    }

    /// The size of a file was measured: the hubs that have it open are told.
    pub(super) fn tell_size(&mut self, file: &FileId) {
        let size = self.live.get(file).and_then(|live| live.size.message(file.clone()));
        for link in self.opens.links_with(file) {
            self.tell(link, size.clone().into_iter().collect());
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
