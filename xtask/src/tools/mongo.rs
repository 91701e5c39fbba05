//! The server that speaks MongoDB's protocol for the tests, where there is no better one: the Go program of
//! `tests/mongo`. The test binary decides which one it takes.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::PathBuf,
    process::Command,
};

use anyhow::{Context, Result};

use super::Toolbox;
use crate::{
    platform::{find_program, variable},
    process,
};

/// What the tests start if an engine has it.
const IMAGE: &str = "docker.io/library/mongo:8";

impl Toolbox {
    /// The program, for `EDGEROOM_MONGO`; `None` where the tests find something nearer to MongoDB.
    pub(crate) fn mongo_server(&self) -> Result<Option<PathBuf>> {
        if let Some(named) = variable("EDGEROOM_MONGO") {
            return Ok(Some(named.into()));
        }
        let has_image = |engine: &&str| {
            let answers = |args: &[&str]| process::answer(Command::new(engine).args(args)).is_some();
            answers(&["info"]) && (answers(&["image", "inspect", IMAGE]) || answers(&["pull", IMAGE]))
        };
        if variable("MONGODB_URL").is_some()
            || find_program("mongod", None).is_some()
            || ["docker", "podman"].iter().any(has_image)
        {
            return Ok(None);
        }
        let go = find_program("go", None).context(
            "the tests need a server that speaks MongoDB's protocol: set MONGODB_URL, or install mongod, or \
             start a container engine, or install Go 1.24 or newer (https://go.dev/dl)",
        )?;
        let sources = self.top().join("tests/mongo");
        let mut hasher = DefaultHasher::new();
        for name in ["go.mod", "go.sum", "main.go", "proxy.go", "wire.go"] {
            let path = sources.join(name);
            fs::read(&path).with_context(|| format!("reading {}", path.display()))?.hash(&mut hasher);
        }
        let program = self.cache.join(format!("mongo-{:016x}", hasher.finish()));
        self.install_once(
            "the tests' MongoDB-protocol server (some minutes, once)",
            || program.is_file(),
            || {
                let partial = program.with_extension("partial");
                let mut build = Command::new(&go);
                build.current_dir(&sources).args(["build", "-trimpath", "-o"]).arg(&partial).arg(".");
                self.run(&mut build)?;
                fs::rename(&partial, &program).context("putting the program in its place")
            },
        )?;
        Ok(Some(program))
    }
}
