//! The load of `cargo xtask bench`. `fanout room` types into a room of many and takes the server's CPU time;
//! `fanout latency` types into two rooms in turn and takes the time until another member has it; `fanout far` does so
//! with the origin far away; `fanout readers` types while some do not read, and takes the server's memory. Each
//! prints one line of JSON, and fails if anything that was sent did not arrive.

mod client;
mod delay;
mod far;
mod latency;
mod process;
mod readers;
mod room;

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
    /// One writer and one reader on each of two ways.
    Latency(latency::Options),
    /// One writer and one reader in a region, and one of each in two, with a long way to the origin.
    Far(far::Options),
    /// Many clients of one file, some of which stop reading.
    Readers(readers::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let measured = match Cli::parse().load {
        Load::Room(options) => room::run(options).await?,
        Load::Latency(options) => latency::run(options).await?,
        Load::Far(options) => far::run(options).await?,
        Load::Readers(options) => readers::run(options).await?,
    };
    println!("{measured}");
    Ok(())
}
