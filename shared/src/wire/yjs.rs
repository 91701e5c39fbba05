//! The messages of y-protocols (sync, awareness) and the frames of y-websocket around them.
//!
//! Updates and state vectors stay opaque here; [`crate::update`] looks into them. JSON of awareness states is
//! kept verbatim.

use bytes::Bytes;

use super::{
    json,
    varint::{ReadError, Reader, Writer},
};
use crate::limits;

/// An update that changes nothing.
pub const EMPTY_UPDATE: &[u8] = &[0, 0];
/// The state vector of an empty document.
pub const EMPTY_STATE_VECTOR: &[u8] = &[0];

const CLIENT_MAX: u64 = (1 << 53) - 1;
const CLOCK_MAX: u64 = u32::MAX as u64;

/// Why a frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The bytes themselves cannot be read.
    #[error("the frame cannot be read: {0}")]
    Read(#[from] ReadError),
    /// A routing key longer than [`limits::KEY_BYTES`].
    #[error("the routing key is longer than {} bytes", limits::KEY_BYTES)]
    Key,
    /// A message of a known type with a kind that does not exist.
    #[error("a message of type {0} has no kind {1}")]
    Kind(u64, u64),
}

/// One message of the sync protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMessage<'a> {
    /// "This is what I have": an encoded state vector.
    Step1(&'a [u8]),
    /// "This is what you lack": an update, the answer to a Step1.
    Step2(&'a [u8]),
    /// An incremental update.
    Update(&'a [u8]),
}

impl<'a> SyncMessage<'a> {
    /// Reads kind and bytes.
    pub fn read(reader: &mut Reader<'a>) -> Result<Self, FrameError> {
        let kind = reader.var(u64::MAX)?;
        Ok(match kind {
            0 => Self::Step1(reader.bytes()?),
            1 => Self::Step2(reader.bytes()?),
            2 => Self::Update(reader.bytes()?),
            kind => return Err(FrameError::Kind(SYNC, kind)),
        })
    }

    /// Writes kind and bytes.
    pub fn write(&self, writer: &mut Writer) {
        let (kind, bytes) = match self {
            Self::Step1(bytes) => (0, bytes),
            Self::Step2(bytes) => (1, bytes),
            Self::Update(bytes) => (2, bytes),
        };
        writer.u8(kind);
        writer.bytes(bytes);
    }

    /// The state vector or the update.
    pub fn payload(&self) -> &'a [u8] {
        match self {
            Self::Step1(bytes) | Self::Step2(bytes) | Self::Update(bytes) => bytes,
        }
    }
}

const SYNC: u64 = 0;
const AWARENESS: u64 = 1;
const AUTH: u64 = 2;
const QUERY_AWARENESS: u64 = 3;

/// One frame of y-websocket, in either direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YMessage<'a> {
    /// A message of the sync protocol.
    Sync(SyncMessage<'a>),
    /// An awareness update, as [`read_awareness`] reads it.
    Awareness(&'a [u8]),
    /// Permission denied; towards clients only.
    Auth {
        /// Why.
        reason: &'a str,
    },
    /// Asks for every awareness state that the other side knows.
    QueryAwareness,
    /// A type that this code does not know; to be ignored.
    Unknown(u64),
}

/// Reads a y-websocket frame. Bytes after the payload are ignored.
pub fn read_y(frame: &[u8]) -> Result<YMessage<'_>, FrameError> {
    let mut reader = Reader::new(frame);
    Ok(match reader.var(u64::MAX)? {
        SYNC => YMessage::Sync(SyncMessage::read(&mut reader)?),
        AWARENESS => YMessage::Awareness(reader.bytes()?),
        AUTH => match reader.var(u64::MAX)? {
            0 => YMessage::Auth { reason: reader.text()? },
            kind => return Err(FrameError::Kind(AUTH, kind)),
        },
        QUERY_AWARENESS => YMessage::QueryAwareness,
        unknown => YMessage::Unknown(unknown),
    })
}

/// Writes a y-websocket frame; of an unknown message only the type.
pub fn write_y(message: &YMessage<'_>) -> Bytes {
    let mut writer = Writer::default();
    match message {
        YMessage::Sync(message) => {
            writer = Writer::with_capacity(message.payload().len() + 8);
            writer.var(SYNC);
            message.write(&mut writer);
        }
        YMessage::Awareness(update) => {
            writer.var(AWARENESS);
            writer.bytes(update);
        }
        YMessage::Auth { reason } => {
            writer.var(AUTH);
            writer.var(0);
            writer.text(reason);
        }
        YMessage::QueryAwareness => writer.var(QUERY_AWARENESS),
        YMessage::Unknown(unknown) => writer.var(*unknown),
    }
    writer.finish()
}

/// What one awareness client shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AwarenessEntry<'a> {
    /// The client's id, below 2^53.
    pub client: u64,
    /// Counts the client's states; below 2^32.
    pub clock: u64,
    /// The state in JSON, verbatim; `null` when the client is gone.
    pub state: &'a str,
}

