//! Documents of yrs.

use yrs::{
    Doc, GetString, OffsetKind, Options, ReadTxn, StateVector, Transact, Update, updates::decoder::Decode,
};

pub(crate) fn document(client: u64) -> Doc {
    let client_id = yrs::block::ClientID::new(client);
    let doc = Doc::with_options(Options { client_id, offset_kind: OffsetKind::Utf16, ..Options::default() });
    doc.get_or_insert_text("content");
    doc
}

pub(crate) fn apply(doc: &Doc, update: &[u8]) {
    let update = Update::decode_v1(update).expect("what passes the gate can be read");
    doc.transact_mut().apply_update(update).expect("what passes the gate can be applied");
}

pub(crate) fn text(doc: &Doc) -> String {
    let text = doc.get_or_insert_text("content");
    text.get_string(&doc.transact())
}

pub(crate) fn state(doc: &Doc) -> Vec<u8> {
    doc.transact().encode_state_as_update_v1(&StateVector::default())
}

/// The text of updates in order.
pub(crate) fn text_of<'a>(updates: impl IntoIterator<Item = &'a Vec<u8>>) -> String {
    let doc = document(9_000_001);
    updates.into_iter().for_each(|update| apply(&doc, update));
    text(&doc)
}
