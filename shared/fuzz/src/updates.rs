//! The gate: it gives one answer, and what passes is safe to be handed to a document.

use shared::update::{Ahead, History, StateVector, check};
use yrs::{Doc, GetString, ReadTxn, Transact, updates::decoder::Decode};

/// A state vector keeps its clocks.
pub fn state_vector(bytes: &[u8]) {
    if let Ok(clocks) = StateVector::read(bytes) {
        assert_eq!(StateVector::read(&clocks.write()), Ok(clocks));
    }
}

/// A Yjs v1 update.
pub fn update(bytes: &[u8]) {
    let shape = check(bytes);
    let mut history = History::default();
    let admitted = history.admit(&Ahead::default(), bytes);
    assert_eq!(shape.err(), history.brings_new(bytes).err());
    match (shape, admitted) {
        (Ok(_), Err(error)) => assert!(error.is_missing()),
        (Ok(_), Ok(advance)) => {
            history.absorb(bytes).expect("what is admitted is absorbed");
            assert!(advance.iter().eq(history.state_vector.iter()));
            assert_eq!(history.brings_new(bytes), Ok(false));
            apply(bytes);
        }
        (Err(error), admitted) => assert_eq!(admitted, Err(error)),
    }
}

/// What depends on nothing and passes can be applied, read and written again.
fn apply(bytes: &[u8]) {
    let doc = Doc::new();
    let text = doc.get_or_insert_text(shared::limits::TEXT_ROOT);
    let update = yrs::Update::decode_v1(bytes).expect("what passes the gate can be decoded");
    let mut transaction = doc.transact_mut();
    transaction.apply_update(update).expect("what passes the gate can be applied");
    let _ = text.get_string(&transaction);
    assert!(!transaction.encode_state_as_update_v1(&yrs::StateVector::default()).is_empty());
}
