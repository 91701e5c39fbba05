//! A file of a room in memory: its document, and what the log holds of it.

use std::{
    collections::{BTreeMap, VecDeque},
    iter,
    sync::Arc,
};

use bytes::Bytes;
use shared::{
    limits,
    update::{self, Ahead, GateError, History},
};
use yrs::{ClientID, Doc, GetString, ReadTxn, StateVector, Transact, updates::decoder::Decode};

use super::{past::Past, size::FileSize};
use crate::{
    document,
    log::{FileLog, LogEntry},
    text::TextError,
};

/// From here on client ids are made by the server.
const SERVER_MADE: u64 = 1 << 52;
/// Of how many clients the end of the text is asked for again.
const OVERLAPPING: usize = 64;

/// A document that holds logged updates only, with the gate's view of it.
#[derive(Debug)]
pub(super) struct LiveFile {
    doc: Doc,
    /// What is logged.
    pub(super) history: History,
    /// What the append in flight adds to the clocks.
    pub(super) ahead: Ahead,
    /// The members who have extended the text of Yjs clients, as far as this origin has seen.
    pub(super) owners: BTreeMap<u64, Arc<str>>,
    /// The Yjs clients whose text was logged last, the last one first.
    recent: VecDeque<u64>,
    pub(super) size: FileSize,
    /// The room's seq of its last change.
    pub(super) seq: u64,
    /// What it was, as long as clients of text frames have it open.
    pub(super) past: Option<Past>,
}

/// Why a file cannot be brought into memory.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    /// The document does not take it.
    #[error("the file's log cannot be applied: {0}")]
    Document(#[from] TextError),
    /// The gate does not.
    #[error("the file's log cannot be applied: {0}")]
    Gate(#[from] GateError),
}

impl LiveFile {
    /// Builds a document from its base and log.
    pub(super) fn read(log: &FileLog) -> Result<Self, Broken> {
        let mut file = Self {
            doc: document::new_document(ClientID::random()),
            history: History::default(),
            ahead: Ahead::default(),
            owners: BTreeMap::new(),
            recent: VecDeque::new(),
            size: FileSize::default(),
            seq: log.base_seq,
            past: None,
        };
        let logged = log.updates.iter().map(|entry| (&entry.bytes, entry.seq));
        let all = iter::once((&log.base, log.base_seq)).chain(logged);
        document::apply(&file.doc, all.clone().map(|(bytes, _)| &**bytes))?;
        for (bytes, seq) in all {
            file.applied(bytes, seq)?;
            file.note_recent(bytes);
        }
        file.measure_if_doubtful();
        Ok(file)
    }

    /// Applies a logged update. After an error the file must be read anew.
    pub(super) fn apply(&mut self, bytes: &Bytes, seq: u64) -> Result<(), Broken> {
        document::apply(&self.doc, [&**bytes])?;
        self.applied(bytes, seq)?;
        self.note_recent(bytes);
        Ok(())
    }

    /// What the document holds is in the gate's view too.
    fn applied(&mut self, bytes: &Bytes, seq: u64) -> Result<(), Broken> {
        let deletions = self.history.absorb(bytes)?;
        self.size.add(bytes.len(), deletions);
        self.seq = self.seq.max(seq);
        Ok(())
    }

    /// Applies a logged update and remembers it, if the past is kept.
    pub(super) fn log(&mut self, entry: &LogEntry) -> Result<(), Broken> {
        self.apply(&entry.bytes, entry.seq)?;
        let Some(past) = &mut self.past else { return Ok(()) };
        past.add(entry);
        if past.is_long() {
            past.turn(state_of(&self.doc), entry.seq);
        }
        Ok(())
    }

    /// Measures the state if its size is close to the limits and not known well enough. Whether it did.
    pub(super) fn measure_if_doubtful(&mut self) -> bool {
        let doubtful = self.size.is_doubtful();
        if doubtful {
            self.measure();
        }
        doubtful
    }

    pub(super) fn measure(&mut self) {
        self.size.measure(state_of(&self.doc).len(), self.text().len());
    }

    /// What the append in flight was to add is logged by now, or never will be.
    pub(super) fn settle(&mut self) {
        self.ahead.clear();
        self.history.settle();
        if let Some(past) = &mut self.past {
            past.settle();
        }
    }

    /// What it says.
    pub(super) fn text(&self) -> String {
        let text = self.doc.get_or_insert_text(limits::TEXT_ROOT);
        text.get_string(&self.doc.transact())
    }

    /// What a client with this state vector lacks.
    pub(super) fn diff(&self, state_vector: &[u8]) -> Bytes {
        let known = StateVector::decode_v1(state_vector).unwrap_or_default();
        self.doc.transact().encode_diff_v1(&known).into()
    }

    /// The state vector to ask a client with that has this one: of what was typed last, and of what the client has
    /// more of than the log, it reaches back a little, so that the answer shows whether both have the same.
    pub(super) fn state_vector(&self, of_client: &[u8]) -> Bytes {
        let known = &self.history.state_vector;
        let mut authors = known.iter().map(|(client, _)| client).filter(|client| *client < SERVER_MADE);
        let few: Vec<u64> = authors.by_ref().take(OVERLAPPING).collect();
        if authors.next().is_none() {
            return self.history.overlapping(few).write();
        }
        let theirs = shared::update::StateVector::read(of_client).unwrap_or_default();
        let more =
            theirs.iter().filter(|(client, clock)| *clock > known.get(*client) && known.get(*client) > 0);
        let more = more.map(|(client, _)| client).take(OVERLAPPING);
        self.history.overlapping(self.recent.iter().copied().chain(more)).write()
    }

    /// These clients have typed last.
    fn note_recent(&mut self, bytes: &[u8]) {
        let spans = update::spans(bytes).unwrap_or_default();
        // What the server makes of a text change nobody goes on with.
        for span in spans.iter().filter(|span| span.client < SERVER_MADE) {
            if self.recent.front() != Some(&span.client) {
                self.recent.retain(|client| *client != span.client);
                self.recent.push_front(span.client);
                self.recent.truncate(OVERLAPPING);
            }
        }
    }
}

/// The text that a file's base and log make together.
pub fn text_of(log: &FileLog) -> Result<String, Broken> {
    LiveFile::read(log).map(|file| file.text())
}

fn state_of(doc: &Doc) -> Bytes {
    doc.transact().encode_state_as_update_v1(&StateVector::default()).into()
}
