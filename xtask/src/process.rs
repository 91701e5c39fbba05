//! Child processes. Each leads a process group of its own, so that stopping it stops what it has started too;
//! nothing outlives its `Group`.

use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use nix::{
    sys::signal::{Signal, killpg},
    unistd::Pid,
};

use crate::platform::{Stop, now};

const POLL: Duration = Duration::from_millis(50);

/// Runs a command to its end and fails unless it succeeds. What it prints goes to stderr.
pub(crate) fn run(command: &mut Command, stop: &Stop) -> Result<()> {
    run_within(command, stop, Duration::MAX)
}

/// As [`run`], but ends what takes longer than `limit`.
pub(crate) fn run_within(command: &mut Command, stop: &Stop, limit: Duration) -> Result<()> {
    let name = name_of(command);
    let mut group = Group::start(command, &name, None)?;
    let start = now();
    loop {
        if let Some(status) = group.ended()? {
            return if status.success() { Ok(()) } else { bail!("`{name}` ended with {status}") };
        }
        if stop.asked() {
            group.ask_to_end();
            group.wait_for_end(Duration::from_secs(5), stop)?;
            bail!("stopped while running `{name}`");
        }
        if start.elapsed() > limit {
            bail!("`{name}` did not end within {} s", limit.as_secs());
        }
        thread::sleep(POLL);
    }
}

/// Runs a command and returns what it prints on stdout, trimmed; `None` if it is missing or fails.
pub(crate) fn answer(command: &mut Command) -> Option<String> {
    let output = command.stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A running child and whatever it has started.
#[derive(Debug)]
pub(crate) struct Group {
    name: String,
    child: Child,
    log: Option<PathBuf>,
}

impl Group {
    /// Starts it. Its output goes to `log`, which begins again, or to stderr.
    pub(crate) fn start(command: &mut Command, name: &str, log: Option<&Path>) -> Result<Self> {
        let (out, err) = match log {
            Some(path) => {
                let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
                (Stdio::from(file.try_clone()?), Stdio::from(file))
            }
            None => (Stdio::from(io::stderr()), Stdio::from(io::stderr())),
        };
        command.stdin(Stdio::null()).stdout(out).stderr(err).process_group(0);
        let child = command.spawn().with_context(|| format!("starting `{}`", name_of(command)))?;
        Ok(Self { name: name.to_owned(), child, log: log.map(Path::to_owned) })
    }

    /// What to call it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The process id of the leader.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// How the leader ended, once it has.
    pub(crate) fn ended(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("watching {}", self.name))
    }

    /// The last lines that it logged, indented.
    pub(crate) fn last_lines(&self, count: usize) -> String {
        let bytes = self.log.as_ref().and_then(|log| fs::read(log).ok()).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(count)..].iter().map(|line| format!("    {line}\n")).collect()
    }

    /// Asks all of it to end.
    pub(crate) fn ask_to_end(&self) {
        self.signal(Signal::SIGTERM);
    }

    /// Waits for it to end and makes it after `grace`, or at once when the user insists.
    pub(crate) fn wait_for_end(mut self, grace: Duration, stop: &Stop) -> Result<()> {
        let start = now();
        while start.elapsed() < grace && !stop.insisted() {
            if self.ended()?.is_some() {
                return Ok(());
            }
            thread::sleep(POLL);
        }
        eprintln!("{} takes too long to end: killed", self.name);
        Ok(())
    }

    fn signal(&self, signal: Signal) {
        if let Ok(id) = i32::try_from(self.child.id()) {
            // Fails only where the group is gone already.
            killpg(Pid::from_raw(id), signal).ok();
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::SIGKILL);
        match self.child.wait() {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                eprintln!("warning: waiting for {}: {error}", self.name);
            }
            _ => {}
        }
    }
}

fn name_of(command: &Command) -> String {
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let words = std::iter::once(program).chain(command.get_args());
    let line = words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(160) {
        Some((cut, _)) => format!("{}...", &line[..cut]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script);
        command
    }

    fn is_alive(id: i32) -> bool {
        // A killed process may wait for its parent to take notice.
        let state = fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        !state.is_empty() && !state.contains(") Z ")
    }

    #[test]
    fn a_failing_command_is_an_error_that_names_it() {
        let error = run(&mut shell("exit 3"), &Stop::never()).unwrap_err().to_string();
        assert!(error.contains("exit 3") && error.contains("exit status: 3"), "{error}");
    }

    #[test]
    fn a_command_that_hangs_is_ended_by_its_limit() {
        let limit = Duration::from_millis(100);
        assert!(run_within(&mut shell("sleep 60"), &Stop::never(), limit).is_err());
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn ending_a_group_ends_what_its_leader_started() {
        let log = std::env::temp_dir().join(format!("xtask-group-{}.log", std::process::id()));
        let group = Group::start(&mut shell("sleep 60 & echo $!; wait"), "shell", Some(&log)).unwrap();
        let grandchild = loop {
            if let Ok(id) = group.last_lines(1).trim().parse() {
                break id;
            }
            thread::sleep(POLL);
        };
        assert!(is_alive(grandchild));
        group.ask_to_end();
        group.wait_for_end(Duration::from_secs(60), &Stop::never()).unwrap();
        let deadline = now() + Duration::from_secs(60);
        while is_alive(grandchild) && now() < deadline {
            thread::sleep(POLL);
        }
        assert!(!is_alive(grandchild));
        fs::remove_file(log).unwrap();
    }
}
