//! Text and its CRDT state: the only place where the one becomes the other.
//!
//! Promise: a document that misses updates it depends on is never encoded, and a panic of the CRDT library
//! ends as an error.

use bytes::Bytes;
use shared::{limits, wire::text::TextChange};
use yrs::{ClientID, Doc, GetString, ReadTxn, Snapshot, StateVector, Text, Transact};

pub use crate::document::TextError;
use crate::{
    document::{apply, caught, damaged, new_document},
    edits, lines,
};

/// The state of a new file with this text: a Yjs v1 update by `client` (below 2^53), to be made exactly once.
pub fn state_of(text: &str, client: u64) -> Bytes {
    let doc = new_document(ClientID::new(client & ((1 << 53) - 1)));
    let content = doc.get_or_insert_text(limits::TEXT_ROOT);
    let mut change = doc.transact_mut();
    content.insert(&mut change, 0, text);
    Bytes::from(change.encode_state_as_update_v1(&StateVector::default()))
}

/// A change of a text, made into an update.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Typed {
    /// The Yjs v1 update; it holds nothing if nothing was changed.
    pub update: Bytes,
    /// The text that comes of it.
    pub text: String,
    /// The text that its author has now: line ends may differ.
    pub has: String,
}

/// Changes the text that `updates` make together. `had` is the text that the author had, if other line ends of its own
/// changes are in it. `client` is an id below 2^53 that nothing else was made with. `None` if edits do not fit.
pub fn type_into<'a>(
    updates: impl IntoIterator<Item = &'a [u8]>,
    client: u64,
    change: &TextChange,
    had: Option<&str>,
) -> Result<Option<Typed>, TextError> {
    let based = Merged::of_client(ClientID::new(client & ((1 << 53) - 1)), updates)?;
    let before = based.text();
    let had = had.unwrap_or(&before);
    let (has, edits) = match change {
        TextChange::Whole(text) => (text.clone(), lines::between(&before, text)),
        TextChange::Edits(edits) => match edits::apply(had, edits) {
            Some(has) if *had == before && !edits.iter().any(|edit| edit.insert.contains('\r')) => {
                (has, edits.clone())
            }
            // Its offsets are of another text than this one.
            Some(has) => {
                let edits = lines::between(&before, &has);
                (has, edits)
            }
            None => return Ok(None),
        },
    };
    let update = caught(|| {
        let content = based.doc.get_or_insert_text(limits::TEXT_ROOT);
        let mut typing = based.doc.transact_mut();
        for edit in &edits {
            let [at, delete] = [edit.at, edit.delete].map(|units| u32::try_from(units).unwrap_or(u32::MAX));
            if delete > 0 {
                content.remove_range(&mut typing, at, delete);
            }
            if !edit.insert.is_empty() {
                content.insert(&mut typing, at, &edit.insert);
            }
        }
        Ok(Bytes::from(typing.encode_update_v1()))
    })?;
    let text = based.text();
    if lines::in_lf(&text) == lines::in_lf(&has) {
        Ok(Some(Typed { update, text, has }))
    } else {
        Err(damaged("it says something else"))
    }
}

/// The text of a state (a Yjs v1 update).
pub fn text_of(state: &[u8]) -> Result<String, TextError> {
    Merged::of([state]).map(|merged| merged.text())
}

/// What several updates of one file make together; nothing it depends on is missing.
pub struct Merged {
    doc: Doc,
}

