//! What the archive answers while MongoDB is away, silent, or gone in the middle of a write.

use std::{future::Future, sync::Arc, time::Duration};

use mongodb::bson::{Document, doc};
use origin::{
    archive::{
        Archive, ArchiveError, FileWrite, Saved,
        mongo::{Deadlines, MongoArchive},
    },
    connections::{ConnectionState, Connections, Purpose},
};
use secrecy::SecretString;
use shared::id::RoomId;
use tokio::time::{sleep, timeout};

use crate::{
    archive_contract::{shard, write},
    room_store_contract::setup::{any_room, file, path},
    support::{
        PATIENCE, mongo,
        proxy::{Harm, Proxy},
    },
};

/// For what is to fail by them.
const DEADLINES: Deadlines = Deadlines {
    operation: Duration::from_millis(1500),
    making: Duration::from_millis(300),
    ping: Duration::from_millis(50),
};
/// For what fails by the end of its connection.
const PATIENT: Deadlines = Deadlines { operation: PATIENCE, ..DEADLINES };

async fn through_a_proxy() -> (MongoArchive, Proxy) {
    let (proxy, address) = mongo::proxied().await;
    (opened(&address, DEADLINES).await, proxy)
}

/// One that looks for a server for that long, and waits for its answers as long as it takes.
async fn patiently_through_a_proxy(selection: Duration) -> (MongoArchive, Proxy) {
    let (proxy, address) = mongo::proxied_within(selection).await;
    (opened(&address, PATIENT).await, proxy)
}

/// An archive that knows its server.
async fn opened(address: &SecretString, deadlines: Deadlines) -> MongoArchive {
    let archive = MongoArchive::open_within(address, deadlines).await.unwrap();
    let answers = async {
        while archive.ping().await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, answers).await.unwrap();
    archive
}

/// Those who come are served; those who are here are cut.
fn heal(proxy: &Proxy) {
    proxy.harm_all(Harm::None);
    proxy.harm_those_here(Harm::Cut);
}

/// Every operation fails, within the patience, and none of them says that something is not there.
async fn everything_fails(archive: &MongoArchive, id: &RoomId) {
    async fn failed<T: std::fmt::Debug>(work: impl Future<Output = Result<T, ArchiveError>>) {
        let outcome = timeout(PATIENCE, work).await.unwrap();
        assert!(matches!(outcome, Err(ArchiveError::Failed(_))), "{outcome:?}");
    }
    // What is held up may still arrive: it must not be about that shard.
    let (other, one, two) = (any_room(), file(1), file(2));
    tokio::join!(
        failed(archive.find_by_id(id)),
        failed(archive.find_by_id(&other)),
        failed(archive.files(id)),
        failed(archive.file(id, &one)),
        failed(archive.file(id, &two)),
        failed(archive.save_file(&other, Some(1), write(1, "two", "w2"))),
        failed(archive.create(shard(&other, vec![]))),
        failed(archive.synced(&other, 9)),
        failed(archive.delete(&other)),
        failed(archive.ping()),
    );
}

