//! Flushes of origins whose rooms and queue are in Redis: the last leaver, a full server, jobs and their traces.

use std::sync::Arc;

use origin::{
    archive::{Archive, NewShard, sqlite::SqliteArchive},
    flush::{job::flush_room, parking::Parking, report::FlushError},
    project::text::state_of,
    store::{Base, Entry, RoomStore, empty_base},
};
use shared::id::RoomId;

use crate::{
    room_store_contract::setup::{any_room, base, batch, file, populate, update},
    support::{
        TestOrigin,
        archive::{Between, Through},
        proxy::{Harm, Proxy},
        redis::{Redis, SOON, open, open_with, until, with_user},
    },
};

/// A delay that no test waits for.
const NEVER: &str = "--flush-delay-ms=3600000";

/// One member types in a room and leaves.
async fn typed_and_left(origin: &TestOrigin, text: &str) -> RoomId {
    let room = any_room();
    let mut ada = origin.client(room.as_str()).await;
    ada.open("a.txt").await;
    ada.append("a.txt", text).await;
    ada.saved("a.txt").await;
    room
}

async fn until_gone(redis: &Redis, room: &RoomId) {
    let keys = async || redis.ask::<Vec<String>>(&["KEYS", &format!("*{{{room}}}*")]).await;
    let indexed = async || {
        let mut rooms = Vec::new();
        for index in redis.ask::<Vec<String>>(&["KEYS", "c:idx:*"]).await {
            rooms.extend(redis.ask::<Vec<String>>(&["ZRANGE", &index, "0", "-1"]).await);
        }
        rooms.contains(&room.to_string())
    };
    until(async || keys().await.is_empty() && !indexed().await).await;
}

async fn is_stored(origin: &TestOrigin, room: &RoomId, text: &str) {
    origin.until_stored(&format!("/api/v1/shards/{room}/files/a.txt"), text).await;
}

#[tokio::test]
async fn the_last_leave_starts_the_job_that_waits_for_its_time() {
    let redis = Redis::start(&[]).await;
    let url = format!("--redis-url={}", with_user(&redis.url()).await);
    let origin = TestOrigin::start(&[&url, NEVER]).await;
    let room = typed_and_left(&origin, "all of it").await;
    until_gone(&redis, &room).await;
    is_stored(&origin, &room, "all of it").await;
    // The job ends a moment after what it did.
    until(async || redis.ask::<u64>(&["ZCARD", "bull:flush:completed"]).await > 0).await;
    origin.stop().await;
}

#[tokio::test]
async fn who_leaves_while_others_have_used_the_window_up_is_gone_with_the_next() {
    let redis = Redis::start(&[]).await;
    let url = format!("--redis-url={}", with_user(&redis.url()).await);
    let flags = [&url, NEVER, "--flush-limit=1", "--flush-window-ms=30000"];
    let origin = TestOrigin::start(&flags).await;
    let first = typed_and_left(&origin, "one").await;
    until_gone(&redis, &first).await;
    let second = typed_and_left(&origin, "two").await;
    origin.until_counted("edgeroom_flush_queue_jobs{state=\"waiting\"} 1").await;
    let limited = redis.ask::<u64>(&["EXISTS", "bull:flush:limiter", &format!("c:{{{second}}}:m")]).await;
    assert_eq!(limited, 2, "it waits for the window");
    until_gone(&redis, &second).await;
    is_stored(&origin, &second, "two").await;
    origin.until_counted("edgeroom_flush_queue_jobs{state=\"waiting\"} 0").await;
    origin.stop().await;
}

