//! The examples of settings: `.env.example` has every setting of the origin and no other, and shares its link key with
//! `.dev.vars.example`, so that both can be copied and work together.

use std::collections::BTreeSet;

use super::{Tree, docs::settings_of_origin};

const ORIGIN: &str = ".env.example";
const WORKER: &str = ".dev.vars.example";

/// What is wrong with them.
pub(super) fn breaches(tree: &Tree) -> Vec<String> {
    let (origin, worker) = (tree.text(ORIGIN), tree.text(WORKER));
    let known = settings_of_origin(tree);
    let named: BTreeSet<String> = settings(origin).map(|(name, _)| name.to_owned()).collect();
    let missing = known.difference(&named).map(|name| format!("{ORIGIN}: does not have {name}"));
    let unknown = named.difference(&known).map(|name| format!("{ORIGIN}: the origin has no setting {name}"));
    let mut breaches: Vec<String> = missing.chain(unknown).collect();
    if link_key(origin).is_none() || link_key(origin) != link_key(worker) {
        breaches.push(format!("{WORKER}: has another LINK_KEYS than {ORIGIN}"));
    }
    breaches
}

/// Names and values, of those that are commented out too.
fn settings(text: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = text.lines().map(|line| line.strip_prefix('#').unwrap_or(line));
    let pairs = lines.filter_map(|line| line.split_once('='));
    pairs.filter(|(name, _)| name.chars().all(|c| c.is_ascii_uppercase() || c == '_'))
}

/// The link key, if it is set.
fn link_key(text: &str) -> Option<&str> {
    let line = text.lines().find_map(|line| line.strip_prefix("LINK_KEYS="))?;
    Some(line.trim_matches(['\'', '"']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_count_where_they_are_commented_out_too() {
        let text = "# Words, and `set -a; . ./.env`.\nAUTH=open\n#PORT=8080\n";
        assert_eq!(settings(text).collect::<Vec<_>>(), [("AUTH", "open"), ("PORT", "8080")]);
    }

    #[test]
    fn a_link_key_is_one_that_is_set() {
        assert_eq!(link_key("LINK_KEYS='a:b'\n"), Some("a:b"));
        assert_eq!(link_key("#LINK_KEYS=a:b\n"), None);
    }
}
