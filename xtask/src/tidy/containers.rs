//! The container files: Docker Compose accepts `docker-compose.yml` where there is one to ask, its shape is what
//! the documents promise, and the image has what `cargo build --release` makes.

mod shape;

use std::{
    path::Path,
    process::{Command, Stdio},
};

use self::shape::Shape;
use super::Tree;
use crate::{
    build,
    tools::{NPM_CI, compose},
};

const COMPOSE: &str = "docker-compose.yml";
const DOCKERFILE: &str = "origin/Dockerfile";
/// Services that the others wait for or that are waited for: each says whether it is well.
const SERVICES: [&str; 3] = ["redis", "mongo", "origin"];
/// What the promise needs of Redis.
const REDIS_OPTIONS: [[&str; 2]; 3] =
    [["--appendonly", "yes"], ["--appendfsync", "everysec"], ["--maxmemory-policy", "noeviction"]];

/// What is wrong with the texts.
pub(super) fn breaches(tree: &Tree) -> Vec<String> {
    let mut breaches = Vec::new();
    match Shape::read(tree.text(COMPOSE)) {
        Ok(shape) => {
            let found = of_compose(&shape).into_iter().chain(missing(&shape, tree));
            breaches.extend(found.map(|text| format!("{COMPOSE}: {text}")));
        }
        Err(wrong) => breaches.push(format!("{COMPOSE}:{wrong}")),
    }
    let image = of_dockerfile(tree.text(DOCKERFILE));
    breaches.extend(image.into_iter().map(|text| format!("{DOCKERFILE}: {text}")));
    breaches
}

/// What Docker Compose says against the file; it says what is missing if there is no Docker Compose.
pub(super) fn refusals(top: &Path) -> Vec<String> {
    let Some(compose) = compose() else {
        eprintln!(
            "{COMPOSE}: neither `docker compose` nor `docker-compose` is there to run `config -q`; only its shape \
             was checked"
        );
        return Vec::new();
    };
    let runs = [&[][..], &["--profile", "ops"], &["--profile", "edge"]];
    runs.into_iter()
        .map(|profile| [profile, &["config", "-q"]].concat())
        .filter_map(|args| refusal(compose, &args, top))
        .collect()
}

fn refusal(compose: &[&str], args: &[&str], top: &Path) -> Option<String> {
    let line = [compose, args].concat().join(" ");
    let mut asked = Command::new(compose[0]);
    match asked.args(&compose[1..]).args(args).current_dir(top).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {
            eprintln!("{COMPOSE}: `{line}` accepts it");
            None
        }
        Ok(output) => {
            Some(format!("{COMPOSE}: `{line}` says: {}", String::from_utf8_lossy(&output.stderr).trim()))
        }
        Err(error) => Some(format!("{COMPOSE}: `{line}` cannot be run: {error}")),
    }
}

fn of_compose(shape: &Shape) -> Vec<String> {
    let mut breaches = Vec::new();
    for name in SERVICES {
        let has = |key: &str| shape.has(&format!("services.{name}.{key}"));
        if !has("image") && !has("build") {
            breaches.push(format!("has no service {name} with an image or a build"));
        }
        if !has("healthcheck.test") {
            breaches.push(format!("{name} does not say whether it is well"));
        }
    }
    let redis: Vec<&str> = shape.values("services.redis.command").collect();
    for option in REDIS_OPTIONS {
        if !redis.windows(2).any(|pair| pair == option) {
            breaches.push(format!("redis runs without {}", option.join(" ")));
        }
    }
    for name in shape.below("services") {
        for image in shape.values(&format!("services.{name}.image")) {
            let version = image.rsplit('/').next().and_then(|last| last.split_once(':'));
            if version.is_none_or(|(_, version)| version == "latest") {
                breaches.push(format!("{name} takes {image} in no version"));
            }
        }
        for port in shape.values(&format!("services.{name}.ports")) {
            if !port.starts_with("127.0.0.1:") {
                breaches.push(format!("{name} publishes {port} beyond loopback"));
            }
        }
        for other in shape.below(&format!("services.{name}.depends_on")) {
            if !shape.has(&format!("services.{other}")) {
                breaches.push(format!("{name} depends on {other}, which is no service"));
            }
        }
        for mount in shape.values(&format!("services.{name}.volumes")) {
            let volume = mount.split(':').next().unwrap_or_default();
            if !volume.starts_with(['.', '/']) && !shape.has(&format!("volumes.{volume}")) {
                breaches.push(format!("{name} mounts {volume}, which is no volume"));
            }
        }
    }
    breaches
}

