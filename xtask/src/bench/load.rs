//! The program that makes loads (`bench/`), and what it says.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// The load of that name, of the programs in this folder.
pub(super) fn load(programs: &Path, name: &str) -> Command {
    let mut load = Command::new(programs.join("load"));
    load.arg(name);
    load
}

/// Adds options that are numbers.
pub(super) fn numbers(load: &mut Command, numbers: &[(&str, u32)]) {
    for (name, number) in numbers {
        load.args([*name, number.to_string().as_str()]);
    }
}

/// Runs a load and reads the line that it prints.
pub(super) fn answer(load: &mut Command) -> Result<Value> {
    let output = load.stdin(Stdio::null()).stderr(Stdio::inherit()).output().context("starting the load")?;
    if !output.status.success() {
        bail!("the load ended with {}", output.status);
    }
    serde_json::from_slice(&output.stdout).context("reading what the load says")
}
