//! A room store in memory with the contract of `origin::room_store`, for one room, that fails on command.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use origin::room_store::{
    Backfill, Batch, Claimed, FileLog, LogEntry, Logged, Published, Source, StoreError,
};
use shared::{
    id::{FileId, FilePath},
    position::{Epoch, Position},
    wire::event::EventOut,
};

/// How the next append goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is refused and changes nothing.
    Refused,
    /// It is done, but nobody hears of it.
    AnswerLost,
}

pub(crate) struct Store {
    pub(crate) position: Position,
    pub(crate) names: BTreeMap<FileId, FilePath>,
    pub(crate) log: Vec<LogEntry>,
    marks: BTreeMap<String, u64>,
    answers: BTreeMap<String, (u64, Vec<Logged>)>,
    pub(crate) faults: VecDeque<Fault>,
    /// What was published, for each origin that has not taken it yet.
    pub(crate) published: BTreeMap<usize, VecDeque<Published>>,
}

impl Store {
    pub(crate) fn new(files: &[&str]) -> Self {
        let name = |(at, path): (usize, &&str)| {
            (FileId::from_random(at as u128), FilePath::parse(path).expect("a path"))
        };
        Self {
            position: Position { epoch: Epoch(7), seq: 0, ts: 1_000 },
            names: files.iter().enumerate().map(name).collect(),
            log: Vec::new(),
            marks: BTreeMap::new(),
            answers: BTreeMap::new(),
            faults: VecDeque::new(),
            published: BTreeMap::new(),
        }
    }

    pub(crate) fn append(&mut self, batch: Batch) -> Result<Vec<Logged>, StoreError> {
        let fault = self.faults.pop_front();
        if fault == Some(Fault::Refused) {
            return Err(StoreError::Full);
        }
        if let Some((number, answer)) = self.answers.get(&batch.origin)
            && *number == batch.number
        {
            return Ok(answer.clone());
        }
        let mut answer = Vec::new();
        let mut entries = Vec::new();
        for entry in batch.entries {
            let mark = self.marks.entry(entry.source.hub.clone()).or_default();
            let event = entry.file.is_room() && entry.source.hub_seq > 0;
            if event && entry.source.hub_seq <= *mark {
                answer.push(Logged { seq: self.position.seq, ts: self.position.ts, duplicate: true });
                continue;
            }
            if event {
                *mark = entry.source.hub_seq;
            }
            let logged = self.next(entry.file, entry.source, entry.bytes);
            answer.push(Logged { seq: logged.seq, ts: logged.ts, duplicate: false });
            entries.push(logged);
        }
        self.answers.insert(batch.origin, (batch.number, answer.clone()));
        self.publish(entries);
        if fault == Some(Fault::AnswerLost) {
            return Err(StoreError::Failed("the answer was lost".to_owned()));
        }
        Ok(answer)
    }

    pub(crate) fn claim(&mut self, path: &FilePath, id: &FileId) -> Claimed {
        if let Some((taken, _)) = self.names.iter().find(|(_, known)| *known == path) {
            return Claimed::Taken(taken.clone());
        }
        self.names.insert(id.clone(), path.clone());
        let json: Bytes = EventOut::created(id, path).to_json().into();
        let entry = self.next(FileId::room(), Source::default(), json);
        let logged = Logged { seq: entry.seq, ts: entry.ts, duplicate: false };
        self.publish(vec![entry]);
        Claimed::New(logged)
    }

    pub(crate) fn read(&self, file: &FileId) -> Result<FileLog, StoreError> {
        let path = self.names.get(file).cloned().ok_or(StoreError::NoFile)?;
        let updates = self.log.iter().filter(|entry| entry.file == *file).cloned().collect();
        let base = Bytes::from_static(shared::wire::yjs::EMPTY_UPDATE);
        Ok(FileLog { position: self.position, path, base_ts: 0, base_seq: 0, base, updates })
    }

    pub(crate) fn backfill(&self, from: Position) -> Backfill {
        if from.epoch != self.position.epoch {
            return Backfill::Reset(self.position);
        }
        let later = self.log.iter().filter(|entry| entry.seq > from.seq).cloned().collect();
        Backfill::Changes(self.position, later)
    }

    fn next(&mut self, file: FileId, source: Source, bytes: Bytes) -> LogEntry {
        self.position.seq += 1;
        self.position.ts += 1;
        let entry = LogEntry { file, seq: self.position.seq, ts: self.position.ts, source, bytes };
        self.log.push(entry.clone());
        entry
    }

    fn publish(&mut self, entries: Vec<LogEntry>) {
        for queue in self.published.values_mut() {
            queue.push_back(Published::Changes(self.position.epoch, entries.clone()));
        }
    }
}
