//! Redis and the embedded store do the same, whatever is asked of them in whatever order, and neither loses what it
//! has answered.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use origin::room_store::{
    Backfill, Base, Claimed, Entry, FlushAck, Joined, Left, Logged, RoomStore, StoreError,
    embedded::EmbeddedStore,
};
use proptest::prelude::*;
use shared::{
    id::{FileId, RoomId},
    position::{Epoch, Position},
};

use crate::{
    room_store_contract::setup::{LEASE, any_room, base, batch, event, file, path, update},
    support::redis::shared_store,
};

#[derive(Clone, Debug)]
enum Step {
    /// Joins, and populates if it is the loader.
    Join(u8),
    /// Joins, and gives up if it is the loader.
    Shrink(u8),
    Append {
        origin: u8,
        /// A repeat after a lost answer, instead of the next batch.
        again: bool,
        what: Vec<What>,
    },
    /// Merges a file into the archive and acknowledges it, perhaps too late.
    Flush {
        n: u8,
        late: bool,
    },
    Claim {
        name: u8,
        n: u8,
    },
    Leave(u8),
    Erase,
    /// Reads everything after the position that was answered so many steps ago.
    Backfill(usize),
}

#[derive(Clone, Debug)]
enum What {
    Update(u8),
    Event(u8, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let what = prop_oneof![
        (1..5_u8).prop_map(What::Update),
        (0..2_u8, 1..9_u64).prop_map(|(h, n)| What::Event(h, n))
    ];
    prop_oneof![
        3 => (0..3_u8).prop_map(Step::Join),
        1 => (0..3_u8).prop_map(Step::Shrink),
        8 => (0..3_u8, prop::bool::weighted(0.2), prop::collection::vec(what, 1..5))
            .prop_map(|(origin, again, what)| Step::Append { origin, again, what }),
        4 => (1..5_u8, prop::bool::weighted(0.2)).prop_map(|(n, late)| Step::Flush { n, late }),
        2 => (0..4_u8, 1..6_u8).prop_map(|(name, n)| Step::Claim { name, n }),
        3 => (0..3_u8).prop_map(Step::Leave),
        1 => Just(Step::Erase),
        2 => (0..20_usize).prop_map(Step::Backfill),
    ]
}

/// A store with an archive behind it, and what it was seen to answer. Times and epochs differ from store to store
/// and are left out.
struct Run {
    store: Arc<dyn RoomStore>,
    room: RoomId,
    archive: BTreeMap<FileId, Bytes>,
    epoch: Epoch,
    numbers: BTreeMap<u8, u64>,
    sent: BTreeMap<u8, Vec<Entry>>,
    positions: Vec<Position>,
    /// What was answered as logged, of each file.
    answered: BTreeMap<FileId, Vec<u8>>,
    texts: u32,
}

impl Run {
    fn new(store: Arc<dyn RoomStore>) -> Self {
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

    async fn take(&mut self, step: &Step) -> String {
        match step {
            Step::Join(n) => self.join(*n, true).await,
            Step::Shrink(n) => self.join(*n, false).await,
            Step::Append { origin, again, what } => self.append(*origin, *again, what).await,
            Step::Flush { n, late } => self.flush(&file(*n), *late).await,
            Step::Claim { name, n } => {
                let path = path(&format!("{name}.new"));
                match self.store.claim(&self.room, self.epoch, &path, &file(*n)).await {
                    Ok(Claimed::New(Logged { seq, .. })) => format!("new at {seq}"),
                    Ok(Claimed::Taken(owner)) => format!("taken by {owner}"),
                    Err(error) => error.word().to_owned(),
                }
            }
            Step::Leave(n) => {
                let mut left = self.store.leave(&self.room, &format!("o{n}"), self.epoch).await.unwrap();
                if let Left::Dirty(files) = &mut left {
                    files.sort_unstable();
                }
                self.numbers.remove(n);
                self.sent.remove(n);
                format!("{left:?}")
            }
            Step::Erase => {
                self.store.erase(&self.room).await.unwrap();
                self.answered.clear();
                self.sent.clear();
                self.archive = [1, 2].map(|n| (file(n), Bytes::new())).into();
                "erased".to_owned()
            }
            Step::Backfill(ago) => {
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
        }
    }

    async fn join(&mut self, n: u8, populates: bool) -> String {
        let origin = format!("o{n}");
        match self.store.join(&self.room, &origin, LEASE).await.unwrap() {
            Joined::Ready(position) => {
                self.epoch = position.epoch;
                self.positions.push(position);
                format!("ready at {}", position.seq)
            }
            Joined::Wait(_) => "wait".to_owned(),
            Joined::Load(_) if !populates => {
                format!("{:?}", self.store.leave(&self.room, &origin, self.epoch).await.unwrap())
            }
            Joined::Load(token) => {
                let named = |id: &FileId| base((1..9).find(|n| file(*n) == *id).unwrap()).path;
                let bases = self.archive.iter();
                let bases =
                    bases.map(|(id, state)| Base { file: id.clone(), path: named(id), state: state.clone() });
                let position = self.store.commit(&self.room, &token, bases.collect(), 0).await.unwrap();
                self.epoch = position.epoch;
                self.positions.push(position);
                // In a new epoch nothing is a repeat.
                self.sent.clear();
                "populated".to_owned()
            }
        }
    }

    async fn append(&mut self, n: u8, again: bool, what: &[What]) -> String {
        let entries = match self.sent.get(&n).filter(|_| again) {
            Some(sent) => sent.clone(),
            None => {
                *self.numbers.entry(n).or_default() += 1;
                what.iter().map(|what| self.entry(what)).collect()
            }
        };
        let number = self.numbers[&n];
        let repeats = again && self.sent.contains_key(&n);
        match self
            .store
            .append(&self.room, self.epoch, batch(&format!("o{n}"), number, entries.clone()))
            .await
        {
            Ok(logged) => {
                for (entry, place) in entries.iter().zip(&logged) {
                    if !place.duplicate && !entry.file.is_room() && !repeats {
                        self.answered.entry(entry.file.clone()).or_default().extend(&entry.bytes);
                    }
                }
                self.sent.insert(n, entries);
                if let Some(last) = logged.last() {
                    self.positions.push(Position { epoch: self.epoch, seq: last.seq, ts: last.ts });
                }
                format!("{:?}", logged.iter().map(|one| (one.seq, one.duplicate)).collect::<Vec<_>>())
            }
            Err(error) => {
                self.sent.remove(&n);
                error.word().to_owned()
            }
        }
    }

    fn entry(&mut self, what: &What) -> Entry {
        self.texts += 1;
        match what {
            What::Update(n) => Entry { bytes: Bytes::from(format!("<{}>", self.texts)), ..update(*n, "") },
            What::Event(hub, number) => event(&format!("h{hub}"), *number),
        }
    }

    async fn flush(&mut self, id: &FileId, late: bool) -> String {
        let read = match self.store.read(&self.room, id).await {
            Ok(read) => read,
            Err(error) => return error.word().to_owned(),
        };
        let log = read.updates.iter().flat_map(|entry| entry.bytes.to_vec());
        let state: Bytes = read.base.iter().copied().chain(log).collect::<Vec<u8>>().into();
        // Of a file that was claimed the base is that of a document, not of this test's text.
        let state = state.strip_prefix(&[0, 0]).map_or(state.clone(), Bytes::copy_from_slice);
        let (merged_ts, merged_seq) =
            read.updates.last().map_or((read.base_ts, read.base_seq), |last| (last.ts, last.seq));
        let read_base_ts = if late { read.base_ts + 1 } else { read.base_ts };
        let ack = FlushAck { file: id.clone(), read_base_ts, merged_ts, merged_seq, state: state.clone() };
        match self.store.ack(&self.room, self.epoch, ack).await {
            Ok(()) => {
                self.archive.insert(id.clone(), state);
                format!("stored up to {merged_seq}")
            }
            Err(error) => error.word().to_owned(),
        }
    }

    /// What stands in the store, or in the archive if the room is gone.
    async fn held(&self) -> String {
        let mut held = BTreeMap::new();
        let names = match self.store.names(&self.room).await {
            Ok(names) => names,
            Err(error) => return error.word().to_owned(),
        };
        for (id, path) in names {
            let read = self.store.read(&self.room, &id).await.unwrap();
            let log = read.updates.iter().map(|entry| (entry.seq, entry.bytes.clone())).collect::<Vec<_>>();
            held.insert(id, (path, read.base, read.base_seq, log));
        }
        let mut dirty: Vec<_> =
            self.store.dirty(&self.room).await.unwrap().files.into_iter().map(|(id, _)| id).collect();
        dirty.sort_unstable();
        let events = self.store.read(&self.room, &FileId::room()).await.unwrap();
        let events: Vec<_> = events.updates.iter().map(|entry| (entry.seq, entry.bytes.clone())).collect();
        format!("{held:?} dirty {dirty:?} events {events:?}")
    }

    async fn nothing_answered_is_missing(&self) {
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

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_answer_alike_and_lose_nothing(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let embedded = EmbeddedStore::open(&dir.path().join("rooms.db")).unwrap();
            let (mut one, mut other) =
                (Run::new(Arc::new(embedded)), Run::new(shared_store().await.store));
            for (number, step) in steps.iter().enumerate() {
                let (a, b) = (one.take(step).await, other.take(step).await);
                assert_eq!(a, b, "step {number}: {step:?}");
                assert_eq!(one.held().await, other.held().await, "after step {number}: {step:?}");
            }
            one.nothing_answered_is_missing().await;
            other.nothing_answered_is_missing().await;
            other.store.erase(&other.room).await.unwrap();
        });
    }
}
