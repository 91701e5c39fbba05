//! The files that the architecture names are there: a map that is older than the house leads nowhere.

use super::Tree;

const PAGES: [&str; 3] = ["docs/ARCHITECTURE.md", "docs/design/", "CONTRIBUTING.md"];
/// How names of files end.
const ENDS: [&str; 8] = [".rs", ".lua", ".mjs", ".ts", ".go", ".sh", ".toml", "/"];
const ARCHITECTURE: (&str, usize) = ("docs/ARCHITECTURE.md", 250);

/// What is named and not there, and what is too long to lead anybody.
pub(super) fn breaches(tree: &Tree) -> Vec<String> {
    let mut breaches = Vec::new();
    let pages = PAGES.iter().flat_map(|start| tree.below(start));
    for page in pages.filter(|page| page.path.ends_with(".md")) {
        let named = page.text.split('`').skip(1).step_by(2).flat_map(alternatives);
        let missing = named.filter(|name| !is_there(tree, name));
        breaches.extend(missing.map(|name| format!("{}: names {name}, which is no file", page.path)));
    }
    let lines = tree.text(ARCHITECTURE.0).lines().count();
    if lines > ARCHITECTURE.1 {
        breaches.push(format!("{}: {lines} lines; move what is long to docs/design/", ARCHITECTURE.0));
    }
    breaches
}

/// The paths that a word in backticks names: `a/{b,c}.rs` names two. None if it is something else.
fn alternatives(word: &str) -> Vec<String> {
    let is_path =
        ENDS.iter().any(|end| word.ends_with(end)) && !word.contains([' ', '*', ':', '(', '$', '~']);
    if !is_path || word.starts_with('/') || word.starts_with('.') {
        return Vec::new();
    }
    match word.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
        Some((before, (inside, after))) => {
            inside.split(',').map(|one| format!("{before}{one}{after}")).collect()
        }
        None => vec![word.to_owned()],
    }
}

/// Whether a file, or one in a folder, has this path or ends with it.
fn is_there(tree: &Tree, name: &str) -> bool {
    let inside = format!("/{name}");
    tree.0.iter().any(|file| {
        let path = format!("/{}", file.path);
        if name.ends_with('/') { path.contains(&inside) } else { path.ends_with(&inside) }
    })
}

#[cfg(test)]
mod tests {
    use super::{super::TextFile, *};

    #[test]
    fn paths_are_told_from_other_words() {
        assert_eq!(alternatives("a/{b,c}.rs"), ["a/b.rs", "a/c.rs"]);
        assert_eq!(alternatives("lua/append.lua"), ["lua/append.lua"]);
        for word in ["cargo test", "tests/*.rs", "SyncStatus(1)", "/rooms/", "./data/", "append"] {
            assert!(alternatives(word).is_empty(), "{word}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let file = |path: &str, text: &str| TextFile { path: path.to_owned(), text: text.to_owned() };
        let page = file("docs/design/x.md", "`src/a.rs`, `a.rs`, `src/`, `b.rs`, `src/a`");
        let found = breaches(&Tree(vec![page, file("shared/src/a.rs", "")]));
        assert_eq!(found, ["docs/design/x.md: names b.rs, which is no file"]);
    }
}
