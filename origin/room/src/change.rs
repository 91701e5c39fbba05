//! A change of a hub on its way to the log, and what the gate decides about it.

use std::sync::Arc;

use bytes::Bytes;
use shared::{
    id::{ChannelId, FileId},
    update::Extension,
    wire::{
        link::{ChangeKind, HubMessage},
        text::TextPosition,
    },
};

use crate::{
    effect::LinkId,
    log::{Entry, Source},
};

/// One change of a hub.
#[derive(Clone, Debug)]
pub(crate) struct Change {
    pub(crate) link: LinkId,
    pub(crate) hub: String,
    pub(crate) channel: ChannelId,
    pub(crate) file: FileId,
    pub(crate) hub_seq: u64,
    pub(crate) kind: Kind,
    pub(crate) bytes: Bytes,
    /// The log was already read for what the change depends on.
    pub(crate) looked_up: bool,
    /// How far the change moves the clocks, once it was validated.
    pub(crate) extensions: Vec<Extension>,
    /// The member who has made the change; empty if clients belong to nobody, or the member is not known.
    pub(crate) author: Arc<str>,
}

/// What a hub has sent.
#[derive(Debug)]
pub(crate) enum FromHub {
    /// A change of a document.
    Change(Change),
    /// Anything else.
    Other(HubMessage),
}

/// What a change is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An update that its hub has shown to its other sessions.
    Update,
    /// An update that its hub has shown to nobody: it is sent there too when it is logged.
    Held,
    /// The answer to a Step1.
    Step2 { may_edit: bool },
    /// A room event.
    Event,
    /// A change of a text frame; its bytes are the frame until it was validated, then the update.
    Text(TextChangeState),
    /// What was logged before, and lost by the room store.
    Restored,
}

/// A text change beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TextChangeState {
    /// The position that its author has named.
    pub(crate) base: String,
    /// Set once the change was encoded as an update.
    pub(crate) encoded: Option<Encoded>,
}

/// A text change that was encoded as an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Encoded {
    /// The position that it is based on.
    pub(crate) base: TextPosition,
    /// What its author has now.
    pub(crate) text: Arc<str>,
    /// The frame that the update was made from.
    pub(crate) frame: Bytes,
}

/// What becomes of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Log it.
    Log,
    /// It brings nothing that is not logged: acknowledge only.
    Duplicate,
    /// It depends on what is not logged.
    MissingDependencies,
    /// Refused for good.
    Refuse(&'static str),
}

impl Kind {
    /// Whether it comes from a Yjs document.
    pub(crate) fn is_of_document(&self) -> bool {
        matches!(self, Self::Update | Self::Held | Self::Step2 { .. })
    }

    /// Whether its author extends clients of their own: what answers a Step1 may be anybody's.
    pub(crate) fn extends_clients(&self) -> bool {
        matches!(self, Self::Update | Self::Held)
    }
}

impl Change {
    /// A change of a channel, so far of no link.
    pub(crate) fn new(channel: ChannelId, file: FileId, hub_seq: u64, kind: Kind, bytes: Bytes) -> Self {
        Self {
            link: LinkId(0),
            hub: String::new(),
            channel,
            file,
            hub_seq,
            kind,
            bytes,
            looked_up: false,
            extensions: Vec::new(),
            author: "".into(),
        }
    }

    /// Reads what a hub has sent.
    pub(crate) fn from_hub(message: HubMessage) -> FromHub {
        match message {
            HubMessage::Update { channel, file, hub_seq, kind, may_edit, author, bytes, .. } => {
                let kind = match kind {
                    ChangeKind::Update => Kind::Update,
                    ChangeKind::Held => Kind::Held,
                    ChangeKind::Step2 => Kind::Step2 { may_edit },
                };
                FromHub::Change(Self { author, ..Self::new(channel, file, hub_seq, kind, bytes) })
            }
            HubMessage::Text { channel, file, hub_seq, base, json, .. } => {
                let kind = Kind::Text(TextChangeState { base, encoded: None });
                FromHub::Change(Self::new(channel, file, hub_seq, kind, json))
            }
            other => FromHub::Other(other),
        }
    }

    /// What goes to the log.
    pub(crate) fn entry(&self) -> Entry {
        // What its own hub has not fanned out goes to every hub, whichever sent it.
        let is_fanned_out = !matches!(self.kind, Kind::Step2 { .. } | Kind::Held | Kind::Text(_));
        let hub = if is_fanned_out { self.hub.clone() } else { String::new() };
        // A client that comes back and names an old position counts, for the log, as one that has never been away.
        let channel = match &self.kind {
            Kind::Text(TextChangeState { encoded: Some(encoded), .. }) => encoded.base.channel,
            _ => self.channel,
        };
        Entry {
            file: self.file.clone(),
            source: Source { hub, hub_seq: self.hub_seq, channel: channel.0 },
            bytes: self.bytes.clone(),
            extensions: self.extensions.clone(),
            author: if self.kind.extends_clients() { self.author.clone() } else { "".into() },
        }
    }

    /// Undoes validation: a text change is a frame again.
    pub(crate) fn reset(&mut self) {
        self.extensions.clear();
        if let Kind::Text(state) = &mut self.kind
            && let Some(encoded) = state.encoded.take()
        {
            self.bytes = encoded.frame;
        }
    }
}
