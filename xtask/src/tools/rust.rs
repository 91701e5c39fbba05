//! Rust toolchains and programs: the wasm target, the nightly that unwinds, and programs from crates.io.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::Toolbox;
use crate::{platform, process};

/// `--panic-unwind` builds std again, which only a nightly does; this one is known to build a Worker that runs.
const NIGHTLY: &str = "nightly-2026-05-19";
/// The builder belongs to the `worker` crate and has its version.
const BUILDER: &str = "worker-build";
const WASM: &str = "wasm32-unknown-unknown";
const STD_SOURCES: &str = "lib/rustlib/src/rust/library";

/// The programs that turn the Worker's crate into what workerd runs.
#[derive(Debug)]
pub(crate) struct WorkerTools {
    /// `worker-build`.
    pub(crate) builder: PathBuf,
    /// What does as `wasm-bindgen`, of exactly the locked version.
    pub(crate) bindgen: PathBuf,
}

/// The pinned nightly.
#[derive(Debug)]
pub(crate) struct Nightly {
    /// Its name for rustup.
    pub(crate) name: &'static str,
    /// Goes first in the `PATH` of `worker-build`, which asks for `+nightly` whatever its date.
    pub(crate) shims: PathBuf,
}

impl Toolbox {
    /// The wasm target of the pinned stable toolchain.
    pub(crate) fn wasm_target(&self) -> Result<()> {
        self.install_once(
            WASM,
            || process::answer(self.stable("rustc").args(["--print", "sysroot"])).is_some_and(has_wasm),
            || self.run(self.stable("rustup").args(["target", "add", WASM])),
        )
    }

