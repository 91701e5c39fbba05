//! What a hub has saved so that it can lose its memory: facts beside each socket, rows for open documents.
//!
//! The facts of a session fit into the attachment of a hibernatable WebSocket. When there is too much for it,
//! they say that they are partial, and the session is asked to come back instead.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    Dialect, Effect, Hub, Session,
    channel::{Channel, Stage},
};
use crate::{
    Millis,
    grant::Grant,
    id::{ChannelId, FileId, FilePath, SessionId},
    wire::varint::{ReadError, Reader, Writer},
};

/// What facts are written as. Version 1, which knew no liveness, and version 2, which knew no token, are still read.
const FACTS_VERSION: u8 = 3;
const ROW_VERSION: u8 = 1;
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
    /// When the client was last sent a keepalive; `None` in version 1.
    pub(super) greeted_at: Option<Millis>,
    /// Since when it owes an answer to it.
    pub(super) asked_at: Option<Millis>,
    /// Something cannot be rebuilt: frames that wait, or more than fits.
    pub(super) partial: bool,
}

/// What of a session's channels goes into its facts, kept up to date channel by channel.
#[derive(Clone, Debug, Default)]
pub(super) struct Unsettled {
    /// What is not at rest, as it is written, by the index of the channel.
    written: BTreeMap<u16, Bytes>,
    bytes: usize,
    /// Channels on their way to a document, with frames that wait.
    opening: BTreeSet<u16>,
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
    /// Its path; the room has none.
    pub(super) path: Option<FilePath>,
    /// For the room's document: the files that the member looks at, as the room event that said so.
    pub(super) visible: Option<Bytes>,
}

impl Unsettled {
    /// A channel is like this now; `None` if it is gone.
    fn note(&mut self, index: u16, channel: Option<&Channel>) {
        if let Some(before) = self.written.remove(&index) {
            self.bytes -= before.len();
        }
        self.opening.remove(&index);
        match channel {
            Some(channel) if matches!(channel.stage, Stage::Open(_)) => {
                self.write(index, &ChannelFacts::of(channel));
            }
            Some(channel) if !matches!(channel.stage, Stage::Closed(_)) => {
                self.opening.insert(index);
            }
            _ => {}
        }
    }

    fn write(&mut self, index: u16, facts: &ChannelFacts) {
        if *facts != ChannelFacts::default() {
            let written = facts.write(index);
            self.bytes += written.len();
            self.written.insert(index, written);
        }
    }
}

impl ChannelFacts {
    fn of(channel: &Channel) -> Self {
        Self {
            owed: channel.receipts.owed(),
            unanswered: channel.step1.is_some(),
            clients: channel.clients.clone(),
        }
    }

    fn write(&self, index: u16) -> Bytes {
        let mut writer = Writer::default();
        writer.var(index.into());
        writer.var(u64::from(self.owed) << 1 | u64::from(self.unanswered));
        writer.var(self.clients.len() as u64);
        for (client, clock) in &self.clients {
            writer.var(*client);
            writer.var(*clock);
        }
        writer.finish()
    }
}

impl Facts {
    /// Writes them with what is not at rest; partial ones without.
    pub(super) fn write(&self, channels: &Unsettled) -> Bytes {
        let head = self.head();
        if self.partial {
            return head;
        }
        if head.len() + channels.bytes > FACTS_BYTES {
            return Self { partial: true, ..self.clone() }.head();
        }
        let mut writer = Writer::with_capacity(head.len() + channels.bytes);
        writer.raw(&head);
        channels.written.values().for_each(|channel| writer.raw(channel));
        writer.finish()
    }

    fn head(&self) -> Bytes {
        let mut writer = Writer::default();
        writer.u8(FACTS_VERSION);
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
        writer.var(self.next_index.into());
        writer.var(self.greeted_at.unwrap_or_default());
        writer.var(self.asked_at.unwrap_or_default());
        writer.text(self.token.as_deref().unwrap_or_default());
        writer.finish()
    }

    /// Reads them, and what was not at rest by the index of the channel.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, BTreeMap<u16, ChannelFacts>)> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8().ok()?;
        (1..=FACTS_VERSION).contains(&version).then_some(())?;
        Self::read_rest(&mut reader, version).ok()
    }

    fn read_rest(
        reader: &mut Reader<'_>,
        version: u8,
    ) -> Result<(Self, BTreeMap<u16, ChannelFacts>), ReadError> {
        let flags = reader.u8()?;
        let dialect = match reader.u8()? {
            0 => Dialect::Hocuspocus,
            _ => Dialect::YWebsocket { document: reader.text()?.to_owned() },
        };
        let grant = match reader.bytes()? {
            [] => Ok(None),
            grant => serde_json::from_slice(grant).map(Some),
        };
        // Rights that cannot be read are not guessed at: the session shows its token again.
        let unreadable = grant.is_err();
        let grant = grant.unwrap_or_default();
        let next_index = reader.var(u16::MAX.into())? as u16;
        let mut time = || match version {
            1 => Ok(None),
            _ => reader.var(u64::MAX).map(|at| Some(at).filter(|at| *at > 0)),
        };
        let (greeted_at, asked_at) = (time()?, time()?);
        let token = if version < 3 { "" } else { reader.text()? };
        let token = Some(token).filter(|token| !token.is_empty()).map(Arc::from);
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
        let (modern, partial) = (flags & 2 != 0, flags & 1 != 0 || unreadable);
        let facts = Self { dialect, grant, token, modern, next_index, greeted_at, asked_at, partial };
        Ok((facts, channels))
    }
}

