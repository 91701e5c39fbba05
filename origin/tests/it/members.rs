//! Who is in a room, asked at any origin.

use shared::id::RoomId;
use tempfile::TempDir;

use crate::{
    room_store_contract::setup::any_room,
    support::{
        Edge, LINK_KEYS, Process,
        redis::{Redis, until, with_user},
    },
};

/// An origin on these stores.
async fn origin(redis: &Redis, folder: &TempDir, lease: &str) -> Process {
    let url = with_user(&redis.url()).await;
    let variables = [
        ("AUTH", "open"),
        ("LISTEN", "127.0.0.1:0"),
        ("REDIS_URL", &url),
        ("DATA_DIR", folder.path().to_str().unwrap()),
        ("LINK_KEYS", LINK_KEYS),
        ("LEASE_MS", lease),
        ("SWEEP_MS", "200"),
        ("FLUSH_DELAY_MS", "20"),
    ];
    Process::start(&variables, &[])
}

/// Name, role and region of everybody whom an origin names; `None` while it says that nobody has the room open.
async fn roster(origin: &Process, room: &RoomId) -> Option<Vec<String>> {
    let answer = origin.get(&format!("/api/v1/rooms/{room}")).await;
    if answer.status == 404 {
        assert_eq!(answer.code(), "not-open");
        return None;
    }
    let report = answer.json();
    let members = report["members"].as_array().unwrap_or_else(|| panic!("{report}"));
    let word = |member: &serde_json::Value, name: &str| member[name].as_str().unwrap().to_owned();
    let line = |member| ["name", "role", "region"].map(|name| word(member, name)).join(" ");
    let mut lines: Vec<String> = members.iter().map(line).collect();
    lines.sort_unstable();
    Some(lines)
}

async fn until_roster(origin: &Process, room: &RoomId, wanted: Option<&[&str]>) {
    let wanted = wanted.map(|wanted| wanted.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>());
    until(async || roster(origin, room).await == wanted).await;
}

#[tokio::test]
async fn members_of_all_origins_are_told_by_each_until_the_lease_of_one_that_was_killed_is_over() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let lease = "1500";
    let [first, second, third] = [
        origin(&redis, &folder, lease).await,
        origin(&redis, &folder, lease).await,
        origin(&redis, &folder, lease).await,
    ];
    let (room, weur, enam) = (any_room(), Edge::open("weur").await, Edge::open("enam").await);
    assert_eq!(roster(&third, &room).await, None);
    let ada = weur.member(first.socket_address(), room.as_str(), "Ada").await;
    let ben = enam.member(second.socket_address(), room.as_str(), "Ben").await;
    for origin in [&first, &second, &third] {
        until_roster(origin, &room, Some(&["Ada editor weur", "Ben editor enam"])).await;
    }
    let there = third.get(&format!("/api/v1/rooms/{room}")).await.json();
    assert_eq!(there["files"][0]["path"], "a.txt", "{there}");
    let here = first.get(&format!("/api/v1/rooms/{room}")).await.json();
    assert_eq!((&here["epoch"], &here["seq"]), (&there["epoch"], &there["seq"]));

    drop(second);
    for origin in [&first, &third] {
        until_roster(origin, &room, Some(&["Ada editor weur"])).await;
    }
    let listed = format!("c:{{{room}}}:u");
    until(async || redis.ask::<u64>(&["HLEN", &listed]).await == 1).await;

    drop((ada, ben));
    for origin in [&first, &third] {
        until_roster(origin, &room, None).await;
    }
    until(async || redis.ask::<Vec<String>>(&["KEYS", &format!("c:{{{room}}}:*")]).await.is_empty()).await;
    assert!(first.terminate().0.success() && third.terminate().0.success());
}

#[tokio::test]
async fn members_who_come_and_go_are_told_elsewhere_at_once_and_an_origin_that_drains_tells_of_nobody() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    // No renewal comes to the help of this test.
    let lease = "600000";
    let [first, second] = [origin(&redis, &folder, lease).await, origin(&redis, &folder, lease).await];
    let room = any_room();
    let mut ada = first.client(room.as_str()).await;
    ada.open("a.txt").await;
    until_roster(&second, &room, Some(&["Ada editor direct"])).await;
    let mut again = first.client(room.as_str()).await;
    again.open("a.txt").await;
    until_roster(&second, &room, Some(&["Ada editor direct", "Ada editor direct"])).await;
    drop(again);
    until_roster(&second, &room, Some(&["Ada editor direct"])).await;
    assert!(first.terminate().0.success());
    assert_eq!(roster(&second, &room).await, None);
    drop(ada);
    assert!(second.terminate().0.success());
}
