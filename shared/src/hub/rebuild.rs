//! A hub that has lost its memory while its sockets stayed, rebuilt from what was saved.
//!
//! Nothing else is trusted. A document with acknowledgements owed is asked with Step1: when the Step2 that answers
//! is logged, that many go out. A session of which too little is known is closed with 1012 and comes back.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{
    Effect, Hub, Persisted, Session, Settings, Visitor,
    admission::Admission,
    channel::{Channel, Stage},
    facts::{ChannelFacts, ChannelRow, Facts},
    link::Link,
    liveness::Liveness,
    receipts::Receipts,
    text::Told,
};
use crate::{
    Millis,
    close::CloseCode,
    id::{ChannelId, SessionId},
    wire::{link::HubMessage, yjs},
};

impl Hub {
    /// Rebuilds a hub from what its shell has kept.
    pub fn rebuild(settings: Settings, persisted: Persisted, now: Millis) -> Self {
        let mut hub = Self::new(settings, now);
        if let Some(facts) = &persisted.link {
            hub.link = Link::restored(facts, now);
        }
        for row in hub.outbox.restore(persisted.outbox, now) {
            hub.effects.push(Effect::ForgetOutbox { row });
        }
        let mut rows: BTreeMap<SessionId, Vec<(ChannelId, Bytes)>> = BTreeMap::new();
        for (channel, row) in persisted.channels {
            rows.entry(channel.session()).or_default().push((channel, row));
        }
        for (id, saved) in persisted.sessions {
            let own = rows.remove(&id).unwrap_or_default();
            hub.restore_session(id, saved, own, now);
        }
        for (channel, _) in rows.into_values().flatten() {
            hub.forget_channel(channel);
        }
        hub.restore_keepalive();
        hub.rebuilt_at = (!hub.sessions.is_empty()).then_some(now);
        for message in hub.outbox.replay(now) {
            hub.say(message);
        }
        hub.ask_diffs(now);
        if hub.link.is_up() && hub.link.is_lost() {
            hub.ask_whole_documents();
        }
        hub.watch_link(now);
        hub
    }

    fn restore_session(&mut self, id: SessionId, saved: Bytes, rows: Vec<(ChannelId, Bytes)>, now: Millis) {
        let facts = Facts::read(&saved).filter(|(facts, _)| !facts.partial);
        let Some((facts, channels)) = facts else {
            for (channel, _) in rows {
                self.forget_channel(channel);
            }
            let reason = CloseCode::Restart.word().to_owned();
            self.effects.push(Effect::Close { session: id, code: CloseCode::Restart, reason });
            return;
        };
        let visitor = Visitor { dialect: facts.dialect.clone(), token: None };
        let mut session = Session::new(visitor, now);
        session.admission = Admission::restored(facts.grant.clone(), facts.token.clone(), now);
        session.modern = facts.modern;
        session.next_index = facts.next_index;
        session.liveness = Liveness::restored(facts.greeted_at.unwrap_or(now), facts.asked_at);
        session.saved = saved;
        session.touched = false;
        self.sessions.insert(id, session);
        for (channel, row) in rows {
            match ChannelRow::read(&row) {
                Some(row) => {
                    let unsettled = channels.get(&channel.index()).cloned().unwrap_or_default();
                    self.restore_channel(channel, row, unsettled);
                }
                None => self.forget_channel(channel),
            }
        }
    }

    fn restore_channel(&mut self, id: ChannelId, row: ChannelRow, facts: ChannelFacts) {
        let Some(session) = self.sessions.get_mut(&id.session()) else { return };
        let mut channel = Channel::new(row.key.into(), !session.is_hocuspocus());
        session.add_key(id, &channel);
        if row.file.is_room() {
            session.rooms.insert(channel.key.clone(), id);
        }
        session.visible = row.visible.or(session.visible.take());
        let grant = session.admission.grant.as_ref();
        channel.role = grant.map_or(channel.role, |grant| grant.role_at(row.path.as_ref()));
        channel.path = row.path;
        channel.stage = Stage::Open(row.file.clone());
        channel.receipts = Receipts::restored(facts.owed, self.outbox.next());
        // The state vector of an unanswered Step1 is lost: the whole document answers it.
        channel.step1 = facts.unanswered.then(|| Bytes::from_static(yjs::EMPTY_STATE_VECTOR));
        channel.probing = facts.owed > 0 && !facts.unanswered && !row.file.is_room();
        channel.clients = facts.clients;
        channel.was_shown_others = true;
        if channel.is_text() && !row.file.is_room() {
            channel.told = Told::Forgotten;
            self.channels.insert(id, channel);
            return;
        }
        let document = self.documents.entry(row.file).or_default();
        if facts.unanswered {
            document.waiting.insert(id);
        } else {
            document.audience.add((!channel.bare).then(|| channel.key.clone()), id);
        }
        for (client, clock) in &channel.clients {
            document.awareness.restore(*client, *clock, id);
        }
        self.channels.insert(id, channel);
    }

    /// A row whose socket is gone.
    fn forget_channel(&mut self, channel: ChannelId) {
        self.effects.push(Effect::DropChannel { channel });
        self.say(HubMessage::Close { channel });
    }
}
