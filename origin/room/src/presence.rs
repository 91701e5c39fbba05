//! Who is in the room and what they show: awareness and visible files, of this origin's hubs and of other origins.

use bytes::Bytes;
use shared::{
    Millis,
    id::{ChannelId, FileId},
    wire::link::OriginMessage,
};

use crate::{
    awareness::Awareness,
    effect::{LinkId, Place},
    notes::Note,
    visible::Visible,
};

/// What members show.
#[derive(Debug, Default)]
pub(crate) struct Presence {
    awareness: Awareness,
    visible: Visible,
}

impl Presence {
    /// Awareness of a hub; `hub` is `None` for one of another origin.
    pub(crate) fn awareness(&mut self, file: &FileId, bytes: &Bytes, hub: Option<&str>, now: Millis) {
        self.awareness.learn(file, bytes, hub, now);
    }

    /// A member of a hub here looks at other files than before.
    pub(crate) fn looks_at(&mut self, place: Place, json: &Bytes) {
        self.visible.set(place, json);
    }

    /// The same of a member at another origin.
    pub(crate) fn looks_at_elsewhere(&mut self, channel: ChannelId, json: &Bytes) {
        self.visible.set_elsewhere(channel, json);
    }

    /// A channel is closed.
    pub(crate) fn close(&mut self, place: Place) {
        self.visible.close(place);
    }

    /// What a channel is sent that has just opened a file: the room's document comes with what members look at.
    pub(crate) fn greeting(&self, file: &FileId, channel: ChannelId) -> Vec<OriginMessage> {
        let awareness = self.awareness.of(file);
        let awareness = awareness.map(|bytes| OriginMessage::Awareness { file: file.clone(), bytes });
        let event = |json: &Bytes| OriginMessage::Event {
            position: None,
            channel: Some(channel),
            json: json.clone(),
        };
        let visible = self.visible.all().filter(|_| file.is_room()).map(event);
        awareness.into_iter().chain(visible).collect()
    }

    /// What this origin tells another one that has just opened the room.
    pub(crate) fn introduction(&self) -> Vec<Note> {
        let awareness = self.awareness.here().into_iter();
        let awareness = awareness.map(|(file, bytes)| Note::Awareness { file, bytes });
        let event =
            |(channel, json): (ChannelId, &Bytes)| Note::Event { channel, keeps: true, json: json.clone() };
        awareness.chain(self.visible.here().map(event)).collect()
    }

    /// A hub is back, perhaps on another link, and shows its members again.
    pub(crate) fn hub_is_back(&mut self, hub: &str, now: Millis) {
        self.awareness.keep(hub, now);
    }

    /// A link is gone that another one of its hub has replaced.
    pub(crate) fn replaced(&mut self, link: LinkId) {
        self.visible.drop_link(link);
    }

    /// A hub's link is gone: what it shows stays for a while, it may come back on another one.
    pub(crate) fn hub_is_gone(&mut self, link: LinkId, hub: &str, now: Millis) {
        self.awareness.orphan(hub, now);
        self.visible.orphan(link, hub);
    }

    /// The room begins again: other origins are asked what their members look at.
    pub(crate) fn forget_elsewhere(&mut self) {
        self.visible.forget_elsewhere();
    }

    /// When something of it may have to end.
    pub(crate) fn due_at(&self) -> Option<Millis> {
        self.awareness.due_at()
    }

    /// Ends what no hub shows any more. Each is for all hubs here, and most are for other origins too.
    #[must_use]
    pub(crate) fn expire(&mut self, now: Millis) -> Vec<(OriginMessage, Option<Note>)> {
        let expired = self.awareness.expire(now);
        let mut ends = Vec::new();
        for (channel, json) in expired.hubs.iter().flat_map(|hub| self.visible.end(hub)) {
            let event = OriginMessage::Event { position: None, channel: None, json: json.clone() };
            ends.push((event, Some(Note::Event { channel, keeps: true, json })));
        }
        let awareness = |file, bytes| OriginMessage::Awareness { file, bytes };
        for (file, bytes) in expired.here {
            ends.push((awareness(file.clone(), bytes.clone()), Some(Note::Awareness { file, bytes })));
        }
        ends.extend(expired.elsewhere.into_iter().map(|(file, bytes)| (awareness(file, bytes), None)));
        ends
    }
}
