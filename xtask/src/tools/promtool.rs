//! The `promtool` that checks the alert rules: the one on the `PATH`, else taken from the distribution's package, which
//! is unpacked into the cache and not installed, since it would start a Prometheus.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use super::{Toolbox, apt};
use crate::platform::find_program;

impl Toolbox {
    /// The program; `None`, after saying so, where it cannot be had.
    pub(crate) fn promtool(&self) -> Result<Option<PathBuf>> {
        if let Some(found) = find_program("promtool", None) {
            return Ok(Some(found));
        }
        let folder = self.cache.join("prometheus");
        let program = folder.join("usr/bin/promtool");
        if ["apt-get", "dpkg-deb"].iter().all(|name| find_program(name, None).is_some()) {
            let installed = self.install_once("promtool", || program.is_file(), || self.unpack(&folder));
            if !self.stop().asked()
                && let Err(error) = installed
            {
                eprintln!("{error:#}");
            }
        }
        if program.is_file() {
            return Ok(Some(program));
        }
        eprintln!("no promtool here: the alert rules are only read by their tests; Prometheus brings it");
        Ok(None)
    }

    fn unpack(&self, folder: &Path) -> Result<()> {
        let partial = folder.with_extension("partial");
        if partial.exists() {
            fs::remove_dir_all(&partial).with_context(|| format!("removing {}", partial.display()))?;
        }
        fs::create_dir_all(&partial).with_context(|| format!("creating {}", partial.display()))?;
        let download = || self.run(apt().args(["download", "prometheus"]).current_dir(&partial));
        if download().is_err() {
            self.run(apt().arg("update"))?;
            download()?;
        }
        let package = fs::read_dir(&partial)?.next().context("apt has downloaded nothing")??.path();
        self.run(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&partial))?;
        fs::rename(&partial, folder).context("putting it in its place")
    }
}
