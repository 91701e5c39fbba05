//! Which file of a crate imports from which: the graph of its `use` paths, and of the paths in its code.
//!
//! An import counts for the file that has the item, wherever it is re-exported. So a parent that only declares and
//! re-exports its children depends on none of them.

mod source;
mod tokens;

use std::collections::{BTreeMap, BTreeSet};

use self::source::{Path, Source};

/// A file that a file depends on, with the lines that say so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Edge {
    /// Where, and what is imported.
    pub(super) uses: BTreeSet<(usize, String)>,
}

/// The files of a crate, each with those that it depends on.
pub(super) type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, Edge>>;

/// The graph of a crate: `root` is the folder of its `lib.rs` or `main.rs`, with a slash; `files` are paths and texts.
pub(super) fn graph<'a>(root: &str, files: impl Iterator<Item = (&'a str, &'a str)>) -> Graph<'a> {
    let modules = files.filter_map(|(path, text)| Some((module_of(path.strip_prefix(root)?)?, path, text)));
    let modules: BTreeMap<Path, Module<'a>> =
        modules.map(|(module, path, text)| (module, Module { path, source: source::read(text) })).collect();
    let tree = Modules(modules);
    tree.0.iter().map(|(module, of)| (of.path, tree.edges(module, of))).collect()
}

/// The module that a file of a crate is.
fn module_of(path: &str) -> Option<Path> {
    let path = path.strip_suffix(".rs")?;
    let path = path.strip_suffix("/mod").unwrap_or(path);
    if path == "lib" || path == "main" {
        return Some(Path::new());
    }
    Some(path.split('/').map(str::to_owned).collect())
}

struct Module<'a> {
    path: &'a str,
    source: Source,
}

struct Modules<'a>(BTreeMap<Path, Module<'a>>);

impl<'a> Modules<'a> {
    fn edges(&self, module: &Path, of: &Module<'a>) -> BTreeMap<&'a str, Edge> {
        let mut edges: BTreeMap<&str, Edge> = BTreeMap::new();
        let Source { imports, mentions, words } = &of.source;
        let imports = imports.iter().filter(|import| !import.is_public || words.contains(&import.name));
        let imports = imports.map(|import| (&import.module, &import.path, import.line));
        let mentions = mentions.iter().map(|mention| (&mention.module, &mention.path, mention.line));
        for (inside, path, line) in imports.chain(mentions) {
            let from = [module.as_slice(), inside].concat();
            let Some(file) = self.absolute(&from, path).and_then(|path| self.file_of(path, 0)) else {
                continue;
            };
            if file != of.path {
                let edge = edges.entry(file).or_default();
                edge.uses.insert((line, path.last().cloned().unwrap_or_default()));
            }
        }
        edges
    }

    /// The path from the crate's root; `None` if it leads into another crate.
    fn absolute(&self, from: &[String], path: &[String]) -> Option<Path> {
        let mut base = from.to_vec();
        let mut rest = path;
        match path.first()?.as_str() {
            "crate" => {
                base.clear();
                rest = &path[1..];
            }
            "self" => rest = &path[1..],
            "super" => {
                while rest.first().is_some_and(|first| first == "super") {
                    base.pop();
                    rest = &rest[1..];
                }
            }
            first => {
                let child = [from, &[first.to_owned()]].concat();
                let is_imported =
                    |of: &Module<'_>| of.source.imports.iter().any(|import| import.name == *first);
                if !self.0.contains_key(&child) && !self.0.get(from).is_some_and(is_imported) {
                    return None;
                }
            }
        }
        base.extend(rest.iter().cloned());
        Some(base)
    }

    /// The file that has what an absolute path names.
    fn file_of(&self, path: Path, depth: usize) -> Option<&'a str> {
        let known = (0..=path.len()).rev().find(|length| self.0.contains_key(&path[..*length]))?;
        let (module, rest) = path.split_at(known);
        let of = self.0.get(module)?;
        let Some(name) = rest.first() else { return Some(of.path) };
        let import = of.source.imports.iter().find(|import| import.module.is_empty() && import.name == *name);
        let leads_on = import.filter(|_| depth < 8).and_then(|import| {
            let target = [self.absolute(module, &import.path)?.as_slice(), &rest[1..]].concat();
            self.file_of(target, depth + 1)
        });
        match import {
            Some(_) => leads_on,
            None => Some(of.path),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edges(files: &[(&str, &str)]) -> Vec<String> {
        let files = files.iter().map(|(path, text)| (*path, *text));
        let graph = graph("src/", files);
        let shown = |(from, to): (&str, BTreeMap<&str, Edge>)| {
            to.into_keys().map(move |to| format!("{from} {to}")).collect::<Vec<_>>()
        };
        let shown = graph.into_iter().flat_map(shown).map(|edge| edge.replace("src/", "").replace(".rs", ""));
        shown.collect()
    }

    #[test]
    fn a_parent_that_only_re_exports_depends_on_no_child() {
        let child = ("src/a/b.rs", "use super::D; pub struct C;");
        let parent = |text| ("src/a/mod.rs", text);
        let lib = ("src/lib.rs", "pub mod a;");
        assert_eq!(edges(&[lib, parent("mod b; pub use self::b::C; pub struct D;"), child]), ["a/b a/mod"]);
        let used = "mod b; pub use self::b::C; pub struct D(C);";
        assert_eq!(edges(&[lib, parent(used), child]), ["a/b a/mod", "a/mod a/b"]);
        let named = "mod b; pub struct D(b::C);";
        assert_eq!(edges(&[lib, parent(named), child]), ["a/b a/mod", "a/mod a/b"]);
    }

    #[test]
    fn an_item_counts_for_the_file_that_has_it() {
        let files = [
            ("src/lib.rs", "mod a; mod d; mod e;"),
            ("src/a/mod.rs", "mod b; mod c; pub use self::b::B; use self::c::C;"),
            ("src/a/b.rs", "use super::C; pub struct B;"),
            ("src/a/c.rs", "pub struct C;"),
            ("src/d.rs", "use crate::a::{self, B}; fn f() -> a::B { a::missing() }"),
            ("src/e.rs", "use crate::d::B; use std::fmt; use serde::Serialize;"),
        ];
        assert_eq!(edges(&files), ["a/b a/c", "a/mod a/c", "d a/b", "d a/mod", "e a/b"]);
    }

    #[test]
    fn a_module_that_is_imported_leads_on_to_what_is_named_in_it() {
        let files = [
            ("src/lib.rs", "mod a; mod b;"),
            ("src/a.rs", "use crate::b; fn f() { b::g(); }"),
            ("src/b.rs", "use crate::a::f; pub fn g() {}"),
        ];
        assert_eq!(edges(&files), ["a b", "b a"]);
    }
}
