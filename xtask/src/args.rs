//! The command line: words, flags and `--name value` or `--name=value`; whatever is left over is an error.

use std::str::FromStr;

use anyhow::{Context, Result, bail};

/// The arguments that have not been read yet.
#[derive(Debug)]
pub(crate) struct Args(Vec<String>);

impl Args {
    /// Those of this process, without its name.
    pub(crate) fn of_process() -> Self {
        Self(std::env::args().skip(1).collect())
    }

    /// Those of a line.
    #[cfg(test)]
    pub(crate) fn of_line(line: &str) -> Self {
        Self(line.split(' ').map(str::to_owned).collect())
    }

    /// Takes the next word, if it is not a flag.
    pub(crate) fn word(&mut self) -> Option<String> {
        let is_word = self.0.first().is_some_and(|first| !first.starts_with('-'));
        is_word.then(|| self.0.remove(0))
    }

    /// Takes a flag; whether it was there.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let before = self.0.len();
        self.0.retain(|arg| arg != name);
        self.0.len() < before
    }

    /// Takes `name value` or `name=value`.
    pub(crate) fn value<T>(&mut self, name: &str) -> Result<Option<T>>
    where
        T: FromStr,
        T::Err: std::error::Error + Send + Sync + 'static,
    {
        let Some(at) = self.0.iter().position(|arg| split(arg).0 == name) else { return Ok(None) };
        let arg = self.0.remove(at);
        let text = match split(&arg).1 {
            Some(value) => value.to_owned(),
            None if at < self.0.len() => self.0.remove(at),
            None => bail!("{name} needs a value"),
        };
        text.parse().map(Some).with_context(|| format!("reading {name} {text:?}"))
    }

    /// Refuses whatever nobody took.
    pub(crate) fn finish(self) -> Result<()> {
        match self.0.first() {
            Some(arg) => bail!("unexpected argument {arg:?}; `cargo xtask help` shows what there is"),
            None => Ok(()),
        }
    }
}

fn split(arg: &str) -> (&str, Option<&str>) {
    match arg.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (arg, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(line: &str) -> Args {
        Args::of_line(line)
    }

    #[test]
    fn flags_and_values_are_taken_in_any_order() {
        let mut args = args("dev --port 1 --json --origin-port=2");
        assert_eq!(args.word().as_deref(), Some("dev"));
        assert_eq!(args.value::<u16>("--origin-port").unwrap(), Some(2));
        assert_eq!(args.value::<u16>("--port").unwrap(), Some(1));
        assert!(args.flag("--json"));
        assert!(!args.flag("--json"));
        args.finish().unwrap();
    }

    #[test]
    fn what_nobody_takes_is_refused() {
        let mut args = args("--prot 1");
        assert_eq!(args.value::<u16>("--port").unwrap(), None);
        assert!(args.finish().is_err());
    }

    #[test]
    fn a_value_that_is_missing_or_unreadable_is_refused() {
        assert!(args("--port").value::<u16>("--port").is_err());
        assert!(args("--port many").value::<u16>("--port").is_err());
    }
}
