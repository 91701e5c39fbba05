//! A change on its way: what is refused for good, what others may see of it before it is logged, and what the origin's
//! refusal means.

use super::{
    channel::Channel, clocks::Showing, document::Document, documents::is_large, outbox::Settled,
    size::DocumentSize,
};
use crate::{
    close::CloseCode,
    limits,
    update::{self, GateError, Span},
    wire::{
        link::{ChangeKind, HubMessage},
        text,
    },
};

/// The word for a change of somebody who may not make any.
pub(super) const READ_ONLY: &str = "read-only";
/// The word for a change that would make a file too large, or is too large itself.
pub(super) const TOO_LARGE: &str = "file-too-large";
/// The word for a change that an outbox has no room for.
pub(super) const OUTBOX_FULL: &str = "outbox-full";

/// Why a change is refused for good.
pub(super) enum Refusal {
    ReadOnly,
    /// With the reason for people.
    TooLarge(String),
    Malformed(&'static str),
}

/// Refuses everything that would be refused for good, so that nobody sees what the log will not have.
pub(super) fn validate(
    may_edit: bool,
    size: DocumentSize,
    kind: ChangeKind,
    bytes: &[u8],
) -> Result<(), Refusal> {
    if !may_edit && kind == ChangeKind::Update {
        return Err(Refusal::ReadOnly);
    }
    if bytes.len() > limits::FILE_BYTES {
        let why = format!("the change takes {} bytes of at most {}", bytes.len(), limits::FILE_BYTES);
        return Err(Refusal::TooLarge(why));
    }
    let shape = update::check(bytes).map_err(|error| Refusal::Malformed(error.word()))?;
    if kind != ChangeKind::Update {
        return Ok(());
    }
    if shape.garbage {
        return Err(Refusal::Malformed(GateError::Garbage.word()));
    }
    // Deleting is what helps. What is as large as a Step2 is decided by the origin, as a Step2 is.
    if shape.inserts && !is_large(bytes.len()) && size.refuses(bytes.len()) {
        return Err(Refusal::TooLarge(size.why_too_large()));
    }
    Ok(())
}

/// When an update is shown to the others here: not before all that it builds on, which they would wait for and send on.
/// If the link does not flow they go on without the origin, and may have to be healed.
pub(super) fn showing(
    channel: &Channel,
    document: Option<&Document>,
    is_distrusted: bool,
    link_flows: bool,
    bytes: &[u8],
) -> (Showing, Vec<Span>) {
    let spans = update::spans(bytes).unwrap_or_default();
    if !link_flows {
        return (Showing::Now, spans);
    }
    let waits = is_distrusted
        || is_large(bytes.len())
        || document.is_some_and(|document| document.size.doubts(bytes.len()));
    let showing = if waits { Showing::Logged } else { channel.clocks.showing(&spans) };
    let fits = || document.is_some_and(|document| document.has_what_builds(bytes));
    (if showing == Showing::Now && !fits() { Showing::Logged } else { showing }, spans)
}

/// What follows when the origin refuses a change for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Its author may only read: it is told, and its Step2 settles nothing.
    ReadOnly,
    /// Nobody else has seen it: its author's document is closed.
    Author,
    /// A change of a text frame: its author gets the whole text.
    Text,
    /// A room event.
    Event,
    /// A change of a text frame whose author has come back since: nobody has seen anything of it.
    Nothing,
    /// Neighbours may have it: nobody is left to type on top of it. The author is distrusted from now on, and its
    /// document closed too if it `conflicts`.
    Diverged { conflicts: bool },
}

impl Refused {
    pub(super) fn of(settled: Option<&Settled>, reason: &str) -> Self {
        let is_shown = settled.is_none_or(|settled| settled.shown);
        match settled.map(|settled| &settled.message) {
            Some(HubMessage::Update { kind: ChangeKind::Step2, .. }) if reason == READ_ONLY => Self::ReadOnly,
            Some(HubMessage::Update { kind: ChangeKind::Step2, .. }) => Self::Author,
            Some(HubMessage::Update { .. }) if !is_shown => Self::Author,
            Some(HubMessage::Text { .. }) => Self::Text,
            Some(HubMessage::Event { .. }) => Self::Event,
            None if text::REFUSALS.contains(&reason) => Self::Nothing,
            _ => Self::Diverged { conflicts: reason == update::REUSE },
        }
    }
}

/// With which code the document of an author is closed whose change is refused, and why, for people.
pub(super) fn author_refusal(reason: &str) -> (CloseCode, &'static str) {
    match reason {
        update::REUSE => {
            (CloseCode::Conflict, "other text is known under the same client id; go on with a new document")
        }
        _ => (CloseCode::BadFrame, "the change was refused"),
    }
}
