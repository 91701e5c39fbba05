//! The loads of `cargo xtask bench`. Of rooms at a server: `room` types into one of many and takes the server's CPU
//! time; `latency` types into two in turn and takes the time until another member has it; `far` does so with the
//! origin far away; `readers` types while some do not read, and takes the server's memory. Of rooms in Redis, through
//! the origin's room store: `appends` fills the logs of many; `beside` appends to some while another is populated.
//! Each prints one line of JSON, and fails if anything that was sent did not arrive. `broadcast` is the yardstick that
//! `room` is compared with.

mod client;
mod delay;
mod far;
mod latency;
mod process;
mod quantile;
mod readers;
mod openers;
mod room;
mod broadcast;

mod rooms;
mod appends;
mod single;
mod beside;

mod jobs;
mod storing;
mod merge;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Many clients of one file, some of them writing.
    Room(room::Options),
    /// Serves what sends every message to all the others.
    Broadcast(broadcast::Options),
    /// One writer and one reader on each of two ways.
    Latency(latency::Options),
    /// One writer and one reader in a region, and one of each in two, with a long way to the origin.
    Far(far::Options),
    /// Many clients of one file, some of which stop reading.
    Readers(readers::Options),
    /// Many clients who open a large file at once, and one who opens many files.
    Openers(openers::Options),
    /// Many rooms of one origin, all of them busy.
    Appends(appends::Options),
    /// Rooms that are appended to while another is populated, and while none is.
    Beside(beside::Options),
    /// Jobs of the flush queue with nothing to do.
    Jobs(jobs::Options),
    /// Members who type while the files of another room are flushed, and while nothing is.
    Storing(storing::Options),
    /// Flushes of one file with many updates, and what the CRDT library needs for them.
    Merge(merge::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let measured = match Cli::parse().load {
        Load::Room(options) => room::run(options).await?,
        Load::Broadcast(options) => return broadcast::run(options).await,
        Load::Latency(options) => latency::run(options).await?,
        Load::Far(options) => far::run(options).await?,
        Load::Readers(options) => readers::run(options).await?,
        Load::Openers(options) => openers::run(options).await?,
        Load::Appends(options) => appends::run(options).await?,
        Load::Beside(options) => beside::run(options).await?,
        Load::Jobs(options) => jobs::run(options).await?,
        Load::Storing(options) => storing::run(options).await?,
        Load::Merge(options) => merge::run(options).await?,
    };
    println!("{measured}");
    Ok(())
}
