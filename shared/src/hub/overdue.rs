//! What has run out of time at a session: its token, its answer to a probe, its socket.

use bytes::Bytes;

use super::{admission::Due, effect::NO_ANSWER, session::Session};
use crate::{Millis, close::CloseCode, token::TokenError, wire::hocuspocus::ServerMessage};

/// What is to be done with a session.
pub(super) enum Overdue {
    /// It is closed, for this reason.
    Close(CloseCode, String),
    /// Its client is asked for another token with this frame.
    RequestToken(Bytes),
}

impl Overdue {
    /// The end of a session whose token has expired.
    pub(super) fn expired(session: &Session, now: Millis) -> Option<Self> {
        let expired = session.admission().has_expired(now);
        expired.then(|| Self::Close(CloseCode::Unauthorized, TokenError::Expired.word().to_owned()))
    }

    /// What has run out of time at `now`. Once a session is closed the rest does not matter.
    #[must_use]
    pub(super) fn of(session: &mut Session, now: Millis) -> Vec<Self> {
        let mut all = Vec::from_iter(Self::expired(session, now));
        if !all.is_empty() {
            return all;
        }
        if session.admission().due_at(session.is_modern()).is_some_and(|at| at <= now) {
            match session.admission_mut().take_due() {
                Due::Unauthorized(reason) => all.push(Self::Close(CloseCode::Unauthorized, reason)),
                Due::Refresh => all.extend(token_request(session).map(Self::RequestToken)),
            }
        }
        if session.backlog().gives_up_at().is_some_and(|at| at <= now) {
            all.push(Self::Close(CloseCode::SlowConsumer, CloseCode::SlowConsumer.word().to_owned()));
        }
        let backlog = session.backlog().bytes();
        if session.liveness_mut().is_gone(backlog, now) {
            all.push(Self::Close(CloseCode::Restart, NO_ANSWER.to_owned()));
        }
        all
    }
}

/// Asks the client for a token, by one of the documents that it has open or waits for.
fn token_request(session: &Session) -> Option<Bytes> {
    let channel = session.channels().find(|(_, channel)| channel.is_at_origin() && !channel.key().is_text());
    channel?.1.key().hocuspocus(&ServerMessage::TokenRequest)
}
