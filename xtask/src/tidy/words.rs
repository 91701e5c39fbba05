//! The field's words: private ones that were replaced do not come back, in identifiers, logs, errors or documents.

use super::{TextFile, Tree};

/// A word that is not used, and what is said instead. A word is what is left of an identifier between underscores and
/// capitals, or of a sentence between blanks.
const WORDS: [(&str, &str); 20] = [
    ("ear", "subscriber"),
    ("ears", "subscribers"),
    ("hearing", "subscription"),
    ("roll", "roster"),
    ("fare", "cost"),
    ("stranger", "guest"),
    ("strangers", "guests"),
    ("knock", "pre-authenticate"),
    ("doorman", "link authorizer"),
    ("facts", "snapshot"),
    ("touched", "dirty"),
    ("surroundings", "platform"),
    ("lane", "connection"),
    ("lanes", "connections"),
    ("judge", "validate"),
    ("judged", "validated"),
    ("judges", "validates"),
    ("unstored", "unflushed"),
    ("stretch", "segment"),
    ("anew", "again"),
];

/// The same of several words.
const PHRASES: [(&str, &str); 8] = [
    ("for ever", "indefinitely"),
    ("lose memory", "evict"),
    ("lost its memory", "was evicted"),
    ("loss of memory", "eviction"),
    ("losses of memory", "evictions"),
    ("give back", "restore"),
    ("greeted_at", "keepalive_sent_at"),
    ("asked_at", "probe_sent_at"),
];

/// Where a word stays, and why: it is on the wire, in a record, or plain English there.
const ALLOWED: &[(&str, &str, &str)] = &[
    ("edge-worker/src/link.rs", "facts", "a name in an attachment"),
    ("edge-worker/src/sockets.rs", "facts", "a name in an attachment"),
    ("edge-worker/src/sockets.rs", "stranger", "a name in an attachment"),
    ("edge-worker/src/rows.rs", "facts", "a column"),
    ("edge-worker/src/rows.rs", "asked_at", "a column"),
    ("ops/alerts.yml", "unstored", "a metric"),
    ("tests/ops/alerts.cases.yml", "unstored", "a metric"),
    ("CHANGELOG.md", "unstored", "a metric"),
    ("docs/OPERATIONS.md", "unstored", "metrics and a field of REST"),
    ("origin/src/metrics.rs", "unstored", "metrics"),
    ("origin/src/http/admin.rs", "unstored", "a field of REST"),
    ("origin/tests/it/admin.rs", "unstored", "a field of REST"),
    ("origin/tests/it/archive_away.rs", "unstored", "metrics"),
];

const ENDS: [&str; 9] = [".rs", ".ts", ".tsx", ".mjs", ".md", ".lua", ".toml", ".yml", ".sh"];
/// Where the words themselves stand.
const THIS: &str = "xtask/src/tidy/words.rs";

/// Where a private word is used, and what of the list of exceptions is none.
pub(super) fn breaches(tree: &Tree) -> Vec<String> {
    let mut used = vec![false; ALLOWED.len()];
    let mut breaches = Vec::new();
    let files = tree.0.iter().filter(|file| ENDS.iter().any(|end| file.path.ends_with(end)));
    for file in files.filter(|file| file.path != THIS) {
        for (number, word, instead) in found(file) {
            let is_this = |(path, allowed, _): &(&str, &str, &str)| file.path == *path && word == *allowed;
            match ALLOWED.iter().position(is_this) {
                Some(at) => used[at] = true,
                None => breaches.push(format!("{}:{number}: {word:?}: say {instead:?}", file.path)),
            }
        }
    }
    let idle = ALLOWED.iter().zip(used).filter(|(_, used)| !used);
    breaches.extend(
        idle.map(|((path, word, _), _)| format!("{path}: {word:?} is not there: take it from {THIS}")),
    );
    breaches
}

/// The private words of a file, with their lines and what to say instead.
fn found(file: &TextFile) -> Vec<(usize, &'static str, &'static str)> {
    let mut found = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let words = words_of(line);
        found.extend(
            WORDS
                .iter()
                .filter(|(word, _)| words.iter().any(|one| one == word))
                .map(|(w, i)| (at + 1, *w, *i)),
        );
        let lower = line.to_lowercase();
        found.extend(PHRASES.iter().filter(|(phrase, _)| has(&lower, phrase)).map(|(p, i)| (at + 1, *p, *i)));
    }
    found
}

/// Whether a line has a phrase that is not a part of longer words.
fn has(line: &str, phrase: &str) -> bool {
    let is_part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '_');
    line.match_indices(phrase).any(|(at, _)| {
        !is_part(line[..at].chars().next_back()) && !is_part(line[at + phrase.len()..].chars().next())
    })
}

/// The words of a line, in lower case.
fn words_of(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in line.chars() {
        let begins = c.is_uppercase() && before.is_lowercase();
        if begins || !c.is_alphanumeric() {
            words.push(String::new());
        }
        if let Some(word) = words.last_mut().filter(|_| c.is_alphanumeric()) {
            word.extend(c.to_lowercase());
        }
        before = c;
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaches_of(path: &str, text: &str) -> Vec<String> {
        let file = TextFile { path: path.to_owned(), text: text.to_owned() };
        breaches(&Tree(vec![file])).into_iter().filter(|breach| !breach.contains("is not there")).collect()
    }

    #[test]
    fn a_private_word_is_found_in_names_sentences_and_phrases() {
        for text in
            ["struct Stranger;", "fn stranger_bytes()", "let isStranger", "a stranger comes", "kept for ever"]
        {
            assert_eq!(breaches_of("a.rs", text).len(), 1, "{text}");
        }
        for text in ["fn early()", "artifacts", "planetary lanes2", "for everybody", "last_asked_at_all"] {
            assert!(breaches_of("a.rs", text).is_empty(), "{text}");
        }
        assert!(breaches_of("a.json", "stranger").is_empty(), "data");
    }

    #[test]
    fn an_exception_counts_in_its_file_only_and_has_to_be_needed() {
        assert!(breaches_of("edge-worker/src/rows.rs", "facts BLOB").is_empty());
        assert_eq!(breaches_of("edge-worker/src/turn.rs", "facts").len(), 1);
        assert_eq!(breaches(&Tree(Vec::new())).len(), ALLOWED.len());
    }
}
