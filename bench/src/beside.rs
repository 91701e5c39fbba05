//! Rooms that are appended to, a few changes after the other at a steady pace, while the same origin populates a
//! large one, and, in turn, for as long while it does not. The measure is the time from a call to its answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use bytes::Bytes;
use origin::store::{Base, Batch, Leases, Published, RoomLog, redis::RedisStore};
use serde_json::{Value, json};
use shared::id::{FilePath, RoomId};
use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    client,
    quantile::quantile,
    rooms::{self, Stored},
};

/// What begins so soon before a change of phase counts for none.
const BETWEEN: Duration = Duration::from_millis(20);

#[derive(clap::Args)]
pub(crate) struct Options {
    /// The server, which is to hold no room of these names.
    #[arg(long)]
    redis: String,
    /// The names of the rooms begin with it.
    #[arg(long)]
    name: String,
    /// Rooms that are appended to.
    #[arg(long, default_value_t = 4)]
    rooms: usize,
    /// Appends of each of them per second.
    #[arg(long, default_value_t = 250)]
    rate: u32,
    /// Files of the room that is populated.
    #[arg(long, default_value_t = 500)]
    files: usize,
    /// The size of each, in thousands of bytes.
    #[arg(long, default_value_t = 100)]
    kilobytes: usize,
    /// How often it is populated.
    #[arg(long)]
    populates: usize,
}

/// What is going on beside the appends.
#[derive(Clone, Copy)]
enum Phase {
    Quiet,
    Populating,
    Between,
}

/// Milliseconds of each append, by phase.
type Times = [Vec<f64>; 3];

pub(crate) async fn run(options: Options) -> Result<Value> {
    let (store, connections) = rooms::connect(&options.redis)?;
    let phase = Arc::new(AtomicUsize::new(Phase::Between as usize));
    let enough = CancellationToken::new();
    let mut appending = JoinSet::new();
    let mut others = Vec::new();
    for nth in 1..=options.rooms {
        let room = rooms::open(&store, &format!("{}-{nth}", options.name)).await?;
        others.push(room.id.clone());
        appending.spawn(append(store.clone(), room, options.rate, phase.clone(), enough.clone()));
    }
    let populating_ms = populate_in_turns(&store, &options, &phase).await?;
    enough.cancel();
    let mut times = Times::default();
    while let Some(ended) = appending.join_next().await {
        for (all, some) in times.iter_mut().zip(ended??) {
            all.extend(some);
        }
    }
    for id in others {
        store.erase(&id).await?;
    }
    connections.close_all(Duration::from_secs(1)).await;
    let [quiet, populating, _] = &mut times;
    Ok(json!({ "quiet": said(quiet), "populating": said(populating), "populate_ms": populating_ms.round() }))
}

/// The middle of how long a populate took, in ms.
async fn populate_in_turns(store: &RedisStore, options: &Options, phase: &AtomicUsize) -> Result<f64> {
    let bases = (0..options.files).map(|nth| {
        let path = FilePath::parse(&format!("src/{nth}.txt"))?;
        Ok(Base {
            file: rooms::file(nth as u128)?,
            path,
            state: Bytes::from(vec![7; options.kilobytes * 1000]),
        })
    });
    let bases = bases.collect::<Result<Vec<_>>>()?;
    let mut took_ms = Vec::new();
    for nth in 0..options.populates {
        let room = RoomId::parse(&format!("{}-large-{nth}", options.name))?;
        let token = rooms::load(store, &room).await?;
        sleep(BETWEEN).await;
        phase.store(Phase::Populating as usize, Relaxed);
        let begun = Instant::now();
        store.commit(&room, &token, bases.clone(), 0).await?;
        let took = begun.elapsed();
        phase.store(Phase::Between as usize, Relaxed);
        took_ms.push(took.as_secs_f64() * 1000.0);
        store.erase(&room).await?;
        // What it has left to do, of which the appends know nothing.
        sleep(took).await;
        phase.store(Phase::Quiet as usize, Relaxed);
        sleep(took).await;
        phase.store(Phase::Between as usize, Relaxed);
    }
    Ok(quantile(&mut took_ms, 0.5))
}

async fn append(
    store: Arc<RedisStore>,
    room: Stored,
    rate: u32,
    phase: Arc<AtomicUsize>,
    enough: CancellationToken,
) -> Result<Times> {
    let Stored { id, file, epoch, mut heard } = room;
    let update = client::updates(1, 1, "x").pop().context("no keystroke")?;
    let mut times = Times::default();
    let mut pace = interval(Duration::from_secs(1) / rate);
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut number = 0;
    while !enough.is_cancelled() {
        pace.tick().await;
        number += 1;
        let entries = vec![rooms::entry(&file, update.clone(), number)];
        let batch = Batch { origin: rooms::ORIGIN.to_owned(), number, entries };
        let (during, begun) = (phase.load(Relaxed), Instant::now());
        store.append(&id, epoch, batch).await?;
        times[during].push(begun.elapsed().as_secs_f64() * 1000.0);
        while !matches!(heard.recv().await.context("something was not heard")?, Published::Changes(..)) {}
    }
    Ok(times)
}

fn said(times: &mut [f64]) -> Value {
    json!({
        "appends": times.len(),
        "p50_ms": quantile(times, 0.5),
        "p99_ms": quantile(times, 0.99),
    })
}
