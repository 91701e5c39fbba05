//! Clients without Yjs: text frames. What they do to files goes to the origin, which alone has documents, and what
//! they get of files comes from there; the hub only passes it on.
//!
//! A channel of text frames has a routing key that no binary frame can have. The first text frame of a socket opens
//! `.room` for it, so that it gets and sends room events.

use bytes::Bytes;

use super::{Denial, Effect, Hub, channel::Stage, pace::Fare};
use crate::{
    Millis,
    id::{ChannelId, FileId, SessionId},
    limits,
    wire::{
        event::{EventOut, LinkState},
        link::HubMessage,
        text::{self, Refused, TextIn, TextOut},
    },
};

/// The first character of the routing key of a channel of text frames.
pub(super) const MARK: char = '\0';

/// Whether a routing key is one of a channel of text frames.
pub(super) fn is_text_key(key: &str) -> bool {
    key.starts_with(MARK)
}

/// Which text of its file a channel was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Told {
    /// None, or none that still counts.
    Nothing,
    /// The one that the origin has sent last; which that is went with this hub's memory.
    Forgotten,
    /// The one of this position.
    At(String),
}

impl Told {
    /// What a change is based on that does not say so itself.
    fn base(&self) -> String {
        match self {
            Self::Nothing => String::new(),
            Self::Forgotten => "*".to_owned(),
            Self::At(position) => position.clone(),
        }
    }
}

impl Hub {
    /// A text frame. One that cannot be taken is answered by an `error`.
    pub(super) fn receive_text(&mut self, session: SessionId, frame: &str, now: Millis) {
        let Some(known) = self.sessions.get(&session) else { return };
        if !known.is_hocuspocus() {
            let reason = "this address speaks binary frames only";
            return self.send_text_error(session, "text-frames", reason, None);
        }
        let Some(room) = self.text_channel(session, limits::ROOM_DOCUMENT, now) else { return };
        match text::read(frame) {
            Ok(TextIn::Open { file }) if file == limits::ROOM_DOCUMENT => {}
            Ok(TextIn::Open { file }) => match self.named(session, &file) {
                Some(open) if self.is_open(open) => self.text_again(open, now),
                _ => drop(self.text_channel(session, &file, now)),
            },
            Ok(TextIn::Close { file }) => {
                if let Some(channel) = self.named(session, &file).filter(|channel| *channel != room) {
                    self.leave(channel, now);
                }
            }
            Ok(TextIn::Change { file, .. }) if file == limits::ROOM_DOCUMENT => {
                self.send_text_error(session, "bad-event", "this is not a file", Some(&file));
            }
            Ok(TextIn::Change { file, .. }) => {
                let known = self.named(session, &file);
                if let Some(channel) = known.or_else(|| self.text_channel(session, &file, now)) {
                    self.receive_on(channel, Bytes::copy_from_slice(frame.as_bytes()), now);
                }
            }
            Ok(TextIn::Event) => self.receive_on(room, Bytes::copy_from_slice(frame.as_bytes()), now),
            Err(Refused { error, file }) => {
                self.send_text_error(session, error.word(), &error.to_string(), file.as_deref());
                let file = file.and_then(|file| self.named(session, &file));
                if let Some(channel) = file.filter(|channel| self.is_open(*channel)) {
                    self.text_anew(channel);
                }
            }
        }
    }

    /// A frame of a channel of text frames; before it is open it waits.
    pub(super) fn receive_text_on(&mut self, id: ChannelId, frame: Bytes, now: Millis) {
        let Some(channel) = self.channels.get(&id) else { return };
        let file = match &channel.stage {
            Stage::Open(file) => file.clone(),
            Stage::Closed(_) => return self.tell_text_error(id, "not-open", "the file is not open"),
            _ => return self.keep_pending(id, frame, now),
        };
        let Ok(json) = std::str::from_utf8(&frame) else { return };
        if file.is_room() {
            return self.receive_event(id, json, now);
        }
        if let Ok(TextIn::Change { position, .. }) = text::read(json) {
            self.change_text(id, file, position, frame, now);
        }
    }

