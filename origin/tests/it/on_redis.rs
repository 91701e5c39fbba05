//! Origins whose rooms are in Redis: two of them are one service.

use std::time::Duration;

use origin::{
    archive::{Archive, NewShard, sqlite::SqliteArchive},
    project::text::state_of,
    store::{Entry, RoomLog, Source},
};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use tokio_util::task::TaskTracker;

use crate::{
    room_store_contract::setup::{any_room, batch},
    support::{
        Client, Process, TestOrigin,
        redis::{Redis, open, until, with_user},
    },
};

/// Two origins on one server and one archive.
async fn two(redis: &Redis, folder: &tempfile::TempDir) -> [TestOrigin; 2] {
    let redis = format!("--redis-url={}", with_user(&redis.url()).await);
    let data_dir = format!("--data-dir={}", folder.path().display());
    [TestOrigin::start(&[&redis, &data_dir]).await, TestOrigin::start(&[&redis, &data_dir]).await]
}

/// The first number on a line of INFO.
async fn counted(redis: &Redis, section: &str, line: &str) -> u64 {
    let info: String = redis.ask(&["INFO", section]).await;
    let value = info.lines().find_map(|one| one.strip_prefix(line)).unwrap_or_default();
    let digits: String =
        value.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

/// Whether a line is about one of the connections of the queue.
fn is_of_queue(line: &serde_json::Value) -> bool {
    ["redis-queue", "redis-worker"].iter().any(|name| line["connection.name"] == *name)
}

/// Which connections lines are about, in order.
fn told_of(lines: &[serde_json::Value]) -> Vec<String> {
    let name = |line: &serde_json::Value| line["connection.name"].as_str().unwrap_or_default().to_owned();
    let mut names: Vec<String> = lines.iter().map(name).collect();
    names.sort_unstable();
    names
}

/// What was warned of in these words.
fn warnings(said: &str, words: &str) -> Vec<serde_json::Value> {
    let lines = said.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    lines.filter(|line| line["level"] == "WARN" && line["message"] == words).collect()
}

#[tokio::test]
async fn members_who_type_at_the_same_time_at_two_origins_end_equal() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let origins = two(&redis, &folder).await;
    let room = any_room();
    let (mut ada, mut ben) = (origins[0].client(room.as_str()).await, origins[1].client(room.as_str()).await);
    ada.open("a.txt").await;
    ben.open("a.txt").await;
    let typing = async |member: &mut Client, letter: &str| {
        for _ in 0..200 {
            member.append("a.txt", letter).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        member.saved("a.txt").await;
        member.until(|member| member.text("a.txt").len() == 400).await;
    };
    tokio::join!(typing(&mut ada, "a"), typing(&mut ben, "b"));
    assert_eq!(ada.text("a.txt"), ben.text("a.txt"));
    drop((ada, ben));
    for origin in origins {
        origin.stop().await;
    }
}

#[tokio::test]
async fn a_server_that_is_away_shows_as_degraded_and_takes_no_traffic_away() {
    let redis = Redis::start(&[]).await;
    let flags = [format!("--redis-url={}", redis.url()), "--subscriber-probe-ms=100".to_owned()];
    let flags = [flags[0].as_str(), flags[1].as_str(), "--redis-deadline-ms=1000"];
    let origin = TestOrigin::start(&flags).await;
    let stands = async |word: &str| {
        let answer = origin.get("/readyz").await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["room_store"] == word
    };
    until(async || stands("ok").await).await;
    let ready = origin.get("/readyz").await.json();
    assert_eq!(ready["connections"].as_array().map(Vec::len), Some(5), "{ready}");
    let up = r#"edgeroom_connection_up{name="redis-subscriber",purpose="subscriber"} 1"#;
    origin.until_counted(up).await;

    let room = any_room();
    let mut ada = origin.client(room.as_str()).await;
    ada.open("a.txt").await;
    ada.append("a.txt", "before ").await;
    ada.saved("a.txt").await;
    redis.freeze();
    until(async || stands("degraded").await).await;
    ada.append("a.txt", "meanwhile").await;
    let early = tokio::time::timeout(Duration::from_millis(500), ada.saved("a.txt")).await;
    assert!(early.is_err(), "acknowledged although Redis has nothing");
    redis.thaw();
    ada.saved("a.txt").await;
    until(async || stands("ok").await).await;
    drop(ada);
    origin.until_stored(&format!("/api/v1/shards/{room}/files/a.txt"), "before meanwhile").await;
    origin.stop().await;
}

#[tokio::test]
async fn a_server_behind_tls_is_reached_only_if_its_certificate_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let mut authority = CertificateParams::new(Vec::new()).unwrap();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let (authority_key, key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let authority_certificate = authority.self_signed(&authority_key).unwrap();
    let issuer = Issuer::new(authority, authority_key);
    let names = vec!["localhost".to_owned()];
    let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
    std::fs::write(path("ca.pem"), authority_certificate.pem()).unwrap();
    std::fs::write(path("server.pem"), certificate.pem()).unwrap();
    std::fs::write(path("server.key"), key.serialize_pem()).unwrap();

    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let (port, ca, pem, key) = (port.to_string(), path("ca.pem"), path("server.pem"), path("server.key"));
    let options = ["--tls-port", &port, "--tls-cert-file", &pem, "--tls-key-file", &key];
    let options = [&options[..], &["--tls-ca-cert-file", &ca, "--tls-auth-clients", "no"]].concat();
    let redis = Redis::start(&options).await;
    let plain = with_user(&redis.url()).await;
    let (user, _) = plain.trim_start_matches("redis://").split_once('@').unwrap();
    let url = format!("rediss://{user}@localhost:{port}");
    let data_dir = path("data");
    let own = [("AUTH", "open"), ("LISTEN", "127.0.0.1:0"), ("REDIS_URL", &url), ("DATA_DIR", &data_dir)];

    let trusting = Process::start(&[&own[..], &[("SSL_CERT_FILE", &ca)]].concat(), &[]);
    let clients = async || redis.ask::<String>(&["CLIENT", "LIST"]).await;
    // Three of the rooms; the queue has one to ask, its worker one to ask and one to wait.
    until(async || clients().await.matches("user=edgeroom").count() == 6).await;
    assert!(trusting.terminate().0.success());
    let before = counted(&redis, "stats", "total_connections_received:").await;
    let wary = Process::start(&own, &[]);
    // Each of the three has tried more than once; looking counts too.
    until(async || counted(&redis, "stats", "total_connections_received:").await > before + 100).await;
    assert_eq!(clients().await.matches("user=edgeroom").count(), 0);
    let ready = wary.get("/readyz").await.json();
    assert_eq!(ready["room_store"], "degraded", "{ready}");
    let (status, said) = wary.terminate();
    assert!(status.success());
    let (queue, rooms): (Vec<_>, Vec<_>) =
        warnings(&said, "a connection fails").into_iter().partition(is_of_queue);
    let all = ["redis-bulk", "redis-commands", "redis-subscriber"];
    assert_eq!(told_of(&rooms), all, "one for each connection: {said}");
    assert!(rooms.iter().all(|one| one["why"].to_string().contains("certificate")), "{rooms:?}");
    // Its crate tries for a whole deadline before it says so.
    assert!(told_of(&queue).is_sorted_by(|one, next| one < next), "at most one for each: {said}");
}

#[tokio::test]
async fn what_the_server_refuses_its_user_is_told_once_and_shown_until_it_has_passed() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let url = with_user(&redis.url()).await.replace(":secret@", ":another-password@");
    let data_dir = folder.path().to_str().unwrap();
    let own = [("AUTH", "open"), ("LISTEN", "127.0.0.1:0"), ("REDIS_URL", &url), ("DATA_DIR", data_dir)];
    let origin = Process::start(&[&own[..], &[("SUBSCRIBER_PROBE_MS", "100")]].concat(), &[]);
    let usable = async |name: &str| {
        let ready = origin.get("/readyz").await.json();
        let all = ready["connections"].as_array().unwrap();
        let up = all.iter().find(|one| one["name"] == name).unwrap()["up"] == true;
        assert_eq!(ready["room_store"] == "ok", all.iter().all(|one| one["up"] == true), "{ready}");
        up
    };
    // Each of the three connections has been refused more than once.
    until(async || counted(&redis, "commandstats", "cmdstat_hello:").await > 12).await;
    assert!(!usable("redis-commands").await && !usable("redis-subscriber").await);

    redis.ask::<String>(&["ACL", "SETUSER", "edgeroom", ">another-password"]).await;
    until(async || usable("redis-commands").await && usable("redis-subscriber").await).await;
    let room = any_room();
    let mut ada = origin.client(room.as_str()).await;
    ada.open(".room").await;
    ada.open("a.txt").await;
    redis.ask::<String>(&["ACL", "SETUSER", "edgeroom", "-xadd"]).await;
    ada.append("a.txt", "typed").await;
    ada.until(|ada| ada.events.iter().filter(|event| event["type"] == "hold").count() > 1).await;
    assert!(!usable("redis-commands").await && usable("redis-bulk").await);
    redis.ask::<String>(&["ACL", "SETUSER", "edgeroom", "+xadd"]).await;
    ada.saved("a.txt").await;
    until(async || usable("redis-commands").await).await;
    drop(ada);

    let (status, said) = origin.terminate();
    assert!(status.success());
    let (_, rooms): (Vec<_>, Vec<_>) =
        warnings(&said, "a connection fails").into_iter().partition(is_of_queue);
    assert_eq!(told_of(&rooms), ["redis-bulk", "redis-commands", "redis-subscriber"], "{said}");
    let refused = warnings(&said, "the server refuses its user something");
    assert_eq!(refused.len(), 1, "{refused:?}");
    assert_eq!(
        (&refused[0]["connection.name"], &refused[0]["doing"]),
        (&"redis-commands".into(), &"append".into())
    );
    assert!(!said.contains("another-password"), "{said}");
}