impl Merged {
    /// Merges updates, the base first and the log in order.
    pub fn of<'a>(updates: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, TextError> {
        Self::of_client(ClientID::random(), updates)
    }

    fn of_client<'a>(
        client: ClientID,
        updates: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, TextError> {
        let merged = Self { doc: new_document(client) };
        merged.apply(updates)?;
        Ok(merged)
    }

    /// Takes in more updates in order. Whether they inserted anything new; deletions are not looked at.
    pub fn add<'a>(&mut self, updates: impl IntoIterator<Item = &'a [u8]>) -> Result<bool, TextError> {
        let before = self.doc.transact().state_vector();
        self.apply(updates)?;
        Ok(self.doc.transact().state_vector() != before)
    }

    /// The text.
    pub fn text(&self) -> String {
        let content = self.doc.get_or_insert_text(limits::TEXT_ROOT);
        content.get_string(&self.doc.transact())
    }

    /// The state, a Yjs v1 update.
    pub fn state(&self) -> Result<Bytes, TextError> {
        caught(|| Ok(Bytes::from(self.doc.transact().encode_state_as_update_v1(&StateVector::default()))))
    }

    /// Whether both hold the same insertions and the same deletions.
    pub fn equals(&self, other: &Self) -> bool {
        self.snapshot() == other.snapshot()
    }

    /// Takes in what `other` holds. The answer is what was new, as an update, if anything was.
    pub fn absorb(&mut self, other: &Self) -> Result<Option<Bytes>, TextError> {
        let before = self.snapshot();
        let theirs = caught(|| Ok(other.doc.transact().encode_diff_v1(&before.state_map)))?;
        self.apply([&*theirs])?;
        Ok((self.snapshot() != before).then(|| Bytes::from(theirs)))
    }

    fn apply<'a>(&self, updates: impl IntoIterator<Item = &'a [u8]>) -> Result<(), TextError> {
        apply(&self.doc, updates)?;
        if self.doc.transact().has_missing_updates() { Err(TextError::Missing) } else { Ok(()) }
    }

    fn snapshot(&self) -> Snapshot {
        self.doc.transact().snapshot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_gives_its_text_back() {
        for text in ["", "let a = 1;\n", "h\u{e9} \u{1f600}\n\u{10ffff}"] {
            assert_eq!(text_of(&state_of(text, 7)).as_deref(), Ok(text));
        }
    }

    #[test]
    fn a_state_that_lacks_its_beginning_gives_no_text() {
        let doc = new_document(ClientID::new(1));
        let content = doc.get_or_insert_text(limits::TEXT_ROOT);
        content.insert(&mut doc.transact_mut(), 0, "a");
        let first = doc.transact().state_vector();
        content.insert(&mut doc.transact_mut(), 1, "b");
        let second = doc.transact().encode_diff_v1(&first);
        assert_eq!(text_of(&second), Err(TextError::Missing));
        assert!(matches!(text_of(&[9, 9, 9]), Err(TextError::Damaged(_))));
    }

    #[test]
    fn what_is_absorbed_is_told_once() {
        let mut ours = Merged::of([&*state_of("a", 1)]).unwrap();
        let theirs = Merged::of([&*state_of("b", 2)]).unwrap();
        let lacked = ours.absorb(&theirs).unwrap().unwrap();
        assert_eq!(text_of(&lacked).as_deref(), Ok("b"));
        assert_eq!(ours.absorb(&theirs), Ok(None));
        assert!(!ours.equals(&theirs));
    }

    #[test]
    fn what_is_added_tells_whether_it_inserts() {
        let doc = new_document(ClientID::new(1));
        let content = doc.get_or_insert_text(limits::TEXT_ROOT);
        let step = |at, typed: &str| {
            let mut change = doc.transact_mut();
            if typed.is_empty() {
                content.remove_range(&mut change, at, 1)
            } else {
                content.insert(&mut change, at, typed)
            }
            change.encode_update_v1()
        };
        let (base, deletion, insertion) = (step(0, "ab"), step(0, ""), step(1, "c"));
        let mut merged = Merged::of([&*base]).unwrap();
        assert_eq!(merged.add([&*base, &*deletion]), Ok(false));
        assert_eq!((merged.text(), merged.add([&*insertion])), ("b".to_owned(), Ok(true)));
        assert_eq!(merged.text(), "bc");
    }

    #[test]
    fn a_change_is_the_same_update_whenever_it_is_made_and_keeps_what_it_does_not_know() {
        let base = state_of("one\ntwo\n", 1);
        let change = TextChange::Whole("one\ntwo!\n".to_owned());
        let typed = type_into([&*base], 7, &change, None).unwrap().unwrap();
        assert_eq!(type_into([&*base], 7, &change, None), Ok(Some(typed.clone())));
        let other =
            type_into([&*base], 8, &TextChange::Whole("zero\none\n".to_owned()), None).unwrap().unwrap();
        let both = Merged::of([&*base, &typed.update, &other.update]).unwrap();
        assert_eq!(both.text(), "zero\none\n!");
        let far = TextChange::Edits(vec![shared::wire::text::Edit { at: 9, delete: 0, insert: "x".into() }]);
        assert_eq!(type_into([&*base], 9, &far, None), Ok(None));
    }
}
