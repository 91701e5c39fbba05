//! What belongs to one epoch of a room: its log, and what counts from it. Replaced as a whole when the room begins
//! again.

mod batch;

pub(super) use self::batch::Around;
use bytes::Bytes;
use shared::{
    close::CloseCode,
    grant::Grant,
    id::{FileId, FileName, FilePath},
    limits,
    position::Position,
    wire::{event::EventOut, link::OriginMessage},
};

use crate::{
    claims::Claims,
    commit::Commit,
    documents::Documents,
    effect::Effect,
    file::Broken,
    ledger::Ledger,
    links::Links,
    log::{FileLog, LogEntry, Logged, Source},
    names::Names,
    opens::Opens,
    queue::Pending,
    recovery::{Destination, Recovery},
    store::{Claimed, StoreError},
    tail::{Order, Tail},
};

/// The parts of a room that count from its log.
#[derive(Debug)]
pub(super) struct EpochState {
    /// Why nothing can be opened, if that is so.
    pub(super) refusal: Option<Refusal>,
    pub(super) tail: Tail,
    pub(super) names: Names,
    pub(super) documents: Documents,
    pub(super) claims: Claims,
    pub(super) commit: Commit,
    pub(super) ledger: Ledger,
    /// What makes the client ids of text changes such as nobody can guess.
    secret: String,
}

