//! The Chromium that the browser tests drive: the one on the `PATH`, else the distribution's where apt may
//! install it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, bail};

use super::{Toolbox, apt};
use crate::{
    platform::{find_program, variable},
    process,
};

const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome-stable", "google-chrome"];

impl Toolbox {
    /// A Chromium that runs. `CHROMIUM` names one that is not on the `PATH`.
    pub(crate) fn chromium(&self) -> Result<PathBuf> {
        if let Some(named) = variable("CHROMIUM") {
            let path = PathBuf::from(&named);
            return if runs(&path) {
                Ok(path)
            } else {
                bail!("CHROMIUM names {named:?}, which does not run")
            };
        }
        if let Some(found) = on_path() {
            return Ok(found);
        }
        let is_root = process::answer(Command::new("id").arg("-u")).is_some_and(|id| id == "0");
        if is_root && find_program("apt-get", None).is_some() {
            self.install_once(
                "chromium",
                || on_path().is_some(),
                || {
                    self.run(apt().arg("update"))?;
                    self.run(apt().args(["install", "--yes", "--no-install-recommends"]).args(PACKAGES))
                },
            )?;
        }
        match on_path() {
            Some(found) => Ok(found),
            None => bail!(
                "the browser tests need Chromium: `sudo apt-get install chromium` (or your system's way), \
                 or set CHROMIUM to the path of one"
            ),
        }
    }
}

const PACKAGES: [&str; 3] = ["chromium", "fonts-dejavu-core", "fonts-noto-color-emoji"];

fn on_path() -> Option<PathBuf> {
    NAMES.iter().filter_map(|name| find_program(name, None)).find(|program| runs(program))
}

// Some distributions put a script of that name which only says where to get one.
fn runs(program: &Path) -> bool {
    process::answer(Command::new(program).arg("--version")).is_some_and(|text| text.contains("Chrom"))
}
