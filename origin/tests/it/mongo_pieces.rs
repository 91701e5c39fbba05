//! Large files in MongoDB, in pieces: how they are stored, and what is there when a write ends before its time,
//! when two write at once, and when somebody reads meanwhile.

use std::time::Duration;

use mongodb::{
    Collection,
    bson::{Binary, Document, doc, spec::BinarySubtype},
};
use origin::archive::{
    Archive, ArchiveError, FileWrite, Saved,
    mongo::{Deadlines, MongoArchive},
};
use shared::id::RoomId;
use tokio::time::{sleep, timeout};

use crate::{
    archive_contract::{
        large::{assert_same, large},
        shard, write,
    },
    room_store_contract::setup::{any_room, file, path},
    support::{
        PATIENCE,
        mongo::{self, command},
        proxy::{Harm, Proxy},
    },
};

const MIB: usize = 1 << 20;
/// In the request that makes a file's record name its pieces.
const NAMES_PIECES: &[u8] = b"\x03pieces\0";
/// Nothing fails by them.
const PATIENT: Deadlines = Deadlines { operation: PATIENCE, making: PATIENCE, ping: Duration::from_secs(5) };

/// Two archives on one database, the second through a proxy, a shard with the file 1, and the collections.
struct Bench {
    archive: MongoArchive,
    proxied: MongoArchive,
    proxy: Proxy,
    shards: Collection<Document>,
    files: Collection<Document>,
    pieces: Collection<Document>,
    id: RoomId,
}

impl Bench {
    async fn with(first: FileWrite) -> Self {
        let address = mongo::apart();
        let (proxy, through) = mongo::proxied_to(&address, PATIENCE).await;
        let database = mongo::database_at(&address).await;
        let bench = Self {
            archive: MongoArchive::open_within(&address.into(), PATIENT).await.unwrap(),
            proxied: MongoArchive::open_within(&through, PATIENT).await.unwrap(),
            proxy,
            shards: database.collection("shards"),
            files: database.collection("files"),
            pieces: database.collection("file_pieces"),
            id: any_room(),
        };
        bench.archive.create(shard(&bench.id, vec![first])).await.unwrap();
        bench
    }

    /// Saves with the archive that nobody harms.
    async fn save(&self, known: u64, file: FileWrite) {
        let saved = self.archive.save_file(&self.id, Some(known), file).await.unwrap();
        assert!(matches!(saved, Saved::Written(version) if version == known + 1));
    }

    async fn record(&self) -> Document {
        let key = format!("{}/{}", self.id, file(1));
        self.files.find_one(doc! { "_id": key }).await.unwrap().unwrap()
    }

    async fn stored(&self) -> origin::archive::StoredFile {
        self.archive.file(&self.id, &file(1)).await.unwrap().unwrap()
    }

    /// The pieces of this shard: what follows its id in theirs.
    async fn pieces(&self) -> Vec<String> {
        let begin = format!("{}/", self.id);
        let of_it = doc! { "_id": { "$gte": &begin, "$lt": format!("{}0", self.id) } };
        let mut cursor = self.pieces.find(of_it).projection(doc! { "_id": 1 }).await.unwrap();
        let mut keys = Vec::new();
        while cursor.advance().await.unwrap() {
            let key = cursor.deserialize_current().unwrap();
            keys.push(key.get_str("_id").unwrap().strip_prefix(&begin).unwrap().to_owned());
        }
        keys.sort();
        keys
    }

    /// The writes that pieces of this shard belong to.
    async fn writes(&self) -> Vec<String> {
        let mut writes: Vec<_> =
            self.pieces().await.iter().map(|key| key.split('/').nth(1).unwrap().to_owned()).collect();
        writes.dedup();
        writes
    }

    /// Leaves a piece behind, as a write of this version does that has died.
    async fn leave_piece(&self, n: u8, making: i64, version: i64) {
        let key = format!("{}/{}/left/text/0000", self.id, file(n));
        let piece = doc! { "_id": key, "v": 1, "gen": making, "ver": version, "wid": "left", "text": "left" };
        self.pieces.insert_one(piece).await.unwrap();
    }

