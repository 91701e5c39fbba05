//! Awareness: who shows what, relayed by the clock rule of y-protocols, with an owner for every entry.

use std::collections::BTreeMap;

use super::{Hub, Session, pace::Fare};
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

/// How long the clock of a client that is gone is remembered, against echoes by old providers.
const GONE_MS: Millis = 60_000;

/// The awareness states of one document.
#[derive(Clone, Debug, Default)]
pub(super) struct Presence {
    entries: BTreeMap<u64, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    clock: u64,
    state: State,
    /// The channel here that speaks for it; `None` for a client of another hub.
    owner: Option<ChannelId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Json(String),
    /// Known to be there, but what it shows went with the hub's memory.
    Lost,
    Gone(Millis),
}

impl Presence {
    /// Applies an update by the clock rule and returns what of it was news.
    fn accept<'a>(
        &mut self,
        entries: Vec<AwarenessEntry<'a>>,
        owner: Option<ChannelId>,
        now: Millis,
    ) -> Vec<AwarenessEntry<'a>> {
        entries.into_iter().filter(|entry| self.accept_one(entry, owner, now)).collect()
    }

    fn accept_one(&mut self, new: &AwarenessEntry<'_>, owner: Option<ChannelId>, now: Millis) -> bool {
        let gone = new.state == "null";
        let known = self.entries.get(&new.client);
        let clock = known.map_or(0, |entry| entry.clock);
        let lost = known.is_some_and(|entry| entry.state == State::Lost);
        let there = known.is_some_and(|entry| !matches!(entry.state, State::Gone(_)));
        let newer = clock < new.clock || (clock == new.clock && (lost || (gone && there)));
        if !newer {
            return false;
        }
        // A clock that was learnt before memory was lost keeps its owner, whoever fills in the state.
        let spoken_for =
            known.and_then(|entry| entry.owner).filter(|_| lost && (owner.is_none() || clock == new.clock));
        let keep = spoken_for.or(owner);
        let state = if gone { State::Gone(now) } else { State::Json(new.state.to_owned()) };
        self.entries.insert(new.client, Entry { clock: new.clock, state, owner: keep });
        true
    }

    /// What is shown at the moment, by everybody or only by this hub's own channels.
    fn shown(&self, own: bool) -> Vec<AwarenessEntry<'_>> {
        self.entries
            .iter()
            .filter(|(_, entry)| !own || entry.owner.is_some())
            .filter_map(|(client, entry)| match &entry.state {
                State::Json(state) => Some(AwarenessEntry { client: *client, clock: entry.clock, state }),
                _ => None,
            })
            .collect()
    }

    /// The end of everything that a channel shows.
    fn owned_by(&self, id: ChannelId) -> Vec<AwarenessEntry<'static>> {
        let owned = self.entries.iter().filter(|(_, entry)| entry.owner == Some(id));
        owned
            .map(|(client, entry)| AwarenessEntry { client: *client, clock: entry.clock, state: "null" })
            .collect()
    }

    /// A channel had this client before the hub's memory went.
    pub(super) fn restore(&mut self, client: u64, clock: u64, owner: ChannelId) {
        self.entries.insert(client, Entry { clock, state: State::Lost, owner: Some(owner) });
    }

    fn forget_gone(&mut self, now: Millis) {
        self.entries.retain(|_, entry| !matches!(entry.state, State::Gone(since) if since + GONE_MS <= now));
    }
}

impl Hub {
    /// Awareness of a session: what is news goes to the others here and over the link.
    pub(super) fn receive_awareness(&mut self, id: ChannelId, file: &FileId, update: &[u8], now: Millis) {
        let answers = self.sessions.get(&id.session()).is_some_and(Session::repeats_awareness);
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
        let news = document.presence.accept(entries, Some(id), now);
        if news.is_empty() {
            return;
        }
        for entry in &news {
            if entry.state == "null" {
                channel.clients.remove(&entry.client);
            } else {
                channel.clients.insert(entry.client, entry.clock);
            }
        }
        let bytes = yjs::write_awareness(&news);
        self.touch(id.session());
        self.fan_out_awareness(file, &bytes, id);
        self.say(HubMessage::Awareness { file: file.clone(), bytes });
    }

    /// An old provider that is asked shows all that it knows, of others too: of that, what the channel speaks for.
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
        let news = document.presence.accept(entries, None, now);
        if !news.is_empty() {
            let bytes = yjs::write_awareness(&news);
            self.fan_out_awareness(file, &bytes, ChannelId(0));
        }
    }

    /// Shows a channel everybody who is there.
    pub(super) fn show_presence(&mut self, id: ChannelId, file: &FileId) {
        let Some(document) = self.documents.get(file) else { return };
        let shown = document.presence.shown(false);
        let channel = self.channels.get(&id).filter(|channel| !channel.is_text());
        if let (Some(channel), false) = (channel, shown.is_empty()) {
            let frame = channel.awareness_frame(&yjs::write_awareness(&shown));
            self.send(id.session(), frame);
        }
    }

    /// A channel leaves: what it showed is gone, under the clock that everybody knows.
    pub(super) fn end_presence(&mut self, file: &FileId, id: ChannelId, now: Millis) {
        let Some(document) = self.documents.get_mut(file) else { return };
        let gone = document.presence.owned_by(id);
        let news = document.presence.accept(gone, None, now);
        if !news.is_empty() {
            let bytes = yjs::write_awareness(&news);
            self.fan_out_awareness(file, &bytes, ChannelId(0));
            self.say(HubMessage::Awareness { file: file.clone(), bytes });
        }
    }

    /// Presence of this hub's sessions, for a new link.
    pub(super) fn own_presence(&self) -> Vec<HubMessage> {
        self.documents
            .iter()
            .filter_map(|(file, document)| {
                let own = document.presence.shown(true);
                let bytes = yjs::write_awareness(&own);
                (!own.is_empty()).then(|| HubMessage::Awareness { file: file.clone(), bytes })
            })
            .collect()
    }

    pub(super) fn forget_gone_presence(&mut self, now: Millis) {
        for document in self.documents.values_mut() {
            document.presence.forget_gone(now);
        }
    }
}
