//! What a flush costs beyond what it cannot do without: rooms of one large file with many logged updates in Redis
//! are flushed into an archive, and then the same bytes are merged and encoded by the CRDT library alone. The measure
//! is the CPU time of this process, which does both; the texts must be the same.
//!
//! The file was pasted in, or typed: in as many pieces as the recordings in `edge-worker/tests/traces` leave in a
//! document, one for about 5 characters.

use std::{path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use origin::{
    archive::{Archive, sqlite::SqliteArchive},
    clock,
    flush::{flusher::Flusher, parking::Parking, runner::FlushRoom},
    project::text::state_of,
    store::{Base, Batch, Leases, RoomLog, redis::RedisStore},
};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use shared::{id::RoomId, limits};
use yrs::{
    ClientID, Doc, GetString, Options as DocOptions, ReadTxn, StateVector, Text, Transact, Update,
    updates::decoder::Decode,
};

use crate::{
    process,
    rooms::{self, ORIGIN},
};

/// Who type at the same time, each somewhere else.
const AUTHORS: u64 = 5;
/// The longest piece that is typed in one place; the shortest is one character.
const LONGEST: u32 = 9;

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The server, which is to hold no room of these names.
    #[arg(long)]
    redis: String,
    /// The file of the archive.
    #[arg(long)]
    archive: PathBuf,
    /// The names of the rooms begin with it.
    #[arg(long)]
    name: String,
    /// Rooms that are flushed, so that there is something to measure.
    #[arg(long)]
    rooms: usize,
    /// The size of the file, in thousands of bytes.
    #[arg(long)]
    kilobytes: usize,
    /// Updates logged of it.
    #[arg(long)]
    updates: usize,
    /// It was typed, not pasted in.
    #[arg(long)]
    typed: bool,
}

pub(crate) async fn run(options: Options) -> Result<Value> {
    let (store, connections) = rooms::connect(&options.redis)?;
    let archive = Arc::new(SqliteArchive::open(&options.archive)?);
    let length = options.kilobytes * 1000;
    let state = if options.typed { type_file(length)? } else { state_of(&"x".repeat(length), AUTHORS + 1) };
    let (before, typed) = (text(&state)?, type_into(&state, options.updates)?);
    let mut logged = Vec::new();
    for nth in 1..=options.rooms {
        let name = format!("{}-{nth}", options.name);
        let base = rooms::shard_of(&*archive, &name, before.clone(), state.clone()).await?;
        logged.push((log(&store, &name, base.clone(), &typed).await?, base.file));
    }
    let flusher = Flusher {
        store: store.clone(),
        archive: archive.clone(),
        parking: Parking::default(),
        now_us: clock::now_us,
    };
    let flushed_ms = measured(async {
        for (room, _) in &logged {
            let report = flusher.flush(room).await?;
            ensure!(report.written.len() == 1 && report.clean, "{room}: {report:?}");
        }
        Ok(())
    });
    let flushed_ms = flushed_ms.await?;
    let merged_ms = measured(async {
        for _ in &logged {
            std::hint::black_box(merge(&state, &typed)?);
        }
        Ok(())
    });
    let merged_ms = merged_ms.await?;
    let after = text(&merge(&state, &typed)?)?;
    for (room, file) in &logged {
        let stored = archive.file(room, file).await?.context("nothing is stored")?;
        ensure!(stored.text == after, "{room} is stored otherwise");
        store.erase(room).await?;
        archive.delete(room).await?;
    }
    connections.close_all(Duration::from_secs(1)).await;
    let each = |ms: f64| ms * 1000.0 / options.rooms as f64;
    Ok(json!({ "flush_us": flushed_ms.map(each), "merge_us": merged_ms.map(each) }))
}

/// The CPU time that it takes.
async fn measured(work: impl Future<Output = Result<()>>) -> Result<Option<f64>> {
    let used = || process::cpu_ms(std::process::id());
    let before = used();
    work.await?;
    Ok(used().zip(before).map(|(after, before)| after - before))
}

/// Populates a room with this file and logs the updates.
async fn log(store: &RedisStore, name: &str, base: Base, updates: &[Bytes]) -> Result<RoomId> {
    let (room, file) = (RoomId::parse(name)?, base.file.clone());
    let token = rooms::load(store, &room).await?;
    let epoch = store.commit(&room, &token, vec![base], 0).await?.epoch;
    let mut hub_seq = 0;
    for (number, some) in (1..).zip(updates.chunks(room::limits::BATCH_CHANGES)) {
        let entries = some.iter().map(|bytes| {
            hub_seq += 1;
            rooms::entry(&file, bytes.clone(), hub_seq)
        });
        let batch = Batch { origin: ORIGIN.to_owned(), number, entries: entries.collect() };
        store.append(&room, epoch, batch).await?;
    }
    Ok(room)
}

/// What several authors have typed, each a part of the file and here and there in it.
fn type_file(length: usize) -> Result<Bytes> {
    let mut parts = Vec::new();
    for author in 1..=AUTHORS {
        let doc = new_doc(AUTHORS + author);
        let text = doc.get_or_insert_text(limits::TEXT_ROOT);
        let mut dice = StdRng::seed_from_u64(author);
        let mut typed = 0;
        while (typed as usize) < length / AUTHORS as usize {
            let piece = dice.random_range(1..=LONGEST);
            text.insert(&mut doc.transact_mut(), dice.random_range(0..=typed), &"x".repeat(piece as usize));
            typed += piece;
        }
        parts.push(doc.transact().encode_state_as_update_v1(&StateVector::default()));
    }
    let parts: Vec<_> = parts.into_iter().map(Bytes::from).collect();
    merge(&parts[0], &parts[1..]).map(Bytes::from)
}

/// Keystrokes of several authors, each after the last one of the same author.
fn type_into(base: &[u8], count: usize) -> Result<Vec<Bytes>> {
    let mut authors = Vec::new();
    for author in 1..=AUTHORS {
        let doc = new_doc(author);
        doc.transact_mut().apply_update(Update::decode_v1(base)?)?;
        let text = doc.get_or_insert_text(limits::TEXT_ROOT);
        let length = text.len(&doc.transact());
        authors.push((doc, text, length / AUTHORS as u32 * (author as u32 - 1)));
    }
    let typed = (0..count).map(|nth| {
        let (doc, text, place) = &mut authors[nth % AUTHORS as usize];
        let mut typing = doc.transact_mut();
        text.insert(&mut typing, *place, "x");
        *place += 1;
        Bytes::from(typing.encode_update_v1())
    });
    Ok(typed.collect())
}

/// The yardstick: what the CRDT library needs for the state that base and updates make.
fn merge(base: &[u8], updates: &[Bytes]) -> Result<Vec<u8>> {
    let doc = new_doc(AUTHORS + 1);
    for update in std::iter::once(base).chain(updates.iter().map(|update| &**update)) {
        doc.transact_mut().apply_update(Update::decode_v1(update)?)?;
    }
    let merged = doc.transact().encode_state_as_update_v1(&StateVector::default());
    Ok(merged)
}

fn text(state: &[u8]) -> Result<String> {
    let doc = new_doc(AUTHORS + 1);
    let text = doc.get_or_insert_text(limits::TEXT_ROOT);
    doc.transact_mut().apply_update(Update::decode_v1(state)?)?;
    let text = text.get_string(&doc.transact());
    Ok(text)
}

fn new_doc(author: u64) -> Doc {
    Doc::with_options(DocOptions { client_id: ClientID::new(author), ..DocOptions::default() })
}
