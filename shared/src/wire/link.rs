//! The messages between a hub and an origin, and their frames.
//!
//! A frame is one WebSocket message: a version byte and any number of messages, each a tag byte and a
//! length-prefixed body. A message with an unknown tag is skipped; trailing bytes of a known one are ignored.
//! `shared/tests/golden/link-v1.tsv` holds one frame of every kind.

mod hub;
mod origin;
mod part;

use std::sync::Arc;

use bytes::Bytes;

pub use self::{
    hub::{decode_hub, encode_hub},
    origin::{decode_origin, encode_origin},
};
use crate::{
    close::CloseCode,
    grant::Grant,
    id::{ChannelId, FileId, FilePath, SessionId},
    position::Position,
};

/// The version that this code speaks.
pub const VERSION: u8 = 1;

/// The reason of a [`OriginMessage::Closed`] that is about the whole room: there is none.
pub const NO_ROOM: &str = "no-room";

/// How a change came: stock clients are acknowledged differently for the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// An incremental update that the hub has fanned out.
    Update,
    /// An incremental update that the hub has shown to nobody: it is fanned out when it is logged. An origin that does
    /// not know it takes it for a Step2, which it treats the same.
    Held,
    /// The answer to a Step1: the hub has not fanned it out, the origin finds what is new in it.
    Step2,
}

/// What a hub says to an origin.
#[derive(Clone, Debug, PartialEq)]
pub enum HubMessage {
    /// The first message of a link: who I am and how far I have read; `None` if I do not know.
    Hello {
        /// The hub's name: `room~region`, or `direct~ORIGIN_ID`.
        hub: String,
        /// The last position that was delivered to this hub's sessions.
        position: Option<Position>,
    },
    /// A channel wants the document that its routing key names (path, file id or `.room`).
    Open {
        /// The channel.
        channel: ChannelId,
        /// The document name: the routing key up to its first NUL.
        name: String,
        /// What admission allows.
        grant: Grant,
    },
    /// A channel has left its document.
    Close {
        /// The channel.
        channel: ChannelId,
    },
    /// A change of a file.
    Update {
        /// The author's channel.
        channel: ChannelId,
        /// The file.
        file: FileId,
        /// The hub's number for it: rising, kept over evictions.
        hub_seq: u64,
        /// What it is.
        kind: ChangeKind,
        /// The version of the grant it was admitted under.
        grant_version: u32,
        /// Whether that grant allowed changes: the hub fans out nothing else, but it cannot validate a Step2.
        may_edit: bool,
        /// The id of its author, who may be gone when it is replayed; empty if not known.
        author: Arc<str>,
        /// The Yjs v1 update.
        bytes: Bytes,
    },
    /// A channel's Step1. With an empty `state_vector` (zero bytes) only the origin's own is asked for.
    Sync {
        /// The channel that asks.
        channel: ChannelId,
        /// The file.
        file: FileId,
        /// The hub's number for the question; the answer repeats it, so that one of before an eviction is
        /// not taken for the answer to a later question.
        ask: u64,
        /// The encoded state vector of the client.
        state_vector: Bytes,
    },
    /// Accepted awareness entries of this hub's sessions, as an awareness update.
    Awareness {
        /// The file, or `.room`.
        file: FileId,
        /// The awareness update.
        bytes: Bytes,
    },
    /// A room event of a member; `hub_seq` 0 means that it is not logged.
    Event {
        /// The author's channel.
        channel: ChannelId,
        /// The hub's number for it, or 0.
        hub_seq: u64,
        /// The event and its author in JSON, as [`crate::wire::event::Attributed`] reads it.
        json: Bytes,
    },
    /// A channel of text frames wants a file. On an open one: its change was refused, it wants the text again.
    OpenText {
        /// The channel.
        channel: ChannelId,
        /// The document name.
        name: String,
        /// What admission allows.
        grant: Grant,
        /// The position that the member was told last; empty if the text is to be sent whole.
        told: String,
        /// A number of the hub, never used before: the round that begins with the whole text.
        round: u64,
    },
    /// A change of a file from a text frame.
    Text {
        /// The author's channel.
        channel: ChannelId,
        /// The file.
        file: FileId,
        /// The hub's number for it: rising, kept over evictions.
        hub_seq: u64,
        /// The version of the grant it was admitted under.
        grant_version: u32,
        /// What it is based on: a position, `*` for the last one that the origin has sent, empty for none.
        base: String,
        /// The frame, as [`crate::wire::text::read_change`] reads it.
        json: Bytes,
    },
    /// Counters of the hub, as JSON.
    Stats {
        /// The counters.
        json: Bytes,
    },
    /// Asks for a pong.
    Ping,
    /// The token of a session, before it opens anything over this link, and whenever it shows another one. An
    /// origin that asks for tokens verifies it too and believes it instead of the grants in `open`.
    Token {
        /// The session.
        session: SessionId,
        /// The token as the client sent it; empty, once the session is gone.
        token: String,
    },
}

