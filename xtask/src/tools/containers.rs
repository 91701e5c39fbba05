//! The container engine and Docker Compose, where there are any: nothing is installed for them.

use std::{path::Path, process::Command};

use anyhow::{Result, bail};

use super::Toolbox;
use crate::{platform::variable, process};

/// The images that the container files of the tests begin with, or start.
const IMAGES: [&str; 5] =
    ["debian:bookworm-slim", "node:22-bookworm-slim", "rust:1.95-bookworm", "redis:7-alpine", "mongo:8.0"];

/// An engine that answers, and the words that run Docker Compose on it.
#[derive(Debug)]
pub(crate) struct Containers {
    docker: String,
    compose: &'static [&'static str],
}

impl Toolbox {
    /// The engine of `DOCKER`, else of `docker`, if it answers and Docker Compose is there too; or why not.
    pub(crate) fn containers(&self) -> Result<Containers> {
        let docker = variable("DOCKER").unwrap_or_else(|| "docker".to_owned());
        if process::answer(Command::new(&docker).arg("info")).is_none() {
            bail!("no container engine answers `{docker} info`");
        }
        let Some(compose) = compose() else {
            bail!("neither `docker compose` nor `docker-compose` is there")
        };
        Ok(Containers { docker, compose })
    }
}

impl Containers {
    /// Whether nothing has to be pulled.
    pub(crate) fn has_images(&self) -> bool {
        let has =
            |image| process::answer(Command::new(&self.docker).args(["image", "inspect", image])).is_some();
        IMAGES.into_iter().all(has)
    }

    /// What the tests have to know.
    pub(crate) fn variables(&self) -> [(&'static str, std::path::PathBuf); 2] {
        [("DOCKER", Path::new(&self.docker).to_owned()), ("COMPOSE", self.compose.join(" ").into())]
    }
}

/// The words that run Docker Compose here.
pub(crate) fn compose() -> Option<&'static [&'static str]> {
    let known: [&[&str]; 2] = [&["docker", "compose"], &["docker-compose"]];
    known.into_iter().find(|words| {
        let mut asked = Command::new(words[0]);
        process::answer(asked.args(&words[1..]).arg("version").stderr(std::process::Stdio::null())).is_some()
    })
}
