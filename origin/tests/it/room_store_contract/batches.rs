//! Batches of more than one file, and of more changes than one.

use super::*;

/// Two files and the room's events, mixed: the first file has the places 0, 3 and 5.
async fn mixed(store: &dyn RoomStore, room: &RoomId) -> (Position, Vec<Logged>) {
    let opened = populate(store, room, vec![base(1), base(2)]).await;
    let entries = vec![
        update(1, "a"),
        update(2, "b"),
        event("hub", 1),
        update(1, "d"),
        event("hub", 1),
        update(1, "e"),
    ];
    (opened, store.append(room, opened.epoch, batch("o1", 1, entries)).await.unwrap())
}

pub(super) async fn a_batch_over_several_files_is_read_in_its_order(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let (opened, logged) = mixed(&*store, &room).await;
    assert_eq!(logged.iter().map(|place| place.seq).collect::<Vec<_>>(), [1, 2, 3, 4, 3, 5]);
    assert_eq!((logged[4].duplicate, logged[4].ts), (true, logged[2].ts));
    let read = store.read(&room, &file(1)).await.unwrap();
    let places = |entries: &[LogEntry]| entries.iter().map(|entry| (entry.seq, entry.ts)).collect::<Vec<_>>();
    assert_eq!(texts(&read.updates), ["a", "d", "e"]);
    assert_eq!(places(&read.updates), [0, 3, 5].map(|at| (logged[at].seq, logged[at].ts)));

    // From the start, and from every place in the middle.
    let new = [0, 1, 2, 3, 5].map(|at| (logged[at].seq, logged[at].ts));
    for known in 0..=new.len() {
        let from = match known {
            0 => opened,
            known => Position { seq: new[known - 1].0, ts: new[known - 1].1, ..opened },
        };
        let Backfill::Changes(now, changes) = store.backfill(&room, from).await.unwrap() else {
            panic!("nothing was trimmed")
        };
        assert_eq!((now.seq, places(&changes)), (5, new[known..].to_vec()), "after {known}");
    }
}

pub(super) async fn of_a_batch_that_was_merged_in_part_the_rest_is_kept(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let (opened, logged) = mixed(&*store, &room).await;
    for (merged, rest) in [(0, &["d", "e"][..]), (3, &["e"]), (5, &[])] {
        let read = store.read(&room, &file(1)).await.unwrap();
        let ack = FlushAck {
            file: file(1),
            read_base_ts: read.base_ts,
            merged_ts: logged[merged].ts,
            merged_seq: logged[merged].seq,
            state: Bytes::from_static(b"merged"),
        };
        store.ack(&room, opened.epoch, ack).await.unwrap();
        let read = store.read(&room, &file(1)).await.unwrap();
        assert_eq!((texts(&read.updates), read.base_seq), (rest.to_vec(), logged[merged].seq));
        let dirty = store.dirty(&room).await.unwrap().files;
        let since = dirty.iter().find(|(dirty, _)| *dirty == file(1)).map(|(_, since)| *since);
        assert_eq!(since, read.updates.first().map(|update| update.ts), "the first that is not merged");
    }
}

pub(super) async fn a_batch_may_be_long(store: Arc<dyn RoomStore>) {
    let room = any_room();
    let epoch = populate(&*store, &room, vec![base(1)]).await.epoch;
    let entries = vec![update(1, "x"); 10 * room::limits::BATCH_CHANGES + 1];
    let logged = store.append(&room, epoch, batch("o1", 1, entries)).await.unwrap();
    let read = store.read(&room, &file(1)).await.unwrap();
    let places = read.updates.iter().map(|update| (update.seq, update.ts));
    assert!(places.eq(logged.iter().map(|place| (place.seq, place.ts))));
    assert_eq!(read.updates.len(), 10 * room::limits::BATCH_CHANGES + 1);
}
