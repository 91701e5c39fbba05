//! Documents as clients have them.

use bytes::Bytes;
use shared::limits;
use yrs::{ClientID, Doc, OffsetKind, Options, ReadTxn, Text, Transact, Update, updates::decoder::Decode};

/// An empty one.
pub(crate) fn new_document(author: u64) -> Doc {
    let options = Options::with_client_id(ClientID::new(author));
    let doc = Doc::with_options(Options { offset_kind: OffsetKind::Utf16, ..options });
    doc.get_or_insert_text(limits::TEXT_ROOT);
    doc
}

/// What these updates make.
pub(crate) fn load(parts: impl IntoIterator<Item = Bytes>, author: u64) -> Doc {
    let doc = new_document(author);
    for part in parts {
        doc.transact_mut().apply_update(Update::decode_v1(&part).unwrap()).unwrap();
    }
    doc
}

/// The update that appends `text` to what `parts` make.
pub(crate) fn typed(parts: impl IntoIterator<Item = Bytes>, author: u64, text: &str) -> Bytes {
    let doc = load(parts, author);
    let before = doc.transact().state_vector();
    let content = doc.get_or_insert_text(limits::TEXT_ROOT);
    let end = content.len(&doc.transact());
    content.insert(&mut doc.transact_mut(), end, text);
    Bytes::from(doc.transact().encode_diff_v1(&before))
}
