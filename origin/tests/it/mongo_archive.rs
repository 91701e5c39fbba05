//! What is particular to the archive in MongoDB: its records as other tools see them, and what a crash
//! between two writes leaves.

use mongodb::{
    Collection,
    bson::{Bson, Document, doc},
};
use origin::archive::{Archive, ArchiveError, Eol, FileWrite, NewShard, Saved, mongo::MongoArchive};
use shared::id::RoomId;

use crate::{
    archive_contract::{shard, write},
    room_store_contract::setup::{any_room, file, path},
    support::mongo,
};

/// An archive, the collections as other tools see them, and an id.
struct Bench {
    archive: MongoArchive,
    shards: Collection<Document>,
    files: Collection<Document>,
    id: RoomId,
}

impl Bench {
    async fn new() -> Self {
        let database = mongo::database().await;
        Self {
            archive: mongo::hasty_archive().await,
            shards: database.collection("shards"),
            files: database.collection("files"),
            id: any_room(),
        }
    }

    async fn with_one_file() -> Self {
        let bench = Self::new().await;
        bench.archive.create(bench.shard(vec![write(1, "one", "w1")])).await.unwrap();
        bench
    }

    fn shard(&self, files: Vec<FileWrite>) -> NewShard {
        shard(&self.id, files)
    }

    fn key(&self, n: u8) -> String {
        format!("{}/{}", self.id, file(n))
    }

    async fn shard_record(&self) -> Option<Document> {
        self.shards.find_one(doc! { "_id": self.id.as_str() }).await.unwrap()
    }

    async fn file_record(&self, n: u8) -> Option<Document> {
        self.files.find_one(doc! { "_id": self.key(n) }).await.unwrap()
    }

    async fn count_files(&self) -> u64 {
        self.files.count_documents(doc! { "shard": self.id.as_str() }).await.unwrap()
    }

    /// Leaves a file of another making of the shard behind.
    async fn leave(&self, n: u8, at: &str) {
        let mut left = doc! { "_id": self.key(n), "v": 1, "shard": self.id.as_str(), "gen": 77_i64 };
        left.extend(doc! { "fid": file(n).as_str(), "path": at, "ver": 1_i64, "ts": 1_i64, "seq": 0_i64 });
        left.extend(doc! { "wid": "left", "text": "left", "eol": "lf", "updatedAt": 1_i64 });
        self.files.insert_one(left).await.unwrap();
    }

    async fn change_file(&self, change: Document) {
        let changed = self.files.update_one(doc! { "_id": self.key(1) }, change).await.unwrap();
        assert_eq!(changed.matched_count, 1);
    }

    async fn change_shard(&self, change: Document) {
        let changed = self.shards.update_one(doc! { "_id": self.id.as_str() }, change).await.unwrap();
        assert_eq!(changed.matched_count, 1);
    }
}

#[tokio::test]
async fn the_records_are_as_other_tools_expect_them() {
    let bench = Bench::with_one_file().await;
    let renamed = FileWrite { path: path("lib/1.js"), ..write(1, "two", "w2") };
    assert_eq!(bench.archive.save_file(&bench.id, Some(1), renamed).await.unwrap(), Saved::Written(2));
    bench.archive.save_file(&bench.id, None, write(2, "", "w3")).await.unwrap();
    bench.archive.synced(&bench.id, 4_000).await.unwrap();

    let shard = bench.shard_record().await.unwrap();
    let making = shard.get_i64("gen").unwrap();
    let tree = [
        doc! { "fid": file(1).as_str(), "path": "lib/1.js" },
        doc! { "fid": file(2).as_str(), "path": "src/2.js" },
    ];
    let expected = doc! {
        "_id": bench.id.as_str(), "v": 1_i32, "gen": making, "title": "A title", "template": "react",
        "files": tree.to_vec(), "last_sync_timestamp": 4_000_i64, "createdAt": 1_i64, "updatedAt": 1_i64,
    };
    assert_eq!(sorted(&shard), sorted(&expected));

    let record = bench.file_record(1).await.unwrap();
    assert_eq!(record.get_str("text").unwrap(), "two");
    assert_eq!(record.get_binary_generic("state").unwrap(), b"state of two");
    let mut rest = record.clone();
    rest.remove("state");
    let expected = doc! {
        "_id": bench.key(1), "v": 1_i32, "shard": bench.id.as_str(), "fid": file(1).as_str(),
        "path": "lib/1.js", "ver": 2_i64, "gen": making, "ts": 5_000_i64, "seq": 3_i64, "wid": "w2",
        "text": "two", "enc": "v1", "bytes": 12_i64, "eol": "crlf", "updatedAt": 6_000_i64,
    };
    assert_eq!(sorted(&rest), sorted(&expected));
}