    fn change_text(
        &mut self,
        id: ChannelId,
        file: FileId,
        position: Option<String>,
        json: Bytes,
        now: Millis,
    ) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        if !channel.may_edit() {
            return self.refuse_text(id, "read-only", "a viewer changes no files");
        }
        if !self.outbox.has_room_for(json.len()) {
            let reason = "the origin is away and this region holds no more unsaved changes";
            return self.refuse_text(id, "outbox-full", reason);
        }
        self.counters.changes += 1;
        let grant = self.sessions.get(&id.session()).and_then(|session| session.admission.grant.as_ref());
        let grant_version = grant.map_or(0, |grant| grant.version);
        let base = position.unwrap_or_else(|| channel.told.base());
        let message = self.outbox.push(now, |hub_seq| HubMessage::Text {
            channel: id,
            file,
            hub_seq,
            grant_version,
            base,
            json,
        });
        if self.link.flows() {
            self.say(message);
        }
        // Its author could not bring it again: no memory that is lost may take it along.
        self.store_outbox();
    }

    /// The member's text is not what anybody can know any more: it gets the whole one.
    fn refuse_text(&mut self, id: ChannelId, code: &str, reason: &str) {
        self.counters.refused += 1;
        self.tell_text_error(id, code, reason);
        self.text_anew(id);
    }

    fn text_anew(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get_mut(&id) else { return };
        // One that is on its way will do for everything before it.
        if std::mem::replace(&mut channel.told, Told::Nothing) != Told::Nothing {
            self.ask_text(id);
        }
    }

    /// The member wants the text once more.
    fn text_again(&mut self, id: ChannelId, now: Millis) {
        if self.pays(id.session(), Fare::Open, now) {
            return self.text_anew(id);
        }
        self.send_text_error(id.session(), "rate-limited", "too many documents at once", None);
    }

    /// The same, in its turn if it is the first text, before which the channel has said nothing to the origin.
    pub(super) fn ask_text_in_turn(&mut self, id: ChannelId) {
        match self.channels.get(&id) {
            Some(channel) if channel.stage == Stage::Opening => {
                let name = channel.name().to_owned();
                self.want_text(id, &name, None);
            }
            _ => self.ask_text(id),
        }
    }

    /// Asks the origin for the text of a channel from what it was told on.
    pub(super) fn ask_text(&mut self, id: ChannelId) {
        let round = self.outbox.number();
        let Some(channel) = self.channels.get(&id) else { return };
        let session = self.sessions.get(&id.session());
        let Some(grant) = session.and_then(|session| session.admission.grant.clone()) else { return };
        let name = channel.name().to_owned();
        let told = match &channel.told {
            Told::At(position) => position.clone(),
            Told::Nothing | Told::Forgotten => String::new(),
        };
        self.say(HubMessage::OpenText { channel: id, name, grant, told, round });
    }

    /// The origin has the file open for a channel of text frames; the text follows.
    pub(super) fn text_opened(&mut self, id: ChannelId, now: Millis) {
        self.touch(id.session());
        self.save_channel(id);
        self.handle_pending(id, now);
    }

    /// What the origin has for a channel of text frames.
    pub(super) fn text(&mut self, id: ChannelId, position: String, whole: bool, json: &[u8], now: Millis) {
        let (Some(channel), Ok(text)) = (self.channels.get_mut(&id), std::str::from_utf8(json)) else {
            return;
        };
        if !channel.is_text() || channel.file().is_none() {
            return;
        }
        channel.told = Told::At(position);
        self.send_text(id.session(), text.to_owned());
        if whole {
            self.text_came(id, json.len(), json.len());
            self.ask_texts(now);
        }
    }

    /// A change of a text frame is in the log.
    pub(super) fn text_logged(&mut self, id: ChannelId, seq: u64) {
        let Some(channel) = self.channels.get(&id) else { return };
        let logged = TextOut::Logged { file: channel.name(), seq }.to_json();
        self.send_text(id.session(), logged);
    }

    /// A change of a text frame is refused for good; the text follows.
    pub(super) fn text_refused(&mut self, id: ChannelId, reason: &str) {
        if let Some(channel) = self.channels.get_mut(&id) {
            channel.told = Told::Nothing;
            let why = match reason {
                "stale" => "what the change is based on is gone",
                _ => "the change was refused",
            };
            self.tell_text_error(id, reason, why);
        }
    }

    /// The token is not good. A socket that has nothing else is closed.
    pub(super) fn deny_text(&mut self, id: ChannelId, denial: &Denial, now: Millis) {
        self.drop_pending(id);
        self.tell_text_error(id, denial.code.word(), &denial.reason);
        if self.is_text_only(id.session()) {
            self.close(id.session(), denial.code, &denial.reason, now);
        }
    }

    /// Whoever speaks text frames only hears from time to time how the link stands.
    pub(super) fn keep_texts_alive(&mut self) {
        let state = if self.link.is_up() { LinkState::Up } else { LinkState::Down };
        let text = EventOut::Link { state }.to_json();
        let sessions = self.sessions.keys().copied().filter(|session| self.is_text_only(*session));
        let frames: Vec<Effect> = sessions.map(|to| Effect::SendText { to, text: text.clone() }).collect();
        self.effects.extend(frames);
    }

    fn is_text_only(&self, session: SessionId) -> bool {
        let keys = self.sessions.get(&session).map(|session| &session.keys);
        keys.is_some_and(|keys| !keys.is_empty() && keys.keys().all(|key| is_text_key(key)))
    }

    /// The channel for a name, opened if it is not. `None` if that is too much; the member is told.
    fn text_channel(&mut self, session: SessionId, name: &str, now: Millis) -> Option<ChannelId> {
        let key = format!("{MARK}{name}");
        let known = self.sessions.get(&session)?.keys.get(key.as_str()).copied();
        let channel = match known {
            Some(channel) => Some(channel),
            None => self.new_channel(session, &key),
        };
        let Some(id) = channel else {
            let reason = "a session has no more documents";
            self.send_text_error(session, "too-many-documents", reason, Some(name));
            return None;
        };
        let channel = self.channels.get_mut(&id)?;
        if matches!(channel.stage, Stage::Stranger | Stage::Closed(_)) {
            if self.sessions.get(&session)?.admission.grant.is_some() {
                channel.stage = Stage::Admitting;
                self.touch(session);
                self.let_in(id, now);
            } else {
                self.show_token(id, "", now);
            }
        }
        self.channels.contains_key(&id).then_some(id)
    }

    /// The channel of text frames that has a file by the name it was opened with, or by its id.
    fn named(&self, session: SessionId, name: &str) -> Option<ChannelId> {
        let keys = &self.sessions.get(&session)?.keys;
        let by_id = |id: &&ChannelId| {
            let channel = self.channels.get(id);
            channel.is_some_and(|c| c.is_text() && c.file().is_some_and(|file| file.as_str() == name))
        };
        keys.get(format!("{MARK}{name}").as_str()).or_else(|| keys.values().find(by_id)).copied()
    }

    fn is_open(&self, id: ChannelId) -> bool {
        self.channels.get(&id).is_some_and(|channel| channel.file().is_some())
    }

    pub(super) fn tell_text_error(&mut self, id: ChannelId, code: &str, reason: &str) {
        let Some(name) = self.channels.get(&id).map(|channel| channel.name().to_owned()) else { return };
        self.send_text_error(id.session(), code, reason, Some(&name));
    }

    fn send_text_error(&mut self, session: SessionId, code: &str, reason: &str, file: Option<&str>) {
        self.send_text(session, TextOut::Error { code, reason, file }.to_json());
    }

    pub(super) fn send_text(&mut self, to: SessionId, text: String) {
        self.counters.deliveries += 1;
        self.effects.push(Effect::SendText { to, text });
    }
}
