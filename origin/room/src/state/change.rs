//! A change of a hub on its way to the log.

use std::sync::Arc;

use bytes::Bytes;
use shared::{
    id::{ChannelId, FileId},
    update::Extension,
};

use super::{LinkId, text::Typing};
use crate::log::{Entry, Source};

/// One change of a hub.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) link: LinkId,
    pub(super) hub: String,
    pub(super) channel: ChannelId,
    pub(super) file: FileId,
    pub(super) hub_seq: u64,
    pub(super) what: What,
    pub(super) bytes: Bytes,
    /// The log was already asked for what it depends on.
    pub(super) looked: bool,
    /// How far it moves the clocks, once it was judged.
    pub(super) extensions: Vec<Extension>,
    /// The member who has made it; empty if clients belong to nobody, or it is not known.
    pub(super) author: Arc<str>,
}

/// What a change is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Its hub has shown it to its other sessions.
    Update,
    /// An update that its hub has shown to nobody: it is sent there too when it is logged.
    Held,
    Step2 {
        may_edit: bool,
    },
    Event,
    /// A change of a text frame; its bytes are the frame until it was judged, then the update.
    Text(Typing),
    /// What was logged before, and lost by the room store.
    Returned,
}

impl Change {
    /// A change of a channel, so far of no link.
    pub(super) fn new(channel: ChannelId, file: FileId, hub_seq: u64, what: What, bytes: Bytes) -> Self {
        Self {
            link: LinkId(0),
            hub: String::new(),
            channel,
            file,
            hub_seq,
            what,
            bytes,
            looked: false,
            extensions: Vec::new(),
            author: "".into(),
        }
    }

    /// What goes to the log.
    pub(super) fn entry(&self) -> Entry {
        // What its own hub has not fanned out goes to every hub, whoever sent it.
        let hub = if matches!(self.what, What::Step2 { .. } | What::Held | What::Text(_)) {
            String::new()
        } else {
            self.hub.clone()
        };
        let author = match &self.what {
            What::Text(typing) => typing.author(),
            _ => None,
        };
        let channel = author.unwrap_or(self.channel).0;
        let source = Source { hub, hub_seq: self.hub_seq, channel };
        // What answers a Step1 may be anybody's.
        let extends = matches!(self.what, What::Update | What::Held);
        Entry {
            file: self.file.clone(),
            source,
            bytes: self.bytes.clone(),
            extensions: self.extensions.clone(),
            author: if extends { self.author.clone() } else { "".into() },
        }
    }

    /// Makes of an update the text change again that it was.
    pub(super) fn unmake(&mut self) {
        if let What::Text(typing) = &mut self.what
            && let Some(frame) = typing.unmake()
        {
            self.bytes = frame;
        }
    }
}
