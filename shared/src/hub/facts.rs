//! What a hub has saved so that it can lose its memory: facts beside each socket, rows for open documents.
//!
//! The facts of a session fit into the attachment of a hibernatable WebSocket. When there is too much for it,
//! they say that they are partial, and the session is asked to come back instead.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{Dialect, Effect, Hub, Session, channel::Stage};
use crate::{
    grant::Grant,
    id::{ChannelId, FileId, FilePath, SessionId},
    wire::varint::{ReadError, Reader, Writer},
};

const VERSION: u8 = 2;
/// Attachments hold 16,384 bytes; the shell adds some of its own.
const FACTS_BYTES: usize = 12 << 10;

/// The facts of a session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Facts {
    pub(super) dialect: Dialect,
    pub(super) grant: Option<Grant>,
    /// The token of the grant, or of the upgrade.
    pub(super) token: Option<Arc<str>>,
    pub(super) modern: bool,
    pub(super) next_index: u16,
    /// Something cannot be rebuilt: frames that wait, or more than fits.
    pub(super) partial: bool,
    /// What is not at rest, by the index of the channel.
    pub(super) channels: BTreeMap<u16, ChannelFacts>,
}

/// What of an open channel is not in its row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ChannelFacts {
    /// The acknowledgements that the client waits for.
    pub(super) owed: u32,
    /// Its Step1 was not answered.
    pub(super) unanswered: bool,
    /// The awareness clients that it speaks for, with their clocks.
    pub(super) clients: BTreeMap<u64, u64>,
}

/// The row of an open document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ChannelRow {
    pub(super) key: String,
    pub(super) file: FileId,
    pub(super) path: Option<FilePath>,
}

impl Facts {
    pub(super) fn write(&self) -> Bytes {
        let whole = self.encode();
        if whole.len() <= FACTS_BYTES {
            return whole;
        }
        Self { partial: true, channels: BTreeMap::new(), ..self.clone() }.encode()
    }

    fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        writer.u8(u8::from(self.partial) | u8::from(self.modern) << 1);
        match &self.dialect {
            Dialect::Hocuspocus => writer.u8(0),
            Dialect::YWebsocket { document } => {
                writer.u8(1);
                writer.text(document);
            }
        }
        let grant = self.grant.as_ref().and_then(|grant| serde_json::to_vec(grant).ok());
        writer.bytes(&grant.unwrap_or_default());
        writer.text(self.token.as_deref().unwrap_or_default());
        writer.var(self.next_index.into());
        for (index, facts) in &self.channels {
            writer.var((*index).into());
            writer.var(u64::from(facts.owed) << 1 | u64::from(facts.unanswered));
            writer.var(facts.clients.len() as u64);
            for (client, clock) in &facts.clients {
                writer.var(*client);
                writer.var(*clock);
            }
        }
        writer.finish()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8().ok()? != VERSION {
            return None;
        }
        Self::read_rest(&mut reader).ok()
    }

    fn read_rest(reader: &mut Reader<'_>) -> Result<Self, ReadError> {
        let flags = reader.u8()?;
        let dialect = match reader.u8()? {
            0 => Dialect::Hocuspocus,
            _ => Dialect::YWebsocket { document: reader.text()?.to_owned() },
        };
        let grant = serde_json::from_slice(reader.bytes()?).ok();
        let token = Some(reader.text()?).filter(|token| !token.is_empty()).map(Arc::from);
        let next_index = reader.var(u16::MAX.into())? as u16;
        let mut channels = BTreeMap::new();
        while reader.left() > 0 {
            let index = reader.var(u16::MAX.into())? as u16;
            let owed = reader.var(u64::from(u32::MAX) << 1 | 1)?;
            let mut facts = ChannelFacts {
                owed: (owed >> 1) as u32,
                unanswered: owed & 1 == 1,
                clients: BTreeMap::new(),
            };
            for _ in 0..reader.var(reader.left() as u64)? {
                facts.clients.insert(reader.var(u64::MAX)?, reader.var(u64::MAX)?);
            }
            channels.insert(index, facts);
        }
        let (partial, modern) = (flags & 1 != 0, flags & 2 != 0);
        Ok(Self { dialect, grant, token, modern, next_index, partial, channels })
    }
}

impl ChannelRow {
    fn write(&self) -> Bytes {
        let mut writer = Writer::default();
        writer.u8(VERSION);
        writer.text(&self.key);
        writer.text(self.file.as_str());
        writer.text(self.path.as_ref().map_or("", FilePath::as_str));
        writer.finish()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8().ok()? != VERSION {
            return None;
        }
        let key = reader.text().ok()?.to_owned();
        let file = reader.text().ok()?;
        let room = FileId::room();
        let file = if file == room.as_str() { room } else { FileId::parse(file).ok()? };
        let path = FilePath::parse(reader.text().ok()?).ok();
        Some(Self { key, file, path })
    }
}

impl Hub {
    pub(super) fn save_channel(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get(&id) else { return };
        let Stage::Open(file) = &channel.stage else { return };
        let (key, path) = (channel.key.to_string(), channel.path.clone());
        let row = ChannelRow { key, file: file.clone(), path }.write();
        self.effects.push(Effect::SaveChannel { channel: id, row });
    }

    /// Saves the facts of every session for which they are not what was saved last.
    pub(super) fn save_facts(&mut self) {
        let touched: Vec<SessionId> =
            self.sessions.iter().filter(|(_, session)| session.touched).map(|(id, _)| *id).collect();
        for id in touched {
            let Some(facts) = self.sessions.get(&id).map(|session| self.facts_of(session).write()) else {
                continue;
            };
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            session.touched = false;
            if session.saved != facts {
                session.saved = facts.clone();
                self.effects.push(Effect::SaveSession { session: id, facts });
            }
        }
    }

    fn facts_of(&self, session: &Session) -> Facts {
        // A verdict to come would find nobody.
        let mut partial = session.admission.verifying.is_some();
        let mut channels = BTreeMap::new();
        for id in session.keys.values() {
            let Some(channel) = self.channels.get(id) else { continue };
            if !matches!(channel.stage, Stage::Open(_)) {
                partial |= channel.stage != Stage::Closed;
                continue;
            }
            let facts = ChannelFacts {
                owed: channel.receipts.owed(),
                unanswered: channel.step1.is_some(),
                clients: channel.clients.clone(),
            };
            if facts != ChannelFacts::default() {
                channels.insert(id.index(), facts);
            }
        }
        Facts {
            dialect: session.dialect.clone(),
            grant: session.admission.grant.clone(),
            token: session.admission.kept_token().cloned(),
            modern: session.modern,
            next_index: session.next_index,
            partial,
            channels,
        }
    }
}