/// Why something cannot be opened.
pub(super) type Refusal = (CloseCode, &'static str);

/// What a name stands for.
#[derive(Debug)]
pub(super) enum Target {
    /// This file.
    File(FileId),
    /// A path that is to be claimed.
    Path(FilePath),
}

/// What has become of a file that was read.
#[derive(Debug)]
pub(super) enum Read {
    /// It is in memory, or will be.
    Done,
    /// It is in memory, and the places of new text cannot be checked in it.
    Unchecked,
    /// It cannot be brought into memory.
    Broken(Broken),
    /// The room store has not given it.
    Failed(StoreError),
}

impl EpochState {
    /// A room as it is when it was populated. `copies` says whether the ledger keeps copies.
    pub(super) fn new(
        position: Position,
        names: Vec<(FileId, FilePath)>,
        batches: u64,
        secret: String,
        copies: bool,
    ) -> Self {
        Self {
            refusal: None,
            tail: Tail::new(position),
            names: names.into_iter().collect(),
            documents: Documents::default(),
            claims: Claims::default(),
            commit: Commit::new(batches),
            ledger: Ledger::new(copies),
            secret,
        }
    }

    /// Nothing can be opened (any more), and nothing is logged.
    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.refusal = Some(refusal);
        self.commit.clear();
        self.claims = Claims::default();
        self.documents.clear();
        if self.is_gone() {
            self.ledger.forget_copies(|_| true);
        }
    }

    /// Whether the shard is gone: nothing of it comes back.
    pub(super) fn is_gone(&self) -> bool {
        matches!(self.refusal, Some((CloseCode::NotFound | CloseCode::Deleted, _)))
    }

    /// What a name stands for: a file that is there, one that is to be restored, or a new one, if it may be created.
    pub(super) fn resolve(
        &self,
        name: &str,
        grant: &Grant,
        may_create: bool,
        recovery: &Recovery,
    ) -> Result<Target, Refusal> {
        if let Some(refusal) = self.refusal {
            return Err(refusal);
        }
        if name == limits::ROOM_DOCUMENT {
            return Ok(Target::File(FileId::room()));
        }
        let name = FileName::parse(name).map_err(|_| (CloseCode::NotFound, "bad-path"))?;
        if let Some(file) = self.names.find(&name) {
            return Ok(Target::File(file));
        }
        if let Some(path) = recovery.path_of(&name) {
            return Ok(Target::Path(path));
        }
        let path = name.into_path();
        if !may_create || !grant.role_at(Some(&path)).may_edit() {
            Err((CloseCode::NotFound, "no-file"))
        } else if self.names.has_twin(&path) {
            Err((CloseCode::NotFound, "path-differs-in-case"))
        } else if self.names.len() >= limits::FILES {
            Err((CloseCode::TooLarge, "too-many-files"))
        } else {
            Ok(Target::Path(path))
        }
    }

    /// Claims a path, unless that is being done.
    #[must_use]
    pub(super) fn claim(&mut self, path: FilePath, recovery: &Recovery) -> Option<Effect> {
        let known = recovery.file_at(&path);
        self.claims.begin(&path).then_some(Effect::Claim(path, known))
    }

    /// A claim was answered: the file that has the path now and, if it is new, its creation in the log.
    pub(super) fn claimed(
        &mut self,
        path: &FilePath,
        id: &FileId,
        answer: Result<Claimed, StoreError>,
    ) -> Result<(FileId, Option<LogEntry>), StoreError> {
        let (file, created) = match answer? {
            Claimed::New(Logged { seq, ts, .. }) => {
                let bytes: Bytes = EventOut::created(id, path).to_json().into();
                let (file, source) = (FileId::room(), Source::default());
                (id.clone(), Some(LogEntry { file, seq, ts, source, bytes }))
            }
            Claimed::Taken(other) => (other, None),
        };
        self.names.add(file.clone(), path.clone());
        Ok((file, created))
    }

    /// A lost file waits for its turn, or for its path.
    #[must_use]
    pub(super) fn restore(&mut self, file: &FileId, recovery: &mut Recovery) -> Option<Effect> {
        match recovery.destination(file, &self.names)? {
            Destination::File(file) => {
                self.commit.queue.push(Pending::Restore { file });
                None
            }
            Destination::Unclaimed(path) => self.claim(path, recovery),
        }
    }

    /// Brings a file into memory if it is not there.
    #[must_use]
    pub(super) fn want(&mut self, file: &FileId, opens: &Opens) -> Option<Effect> {
        self.documents.want(file, self.needs_history(file, opens))
    }

    /// Whether a text client has the file open, or has sent something for it.
    fn needs_history(&self, file: &FileId, opens: &Opens) -> bool {
        opens.has_text(file) || self.commit.queue.has_text(file)
    }

    /// A file was read; what is to be read next comes with the answer.
    pub(super) fn read(
        &mut self,
        file: &FileId,
        answer: Result<FileLog, StoreError>,
        opens: &Opens,
    ) -> (Read, Option<Effect>) {
        self.documents.read_ended(file);
        let position = self.tail.position();
        let log = match answer {
            Ok(log) => log,
            Err(error) => return (Read::Failed(error), None),
        };
        if log.position.epoch != position.epoch {
            self.tail.end();
            return (Read::Done, None);
        }
        if log.position.seq > position.seq {
            // The log was read beyond what the room has seen: the rest is read too, then the file again.
            self.documents.read_later(file);
            return (Read::Done, self.tail.catch_up());
        }
        if log.position.seq < position.seq {
            return (Read::Done, self.want(file, opens));
        }
        let read = match self.documents.load(file, &log, self.needs_history(file, opens)) {
            Ok(true) => Read::Done,
            Ok(false) => Read::Unchecked,
            Err(error) => {
                self.names.remove(file);
                return (Read::Broken(error), None);
            }
        };
        self.ledger.read(file, &log);
        self.bound_ledger();
        (read, None)
    }

    /// Applies a logged change if it is the next one. The message is for the hubs that have its file open.
    pub(super) fn apply(&mut self, entry: &LogEntry) -> (Order, Option<OriginMessage>) {
        let order = self.tail.advance(entry.seq, entry.ts);
        if order != Order::Next {
            return (order, None);
        }
        let size = self.documents.apply(entry);
        if entry.file.is_room() {
            self.names.apply_event(&entry.bytes);
        }
        self.keep(entry);
        (order, size)
    }

    /// Something was logged that the archive does not have yet.
    pub(super) fn keep(&mut self, entry: &LogEntry) {
        self.ledger.logged(entry);
        self.bound_ledger();
    }

    fn bound_ledger(&mut self) {
        self.ledger.bound(|file| self.documents.state(file));
    }

    /// Documents that no channel has open any more leave memory, unless something of them may wait: the log has them.
    pub(super) fn release_idle(&mut self, links: &mut Links) {
        if !self.commit.is_empty() {
            return;
        }
        for file in links.take_left() {
            if !links.opens().is_open(&file) {
                self.release(&file);
            } else if !links.opens().has_text(&file)
                && let Some(live) = self.documents.get_mut(&file)
            {
                live.drop_text_history();
            }
        }
    }

    /// A file leaves memory.
    pub(super) fn release(&mut self, file: &FileId) {
        self.ledger.release(file, |file| self.documents.state(file));
        self.documents.remove(file);
    }
}
