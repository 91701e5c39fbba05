//! The loads of `cargo xtask bench redis` on Redis itself, through the origin's room store. `stored appends` fills
//! the logs of many rooms; `stored beside` appends to rooms while another is populated. Either prints one line of
//! JSON, and fails if anything is not acknowledged, not heard or not in the log.

mod appends;
mod beside;
mod rooms;
mod single;
#[path = "../fanout/process.rs"]
#[expect(dead_code, reason = "memory is what the other loads look at")]
mod process;

use clap::{Parser, Subcommand};

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    load: Load,
}

#[derive(Subcommand)]
enum Load {
    /// Many rooms of one origin, all of them busy.
    Appends(appends::Options),
    /// Rooms that are appended to while another is populated, and while none is.
    Beside(beside::Options),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let measured = match Cli::parse().load {
        Load::Appends(options) => appends::run(options).await?,
        Load::Beside(options) => beside::run(options).await?,
    };
    println!("{measured}");
    Ok(())
}
