//! Documents of the CRDT library: made alike, filled in transactions of bounded length, and what fails in them as an
//! error.
//!
//! At the end of a transaction the library joins what was inserted into longer blocks, from the last to the first, and
//! copies the text of each block for each one that is joined with it. So a transaction takes time with the square of
//! its length: a long log in one is never done. One for each update is linear, and costs more than most updates hold.

use std::panic::{AssertUnwindSafe, catch_unwind};

use shared::{limits, update::GateError};
use yrs::{ClientID, Doc, OffsetKind, Options, Transact, Update, updates::decoder::Decode};

/// Updates in one transaction.
const UPDATES: usize = 256;
/// Bytes of updates in one transaction; a larger update has one of its own.
const BYTES: usize = 16 << 10;

/// Why there is no text for a state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TextError {
    /// It depends on updates that are not there.
    #[error("the state depends on updates that are missing")]
    Missing,
    /// It cannot be read.
    #[error("the state is damaged: {0}")]
    Damaged(String),
    /// Read again, the encoded state has another text than the document that it was made of.
    #[error("the state that was encoded has another text than the merged document")]
    Differs,
    /// What the archive has contradicts what the room has.
    #[error("what is stored and what is logged do not fit together: {0}")]
    Contradicts(GateError),
}

/// An empty document with the root of a text file, in which changes are made by `client`.
pub(crate) fn new_document(client: ClientID) -> Doc {
    let doc =
        Doc::with_options(Options { offset_kind: OffsetKind::Utf16, ..Options::with_client_id(client) });
    doc.get_or_insert_text(limits::TEXT_ROOT);
    doc
}

/// Applies updates in order; what lacks something waits in the document. After an error the document is of no use.
pub(crate) fn apply<'a>(doc: &Doc, updates: impl IntoIterator<Item = &'a [u8]>) -> Result<(), TextError> {
    caught(|| {
        let mut updates = updates.into_iter().peekable();
        while updates.peek().is_some() {
            let mut change = doc.transact_mut();
            let (mut count, mut bytes) = (0, 0);
            while let Some(update) = updates.next_if(|next| count == 0 || bytes + next.len() <= BYTES) {
                change.apply_update(Update::decode_v1(update).map_err(damaged)?).map_err(damaged)?;
                (count, bytes) = (count + 1, bytes + update.len());
                if count == UPDATES {
                    break;
                }
            }
        }
        Ok(())
    })
}

/// What the library says is wrong.
pub(super) fn damaged(error: impl std::fmt::Display) -> TextError {
    TextError::Damaged(error.to_string())
}