    /// A write through the proxy ends before this request of it has arrived.
    async fn dies_before(&self, request: Vec<u8>, known: u64, file: FileWrite) {
        let answers = async {
            while self.proxied.ping().await.is_err() {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(PATIENCE, answers).await.unwrap();
        let mut held = self.proxy.hold(request);
        tokio::select! {
            saved = self.proxied.save_file(&self.id, Some(known), file) => panic!("it does not die: {saved:?}"),
            () = held.here() => self.proxy.harm_those_here(Harm::Cut),
        }
    }

    async fn end(self) {
        assert!(self.archive.delete(&self.id).await.unwrap());
        assert_eq!(self.pieces().await, Vec::<String>::new(), "a removed shard leaves pieces");
    }
}

#[tokio::test]
async fn a_file_of_8_mib_is_one_record_and_a_larger_one_is_in_pieces_of_4_mib() {
    let bench = Bench::with(large(1, 4 * MIB - 1, 4 * MIB + 1, "w1")).await;
    let whole = bench.record().await;
    assert_eq!((whole.get_i32("v").unwrap(), whole.get("pieces"), whole.get("begun")), (1, None, None));
    assert_eq!(bench.pieces().await, Vec::<String>::new());

    let written = large(1, 4 * MIB + 1, 8 * MIB, "w2");
    bench.save(1, written.clone()).await;
    let record = bench.record().await;
    let making = record.get_i64("gen").unwrap();
    let mut fields: Vec<_> = record.into_iter().collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = doc! {
        "_id": format!("{}/{}", bench.id, file(1)), "begun": "w2", "bytes": 8_388_608_i64, "enc": "v1", "eol": "crlf",
        "fid": file(1).as_str(), "gen": making, "path": "src/1.js", "pieces": { "text": 2_i64, "state": 2_i64 },
        "seq": 3_i64, "shard": bench.id.as_str(), "ts": 5_000_i64, "updatedAt": 6_000_i64, "v": 2_i32,
        "ver": 2_i64, "wid": "w2",
    };
    assert_eq!(fields, expected.into_iter().collect::<Vec<_>>());

    let of_it = |name: &str| format!("{}/w2/{name}", file(1));
    let names = ["state/0000", "state/0001", "text/0000", "text/0001"].map(of_it);
    assert_eq!(bench.pieces().await, names);
    let piece = async |name: &str| {
        let key = format!("{}/{}", bench.id, of_it(name));
        bench.pieces.find_one(doc! { "_id": key }).await.unwrap().unwrap()
    };
    let mut first = piece("text/0000").await;
    let text = first.remove("text").unwrap();
    // Between two letters: the last one would be cut.
    assert_eq!(text.as_str().unwrap(), &written.text[..4 * MIB - 1]);
    let key = format!("{}/{}", bench.id, names[2]);
    let rest: Vec<_> = first.into_iter().collect();
    let expected = doc! { "_id": key, "v": 1_i32, "gen": making, "ver": 2_i64, "wid": "w2" };
    assert_eq!(rest, expected.into_iter().collect::<Vec<_>>());
    let state = piece("state/0001").await;
    assert!(state.get_binary_generic("state").unwrap()[..] == written.state[4 * MIB..]);

    bench.save(2, write(1, "small", "w3")).await;
    let small = bench.record().await;
    assert_eq!((small.get_i32("v").unwrap(), small.get("pieces"), small.get("begun")), (1, None, None));
    assert_eq!((small.get_str("text").unwrap(), bench.pieces().await), ("small", Vec::new()));
    bench.end().await;
}

#[tokio::test]
async fn a_small_file_is_read_and_written_without_a_look_at_pieces() {
    let bench = Bench::with(write(1, "one", "w1")).await;
    bench.proxied.ping().await.unwrap();
    bench.proxy.record();
    let saved = bench.proxied.save_file(&bench.id, Some(1), write(1, "two", "w2")).await.unwrap();
    assert_eq!(saved, Saved::Written(2));
    let read = bench.proxied.file(&bench.id, &file(1)).await.unwrap().unwrap();
    assert_eq!(bench.proxied.files(&bench.id).await.unwrap(), [read]);
    let asked = bench.proxy.recorded().concat();
    let count = |bytes: &[u8]| asked.windows(bytes.len()).filter(|said| *said == bytes).count();
    assert_eq!((count(&command("update", "files")), count(b"file_pieces")), (1, 0));
    bench.end().await;
}

#[tokio::test]
async fn a_large_file_in_one_record_as_it_was_written_before_is_read_and_written_again() {
    let bench = Bench::with(write(1, "one", "w1")).await;
    let old = large(1, 5 * MIB, 6 * MIB, "w1");
    let state = Binary { subtype: BinarySubtype::Generic, bytes: old.state.to_vec() };
    let key = format!("{}/{}", bench.id, file(1));
    let change = doc! { "$set": { "text": &old.text, "state": state } };
    bench.files.update_one(doc! { "_id": key }, change).await.unwrap();
    assert_same(&bench.stored().await, &old);
    let files = bench.archive.files(&bench.id).await.unwrap();
    assert_same(&files[0], &old);

    let new = large(1, 5 * MIB, 6 * MIB, "w2");
    bench.save(1, new.clone()).await;
    assert_same(&bench.stored().await, &new);
    let record = bench.record().await;
    assert_eq!((record.get_i32("v").unwrap(), record.get("text"), record.get("state")), (2, None, None));
    bench.end().await;
}

#[tokio::test]
async fn a_write_that_dies_at_any_step_changes_all_or_nothing_and_the_next_one_clears_its_pieces_away() {
    let (mut now, mut version) = (large(1, MIB, 8 * MIB, "first"), 1);
    let bench = Bench::with(now.clone()).await;
    let steps = [
        ("before the record is marked", command("update", "files"), false),
        ("before the last piece", b"/state/0001".to_vec(), false),
        ("before its pieces are named", NAMES_PIECES.to_vec(), false),
        ("before the old pieces are removed", command("delete", "file_pieces"), true),
    ];
    for (n, (step, request, is_written)) in steps.into_iter().enumerate() {
        let dying = large(1, MIB, 8 * MIB, &format!("dies-{n}"));
        bench.dies_before(request, version, dying.clone()).await;
        if is_written {
            (now, version) = (dying, version + 1);
        }
        let stored = bench.stored().await;
        assert_eq!(stored.version, version, "{step}");
        assert_same(&stored, &now);

        // A small one too, which writes no pieces.
        bench.save(version, write(1, "small", &format!("small-{n}"))).await;
        assert_eq!(bench.pieces().await, Vec::<String>::new(), "pieces that nobody needs, {step}");
        assert_eq!(bench.record().await.get("begun"), None, "{step}");
        now = large(1, MIB, 8 * MIB, &format!("large-{n}"));
        bench.save(version + 1, now.clone()).await;
        assert_eq!(bench.writes().await, [format!("large-{n}")], "{step}");
        version += 2;
    }
    assert_same(&bench.stored().await, &now);
    bench.end().await;
}

#[tokio::test]
async fn a_large_write_whose_answer_is_lost_is_known_as_its_own() {
    let bench = Bench::with(large(1, MIB, 8 * MIB, "w1")).await;
    for (version, request) in (1..).zip([b"/state/0000".to_vec(), NAMES_PIECES.to_vec()]) {
        let written = large(1, MIB, 8 * MIB, &format!("w{}", version + 1));
        let lost = bench.proxy.lose_answer(request, Harm::None);
        let (saved, ()) =
            tokio::join!(bench.proxied.save_file(&bench.id, Some(version), written.clone()), lost);
        assert_eq!(saved.unwrap(), Saved::Written(version + 1));
        assert_same(&bench.stored().await, &written);
        assert_eq!(bench.writes().await, [written.write_id]);
    }
    bench.end().await;
}

#[tokio::test]
async fn who_reads_while_pieces_are_replaced_gets_the_new_ones_and_never_a_part() {
    let bench = Bench::with(large(1, MIB, 8 * MIB, "w1")).await;
    for (version, of_shard) in [(1, false), (2, true)] {
        let written = large(1, MIB + version as usize, 8 * MIB, &format!("w{}", version + 1));
        // The pieces before it have been read by then.
        let mut last = bench.proxy.hold(b"/state/0001".to_vec());
        let replace = async {
            last.here().await;
            bench.save(version, written.clone()).await;
            last.let_go();
        };
        let read = async {
            if of_shard {
                return bench.proxied.files(&bench.id).await.unwrap().remove(0);
            }
            bench.proxied.file(&bench.id, &file(1)).await.unwrap().unwrap()
        };
        let (stored, ()) = tokio::join!(read, replace);
        assert_same(&stored, &written);
        assert_eq!(stored.version, version + 1);
    }
    let key = format!("{}/{}/w3/state/0001", bench.id, file(1));
    bench.pieces.delete_one(doc! { "_id": key }).await.unwrap();
    let damaged = [
        bench.archive.file(&bench.id, &file(1)).await.map(drop),
        bench.archive.files(&bench.id).await.map(drop),
        bench.archive.save_file(&bench.id, Some(1), write(1, "late", "w4")).await.map(drop),
    ];
    for outcome in damaged {
        assert!(matches!(outcome, Err(ArchiveError::Failed(_))), "{outcome:?}");
    }
    bench.end().await;
}

#[tokio::test]
async fn of_two_large_writes_of_one_version_one_is_whole_and_the_other_leaves_nothing() {
    let bench = Bench::with(large(1, MIB, 8 * MIB, "w1")).await;
    let (one, other) = (large(1, MIB, 8 * MIB, "one"), large(1, 2 * MIB, 8 * MIB, "other"));
    // All its pieces are there by then.
    let mut naming = bench.proxy.hold(NAMES_PIECES.to_vec());
    let meanwhile = async {
        naming.here().await;
        bench.save(1, other.clone()).await;
        naming.let_go();
    };
    let (saved, ()) = tokio::join!(bench.proxied.save_file(&bench.id, Some(1), one), meanwhile);
    let Ok(Saved::Miss(stored)) = saved else { panic!("it is written over what its writer has not seen") };
    assert_same(&stored, &other);
    assert_eq!(bench.writes().await, ["other"]);
    bench.end().await;
}

#[tokio::test]
async fn who_clears_late_takes_nothing_from_a_later_write() {
    let bench = Bench::with(large(1, MIB, 8 * MIB, "w1")).await;
    let (second, third) = (large(1, MIB, 8 * MIB, "w2"), large(1, 2 * MIB, 8 * MIB, "w3"));
    let mut clearing = bench.proxy.hold(command("delete", "file_pieces"));
    let meanwhile = async {
        clearing.here().await;
        bench.save(2, third.clone()).await;
        clearing.let_go();
    };
    let (saved, ()) = tokio::join!(bench.proxied.save_file(&bench.id, Some(1), second), meanwhile);
    assert_eq!(saved.unwrap(), Saved::Written(2));
    assert_same(&bench.stored().await, &third);
    assert_eq!(bench.writes().await, ["w3"]);
    bench.end().await;
}

#[tokio::test]
async fn a_large_write_that_is_refused_or_whose_shard_goes_leaves_nothing() {
    let bench = Bench::with(write(1, "one", "w1")).await;
    let same_path = FileWrite { path: path("src/1.js"), ..large(2, MIB, 8 * MIB, "w2") };
    let refused = bench.archive.save_file(&bench.id, None, same_path).await;
    assert!(matches!(refused, Err(ArchiveError::Path(_))), "{refused:?}");
    assert_eq!(bench.pieces().await, Vec::<String>::new());

    let mut naming = bench.proxy.hold(NAMES_PIECES.to_vec());
    let delete_meanwhile = async {
        naming.here().await;
        assert!(bench.archive.delete(&bench.id).await.unwrap());
        naming.let_go();
    };
    let late = bench.proxied.save_file(&bench.id, Some(1), large(1, MIB, 8 * MIB, "w3"));
    let (late, ()) = tokio::join!(late, delete_meanwhile);
    assert_eq!(late.unwrap(), Saved::NoShard);
    assert_eq!(bench.pieces().await, Vec::<String>::new());

    // A making that is taken over while it writes pieces.
    let mut piece = bench.proxy.hold(b"/text/0000".to_vec());
    let take_over = async {
        piece.here().await;
        let change = doc! { "$set": { "gen": 77_i64 } };
        bench.shards.update_one(doc! { "_id": bench.id.as_str() }, change).await.unwrap();
        piece.let_go();
    };
    let made = bench.proxied.create(shard(&bench.id, vec![large(1, MIB, 8 * MIB, "w4")]));
    let (made, ()) = tokio::join!(made, take_over);
    assert!(matches!(made, Err(ArchiveError::Failed(_))), "{made:?}");
    assert_eq!(bench.pieces().await, Vec::<String>::new());
    bench.shards.delete_one(doc! { "_id": bench.id.as_str() }).await.unwrap();
}

#[tokio::test]
async fn pieces_that_somebody_left_behind_are_cleared_away() {
    let bench = Bench::with(write(1, "one", "w1")).await;
    let making = bench.record().await.get_i64("gen").unwrap();
    // Of a first write that died, and of one for a later version, which may still go on.
    bench.leave_piece(2, making, 1).await;
    bench.leave_piece(1, making, 9).await;
    assert_eq!(
        bench.archive.save_file(&bench.id, None, write(2, "two", "w2")).await.unwrap(),
        Saved::Written(1)
    );
    bench.save(1, large(1, MIB, 8 * MIB, "w3")).await;
    let left = format!("{}/left/text/0000", file(1));
    let pieces = bench.pieces().await;
    assert_eq!(pieces.iter().filter(|key| key.contains("/left/")).collect::<Vec<_>>(), [&left]);
    assert!(bench.archive.delete(&bench.id).await.unwrap());
    assert_eq!(bench.pieces().await, Vec::<String>::new());

    // Of a shard that is gone.
    bench.leave_piece(1, 77, 1).await;
    assert!(!bench.archive.delete(&bench.id).await.unwrap());
    assert_eq!(bench.pieces().await, Vec::<String>::new());
    bench.leave_piece(1, 77, 1).await;
    bench.archive.create(shard(&bench.id, vec![])).await.unwrap();
    assert_eq!(bench.pieces().await, Vec::<String>::new());
    bench.end().await;
}

#[tokio::test]
async fn a_piece_of_a_newer_version_is_refused() {
    let bench = Bench::with(large(1, MIB, 8 * MIB, "w1")).await;
    let key = format!("{}/{}/w1/text/0000", bench.id, file(1));
    bench.pieces.update_one(doc! { "_id": key }, doc! { "$set": { "v": 2 } }).await.unwrap();
    let refused = bench.archive.file(&bench.id, &file(1)).await;
    assert!(matches!(refused, Err(ArchiveError::Version(2))), "{refused:?}");
    bench.end().await;
}
