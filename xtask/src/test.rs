//! `cargo xtask test`: every check and test, part by part; ends in one line per step and a sum. What a part
//! needs is installed or named in an error: nothing is skipped silently.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, bail};

use crate::{
    args::Args,
    build,
    platform::{now, target_dir},
    process::run_within,
    tidy,
    tools::Toolbox,
};

/// No step takes longer, unless it hangs.
const STEP_LIMIT: Duration = Duration::from_secs(2 * 60 * 60);
/// No file of node tests takes longer, unless it hangs.
const NODE_LIMIT_MS: u32 = 60 * 60 * 1000;

/// What can be asked for by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    House,
    Unit,
    It,
    Worker,
    Browser,
    Kill,
    Ops,
    Compose,
}

const PARTS: [(&str, Part); 8] = [
    ("house", Part::House),
    ("unit", Part::Unit),
    ("it", Part::It),
    ("worker", Part::Worker),
    ("browser", Part::Browser),
    ("kill", Part::Kill),
    ("ops", Part::Ops),
    ("compose", Part::Compose),
];

/// Runs the parts that the command line names, or all.
pub(crate) fn run(tools: &Toolbox, mut args: Args) -> Result<()> {
    let mut parts = Vec::new();
    while let Some(word) = args.word() {
        let known = PARTS.iter().find(|(name, _)| *name == word);
        parts.push(
            known.with_context(|| format!("no part {word:?}: {}", PARTS.map(|part| part.0).join(" ")))?.1,
        );
    }
    args.finish()?;
    if parts.is_empty() {
        parts = PARTS.map(|part| part.1).to_vec();
        if !can_compose(tools) {
            parts.retain(|part| *part != Part::Compose);
        }
    }
    Run { tools, parts, has_origin: false, report: Report::default() }.finish()
}

/// Whether the container files can be tried without pulling images; says why not.
fn can_compose(tools: &Toolbox) -> bool {
    let missing = match tools.containers() {
        Ok(containers) if containers.has_images() => return true,
        Ok(_) => "its base images are not here".to_owned(),
        Err(why) => why.to_string(),
    };
    eprintln!("without `cargo xtask test compose`: {missing}");
    false
}

struct Run<'a> {
    tools: &'a Toolbox,
    parts: Vec<Part>,
    /// The tests of cargo have built the origin: with the features of tests, with which another build would begin again.
    has_origin: bool,
    report: Report,
}

impl Run<'_> {
    fn finish(mut self) -> Result<()> {
        if self.wants(Part::House) {
            self.house()?;
        }
        if self.wants(Part::Unit) || self.wants(Part::It) {
            self.cargo_tests()?;
        }
        if [Part::Worker, Part::Browser, Part::Kill].into_iter().any(|part| self.wants(part)) {
            self.node_tests()?;
        }
        if self.wants(Part::Ops) {
            self.ops()?;
        }
        if self.wants(Part::Compose) {
            self.compose()?;
        }
        eprint!("{}", self.report);
        if self.report.failed() == 0 { Ok(()) } else { bail!("{} steps failed", self.report.failed()) }
    }

    fn wants(&self, part: Part) -> bool {
        self.parts.contains(&part)
    }

    fn house(&mut self) -> Result<()> {
        let tools = self.tools;
        let docs = ["doc", "--no-deps"];
        let native =
            ["clippy", "--workspace", "--exclude", "edge-worker", "--all-targets", "--", "-D", "warnings"];
        let wasm =
            ["clippy", "-p", "edge-worker", "--target", "wasm32-unknown-unknown", "--", "-D", "warnings"];
        self.step("tidy", || tidy::run(tools.top()))?;
        self.step("fmt", || cargo(tools, &["fmt", "--all", "--check"]))?;
        self.step("clippy", || cargo(tools, &native))?;
        self.step("clippy for wasm", || {
            tools.wasm_target()?;
            cargo(tools, &wasm)
        })?;
        self.step("types of the page", || {
            tools.npm_packages()?;
            run_within(tools.command("tsc")?.args(["--noEmit", "-p", "demo"]), tools.stop(), STEP_LIMIT)
        })?;
        self.step("docs", || {
            let mut command = cargo_command(tools, &docs);
            run_within(command.env("RUSTDOCFLAGS", "-D warnings"), tools.stop(), STEP_LIMIT)
        })?;
        Ok(())
    }

    /// Unit and integration tests in one invocation, since a second one with other targets may build again.
    fn cargo_tests(&mut self) -> Result<()> {
        let tools = self.tools;
        let others =
            integration_tests(tools.top(), &["shared", "shared/fuzz", "origin", "origin/room", "xtask"])?;
        let others = others.iter().filter(|name| *name != "it").flat_map(|name| ["--test", name]);
        let (name, choice): (_, Vec<&str>) = match (self.wants(Part::Unit), self.wants(Part::It)) {
            (true, true) => ("unit, it", Vec::new()),
            (false, _) => ("it", vec!["--test", "it"]),
            (true, false) => ("unit", ["--lib", "--bins"].into_iter().chain(others).collect()),
        };
        let (needs_node, needs_stores) = (self.wants(Part::Unit), self.wants(Part::It));
        self.has_origin = self.step(name, || {
            if needs_stores {
                tools.redis_server()?;
            }
            let mut command =
                cargo_command(tools, &[&["test", "--workspace", "--no-fail-fast"][..], &choice].concat());
            if needs_node {
                // What passes the gate is tried with Yjs too.
                tools.npm_packages()?;
                command.env("EDGEROOM_NODE", tools.command("node")?.get_program());
            }
            if let Some(server) = needs_stores.then(|| tools.mongo_server()).transpose()?.flatten() {
                command.env("EDGEROOM_MONGO", server);
            }
            run_within(&mut command, tools.stop(), STEP_LIMIT)
        })?;
        Ok(())
    }

    fn node_tests(&mut self) -> Result<()> {
        let (tools, has_origin) = (self.tools, self.has_origin);
        let built = self.step("build for node", || {
            tools.npm_packages()?;
            // As a deploy wants it: one of the tests does a dry run, which must not build it again under the others.
            build::worker(tools, true)?;
            build::faulty_worker(tools)?;
            build::page(tools)?;
            if has_origin { Ok(()) } else { build::origin(tools).map(|_| ()) }
        })?;
        if !built {
            return Ok(());
        }
        if self.wants(Part::Worker) {
            self.step("worker", || {
                tools.redis_server()?;
                let server = tools.mongo_server()?;
                let stores = server.map(|server| ("EDGEROOM_MONGO", server));
                node(tools, "edge-worker/tests", 2, stores)
            })?;
        }
        if self.wants(Part::Browser) {
            self.step("browser", || node(tools, "demo/tests", 1, [("CHROMIUM", tools.chromium()?)]))?;
        }
        if self.wants(Part::Kill) {
            self.step("kill", || node(tools, "tests/kill", 1, []))?;
            self.step("queue", || {
                tools.redis_server()?;
                node(tools, "tests/queue", 1, [])
            })?;
        }
        Ok(())
    }

    /// What operators look at; it needs no Worker.
    fn ops(&mut self) -> Result<()> {
        let (tools, has_origin) = (self.tools, self.has_origin);
        self.step("ops", || {
            tools.npm_packages()?;
            if !has_origin {
                build::origin(tools)?;
            }
            tools.redis_server()?;
            let promtool = tools.promtool()?.map(|program| ("PROMTOOL", program));
            node(tools, "tests/ops", 1, promtool.into_iter().chain([("CHROMIUM", tools.chromium()?)]))
        })?;
        Ok(())
    }

    /// The shipped container files, with the Worker before them.
    fn compose(&mut self) -> Result<()> {
        let tools = self.tools;
        self.step("compose", || {
            let containers = tools.containers()?;
            build::worker(tools, true)?;
            build::page(tools)?;
            node(tools, "tests/compose", 1, containers.variables())
        })?;
        Ok(())
    }

    /// Runs one step and notes how it went: whether it passed, or an error if the user wants the end.
    fn step(&mut self, name: &'static str, body: impl FnOnce() -> Result<()>) -> Result<bool> {
        eprintln!("\n== {name}");
        let start = now();
        let outcome = body();
        if self.tools.stop().asked() {
            bail!("stopped during {name}");
        }
        if let Err(error) = &outcome {
            eprintln!("FAILED {name}: {error:#}");
        }
        self.report.0.push((name, outcome.is_ok(), start.elapsed()));
        Ok(outcome.is_ok())
    }
}

