//! Clients without Yjs: text frames. What they do to files goes to the origin, which alone has documents, and what they
//! get of files comes from there. The first text frame of a socket opens `.room` for it.

use super::{
    change::{OUTBOX_FULL, READ_ONLY},
    clients::Clients,
    delivery::send_text_error,
    rate_limit::Cost,
    routing_key::text_key,
    text_base::TextBase,
};
use crate::{
    Millis,
    close::CloseCode,
    id::{ChannelId, SessionId},
    limits,
    wire::text::{self, TextIn, TextOut},
};

impl Clients {
    /// A text frame; the channel that it is to be handled on, if any. One that cannot be taken is answered by an `error`.
    #[must_use]
    pub(super) fn receive_text(&mut self, session: SessionId, frame: &str, now: Millis) -> Option<ChannelId> {
        if !self.sessions.get(&session)?.is_hocuspocus() {
            let reason = "this address speaks binary frames only";
            send_text_error(session, "text-frames", reason, None, &mut self.output);
            return None;
        }
        let room = self.text_channel(session, limits::ROOM_DOCUMENT, now)?;
        let named = |clients: &Self, file: &str| clients.sessions.get(&session)?.by_text_name(file);
        match text::read(frame) {
            Ok(TextIn::Open { file }) if file == limits::ROOM_DOCUMENT => {}
            Ok(TextIn::Open { file }) => match named(self, &file).filter(|open| self.has_file(*open)) {
                Some(open) if self.consume(session, Cost::Open, now) => self.send_whole_text(open),
                Some(_) => {
                    let reason = "too many documents at once";
                    send_text_error(session, CloseCode::RateLimited.word(), reason, None, &mut self.output);
                }
                None => drop(self.text_channel(session, &file, now)),
            },
            Ok(TextIn::Close { file }) => {
                if let Some(channel) = named(self, &file).filter(|channel| *channel != room) {
                    self.leave(channel, now);
                }
            }
            Ok(TextIn::Change { file, .. }) if file == limits::ROOM_DOCUMENT => {
                send_text_error(session, "bad-event", "this is not a file", Some(&file), &mut self.output);
            }
            Ok(TextIn::Change { file, .. }) => {
                return named(self, &file).or_else(|| self.text_channel(session, &file, now));
            }
            Ok(TextIn::Event) => return Some(room),
            Err(text::Refused { error, file }) => {
                let reason = error.to_string();
                send_text_error(session, error.word(), &reason, file.as_deref(), &mut self.output);
                let open = file.and_then(|file| named(self, &file)).filter(|channel| self.has_file(*channel));
                open.into_iter().for_each(|channel| self.send_whole_text(channel));
            }
        }
        None
    }

    fn has_file(&self, id: ChannelId) -> bool {
        self.sessions.channel(id).is_some_and(|channel| channel.file().is_some())
    }

    /// The channel for a name, opened if it is not. `None` if that is too much; the member is told.
    fn text_channel(&mut self, id: SessionId, name: &str, now: Millis) -> Option<ChannelId> {
        let session = self.sessions.get_mut(&id)?;
        let Some(channel) = session.add_channel(&text_key(name)) else {
            let reason = "a session has no more documents";
            send_text_error(id, "too-many-documents", reason, Some(name), &mut self.output);
            return None;
        };
        let is_member = session.grant().is_some();
        if session.channel(channel.index()).is_some_and(|channel| channel.is_outside()) {
            if is_member {
                session.channel_mut(channel.index())?.authenticate();
                self.let_in(channel, now);
            } else {
                self.show_token(channel, "", now);
            }
        }
        self.sessions.channel(channel).map(|_| channel)
    }

    /// The member's text is not what anybody can know any more: it gets the whole one.
    pub(super) fn send_whole_text(&mut self, id: ChannelId) {
        let Some(channel) = self.sessions.channel_mut(id) else { return };
        // One that is on its way will do for everything before it.
        if std::mem::take(&mut channel.base) != TextBase::Nothing {
            self.first_texts.want_again(id);
        }
    }

    /// What the origin has for a channel of text frames.
    pub(super) fn text(&mut self, id: ChannelId, position: String, whole: bool, json: &[u8]) {
        let channel = self.sessions.channel_mut(id).filter(|channel| channel.key().is_text());
        let (Some(channel), Ok(text)) = (channel, std::str::from_utf8(json)) else { return };
        if channel.file().is_none() {
            return;
        }
        channel.base = TextBase::At(position);
        self.output.send_text(id.session(), text.to_owned());
        if whole {
            self.text_came(id, json.len(), json.len());
        }
    }

