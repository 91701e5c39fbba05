//! What outlives an eviction of the hub: a snapshot beside each socket, a row for each open document.
//!
//! The snapshot of a session fits into the attachment of a hibernatable WebSocket. When there is too much for it,
//! it says that it is partial, and the session is asked to come back instead.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;

use super::{
    channel::Channel, effect::Dialect, receipts::Receipts, speaker::Speaker, sync_state::SyncState,
    text_base::TextBase,
};
use crate::{
    Millis,
    grant::Grant,
    id::{FileId, FilePath},
    wire::varint::{ReadError, Reader, Writer},
};

/// What snapshots are written as. Version 1, which knew no liveness, and version 2, which knew no token, are still read.
const SNAPSHOT_VERSION: u8 = 3;
const ROW_VERSION: u8 = 1;
/// Attachments hold 16,384 bytes; the shell adds some of its own.
const SNAPSHOT_BYTES: usize = 12 << 10;

/// The snapshot of a session.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SessionSnapshot {
    pub(super) dialect: Dialect,
    pub(super) grant: Option<Grant>,
    /// The token of the grant, or of the upgrade.
    pub(super) token: Option<Arc<str>>,
    pub(super) modern: bool,
    pub(super) next_index: u16,
    /// When the client was last sent a keepalive; `None` in version 1.
    pub(super) keepalive_sent_at: Option<Millis>,
    /// Since when it owes an answer to it.
    pub(super) probe_sent_at: Option<Millis>,
    /// Something cannot be rebuilt: frames that wait, or more than fits.
    pub(super) partial: bool,
}

/// What of an open channel is not in its row.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct ChannelSnapshot {
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

impl ChannelSnapshot {
    pub(super) fn of(channel: &Channel) -> Self {
        Self {
            owed: channel.receipts.owed(),
            unanswered: channel.sync.is_unanswered(),
            clients: channel.speaker.clients().clone(),
        }
    }

    /// Gives a restored channel what its row does not hold; the hub's next change has the number `next`.
    pub(super) fn restore(self, channel: &mut Channel, next: u64) {
        let is_room = channel.file().is_some_and(FileId::is_room);
        channel.receipts = Receipts::restored(self.owed, next);
        channel.sync = SyncState::restored(self.unanswered, self.owed > 0 && !self.unanswered && !is_room);
        channel.speaker = Speaker::restored(self.clients);
        if channel.key().is_text() && !is_room {
            channel.base = TextBase::Last;
        }
    }

    pub(super) fn write(&self, index: u16) -> Bytes {
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

impl SessionSnapshot {
    /// Writes it with what is not at rest of its channels, which takes so many bytes; a partial one without.
    pub(super) fn write(&self, channels: &BTreeMap<u16, Bytes>, bytes: usize) -> Bytes {
        let head = self.head();
        if self.partial {
            return head;
        }
        if head.len() + bytes > SNAPSHOT_BYTES {
            return Self { partial: true, ..self.clone() }.head();
        }
        let mut writer = Writer::with_capacity(head.len() + bytes);
        writer.raw(&head);
        channels.values().for_each(|channel| writer.raw(channel));
        writer.finish()
    }

    fn head(&self) -> Bytes {
        let mut writer = Writer::default();
        writer.u8(SNAPSHOT_VERSION);
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
        writer.var(self.keepalive_sent_at.unwrap_or_default());
        writer.var(self.probe_sent_at.unwrap_or_default());
        writer.text(self.token.as_deref().unwrap_or_default());
        writer.finish()
    }

    /// Reads it, and what was not at rest by the index of the channel.
    pub(super) fn read(bytes: &[u8]) -> Option<(Self, BTreeMap<u16, ChannelSnapshot>)> {
        let mut reader = Reader::new(bytes);
        let version = reader.u8().ok()?;
        (1..=SNAPSHOT_VERSION).contains(&version).then_some(())?;
        Self::read_rest(&mut reader, version).ok()
    }

    fn read_rest(
        reader: &mut Reader<'_>,
        version: u8,
    ) -> Result<(Self, BTreeMap<u16, ChannelSnapshot>), ReadError> {
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
        let (keepalive_sent_at, probe_sent_at) = (time()?, time()?);
        let token = if version < 3 { "" } else { reader.text()? };
        let token = Some(token).filter(|token| !token.is_empty()).map(Arc::from);
        let mut channels = BTreeMap::new();
        while reader.left() > 0 {
            let index = reader.var(u16::MAX.into())? as u16;
            let owed = reader.var(u64::from(u32::MAX) << 1 | 1)?;
            let mut channel = ChannelSnapshot {
                owed: (owed >> 1) as u32,
                unanswered: owed & 1 == 1,
                clients: BTreeMap::new(),
            };
            for _ in 0..reader.var(reader.left() as u64)? {
                channel.clients.insert(reader.var(u64::MAX)?, reader.var(u64::MAX)?);
            }
            channels.insert(index, channel);
        }
        let (modern, partial) = (flags & 2 != 0, flags & 1 != 0 || unreadable);
        let snapshot =
            Self { dialect, grant, token, modern, next_index, keepalive_sent_at, probe_sent_at, partial };
        Ok((snapshot, channels))
    }
}

impl ChannelRow {
    pub(super) fn of(channel: &Channel, visible: Option<&Bytes>) -> Option<Self> {
        let file = channel.file()?.clone();
        let visible = visible.filter(|_| file.is_room()).cloned();
        let key = channel.key().as_arc().to_string();
        Some(Self { key, path: channel.path().cloned(), file, visible })
    }

    pub(super) fn write(&self) -> Bytes {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_of_version_1_is_read_and_one_of_this_version_comes_back() {
        // Version, modern, Hocuspocus, no grant, next index 3; channel 2 owes 5 and speaks for client 7 at clock 9.
        let first = [1, 2, 0, 0, 3, 2, 10, 1, 7, 9];
        let (mut snapshot, channels) = SessionSnapshot::read(&first).unwrap();
        assert_eq!(
            (snapshot.modern, snapshot.next_index, snapshot.keepalive_sent_at, snapshot.probe_sent_at),
            (true, 3, None, None)
        );
        assert_eq!(channels[&2], ChannelSnapshot { owed: 5, unanswered: false, clients: [(7, 9)].into() });
        snapshot.keepalive_sent_at = Some(1_700_000_000_000);
        snapshot.probe_sent_at = Some(1_700_000_020_000);
        let written: BTreeMap<u16, Bytes> =
            channels.iter().map(|(index, channel)| (*index, channel.write(*index))).collect();
        let bytes = written.values().map(Bytes::len).sum();
        assert_eq!(SessionSnapshot::read(&snapshot.write(&written, bytes)), Some((snapshot, channels)));
        assert_eq!(SessionSnapshot::read(&[SNAPSHOT_VERSION + 1]), None, "a newer one is not guessed at");
    }

    #[test]
    fn rights_that_cannot_be_read_make_the_snapshot_partial() {
        let known = |grant: &[u8]| {
            let mut writer = Writer::default();
            [SNAPSHOT_VERSION, 2, 0].into_iter().for_each(|byte| writer.u8(byte));
            writer.bytes(grant);
            [3, 0, 0, 0].into_iter().for_each(|byte| writer.u8(byte));
            SessionSnapshot::read(&writer.finish()).unwrap().0
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
