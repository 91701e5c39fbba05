//! The second look at the tokens of a link's sessions: an edge has verified them, this origin does so again.
//!
//! Where tokens are asked for, the rights of a session are those of the token that it has shown, whatever the hub
//! says of them; without a good one nothing is opened for it. Changes that the hub had admitted are not judged
//! again: it is the hub that knows what the session might do when it sent them, and the link's signature vouches.

use std::collections::HashMap;

use shared::{
    grant::Grant,
    hub::Denial,
    id::{ChannelId, RoomId, SessionId},
    token::TokenError,
    wire::link::{HubMessage, OriginMessage},
};

use crate::http::Access;

/// What the sessions of one link have shown.
pub(super) struct Doorman {
    access: Access,
    room: RoomId,
    shown: HashMap<SessionId, Result<Grant, Denial>>,
}

impl Doorman {
    /// Nobody has shown anything yet.
    pub(super) fn new(access: Access, room: RoomId) -> Self {
        Self { access, room, shown: HashMap::new() }
    }

    /// What the room is to be told of these messages; the answers to the others are added to `refused`.
    pub(super) fn let_through(
        &mut self,
        messages: Vec<HubMessage>,
        refused: &mut Vec<OriginMessage>,
    ) -> Vec<HubMessage> {
        if !self.access.asks_for_tokens() {
            return messages;
        }
        messages.into_iter().filter_map(|message| self.look_at(message, refused)).collect()
    }

    fn look_at(&mut self, message: HubMessage, refused: &mut Vec<OriginMessage>) -> Option<HubMessage> {
        match message {
            HubMessage::Token { session, token } if token.is_empty() => {
                self.shown.remove(&session);
                None
            }
            HubMessage::Token { session, token } => {
                self.shown.insert(session, self.access.admit_again(&self.room, &token));
                None
            }
            HubMessage::Open { channel, name, grant } => {
                let grant = self.own(channel, &grant, refused)?;
                Some(HubMessage::Open { channel, name, grant })
            }
            HubMessage::OpenText { channel, name, grant, told, round } => {
                let grant = self.own(channel, &grant, refused)?;
                Some(HubMessage::OpenText { channel, name, grant, told, round })
            }
            other => Some(other),
        }
    }

    /// The rights by the token, in place of those that the hub names.
    fn own(&self, channel: ChannelId, named: &Grant, refused: &mut Vec<OriginMessage>) -> Option<Grant> {
        let shown = self.shown.get(&channel.session()).cloned();
        match shown.unwrap_or_else(|| Err(TokenError::Absent.into())) {
            // How often the rights have changed since is for the hub to know.
            Ok(own) => Some(Grant { version: named.version, ..own }),
            Err(Denial { code, reason }) => {
                refused.push(OriginMessage::Closed { channel, code, reason });
                None
            }
        }
    }
}
