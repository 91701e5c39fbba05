//! Many busy rooms of one origin: in each, so many updates wait for their answer at any time. As rooms do it, what
//! waits goes as one batch when the batch before is answered; or, to compare, each update in a call of its own.
//! Counted are updates that are acknowledged, heard by the origin's subscriber, and found in the log at the end.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::future::try_join_all;
use origin::store::{Batch, Leases, Published, RoomLog, redis::RedisStore};
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use crate::{client, process, rooms, rooms::Stored, single};

/// A load that takes longer has lost something.
const LIMIT: Duration = Duration::from_secs(120);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The server, which is to hold no room of these names.
    #[arg(long)]
    redis: String,
    /// The server's process.
    #[arg(long)]
    pid: u32,
    /// The names of the rooms begin with it.
    #[arg(long)]
    name: String,
    /// One call for each update.
    #[arg(long)]
    single: bool,
    #[arg(long, default_value_t = 100)]
    rooms: usize,
    /// Updates of a room that wait for their answer: of all its writers together.
    #[arg(long)]
    waiting: usize,
    /// Updates of each room.
    #[arg(long)]
    updates: usize,
}

pub(crate) async fn run(options: Options) -> Result<Value> {
    let updates = client::updates(1, options.updates, "x");
    let names = (1..=options.rooms).map(|nth| format!("{}-{nth}", options.name)).collect();
    if options.single {
        let mut rooms = single::open(&options.redis, names).await?;
        let measured = measure(&options, rooms.fill(&updates, options.waiting)).await?;
        rooms.close(options.updates).await?;
        return Ok(measured);
    }
    let (store, connections) = rooms::connect(&options.redis)?;
    let mut rooms = Vec::new();
    for name in names {
        rooms.push(rooms::open(&store, &name).await?);
    }
    let ids: Vec<_> = rooms.iter().map(|room| room.id.clone()).collect();
    let filling = try_join_all(rooms.into_iter().map(|room| fill(&store, room, &updates, options.waiting)));
    let measured = measure(&options, async { filling.await.map(drop) }).await?;
    for id in ids {
        let seq = rooms::seq(&store, &id).await?;
        if seq != options.updates as u64 {
            bail!("{id} has {seq} of {} updates", options.updates);
        }
        store.erase(&id).await?;
    }
    connections.close_all(Duration::from_secs(1)).await;
    Ok(measured)
}

/// CPU time and time until everything is acknowledged and heard.
async fn measure(options: &Options, filling: impl Future<Output = Result<()>>) -> Result<Value> {
    let own = std::process::id();
    let used = || Some((process::cpu_ms(own)?, process::cpu_ms(options.pid)?));
    let (before, begun) = (used(), Instant::now());
    timeout(LIMIT, filling).await.context("it took too long")??;
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = used().zip(before).map(|(after, before)| (after.0 - before.0, after.1 - before.1));
    let appends = options.rooms * options.updates;
    Ok(json!({
        "appends": appends,
        "seconds": seconds,
        "appends_per_second": (appends as f64 / seconds).round(),
        "client_cpu_ms": cpu.map(|cpu| cpu.0),
        "server_cpu_ms": cpu.map(|cpu| cpu.1),
    }))
}

/// As a room's task does it: one append in flight, and all that waits in the next.
async fn fill(store: &Arc<RedisStore>, room: Stored, updates: &[Bytes], waiting: usize) -> Result<()> {
    let Stored { id, file, epoch, heard } = room;
    let appending = async {
        let mut hub_seq = 0;
        for (number, waiting) in (1..).zip(updates.chunks(waiting.min(room::limits::BATCH_CHANGES))) {
            let entries = waiting.iter().map(|bytes| {
                hub_seq += 1;
                rooms::entry(&file, bytes.clone(), hub_seq)
            });
            let batch = Batch { origin: rooms::ORIGIN.to_owned(), number, entries: entries.collect() };
            let logged = store.append(&id, epoch, batch).await?;
            if logged.len() != waiting.len() {
                bail!("{} of {} are acknowledged", logged.len(), waiting.len());
            }
        }
        Ok(())
    };
    tokio::try_join!(appending, hear(heard, updates.len())).map(drop)
}

async fn hear(mut heard: mpsc::Receiver<Published>, updates: usize) -> Result<()> {
    let mut left = updates;
    while left > 0 {
        if let Published::Changes(_, entries) = heard.recv().await.context("something was not heard")? {
            left -= entries.len();
        }
    }
    Ok(())
}
