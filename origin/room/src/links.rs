//! The hubs that are connected to a room, what their channels have open, and what they are sent. A hub gets everything
//! after the position that it names.

use std::collections::{BTreeMap, BTreeSet};

use shared::{
    close::CloseCode,
    id::{ChannelId, FileId},
    position::Position,
    wire::link::{FileUpdate, OriginMessage},
};

use crate::{
    change::Change,
    effect::{Effect, LinkId, Place},
    link::Link,
    log::{FileLog, LogEntry},
    opens::{OpenChannel, Opens},
    store::{Backfill, StoreError},
};

/// The links of a room.
#[derive(Debug, Default)]
pub(crate) struct Links {
    links: BTreeMap<LinkId, Link>,
    opens: Opens,
}

/// A channel that has nothing open any more, and what it had.
pub(crate) type Closed = (Place, OpenChannel);

impl Links {
    /// A hub is connected. Its first message is a hello.
    pub(crate) fn attach(&mut self, link: LinkId) {
        self.links.insert(link, Link::default());
    }

    /// A hub's connection is gone: the hub's name, and the channels that are closed by that.
    #[must_use]
    pub(crate) fn detach(&mut self, link: LinkId) -> Option<(String, Vec<Closed>)> {
        let hub = self.links.remove(&link)?.hub().to_owned();
        let places = self.opens.of_link(link);
        Some((hub, places.into_iter().filter_map(|place| self.close(place)).collect()))
    }

    /// What is open.
    pub(crate) fn opens(&self) -> &Opens {
        &self.opens
    }

    /// A channel has a document open, in place of what it had before.
    pub(crate) fn open(&mut self, place: Place, open: OpenChannel) {
        self.opens.open(place, open);
    }

    /// A channel leaves its document.
    #[must_use]
    pub(crate) fn close(&mut self, place: Place) -> Option<Closed> {
        self.opens.close(place).map(|open| (place, open))
    }

    /// Tells a channel that it has nothing open.
    pub(crate) fn send_closed(&mut self, (link, channel): Place, code: CloseCode, reason: &str) {
        self.send(link, OriginMessage::Closed { channel, code, reason: reason.to_owned() });
    }

    /// Closes all channels, or those of a file.
    #[must_use]
    pub(crate) fn close_all(&mut self, file: Option<&FileId>, code: CloseCode, reason: &str) -> Vec<Closed> {
        let all = || self.opens.iter().map(|(place, _)| place).collect();
        let places: Vec<Place> = file.map_or_else(all, |file| self.opens.of(file));
        places.iter().for_each(|place| self.send_closed(*place, code, reason));
        places.into_iter().filter_map(|place| self.close(place)).collect()
    }

    /// A file is in memory: if no channel has it open, it counts as left.
    pub(crate) fn loaded(&mut self, file: &FileId) {
        self.opens.unless_open(file);
    }

    /// Takes the files that a channel has left; others may still have them open.
    pub(crate) fn take_left(&mut self) -> BTreeSet<FileId> {
        self.opens.take_left()
    }

    /// Whether there is such a link.
    pub(crate) fn has(&self, link: LinkId) -> bool {
        self.links.contains_key(&link)
    }

