//! A file of a room in memory: its document, and what the log holds of it.

mod gate;

use std::{
    collections::{BTreeMap, VecDeque},
    iter,
    sync::Arc,
};

use bytes::Bytes;
use shared::{
    id::{ChannelId, FileId},
    limits,
    position::Position,
    update::{self, Ahead, GateError, History},
    wire::link::OriginMessage,
};
use yrs::{ClientID, Doc, GetString, ReadTxn, StateVector, Transact, updates::decoder::Decode};

use crate::{
    document,
    log::{FileLog, LogEntry},
    size::FileSize,
    text::{Merged, TextError},
    text_history::TextHistory,
};

/// From here on client ids are made by the server.
const SERVER_MADE: u64 = 1 << 52;
/// Of how many clients the end of the text is asked for again.
const OVERLAPPING: usize = 64;
/// The state vector of an empty document.
const NOTHING: &[u8] = &[0];

/// A document that holds logged updates only, with the gate's view of it.
#[derive(Debug)]
pub(crate) struct LiveFile {
    doc: Doc,
    /// What is logged.
    history: History,
    /// What the append in flight adds to the clocks.
    ahead: Ahead,
    /// The members who have extended the text of Yjs clients, as far as this origin has seen.
    owners: BTreeMap<u64, Arc<str>>,
    /// The Yjs clients whose text was logged last, the last one first.
    recent: VecDeque<u64>,
    size: FileSize,
    /// The room's seq of its last change.
    seq: u64,
    /// Kept as long as clients of text frames have the file open.
    text_history: Option<TextHistory>,
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

/// The text that a file's base and log make together.
pub fn text_of(log: &FileLog) -> Result<String, Broken> {
    LiveFile::read(log, false).map(|file| file.text())
}

impl LiveFile {
    /// Builds a document from its base and log, with its text history if that is needed.
    pub(crate) fn read(log: &FileLog, needs_history: bool) -> Result<Self, Broken> {
        let mut file = Self {
            doc: document::new_document(ClientID::random()),
            history: History::default(),
            ahead: Ahead::default(),
            owners: BTreeMap::new(),
            recent: VecDeque::new(),
            size: FileSize::default(),
            seq: log.base_seq,
            text_history: needs_history.then(|| TextHistory::read(log)),
        };
        let logged = log.updates.iter().map(|entry| (&entry.bytes, entry.seq));
        let all = iter::once((&log.base, log.base_seq)).chain(logged);
        document::apply(&file.doc, all.clone().map(|(bytes, _)| &**bytes))?;
        for (bytes, seq) in all {
            file.absorb(bytes, seq)?;
        }
        file.measure_if_doubtful();
        Ok(file)
    }

    /// Applies a logged update. Whether the size was measured; after an error the file must be read again.
    pub(crate) fn apply(&mut self, entry: &LogEntry) -> Result<bool, Broken> {
        document::apply(&self.doc, [&*entry.bytes])?;
        self.absorb(&entry.bytes, entry.seq)?;
        if let Some(history) = &mut self.text_history {
            history.add(entry);
            if history.is_long() {
                history.begin_segment(state_of(&self.doc), entry.seq);
            }
        }
        Ok(self.measure_if_doubtful())
    }

    /// Brings the gate's view up to what the document holds.
    fn absorb(&mut self, bytes: &Bytes, seq: u64) -> Result<(), Broken> {
        let deletions = self.history.absorb(bytes)?;
        self.size.add(bytes.len(), deletions);
        self.seq = self.seq.max(seq);
        self.note_recent(bytes);
        Ok(())
    }

    fn measure_if_doubtful(&mut self) -> bool {
        let doubtful = self.size.is_doubtful();
        if doubtful {
            self.measure();
        }
        doubtful
    }

    fn measure(&mut self) {
        self.size.measure(state_of(&self.doc).len(), self.text().len());
    }

    /// What the append in flight was to add is logged by now, or never will be.
    pub(crate) fn settle(&mut self) {
        self.ahead.clear();
        self.history.settle();
        if let Some(history) = &mut self.text_history {
            history.settle();
        }
    }

    /// Its text.
    pub(crate) fn text(&self) -> String {
        let text = self.doc.get_or_insert_text(limits::TEXT_ROOT);
        text.get_string(&self.doc.transact())
    }

    /// What it was, if that is kept.
    pub(crate) fn text_history(&self) -> Option<&TextHistory> {
        self.text_history.as_ref()
    }

