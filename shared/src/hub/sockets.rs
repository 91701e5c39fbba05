//! The sockets of the clients: they come, are heard, lag behind, and go.

use std::sync::Arc;

use super::{
    change::TOO_LARGE,
    clients::Clients,
    effect::{Dialect, Effect, Visitor},
    overdue::Overdue,
    rate_limit::Cost,
    restore::{self, Restored},
    route::Route,
    session::Session,
};
use crate::{
    Millis,
    close::CloseCode,
    id::{ChannelId, SessionId},
    limits,
    wire::link::HubMessage,
};

impl Clients {
    /// A socket was accepted.
    pub(super) fn connect(&mut self, session: SessionId, visitor: Visitor, now: Millis) {
        if self.sessions.len() >= limits::SESSIONS {
            let reason = "too-many-sessions".to_owned();
            return self.output.push(Effect::Close { session, code: CloseCode::RateLimited, reason });
        }
        let mut known = Session::new(session, visitor, now);
        let document = match known.dialect().clone() {
            Dialect::YWebsocket { document } => known.add_channel(&document),
            Dialect::Hocuspocus => None,
        };
        self.sessions.insert(session, known);
        if let Some(channel) = document {
            self.show_token(channel, "", now);
        }
    }

    /// What has outlived an eviction.
    pub(super) fn restore(&mut self, restored: Restored) {
        for session in restored.sessions {
            restore::documents(&mut self.documents, &session);
            self.sessions.insert(session.id(), session);
        }
        for session in restored.unknown {
            let (code, reason) = (CloseCode::Restart, CloseCode::Restart.word().to_owned());
            self.output.push(Effect::Close { session, code, reason });
        }
        for channel in restored.lost {
            self.output.push(Effect::DropChannel { channel });
            self.output.send_to_origin(HubMessage::Close { channel });
        }
    }

    /// A frame of so many bytes has come; whether it is to be handled.
    #[must_use]
    pub(super) fn heard(&mut self, id: SessionId, bytes: usize, now: Millis) -> bool {
        let Some(session) = self.sessions.get_mut(&id) else { return false };
        if let Some(Overdue::Close(code, reason)) = Overdue::expired(session, now) {
            self.close(id, code, &reason, now);
            return false;
        }
        session.heard();
        let may = self.consume(id, Cost::Frame(bytes), now);
        if !may {
            self.close(id, CloseCode::RateLimited, "too-fast", now);
        }
        may
    }

    /// A frame is for no channel, or too large for its one.
    pub(super) fn answer_route(&mut self, session: SessionId, route: Route, now: Millis) {
        match route {
            Route::Channel(_) | Route::Nowhere => {}
            Route::Malformed => self.close(session, CloseCode::BadFrame, "bad-frame", now),
            Route::Answer(frame) => self.output.send(session, frame),
            Route::TooLarge(channel) => self.close_channel(channel, CloseCode::TooLarge, TOO_LARGE, now),
            Route::Full(why) => self.refuse_full(session, &why, now),
        }
    }

    /// A socket is gone.
    pub(super) fn disconnect(&mut self, id: SessionId, now: Millis) {
        let Some(session) = self.sessions.get(&id) else { return };
        let at_origin = session.channels().filter(|(_, channel)| channel.is_at_origin());
        let names: Vec<Arc<str>> = at_origin.map(|(_, channel)| channel.key().name().into()).collect();
        let channels: Vec<ChannelId> = session.channels().map(|(channel, _)| channel).collect();
        let has_shown_token = session.admission().shown_token().is_some();
        self.rate_limits.ended(self.sessions.consumer(id), names, now);
        for channel in channels {
            self.leave(channel, now);
        }
        if has_shown_token {
            // It need not be kept.
            self.output.send_to_origin(HubMessage::Token { session: id, token: String::new() });
        }
        if let Some(mut session) = self.sessions.remove(&id).filter(|_| self.durable) {
            session.drop_saved(&mut self.output);
        }
    }

    /// Closes a socket from this side.
    pub(super) fn close(&mut self, session: SessionId, code: CloseCode, reason: &str, now: Millis) {
        if self.sessions.contains_key(&session) {
            self.output.counters.slow_consumers += u64::from(code == CloseCode::SlowConsumer);
            self.disconnect(session, now);
            self.output.push(Effect::Close { session, code, reason: reason.to_owned() });
        }
    }

    /// Closes a socket that takes what it is sent too slowly.
    pub(super) fn close_slow(&mut self, session: SessionId, now: Millis) {
        self.close(session, CloseCode::SlowConsumer, CloseCode::SlowConsumer.word(), now);
    }

    /// What a socket still has to send, in bytes.
    pub(super) fn backlog(&mut self, id: SessionId, bytes: usize, now: Millis) {
        let Some(session) = self.sessions.get_mut(&id) else { return };
        session.backlog_mut().told(bytes, now);
        if session.backlog().excess() >= limits::BACKLOG_BYTES {
            self.close_slow(id, now);
        } else if self.sessions.unsent() > limits::BACKLOG_HUB_BYTES
            && let Some(slowest) = self.sessions.slowest()
        {
            self.close_slow(slowest, now);
        }
    }

    /// While others wait for their first text, one whose socket takes nothing of its own is closed: it comes back.
    pub(super) fn look_at_sockets(&mut self, now: Millis) {
        if self.first_texts.look_at().is_none_or(|at| at > now) {
            return;
        }
        self.first_texts.looked(now);
        for session in self.sessions.stalled(now) {
            self.close_slow(session, now);
        }
    }

    /// Sessions have run out of time: for a token, for the answer to a probe, for what their socket has to send.
    pub(super) fn look_at_due(&mut self, now: Millis) {
        for id in self.sessions.due(now) {
            let overdue = self.sessions.get_mut(&id).map(|session| Overdue::of(session, now));
            for overdue in overdue.into_iter().flatten() {
                match overdue {
                    Overdue::Close(code, reason) => self.close(id, code, &reason, now),
                    Overdue::RequestToken(frame) => self.output.send(id, frame),
                }
            }
        }
    }

    /// A channel was sent Step1: that may have been the probe of its session.
    pub(super) fn step1_sent(&mut self, channel: ChannelId, now: Millis) {
        if let Some(session) = self.sessions.get_mut(&channel.session()) {
            session.step1_sent(channel, now);
        }
    }

    /// Forgets presence of clients that have long been gone, and limits of quiet ones.
    pub(super) fn forget_gone(&mut self, now: Millis) {
        self.documents.forget_gone_presence(now);
        self.rate_limits.forget_full(now);
    }
}