/// What an origin says to a hub.
#[derive(Clone, Debug, PartialEq)]
pub enum OriginMessage {
    /// The document is open.
    Opened {
        /// The channel that asked.
        channel: ChannelId,
        /// The file, or `.room`.
        file: FileId,
        /// Its path; `None` for `.room`.
        path: Option<FilePath>,
        /// The size of its state in bytes, which the hub's gate counts on; 0 if it is not known yet.
        size: u64,
        /// The version of the grant that the origin holds.
        grant_version: u32,
    },
    /// The document is not open, or no longer.
    Closed {
        /// The channel.
        channel: ChannelId,
        /// Why.
        code: CloseCode,
        /// Why, in a stable word.
        reason: String,
    },
    /// One change is in the log.
    Ack {
        /// The author's channel.
        channel: ChannelId,
        /// The file, or `.room`.
        file: FileId,
        /// The hub's number for the change.
        hub_seq: u64,
        /// The room's seq of the change (of the last one, if it brought nothing new).
        seq: u64,
        /// The size of the file's state in bytes.
        size: u64,
    },
    /// One change is refused for good.
    Refuse {
        /// The author's channel.
        channel: ChannelId,
        /// The file, or `.room`.
        file: FileId,
        /// The hub's number for the change.
        hub_seq: u64,
        /// Why, in a stable word.
        reason: String,
    },
    /// One change depends on what nobody has logged: synchronise the file's writers.
    Missing {
        /// The author's channel.
        channel: ChannelId,
        /// The file.
        file: FileId,
        /// The hub's number for the change.
        hub_seq: u64,
        /// The encoded state vector of the log.
        state_vector: Bytes,
    },
    /// The room store takes nothing at the moment: keep everything, stop the age clock, tell the members.
    Hold {
        /// Why, in a stable word.
        why: String,
    },
    /// The room store takes changes again: replay from the first unacknowledged.
    Resume,
    /// The answer to [`HubMessage::Sync`]. Channel 0 means every channel of the hub that has the file open.
    Diff {
        /// The channel that asked, or 0.
        channel: ChannelId,
        /// The file.
        file: FileId,
        /// The number of the question.
        ask: u64,
        /// What the client lacks, as a Yjs v1 update; zero bytes if only the state vector was asked for.
        bytes: Bytes,
        /// The state vector of the log.
        state_vector: Bytes,
        /// The size of the file's state in bytes.
        size: u64,
        /// Up to where the log was read.
        position: Position,
    },
    /// Logged updates of others, and how far the hub has now read (its own changes included).
    Updates {
        /// The contiguous prefix of the room's history that the hub now has.
        position: Position,
        /// The updates in order.
        updates: Vec<FileUpdate>,
    },
    /// What the hub has read cannot be continued from (another epoch, or trimmed away): it asks for every
    /// document that it has open whole, and counts from here once it has them.
    Reset {
        /// Where the room is.
        position: Position,
    },
    /// Awareness of other hubs.
    Awareness {
        /// The file, or `.room`.
        file: FileId,
        /// The awareness update.
        bytes: Bytes,
    },
    /// A room event for the members.
    Event {
        /// Where it stands in the room's history, if it is logged.
        position: Option<Position>,
        /// The only channel that it is for, or `None` for all members.
        channel: Option<ChannelId>,
        /// The event in JSON.
        json: Bytes,
    },
    /// What a channel of text frames gets of its file: a text frame.
    Text {
        /// The channel.
        channel: ChannelId,
        /// The position that it tells.
        position: String,
        /// Whether it holds the whole text.
        whole: bool,
        /// The frame.
        json: Bytes,
    },
    /// The size of a file close to its limit was measured: what was told before was an estimate.
    Size {
        /// The file.
        file: FileId,
        /// The size of its state in bytes.
        bytes: u64,
        /// The size of its text in bytes.
        text_bytes: u64,
    },
    /// A member's rights have changed.
    Revoke {
        /// The member's id.
        member: String,
        /// The new role; `None` if the member may no longer be here.
        role: Option<crate::grant::Role>,
        /// The version of the grant from now on.
        version: u32,
    },
    /// The answer to a ping.
    Pong,
}

/// One logged update on its way to a hub.
#[derive(Clone, Debug, PartialEq)]
pub struct FileUpdate {
    /// The file.
    pub file: FileId,
    /// The channel that it came from and that needs no echo; 0 for none.
    pub except: ChannelId,
    /// The Yjs v1 update.
    pub bytes: Bytes,
}

/// Why a link frame cannot be read. It ends the link.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LinkError {
    /// The other side speaks another version.
    #[error("the link speaks version {0}, this side speaks {VERSION}")]
    Version(u8),
    /// A message that does not parse.
    #[error("a link message with tag {0} cannot be read")]
    Malformed(u8),
    /// A frame without even a version.
    #[error("a link frame is empty")]
    Empty,
}
