//! The sizes, counts and times that both ends agree on. Sizes are bytes, times milliseconds.

/// Longest room id.
pub const ROOM_ID_BYTES: usize = 128;
/// Longest file path.
pub const PATH_BYTES: usize = 512;
/// Most segments of a file path.
pub const PATH_SEGMENTS: usize = 32;
/// Longest segment of a file path.
pub const PATH_SEGMENT_BYTES: usize = 255;
/// The reserved document name that stands for the room itself.
pub const ROOM_DOCUMENT: &str = ".room";
/// The root type of every file's Yjs document.
pub const TEXT_ROOT: &str = "content";

/// Largest frame that is read as a whole; of a larger one only key and type are read.
pub const FRAME_BYTES: usize = 10 << 20;
/// Largest update that others see before it is logged, and that is sent to them like any typing.
pub const AT_ONCE_BYTES: usize = 1 << 20;
/// Clients of whom one update may bring text that is not logged.
pub const UPDATE_CLIENTS: usize = 10_000;
/// Largest state of one file, and largest change of one.
pub const FILE_BYTES: usize = 8 << 20;
/// What such a trace adds to a state, about: heads of the parts and the range itself.
pub const RANGE_BYTES: usize = 32;
/// Longest routing key of a frame.
pub const KEY_BYTES: usize = 1024;
/// Longest token. It is kept with the socket while a hub sleeps.
pub const TOKEN_BYTES: usize = 4 << 10;
/// Rules of one token.
pub const TOKEN_RULES: usize = 64;
/// Alternatives in the braces of one path pattern.
pub const PATTERN_ALTERNATIVES: usize = 64;
/// Keys of tokens.
pub const TOKEN_KEYS: usize = 64;
/// Shortest secret of HS256.
pub const TOKEN_SECRET_BYTES: usize = 32;
/// How far the clocks of who signs a token and who verifies it may be apart: a token is taken this long before its
/// beginning, and this long after its end by an origin whose edge had let its bearer in before.
pub const TOKEN_SKEW_MS: u64 = 30_000;
/// How long before its end a client is asked for another token (half of what is left, if that is less).
pub const TOKEN_REFRESH_MS: u64 = 60_000;
/// Longest id of a member.
pub const MEMBER_ID_BYTES: usize = 128;
/// Longest name of a member, in characters.
pub const NAME_CHARS: usize = 64;
/// Longest room event in JSON.
pub const EVENT_BYTES: usize = 64 << 10;
/// Longest text frame with edits.
pub const TEXT_EDITS_BYTES: usize = 1 << 20;
/// Edits in one change of a text frame.
pub const TEXT_EDITS: usize = 256;
/// Longest text of a chat message.
pub const CHAT_BYTES: usize = 8 << 10;
/// Longest awareness frame.
pub const AWARENESS_BYTES: usize = 64 << 10;
/// Longest state of one awareness client, in JSON.
pub const AWARENESS_STATE_BYTES: usize = 8 << 10;
/// Awareness clients that one channel may speak for.
pub const AWARENESS_CLIENTS: usize = 64;
/// Deepest nesting of JSON that comes from clients.
pub const JSON_DEPTH: usize = 32;

/// What one member may ask of one hub: so many at once, then so many in each second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// At once.
    pub burst: u64,
    /// In each second after that.
    pub per_second: u64,
}