fn sorted(record: &Document) -> Vec<(String, Bson)> {
    let mut fields: Vec<_> = record.clone().into_iter().collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}

#[tokio::test]
async fn the_indexes_are_made_at_the_start() {
    let bench = Bench::new().await;
    let mut indexes = bench.files.list_indexes().await.unwrap();
    let mut unique = Vec::new();
    while indexes.advance().await.unwrap() {
        let index = indexes.deserialize_current().unwrap();
        if index.options.is_some_and(|options| options.unique == Some(true)) {
            unique.push(index.keys);
        }
    }
    assert!(unique.contains(&doc! { "shard": 1, "path": 1 }), "{unique:?}");
    assert!(bench.shards.list_index_names().await.unwrap().contains(&"owner_1".to_owned()));
}

#[tokio::test]
async fn a_record_of_an_older_version_is_read_and_written_again() {
    let bench = Bench::with_one_file().await;
    let younger = doc! { "v": "", "gen": "", "seq": "", "eol": "", "enc": "", "bytes": "" };
    bench.change_file(doc! { "$unset": younger }).await;
    bench.change_shard(doc! { "$unset": { "v": "", "gen": "" } }).await;

    let shard = bench.archive.find_by_id(&bench.id).await.unwrap().unwrap();
    assert_eq!((&*shard.title, shard.files.len(), shard.files[0].eol), ("A title", 1, Eol::Lf));
    let stored = bench.archive.file(&bench.id, &file(1)).await.unwrap().unwrap();
    assert_eq!((&*stored.text, stored.version, &*stored.state), ("one", 1, &b"state of one"[..]));
    assert_eq!(bench.archive.files(&bench.id).await.unwrap(), [stored]);

    let saved = bench.archive.save_file(&bench.id, Some(1), write(1, "two", "w2")).await.unwrap();
    assert_eq!(saved, Saved::Written(2));
    let record = bench.file_record(1).await.unwrap();
    assert_eq!((record.get_i32("v").unwrap(), record.get_str("eol").unwrap()), (1, "crlf"));
    bench.archive.save_file(&bench.id, None, write(2, "new", "w3")).await.unwrap();
    assert_eq!(bench.archive.files(&bench.id).await.unwrap().len(), 2);
    assert!(bench.archive.delete(&bench.id).await.unwrap());
    assert_eq!(bench.count_files().await, 0);
}

#[tokio::test]
async fn a_record_of_a_newer_version_is_refused_and_kept() {
    let bench = Bench::with_one_file().await;
    // Nothing else in it need be as it is now.
    bench.change_file(doc! { "$set": { "v": 3, "eol": 7 }, "$unset": { "text": "", "wid": "" } }).await;
    let before = bench.file_record(1).await;
    assert!(matches!(bench.archive.file(&bench.id, &file(1)).await, Err(ArchiveError::Version(3))));
    assert!(matches!(bench.archive.files(&bench.id).await, Err(ArchiveError::Version(3))));
    assert!(matches!(bench.archive.find_by_id(&bench.id).await, Err(ArchiveError::Version(3))));
    for known in [Some(1), None] {
        let refused = bench.archive.save_file(&bench.id, known, write(1, "older", "w2")).await;
        assert!(matches!(refused, Err(ArchiveError::Version(3))), "{refused:?}");
    }
    assert_eq!(bench.file_record(1).await, before);

    bench.change_shard(doc! { "$set": { "v": 2 } }).await;
    assert!(matches!(bench.archive.find_by_id(&bench.id).await, Err(ArchiveError::Version(2))));
    let taken = bench.archive.create(bench.shard(vec![])).await;
    assert!(matches!(taken, Err(ArchiveError::Version(2))), "{taken:?}");
}

