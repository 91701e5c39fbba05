//! Code and documents say the same. Close codes, room events and link messages are in docs/PROTOCOL.md,
//! settings and the rights of the user of Redis in docs/OPERATIONS.md; and a table row there that begins with a name
//! in backticks names something that the code has.

use std::collections::BTreeSet;

use super::Tree;

type Names = BTreeSet<String>;

const PROTOCOL: &str = "docs/PROTOCOL.md";
const OPERATIONS: &str = "docs/OPERATIONS.md";

/// Where code and documents differ.
pub(super) fn breaches(tree: &Tree) -> Vec<String> {
    let protocol = tree.text(PROTOCOL);
    let events = tree.text("shared/src/wire/event.rs");
    let link = tree.text("shared/src/wire/link.rs");
    let settings = settings_of_origin(tree);
    let vars: Names =
        tree.below("edge-worker/src/config").flat_map(|file| capitals(production(&file.text))).collect();
    let tools: Names =
        tree.below("xtask/src/").flat_map(|file| quoted_after(&file.text, "variable(")).collect();

    let mut breaches = Vec::new();
    let codes = close_codes(tree.text("shared/src/close.rs"));
    let messages = &variants(link, "HubMessage") | &variants(link, "OriginMessage");
    let types = &variants(events, "EventIn") | &variants(events, "EventOut");
    for (kind, known, heading) in [
        ("close code", &codes, "close code"),
        ("room event", &types, "event"),
        ("link message", &messages, "link"),
    ] {
        breaches.extend(compare(kind, known, known, PROTOCOL, protocol, &rows_below(protocol, heading)));
    }
    let operations = tree.text(OPERATIONS);
    let rows = rows_below(operations, "").into_iter().filter(|name| is_capitals(name)).collect();
    let required = &settings | &vars;
    let known = &required | &tools;
    breaches.extend(compare("setting", &required, &known, OPERATIONS, operations, &rows));
    if !lists_rights(operations, &rights(tree.text("origin/src/redis/permissions.rs"))) {
        breaches.push(format!(
            "{OPERATIONS}: does not list the rights of the user of Redis as PERMISSIONS has them"
        ));
    }
    breaches
}

/// The variables of the origin's settings.
pub(super) fn settings_of_origin(tree: &Tree) -> Names {
    tree.below("origin/src/config").flat_map(|file| quoted_after(&file.text, "env = ")).collect()
}

/// The rights of the user of Redis, for the rooms and then for the queue.
fn rights(source: &str) -> Vec<&str> {
    let lists = source.split("PERMISSIONS: &[&str] = &[").skip(1).filter_map(|rest| rest.split_once(']'));
    lists.flat_map(|(list, _)| list.split('"').skip(1).step_by(2)).collect()
}

/// Whether a command of the document lists exactly these, in this order, whatever its lines and quotes.
fn lists_rights(document: &str, rights: &[&str]) -> bool {
    let words = document.split_whitespace().filter(|word| *word != "\\").map(|word| word.trim_matches('\''));
    let words: Vec<&str> = words.collect();
    let begun = words.windows(rights.len() + 1).find(|some| some.starts_with(rights));
    !rights.is_empty() && begun.is_some_and(|some| !some[rights.len()].starts_with(['+', '~', '&']))
}

fn compare(
    kind: &str,
    required: &Names,
    known: &Names,
    path: &str,
    document: &str,
    rows: &Names,
) -> Vec<String> {
    if required.is_empty() {
        return vec![format!("{path}: no {kind} found in the code; has it moved? (xtask/src/tidy/docs.rs)")];
    }
    let missing = required.iter().filter(|name| !mentions(document, name));
    let missing = missing.map(|name| format!("{path}: does not name the {kind} `{name}`"));
    let unknown = rows.difference(known).map(|name| format!("{path}: the code has no {kind} `{name}`"));
    missing.chain(unknown).collect()
}

fn mentions(document: &str, name: &str) -> bool {
    document.contains(&format!("`{name}`")) || document.contains(&format!("\"{name}\""))
}

/// The first cells, if in backticks, of the table rows below headings that contain `heading`.
fn rows_below(document: &str, heading: &str) -> Names {
    let mut is_below = heading.is_empty();
    let mut names = Names::new();
    for line in document.lines() {
        if let Some(title) = line.strip_prefix('#') {
            is_below = title.to_lowercase().contains(heading);
        }
        let cell = line.strip_prefix("| `").and_then(|rest| rest.split_once('`'));
        if let (true, Some((name, rest))) = (is_below, cell)
            && rest.trim_start().starts_with('|')
        {
            names.insert(name.to_owned());
        }
    }
    names
}

