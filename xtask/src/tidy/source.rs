//! Rules for single files: module headers, length, no path of somebody's machine, no test switched off.

use super::TextFile;

const CRATES: [&str; 5] = ["bench/", "shared/", "origin/", "edge-worker/", "xtask/"];
const CODE: [&str; 7] = [".rs", ".ts", ".tsx", ".mjs", ".js", ".lua", ".css"];
const MAX_LINES: usize = 400;
/// Files that may be longer, each with its reason.
const LONG: [(&str, &str); 0] = [];

/// Folders that exist on one machine only; split so that this file does not break its own rule.
const MACHINE_PATHS: [&str; 4] =
    [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/Us", "ers/"), concat!("/tm", "p/")];
/// Ways to switch a test off, or all but one.
const SWITCHED_OFF: [&str; 5] = [
    concat!("#[ign", "ore"),
    concat!("test.sk", "ip("),
    concat!("it.sk", "ip("),
    concat!("test.on", "ly("),
    "{ skip:",
];

/// What is wrong with this file.
pub(super) fn breaches(file: &TextFile) -> Vec<String> {
    let mut breaches = Vec::new();
    let is_code = CODE.iter().any(|end| file.path.ends_with(end));
    let is_of_a_crate = CRATES.iter().any(|start| file.path.starts_with(start));
    if is_of_a_crate && file.path.ends_with(".rs") && !file.text.starts_with("//!") {
        breaches.push(format!("{}: does not begin with `//!`: say what it is for", file.path));
    }
    let lines = file.text.lines().count();
    if is_code && lines > MAX_LINES && !LONG.iter().any(|(path, _)| *path == file.path) {
        breaches.push(format!("{}: {lines} lines; beyond {MAX_LINES} a file has two jobs", file.path));
    }
    for (number, line) in file.text.lines().enumerate() {
        if MACHINE_PATHS.iter().any(|path| names(line, path)) {
            breaches.push(format!("{}:{}: names a path of one machine", file.path, number + 1));
        }
        if is_code && SWITCHED_OFF.iter().any(|mark| line.contains(mark)) && !file.path.ends_with("source.rs")
        {
            breaches.push(format!("{}:{}: switches tests off", file.path, number + 1));
        }
    }
    breaches
}

/// Whether the line has this path from the root, rather than as a part of a longer one.
fn names(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "._-})/~".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches_of(path: &str, text: &str) -> usize {
        breaches(&TextFile { path: path.to_owned(), text: text.to_owned() }).len()
    }

    #[test]
    fn a_module_says_what_it_is_for() {
        assert_eq!(breaches_of("shared/src/id.rs", "//! Ids.\n"), 0);
        assert_eq!(breaches_of("shared/src/id.rs", "use std::fmt;\n"), 1);
    }

    #[test]
    fn a_long_file_breaks_a_rule() {
        assert_eq!(breaches_of("demo/src/tree.ts", &"\n".repeat(MAX_LINES)), 0);
        assert_eq!(breaches_of("demo/src/tree.ts", &"\n".repeat(MAX_LINES + 1)), 1);
        assert_eq!(breaches_of("docs/PROTOCOL.md", &"\n".repeat(MAX_LINES + 1)), 0);
    }

    #[test]
    fn a_path_of_one_machine_breaks_a_rule() {
        for path in MACHINE_PATHS {
            assert_eq!(breaches_of("README.md", &format!("see {path}somebody")), 1);
            assert_eq!(breaches_of("README.md", &format!("see https://example.org{path}page")), 0);
        }
    }

    #[test]
    fn a_test_that_is_switched_off_breaks_a_rule() {
        for mark in SWITCHED_OFF {
            assert_eq!(breaches_of("demo/tests/page.test.mjs", mark), 1);
        }
    }
}
