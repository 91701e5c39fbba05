//! The `redis-server` that the origin's tests start: the one on the `PATH`, else the distribution's where apt may
//! install it.

use std::process::Command;

use anyhow::{Result, bail};

use super::{Toolbox, apt};
use crate::{platform::find_program, process};

impl Toolbox {
    /// Makes sure that there is one. `REDIS_URL` replaces only the server that tests share, not those they break.
    pub(crate) fn redis_server(&self) -> Result<()> {
        if is_there() {
            return Ok(());
        }
        let is_root = process::answer(Command::new("id").arg("-u")).is_some_and(|id| id == "0");
        if is_root && find_program("apt-get", None).is_some() {
            self.install_once("redis-server", is_there, || {
                self.run(apt().arg("update"))?;
                self.run(apt().args(["install", "--yes", "--no-install-recommends", "redis-server"]))
            })?;
        }
        if is_there() {
            return Ok(());
        }
        bail!("the tests need Redis 7: `sudo apt-get install redis-server` (or your system's way)")
    }
}

fn is_there() -> bool {
    find_program("redis-server", None).is_some()
}
