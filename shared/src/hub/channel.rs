//! A channel: one routing key of a session, from its first frame to its end.

use std::{collections::VecDeque, mem, sync::Arc};

use bytes::Bytes;

use super::{
    clocks::Clocks, rate_limit::Included, receipts::Receipts, routing_key::RoutingKey, speaker::Speaker,
    sync_state::SyncState, text_base::TextBase,
};
use crate::{
    grant::{Grant, Role},
    id::{FileId, FilePath},
    wire::hocuspocus::ServerMessage,
};

/// How far a channel has come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// No token yet.
    Guest,
    /// The token is being verified.
    Authenticating,
    /// The origin is asked for the document.
    Opening,
    /// The document is open.
    Open(FileId),
    /// Closed from this side, with this reason; it may show a token again.
    Closed(Arc<str>),
}

/// What is to be done with the stored row of a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RowChange {
    Save,
    Drop,
}

/// What a hub knows of a channel.
#[derive(Clone, Debug)]
pub(super) struct Channel {
    key: RoutingKey,
    stage: Stage,
    /// The path of its document, once it is open; the room has none.
    path: Option<FilePath>,
    /// What the member may do in the document.
    role: Role,
    /// Frames that wait until the document is open.
    pending: VecDeque<Bytes>,
    /// Which acknowledgements its client is owed.
    pub(super) receipts: Receipts,
    /// Where its updates have ended.
    pub(super) clocks: Clocks,
    pub(super) sync: SyncState,
    pub(super) speaker: Speaker,
    /// The text that a channel of text frames has.
    pub(super) base: TextBase,
    /// Frames that its opening has paid for and that are still to come.
    pub(super) included: Included,
    /// Whether a row is stored for it, and whether that row is what it should be.
    has_row: bool,
    row_is_stale: bool,
}

impl Channel {
    pub(super) fn new(key: RoutingKey) -> Self {
        Self {
            key,
            stage: Stage::Guest,
            path: None,
            role: Role::Viewer,
            pending: VecDeque::new(),
            receipts: Receipts::default(),
            clocks: Clocks::default(),
            sync: SyncState::default(),
            speaker: Speaker::default(),
            base: TextBase::Nothing,
            included: Included::default(),
            has_row: false,
            row_is_stale: false,
        }
    }

    /// An open channel whose row was read back.
    pub(super) fn restored(key: RoutingKey, file: FileId, path: Option<FilePath>, role: Role) -> Self {
        Self { stage: Stage::Open(file), path, role, has_row: true, ..Self::new(key) }
    }

    pub(super) fn key(&self) -> &RoutingKey {
        &self.key
    }

    pub(super) fn stage(&self) -> &Stage {
        &self.stage
    }

    pub(super) fn path(&self) -> Option<&FilePath> {
        self.path.as_ref()
    }

    /// The document that it has open.
    pub(super) fn file(&self) -> Option<&FileId> {
        match &self.stage {
            Stage::Open(file) => Some(file),
            _ => None,
        }
    }

    /// Whether the origin knows it.
    pub(super) fn is_at_origin(&self) -> bool {
        matches!(self.stage, Stage::Opening | Stage::Open(_))
    }

    /// Whether it may show a token.
    pub(super) fn is_outside(&self) -> bool {
        matches!(self.stage, Stage::Guest | Stage::Closed(_))
    }

    pub(super) fn may_edit(&self) -> bool {
        self.role.may_edit()
    }

    /// It has shown a token.
    pub(super) fn authenticate(&mut self) {
        if self.is_outside() {
            self.stage = Stage::Authenticating;
        }
    }

    /// The origin is asked for its document.
    pub(super) fn start_opening(&mut self) {
        self.stage = Stage::Opening;
    }

    /// The document is open.
    pub(super) fn open(&mut self, file: FileId, path: Option<FilePath>, role: Option<Role>) {
        self.stage = Stage::Open(file);
        self.path = path;
        self.role = role.unwrap_or(self.role);
        self.included = Included::opening();
        self.row_is_stale = true;
    }

    /// Its token, or its document, is refused; it may show another token.
    pub(super) fn refuse(&mut self) {
        self.stage = Stage::Guest;
    }

    /// Its document is closed from this side: nothing of it stays but its key.
    pub(super) fn close(&mut self, reason: &str) {
        let stage = Stage::Closed(reason.into());
        let key = self.key.clone();
        *self = Self { stage, has_row: self.has_row, row_is_stale: self.has_row, ..Self::new(key) };
    }

    /// What the member may do in the document from now on; whether that is something else than before.
    pub(super) fn set_rights(&mut self, grant: &Grant) -> bool {
        let role = grant.role_at(self.path.as_ref());
        mem::replace(&mut self.role, role) != role
    }

    /// Keeps a frame until the document is open.
    pub(super) fn push_pending(&mut self, frame: Bytes) {
        self.pending.push_back(frame);
    }

    pub(super) fn take_pending(&mut self) -> VecDeque<Bytes> {
        mem::take(&mut self.pending)
    }

    /// Its row holds something that has changed.
    pub(super) fn row_changed(&mut self) {
        self.row_is_stale = self.file().is_some();
    }

    /// What is to be done with its row since the last call.
    pub(super) fn take_row_change(&mut self) -> Option<RowChange> {
        if !mem::take(&mut self.row_is_stale) {
            return None;
        }
        let is_open = self.file().is_some();
        let before = mem::replace(&mut self.has_row, is_open);
        match (before, self.has_row) {
            (_, true) => Some(RowChange::Save),
            (true, false) => Some(RowChange::Drop),
            (false, false) => None,
        }
    }

    pub(super) fn has_row(&self) -> bool {
        self.has_row
    }

    /// Says in which scope the document is open, in the dialect that has words for it.
    pub(super) fn scope_frame(&self) -> Option<Bytes> {
        self.key.hocuspocus(&ServerMessage::Authenticated { scope: self.role.scope() })
    }
}
