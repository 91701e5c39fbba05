//! The tools that the project needs beyond cargo: what is missing is installed through the ordinary package
//! clients (rustup, cargo, npm, apt), into a per-user cache keyed by version.

mod chromium;
mod containers;
mod mongo;
mod node;
mod promtool;
mod redis;
mod rust;

use std::{
    env,
    ffi::OsString,
    fs::{self, File},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    platform::{self, Stop, variable},
    process,
};

pub(crate) use self::{containers::compose, node::NPM_CI};

/// Where tools are, and what installs them.
#[derive(Debug)]
pub(crate) struct Toolbox {
    top: PathBuf,
    cache: PathBuf,
    stop: Stop,
}

impl Toolbox {
    /// Finds the cache: `EDGEROOM_TOOLS`, else `edgeroom` in the user's cache folder.
    pub(crate) fn open(stop: Stop) -> Result<Self> {
        let cache = match (variable("EDGEROOM_TOOLS"), variable("XDG_CACHE_HOME"), variable("HOME")) {
            (Some(dir), ..) => env::current_dir()?.join(dir),
            (None, Some(caches), _) => Path::new(&caches).join("edgeroom"),
            (None, None, Some(home)) => Path::new(&home).join(".cache/edgeroom"),
            (None, None, None) => bail!("nowhere to keep tools: set EDGEROOM_TOOLS or HOME"),
        };
        Ok(Self { top: platform::top().to_owned(), cache, stop })
    }

    /// The top folder of the repository.
    pub(crate) fn top(&self) -> &Path {
        &self.top
    }

    /// Whether the user wants the end.
    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Installs everything that any command needs.
    pub(crate) fn install_all(&self) -> Result<()> {
        self.wasm_target()?;
        self.nightly()?;
        self.worker_tools()?;
        self.npm_packages()?;
        let chromium = self.chromium()?;
        self.mongo_server()?;
        self.redis_server()?;
        self.promtool()?;
        eprintln!("all there: tools in {}, {}", self.cache.display(), chromium.display());
        Ok(())
    }

    /// A command that runs in the top folder and finds an accepted Node and the npm packages' programs first.
    pub(crate) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Result<Command> {
        let path = self.path()?;
        // A name without a folder is looked up here, since `Command` would take the inherited PATH.
        let found = program.as_ref().to_str().and_then(|name| platform::find_program(name, Some(&path)));
        let mut command = match found {
            Some(found) => Command::new(found),
            None => Command::new(program),
        };
        command.current_dir(&self.top).env("PATH", path);
        Ok(command)
    }

    /// Runs it to its end, with its output on stderr.
    pub(crate) fn run(&self, command: &mut Command) -> Result<()> {
        process::run(command, &self.stop)
    }

    /// Runs cargo-deny over the dependencies.
    pub(crate) fn deny(&self) -> Result<()> {
        let deny = self.cargo_tool("cargo-deny", "0.20.2")?;
        self.run(Command::new(deny.join("cargo-deny")).current_dir(&self.top).arg("check"))
    }

    fn path(&self) -> Result<OsString> {
        let mut dirs = vec![self.node_dir()?, self.top.join("node_modules/.bin")];
        dirs.extend(env::split_paths(&variable("PATH").unwrap_or_default()));
        env::join_paths(dirs).context("putting Node first in PATH")
    }

    /// Runs `install` unless `is_there`, with nobody else installing the same at the same time.
    fn install_once(
        &self,
        what: &str,
        is_there: impl Fn() -> bool,
        install: impl FnOnce() -> Result<()>,
    ) -> Result<()> {
        if is_there() {
            return Ok(());
        }
        fs::create_dir_all(&self.cache).with_context(|| format!("creating {}", self.cache.display()))?;
        let lock = File::create(self.cache.join(format!(".{}.lock", what.replace(['/', ' '], "-"))))?;
        if lock.try_lock().is_err() {
            eprintln!("waiting for another process that installs {what}");
            lock.lock()?;
        }
        if is_there() {
            return Ok(());
        }
        eprintln!("installing {what}");
        install().with_context(|| format!("installing {what}"))?;
        if is_there() { Ok(()) } else { bail!("{what} is installed, but is not where it should be") }
    }
}

/// apt, which asks nothing.
fn apt() -> Command {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn toolbox(name: &str) -> Toolbox {
        let cache = env::temp_dir().join(format!("xtask-tools-{name}-{}", std::process::id()));
        Toolbox { top: platform::top().to_owned(), cache, stop: Stop::never() }
    }

    #[test]
    fn what_is_there_is_not_installed_again() {
        let (tools, installs) = (toolbox("again"), Cell::new(0));
        let install = || {
            installs.set(installs.get() + 1);
            Ok(())
        };
        for _ in 0..2 {
            tools.install_once("a thing", || installs.get() > 0, install).unwrap();
        }
        assert_eq!(installs.get(), 1);
        fs::remove_dir_all(&tools.cache).unwrap();
    }

    #[test]
    fn an_install_that_leaves_nothing_behind_is_an_error() {
        let tools = toolbox("nothing");
        assert!(tools.install_once("a thing", || false, || Ok(())).is_err());
        fs::remove_dir_all(&tools.cache).unwrap();
    }
}
