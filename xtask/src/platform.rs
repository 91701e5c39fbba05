//! What comes from outside: the environment, the clock, the top folder, the wish to stop. Nothing else in
//! xtask asks for these.

use std::{
    env,
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use anyhow::{Context, Result};

/// A variable of the environment; an empty one counts as none.
#[expect(clippy::disallowed_methods, reason = "the one place of xtask that reads the environment")]
pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// The time, for deadlines and for saying how long a step took.
#[expect(clippy::disallowed_methods, reason = "the one place of xtask that reads a clock")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// The top folder of the repository.
pub(crate) fn top() -> &'static Path {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask)
}

/// Where cargo builds this workspace.
pub(crate) fn target_dir() -> PathBuf {
    match variable("CARGO_TARGET_DIR") {
        Some(dir) => env::current_dir().unwrap_or_default().join(dir),
        None => top().join("target"),
    }
}

/// The first program of that name on `path`, or on the `PATH` if that is `None`.
pub(crate) fn find_program(name: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    let inherited = variable("PATH").unwrap_or_default();
    let path = path.unwrap_or(OsStr::new(&inherited));
    env::split_paths(path).map(|dir| dir.join(name)).find(|program| program.is_file())
}

/// Whether somebody wants the end: Ctrl-C, SIGTERM or SIGHUP.
#[derive(Clone, Debug)]
pub(crate) struct Stop(Arc<AtomicUsize>);

impl Stop {
    /// Starts to listen; from here on the signals do not end the process by themselves.
    pub(crate) fn listen() -> Result<Self> {
        let times = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&times);
        ctrlc::set_handler(move || {
            counter.fetch_add(1, Ordering::Relaxed);
        })
        .context("listening for Ctrl-C")?;
        Ok(Self(times))
    }

    /// Asked at least once.
    pub(crate) fn asked(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 0
    }

    /// Asked again: nobody wants to wait for a graceful end.
    pub(crate) fn insisted(&self) -> bool {
        self.0.load(Ordering::Relaxed) > 1
    }

    #[cfg(test)]
    pub(crate) fn never() -> Self {
        Self(Arc::default())
    }
}
