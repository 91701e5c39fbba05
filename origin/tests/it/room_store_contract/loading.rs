//! The part of the contract that is about who may populate a room.

use super::*;
use crate::support::redis::until;

pub(super) async fn an_origin_that_has_lost_its_token_gets_another(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let Joined::Load(lost) = store.join(&room, "o1", LEASE).await.unwrap() else { panic!("not the loader") };
    assert!(matches!(store.join(&room, "o2", LEASE).await.unwrap(), Joined::Wait(_)));
    let Joined::Load(token) = store.join(&room, "o1", LEASE).await.unwrap() else {
        panic!("it waits for itself")
    };
    assert!(matches!(store.join(&room, "o2", LEASE).await.unwrap(), Joined::Wait(_)), "a new lease");
    assert!(matches!(store.commit(&room, &lost, vec![], 0).await, Err(StoreError::Stale)));
    store.commit(&room, &token, vec![base(1)], 0).await.unwrap();
    assert_eq!(store.names(&room).await.unwrap().len(), 1);
}

pub(super) async fn a_sealed_room_lets_nobody_in_until_it_is_erased(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    store.seal(&room, LEASE).await.unwrap();
    for origin in ["o1", "o2"] {
        assert!(matches!(store.join(&room, origin, LEASE).await, Err(StoreError::Sealed)), "{origin}");
    }
    store.append(&room, epoch, batch("o1", 1, vec![update(1, "a")])).await.unwrap();
    store.erase(&room).await.unwrap();
    let Joined::Load(token) = store.join(&room, "o1", LEASE).await.unwrap() else { panic!("not the loader") };

    store.seal(&room, LEASE).await.unwrap();
    assert!(matches!(store.commit(&room, &token, vec![base(1)], 0).await, Err(StoreError::Stale)));
    assert!(matches!(store.join(&room, "o1", LEASE).await, Err(StoreError::Sealed)));
    assert_eq!(store.leave(&room, "o1", Epoch(0)).await.unwrap(), Left::NotMine);
    assert!(
        matches!(store.join(&room, "o1", LEASE).await, Err(StoreError::Sealed)),
        "leaving breaks no seal"
    );
    store.seal(&room, Duration::ZERO).await.unwrap();
    assert!(matches!(store.join(&room, "o1", LEASE).await.unwrap(), Joined::Load(_)));
    assert!(matches!(store.commit(&room, &token, vec![base(1)], 0).await, Err(StoreError::Stale)));

    store.seal(&room, Duration::from_millis(100)).await.unwrap();
    assert!(matches!(store.join(&room, "o1", LEASE).await, Err(StoreError::Sealed)));
    until(async || store.join(&room, "o1", LEASE).await.is_ok()).await;
}

pub(super) async fn a_room_has_a_secret_for_as_long_as_it_is_populated(store: Arc<dyn RoomStore>) {
    let (room, other) = (any_room(), any_room());
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    populate(&*store, &other, vec![base(1)]).await;
    let secret = store.secret(&room).await.unwrap();
    assert!(secret.len() >= 16);
    assert!(matches!(store.join(&room, "o2", LEASE).await.unwrap(), Joined::Ready(_)));
    store.append(&room, epoch, batch("o1", 1, vec![update(1, "x")])).await.unwrap();
    assert_eq!(store.secret(&room).await.unwrap(), secret);
    assert!(!store.secret(&other).await.unwrap().is_empty());
}
