//! Leases and the life of a room. They live in memory: with the process everybody has left.

use std::time::Duration;

use async_trait::async_trait;
use shared::{
    id::{FileId, RoomId},
    position::{Epoch, Position},
};

use super::{
    EmbeddedStore,
    change::Change,
    open::BEGUN,
    room::{Lease, Loader},
};
use crate::store::{Base, Joined, LOADER_LEASE, Leases, Left, Listed, ListedMember, LoaderToken, StoreError};

#[async_trait]
impl Leases for EmbeddedStore {
    async fn join(&self, room: &RoomId, origin: &str, lease: Duration) -> Result<Joined, StoreError> {
        let origin = origin.to_owned();
        self.decide(room, move |room, now| {
            room.expire(now);
            if room.sealed_until > 0 {
                return Err(StoreError::Sealed);
            }
            let until = now.us.saturating_add(micros(lease));
            room.leases.entry(origin.clone()).or_default().until = until;
            if let Some(open) = &room.open {
                return Ok((Change::None, Joined::Ready(open.position)));
            }
            let is_at_work = |loader: &&Loader| loader.until > now.us && loader.origin != origin;
            if let Some(loader) = room.loader.as_ref().filter(is_at_work) {
                return Ok((Change::None, Joined::Wait(Duration::from_micros(loader.until - now.us))));
            }
            let token = LoaderToken(format!("{origin}-{:016x}", rand::random::<u64>()));
            let until = now.us.saturating_add(micros(LOADER_LEASE));
            room.loader = Some(Loader { token: token.clone(), origin: origin.clone(), until });
            Ok((Change::None, Joined::Load(token)))
        })
        .await
    }

    async fn commit(
        &self,
        room: &RoomId,
        loader: &LoaderToken,
        bases: Vec<Base>,
        not_before: u64,
    ) -> Result<Position, StoreError> {
        let token = loader.clone();
        self.decide(room, move |room, now| {
            if room.loader.as_ref().is_none_or(|loader| loader.token != token) {
                return Err(StoreError::Stale);
            }
            let epoch = Epoch(now.us.max(now.last_epoch + 1));
            let position = Position { epoch, seq: 0, ts: now.us.max(not_before + 1) };
            Ok((Change::Opened { position, bases }, position))
        })
        .await
    }

    async fn list(&self, room: &RoomId, origin: &str, members: Vec<ListedMember>) -> Result<(), StoreError> {
        let origin = origin.to_owned();
        self.decide(room, move |room, now| {
            room.expire(now);
            room.populated()?;
            room.leases.get_mut(&origin).ok_or(StoreError::Cold)?.listed = Some(members);
            Ok((Change::None, ()))
        })
        .await
    }

    async fn listed(&self, room: &RoomId) -> Result<Vec<Listed>, StoreError> {
        self.decide(room, move |room, now| {
            room.expire(now);
            room.populated()?;
            let listed = |(origin, lease): (&String, &Lease)| Listed {
                origin: origin.clone(),
                members: lease.listed.clone(),
            };
            Ok((Change::None, room.leases.iter().map(listed).collect()))
        })
        .await
    }

    async fn leave(&self, room: &RoomId, origin: &str, epoch: Epoch) -> Result<Left, StoreError> {
        let origin = origin.to_owned();
        self.decide(room, move |room, now| {
            room.leases.remove(&origin);
            room.expire(now);
            room.loader.take_if(|loader| loader.origin == origin);
            if let Some(open) = &mut room.open {
                open.batches.remove(&origin);
            }
            if !room.leases.is_empty() {
                return Ok((Change::None, Left::Members(room.leases.len())));
            }
            let Some(open) = room.open.as_ref().filter(|open| open.position.epoch == epoch) else {
                return Ok((Change::None, Left::NotMine));
            };
            let dirty: Vec<FileId> = open
                .files
                .iter()
                .filter(|(_, file)| file.dirty_since().is_some())
                .map(|(id, _)| id.clone())
                .collect();
            Ok(if dirty.is_empty() { (Change::Gone, Left::Gone) } else { (Change::None, Left::Dirty(dirty)) })
        })
        .await
    }

    async fn seal(&self, room: &RoomId, at_most: Duration) -> Result<(), StoreError> {
        self.decide(room, move |room, now| {
            room.loader = None;
            let sealed = !at_most.is_zero();
            room.sealed_until = if sealed { now.us.saturating_add(micros(at_most)) } else { 0 };
            let change = match &room.open {
                Some(open) if open.marks.contains_key(BEGUN) != sealed => Change::Sealed(sealed),
                _ => Change::None,
            };
            Ok((change, ()))
        })
        .await
    }

    async fn erase(&self, room: &RoomId) -> Result<(), StoreError> {
        self.decide(room, |_, _| Ok((Change::Erased, ()))).await
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