#[tokio::test]
async fn a_room_whose_subscription_cannot_be_had_again_goes_on_and_hears_what_it_has_missed() {
    let redis = Redis::start(&[]).await;
    let url = format!("--redis-url={}", with_user(&redis.url()).await);
    // Whoever waited for a subscription would wait for longer than anybody's patience.
    let origin = TestOrigin::start(&[&url, "--redis-deadline-ms=600000", "--subscriber-probe-ms=100"]).await;
    let room = any_room();
    let mut ada = origin.client(room.as_str()).await;
    ada.open("a.txt").await;
    ada.open("b.txt").await;
    redis.ask::<String>(&["ACL", "SETUSER", "edgeroom", "-subscribe"]).await;
    redis.ask::<u64>(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;

    let elsewhere = open(&redis.url()).store;
    let named = elsewhere.names(&room).await.unwrap();
    let (file, _) = named.iter().find(|(_, path)| path.as_str() == "b.txt").unwrap();
    let epoch = elsewhere.dirty(&room).await.unwrap().epoch;
    let bytes = state_of("from elsewhere", 7);
    let entry = Entry::new(file.clone(), Source::default(), bytes);
    elsewhere.append(&room, epoch, batch("elsewhere", 1, vec![entry])).await.unwrap();
    // The silence is noticed, and for as long as this nobody hears the room.
    for _ in 0..20 {
        ada.append("a.txt", "x").await;
        ada.saved("a.txt").await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(origin.get("/readyz").await.json()["room_store"], "degraded");
    redis.ask::<String>(&["ACL", "SETUSER", "edgeroom", "+subscribe"]).await;
    ada.until(|ada| ada.text("b.txt") == "from elsewhere").await;
    drop(ada);
    origin.stop().await;
}

#[tokio::test]
async fn a_folder_whose_rooms_are_in_redis_is_shared_but_not_with_one_that_keeps_its_own() {
    let (redis, folder) = (Redis::start(&[]).await, tempfile::tempdir().unwrap());
    let origins = two(&redis, &folder).await;
    let data_dir = folder.path().to_str().unwrap();
    let said = Process::refused(&[("AUTH", "open"), ("LISTEN", "127.0.0.1:0"), ("DATA_DIR", data_dir)], &[]);
    assert!(said.contains("another process"), "{said}");
    for origin in origins {
        origin.stop().await;
    }
}

/// As processes do that start together.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_archive_that_several_open_at_the_same_moment_serves_all_of_them() {
    for _ in 0..10 {
        let folder = tempfile::tempdir().unwrap();
        let (room, tasks) = (any_room(), TaskTracker::new());
        let openers: Vec<_> = (0..6)
            .map(|n| {
                let (path, room) = (folder.path().join("archive.db"), room.clone());
                tasks.spawn(async move {
                    let archive = SqliteArchive::open(&path).unwrap();
                    let title = n.to_string();
                    let shard =
                        NewShard { id: room.clone(), title, template: None, files: Vec::new(), now: 1 };
                    let made = archive.create(shard).await.is_ok();
                    (made, archive.find_by_id(&room).await.unwrap().unwrap().title)
                })
            })
            .collect();
        let mut outcomes = Vec::new();
        for opener in openers {
            outcomes.push(opener.await.unwrap());
        }
        assert_eq!(outcomes.iter().filter(|(made, _)| *made).count(), 1, "{outcomes:?}");
        assert!(outcomes.iter().all(|(_, title)| *title == outcomes[0].1), "{outcomes:?}");
    }
}
