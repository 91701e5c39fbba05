//! The rules of the house that a machine can check. They run as a part of `cargo xtask test` and name every
//! breach at once.

mod circles;
mod containers;
mod docs;
mod examples;
mod imports;
mod paths;
mod source;
mod words;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail};

/// A file that git knows or would take, by its path from the top folder.
#[derive(Debug)]
struct TextFile {
    path: String,
    text: String,
}

/// All files of the repository that are text.
#[derive(Debug)]
struct Tree(Vec<TextFile>);

impl Tree {
    fn read(top: &Path) -> Result<Self> {
        let mut git = Command::new("git");
        git.current_dir(top).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listing = git.stderr(Stdio::inherit()).output().context("running git ls-files")?;
        if !listing.status.success() {
            bail!("git ls-files ended with {}", listing.status);
        }
        let listing = String::from_utf8(listing.stdout).context("reading what git ls-files says")?;
        let paths = listing.split('\0').filter(|path| !path.is_empty());
        // What is deleted but not committed, or no text, says nothing here.
        let files = paths.filter_map(|path| {
            Some(TextFile { text: fs::read_to_string(top.join(path)).ok()?, path: path.to_owned() })
        });
        Ok(Self(files.collect()))
    }

    /// The text of a file, empty if there is none.
    fn text(&self, path: &str) -> &str {
        self.0.iter().find(|file| file.path == path).map_or("", |file| file.text.as_str())
    }

    /// All files below a folder, or the file itself.
    fn below<'a>(&'a self, start: &'a str) -> impl Iterator<Item = &'a TextFile> {
        self.0.iter().filter(move |file| file.path.starts_with(start))
    }
}

/// Checks every rule; the error names each breach.
pub(crate) fn run(top: &Path) -> Result<()> {
    let tree = Tree::read(top)?;
    let mut breaches: Vec<String> = tree.0.iter().flat_map(source::breaches).collect();
    breaches.extend(house(&tree));
    breaches.extend(docs::breaches(&tree));
    breaches.extend(circles::breaches(&tree));
    breaches.extend(words::breaches(&tree));
    breaches.extend(examples::breaches(&tree));
    breaches.extend(paths::breaches(&tree));
    breaches.extend(containers::breaches(&tree));
    breaches.extend(containers::refusals(top));
    if breaches.is_empty() {
        eprintln!("{} files, no rule broken", tree.0.len());
        return Ok(());
    }
    for breach in &breaches {
        eprintln!("{breach}");
    }
    bail!("{} rules of the house broken", breaches.len())
}

/// Prints the circles of imports between files, those that are still allowed too.
pub(crate) fn print_circles(top: &Path) -> Result<()> {
    print!("{}", circles::report(&Tree::read(top)?));
    Ok(())
}

fn house(tree: &Tree) -> Vec<String> {
    let mut breaches = Vec::new();
    if !tree.text("CHANGELOG.md").contains("## Unreleased") {
        breaches.push("CHANGELOG.md: has no section \"## Unreleased\"".to_owned());
    }
    for file in tree.0.iter().filter(|file| file.path.ends_with("package-lock.json")) {
        if file.text.contains("\"resolved\": \"http") {
            breaches.push(format!("{}: names where packages were downloaded from; see .npmrc", file.path));
        }
    }
    breaches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_that_names_a_registry_breaks_a_rule() {
        let file = |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        let changelog = || file("CHANGELOG.md", "## Unreleased\n");
        let clean = Tree(vec![changelog(), file("package-lock.json", "{}")]);
        assert!(house(&clean).is_empty());
        let named = Tree(vec![changelog(), file("a/package-lock.json", "\"resolved\": \"https://x/y.tgz\"")]);
        assert_eq!(house(&named).len(), 1);
    }
}