fn close_codes(source: &str) -> Names {
    let numbers = source.lines().filter_map(|line| line.split_once("=> ")?.1.trim().strip_suffix(','));
    numbers
        .filter(|code| code.len() == 4 && code.chars().all(|c| c.is_ascii_digit()))
        .map(str::to_owned)
        .collect()
}

/// The variants of an enum as they are called on the wire: in kebab case, or as `rename = ".."` says.
fn variants(source: &str, name: &str) -> Names {
    let start = format!("pub enum {name}");
    let body = source.split_once(&start).map_or("", |(_, rest)| rest.split("\n}").next().unwrap_or_default());
    let mut renamed = None;
    let mut names = Names::new();
    for line in body.lines() {
        let Some(line) = line.strip_prefix("    ").filter(|line| !line.starts_with(' ')) else { continue };
        if line.starts_with("#[serde(rename = ") {
            renamed = quoted_after(line, "rename = ").next();
        } else if line.starts_with(|c: char| c.is_ascii_uppercase()) {
            let ident: String = line.chars().take_while(char::is_ascii_alphanumeric).collect();
            names.insert(renamed.take().unwrap_or_else(|| kebab(&ident)));
        }
    }
    names
}

fn kebab(ident: &str) -> String {
    let mut name = String::new();
    for c in ident.chars() {
        if c.is_ascii_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.push(c.to_ascii_lowercase());
    }
    name
}

fn quoted_after<'a>(source: &'a str, before: &'a str) -> impl Iterator<Item = String> + 'a {
    let pieces = production(source).split(before).skip(1);
    pieces.filter_map(|rest| Some(rest.strip_prefix('"')?.split_once('"')?.0.to_owned()))
}

/// All string literals in capitals: the names of a Worker's variables.
fn capitals(source: &str) -> impl Iterator<Item = String> {
    let literals = source.lines().flat_map(|line| line.split('"').skip(1).step_by(2));
    literals.filter(|text| is_capitals(text)).map(str::to_owned)
}

fn is_capitals(text: &str) -> bool {
    text.len() > 2
        && text.starts_with(|c: char| c.is_ascii_uppercase())
        && text.chars().all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_')
}

/// A module without its tests.
fn production(source: &str) -> &str {
    source.split("#[cfg(test)]").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(words: &[&str]) -> Names {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn variants_are_read_as_the_wire_calls_them() {
        let source = "/// Events.\npub enum EventIn {\n    /// Files.\n    VisibleFiles {\n        /// Which.\n        \
                      Files: u8,\n    },\n    #[serde(rename = \"say\")]\n    Chat(String),\n}\npub enum Other {\n    Not,\n}\n";
        assert_eq!(variants(source, "EventIn"), names(&["visible-files", "say"]));
    }

    #[test]
    fn rows_count_only_below_their_heading() {
        let document =
            "# Close codes\n| `4401` | bad token |\n| code | `4400` |\n## Other\n| `4409` | no |\n";
        assert_eq!(rows_below(document, "close code"), names(&["4401"]));
    }

    #[test]
    fn what_one_side_lacks_is_named() {
        let (known, rows) = (names(&["A_B", "C_D"]), names(&["A_B", "E_F"]));
        let found = compare("setting", &known, &known, "doc", "| `A_B` |\n| `E_F` |\n", &rows);
        assert_eq!(found, ["doc: does not name the setting `C_D`", "doc: the code has no setting `E_F`"]);
    }

    #[test]
    fn the_rights_of_the_user_of_redis_are_listed_as_they_are() {
        let listed = rights(
            "pub const PERMISSIONS: &[&str] = &[\n    \"~c:*\",\n    \"+get\",\n];\nconst X: [u8; 1] = [1];",
        );
        assert_eq!(listed, ["~c:*", "+get"]);
        assert!(lists_rights("SETUSER '~c:*' \\\n  +get\n```", &listed));
        assert!(
            !lists_rights("SETUSER '~c:*' +get +set\n```", &listed)
                && !lists_rights("SETUSER +get end", &listed)
        );
        assert!(!lists_rights("anything", &[]));
    }

    #[test]
    fn settings_are_found_where_they_are_declared() {
        let source = "#[arg(long, env = \"DATA_DIR\")]\n#[cfg(test)]\nmod tests { // env = \"NOT_ME\"\n}";
        assert_eq!(quoted_after(source, "env = ").collect::<Names>(), names(&["DATA_DIR"]));
        assert_eq!(capitals("env.var(\"AUTH\"); say(\"Not this\")").collect::<Names>(), names(&["AUTH"]));
    }
}
