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
    // Whatever it is, reading it hurts nobody.
    let (mut history, mut ahead) = (History::default(), Ahead::default());
    let _ = History::of(bytes);
    if check(bytes).is_err() {
        return;
    }
    history.compare(&ahead, bytes).expect("nothing is known that it could contradict");
    let advance = match history.admit(&ahead, bytes) {
        Ok(advance) => advance,
        Err(error) => return assert!(error.is_missing()),
    };
    ahead.apply(&advance, bytes).expect("what is admitted is counted on");
    history.compare(&ahead, bytes).expect("what is on its way says the same as itself");
    history.absorb(bytes).expect("what is admitted is absorbed");
    let clocks = advance.iter().map(|extension| (extension.client, extension.to));
    assert!(clocks.eq(history.state_vector.iter()));
    let again = history.compare(&Ahead::default(), bytes).expect("what is logged says the same as itself");
    assert!(!again.is_new && !again.new_garbage);
    apply(bytes);
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
