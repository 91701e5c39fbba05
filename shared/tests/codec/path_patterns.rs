//! Path patterns: what they fit, against a matcher that tries everything; what is refused.

use proptest::prelude::*;
use shared::{
    id::FilePath,
    limits,
    path_pattern::{PathPattern, PatternError},
};

fn fits(pattern: &str, path: &str) -> bool {
    let pattern = PathPattern::parse(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
    pattern.fits(&FilePath::parse(path).unwrap())
}

#[test]
fn only_stars_question_marks_and_braces_mean_something() {
    for (pattern, path, other) in [
        ("pages/[id].tsx", "pages/[id].tsx", "pages/i.tsx"),
        ("!secret.md", "!secret.md", "other.md"),
        ("[!a].md", "[!a].md", "b.md"),
        ("a..b", "a..b", "ab"),
        ("(a|b)+.md", "(a|b)+.md", "a.md"),
        ("#$^@~.md", "#$^@~.md", "x.md"),
        ("a,b", "a,b", "a"),
        (r"\*.md", "*.md", "a.md"),
        (r"\?.md", "?.md", "a.md"),
        (r"\{a\,b\}", "{a,b}", "a"),
        (r"{a\,b,c}", "a,b", "a"),
        (r"\a", "a", "b"),
    ] {
        assert!(fits(pattern, path), "{pattern} {path}");
        assert!(!fits(pattern, other), "{pattern} {other}");
    }
}

#[test]
fn stars_question_marks_and_braces_fit_what_they_say() {
    for (pattern, path) in [
        ("*", "a"),
        ("*.md", ".md"),
        ("**", "a/b/c"),
        ("docs/**", "docs/a/b.md"),
        ("docs/**/*.md", "docs/b.md"),
        ("docs/**/*.md", "docs/a/b.md"),
        ("**/x.md", "x.md"),
        ("**/x.md", "a/b/x.md"),
        ("**.md", "a/b.md"),
        ("x**/y", "xa/b/y"),
        ("?.md", "\u{1f600}.md"),
        ("?.md", "e\u{301}.md"),
        ("{a,b/c}/d", "b/c/d"),
        ("{src/,}**/{a,{b,c}d,}.rs", "src/x/cd.rs"),
        ("{src/,}**/{a,{b,c}d,}.rs", ".rs"),
        ("{a}", "a"),
    ] {
        assert!(fits(pattern, path), "{pattern} {path}");
    }
    for (pattern, path) in [
        ("*", "a/b"),
        ("docs/**", "docs"),
        ("**/x.md", "ax.md"),
        ("x**/y", "x"),
        ("a?b", "a/b"),
        ("?.md", "ab.md"),
        ("{a,b}", "ab"),
        ("Docs/**", "docs/a"),
        ("a", "a/b"),
    ] {
        assert!(!fits(pattern, path), "{pattern} {path}");
    }
}

#[test]
fn a_pattern_is_normalised_like_a_path() {
    for (nfd, nfc) in [("cafe\u{301}/**", "caf\u{e9}/**"), ("{e\u{301},a}.md", "{\u{e9},a}.md")] {
        let [nfd, nfc] = [nfd, nfc].map(|text| PathPattern::parse(text).unwrap());
        for path in ["cafe\u{301}/menu.md", "caf\u{e9}/menu.md", "\u{e9}.md"] {
            let path = FilePath::parse(path).unwrap();
            assert_eq!(nfd.fits(&path), nfc.fits(&path), "{path}");
        }
    }
    assert!(fits("cafe\u{301}/**", "caf\u{e9}/menu.md"));
    assert!(fits("e\\\u{301}", "\u{e9}"), "a quoted accent is one all the same");
}

#[test]
fn what_cannot_be_read_or_could_never_fit_is_refused() {
    let long = "x".repeat(limits::PATH_BYTES + 1);
    let many = format!("{{{}}}", vec!["a"; limits::PATTERN_ALTERNATIVES + 1].join(","));
    let deep = format!("{}a{}", "{".repeat(100), "}".repeat(100));
    for (pattern, error) in [
        ("", PatternError::Length),
        (long.as_str(), PatternError::Length),
        ("{a,b", PatternError::Brace),
        ("{a,{b}", PatternError::Brace),
        ("a}", PatternError::Brace),
        ("{a,b}}", PatternError::Brace),
        ("a\\", PatternError::Quote),
        (many.as_str(), PatternError::Alternatives),
        (deep.as_str(), PatternError::Alternatives),
        ("*\u{301}", PatternError::Combining),
        ("e{\u{301},x}", PatternError::Combining),
        ("/secret.md", PatternError::Void),
        ("./secret.md", PatternError::Void),
        ("a/../b", PatternError::Void),
        ("docs/", PatternError::Void),
        ("a//b", PatternError::Void),
        ("{/a,b}", PatternError::Void),
        ("{a,b/}", PatternError::Void),
        ("**/", PatternError::Void),
        ("..", PatternError::Void),
        (".room", PatternError::Void),
        ("a\\\\b", PatternError::Void),
        ("a\nb", PatternError::Void),
    ] {
        assert_eq!(PathPattern::parse(pattern), Err(error), "{pattern:?}");
    }
    for good in ["{docs/,}a.md", "...", "a/.../b", ".a", "**", "a/**/b", "{,a}b", &"x".repeat(512)] {
        assert!(PathPattern::parse(good).is_ok(), "{good}");
    }
}

#[test]
fn hostile_patterns_take_no_longer_than_their_length_times_that_of_the_path() {
    let path = format!("{}b", "a".repeat(250));
    for pattern in ["*a".repeat(100), "**a".repeat(100), "{a,aa}".repeat(32), "{*,**,?}".repeat(21)] {
        assert!(!fits(&format!("{pattern}c"), &path), "{pattern}");
    }
}

/// What a plain pattern, without braces, is made of.
#[derive(Clone, Copy, Debug)]
enum Atom {
    One(char),
    Any,
    Many {
        crosses: bool,
    },
    /// `**/`
    Folders,
}

/// Every plain pattern that the braces stand for, up to a `,` or `}` that belongs to a brace before.
fn expanded(text: &mut &str, inside: bool) -> Vec<Vec<Atom>> {
    let mut all = vec![Vec::new()];
    loop {
        let mut rest = text.chars();
        let Some(first) = rest.next() else { return all };
        let (atom, after) = match first {
            ',' | '}' if inside => return all,
            '{' => {
                let mut alternatives = Vec::new();
                *text = rest.as_str();
                loop {
                    alternatives.extend(expanded(text, true));
                    let end = text.starts_with('}');
                    *text = &text[1..];
                    if end {
                        break;
                    }
                }
                let joined = |before: &Vec<Atom>| {
                    let before = before.clone();
                    alternatives.iter().map(move |after| [&before[..], after].concat()).collect::<Vec<_>>()
                };
                all = all.iter().flat_map(joined).collect();
                continue;
            }
            '\\' => (Atom::One(rest.next().unwrap()), rest.as_str()),
            '?' => (Atom::Any, rest.as_str()),
            '*' => {
                let after = text.trim_start_matches('*');
                match (text.len() - after.len() > 1, after.strip_prefix('/')) {
                    (true, Some(after)) => (Atom::Folders, after),
                    (crosses, _) => (Atom::Many { crosses }, after),
                }
            }
            one => (Atom::One(one), rest.as_str()),
        };
        all.iter_mut().for_each(|plain| plain.push(atom));
        *text = after;
    }
}

fn naive(atoms: &[Atom], path: &str, begins: bool) -> bool {
    let Some((atom, atoms)) = atoms.split_first() else { return path.is_empty() };
    let mut rest = path.chars();
    let next = rest.next();
    let after = rest.as_str();
    match *atom {
        Atom::One(one) => next == Some(one) && naive(atoms, after, one == '/'),
        Atom::Any => next.is_some_and(|next| next != '/') && naive(atoms, after, false),
        Atom::Many { crosses } => {
            let splits = path.char_indices().map(|(at, _)| at).chain([path.len()]);
            splits.filter(|at| crosses || !path[..*at].contains('/')).any(|at| {
                let begins = if at == 0 { begins } else { path[..at].ends_with('/') };
                naive(atoms, &path[at..], begins)
            })
        }
        Atom::Folders => {
            (begins && naive(atoms, path, true))
                || path.match_indices('/').any(|(at, _)| naive(atoms, &path[at + 1..], true))
        }
    }
}

fn a_pattern() -> impl Strategy<Value = String> {
    let plain = prop::sample::select(vec![
        "a",
        "b",
        ".",
        "/",
        "\u{e9}",
        "\u{1f600}",
        "*",
        "**",
        "**/",
        "?",
        "[a]",
        "!",
        "\\*",
        "\\{",
        "\\,",
    ]);
    let part = plain.prop_map(str::to_owned).prop_recursive(3, 12, 4, |part| {
        let sequence = prop::collection::vec(part, 0..4).prop_map(|parts| parts.concat());
        prop::collection::vec(sequence, 1..4).prop_map(|parts| format!("{{{}}}", parts.join(",")))
    });
    prop::collection::vec(part, 1..6).prop_map(|parts| parts.concat())
}

fn a_path() -> impl Strategy<Value = FilePath> {
    let parts = vec!["a", "b", ".", "/", "/", "\u{e9}", "e\u{301}", "\u{1f600}", "*", "{", ",", "[a]", "!"];
    let text = prop::collection::vec(prop::sample::select(parts), 1..7).prop_map(|parts| parts.concat());
    text.prop_filter_map("no path", |text| FilePath::parse(&text).ok())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 20_000, max_global_rejects: 1_000_000, ..ProptestConfig::default() })]
    #[test]
    fn a_pattern_fits_what_a_matcher_fits_that_tries_everything(pattern in a_pattern(), path in a_path()) {
        let plain = expanded(&mut pattern.as_str(), false);
        let expected = plain.iter().any(|atoms| naive(atoms, path.as_str(), true));
        match PathPattern::parse(&pattern) {
            Ok(read) => prop_assert_eq!(read.fits(&path), expected, "{} {}", pattern, path),
            Err(error) => prop_assert_eq!(error, PatternError::Void, "{}", pattern),
        }
    }

    #[test]
    fn a_part_that_some_path_fits_is_not_called_void(path in a_path()) {
        let quoted: String = path.as_str().chars().flat_map(|one| ['\\', one]).collect();
        prop_assert!(PathPattern::parse(&quoted).is_ok_and(|pattern| pattern.fits(&path)), "{}", quoted);
    }

    #[test]
    fn whatever_comes_is_a_pattern_or_refused(text in "[a/.*?{},\\\\\u{301}]{0,24}|.{0,40}", path in a_path()) {
        if let Ok(pattern) = PathPattern::parse(&text) {
            let _ = pattern.fits(&path);
        }
    }
}
