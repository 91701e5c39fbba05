//! `cargo xtask`: the only tool that people need. It installs what is missing through the ordinary package
//! clients, builds, runs and tests; progress goes to stderr, results to stdout.

mod args;
mod bench;
mod build;
mod dev;
mod process;
mod site;
mod platform;
mod test;
mod tidy;
mod tools;

use std::process::ExitCode;

use anyhow::{Result, bail};

use crate::{args::Args, platform::Stop, tools::Toolbox};

const USAGE: &str = "\
cargo xtask dev            the Worker on 8787 and one origin on 8080, until Ctrl-C
    --port N               the Worker's port (0 picks one)
    --origin-port N        the origin's port, and those after it for more origins (0 picks each)
    --redis URL            rooms in this Redis instead of in the origin
    --mongo URL            projects in this MongoDB instead of in SQLite
    --origins N            so many origins on one Redis
    --regions a,b          regions to offer with ?region=, e.g. enam,weur
    --no-edge              the origin alone
    --data-dir DIR         where the origins keep what is in no other store (./data)
    --json                 when ready, one line of JSON on stdout
cargo xtask test [PART..]  all, or: house unit it worker browser kill ops compose (that one only where its images are)
cargo xtask bench [NAME..] all, or: edge fanout flush readers redis; ratios from one run, the last line of each is JSON
    --json                 only that line
cargo xtask build-worker   the Worker and the page, if their sources have changed
    --opt                  with wasm-opt, as for a deploy
cargo xtask tools          install everything that the other commands need
cargo xtask tidy           the rules of the house alone
    --circles              only prints which files import each other in circles
cargo xtask deny           licences and advisories of the dependencies (cargo-deny)
";

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let mut args = Args::of_process();
    let tools = Toolbox::open(Stop::listen()?)?;
    match args.word().as_deref() {
        Some("dev") => dev::run(&tools, &dev::Options::read(args)?),
        Some("test") => test::run(&tools, args),
        Some("bench") => bench::run(&tools, args),
        Some("build-worker") => {
            let optimize = args.flag("--opt") || build::is_for_deploy();
            args.finish()?;
            build::worker(&tools, optimize)?;
            build::page(&tools)
        }
        Some("tools") => {
            args.finish()?;
            tools.install_all()
        }
        Some("tidy") => {
            let circles = args.flag("--circles");
            args.finish()?;
            if circles { tidy::print_circles(tools.top()) } else { tidy::run(tools.top()) }
        }
        Some("deny") => {
            args.finish()?;
            tools.deny()
        }
        Some("help") | None => {
            print!("{USAGE}");
            Ok(())
        }
        Some(other) => bail!("no command {other:?}; `cargo xtask help` lists them"),
    }
}
