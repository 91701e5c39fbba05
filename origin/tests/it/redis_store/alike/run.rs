//! One of the two stores, what it is asked, and what it was seen to answer.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use origin::store::{Backfill, Base, Claimed, Entry, FlushAck, Joined, Left, Logged, RoomStore, StoreError};
use shared::{
    id::{FileId, RoomId},
    position::{Epoch, Position},
};

use super::{Act, End, Fate, Step, What};
use crate::room_store_contract::setup::{LEASE, any_room, base, batch, event, file, path, update};

/// How often a flush reads a file again.
const TRIES: usize = 3;

/// A store with an archive behind it, and what it was seen to answer. Times and epochs differ from store to store
/// and are left out.
pub(super) struct Run {
    store: Arc<dyn RoomStore>,
    room: RoomId,
    archive: BTreeMap<FileId, Bytes>,
    epoch: Epoch,
    numbers: BTreeMap<u8, u64>,
    /// The last batch of each origin, and how it was answered.
    sent: BTreeMap<u8, (Vec<Entry>, Vec<Logged>)>,
    positions: Vec<Position>,
    /// What was answered as logged, of each file.
    answered: BTreeMap<FileId, Vec<u8>>,
    texts: u32,
}

impl Run {
    pub(super) fn new(store: Arc<dyn RoomStore>) -> Self {
        Self {
            store,
            room: any_room(),
            archive: [1, 2].map(|n| (file(n), Bytes::new())).into(),
            epoch: Epoch(0),
            numbers: BTreeMap::new(),
            sent: BTreeMap::new(),
            positions: vec![Position::default()],
            answered: BTreeMap::new(),
            texts: 0,
        }
    }

    pub(super) async fn take(&mut self, Step { fate, act }: &Step) -> String {
        match act {
            Act::Join(n) => self.join(*fate, *n, true).await,
            Act::Shrink(n) => self.join(*fate, *n, false).await,
            Act::Append { origin, again, what } => self.append(*fate, *origin, *again, what).await,
            Act::Flush { n, end } => self.flush(*fate, &file(*n), *end).await,
            Act::Claim { name, n } => self.claim(*fate, *name, &file(*n)).await,
            Act::Leave(n) => self.leave(*fate, *n).await,
            Act::Erase => {
                self.nothing_answered_is_missing().await;
                fate.befall(self.store.erase(&self.room)).await;
                self.store.erase(&self.room).await.unwrap();
                self.answered.clear();
                self.sent.clear();
                self.archive = [1, 2].map(|n| (file(n), Bytes::new())).into();
                "erased".to_owned()
            }
            Act::Backfill(ago) => self.backfill(*ago).await,
        }
    }

    /// Everything is flushed, and everybody leaves.
    pub(super) async fn end(&mut self) {
        for n in 1..9 {
            self.flush(Fate::Answered, &file(n), End::Well).await;
        }
        for n in 0..3 {
            self.leave(Fate::Answered, n).await;
        }
        let names = self.store.names(&self.room).await;
        assert!(matches!(names, Err(StoreError::Cold)), "the room has ended: {names:?}");
    }

    async fn join(&mut self, fate: Fate, n: u8, populates: bool) -> String {
        let (store, origin) = (self.store.clone(), format!("o{n}"));
        fate.befall(store.join(&self.room, &origin, LEASE)).await;
        match store.join(&self.room, &origin, LEASE).await.unwrap() {
            Joined::Ready(position) => {
                self.found(position);
                format!("ready at {}", position.seq)
            }
            Joined::Wait(_) => "wait".to_owned(),
            Joined::Load(_) if !populates => {
                format!("{:?}", store.leave(&self.room, &origin, self.epoch).await.unwrap())
            }
            Joined::Load(token) => {
                let named = |id: &FileId| base((1..9).find(|n| file(*n) == *id).unwrap()).path;
                let base = |(id, state): (&FileId, &Bytes)| Base {
                    file: id.clone(),
                    path: named(id),
                    state: state.clone(),
                };
                let bases: Vec<Base> = self.archive.iter().map(base).collect();
                fate.befall(store.commit(&self.room, &token, bases.clone(), 0)).await;
                match store.commit(&self.room, &token, bases, 0).await {
                    Ok(position) => self.found(position),
                    // The first attempt came through.
                    Err(StoreError::Stale) => {
                        assert!(fate != Fate::Answered, "nobody else loads");
                        let joined = store.join(&self.room, &origin, LEASE).await.unwrap();
                        let Joined::Ready(position) = joined else { panic!("{joined:?}") };
                        self.found(position);
                    }
                    Err(error) => panic!("{error}"),
                }
                // In a new epoch nothing is a repeat.
                self.sent.clear();
                "populated".to_owned()
            }
        }
    }