#[tokio::test]
async fn a_half_made_shard_is_nobodys_and_is_taken_over() {
    let bench = Bench::new().await;
    let reserved = doc! { "_id": bench.id.as_str(), "v": 1, "gen": 77_i64, "making": 3_i64 };
    bench.shards.insert_one(reserved).await.unwrap();
    bench.leave(1, "src/1.js").await;
    bench.leave(2, "src/left.js").await;
    assert_eq!(bench.archive.find_by_id(&bench.id).await.unwrap(), None);
    assert_eq!(bench.archive.files(&bench.id).await.unwrap(), []);
    assert_eq!(bench.archive.file(&bench.id, &file(1)).await.unwrap(), None);
    let early = bench.archive.save_file(&bench.id, Some(1), write(1, "early", "w0")).await.unwrap();
    assert_eq!(early, Saved::NoShard);
    assert!(!bench.archive.delete(&bench.id).await.unwrap());

    bench.archive.create(bench.shard(vec![write(1, "one", "w1")])).await.unwrap();
    let files = bench.archive.files(&bench.id).await.unwrap();
    assert_eq!((files.len(), &*files[0].text), (1, "one"));
    assert_eq!(bench.count_files().await, 1);
}

#[tokio::test]
async fn a_maker_that_was_taken_over_leaves_nothing() {
    let bench = Bench::new().await;
    // More than is written at once.
    let large = (1..=6).map(|n| write(n, &"x".repeat(3 << 20), "w1")).collect();
    let take_over = async {
        let as_seen = doc! { "_id": bench.id.as_str(), "making": { "$exists": true } };
        let change = doc! { "$set": { "gen": 77_i64, "making": 0_i64 } };
        while bench.shards.update_one(as_seen.clone(), change.clone()).await.unwrap().matched_count == 0 {}
    };
    let (made, ()) = tokio::join!(bench.archive.create(bench.shard(large)), take_over);
    assert!(matches!(made, Err(ArchiveError::Failed(_))), "{made:?}");
    assert_eq!(bench.count_files().await, 0);
    let making = bench.shard_record().await.unwrap().get_i64("gen").unwrap();
    assert_eq!(making, 77, "it is the other maker's");
}

#[tokio::test]
async fn files_that_a_removal_left_behind_are_in_nobodys_way() {
    let bench = Bench::new().await;
    bench.leave(1, "src/1.js").await;
    assert_eq!(bench.archive.file(&bench.id, &file(1)).await.unwrap(), None);
    assert!(!bench.archive.delete(&bench.id).await.unwrap());
    assert_eq!(bench.count_files().await, 0, "a repeated removal ends what it began");

    bench.archive.create(bench.shard(vec![])).await.unwrap();
    bench.leave(1, "src/left.js").await;
    bench.leave(3, "src/2.js").await;
    assert_eq!(bench.archive.files(&bench.id).await.unwrap(), []);
    let same_id = bench.archive.save_file(&bench.id, None, write(1, "one", "w1")).await.unwrap();
    let same_path = bench.archive.save_file(&bench.id, None, write(2, "two", "w2")).await.unwrap();
    assert_eq!((same_id, same_path), (Saved::Written(1), Saved::Written(1)));
    let texts: Vec<_> =
        bench.archive.files(&bench.id).await.unwrap().into_iter().map(|file| file.text).collect();
    assert_eq!((texts, bench.count_files().await), (vec!["one".to_owned(), "two".to_owned()], 2));
}

#[tokio::test]
async fn a_file_that_is_first_written_while_its_shard_is_deleted_does_not_stay() {
    let bench = Bench::new().await;
    for round in 0..20 {
        bench.archive.create(bench.shard(vec![write(1, "one", "w1")])).await.unwrap();
        let (deleted, saved) = tokio::join!(
            bench.archive.delete(&bench.id),
            bench.archive.save_file(&bench.id, None, write(2, "two", &format!("late-{round}"))),
        );
        assert!(deleted.unwrap());
        assert!(matches!(saved.unwrap(), Saved::NoShard | Saved::Written(1)));
        assert_eq!(bench.count_files().await, 0, "round {round}");
    }
}
