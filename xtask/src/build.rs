//! Builds what runs: the Worker (only if its sources have changed), the page, the origin.

use std::{
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    platform::{target_dir, variable},
    tools::Toolbox,
};

/// Builds the origin for speed; `origin/Dockerfile` has the same line.
pub(crate) const RELEASE: &str = "cargo build --release --locked -p origin --bin origin";
/// Builds the origin for development and for tests.
const ORIGIN: &str = "cargo build --locked --bin origin";
/// Builds the page; `origin/Dockerfile` has the same line.
pub(crate) const PAGE: &str = "node demo/build.mjs";

/// Everything that the built Worker depends on.
const WORKER_SOURCES: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "edge-worker/Cargo.toml",
    "edge-worker/src",
    "shared/Cargo.toml",
    "shared/src",
];
/// Everything that the built page depends on.
const PAGE_SOURCES: [&str; 4] = ["package-lock.json", "demo/build.mjs", "demo/tsconfig.json", "demo/src"];

/// Whether wrangler asks for the build in order to deploy it.
pub(crate) fn is_for_deploy() -> bool {
    variable("WRANGLER_COMMAND").is_some_and(|command| command != "dev")
}

/// Builds the Worker into `edge-worker/build`, unless its sources are those of the last time. `optimize` runs
/// wasm-opt, which a deploy gains 4 % from.
pub(crate) fn worker(tools: &Toolbox, optimize: bool) -> Result<()> {
    worker_into(tools, optimize, "build", &[])
}

/// Builds the Worker that panics when it is told to into `edge-worker/build-faulty`, for the test that shows what
/// else a panic harms.
pub(crate) fn faulty_worker(tools: &Toolbox) -> Result<()> {
    worker_into(tools, false, "build-faulty", &["--features", "fault-injection"])
}

/// Whether a Worker of the present sources is there, whatever toolchain has built it.
pub(crate) fn worker_is_built(tools: &Toolbox) -> Result<bool> {
    let sources = format!("{:016x} ", fingerprint(tools.top(), &WORKER_SOURCES)?);
    let mark = target_dir().join("worker/built/build/.built");
    let is_there = tools.top().join("edge-worker/build/index.js").is_file();
    Ok(is_there && fs::read_to_string(mark).is_ok_and(|state| state.starts_with(&sources)))
}

fn worker_into(tools: &Toolbox, optimize: bool, folder: &str, features: &[&str]) -> Result<()> {
    tools.npm_packages()?;
    let nightly = tools.nightly()?;
    let toolchain = nightly.as_ref().map_or("stable", |nightly| nightly.name);
    let sources = fingerprint(tools.top(), &WORKER_SOURCES)?;
    let state = |optimized: bool| format!("{sources:016x} {toolchain} optimized={optimized}");
    // One that is optimized is good enough where that is not asked for.
    let good = [state(optimize), state(true)];
    // A folder of its own: other flags and another toolchain than the rest of the workspace.
    let target = target_dir().join("worker");
    let built = tools.top().join("edge-worker").join(folder).join("index.js");
    let what = format!("the Worker (edge-worker/{folder})");
    unless_built(&what, &target.join("built").join(folder), &built, &good, || {
        tools.wasm_target()?;
        let programs = tools.worker_tools()?;
        let mut builder = tools.command(&programs.builder)?;
        builder.args(["--profile", "worker", "--out-dir", folder]);
        if !optimize {
            builder.arg("--no-opt");
        }
        if let Some(nightly) = &nightly {
            builder.arg("--panic-unwind");
            prepend_path(&mut builder, &nightly.shims)?;
        }
        builder.args(features);
        let npm_bin = tools.top().join("node_modules/.bin");
        builder
            .current_dir(tools.top().join("edge-worker"))
            .env("CARGO_TARGET_DIR", &target)
            // With these three set it downloads nothing by itself.
            .env("WASM_BINDGEN_BIN", &programs.bindgen)
            .env("WASM_OPT_BIN", npm_bin.join("wasm-opt"))
            .env("ESBUILD_BIN", npm_bin.join("esbuild"));
        tools.run(&mut builder)
    })
}

/// Builds the page into `demo/dist`, unless its sources are those of the last time.
pub(crate) fn page(tools: &Toolbox) -> Result<()> {
    tools.npm_packages()?;
    let state = [format!("{:016x}", fingerprint(tools.top(), &PAGE_SOURCES)?)];
    let built = tools.top().join("demo/dist/index.html");
    unless_built("the page", &target_dir().join("page"), &built, &state, || {
        let (program, args) = PAGE.split_once(' ').unwrap_or((PAGE, ""));
        tools.run(tools.command(program)?.args(args.split(' ')))
    })
}

/// Builds the origin with the dev profile; the binary. If `EDGEROOM_ORIGIN` names one, that is taken.
pub(crate) fn origin(tools: &Toolbox) -> Result<PathBuf> {
    if let Some(built) = variable("EDGEROOM_ORIGIN") {
        return Ok(built.into());
    }
    eprintln!("building the origin");
    tools.run(&mut cargo(tools, ORIGIN))?;
    Ok(target_dir().join("debug/origin"))
}

/// Builds the origin and the loads of the benchmarks for speed; the folder that has them.
pub(crate) fn for_speed(tools: &Toolbox) -> Result<PathBuf> {
    eprintln!("building the origin for speed, which takes minutes the first time");
    tools.run(cargo(tools, RELEASE).args(["-p", "bench", "--bin", "load"]))?;
    Ok(target_dir().join("release"))
}

/// The command of a line, in the top folder.
fn cargo(tools: &Toolbox, line: &str) -> Command {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().unwrap_or_default());
    command.current_dir(tools.top()).args(words);
    command
}

fn prepend_path(command: &mut Command, dir: &Path) -> Result<()> {
    let path = command.get_envs().find(|(name, _)| *name == "PATH").and_then(|(_, value)| value);
    let rest = path.unwrap_or_default().to_owned();
    let dirs = std::iter::once(dir.to_owned()).chain(std::env::split_paths(&rest));
    let path = std::env::join_paths(dirs).context("putting the nightly first in PATH")?;
    command.env("PATH", path);
    Ok(())
}

/// Runs `build` unless `folder` notes one of the states `good` and `built` is there; notes the first of them.
fn unless_built(
    what: &str,
    folder: &Path,
    built: &Path,
    good: &[String],
    build: impl FnOnce() -> Result<()>,
) -> Result<()> {
    fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    let lock = File::create(folder.join(".build.lock"))?;
    lock.lock().with_context(|| format!("waiting for another build of {what}"))?;
    let mark = folder.join(".built");
    if built.is_file() && fs::read_to_string(&mark).is_ok_and(|state| good.contains(&state)) {
        eprintln!("{what} is up to date");
        return Ok(());
    }
    eprintln!("building {what}");
    fs::remove_file(&mark).ok();
    build().with_context(|| format!("building {what}"))?;
    fs::write(&mark, &good[0]).with_context(|| format!("noting the build of {what}"))
}

fn fingerprint(top: &Path, sources: &[&str]) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    for source in sources {
        hash_path(&top.join(source), &mut hasher).with_context(|| format!("reading {source}"))?;
    }
    Ok(hasher.finish())
}

fn hash_path(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    if path.is_dir() {
        let mut entries = fs::read_dir(path)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        entries.sort();
        return entries.iter().try_for_each(|entry| hash_path(entry, hasher));
    }
    path.hash(hasher);
    fs::read(path)?.hash(hasher);
    Ok(())
}