    /// No client of text frames has it open any more.
    pub(crate) fn drop_text_history(&mut self) {
        self.text_history = None;
    }

    /// A text change was encoded as an update and goes to the log.
    pub(crate) fn add_pending_text(&mut self, channel: ChannelId, hub_seq: u64, bytes: Bytes) {
        if let Some(history) = &mut self.text_history {
            history.add_pending(channel, hub_seq, bytes);
        }
    }

    /// Whether text of this Yjs client is logged.
    pub(crate) fn knows_client(&self, client: u64) -> bool {
        self.history.state_vector.get(client) > 0
    }

    /// Whether the places of new text can be checked in it.
    pub(crate) fn checks_places(&self) -> bool {
        self.history.checks_places()
    }

    /// The size of its state in bytes, hardly ever too small.
    pub(crate) fn bytes(&self) -> u64 {
        self.size.bytes() as u64
    }

    /// What hubs that may have to refuse something by its size are sent.
    pub(crate) fn size_message(&self, file: FileId) -> Option<OriginMessage> {
        self.size.message(file)
    }

    /// Its state and the seq that it is of.
    pub(crate) fn state(&self) -> (u64, Bytes) {
        (self.seq, self.diff(NOTHING))
    }

    /// What a client with this state vector lacks.
    fn diff(&self, state_vector: &[u8]) -> Bytes {
        let known = StateVector::decode_v1(state_vector).unwrap_or_default();
        self.doc.transact().encode_diff_v1(&known).into()
    }

    /// What it lacks of these updates, as one update; an error if they contradict it or depend on something missing.
    pub(crate) fn lacking(&self, updates: &VecDeque<Bytes>) -> Result<Option<Bytes>, Lacking> {
        for update in updates {
            self.history.compare(&Ahead::default(), update).map_err(Lacking::Contradicts)?;
        }
        let state = self.diff(NOTHING);
        let mut here = Merged::of([&*state])?;
        let there = Merged::of(iter::once(&*state).chain(updates.iter().map(|update| &**update)))?;
        Ok(here.absorb(&there)?)
    }

    /// The answer to a Step1 of a channel, or to the wish for a whole document.
    pub(crate) fn sync_answer(
        &self,
        channel: ChannelId,
        file: FileId,
        ask: u64,
        state_vector: &[u8],
        position: Position,
    ) -> Vec<OriginMessage> {
        let diff = OriginMessage::Diff {
            channel,
            ask,
            bytes: if state_vector.is_empty() { Bytes::new() } else { self.diff(state_vector) },
            state_vector: self.state_vector(state_vector),
            size: self.bytes(),
            position,
            file: file.clone(),
        };
        iter::once(diff).chain(self.size_message(file)).collect()
    }

    /// The state vector to ask a client with that has this one: of what was typed last, and of what the client has
    /// more of than the log, it reaches back a little, so that the answer shows whether both have the same.
    pub(crate) fn state_vector(&self, of_client: &[u8]) -> Bytes {
        let known = &self.history.state_vector;
        let mut authors = known.iter().map(|(client, _)| client).filter(|client| *client < SERVER_MADE);
        let few: Vec<u64> = authors.by_ref().take(OVERLAPPING).collect();
        if authors.next().is_none() {
            return self.history.overlapping(few).write();
        }
        let theirs = update::StateVector::read(of_client).unwrap_or_default();
        let more =
            theirs.iter().filter(|(client, clock)| *clock > known.get(*client) && known.get(*client) > 0);
        let more = more.map(|(client, _)| client).take(OVERLAPPING);
        self.history.overlapping(self.recent.iter().copied().chain(more)).write()
    }

    /// The clients of an update have typed last.
    fn note_recent(&mut self, bytes: &[u8]) {
        let spans = update::spans(bytes).unwrap_or_default();
        // Nothing is typed on under a client of the server.
        for span in spans.iter().filter(|span| span.client < SERVER_MADE) {
            if self.recent.front() != Some(&span.client) {
                self.recent.retain(|client| *client != span.client);
                self.recent.push_front(span.client);
                self.recent.truncate(OVERLAPPING);
            }
        }
    }
}

/// Why it cannot be said what a file lacks of some updates.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lacking {
    /// They contradict what is logged.
    #[error("{0}")]
    Contradicts(GateError),
    /// They depend on something, or cannot be read.
    #[error(transparent)]
    Text(#[from] TextError),
}

fn state_of(doc: &Doc) -> Bytes {
    doc.transact().encode_state_as_update_v1(&StateVector::default()).into()
}
