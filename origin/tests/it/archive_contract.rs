//! What every archive must do. `contract_of!(name)` runs the suite against the archive that `name()` opens.

pub(crate) mod large;

use std::sync::Arc;

use bytes::Bytes;
use origin::archive::{
    Archive, ArchiveError, Eol, FileEntry, FileWrite, NewShard, Saved, StoredFile, mongo::MongoArchive,
    sqlite::SqliteArchive,
};
use shared::id::RoomId;

use self::large::{
    a_shard_with_large_files_is_made_read_and_deleted, files_at_the_limit_and_far_above_it_are_kept_whole,
};
use crate::{
    room_store_contract::setup::{any_room, file, path},
    support::mongo,
};

macro_rules! contract_tests {
    ($archive:ident: $($test:ident)*) => {
        mod $archive {
            $(
                #[tokio::test]
                async fn $test() {
                    let (archive, _guard) = super::super::$archive().await;
                    super::$test(archive).await;
                }
            )*
        }
    };
}

/// The suite for the archive that `super::$archive()` opens: it answers the archive and what keeps it alive.
macro_rules! contract_of {
    ($archive:ident) => {
        contract_tests! { $archive:
            a_created_shard_is_found_with_its_files
            a_shard_is_created_whole_or_not_at_all
            of_many_makers_of_one_shard_one_succeeds
            a_file_is_written_only_over_what_its_writer_has_seen
            a_repeated_write_is_known_as_its_own
            of_two_first_writes_one_is_written
            of_many_writers_of_one_version_one_wins
            two_files_cannot_have_one_path
            a_file_without_a_shard_is_not_written
            the_last_sync_timestamp_never_goes_back
            a_deleted_shard_is_gone_with_its_files
            what_was_meant_for_a_deleted_shard_does_not_reach_the_next_of_its_id
        }
    };
}

/// The part of the suite that is about large files.
macro_rules! large_files_of {
    ($archive:ident) => {
        contract_tests! { $archive:
            files_at_the_limit_and_far_above_it_are_kept_whole
            a_shard_with_large_files_is_made_read_and_deleted
        }
    };
}

mod sqlite_contract {
    use super::*;
    contract_of!(sqlite);
}

mod mongo_contract {
    use super::*;
    contract_of!(mongo);
}

mod sqlite_large_files {
    use super::*;
    large_files_of!(sqlite);
}

mod mongo_large_files {
    use super::*;
    large_files_of!(mongo_apart);
}

pub(crate) type Opened = (Arc<dyn Archive>, Option<tempfile::TempDir>);

pub(crate) async fn sqlite() -> Opened {
    let dir = tempfile::tempdir().unwrap();
    (Arc::new(SqliteArchive::open(&dir.path().join("archive.db")).unwrap()), Some(dir))
}

pub(crate) async fn mongo() -> Opened {
    (Arc::new(self::mongo::archive().await), None)
}

pub(crate) async fn mongo_apart() -> Opened {
    (Arc::new(MongoArchive::open(&mongo::apart().into()).await.unwrap()), None)
}

pub(crate) fn write(n: u8, text: &str, write_id: &str) -> FileWrite {
    FileWrite {
        id: file(n),
        path: path(&format!("src/{n}.js")),
        text: text.to_owned(),
        state: Bytes::copy_from_slice(format!("state of {text}").as_bytes()),
        ts: 5_000,
        seq: 3,
        eol: Eol::Crlf,
        making: None,
        write_id: write_id.to_owned(),
        now: 6_000,
    }
}

pub(crate) fn shard(id: &RoomId, files: Vec<FileWrite>) -> NewShard {
    NewShard {
        id: id.clone(),
        title: "A title".to_owned(),
        template: Some("react".to_owned()),
        files,
        now: 1,
    }
}

async fn with_one_file(archive: &dyn Archive) -> RoomId {
    let id = any_room();
    archive.create(shard(&id, vec![write(1, "one", "w1")])).await.unwrap();
    id
}

async fn stored(archive: &dyn Archive, id: &RoomId) -> StoredFile {
    archive.file(id, &file(1)).await.unwrap().unwrap()
}

async fn a_created_shard_is_found_with_its_files(archive: Arc<dyn Archive>) {
    let id = any_room();
    assert_eq!(archive.find_by_id(&id).await.unwrap(), None);
    assert_eq!(archive.files(&id).await.unwrap(), []);
    archive.create(shard(&id, vec![write(2, "two", "w2"), write(1, "one", "w1")])).await.unwrap();
    let found = archive.find_by_id(&id).await.unwrap().unwrap();
    assert_eq!((found.id, &*found.title, found.template.as_deref()), (id.clone(), "A title", Some("react")));
    assert_eq!(found.last_sync_timestamp, 0);
    let entry =
        FileEntry { id: file(1), path: path("src/1.js"), ts: 5_000, stored_at: 6_000, eol: Eol::Crlf };
    assert_eq!(found.files[0], entry);
    let one = StoredFile {
        id: file(1),
        path: path("src/1.js"),
        version: 1,
        text: "one".to_owned(),
        state: Bytes::from_static(b"state of one"),
        ts: 5_000,
        eol: Eol::Crlf,
        write_id: "w1".to_owned(),
        stored_at: 6_000,
    };
    assert_eq!(archive.file(&id, &file(1)).await.unwrap().as_ref(), Some(&one));
    let files = archive.files(&id).await.unwrap();
    assert_eq!((files.len(), &files[0], &*files[1].text), (2, &one, "two"));
    assert_eq!(archive.file(&id, &file(3)).await.unwrap(), None);
}