#[tokio::test]
async fn a_failed_read_is_an_error_and_never_no_such_shard() {
    let (archive, proxy) = through_a_proxy().await;
    let (other, id) = (mongo::archive().await, any_room());
    other.create(shard(&id, vec![write(1, "one", "w1")])).await.unwrap();
    for harm in [Harm::BlackHole, Harm::SwallowAnswers, Harm::Cut] {
        proxy.harm_all(harm);
        everything_fails(&archive, &id).await;
        heal(&proxy);
        let found = timeout(PATIENCE, async {
            loop {
                match archive.find_by_id(&id).await {
                    Ok(found) => break found,
                    Err(_) => sleep(Duration::from_millis(50)).await,
                }
            }
        });
        assert_eq!(found.await.unwrap().unwrap().files.len(), 1, "after {harm:?}");
        let stored = other.file(&id, &file(1)).await.unwrap().unwrap();
        assert_eq!((&*stored.text, stored.version), ("one", 1));
    }
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_known_as_its_own() {
    let (archive, proxy) = patiently_through_a_proxy(PATIENCE).await;
    let id = any_room();
    archive.create(shard(&id, vec![write(1, "one", "w1")])).await.unwrap();
    for (known, n) in [(Some(1), 1), (None, 2)] {
        let lost = proxy.lose_answer(mongo::command("update", "files"), Harm::None);
        let (saved, ()) = tokio::join!(archive.save_file(&id, known, write(n, "two", "w2")), lost);
        assert_eq!(saved.unwrap(), Saved::Written(known.unwrap_or(0) + 1));
        let stored = archive.file(&id, &file(n)).await.unwrap().unwrap();
        assert_eq!((&*stored.text, stored.version), ("two", known.unwrap_or(0) + 1));
    }
}

#[tokio::test]
async fn a_first_write_that_comes_after_its_shard_was_deleted_does_not_stay() {
    let (archive, proxy) = patiently_through_a_proxy(PATIENCE).await;
    let (other, id) = (mongo::archive().await, any_room());
    archive.create(shard(&id, vec![])).await.unwrap();
    // By then the shard has been looked at.
    let mut write_of_it = proxy.hold(mongo::command("update", "files"));
    let delete_meanwhile = async {
        write_of_it.here().await;
        assert!(other.delete(&id).await.unwrap());
        write_of_it.let_go();
    };
    let (saved, ()) = tokio::join!(archive.save_file(&id, None, write(1, "late", "w1")), delete_meanwhile);
    assert_eq!(saved.unwrap(), Saved::NoShard);
    let files = mongo::database().await.collection::<Document>("files");
    assert_eq!(files.count_documents(doc! { "shard": id.as_str() }).await.unwrap(), 0);
}

#[tokio::test]
async fn a_shard_whose_making_is_not_answered_is_made_or_not_but_never_half() {
    let (archive, proxy) = patiently_through_a_proxy(PATIENCE).await;
    let made = any_room();
    // The first update of a shard is the commit.
    let lost = proxy.lose_answer(mongo::command("update", "shards"), Harm::None);
    let (outcome, ()) = tokio::join!(archive.create(shard(&made, vec![write(1, "one", "w1")])), lost);
    outcome.unwrap();
    assert_eq!(archive.files(&made).await.unwrap().len(), 1);

    let (archive, proxy) = patiently_through_a_proxy(Duration::from_secs(2)).await;
    let unmade = any_room();
    let lost = proxy.lose_answer(mongo::command("insert", "files"), Harm::Cut);
    let (outcome, ()) = tokio::join!(archive.create(shard(&unmade, vec![write(1, "one", "w1")])), lost);
    assert!(matches!(outcome, Err(ArchiveError::Failed(_))), "{outcome:?}");
    let other = mongo::hasty_archive().await;
    assert_eq!(other.find_by_id(&unmade).await.unwrap(), None);
    assert_eq!(other.files(&unmade).await.unwrap(), []);
    let other_files = vec![FileWrite { path: path("src/1.js"), ..write(2, "other", "w1") }];
    other.create(shard(&unmade, other_files)).await.unwrap();
    let files = other.files(&unmade).await.unwrap();
    assert_eq!((files.len(), &*files[0].text), (1, "other"));
}

#[tokio::test]
async fn an_archive_that_is_away_at_the_start_is_used_when_it_comes() {
    let (proxy, address) = mongo::proxied().await;
    proxy.harm_all(Harm::Cut);
    let archive = timeout(PATIENCE, MongoArchive::open_within(&address, DEADLINES)).await.unwrap().unwrap();
    let id = any_room();
    assert!(archive.create(shard(&id, vec![])).await.is_err());
    proxy.harm_all(Harm::None);
    let made = async {
        while archive.create(shard(&id, vec![write(1, "one", "w1")])).await.is_err() {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, made).await.unwrap();
}

#[tokio::test]
async fn the_connection_shows_whether_it_is_up_and_is_closed_with_the_others() {
    let (archive, proxy) = through_a_proxy().await;
    let (archive, connections) = (Arc::new(archive), Connections::new());
    archive.watch(&connections).unwrap();
    let until = async |up: bool| {
        let state = ConnectionState { name: "mongodb".to_owned(), purpose: Purpose::Archive, up };
        let shown = async {
            while connections.states() != [state.clone()] {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(PATIENCE, shown).await.unwrap();
    };
    until(true).await;
    proxy.harm_all(Harm::BlackHole);
    until(false).await;
    heal(&proxy);
    until(true).await;
    assert!(connections.close_all(PATIENCE).await);
    assert!(archive.ping().await.is_err(), "it is closed");
}
