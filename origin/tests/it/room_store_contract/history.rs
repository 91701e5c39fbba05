//! The part of the contract that is about reading and subscribing to what was logged.

use super::*;

pub(super) async fn a_backfill_gives_what_came_after_or_says_that_it_cannot(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let start = populate(&*store, &room, vec![base(1), base(2)]).await;
    let epoch = start.epoch;
    let entries = vec![update(1, "a"), update(2, "b"), event("h", 1), update(1, "c")];
    let logged = store.append(&room, epoch, batch("o1", 1, entries)).await.unwrap();
    let at = |n: usize| Position { epoch, seq: logged[n].seq, ts: logged[n].ts };
    let Backfill::Changes(now, all) = store.backfill(&room, start).await.unwrap() else { panic!("reset") };
    assert_eq!((now, texts(&all)), (at(3), vec!["a", "b", "h1", "c"]));
    let Backfill::Changes(_, some) = store.backfill(&room, at(1)).await.unwrap() else { panic!("reset") };
    assert_eq!(texts(&some), ["h1", "c"]);
    assert_eq!(some[0].source, event("h", 1).source);
    assert_eq!(store.backfill(&room, at(3)).await.unwrap(), Backfill::Changes(at(3), vec![]));

    let other = Position { epoch: Epoch(1), ..at(3) };
    assert_eq!(store.backfill(&room, other).await.unwrap(), Backfill::Reset(at(3)));
    let ahead = Position { seq: 5, ..at(3) };
    assert_eq!(store.backfill(&room, ahead).await.unwrap(), Backfill::Reset(at(3)), "the store went back");

    let read = store.read(&room, &file(2)).await.unwrap();
    let ack = FlushAck {
        file: file(2),
        read_base_ts: read.base_ts,
        merged_ts: logged[1].ts,
        merged_seq: 2,
        state: Bytes::from_static(b"b"),
    };
    store.ack(&room, epoch, ack).await.unwrap();
    assert_eq!(store.backfill(&room, start).await.unwrap(), Backfill::Reset(at(3)), "trimmed away");
    let Backfill::Changes(_, rest) = store.backfill(&room, at(1)).await.unwrap() else { panic!("reset") };
    assert_eq!(texts(&rest), ["h1", "c"]);
}

pub(super) async fn events_are_kept_in_order_up_to_a_limit_and_are_never_dirty(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let start = populate(&*store, &room, vec![base(1)]).await;
    let count = room::limits::ROOM_EVENTS as u64 + 7;
    let entries = (1..=count).map(|n| event("h", n)).collect();
    store.append(&room, start.epoch, batch("o1", 1, entries)).await.unwrap();
    let log = store.read(&room, &FileId::room()).await.unwrap();
    assert_eq!(log.updates.len(), room::limits::ROOM_EVENTS);
    assert_eq!((log.updates[0].seq, log.position.seq), (8, count));
    assert_eq!(store.dirty(&room).await.unwrap().files, []);
    assert!(matches!(store.backfill(&room, start).await.unwrap(), Backfill::Reset(_)));
    let forgotten = store.append(&room, start.epoch, batch("o1", 2, vec![event("h", 3)])).await.unwrap();
    assert_eq!((forgotten[0].seq, forgotten[0].duplicate), (count, true), "its place is not known any more");
    assert_eq!(store.leave(&room, "o1", start.epoch).await.unwrap(), Left::Gone);
}

pub(super) async fn subscribers_hear_what_is_logged_and_announced(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let mut heard = store.subscribe(&room).await.unwrap();
    let mut other = store.subscribe(&any_room()).await.unwrap();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    assert_eq!(heard.recv().await, Some(Published::Epoch(epoch)));
    let entries = vec![event("h", 1), update(1, "a")];
    let logged = store.append(&room, epoch, batch("o1", 1, entries)).await.unwrap();
    let Some(Published::Changes(of, changes)) = heard.recv().await else { panic!("no changes") };
    assert_eq!((of, texts(&changes)), (epoch, vec!["h1", "a"]));
    assert_eq!((changes[1].seq, changes[1].ts), (logged[1].seq, logged[1].ts));
    store.append(&room, epoch, batch("o2", 1, vec![event("h", 1)])).await.unwrap();
    store.announce(&room, Bytes::from_static(b"note")).await.unwrap();
    assert_eq!(
        heard.recv().await,
        Some(Published::Note(Bytes::from_static(b"note"))),
        "a duplicate is silent"
    );
    assert!(other.try_recv().is_err());
}

pub(super) async fn an_erased_room_is_gone_for_everybody(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    let mut heard = store.subscribe(&room).await.unwrap();
    store.append(&room, epoch, batch("o1", 1, vec![update(1, "a")])).await.unwrap();
    store.erase(&room).await.unwrap();
    assert!(matches!(heard.recv().await, Some(Published::Changes(..))));
    assert_eq!(heard.recv().await, Some(Published::Erased));
    assert!(matches!(store.read(&room, &file(1)).await, Err(StoreError::Cold)));
    let late = store.append(&room, epoch, batch("o1", 2, vec![update(1, "b")])).await;
    assert!(matches!(late, Err(StoreError::Cold)));
    let Joined::Load(token) = store.join(&room, "o2", LEASE).await.unwrap() else { panic!("not the loader") };
    store.erase(&room).await.unwrap();
    assert!(matches!(store.commit(&room, &token, vec![], 0).await, Err(StoreError::Stale)));
}