async fn a_shard_is_created_whole_or_not_at_all(archive: Arc<dyn Archive>) {
    let id = with_one_file(&*archive).await;
    let second = archive.create(shard(&id, vec![write(2, "two", "w2")])).await;
    assert!(matches!(second, Err(ArchiveError::Taken)));
    assert_eq!(archive.files(&id).await.unwrap().len(), 1);

    let clashing = any_room();
    let same_path = FileWrite { path: path("src/1.js"), ..write(2, "two", "w2") };
    let refused = archive.create(shard(&clashing, vec![write(1, "one", "w1"), same_path])).await;
    assert!(matches!(refused, Err(ArchiveError::Path(_))));
    assert_eq!(archive.find_by_id(&clashing).await.unwrap(), None);
    assert_eq!(archive.files(&clashing).await.unwrap(), []);
}

async fn of_many_makers_of_one_shard_one_succeeds(archive: Arc<dyn Archive>) {
    let id = any_room();
    let makers = (0..6_u8).map(|maker| {
        let one = |n| FileWrite { id: file(10 * maker + n), ..write(n, &format!("by {maker}"), "w") };
        archive.create(shard(&id, vec![one(1), one(2)]))
    });
    let made = futures_util::future::join_all(makers).await;
    let maker = made.iter().position(Result::is_ok).unwrap();
    let others = made.iter().enumerate().filter(|(n, _)| *n != maker);
    assert!(others.clone().all(|(_, made)| matches!(made, Err(ArchiveError::Taken))), "{made:?}");
    let texts: Vec<_> =
        archive.files(&id).await.unwrap().into_iter().map(|file| (file.id, file.text)).collect();
    let its = |n| (file(10 * maker as u8 + n), format!("by {maker}"));
    assert_eq!(texts, [its(1), its(2)]);
}

async fn a_file_is_written_only_over_what_its_writer_has_seen(archive: Arc<dyn Archive>) {
    let id = with_one_file(&*archive).await;
    let moved = FileWrite { path: path("lib/1.js"), eol: Eol::Lf, ..write(1, "new", "w2") };
    assert_eq!(archive.save_file(&id, Some(1), moved).await.unwrap(), Saved::Written(2));
    let now = stored(&*archive, &id).await;
    assert_eq!((now.version, &*now.text, &*now.path.to_string(), now.eol), (2, "new", "lib/1.js", Eol::Lf));
    for known in [Some(1), None, Some(3)] {
        let miss = archive.save_file(&id, known, write(1, "late", "w3")).await.unwrap();
        assert_eq!(miss, Saved::Miss(Box::new(now.clone())), "{known:?}");
    }
    assert_eq!(stored(&*archive, &id).await, now);
}

async fn a_repeated_write_is_known_as_its_own(archive: Arc<dyn Archive>) {
    let id = with_one_file(&*archive).await;
    for _ in 0..2 {
        let saved = archive.save_file(&id, Some(1), write(1, "new", "w2")).await.unwrap();
        assert_eq!(saved, Saved::Written(2));
    }
    assert_eq!(stored(&*archive, &id).await.version, 2);
}

async fn of_two_first_writes_one_is_written(archive: Arc<dyn Archive>) {
    let id = with_one_file(&*archive).await;
    assert_eq!(archive.save_file(&id, None, write(2, "a", "w2")).await.unwrap(), Saved::Written(1));
    let miss = archive.save_file(&id, None, write(2, "b", "w3")).await.unwrap();
    assert!(matches!(miss, Saved::Miss(stored) if stored.text == "a" && stored.version == 1));
}

async fn of_many_writers_of_one_version_one_wins(archive: Arc<dyn Archive>) {
    let id = with_one_file(&*archive).await;
    let writes =
        (0..8).map(|n| archive.save_file(&id, Some(1), write(1, &format!("by {n}"), &format!("w-{n}"))));
    let saved = futures_util::future::join_all(writes).await;
    let won: Vec<_> = saved.iter().filter(|one| matches!(one, Ok(Saved::Written(2)))).collect();
    assert_eq!((won.len(), stored(&*archive, &id).await.version), (1, 2));
    assert!(saved.iter().all(|one| matches!(one, Ok(Saved::Written(_) | Saved::Miss(_)))));
}