#[tokio::test]
async fn a_full_server_is_emptied_by_flushing_without_the_queue() {
    let redis = Redis::start(&[]).await;
    let url = format!("--redis-url={}", with_user(&redis.url()).await);
    let origin = TestOrigin::start(&[&url, NEVER, "--flush-attempts=20"]).await;
    let room = any_room();
    let mut ada = origin.client(room.as_str()).await;
    ada.open("a.txt").await;
    ada.append("a.txt", "all of it").await;
    ada.saved("a.txt").await;
    // It does not even know of the job.
    redis.ask::<String>(&["CONFIG", "SET", "maxmemory", "1000000"]).await;
    drop(ada);
    until_gone(&redis, &room).await;
    is_stored(&origin, &room, "all of it").await;
    redis.ask::<String>(&["CONFIG", "SET", "maxmemory", "0"]).await;
    let again = typed_and_left(&origin, "again").await;
    until_gone(&redis, &again).await;
    origin.stop().await;
}

/// Redis answers nothing more once a flush knows what is dirty.
struct Gone(Proxy);

impl Between for Gone {
    fn shard_is_looked_for(&self) {
        self.0.record();
        self.0.harm_all(Harm::SwallowAnswers);
    }
}

#[tokio::test]
async fn a_flush_asks_a_redis_that_is_away_for_one_of_its_files() {
    let redis = Redis::start(&[]).await;
    let proxy = Proxy::start(([127, 0, 0, 1], redis.port()).into()).await;
    let store = open_with(&format!("redis://{}", proxy.address()), SOON, None).store;
    let (room, _dir, archive) = shard().await;
    typed_in(&*store, &room, 20).await;

    let archive = Through { inner: archive, by: Gone(proxy) };
    let flushed = flush_room(&*store, &archive, &Parking::default(), &room, 1).await;
    assert!(matches!(flushed, Err(FlushError::Unfinished { .. })), "{flushed:?}");
    let asked = archive.by.0.recorded().concat();
    let is_asked_for = |n: &u8| asked.windows(18).any(|bytes| bytes == file(*n).as_str().as_bytes());
    assert_eq!((1..=20).filter(is_asked_for).count(), 1);
}

#[tokio::test]
async fn files_that_redis_cannot_give_hold_up_no_others() {
    let redis = Redis::start(&[]).await;
    let store = open(&redis.url()).store;
    let (room, _dir, archive) = shard().await;
    typed_in(&*store, &room, 5).await;
    let log = |n: u8| format!("c:{{{room}}}:l:{}", file(n));
    let last = "9999999999999999-9999999999999999";
    redis.ask::<String>(&["XADD", &log(1), last, "d", "\u{7f}of another version"]).await;
    redis.ask::<()>(&["SET", &log(2), "no log"]).await;

    let flushed = flush_room(&*store, &*archive, &Parking::default(), &room, 1).await;
    let Err(FlushError::Unfinished { report, file: failed, .. }) = flushed else { panic!("{flushed:?}") };
    assert_eq!((report.written.len(), failed), (3, file(2)));
    let [parked] = &report.parked[..] else { panic!("{report:?}") };
    assert_eq!(parked.id, file(1));
    assert!(parked.reason.contains("what is stored cannot be read: version 127"), "{}", parked.reason);
}

/// A room with a shard that has no files yet, and the archive.
async fn shard() -> (RoomId, tempfile::TempDir, Arc<SqliteArchive>) {
    let dir = tempfile::tempdir().unwrap();
    let archive = Arc::new(SqliteArchive::open(&dir.path().join("archive.db")).unwrap());
    let room = any_room();
    let shard = NewShard { id: room.clone(), title: String::new(), template: None, files: vec![], now: 1 };
    archive.create(shard).await.unwrap();
    (room, dir, archive)
}

/// Populates the room with so many files, each of which is dirty.
async fn typed_in(store: &dyn RoomStore, room: &RoomId, files: u8) {
    let files = 1..=files;
    let empty = |n| Base { state: empty_base(), ..base(n) };
    let start = populate(store, room, files.clone().map(empty).collect()).await;
    let typed = |n: u8| Entry { bytes: state_of("typed", u64::from(n)), ..update(n, "") };
    store.append(room, start.epoch, batch("o1", 1, files.map(typed).collect())).await.unwrap();
}