    /// A change of a text frame is logged: its author is told.
    pub(super) fn text_logged(&mut self, id: ChannelId, seq: u64) {
        if let Some(channel) = self.sessions.channel(id) {
            let logged = TextOut::Logged { file: channel.key().name(), seq }.to_json();
            self.output.send_text(id.session(), logged);
        }
    }

    /// A change of a text frame is refused by the origin for good, which sends the text.
    pub(super) fn text_refused(&mut self, id: ChannelId, reason: &str) {
        if let Some(channel) = self.sessions.channel_mut(id) {
            channel.base = TextBase::Nothing;
            let why = match reason {
                text::STALE => "what the change is based on is gone",
                _ => "the change was refused",
            };
            self.sessions.send_text_error(id, reason, why, &mut self.output);
        }
    }

    /// What a change of a text frame is based on. `None` if it is refused: its author gets the whole text.
    #[must_use]
    pub(super) fn text_base(
        &mut self,
        id: ChannelId,
        named: Option<String>,
        has_room: bool,
    ) -> Option<String> {
        let channel = self.sessions.channel(id)?;
        let (code, reason) = match (channel.may_edit(), has_room) {
            (false, _) => (READ_ONLY, "a viewer changes no files"),
            (_, false) => (OUTBOX_FULL, "the origin is away and this region holds no more unsaved changes"),
            _ => return Some(named.unwrap_or_else(|| channel.base.of_change())),
        };
        self.text_error(id, code, reason);
        self.send_whole_text(id);
        None
    }

    pub(super) fn text_error(&mut self, id: ChannelId, code: &str, reason: &str) {
        self.sessions.send_text_error(id, code, reason, &mut self.output);
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        grant::{Grant, Member, Role},
        hub::{Dialect, Effect, Frame, Hub, Settings, Visitor},
        id::{FileId, SessionId},
        wire::link::{HubMessage, OriginMessage},
    };

    const NOW: u64 = 1_000_000;

    /// What the hub says to its origin; guests are let in.
    fn said(hub: &mut Hub) -> Vec<HubMessage> {
        let mut said = Vec::new();
        loop {
            let effects = hub.effects();
            if effects.is_empty() {
                return said;
            }
            for effect in effects {
                match effect {
                    Effect::Admit { channel, .. } => {
                        let member = Member { id: "ann".into(), name: "Ann".into() };
                        let rules = [].into();
                        let grant = Grant { member, role: Role::Editor, expires: None, version: 0, rules };
                        hub.admitted(channel, Ok(grant), NOW);
                    }
                    Effect::Link(messages) => said.extend(messages),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn over_a_new_link_a_text_is_opened_before_its_changes_are_replayed() {
        let settings = Settings { name: "demo~weur".to_owned(), durable: true };
        let mut hub = Hub::new(settings, NOW);
        let session = SessionId::from_random(1 << 20);
        hub.link_up(NOW);
        hub.connect(session, Visitor { dialect: Dialect::Hocuspocus, token: None }, NOW);
        hub.receive(session, Frame::Text(r#"{"type":"open","file":"a.txt"}"#.to_owned()), NOW);
        for message in said(&mut hub) {
            let (channel, file) = match message {
                HubMessage::OpenText { channel, .. } => (channel, FileId::from_random(1)),
                HubMessage::Open { channel, .. } => (channel, FileId::room()),
                _ => continue,
            };
            let opened = OriginMessage::Opened { channel, file, path: None, size: 0, grant_version: 0 };
            hub.link_message(opened, NOW);
            let text =
                OriginMessage::Text { channel, position: "1-1".into(), whole: true, json: "{}".into() };
            hub.link_message(text, NOW);
        }
        hub.link_down(NOW);
        let change = r#"{"type":"code-change","file":"a.txt","text":"typed"}"#;
        hub.receive(session, Frame::Text(change.to_owned()), NOW);
        said(&mut hub);
        hub.link_up(NOW);
        let said = said(&mut hub);
        let at = |is: fn(&HubMessage) -> bool| said.iter().position(is).expect("it is said");
        let opened = at(|message| matches!(message, HubMessage::OpenText { told, .. } if told == "1-1"));
        assert!(opened < at(|message| matches!(message, HubMessage::Text { .. })), "{said:?}");
    }
}