async fn two_files_cannot_have_one_path(archive: Arc<dyn Archive>) {
    let id = with_one_file(&*archive).await;
    let clash = FileWrite { path: path("src/1.js"), ..write(2, "two", "w2") };
    let refused = archive.save_file(&id, None, clash).await;
    assert!(matches!(refused, Err(ArchiveError::Path(at)) if at == path("src/1.js")));
    assert_eq!(archive.files(&id).await.unwrap().len(), 1);
}

async fn a_file_without_a_shard_is_not_written(archive: Arc<dyn Archive>) {
    let id = any_room();
    assert_eq!(archive.save_file(&id, None, write(1, "a", "w1")).await.unwrap(), Saved::NoShard);
    assert_eq!(archive.files(&id).await.unwrap(), []);
}

async fn the_last_sync_timestamp_never_goes_back(archive: Arc<dyn Archive>) {
    let id = with_one_file(&*archive).await;
    for (told, kept) in [(700, 700), (300, 700), (900, 900)] {
        archive.synced(&id, told).await.unwrap();
        assert_eq!(archive.find_by_id(&id).await.unwrap().unwrap().last_sync_timestamp, kept);
    }
}

async fn a_deleted_shard_is_gone_with_its_files(archive: Arc<dyn Archive>) {
    let id = with_one_file(&*archive).await;
    assert!(archive.delete(&id).await.unwrap());
    assert!(!archive.delete(&id).await.unwrap());
    assert_eq!(archive.find_by_id(&id).await.unwrap(), None);
    let late = archive.save_file(&id, Some(1), write(1, "late", "w2")).await.unwrap();
    assert_eq!(late, Saved::NoShard);
    archive.create(shard(&id, vec![])).await.unwrap();
    assert_eq!(archive.files(&id).await.unwrap(), []);
}

async fn what_was_meant_for_a_deleted_shard_does_not_reach_the_next_of_its_id(archive: Arc<dyn Archive>) {
    assert_eq!(archive.making(&any_room()).await.unwrap(), None);
    let id = with_one_file(&*archive).await;
    let making = archive.making(&id).await.unwrap();
    assert!(making.is_some());
    let meant = |n: u8, write_id: &str| FileWrite { making, ..write(n, "old", write_id) };
    let written = archive.save_file(&id, Some(1), meant(1, "w2")).await.unwrap();
    assert_eq!(written, Saved::Written(2));
    archive.delete(&id).await.unwrap();
    archive.create(NewShard { now: 2, ..shard(&id, vec![]) }).await.unwrap();
    assert_ne!(archive.making(&id).await.unwrap(), making);
    assert_eq!(archive.save_file(&id, Some(2), meant(1, "w3")).await.unwrap(), Saved::NoShard);
    assert_eq!(archive.save_file(&id, None, meant(2, "w4")).await.unwrap(), Saved::NoShard);
    assert_eq!(archive.files(&id).await.unwrap(), []);
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_refused_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("archive.db");
    let archive = SqliteArchive::open(&at).unwrap();
    let id = with_one_file(&archive).await;
    let newer = rusqlite::Connection::open(&at).unwrap();
    newer.execute_batch("UPDATE files SET format = 2").unwrap();
    assert!(matches!(archive.file(&id, &file(1)).await, Err(ArchiveError::Version(2))));
    assert!(matches!(archive.files(&id).await, Err(ArchiveError::Version(2))));
    assert!(matches!(archive.find_by_id(&id).await, Err(ArchiveError::Version(2))));
    let refused = archive.save_file(&id, Some(1), write(1, "older", "w2")).await;
    assert!(matches!(refused, Err(ArchiveError::Version(2))));
    newer.execute_batch("UPDATE files SET format = 1; UPDATE shards SET format = 3").unwrap();
    assert!(matches!(archive.find_by_id(&id).await, Err(ArchiveError::Version(3))));
    newer.execute_batch("UPDATE shards SET format = 1").unwrap();
    assert_eq!(stored(&archive, &id).await.text, "one");
}

#[tokio::test]
async fn two_processes_on_one_file_do_not_overwrite_each_other() {
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path().join("archive.db");
    let (a, b) = (SqliteArchive::open(&at).unwrap(), SqliteArchive::open(&at).unwrap());
    let id = with_one_file(&a).await;
    for version in 1..20 {
        let (of_a, of_b) = tokio::join!(
            a.save_file(&id, Some(version), write(1, "a", &format!("a{version}"))),
            b.save_file(&id, Some(version), write(1, "b", &format!("b{version}"))),
        );
        let written =
            [of_a.unwrap(), of_b.unwrap()].into_iter().filter(|one| matches!(one, Saved::Written(_)));
        assert_eq!(written.count(), 1, "at version {version}");
    }
    let text: String = rusqlite::Connection::open(&at)
        .unwrap()
        .query_row("SELECT text FROM files WHERE ver = 20", [], |row| row.get(0))
        .unwrap();
    assert!(text == "a" || text == "b", "the text is readable with sqlite3");
}
