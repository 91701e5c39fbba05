//! What benchmarks on Redis have in common: a server of their own, a folder that goes with them, and loads.

use std::{
    fs,
    path::PathBuf,
    process::{Command, id},
};

use anyhow::{Context, Result, bail};

use super::{load::load, server::Redis};
use crate::{build, platform::target_dir, tools::Toolbox};

/// Where a benchmark takes place.
pub(super) struct OnRedis<'a> {
    pub(super) tools: &'a Toolbox,
    /// What was built for speed.
    pub(super) programs: PathBuf,
    pub(super) redis: Redis,
    pub(super) dir: PathBuf,
}

impl<'a> OnRedis<'a> {
    /// Builds everything for speed and measures; ends what runs, and removes what was stored.
    pub(super) fn run<T>(
        tools: &'a Toolbox,
        name: &str,
        measure: impl FnOnce(&Self) -> Result<T>,
    ) -> Result<T> {
        let programs = build::for_speed(tools)?;
        let dir = target_dir().join(format!("bench/{name}-{}", id()));
        fs::create_dir_all(&dir).with_context(|| format!("creating {}", dir.display()))?;
        let logs = target_dir().join("dev");
        fs::create_dir_all(&logs).with_context(|| format!("creating {}", logs.display()))?;
        let redis = Redis::start(tools, &dir, &logs.join(format!("redis-{}.log", id())))?;
        let here = Self { tools, programs, redis, dir };
        let measured = measure(&here);
        let Self { redis, dir, .. } = here;
        redis.end(tools)?;
        fs::remove_dir_all(&dir).with_context(|| format!("removing {}", dir.display()))?;
        measured
    }

    /// A load on this Redis.
    pub(super) fn load(&self, name: &str) -> Command {
        let mut load = load(&self.programs, name);
        load.args(["--redis", &self.redis.url()]);
        load
    }

    /// Says what comes now. An error if it is to end.
    pub(super) fn goes_on(&self, what: &str) -> Result<()> {
        if self.tools.stop().asked() {
            bail!("stopped");
        }
        eprintln!("{what}");
        Ok(())
    }
}