    fn found(&mut self, position: Position) {
        self.epoch = position.epoch;
        self.positions.push(position);
    }

    async fn append(&mut self, fate: Fate, n: u8, again: bool, what: &[What]) -> String {
        let before = self.sent.get(&n).filter(|_| again).cloned();
        let entries = match &before {
            Some((sent, _)) => sent.clone(),
            None => {
                *self.numbers.entry(n).or_default() += 1;
                what.iter().map(|what| self.entry(what)).collect()
            }
        };
        let batch = batch(&format!("o{n}"), self.numbers[&n], entries.clone());
        fate.befall(self.store.append(&self.room, self.epoch, batch.clone())).await;
        match self.store.append(&self.room, self.epoch, batch).await {
            Ok(logged) => {
                if let Some((_, first)) = before {
                    assert_eq!(logged, first, "a repeat is answered as the first time");
                } else {
                    for (entry, place) in entries.iter().zip(&logged) {
                        if !place.duplicate && !entry.file.is_room() {
                            self.answered.entry(entry.file.clone()).or_default().extend(&entry.bytes);
                        }
                    }
                }
                if let Some(last) = logged.last() {
                    self.positions.push(Position { epoch: self.epoch, seq: last.seq, ts: last.ts });
                }
                let told =
                    format!("{:?}", logged.iter().map(|one| (one.seq, one.duplicate)).collect::<Vec<_>>());
                self.sent.insert(n, (entries, logged));
                told
            }
            Err(error) => {
                self.sent.remove(&n);
                error.word().to_owned()
            }
        }
    }

    async fn claim(&self, fate: Fate, name: u8, id: &FileId) -> String {
        let path = path(&format!("{name}.new"));
        fate.befall(self.store.claim(&self.room, self.epoch, &path, id)).await;
        match self.store.claim(&self.room, self.epoch, &path, id).await {
            Ok(Claimed::New(Logged { seq, .. })) if fate == Fate::Answered => format!("new at {seq}"),
            Ok(Claimed::New(_)) => format!("owned by {id}"),
            Ok(Claimed::Taken(owner)) => format!("owned by {owner}"),
            Err(error) => error.word().to_owned(),
        }
    }

    async fn leave(&mut self, fate: Fate, n: u8) -> String {
        let (store, origin) = (self.store.clone(), format!("o{n}"));
        fate.befall(store.leave(&self.room, &origin, self.epoch)).await;
        let mut left = store.leave(&self.room, &origin, self.epoch).await.unwrap();
        if let Left::Dirty(files) = &mut left {
            files.sort_unstable();
        }
        self.numbers.remove(&n);
        self.sent.remove(&n);
        match left {
            // The first attempt may have removed it.
            Left::Gone | Left::NotMine if fate != Fate::Answered => "no such room".to_owned(),
            left => format!("{left:?}"),
        }
    }

    async fn backfill(&self, ago: usize) -> String {
        let at = self.positions.len().saturating_sub(1 + ago);
        match self.store.backfill(&self.room, self.positions[at]).await {
            Ok(Backfill::Changes(now, entries)) => {
                let told: Vec<_> =
                    entries.iter().map(|entry| (&entry.file, entry.seq, &entry.bytes)).collect();
                format!("{} {told:?}", now.seq)
            }
            Ok(Backfill::Reset(now)) => format!("reset to {}", now.seq),
            Err(error) => error.word().to_owned(),
        }
    }

