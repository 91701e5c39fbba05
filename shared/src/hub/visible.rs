//! The files that members look at: kept for new links, and ended with the session that said so.

use bytes::Bytes;

use super::Hub;
use crate::{
    id::{ChannelId, SessionId},
    wire::{
        event::{self, Attributed, EventIn, EventOut},
        link::HubMessage,
    },
};

impl Hub {
    /// A member looks at other files than before.
    pub(super) fn looks_at(&mut self, session: SessionId, json: Bytes) {
        if let Some(known) = self.sessions.get_mut(&session) {
            known.visible = Some(json);
        }
        if let Some(channel) = self.room_channel(session) {
            self.save_channel(channel);
        }
    }

    /// What the members of this hub look at, for a new link.
    pub(super) fn visible_files(&self) -> Vec<HubMessage> {
        let sessions = self.sessions.iter().filter_map(|(id, session)| Some((*id, session.visible.clone()?)));
        sessions
            .filter_map(|(session, json)| {
                let channel = self.room_channel(session)?;
                Some(HubMessage::Event { channel, hub_seq: 0, json })
            })
            .collect()
    }

    /// A session leaves the room's document: its member looks at nothing any more, or at what another session of the
    /// same member has said.
    pub(super) fn end_visible_files(&mut self, id: ChannelId) {
        let Some(session) = self.sessions.get_mut(&id.session()) else { return };
        let Some(was) = session.visible.take() else { return };
        let Ok(Attributed { member, .. }) = event::read_attributed(&was) else { return };
        let others = self.sessions.looking(&member.id).into_iter();
        let others = others.filter_map(|other| self.sessions.get(&other)?.visible.as_ref());
        let mut others = others.filter_map(|json| event::read_attributed(json).ok());
        let files = match others.next().map(|other| other.event) {
            Some(EventIn::VisibleFiles { files }) => files,
            _ => Vec::new(),
        };
        let event = EventIn::VisibleFiles { files: files.clone() };
        let json: Bytes = Attributed { member: member.clone(), event }.to_json().into();
        self.tell_others(id, EventOut::VisibleFiles { member, files }.to_json().as_bytes());
        self.say(HubMessage::Event { channel: id, hub_seq: 0, json });
    }
}
