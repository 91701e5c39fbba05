//! The first synchronisation of a channel: the client's Step1, and the question to the origin that answers it.

use bytes::Bytes;

use crate::wire::yjs;

/// The steps that are still to come.
#[derive(Clone, Debug, Default)]
pub(super) struct SyncState {
    /// The client's Step1 that was not answered yet.
    step1: Option<Bytes>,
    /// The number of the question to the origin that waits for its answer.
    asked: u64,
    /// Whether the client is to be asked with Step1, once the log's state vector is known.
    probing: bool,
}

impl SyncState {
    /// What a snapshot leaves: the state vector of an unanswered Step1 is lost, the whole document answers it.
    pub(super) fn restored(unanswered: bool, probing: bool) -> Self {
        let step1 = unanswered.then(|| Bytes::from_static(yjs::EMPTY_STATE_VECTOR));
        Self { step1, asked: 0, probing }
    }

    /// The client has sent Step1.
    pub(super) fn begin(&mut self, state_vector: Bytes) {
        self.step1 = Some(state_vector);
    }

    /// The client is to be sent the whole document again.
    pub(super) fn restart(&mut self) {
        self.begin(Bytes::from_static(yjs::EMPTY_STATE_VECTOR));
        self.asked = 0;
    }

    /// Asks the client with Step1 as soon as the log's state vector is known.
    pub(super) fn probe(&mut self) {
        self.probing = true;
    }

    /// Whether the client waits for the answer to its Step1.
    pub(super) fn is_unanswered(&self) -> bool {
        self.step1.is_some()
    }

    /// An answer that is on its way answers another question.
    pub(super) fn forget_question(&mut self) {
        self.asked = 0;
    }

    /// The state vector to ask the origin with under this number: empty, if only the log's is wanted; `None` if
    /// nothing is.
    pub(super) fn question(&mut self, number: u64) -> Option<Bytes> {
        let state_vector = match &self.step1 {
            Some(state_vector) => state_vector.clone(),
            None if self.probing => Bytes::new(),
            None => return None,
        };
        self.asked = number;
        Some(state_vector)
    }

    /// The answer to a question has come: whether it answers the client's Step1; `None` if it is not the last question.
    pub(super) fn answered(&mut self, number: u64) -> Option<bool> {
        if self.asked != number {
            return None;
        }
        self.probing = false;
        Some(self.step1.take().is_some())
    }
}