/// What the services are built from or mount that is not in the repository.
fn missing(shape: &Shape, tree: &Tree) -> Vec<String> {
    let mut breaches = Vec::new();
    for name in shape.below("services") {
        let (mounts, build) =
            (format!("services.{name}.volumes"), format!("services.{name}.build.dockerfile"));
        let mounts = shape.values(&mounts).filter_map(|mount| mount.strip_prefix("./")?.split(':').next());
        let files = mounts.chain(shape.values(&build)).filter(|path| tree.text(path).is_empty());
        breaches.extend(files.map(|path| format!("{name} needs {path}, which is no file")));
    }
    breaches
}

fn of_dockerfile(text: &str) -> Vec<String> {
    let joined = text.replace("\\\n", " ");
    let runs: Vec<String> = joined.lines().filter_map(|line| line.strip_prefix("RUN ")).map(bare).collect();
    let wanted = [build::RELEASE, build::PAGE, NPM_CI];
    let missing = wanted.iter().filter(|wanted| !runs.iter().any(|run| run.starts_with(**wanted)));
    let mut breaches: Vec<String> = missing.map(|wanted| format!("does not run `{wanted}`")).collect();
    if !text.contains("/src/target/release/origin ") {
        breaches.push("does not take the origin from target/release".to_owned());
    }
    breaches
}

/// A command without what is mounted for it.
fn bare(run: &str) -> String {
    run.split_whitespace().filter(|word| !word.starts_with("--mount=")).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::platform::top;

    fn file(path: &str) -> String {
        std::fs::read_to_string(top().join(path)).unwrap()
    }

    fn of_text(text: &str) -> Vec<String> {
        of_compose(&Shape::read(text).unwrap())
    }

    #[test]
    fn the_image_is_built_by_the_release_command() {
        let whole = file(DOCKERFILE);
        assert_eq!(of_dockerfile(&whole), [""; 0]);
        assert_eq!(of_dockerfile("RUN cargo build --locked --bin origin\n").len(), 4);
        assert_eq!(of_dockerfile(&whole.replace("build --release", "build")).len(), 1);
        assert_eq!(of_dockerfile(&whole.replace("target/release", "target/debug")).len(), 1);
    }

    #[test]
    fn docker_compose_accepts_the_file_where_there_is_one() {
        assert_eq!(refusals(top()), [""; 0]);
    }

    #[test]
    fn the_file_has_the_shape_that_the_documents_promise() {
        assert_eq!(of_text(&file(COMPOSE)), [""; 0]);
    }

    #[test]
    fn what_is_built_or_mounted_is_there() {
        let (whole, tree) = (file(COMPOSE), Tree::read(top()).unwrap());
        let missing = |text: &str| missing(&Shape::read(text).unwrap(), &tree);
        assert_eq!(missing(&whole), [""; 0]);
        for (from, to) in [("./ops/alerts.yml", "./ops/alarms.yml"), ("ops/Dockerfile", "Dockerfile")] {
            assert_eq!(missing(&whole.replace(from, to)).len(), 1, "{to}");
        }
    }

    #[test]
    fn what_weakens_the_promise_is_named() {
        let whole = file(COMPOSE);
        for (from, to, named) in [
            ("127.0.0.1:8080:8080", "8080:8080", "beyond loopback"),
            ("- noeviction", "- allkeys-lru", "--maxmemory-policy noeviction"),
            ("  - redis:/data", "  - reddis:/data", "no volume"),
            ("      mongo:\n", "      mango:\n", "no service"),
            ("image: mongo", "picture: mongo", "no service mongo"),
            ("127.0.0.1:9090:9090", "0.0.0.0:9090:9090", "beyond loopback"),
            ("prom/prometheus:v3.5.0", "prom/prometheus", "in no version"),
            ("grafana:12.1.1", "grafana:latest", "in no version"),
        ] {
            assert!(whole.contains(from), "{from}");
            let found = of_text(&whole.replacen(from, to, 1));
            assert!(found.iter().any(|text| text.contains(named)), "{from}: {found:?}");
        }
    }
}
