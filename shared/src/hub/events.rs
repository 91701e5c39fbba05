//! Room events: chat in order through the log, the rest straight over the link.

use bytes::Bytes;

use super::{Effect, Hub, pace::Fare};
use crate::{
    Millis,
    id::{ChannelId, FileId, SessionId},
    wire::{
        event::{self, Attributed, EventIn, EventOut},
        hocuspocus::{self, ServerMessage},
        link::HubMessage,
    },
};

impl Hub {
    /// An event of a member. A chat message comes back to its author through the log; what is not logged goes
    /// to the others here at once.
    pub(super) fn receive_event(&mut self, id: ChannelId, payload: &str, now: Millis) {
        if !self.pays(id.session(), Fare::Event, now) {
            return self.refuse_event(id, "rate-limited", "too many events at once");
        }
        let event = match event::read(payload) {
            Ok(event) => event,
            Err(error) => return self.refuse_event(id, error.word(), &error.to_string()),
        };
        let session = self.sessions.get(&id.session());
        let Some(grant) = session.and_then(|session| session.admission.grant.as_ref()) else { return };
        let member = grant.member.clone();
        let attributed = Attributed { member: member.clone(), event };
        let json: Bytes = attributed.to_json().into();
        let out = match attributed.event {
            EventIn::Chat { .. } => return self.log_event(id, json, now),
            EventIn::VisibleFiles { files } => {
                self.looks_at(id.session(), json.clone());
                EventOut::VisibleFiles { member, files }
            }
            EventIn::Broadcast { data } => EventOut::Broadcast { member, data },
        };
        self.tell_others(id, out.to_json().as_bytes());
        self.say(HubMessage::Event { channel: id, hub_seq: 0, json });
    }

    fn log_event(&mut self, id: ChannelId, json: Bytes, now: Millis) {
        if !self.outbox.has_room_for(json.len()) {
            let reason = "the origin is away and this region holds no more unsaved events";
            return self.refuse_event(id, "outbox-full", reason);
        }
        let message = self.outbox.push(now, |hub_seq| HubMessage::Event { channel: id, hub_seq, json });
        if self.link.flows() {
            self.say(message);
        }
    }

    fn refuse_event(&mut self, id: ChannelId, code: &str, reason: &str) {
        let refusal = EventOut::Error { code: code.to_owned(), reason: reason.to_owned(), file: None };
        self.tell(Some(id), refusal.to_json().as_bytes());
    }

    /// Passes an event on to one channel, or to everybody who has the room's document open.
    pub(super) fn tell(&mut self, only: Option<ChannelId>, json: &[u8]) {
        let Some(only) = only else { return self.tell_others(ChannelId(0), json) };
        let Ok(payload) = std::str::from_utf8(json) else { return };
        if let Some(channel) = self.channels.get(&only).filter(|channel| !channel.bare) {
            if channel.is_text() {
                return self.send_text(only.session(), payload.to_owned());
            }
            let frame = hocuspocus::write_server(&channel.key, &ServerMessage::Stateless(payload));
            self.send(only.session(), frame);
        }
    }

    pub(super) fn tell_others(&mut self, except: ChannelId, json: &[u8]) {
        let Ok(payload) = std::str::from_utf8(json) else { return };
        let Some(document) = self.documents.get(&FileId::room()) else { return };
        for (one, to) in document.audience.receivers(except) {
            let Some(channel) = self.channels.get(&one).filter(|channel| !channel.bare) else { continue };
            self.counters.deliveries += to.len() as u64;
            if channel.is_text() {
                let texts = to.into_iter().map(|to| Effect::SendText { to, text: payload.to_owned() });
                self.effects.extend(texts);
            } else {
                let frame = hocuspocus::write_server(&channel.key, &ServerMessage::Stateless(payload));
                self.effects.push(Effect::Send { to, frame });
            }
        }
    }

    /// Tells everybody here.
    pub(super) fn tell_members(&mut self, event: &EventOut) {
        if self.documents.contains_key(&FileId::room()) {
            self.tell(None, event.to_json().as_bytes());
        }
    }

    /// Tells one session, if it has the room's document open.
    pub(super) fn tell_session(&mut self, session: SessionId, event: &EventOut) {
        if let Some(channel) = self.room_channel(session) {
            self.tell(Some(channel), event.to_json().as_bytes());
        }
    }

    pub(super) fn room_channel(&self, session: SessionId) -> Option<ChannelId> {
        self.sessions.get(&session)?.rooms.values().next().copied()
    }
}