/// Frames of any kind. Beyond it the session is closed with 4529.
pub const RATE_FRAMES: Rate = Rate { burst: 20_000, per_second: 2_000 };
/// Their bytes. Beyond it the session is closed with 4529.
pub const RATE_BYTES: Rate = Rate { burst: 64 << 20, per_second: 4 << 20 };
/// Documents opened, each with its first Step1 and what it shows first, and Step1 after that. Beyond it a document is
/// refused or closed.
pub const RATE_OPENS: Rate = Rate { burst: 2_000, per_second: 100 };
/// Room events. Beyond it an event is refused.
pub const RATE_EVENTS: Rate = Rate { burst: 200, per_second: 20 };
/// Awareness updates. Beyond it they are dropped; the next one that is not says the same and more.
pub const RATE_PRESENCE: Rate = Rate { burst: 1_000, per_second: 100 };
/// How long a document that was open when a socket ended is opened again for nothing.
pub const REOPEN_MS: u64 = 60_000;
/// Channels (open documents) of one session, beside one of the room itself.
pub const CHANNELS: usize = 1000;
/// Sessions of one hub.
pub const SESSIONS: usize = 2000;
/// Bytes that wait on one session until its documents are open.
pub const PENDING_BYTES: usize = 5 << 20;
/// What each frame or token that waits counts beside its bytes, since keeping it costs memory too.
pub const PENDING_FRAME_BYTES: usize = 64;
/// Bytes that wait on a session that has not shown a valid token yet.
pub const GUEST_BYTES: usize = 64 << 10;
/// The same while the first token of the session is being verified: stock providers do not wait for that.
pub const VERIFYING_BYTES: usize = 1 << 20;
/// How long a session may stay without a valid token.
pub const GUEST_MS: u64 = 10_000;
/// Files of one room.
pub const FILES: usize = 5000;

/// Bytes in a hub's outbox before its members are told that it takes no more.
pub const OUTBOX_BYTES: usize = 32 << 20;
/// Bytes in one stored row of the outbox; a row of a Durable Object holds 2 MB.
pub const OUTBOX_ROW_BYTES: usize = 1_500_000;
/// How long an update may be unacknowledged before it is stored.
pub const OUTBOX_LATE_MS: u64 = 250;

/// What a socket may still have to send before presence is withheld from it.
pub const BACKLOG_PRESENCE_BYTES: usize = 256 << 10;
/// What a socket may have to send without progress for [`BACKLOG_STUCK_MS`].
pub const BACKLOG_STUCK_BYTES: usize = 1 << 20;
/// See [`BACKLOG_STUCK_BYTES`].
pub const BACKLOG_STUCK_MS: u64 = 5_000;
/// What a socket may never have to send.
pub const BACKLOG_BYTES: usize = 4 << 20;
/// What all sockets of a hub may have to send together.
pub const BACKLOG_HUB_BYTES: usize = 32 << 20;

/// First texts of documents that a hub asks for, and large changes, that its sockets have not sent yet; small first texts
/// may be as much again.
pub const FIRST_TEXTS_BYTES: usize = 16 << 20;
/// A document whose first text does not wait behind large ones.
pub const FIRST_TEXT_SMALL_BYTES: usize = 64 << 10;
/// What the first text of a document counts before any has come.
pub const FIRST_TEXT_GUESS_BYTES: usize = 2 << 20;
/// The least that it counts as long as its size is not known, however small others have been.
pub const FIRST_TEXT_LEAST_GUESS_BYTES: usize = 256 << 10;
/// How often sockets are looked at while first texts wait for them.
pub const FIRST_TEXT_LOOK_MS: u64 = 100;
/// After so long a question for a first text counts no more, answered or not.
pub const FIRST_TEXT_ANSWER_MS: u64 = 10_000;

/// How often a hub with sessions pings its link and its clients.
pub const KEEPALIVE_MS: u64 = 20_000;
/// How long a client, or a link, that was asked for a sign of life may be silent.
pub const ANSWER_MS: u64 = 25_000;
/// Age of an unacknowledged change after which a hub asks for a new link.
pub const LINK_STALLED_MS: u64 = 10_000;
/// First delay before an origin is asked again to dial; doubled up to [`DIAL_MAX_MS`].
pub const DIAL_FIRST_MS: u64 = 200;
/// See [`DIAL_FIRST_MS`].
pub const DIAL_MAX_MS: u64 = 15_000;
/// A link that has lasted so long was good: the next one is asked for at once.
pub const LINK_LASTS_MS: u64 = 10_000;
/// How long an origin may take to dial after it was asked.
pub const DIAL_WAIT_MS: u64 = 5_000;
/// How long a nonce or a signature is good for.
pub const SIGNATURE_MS: u64 = 60_000;
/// How often a hub saves its position.
pub const POSITION_SAVE_MS: u64 = 1_000;

/// Largest body of a REST request.
pub const BODY_BYTES: usize = 16 << 20;
