//! The shape of a YAML file, as far as `docker-compose.yml` uses YAML: mappings by indentation, lists one item a
//! line or in brackets, block scalars. It knows keys and plain values, no anchors and no types.

use std::collections::BTreeSet;

/// Values by the keys that lead to them, joined by dots. A list has its items under its own key, in order.
#[derive(Debug, Default)]
pub(super) struct Shape(Vec<(String, String)>);

impl Shape {
    /// Reads it; the error begins with the number of the line.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let mut shape = Self::default();
        let mut open: Vec<(usize, String, bool)> = Vec::new();
        let mut block = None;
        for (number, line) in text.lines().enumerate() {
            let content = line.trim_start();
            let indent = line.len() - content.len();
            let wrong = |what: &str| Err(format!("{}: {what}", number + 1));
            if content.is_empty() || content.starts_with('#') || block.is_some_and(|above| indent > above) {
                continue;
            }
            if line[..indent].contains('\t') {
                return wrong("is indented with a tab");
            }
            block = None;
            open.retain(|(above, ..)| *above < indent);
            if open.last().is_some_and(|(.., holds)| !holds) {
                return wrong("is below a key that has a value");
            }
            let path = |name: &str| {
                let keys = open.iter().map(|(_, key, _)| key.as_str());
                keys.chain([name]).filter(|key| !key.is_empty()).collect::<Vec<_>>().join(".")
            };
            if let Some(item) = content.strip_prefix("- ") {
                if item.starts_with('>') || item.starts_with('|') {
                    block = Some(indent);
                }
                shape.0.push((path(""), plain(item)));
                continue;
            }
            let Some((key, value)) = content.split_once(':') else {
                return wrong("is neither a key nor an item of a list");
            };
            let (key, value) = (path(key), value.trim());
            if shape.0.iter().any(|(known, _)| *known == key) {
                return wrong("has a key that is there already");
            }
            if value.starts_with('>') || value.starts_with('|') {
                block = Some(indent);
            }
            match value.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
                Some(items) => {
                    shape.0.extend(items.split(", ").map(|item| (key.clone(), plain(item))));
                }
                None => shape.0.push((key, plain(value))),
            }
            let name = content.split(':').next().unwrap_or_default();
            open.push((indent, name.to_owned(), value.is_empty()));
        }
        Ok(shape)
    }

    /// Whether there is such a key.
    pub(super) fn has(&self, path: &str) -> bool {
        self.0.iter().any(|(known, _)| known == path)
    }

    /// What stands under this key itself.
    pub(super) fn values<'a>(&'a self, path: &'a str) -> impl Iterator<Item = &'a str> {
        self.0
            .iter()
            .filter(move |(known, value)| known == path && !value.is_empty())
            .map(|(_, value)| &**value)
    }

    /// The keys of the mapping under this key.
    pub(super) fn below(&self, path: &str) -> BTreeSet<&str> {
        let inside = self.0.iter().filter_map(|(known, _)| known.strip_prefix(path)?.strip_prefix('.'));
        inside.filter(|rest| !rest.contains('.')).collect()
    }
}

fn plain(value: &str) -> String {
    value.trim_matches(['"', '\'']).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_lists_and_blocks_are_told_apart() {
        let text =
            "a:\n  b: \"1\"\n  c:\n    - x\n    - y: z\n  d: [\"p\", q]\n  e: >-\n    not: a key\nf:\n";
        let shape = Shape::read(text).unwrap();
        assert_eq!(shape.below("a"), BTreeSet::from(["b", "c", "d", "e"]));
        assert_eq!(shape.values("a.c").collect::<Vec<_>>(), ["x", "y: z"]);
        assert_eq!(shape.values("a.d").collect::<Vec<_>>(), ["p", "q"]);
        assert!(shape.has("f") && !shape.has("a.e.not"));
    }

    #[test]
    fn what_is_no_such_file_is_refused_with_its_line() {
        for (text, line) in [
            ("a:\n\tb: 1\n", "2: "),
            ("a: 1\na: 2\n", "2: "),
            ("a: 1\n  b: 2\n", "2: "),
            ("a:\nword\n", "2: "),
        ] {
            assert!(Shape::read(text).unwrap_err().starts_with(line), "{text}");
        }
    }
}