    /// The nightly with `rust-src`; `None`, with a warning, where it cannot be installed.
    pub(crate) fn nightly(&self) -> Result<Option<Nightly>> {
        let sysroot =
            || process::answer(Command::new("rustc").arg(format!("+{NIGHTLY}")).args(["--print", "sysroot"]));
        let is_there = || sysroot().is_some_and(|root| Path::new(&root).join(STD_SOURCES).is_dir());
        let installed = self.install_once(NIGHTLY, is_there, || {
            let mut rustup = Command::new("rustup");
            self.run(rustup.args(["toolchain", "install", NIGHTLY, "--profile", "minimal", "-c", "rust-src"]))
        });
        match installed {
            Ok(()) => Ok(Some(Nightly { name: NIGHTLY, shims: self.nightly_shims()? })),
            Err(error) if !self.stop.asked() => {
                eprintln!("warning: {error:#}");
                eprintln!(
                    "warning: the Worker is built WITHOUT --panic-unwind: a panic in one room will take"
                );
                eprintln!(
                    "warning: every room of the same isolate along. Good enough to try, not to deploy."
                );
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// `worker-build` and the program of `xtask/bindgen`, of the versions that Cargo.lock names.
    pub(crate) fn worker_tools(&self) -> Result<WorkerTools> {
        let lock = self.cargo_lock()?;
        let bindgen = self.bindgen()?;
        let builder = self.cargo_tool(BUILDER, locked(&lock, "worker")?)?;
        // What both were built from is of no use any more.
        fs::remove_dir_all(self.cache.join("build")).ok();
        Ok(WorkerTools { builder: builder.join(BUILDER), bindgen })
    }

    fn bindgen(&self) -> Result<PathBuf> {
        let sources = self.top.join("xtask/bindgen");
        let mut hasher = DefaultHasher::new();
        for name in ["Cargo.toml", "Cargo.lock", "src/main.rs"] {
            let path = sources.join(name);
            fs::read(&path).with_context(|| format!("reading {}", path.display()))?.hash(&mut hasher);
        }
        let program = self.cache.join(format!("bindgen-{:016x}", hasher.finish()));
        self.install_once(
            "what binds the Worker to JavaScript (a minute, once)",
            || program.is_file(),
            || {
                let target = self.cache.join("build");
                let mut cargo = self.stable("cargo");
                cargo.args(["build", "--locked", "--target-dir"]).arg(&target);
                self.run(cargo.arg("--manifest-path").arg(sources.join("Cargo.toml")))?;
                fs::rename(target.join("debug/bindgen"), &program).context("putting the program in its place")
            },
        )?;
        Ok(program)
    }

    /// Installs a program of crates.io; the folder of its binaries.
    pub(crate) fn cargo_tool(&self, krate: &str, version: &str) -> Result<PathBuf> {
        let root = self.cache.join(format!("{}-{version}", krate));
        // cargo writes this list last, so that half an install is not taken for a whole one.
        let entry = format!("\"{krate} {version} ");
        let list = root.join(".crates.toml");
        self.install_once(
            &format!("{krate} {version} (some minutes, once)"),
            || fs::read_to_string(&list).is_ok_and(|list| list.contains(&entry)),
            || {
                let mut cargo = self.stable("cargo");
                cargo.args(["install", "--debug", "--locked", "--force", "--root"]).arg(&root);
                cargo.arg(format!("{krate}@{version}"));
                // Away from this workspace's settings, and one folder for what the programs have in common.
                self.run(cargo.current_dir(&self.cache).env("CARGO_TARGET_DIR", self.cache.join("build")))
            },
        )?;
        Ok(root.join("bin"))
    }

    fn cargo_lock(&self) -> Result<String> {
        let path = self.top.join("Cargo.lock");
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    }

    fn stable(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.top);
        if let Some(channel) = self.pinned_channel() {
            command.env("RUSTUP_TOOLCHAIN", channel);
        }
        command
    }

    fn pinned_channel(&self) -> Option<String> {
        let text = fs::read_to_string(self.top.join("rust-toolchain.toml")).ok()?;
        let line = text.lines().find(|line| line.starts_with("channel"))?;
        Some(line.split('"').nth(1)?.to_owned())
    }

    fn nightly_shims(&self) -> Result<PathBuf> {
        let rustup = platform::find_program("rustup", None).context("looking for rustup on the PATH")?;
        let proxies = rustup.parent().unwrap_or(Path::new("/usr/bin"));
        let dir = self.cache.join(NIGHTLY);
        fs::create_dir_all(&dir)?;
        let script = format!(
            r#"#!/bin/sh
# worker-build asks for "+nightly" and "--toolchain nightly"; this hands it the pinned one.
for word do
  shift
  case $word in
    +nightly) word=+{NIGHTLY} ;;
    nightly) word={NIGHTLY} ;;
    # It also wants to see a compiled std for wasm, which it then does not use: it builds its own, and not
    # every nightly has one.
    target-libdir) dirname "$0"; exit ;;
  esac
  set -- "$@" "$word"
done
exec "{}/${{0##*/}}" "$@"
"#,
            proxies.display()
        );
        for name in ["cargo", "rustc", "rustup"] {
            let path = dir.join(name);
            if fs::read_to_string(&path).is_ok_and(|present| present == script) {
                continue;
            }
            fs::write(&path, &script)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        Ok(dir)
    }
}

fn has_wasm(sysroot: String) -> bool {
    Path::new(&sysroot).join("lib/rustlib").join(WASM).join("lib").is_dir()
}

/// The version of a package in the text of a Cargo.lock.
fn locked<'a>(lock: &'a str, package: &str) -> Result<&'a str> {
    let name = format!("name = \"{package}\"\nversion = \"");
    let Some((_, rest)) = lock.split_once(&name) else { bail!("Cargo.lock names no {package}") };
    rest.split('"').next().with_context(|| format!("reading the version of {package} in Cargo.lock"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_locked_version_is_that_of_the_package_itself() {
        let lock = "[[package]]\nname = \"worker-macros\"\nversion = \"1.0.0\"\n\n\
                    [[package]]\nname = \"worker\"\nversion = \"0.8.7\"\nsource = \"x\"\n";
        assert_eq!(locked(lock, "worker").unwrap(), "0.8.7");
        assert!(locked(lock, "wasm-bindgen").is_err());
    }

    #[test]
    fn the_worker_is_bound_by_the_version_that_it_is_built_with() {
        let (lock, own) = (include_str!("../../../Cargo.lock"), include_str!("../../bindgen/Cargo.toml"));
        let version = locked(lock, "wasm-bindgen").unwrap();
        assert!(own.contains(&format!("wasm-bindgen-cli-support = \"={version}\"")), "{version}");
    }
}