/// Runs the CRDT library. After a panic its document is of no use: the caller drops it with the error.
pub(super) fn caught<T>(work: impl FnOnce() -> Result<T, TextError>) -> Result<T, TextError> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(damaged("the crdt library panicked")))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use proptest::prelude::*;
    use yrs::{GetString, ReadTxn, StateVector, Text};

    use super::*;

    /// What several authors type and delete, each change an update: who, where, and what (nothing to delete).
    fn log(changes: &[(u64, u32, &str)]) -> Vec<Vec<u8>> {
        let doc = new_document(ClientID::new(1));
        let content = doc.get_or_insert_text(limits::TEXT_ROOT);
        let mut updates = Vec::new();
        for (author, at, typed) in changes {
            let own = new_document(ClientID::new(*author));
            apply(&own, [&*state(&doc)]).unwrap();
            let length = content.len(&doc.transact());
            let update = {
                let text = own.get_or_insert_text(limits::TEXT_ROOT);
                let mut change = own.transact_mut();
                if typed.is_empty() && length > 0 {
                    text.remove_range(&mut change, at % length, 1);
                } else {
                    text.insert(&mut change, at % (length + 1), typed);
                }
                change.encode_update_v1()
            };
            apply(&doc, [&*update]).unwrap();
            updates.push(update);
        }
        updates
    }

    fn state(doc: &Doc) -> Vec<u8> {
        doc.transact().encode_state_as_update_v1(&StateVector::default())
    }

    fn text(doc: &Doc) -> String {
        doc.get_or_insert_text(limits::TEXT_ROOT).get_string(&doc.transact())
    }

    fn of<'a>(updates: impl IntoIterator<Item = &'a [u8]>) -> Doc {
        let doc = new_document(ClientID::new(1));
        apply(&doc, updates).unwrap();
        doc
    }

    /// How many clocks each transaction has moved on.
    fn transactions(updates: &[Vec<u8>]) -> Vec<u32> {
        let doc = new_document(ClientID::new(1));
        let seen = Arc::new(Mutex::new(Vec::new()));
        let told = seen.clone();
        let count = move |change: &mut yrs::TransactionMut<'_>| {
            let clocks = |vector: &StateVector| vector.iter().map(|(_, clock)| clock).sum::<u32>();
            told.lock().unwrap().push(clocks(change.after_state()) - clocks(change.before_state()));
        };
        doc.observe_after_transaction("test", count).unwrap();
        apply(&doc, updates.iter().map(|update| &**update)).unwrap();
        let mut seen = seen.lock().unwrap().clone();
        // To observe is one, too.
        seen.retain(|clocks| *clocks > 0);
        seen
    }

    /// Each of these typed after the other by one author, as an update.
    fn typed<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Vec<Vec<u8>> {
        let author = new_document(ClientID::new(7));
        let content = author.get_or_insert_text(limits::TEXT_ROOT);
        let type_in = |piece: &str| {
            let mut change = author.transact_mut();
            content.push(&mut change, piece);
            change.encode_update_v1()
        };
        pieces.into_iter().map(type_in).collect()
    }

    #[test]
    fn a_long_log_is_applied_in_transactions_of_bounded_length_that_leave_few_blocks() {
        let strokes = typed(std::iter::repeat_n("x", 10 * UPDATES + 1));
        let lengths = transactions(&strokes);
        assert_eq!(lengths.len(), 11);
        assert!(lengths.iter().all(|length| *length <= UPDATES as u32), "{lengths:?}");
        let whole = state(&of(strokes.iter().map(|update| &**update)));
        assert!(whole.len() < strokes.len() + 50, "one block, not {} bytes", whole.len());

        let (paste, large) = ("x".repeat(BYTES / 3), "x".repeat(4 * BYTES));
        let lengths = transactions(&typed([&*paste; 9]));
        assert!(lengths.iter().all(|length| *length <= BYTES as u32), "{lengths:?}");
        let lengths = transactions(&typed(["a", "b", &*large, "c", "d"]));
        assert_eq!(lengths, [2, large.len() as u32, 2], "a large one is alone");
    }

    proptest! {
        #[test]
        fn text_and_state_are_the_same_however_the_log_is_cut(
            changes in prop::collection::vec(
                (1_u64..5, 0_u32..100, prop::sample::select(vec!["", "", "a", "bc", "\u{1f600}", "xyz\n"])),
                1..60,
            ),
            cut in 1_usize..20,
        ) {
            let updates = log(&changes);
            let each = || updates.iter().map(|update| &**update);
            let whole = of(each());
            let one_by_one = new_document(ClientID::new(1));
            each().for_each(|update| apply(&one_by_one, [update]).unwrap());
            let in_pieces = new_document(ClientID::new(1));
            updates.chunks(cut).for_each(|some| apply(&in_pieces, some.iter().map(|update| &**update)).unwrap());
            for other in [&one_by_one, &in_pieces] {
                prop_assert_eq!(text(other), text(&whole));
                prop_assert!(other.transact().snapshot() == whole.transact().snapshot());
            }
            for doc in [&whole, &one_by_one, &in_pieces] {
                let again = of([&*state(doc)]);
                prop_assert_eq!(text(&again), text(&whole));
                prop_assert!(again.transact().snapshot() == whole.transact().snapshot());
            }
        }
    }
}
