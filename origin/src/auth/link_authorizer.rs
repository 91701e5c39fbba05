//! The authorization of the sessions of a link: an edge has verified their tokens, this origin verifies them again.
//!
//! Where tokens are required, the rights of a session are those of the token that it has shown, whatever the hub
//! says of them; without a valid one nothing is opened for it. Changes that the hub has admitted are not authorized
//! again: the hub knows what the session was allowed when it sent them, and the link's signature vouches for the hub.

use std::collections::HashMap;

use shared::{
    close::Denial,
    grant::Grant,
    id::{ChannelId, RoomId, SessionId},
    token::TokenError,
    wire::link::{HubMessage, OriginMessage},
};

use super::Access;

/// The rights of the sessions of one link.
pub(crate) struct LinkAuthorizer {
    access: Access,
    room: RoomId,
    sessions: HashMap<SessionId, Result<Grant, Denial>>,
}

impl LinkAuthorizer {
    /// No session has shown a token yet.
    pub(crate) fn new(access: Access, room: RoomId) -> Self {
        Self { access, room, sessions: HashMap::new() }
    }

    /// The messages that are for the room, with the rights that the tokens give; the answers to the refused ones are
    /// added to `refused`.
    pub(crate) fn authorize(
        &mut self,
        messages: Vec<HubMessage>,
        refused: &mut Vec<OriginMessage>,
    ) -> Vec<HubMessage> {
        if !self.access.requires_tokens() {
            return messages;
        }
        messages.into_iter().filter_map(|message| self.authorize_one(message, refused)).collect()
    }

    fn authorize_one(&mut self, message: HubMessage, refused: &mut Vec<OriginMessage>) -> Option<HubMessage> {
        match message {
            HubMessage::Token { session, token } if token.is_empty() => {
                self.sessions.remove(&session);
                None
            }
            HubMessage::Token { session, token } => {
                self.sessions.insert(session, self.access.admit_from_edge(&self.room, &token));
                None
            }
            HubMessage::Open { channel, name, grant } => {
                let grant = self.grant(channel, &grant, refused)?;
                Some(HubMessage::Open { channel, name, grant })
            }
            HubMessage::OpenText { channel, name, grant, told, round } => {
                let grant = self.grant(channel, &grant, refused)?;
                Some(HubMessage::OpenText { channel, name, grant, told, round })
            }
            other => Some(other),
        }
    }

    /// The rights by the token, in place of those that the hub names.
    fn grant(&self, channel: ChannelId, named: &Grant, refused: &mut Vec<OriginMessage>) -> Option<Grant> {
        let known = self.sessions.get(&channel.session()).cloned();
        match known.unwrap_or_else(|| Err(TokenError::Absent.into())) {
            // How often the rights have changed since is for the hub to know.
            Ok(grant) => Some(Grant { version: named.version, ..grant }),
            Err(Denial { code, reason }) => {
                refused.push(OriginMessage::Closed { channel, code, reason });
                None
            }
        }
    }
}
