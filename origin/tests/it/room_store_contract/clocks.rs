//! The part of the contract that is about two origins with text of the same Yjs client.

use shared::update::Extension;

use super::*;

const CLIENT: u64 = (1 << 53) - 1;

fn extending(n: u8, bytes: &'static str, clocks: std::ops::Range<u32>) -> Entry {
    let extension = Extension { client: CLIENT, from: clocks.start, to: clocks.end };
    Entry { extensions: vec![extension], ..update(n, bytes) }
}

pub(super) async fn text_of_a_client_that_somebody_else_has_logged_meanwhile_is_not_logged_twice(
    store: Arc<dyn RoomStore>,
) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1), base(2)]).await.epoch;
    store.append(&room, epoch, batch("o1", 1, vec![extending(1, "abc", 0..3)])).await.unwrap();
    // The whole batch, or nothing of it.
    let late = vec![update(2, "other"), extending(1, "xyz", 0..3)];
    let overtaken = store.append(&room, epoch, batch("o2", 1, late)).await;
    assert!(matches!(overtaken, Err(StoreError::Overtaken)), "{overtaken:?}");
    assert!(store.read(&room, &file(2)).await.unwrap().updates.is_empty());
    let overlapping = store.append(&room, epoch, batch("o2", 1, vec![extending(1, "cd", 2..4)])).await;
    assert!(matches!(overlapping, Err(StoreError::Overtaken)));
    // Who knows what was logged goes on, from any origin; in another file the client is another one.
    let next = vec![extending(1, "d", 3..4), extending(2, "abc", 0..3)];
    store.append(&room, epoch, batch("o2", 1, next)).await.unwrap();
    store.append(&room, epoch, batch("o1", 2, vec![extending(1, "e", 4..5)])).await.unwrap();
    let log = store.read(&room, &file(1)).await.unwrap();
    assert_eq!(texts(&log.updates), ["abc", "d", "e"]);
    // The answer that was lost is repeated all the same.
    let again = store.append(&room, epoch, batch("o1", 2, vec![extending(1, "e", 4..5)])).await.unwrap();
    assert_eq!(again.len(), 1);
    assert_eq!(store.read(&room, &file(1)).await.unwrap().updates.len(), 3);
}

pub(super) async fn what_a_batch_extends_is_counted_within_it(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    let twice = vec![extending(1, "abc", 0..3), extending(1, "xyz", 0..3)];
    let overtaken = store.append(&room, epoch, batch("o1", 1, twice)).await;
    assert!(matches!(overtaken, Err(StoreError::Overtaken)));
    let on = vec![extending(1, "abc", 0..3), extending(1, "de", 3..5)];
    store.append(&room, epoch, batch("o1", 1, on)).await.unwrap();
    // Who knows more than this store was told of had it from somewhere else, and is believed.
    store.append(&room, epoch, batch("o1", 2, vec![extending(1, "z", 9..10)])).await.unwrap();
    let late = store.append(&room, epoch, batch("o2", 1, vec![extending(1, "f", 5..6)])).await;
    assert!(matches!(late, Err(StoreError::Overtaken)));
}

pub(super) async fn one_update_may_extend_as_many_clients_as_the_gate_lets_through(
    store: Arc<dyn RoomStore>,
) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    let of = |clients: std::ops::Range<u64>| {
        let extensions = clients.map(|client| Extension { client, from: 0, to: 1 }).collect();
        Entry { extensions, ..update(1, "text") }
    };
    let most = shared::limits::UPDATE_CLIENTS as u64;
    store.append(&room, epoch, batch("o1", 1, vec![of(0..most)])).await.unwrap();
    for client in [0, 999, 1000, most - 1] {
        let late = store.append(&room, epoch, batch("o2", 1, vec![of(client..client + 1)])).await;
        assert!(matches!(late, Err(StoreError::Overtaken)), "{client}: {late:?}");
    }
    store.append(&room, epoch, batch("o2", 1, vec![of(most..most + 1)])).await.unwrap();
}

pub(super) async fn a_room_that_is_populated_again_counts_again(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    let logged = store.append(&room, epoch, batch("o1", 1, vec![extending(1, "abc", 0..3)])).await.unwrap();
    let log = store.read(&room, &file(1)).await.unwrap();
    let ack = FlushAck {
        file: file(1),
        read_base_ts: log.base_ts,
        merged_ts: logged[0].ts,
        merged_seq: logged[0].seq,
        state: Bytes::from_static(b"abc"),
    };
    store.ack(&room, epoch, ack).await.unwrap();
    let late = store.append(&room, epoch, batch("o2", 1, vec![extending(1, "xyz", 0..3)])).await;
    assert!(matches!(late, Err(StoreError::Overtaken)), "a flush changes nothing of it");
    assert_eq!(store.leave(&room, "o1", epoch).await.unwrap(), Left::Gone);
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    store.append(&room, epoch, batch("o1", 1, vec![extending(1, "new", 0..3)])).await.unwrap();
}

pub(super) async fn a_client_belongs_to_who_has_extended_it_until_the_room_is_populated_again(
    store: Arc<dyn RoomStore>,
) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1), base(2)]).await.epoch;
    let by = |author: &str, bytes, clocks| Entry { author: author.into(), ..extending(1, bytes, clocks) };
    store.append(&room, epoch, batch("o1", 1, vec![extending(1, "a", 0..1)])).await.unwrap();
    store.append(&room, epoch, batch("o1", 2, vec![by("Ann \u{e9}", "b", 1..2)])).await.unwrap();
    let owned = store.append(&room, epoch, batch("o2", 1, vec![by("bob", "x", 2..3)])).await;
    let Err(StoreError::Owned { file: of, client, owner }) = owned else { panic!("{owned:?}") };
    assert_eq!((of, client, &*owner), (file(1), CLIENT, "Ann \u{e9}"));
    // In another file it is another client, and whatever has no author is taken and changes nothing of it.
    let elsewhere = Entry { author: "bob".into(), ..extending(2, "x", 0..1) };
    let brought = vec![elsewhere, extending(1, "c", 2..3), by("Ann \u{e9}", "d", 3..4)];
    store.append(&room, epoch, batch("o2", 1, brought)).await.unwrap();
    let owned = store.append(&room, epoch, batch("o2", 2, vec![by("bob", "x", 4..5)])).await;
    assert!(matches!(owned, Err(StoreError::Owned { .. })));
    let log = store.read(&room, &file(1)).await.unwrap();
    assert_eq!(texts(&log.updates), ["a", "b", "c", "d"]);
}