/// Why an awareness update is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AwarenessError {
    /// The bytes themselves cannot be read.
    #[error("the awareness update cannot be read: {0}")]
    Read(#[from] ReadError),
    /// Longer than [`limits::AWARENESS_BYTES`].
    #[error("the awareness update is longer than {} bytes", limits::AWARENESS_BYTES)]
    TooLong,
    /// More clients than one channel may speak for.
    #[error("the awareness update has more than {} clients", limits::AWARENESS_CLIENTS)]
    TooMany,
    /// A state longer than [`limits::AWARENESS_STATE_BYTES`].
    #[error("an awareness state is longer than {} bytes", limits::AWARENESS_STATE_BYTES)]
    StateTooLong,
    /// A state that is not JSON, or nests too deep.
    #[error("an awareness state is not JSON of at most {} levels", limits::JSON_DEPTH)]
    State,
}

impl AwarenessError {
    /// The stable word for it in `error` events.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read(_) | Self::State => "bad-presence",
            Self::TooLong | Self::StateTooLong => "presence-too-large",
            Self::TooMany => "presence-too-many",
        }
    }
}

/// Reads an awareness update of a client: everything in [`limits`] that is said of awareness holds for it.
pub fn read_awareness(bytes: &[u8]) -> Result<Vec<AwarenessEntry<'_>>, AwarenessError> {
    if bytes.len() > limits::AWARENESS_BYTES {
        return Err(AwarenessError::TooLong);
    }
    read_entries(bytes, limits::AWARENESS_CLIENTS)
}

/// Reads an awareness update that came over a link: the states of any number of members, each checked as
/// [`read_awareness`] does.
pub fn read_relayed_awareness(bytes: &[u8]) -> Result<Vec<AwarenessEntry<'_>>, AwarenessError> {
    read_entries(bytes, usize::MAX)
}

fn read_entries(bytes: &[u8], most: usize) -> Result<Vec<AwarenessEntry<'_>>, AwarenessError> {
    let mut reader = Reader::new(bytes);
    let count = reader.var(u64::MAX)?;
    if count > most as u64 {
        return Err(AwarenessError::TooMany);
    }
    // The announced number is not trusted: an entry takes at least three bytes.
    let mut entries =
        Vec::with_capacity((reader.left() / 3).min(usize::try_from(count).unwrap_or(usize::MAX)));
    for _ in 0..count {
        entries.push(AwarenessEntry::read(&mut reader)?);
    }
    Ok(entries)
}

impl<'a> AwarenessEntry<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, AwarenessError> {
        let client = reader.var(CLIENT_MAX)?;
        let clock = reader.var(CLOCK_MAX)?;
        let state = reader.text()?;
        if state.len() > limits::AWARENESS_STATE_BYTES {
            return Err(AwarenessError::StateTooLong);
        }
        if !json::is_value_within(state, limits::JSON_DEPTH) {
            return Err(AwarenessError::State);
        }
        Ok(Self { client, clock, state })
    }
}

/// Writes an awareness update.
pub fn write_awareness(entries: &[AwarenessEntry<'_>]) -> Bytes {
    let mut writer = Writer::default();
    writer.var(entries.len() as u64);
    for entry in entries {
        writer.var(entry.client);
        writer.var(entry.clock);
        writer.text(entry.state);
    }
    writer.finish()
}
