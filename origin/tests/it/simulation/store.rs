//! A room store in memory with the contract of `origin::store`, for one room, that fails on command.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use origin::store::{Backfill, Batch, Claimed, FileLog, LogEntry, Logged, Published, Source, StoreError};
use shared::{
    id::{FileId, FilePath},
    position::{Epoch, Position},
    wire::event::{EventOut, StoredFile},
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
    /// The merged state of each file that was flushed or compacted, and the seq of the last update in it.
    bases: BTreeMap<FileId, (Bytes, u64)>,
    /// The files whose base the archive lacks, and the seq up to which it has them.
    compacted: BTreeMap<FileId, u64>,
    /// The files that the archive has, and the state of those that were flushed.
    archived: BTreeSet<FileId>,
    archive: BTreeMap<FileId, Bytes>,
    marks: BTreeMap<String, u64>,
    answers: BTreeMap<String, (u64, Vec<Logged>)>,
    clocks: BTreeMap<(FileId, u64), (u32, String)>,
    pub(crate) faults: VecDeque<Fault>,
    /// What was published, for each origin that has not taken it yet.
    pub(crate) published: BTreeMap<usize, VecDeque<Published>>,
}

impl Store {
    pub(crate) fn new(files: &[&str]) -> Self {
        let name = |(at, path): (usize, &&str)| {
            (FileId::from_random(at as u128), FilePath::parse(path).expect("a path"))
        };
        let names: BTreeMap<FileId, FilePath> = files.iter().enumerate().map(name).collect();
        Self {
            position: Position { epoch: Epoch(7), seq: 0, ts: 1_000 },
            archived: names.keys().cloned().collect(),
            archive: BTreeMap::new(),
            names,
            log: Vec::new(),
            bases: BTreeMap::new(),
            compacted: BTreeMap::new(),
            marks: BTreeMap::new(),
            answers: BTreeMap::new(),
            clocks: BTreeMap::new(),
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
        let mut clocks = self.clocks.clone();
        for entry in &batch.entries {
            for extension in &entry.extensions {
                let of_client = (entry.file.clone(), extension.client);
                let (known, owner) = clocks.entry(of_client).or_default();
                if *known > extension.from {
                    return Err(StoreError::Overtaken);
                }
                if !entry.author.is_empty() && !owner.is_empty() && **owner != *entry.author {
                    let (file, client) = (entry.file.clone(), extension.client);
                    return Err(StoreError::Owned { file, client, owner: owner.clone() });
                }
                *known = extension.to;
                if !entry.author.is_empty() {
                    *owner = entry.author.to_string();
                }
            }
        }
        self.clocks = clocks;
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
        let any = || FilePath::parse("room").expect("a path");
        let path = if file.is_room() { Some(any()) } else { self.names.get(file).cloned() };
        let path = path.ok_or(StoreError::NoFile)?;
        let updates = self.log.iter().filter(|entry| entry.file == *file).cloned().collect();
        let empty = (Bytes::from_static(shared::wire::yjs::EMPTY_UPDATE), 0);
        let (base, base_seq) = self.bases.get(file).cloned().unwrap_or(empty);
        let stored_seq = self.compacted.get(file).copied().unwrap_or(base_seq);
        Ok(FileLog { position: self.position, path, base_ts: base_seq, base_seq, stored_seq, base, updates })
    }

    pub(crate) fn backfill(&self, from: Position) -> Backfill {
        let trimmed = self.bases.values().map(|(_, seq)| *seq).max().unwrap_or(0);
        if from.epoch != self.position.epoch || from.seq < trimmed {
            return Backfill::Reset(self.position);
        }
        let later = self.log.iter().filter(|entry| entry.seq > from.seq).cloned().collect();
        Backfill::Changes(self.position, later)
    }

    /// Everything in it is lost; the room is populated again from what the archive has.
    pub(crate) fn empty(&mut self) {
        let archived = self.archive.iter().map(|(file, state)| (file.clone(), (state.clone(), 0)));
        self.begin_again(archived.collect());
    }

    fn begin_again(&mut self, bases: BTreeMap<FileId, (Bytes, u64)>) {
        let epoch = Epoch(self.position.epoch.0 + 1);
        self.position = Position { epoch, seq: 0, ts: self.position.ts + 1 };
        self.names.retain(|file, _| self.archived.contains(file));
        self.bases = bases;
        self.compacted.clear();
        self.log.clear();
        self.marks.clear();
        self.answers.clear();
        self.clocks.clear();
        for queue in self.published.values_mut() {
            queue.clear();
            queue.push_back(Published::Epoch(epoch));
        }
    }

    /// A replica takes over that has nothing of what was ever flushed or logged, and knows the files.
    pub(crate) fn lag(&mut self) {
        let names = self.names.clone();
        self.begin_again(BTreeMap::new());
        self.names = names;
    }

    /// What the archive has of a file.
    pub(crate) fn stored(&self, file: &FileId) -> Option<Bytes> {
        self.archive.get(file).cloned()
    }

    /// The archive has `state`: it is the base of the file, the updates in it are forgotten, the origins are told.
    pub(crate) fn trim(&mut self, path: &str, state: Bytes) {
        let Some((file, path)) = self.names.iter().find(|(_, known)| known.as_str() == path) else { return };
        let (file, seq) = (file.clone(), self.position.seq);
        let files = vec![StoredFile { id: file.clone(), path: path.clone(), seq, at: 0 }];
        let note = EventOut::Stored { epoch: self.position.epoch.0, files }.to_json();
        self.archived.insert(file.clone());
        self.archive.insert(file.clone(), state.clone());
        self.compacted.remove(&file);
        self.rebase(&file, state);
        self.announce(note.into());
    }

    /// The archive is away: `state` is the base of the file all the same, the updates in it are forgotten, nobody is told.
    pub(crate) fn compact(&mut self, path: &str, state: Bytes) {
        let Some((file, _)) = self.names.iter().find(|(_, known)| known.as_str() == path) else { return };
        let (file, stored) = (file.clone(), self.bases.get(file).map_or(0, |(_, seq)| *seq));
        self.compacted.entry(file.clone()).or_insert(stored);
        self.rebase(&file, state);
    }

    fn rebase(&mut self, file: &FileId, state: Bytes) {
        if let Some(last) = self.log.iter().filter(|entry| entry.file == *file).map(|entry| entry.seq).max() {
            self.bases.insert(file.clone(), (state, last));
            self.log.retain(|entry| entry.file != *file);
        }
    }

    fn next(&mut self, file: FileId, source: Source, bytes: Bytes) -> LogEntry {
        self.position.seq += 1;
        self.position.ts += 1;
        let entry = LogEntry { file, seq: self.position.seq, ts: self.position.ts, source, bytes };
        self.log.push(entry.clone());
        entry
    }

    pub(crate) fn announce(&mut self, note: Bytes) {
        for queue in self.published.values_mut() {
            queue.push_back(Published::Note(note.clone()));
        }
    }

    fn publish(&mut self, entries: Vec<LogEntry>) {
        for queue in self.published.values_mut() {
            queue.push_back(Published::Changes(self.position.epoch, entries.clone()));
        }
    }
}
