//! The load of `cargo xtask bench fanout`. `fanout room` types into a room of many and takes the server's CPU
//! time; `fanout latency` types into two rooms in turn and takes the time until another member has it. Either
//! prints one line of JSON, and fails if anything that was sent did not arrive.

mod client;
mod cpu;
mod latency;
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
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let measured = match Cli::parse().load {
        Load::Room(options) => room::run(options).await?,
        Load::Latency(options) => latency::run(options).await?,
    };
    println!("{measured}");
    Ok(())
}
