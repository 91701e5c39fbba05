//! What clients of text frames have that the log does not say: carriage returns that they have sent and still have.

use std::sync::Arc;

use shared::wire::text::TextPosition;

/// The text that the author of a change has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum OwnText {
    /// The one that its logged changes give.
    #[default]
    AsLogged,
    /// This one.
    Other(Arc<str>),
    /// Another one that is not known here: another origin has encoded the same change.
    Unknown,
}

/// The texts of one client, by the numbers of its changes, until the client names another position.
#[derive(Clone, Debug, Default)]
pub(crate) struct OwnTexts(Vec<(u64, TextPosition, OwnText)>);

impl OwnTexts {
    /// What the author had before this change.
    pub(crate) fn before(&self, hub_seq: u64, base: &TextPosition) -> OwnText {
        let mut earlier = self.0.iter().rev().filter(|(number, of, _)| *number < hub_seq && of == base);
        earlier.next().map(|(.., text)| text.clone()).unwrap_or_default()
    }

    /// What the author has after this change; a number that comes again replaces what was said from it on.
    pub(crate) fn add(&mut self, hub_seq: u64, base: TextPosition, text: OwnText) {
        self.0.retain(|(number, ..)| *number < hub_seq);
        if text != OwnText::AsLogged || !self.0.is_empty() {
            self.0.push((hub_seq, base, text));
        }
    }

    /// All changes up to this one are answered: nothing will ask for what was before it.
    pub(crate) fn answered(&mut self, hub_seq: u64) {
        let last = self.0.iter().rposition(|(number, ..)| *number <= hub_seq).unwrap_or(0);
        self.0.drain(..last);
    }
}