    /// All links.
    pub(crate) fn ids(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    /// The name of a link's hub; empty before its hello.
    pub(crate) fn hub(&self, link: LinkId) -> &str {
        self.links.get(&link).map_or("", Link::hub)
    }

    /// Sends a message to a hub, if it is there.
    pub(crate) fn send(&mut self, link: LinkId, message: OriginMessage) {
        if let Some(link) = self.links.get_mut(&link) {
            link.send(message);
        }
    }

    /// Sends a message to all hubs but one that have a file open.
    pub(crate) fn send_to_readers(&mut self, file: &FileId, message: &OriginMessage, except: Option<LinkId>) {
        for link in self.opens.links_with(file).into_iter().filter(|link| Some(*link) != except) {
            self.send(link, message.clone());
        }
    }

    /// The size of a file was measured: the hubs that have it open are told.
    pub(crate) fn send_size(&mut self, size: OriginMessage) {
        if let OriginMessage::Size { file, .. } = &size {
            self.send_to_readers(&file.clone(), &size, None);
        }
    }

    /// Sends a message to all hubs but one.
    pub(crate) fn broadcast(&mut self, message: &OriginMessage, except: Option<LinkId>) {
        for (_, link) in self.links.iter_mut().filter(|(id, _)| Some(**id) != except) {
            link.send(message.clone());
        }
    }

    /// Takes what was sent, by hub.
    pub(crate) fn take_out(&mut self) -> Vec<Effect> {
        let out = self.links.iter_mut().map(|(id, link)| (*id, link.take_out()));
        out.filter(|(_, out)| !out.is_empty()).map(|(id, out)| Effect::ToHub(id, out)).collect()
    }

    /// The older links of a hub: a hub has one, what it had before is dead, whether or not that was noticed.
    pub(crate) fn older(&self, link: LinkId, hub: &str) -> Vec<LinkId> {
        let of_hub = self.links.iter().filter(|(id, state)| **id != link && state.hub() == hub);
        of_hub.map(|(id, _)| *id).collect()
    }

    /// A hub says its name and how far it has read.
    #[must_use]
    pub(crate) fn hello(
        &mut self,
        link: LinkId,
        hub: String,
        read: Option<Position>,
        room: Position,
    ) -> Option<Effect> {
        let reads = self.links.get_mut(&link)?.hello(hub, read, room);
        read.filter(|_| reads).map(|read| Effect::Backfill(link, read))
    }

    /// The room begins again while hubs have stayed.
    pub(crate) fn restart(&mut self, room: Position) {
        self.links.values_mut().for_each(|link| link.restart(room));
    }

    /// What a hub lacks was read, while the room is at this position.
    #[must_use]
    pub(crate) fn backfilled(
        &mut self,
        link: LinkId,
        answer: Result<Backfill, StoreError>,
        room: Position,
    ) -> Option<Effect> {
        let until = match &answer {
            Ok(Backfill::Changes(position, _)) if position.epoch == room.epoch => {
                Some(position.seq.max(room.seq))
            }
            Ok(_) => Some(room.seq),
            Err(_) => None,
        };
        let (read, waiting) = self.links.get_mut(&link)?.end_backfill(until)?;
        match answer {
            Ok(Backfill::Changes(position, entries)) if position.epoch == room.epoch => {
                entries.iter().for_each(|entry| self.send_logged(link, entry, room, true));
                for entry in waiting.iter().filter(|entry| entry.seq > position.seq) {
                    self.send_logged(link, entry, room, false);
                }
                self.send(link, OriginMessage::Updates { position, updates: Vec::new() });
                None
            }
            Ok(Backfill::Reset(position)) if position.epoch == room.epoch => {
                self.send(link, OriginMessage::Reset { position: room });
                Some(Effect::Events(link, read))
            }
            Ok(_) => {
                self.send(link, OriginMessage::Reset { position: room });
                None
            }
            Err(_) => Some(Effect::Unlink(link, "backfill-failed")),
        }
    }

    /// The room's events were read for a hub that has them up to a seq: documents are sent whole, chat is not in them.
    #[must_use]
    pub(crate) fn events_read(
        &mut self,
        link: LinkId,
        read: u64,
        answer: Result<FileLog, StoreError>,
    ) -> Option<Effect> {
        let Ok(log) = answer else { return Some(Effect::Unlink(link, "backfill-failed")) };
        for entry in log.updates.into_iter().filter(|entry| entry.seq > read) {
            self.send(link, OriginMessage::Event { position: None, channel: None, json: entry.bytes });
        }
        None
    }

    /// Ends links for which too much waits.
    #[must_use]
    pub(crate) fn overflowing(&self) -> Vec<Effect> {
        let overflowing = self.links.iter().filter(|(_, link)| link.is_overflowing());
        overflowing.map(|(id, _)| Effect::Unlink(*id, "too-far-behind")).collect()
    }

    /// Sends a logged change to every hub that does not have it yet.
    pub(crate) fn deliver(&mut self, entry: &LogEntry, room: Position) {
        for link in self.ids() {
            if self.links.get_mut(&link).is_some_and(|state| state.accepts(entry)) {
                self.send_logged(link, entry, room, false);
            }
        }
    }

    /// Sends one logged change to a hub; what a hub has fanned out itself only moves its position, unless it is
    /// sent everything again.
    fn send_logged(&mut self, link: LinkId, entry: &LogEntry, room: Position, everything: bool) {
        let Some(state) = self.links.get_mut(&link) else { return };
        let position = Position { epoch: room.epoch, seq: entry.seq, ts: entry.ts };
        if entry.file.is_room() {
            let json = entry.bytes.clone();
            return state.send(OriginMessage::Event { position: Some(position), channel: None, json });
        }
        let own = !entry.source.hub.is_empty() && entry.source.hub == state.hub();
        let wanted = self.opens.gets_updates(link, &entry.file) && (everything || !own);
        let update = wanted.then(|| FileUpdate {
            file: entry.file.clone(),
            except: if everything { ChannelId(0) } else { ChannelId(entry.source.channel) },
            bytes: entry.bytes.clone(),
        });
        state.send_update(position, update);
    }

    /// Whether a change of a hub is the next one, while the room holds or its queue is full.
    #[must_use]
    pub(crate) fn takes(&mut self, link: LinkId, hub_seq: u64, holds: bool, full: bool) -> bool {
        self.links.get_mut(&link).is_some_and(|link| link.takes(hub_seq, holds, full))
    }

    /// Every hub is to keep its changes, those given up included.
    pub(crate) fn hold(&mut self, given_up: &[Change], why: &str) {
        for change in given_up {
            if let Some(link) = self.links.get_mut(&change.link) {
                link.give_up(change.hub_seq);
            }
        }
        self.links.values_mut().for_each(|link| link.hold(why));
    }

    /// Hubs that were told to keep their changes go on.
    pub(crate) fn resume(&mut self) {
        self.links.values_mut().for_each(Link::resume);
    }
}
