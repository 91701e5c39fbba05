//! No circle of imports: a file that another one needs, itself or through others, does not need that one.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Tree,
    imports::{Graph, graph},
};

/// The crates whose files are looked at.
const CRATES: [&str; 5] =
    ["shared/src/", "edge-worker/src/", "origin/src/", "origin/room/src/", "bench/src/"];
/// Files that are in a circle and may be for now. The list only gets shorter.
const ALLOWED: &[&str] = &[];

/// What is wrong with the imports.
pub(super) fn breaches(tree: &Tree) -> Vec<String> {
    compare(&circles(tree), ALLOWED)
}

/// All circles, for people.
pub(super) fn report(tree: &Tree) -> String {
    let circles: Vec<String> = circles(tree).iter().map(Circle::describe).collect();
    if circles.is_empty() { "no circle of imports\n".to_owned() } else { circles.join("\n") }
}

/// Files each of which needs all others.
#[derive(Debug)]
struct Circle<'a>(Graph<'a>);

impl Circle<'_> {
    fn describe(&self) -> String {
        let mut text = format!("circle of {} files:\n", self.0.len());
        for (file, edges) in &self.0 {
            text.push_str(&format!("  {file}\n"));
            for (to, edge) in edges {
                let uses: Vec<String> =
                    edge.uses.iter().map(|(line, name)| format!("{name}:{line}")).collect();
                text.push_str(&format!("    needs {to} ({})\n", uses.join(" ")));
            }
        }
        text
    }
}

fn circles(tree: &Tree) -> Vec<Circle<'_>> {
    let graphs = CRATES.iter().map(|root| {
        let files = tree.below(root).map(|file| (file.path.as_str(), file.text.as_str()));
        graph(root, files)
    });
    graphs.flat_map(components).collect()
}

fn compare(circles: &[Circle<'_>], allowed: &[&str]) -> Vec<String> {
    let mut breaches = Vec::new();
    let is_allowed = |file: &&str| allowed.contains(file);
    for circle in circles.iter().filter(|circle| !circle.0.keys().all(is_allowed)) {
        breaches.push(circle.describe());
    }
    let found: BTreeSet<&str> = circles.iter().flat_map(|circle| circle.0.keys().copied()).collect();
    let unneeded = allowed.iter().filter(|file| !found.contains(*file));
    breaches.extend(unneeded.map(|file| {
        format!("{file}: is in no circle of imports; take it from the list (xtask/src/tidy/circles.rs)")
    }));
    breaches
}

/// The strongly connected components of more than one file, each with the edges inside of it.
fn components(graph: Graph<'_>) -> Vec<Circle<'_>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        graph.keys().map(|file| (*file, reached(&graph, file))).collect();
    let mut circles: BTreeMap<BTreeSet<&str>, Graph<'_>> = BTreeMap::new();
    for (file, edges) in &graph {
        let others =
            reached[file].iter().filter(|other| reached.get(**other).is_some_and(|set| set.contains(file)));
        let members: BTreeSet<&str> = others.copied().collect();
        if members.len() > 1 {
            let inside = edges.iter().filter(|(to, _)| members.contains(*to));
            let inside = inside.map(|(to, edge)| (*to, edge.clone())).collect();
            circles.entry(members).or_default().insert(file, inside);
        }
    }
    circles.into_values().map(Circle).collect()
}

/// What a file needs, through others too.
fn reached<'a>(graph: &Graph<'a>, file: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut open = vec![file];
    while let Some(file) = open.pop() {
        let next = graph.get(file).into_iter().flat_map(BTreeMap::keys);
        open.extend(next.copied().filter(|to| reached.insert(*to)));
    }
    reached
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::TextFile;

    const FILES: [(&str, &str); 5] = [
        ("shared/src/lib.rs", "mod a; mod b; mod c; mod d;"),
        ("shared/src/a.rs", "use crate::b::B;"),
        ("shared/src/b.rs", "use crate::c::C;"),
        ("shared/src/c.rs", "use crate::{a::A, d::D};"),
        ("shared/src/d.rs", "pub struct D;"),
    ];

    fn tree() -> Tree {
        let files = FILES.map(|(path, text)| TextFile { path: path.to_owned(), text: text.to_owned() });
        Tree(files.into())
    }

    #[test]
    fn a_circle_is_named_with_what_makes_it_one() {
        let (tree, a) = (tree(), "shared/src/a.rs");
        let found = compare(&circles(&tree), &[a]);
        assert_eq!(found.len(), 1);
        assert!(found[0].contains("circle of 3 files") && found[0].contains("needs shared/src/a.rs (A:1)"));
        assert!(!found[0].contains("d.rs"), "{found:?}");
    }

    #[test]
    fn the_list_only_gets_shorter() {
        let tree = tree();
        let in_it = ["shared/src/a.rs", "shared/src/b.rs", "shared/src/c.rs"];
        assert!(compare(&circles(&tree), &in_it).is_empty());
        let too_many = [&in_it[..], &["shared/src/d.rs"]].concat();
        assert_eq!(compare(&circles(&tree), &too_many).len(), 1);
    }
}
