//! A file of a room in memory: its document, and what the log holds of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use shared::update::{Ahead, History};
use yrs::{
    Doc, GetString, OffsetKind, Options, ReadTxn, StateVector, Transact, Update,
    updates::{decoder::Decode, encoder::Encode},
};

use super::past::Past;
use crate::room_store::{FileLog, LogEntry};

/// A document that holds logged updates only, with the gate's view of it.
#[derive(Debug)]
pub(in crate::room) struct LiveFile {
    doc: Doc,
    /// What is logged.
    pub(super) history: History,
    /// What the append in flight adds to the clocks.
    pub(super) ahead: Ahead,
    /// The size of its state in bytes, counted upwards; exact after a flush.
    pub(super) size: usize,
    /// The room's seq of its last change.
    pub(super) seq: u64,
    /// What it was, as long as clients of text frames have it open.
    pub(super) past: Option<Past>,
}

/// Why a file cannot be brought into memory.
#[derive(Debug, thiserror::Error)]
#[error("the file's log cannot be applied: {0}")]
pub(in crate::room) struct Broken(String);

impl LiveFile {
    /// Builds a document from its base and log.
    pub(in crate::room) fn read(log: &FileLog) -> Result<Self, Broken> {
        let doc = Doc::with_options(Options { offset_kind: OffsetKind::Utf16, ..Options::default() });
        doc.get_or_insert_text(shared::limits::TEXT_ROOT);
        let mut file = Self {
            doc,
            history: History::default(),
            ahead: Ahead::default(),
            size: 0,
            seq: log.base_seq,
            past: None,
        };
        file.apply(&log.base, log.base_seq)?;
        for entry in &log.updates {
            file.apply(&entry.bytes, entry.seq)?;
        }
        Ok(file)
    }

    /// Applies a logged update. After an error the file must be read anew.
    pub(super) fn apply(&mut self, bytes: &Bytes, seq: u64) -> Result<(), Broken> {
        let applied = catch_unwind(AssertUnwindSafe(|| {
            let update = Update::decode_v1(bytes).map_err(|error| error.to_string())?;
            self.doc.transact_mut().apply_update(update).map_err(|error| error.to_string())
        }));
        match applied {
            Ok(Ok(())) => {}
            Ok(Err(error)) => return Err(Broken(error)),
            Err(_) => return Err(Broken("panic".to_owned())),
        }
        self.history.absorb(bytes).map_err(|error| Broken(error.to_string()))?;
        self.size += bytes.len();
        self.seq = self.seq.max(seq);
        Ok(())
    }

    /// Applies a logged update and remembers it, if the past is kept.
    pub(super) fn log(&mut self, entry: &LogEntry) -> Result<(), Broken> {
        self.apply(&entry.bytes, entry.seq)?;
        let Some(past) = &mut self.past else { return Ok(()) };
        past.add(entry);
        if past.is_long() {
            past.turn(
                self.doc.transact().encode_state_as_update_v1(&StateVector::default()).into(),
                entry.seq,
            );
        }
        Ok(())
    }

    /// What the append in flight was to add is logged by now, or never will be.
    pub(super) fn settle(&mut self) {
        self.ahead.clear();
        if let Some(past) = &mut self.past {
            past.settle();
        }
    }

    /// What it says.
    pub(in crate::room) fn text(&self) -> String {
        let text = self.doc.get_or_insert_text(shared::limits::TEXT_ROOT);
        text.get_string(&self.doc.transact())
    }

    /// What a client with this state vector lacks.
    pub(super) fn diff(&self, state_vector: &[u8]) -> Bytes {
        let known = StateVector::decode_v1(state_vector).unwrap_or_default();
        self.doc.transact().encode_diff_v1(&known).into()
    }

    /// The state vector of the log.
    pub(super) fn state_vector(&self) -> Bytes {
        self.doc.transact().state_vector().encode_v1().into()
    }
}
