//! Files as large as the gate lets in, and larger: what origins that log at the same moment have let in together must
//! be kept as well.

use std::sync::Arc;

use bytes::Bytes;
use origin::archive::{Archive, FileWrite, Saved, StoredFile};
use shared::limits;

use super::{shard, write};
use crate::room_store_contract::setup::{any_room, file};

/// The largest state that one origin lets in, with the longest text that it can hold.
const AT_THE_LIMIT: usize = limits::FILE_BYTES + room::limits::FILE_SLACK_BYTES;

/// A file with so many bytes of text, and so many of state. No letter of the text is at an even offset.
pub(crate) fn large(n: u8, text: usize, state: usize, write_id: &str) -> FileWrite {
    let letters = format!("{n}{}", "\u{e9}".repeat((text - 1) / 2));
    let state: Vec<u8> = (0..state).map(|at| (at % 251) as u8 ^ n).collect();
    FileWrite { text: letters, state: Bytes::from(state), ..write(n, "", write_id) }
}

/// Said without the contents.
pub(crate) fn assert_same(stored: &StoredFile, written: &FileWrite) {
    assert_eq!(stored.write_id, written.write_id);
    assert_eq!((stored.text.len(), stored.state.len()), (written.text.len(), written.state.len()));
    assert!(
        stored.text == written.text && stored.state == written.state,
        "other bytes of {}",
        stored.write_id
    );
}

pub(super) async fn files_at_the_limit_and_far_above_it_are_kept_whole(archive: Arc<dyn Archive>) {
    let id = any_room();
    archive.create(shard(&id, vec![write(1, "one", "w1")])).await.unwrap();
    let stored = async || archive.file(&id, &file(1)).await.unwrap().unwrap();
    let at_the_limit = large(1, AT_THE_LIMIT, AT_THE_LIMIT, "w2");
    let twice = large(1, 2 * AT_THE_LIMIT, 2 * AT_THE_LIMIT, "w3");
    for (known, large) in [(1, &at_the_limit), (2, &twice)] {
        let saved = archive.save_file(&id, Some(known), large.clone()).await.unwrap();
        assert!(matches!(saved, Saved::Written(version) if version == known + 1), "{}", large.write_id);
        assert_same(&stored().await, large);
    }
    let late = archive.save_file(&id, Some(2), FileWrite { write_id: "w4".to_owned(), ..at_the_limit }).await;
    let Ok(Saved::Miss(found)) = late else { panic!("it is written over what its writer has not seen") };
    assert_same(&found, &twice);
    let again = archive.save_file(&id, Some(2), twice.clone()).await.unwrap();
    assert!(matches!(again, Saved::Written(3)), "it is not known as its own");
    assert_same(&stored().await, &twice);

    assert_eq!(archive.save_file(&id, Some(3), write(1, "small", "w5")).await.unwrap(), Saved::Written(4));
    assert_eq!(&*stored().await.text, "small");
    assert!(archive.delete(&id).await.unwrap());
}

pub(super) async fn a_shard_with_large_files_is_made_read_and_deleted(archive: Arc<dyn Archive>) {
    let id = any_room();
    let both = [large(1, limits::FILE_BYTES, limits::FILE_BYTES, "w1"), large(2, 5 << 20, 5 << 20, "w2")];
    let small = write(3, "three", "w3");
    archive.create(shard(&id, vec![both[0].clone(), small.clone(), both[1].clone()])).await.unwrap();
    let entries = archive.find_by_id(&id).await.unwrap().unwrap().files;
    assert_eq!(entries.iter().map(|entry| &entry.id).collect::<Vec<_>>(), [&file(1), &file(2), &file(3)]);
    let files = archive.files(&id).await.unwrap();
    assert_eq!(files.len(), 3);
    for (stored, written) in files.iter().zip([&both[0], &both[1], &small]) {
        assert_same(stored, written);
    }
    let first = large(4, 5 << 20, 5 << 20, "w4");
    assert_eq!(archive.save_file(&id, None, first.clone()).await.unwrap(), Saved::Written(1));
    assert_same(&archive.file(&id, &file(4)).await.unwrap().unwrap(), &first);
    archive.synced(&id, 700).await.unwrap();

    assert!(archive.delete(&id).await.unwrap());
    archive.create(shard(&id, vec![])).await.unwrap();
    assert_eq!(archive.files(&id).await.unwrap(), []);
    assert_eq!(archive.file(&id, &file(1)).await.unwrap(), None);
    archive.delete(&id).await.unwrap();
}