fn cargo(tools: &Toolbox, args: &[&str]) -> Result<()> {
    run_within(&mut cargo_command(tools, args), tools.stop(), STEP_LIMIT)
}

fn cargo_command(tools: &Toolbox, args: &[&str]) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(tools.top()).args(args);
    command
}

/// Runs the node tests of a folder, `at_once` files at a time, with more programs that they need.
fn node(
    tools: &Toolbox,
    folder: &str,
    at_once: u32,
    programs: impl IntoIterator<Item = (&'static str, PathBuf)>,
) -> Result<()> {
    let files = files_with(&tools.top().join(folder), ".test.mjs")?;
    let mut node = tools.command("node")?;
    node.arg("--test").arg(format!("--test-timeout={NODE_LIMIT_MS}"));
    node.arg(format!("--test-concurrency={at_once}")).args(files);
    node.env("EDGEROOM_ORIGIN", target_dir().join("debug/origin"));
    node.envs(programs);
    Toolbox::keep_wrangler_local(&mut node, &target_dir().join("test/wrangler"));
    run_within(&mut node, tools.stop(), STEP_LIMIT)
}

/// Name, success and time of every step.
#[derive(Debug, Default)]
struct Report(Vec<(&'static str, bool, Duration)>);

impl Report {
    fn failed(&self) -> usize {
        self.0.iter().filter(|(_, passed, _)| !passed).count()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        for (name, passed, time) in &self.0 {
            writeln!(
                f,
                "{:>8.1} s  {}  {name}",
                time.as_secs_f32(),
                if *passed { "ok    " } else { "FAILED" }
            )?;
        }
        let total: Duration = self.0.iter().map(|step| step.2).sum();
        let failed = self.failed();
        writeln!(f, "{} passed, {failed} failed in {:.0} s", self.0.len() - failed, total.as_secs_f32())
    }
}

/// The names of the test targets of these crates: `tests/NAME.rs` and `tests/NAME/main.rs`.
fn integration_tests(top: &Path, crates: &[&str]) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for krate in crates {
        let folder = top.join(krate).join("tests");
        for entry in folder.read_dir().into_iter().flatten() {
            let path = entry?.path();
            let is_target = path.extension().is_some_and(|ext| ext == "rs") || path.join("main.rs").is_file();
            if let (true, Some(name)) = (is_target, path.file_stem()) {
                names.push(name.to_string_lossy().into_owned());
            }
        }
    }
    names.sort();
    Ok(names)
}

/// The files in a folder that end so; an error if there are none.
fn files_with(folder: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("reading {}", folder.display()))?;
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    let mut files: Vec<_> = paths.into_iter().filter(|path| path.to_string_lossy().ends_with(end)).collect();
    files.sort();
    if files.is_empty() { bail!("{} holds no *{end}", folder.display()) } else { Ok(files) }
}
