//! What one session or one channel is sent, in its dialect.

use bytes::Bytes;

use super::{output::Output, routing_key, session::Session, sessions::Sessions};
use crate::{
    id::{ChannelId, SessionId},
    wire::{event::EventOut, hocuspocus::ServerMessage, text::TextOut, yjs::SyncMessage},
};

impl Sessions {
    pub(super) fn send_sync(&self, id: ChannelId, message: SyncMessage<'_>, output: &mut Output) {
        if let Some(channel) = self.channel(id) {
            output.send(id.session(), channel.key().sync(message));
        }
    }

    /// Answers one change: whether it was taken. A y-websocket knows no such answer.
    pub(super) fn send_sync_status(&self, id: ChannelId, applied: bool, output: &mut Output) {
        self.send_hocuspocus(id, &ServerMessage::SyncStatus(applied), output);
    }

    /// Says in which scope the document is open.
    pub(super) fn send_scope(&self, id: ChannelId, output: &mut Output) {
        if let Some(frame) = self.channel(id).and_then(|channel| channel.scope_frame()) {
            output.send(id.session(), frame);
        }
    }

    /// A message of the Hocuspocus protocol, where the channel speaks it.
    pub(super) fn send_hocuspocus(&self, id: ChannelId, message: &ServerMessage<'_>, output: &mut Output) {
        if let Some(frame) = self.channel(id).and_then(|channel| channel.key().hocuspocus(message)) {
            output.send(id.session(), frame);
        }
    }

    /// A room event, where the channel has a form for it.
    pub(super) fn send_event(&self, id: ChannelId, json: &str, output: &mut Output) {
        if self.channel(id).is_some_and(|channel| channel.key().is_text()) {
            output.send_text(id.session(), json.to_owned());
        } else {
            self.send_hocuspocus(id, &ServerMessage::Stateless(json), output);
        }
    }

    /// A room event to one session, if it has the room's document open.
    pub(super) fn notify(&self, session: SessionId, event: &EventOut, output: &mut Output) {
        if let Some((channel, _)) = self.get(&session).and_then(Session::room_channel) {
            self.send_event(channel, &event.to_json(), output);
        }
    }

    /// An error to a channel of text frames, with the name of its file.
    pub(super) fn send_text_error(&self, id: ChannelId, code: &str, reason: &str, output: &mut Output) {
        if let Some(channel) = self.channel(id) {
            send_text_error(id.session(), code, reason, Some(channel.key().name()), output);
        }
    }

    /// Says that a document is closed, in the words of the provider.
    pub(super) fn close_frame(&self, session: SessionId, key: &str, reason: &str) -> Bytes {
        let modern = self.get(&session).is_some_and(Session::is_modern);
        routing_key::close_frame(key, reason, modern)
    }
}

/// An error in a text frame.
pub(super) fn send_text_error(
    to: SessionId,
    code: &str,
    reason: &str,
    file: Option<&str>,
    output: &mut Output,
) {
    output.send_text(to, TextOut::Error { code, reason, file }.to_json());
}