    fn entry(&mut self, what: &What) -> Entry {
        self.texts += 1;
        match what {
            What::Update(n) => Entry { bytes: Bytes::from(format!("<{}>", self.texts)), ..update(*n, "") },
            What::Event(hub, number) => event(&format!("h{hub}"), *number),
        }
    }

    async fn flush(&mut self, fate: Fate, id: &FileId, end: End) -> String {
        let mut fate = fate;
        for _ in 0..TRIES {
            let read = match self.store.read(&self.room, id).await {
                Ok(read) => read,
                Err(error) => return error.word().to_owned(),
            };
            let log = read.updates.iter().flat_map(|entry| entry.bytes.to_vec());
            let state: Bytes = read.base.iter().copied().chain(log).collect::<Vec<u8>>().into();
            // Of a file that was claimed the base is that of a document, not of this test's text.
            let state = state.strip_prefix(&[0, 0]).map_or(state.clone(), Bytes::copy_from_slice);
            if end != End::Compacts {
                self.archive.insert(id.clone(), state.clone());
            }
            if end == End::Dies {
                return "stored, and not acknowledged".to_owned();
            }
            let (merged_ts, merged_seq) =
                read.updates.last().map_or((read.base_ts, read.base_seq), |last| (last.ts, last.seq));
            let read_base_ts = if end == End::Late { read.base_ts + 1 } else { read.base_ts };
            let ack = FlushAck { file: id.clone(), read_base_ts, merged_ts, merged_seq, state };
            fate.befall(self.rebase(end, ack.clone())).await;
            match self.rebase(end, ack).await {
                // Perhaps the first attempt came through: it is read again.
                Err(StoreError::Conflict) if end != End::Late && fate != Fate::Answered => {
                    fate = Fate::Answered
                }
                Ok(()) => return format!("stored up to {merged_seq}"),
                Err(error) => return error.word().to_owned(),
            }
        }
        panic!("{id} is acknowledged by nobody else");
    }

    async fn rebase(&self, end: End, merged: FlushAck) -> Result<(), StoreError> {
        match end {
            End::Compacts => self.store.compact(&self.room, self.epoch, merged).await,
            _ => self.store.ack(&self.room, self.epoch, merged).await,
        }
    }

    /// What stands in the store, or in the archive if the room is gone.
    pub(super) async fn held(&self) -> String {
        let mut held = BTreeMap::new();
        let names = match self.store.names(&self.room).await {
            Ok(names) => names,
            Err(error) => return error.word().to_owned(),
        };
        for (id, path) in names {
            let read = self.store.read(&self.room, &id).await.unwrap();
            let log = read.updates.iter().map(|entry| (entry.seq, entry.bytes.clone())).collect::<Vec<_>>();
            held.insert(id, (path, read.base, read.base_seq, read.stored_seq, log));
        }
        let mut dirty: Vec<_> =
            self.store.dirty(&self.room).await.unwrap().files.into_iter().map(|(id, _)| id).collect();
        dirty.sort_unstable();
        let events = self.store.read(&self.room, &FileId::room()).await.unwrap();
        let events: Vec<_> = events.updates.iter().map(|entry| (entry.seq, entry.bytes.clone())).collect();
        format!("{held:?} dirty {dirty:?} events {events:?}")
    }

    pub(super) async fn nothing_answered_is_missing(&self) {
        for (id, wanted) in &self.answered {
            let held = match self.store.read(&self.room, id).await {
                Ok(read) => {
                    let log = read.updates.iter().flat_map(|entry| entry.bytes.to_vec());
                    read.base.iter().copied().chain(log).collect::<Vec<u8>>()
                }
                Err(StoreError::Cold) => self.archive[id].to_vec(),
                Err(error) => panic!("{id}: {error}"),
            };
            let held = held.strip_prefix(&[0, 0]).unwrap_or(&held);
            assert_eq!(String::from_utf8_lossy(held), String::from_utf8_lossy(wanted), "{id}");
        }
    }
}
