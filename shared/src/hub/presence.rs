//! Presence: what members show each other by awareness, relayed between the channels here and over the link.

use std::collections::BTreeMap;

use super::{
    Hub, Session,
    awareness::{GONE_MS, Source},
    pace::Fare,
};
use crate::{
    Millis,
    id::{ChannelId, FileId},
    limits,
    wire::{
        event::EventOut,
        hocuspocus::{self, ServerMessage},
        link::HubMessage,
        yjs::{self, AwarenessEntry, AwarenessError, YMessage},
    },
};

impl Hub {
    /// Awareness of a session: what is news goes to the others here and over the link.
    pub(super) fn receive_awareness(&mut self, id: ChannelId, file: &FileId, update: &[u8], now: Millis) {
        let was_asked = self.channels.get(&id).is_some_and(|channel| channel.was_asked_to_show);
        let answers = was_asked || self.sessions.get(&id.session()).is_some_and(Session::repeats_awareness);
        let modern = self.sessions.get(&id.session()).is_some_and(|session| session.modern);
        let entries = match yjs::read_awareness(update) {
            _ if answers => self.own_entries(id, update),
            Ok(entries) => entries,
            Err(error) => return self.refuse_presence(id, file, error, now),
        };
        // Whoever goes is let go, at any rate.
        let shows = entries.iter().any(|entry| entry.state != "null");
        let is_first = shows && self.channels.get_mut(&id).is_some_and(|channel| channel.paid.presence());
        if shows && !is_first && !self.pays(id.session(), Fare::Presence, now) {
            return;
        }
        let (Some(document), Some(channel)) = (self.documents.get_mut(file), self.channels.get_mut(&id))
        else {
            return;
        };
        let others = entries.iter().filter(|entry| !channel.clients.contains_key(&entry.client)).count();
        if channel.clients.len() + others > limits::AWARENESS_CLIENTS {
            return self.refuse_presence(id, file, AwarenessError::TooMany, now);
        }
        let source = Source::Channel {
            id,
            may_repeat: channel.was_shown_others && !modern,
            may_be_gone: is_first && self.rebuilt_at.is_some_and(|at| now < at + GONE_MS),
        };
        let outcome = document.awareness.accept(entries, source, now);
        channel.was_asked_to_show &= outcome.news.is_empty();
        for entry in outcome.news.iter().filter(|entry| entry.state == "null") {
            channel.clients.remove(&entry.client);
        }
        let changes = !outcome.news.is_empty() || !outcome.speaks_for.is_empty();
        channel.clients.extend(outcome.speaks_for);
        if changes {
            self.touch(id.session());
        }
        if !outcome.news.is_empty() {
            let bytes = yjs::write_awareness(&outcome.news);
            self.fan_out_awareness(file, &bytes, id);
            self.say(HubMessage::Awareness { file: file.clone(), bytes });
        }
        self.tell_ended(outcome.ended_here);
    }

    /// Clients that these channels speak for are gone for everybody else. Told so, they raise their clocks and show
    /// themselves again; providers from version 4 on raise them in silence and have to be asked.
    fn tell_ended(&mut self, ended: BTreeMap<ChannelId, Vec<AwarenessEntry<'static>>>) {
        for (id, ends) in ended {
            let modern = self.sessions.get(&id.session()).is_some_and(|session| session.modern);
            let Some(channel) = self.channels.get_mut(&id) else { continue };
            let mut frames = vec![channel.awareness_frame(&yjs::write_awareness(&ends))];
            if modern {
                channel.was_asked_to_show = true;
                let room = limits::AWARENESS_CLIENTS.saturating_sub(channel.clients.len());
                channel.clients.extend(ends.iter().take(room).map(|end| (end.client, end.clock)));
                frames.push(channel.query_frame());
            }
            self.touch(id.session());
            frames.into_iter().for_each(|frame| self.send(id.session(), frame));
        }
    }

    /// A provider that is asked shows all that it knows, of others too: of that, what the channel speaks for.
    fn own_entries<'a>(&self, id: ChannelId, update: &'a [u8]) -> Vec<AwarenessEntry<'a>> {
        let Some(channel) = self.channels.get(&id) else { return Vec::new() };
        let mut entries = yjs::read_relayed_awareness(update).unwrap_or_default();
        entries.retain(|entry| channel.clients.contains_key(&entry.client));
        entries
    }

    /// What cannot be taken is dropped, and its author told: it harms nobody, and the text goes on.
    fn refuse_presence(&mut self, id: ChannelId, file: &FileId, error: AwarenessError, now: Millis) {
        // An answer costs as much as what it answers.
        if !self.pays(id.session(), Fare::Presence, now) {
            return;
        }
        let Some(channel) = self.channels.get(&id) else { return };
        let frame = if channel.bare {
            yjs::write_y(&YMessage::Auth { reason: error.word() })
        } else {
            let (code, reason) = (error.word().to_owned(), error.to_string());
            let refusal = EventOut::Error { code, reason, file: Some(file.clone()) };
            hocuspocus::write_server(&channel.key, &ServerMessage::Stateless(&refusal.to_json()))
        };
        self.send(id.session(), frame);
    }

    /// Awareness of other hubs.
    pub(super) fn relay_awareness(&mut self, file: &FileId, update: &[u8], now: Millis) {
        let Some(document) = self.documents.get_mut(file) else { return };
        let Ok(entries) = yjs::read_relayed_awareness(update) else { return };
        let outcome = document.awareness.accept(entries, Source::Elsewhere, now);
        if !outcome.news.is_empty() {
            let bytes = yjs::write_awareness(&outcome.news);
            self.fan_out_awareness(file, &bytes, ChannelId(0));
        }
        self.tell_ended(outcome.ended_here);
        if !outcome.ended_elsewhere.is_empty() {
            let bytes = yjs::write_awareness(&outcome.ended_elsewhere);
            self.say(HubMessage::Awareness { file: file.clone(), bytes });
        }
    }

    /// Shows a channel everybody who is there.
    pub(super) fn show_presence(&mut self, id: ChannelId, file: &FileId) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.was_shown_others = true;
        }
        let Some(document) = self.documents.get(file) else { return };
        let shown = document.awareness.shown(false);
        let channel = self.channels.get(&id).filter(|channel| !channel.is_text());
        if let (Some(channel), false) = (channel, shown.is_empty()) {
            let frame = channel.awareness_frame(&yjs::write_awareness(&shown));
            self.send(id.session(), frame);
        }
    }

    /// A channel leaves: what it showed is gone, unless the client has come back on another one.
    pub(super) fn end_presence(&mut self, file: &FileId, id: ChannelId, now: Millis) {
        let Some(document) = self.documents.get_mut(file) else { return };
        let gone = document.awareness.end_of(id, now);
        if !gone.is_empty() {
            let bytes = yjs::write_awareness(&gone);
            self.fan_out_awareness(file, &bytes, ChannelId(0));
            self.say(HubMessage::Awareness { file: file.clone(), bytes });
        }
    }

    /// Presence of this hub's sessions, for a new link.
    pub(super) fn own_presence(&self) -> Vec<HubMessage> {
        self.documents
            .iter()
            .filter_map(|(file, document)| {
                let own = document.awareness.shown(true);
                let bytes = yjs::write_awareness(&own);
                (!own.is_empty()).then(|| HubMessage::Awareness { file: file.clone(), bytes })
            })
            .collect()
    }

    pub(super) fn forget_gone_presence(&mut self, now: Millis) {
        for document in self.documents.values_mut() {
            document.awareness.forget_gone(now);
        }
    }
}