impl ChannelRow {
    fn write(&self) -> Bytes {
        let mut writer = Writer::default();
        writer.u8(ROW_VERSION);
        writer.text(&self.key);
        writer.text(self.file.as_str());
        match (&self.path, &self.visible) {
            (Some(path), _) => writer.text(path.as_str()),
            (None, Some(visible)) => writer.bytes(visible),
            (None, None) => {}
        }
        writer.finish()
    }

    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut reader = Reader::new(bytes);
        if reader.u8().ok()? != ROW_VERSION {
            return None;
        }
        let key = reader.text().ok()?.to_owned();
        let file = reader.text().ok()?;
        let room = FileId::room();
        let file = if file == room.as_str() { room } else { FileId::parse(file).ok()? };
        let more = reader.bytes().ok().map(Bytes::copy_from_slice);
        let (path, visible) = if file.is_room() {
            (None, more)
        } else {
            let path = more.as_deref().and_then(|path| std::str::from_utf8(path).ok());
            (path.and_then(|path| FilePath::parse(path).ok()), None)
        };
        Some(Self { key, file, path, visible })
    }
}

impl Hub {
    pub(super) fn save_channel(&mut self, id: ChannelId) {
        let Some(channel) = self.channels.get(&id) else { return };
        let Stage::Open(file) = &channel.stage else { return };
        let session = self.sessions.get(&id.session()).filter(|_| file.is_room());
        let visible = session.and_then(|session| session.visible.clone());
        let (key, path) = (channel.key.to_string(), channel.path.clone());
        let row = ChannelRow { key, file: file.clone(), path, visible }.write();
        self.effects.push(Effect::SaveChannel { channel: id, row });
    }

    /// Saves the facts of those of these sessions for which they are not what was saved last; these channels have
    /// changed.
    pub(super) fn save_facts(&mut self, sessions: BTreeSet<SessionId>, channels: BTreeSet<ChannelId>) {
        for id in channels {
            if let Some(session) = self.sessions.get_mut(&id.session()) {
                session.unsettled.note(id.index(), self.channels.get(&id));
            }
        }
        for id in sessions {
            // One that is borrowed counts as changed again.
            if self.sessions.get(&id).is_none_or(|session| !session.touched) {
                continue;
            }
            let Some(session) = self.sessions.get_mut(&id) else { continue };
            session.touched = false;
            let facts = session.facts();
            if session.saved != facts {
                session.saved = facts.clone();
                self.effects.push(Effect::SaveSession { session: id, facts });
            }
        }
    }
}

impl Session {
    fn facts(&self) -> Bytes {
        let facts = Facts {
            dialect: self.dialect.clone(),
            grant: self.admission.grant.clone(),
            token: self.admission.kept_token().cloned(),
            modern: self.modern,
            next_index: self.next_index,
            greeted_at: Some(self.liveness.greeted_at),
            asked_at: self.liveness.asked_at,
            // A verdict to come would find nobody.
            partial: self.admission.verifying.is_some() || !self.unsettled.opening.is_empty(),
        };
        facts.write(&self.unsettled)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_version_1_are_read_and_those_of_this_version_come_back() {
        // Version, modern, Hocuspocus, no grant, next index 3; channel 2 owes 5 and speaks for client 7 at clock 9.
        let first = [1, 2, 0, 0, 3, 2, 10, 1, 7, 9];
        let (mut facts, channels) = Facts::read(&first).unwrap();
        assert_eq!((facts.modern, facts.next_index, facts.greeted_at, facts.asked_at), (true, 3, None, None));
        assert_eq!(channels[&2], ChannelFacts { owed: 5, unanswered: false, clients: [(7, 9)].into() });
        facts.greeted_at = Some(1_700_000_000_000);
        facts.asked_at = Some(1_700_000_020_000);
        let mut unsettled = Unsettled::default();
        channels.iter().for_each(|(index, facts)| unsettled.write(*index, facts));
        assert_eq!(Facts::read(&facts.write(&unsettled)), Some((facts, channels)));
        assert_eq!(Facts::read(&[FACTS_VERSION + 1]), None, "a newer one is not guessed at");
    }

    #[test]
    fn rights_that_cannot_be_read_make_the_facts_partial() {
        let known = |grant: &[u8]| {
            let mut writer = Writer::default();
            [FACTS_VERSION, 2, 0].into_iter().for_each(|byte| writer.u8(byte));
            writer.bytes(grant);
            [3, 0, 0, 0].into_iter().for_each(|byte| writer.u8(byte));
            Facts::read(&writer.finish()).unwrap().0
        };
        let grant = |paths: &str| {
            let rules = format!(r#"[{{"paths":"{paths}","role":"viewer"}}]"#);
            format!(
                r#"{{"member":{{"id":"a","name":"A"}},"role":"owner","expires":null,"version":0,"rules":{rules}}}"#
            )
        };
        let good = known(grant("docs/**").as_bytes());
        assert_eq!((good.grant.is_some(), good.partial), (true, false));
        let bad = known(grant("docs/{a").as_bytes());
        assert_eq!((bad.grant, bad.partial), (None, true));
        assert!(!known(b"").partial, "nobody yet");
    }
}
