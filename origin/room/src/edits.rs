//! What turns one text into another: as few and as small edits as can be found without looking for long.
//!
//! Promise: the same two texts always give the same edits, so that a change that is made twice is one change.

use imara_diff::{Algorithm, Diff, InternedInput, TokenSource};
use shared::wire::text::Edit;

/// Lines that differ are compared character by character up to this many characters on both sides together.
const COMPARED_CHARS: usize = 4_000;
/// More differences than this are one: what they are in is replaced as a whole.
const MOST: usize = 1_000;

/// The edits that make `new` of `old`, from the end of the text to its beginning: each finds what stands before it
/// as it was.
pub fn between(old: &str, new: &str) -> Vec<Edit> {
    if old == new {
        return Vec::new();
    }
    // Whole lines that both begin and end with need no comparing.
    let start = old[..common_start(old, new)].rfind('\n').map_or(0, |end| end + 1);
    let same = common_end(&old[start..], &new[start..]);
    let end = old[old.len() - same..].find('\n').map_or(0, |first| same - first - 1);
    let (from, to) = (&old[start..old.len() - end], &new[start..new.len() - end]);
    let mut hunks = Vec::new();
    let lines = InternedInput::new(Lines(from), Lines(to));
    for (gone, come) in hunks_of(&lines, from, to) {
        refine(from, to, gone, come, &mut hunks);
    }
    if hunks.len() > MOST {
        hunks = vec![((0, from.len()), to)];
    }
    let mut at = utf16(&old[..start]);
    let mut read = 0;
    let mut edits: Vec<Edit> = Vec::with_capacity(hunks.len());
    for ((begin, gone), insert) in hunks {
        at += utf16(&from[read..begin]);
        let delete = utf16(&from[begin..gone]);
        edits.push(Edit { at, delete, insert: insert.to_owned() });
        at += delete;
        read = gone;
    }
    edits.reverse();
    edits
}

/// A range of bytes.
type Span = (usize, usize);

/// What differs, as spans of both texts, in order.
fn hunks_of(input: &InternedInput<&str>, from: &str, to: &str) -> Vec<(Span, Span)> {
    let diff = Diff::compute(Algorithm::Histogram, input);
    let (old, new) = (Starts::of(input, &input.before), Starts::of(input, &input.after));
    debug_assert!(old.0.last() == Some(&from.len()) && new.0.last() == Some(&to.len()));
    diff.hunks().map(|hunk| (old.span(hunk.before), new.span(hunk.after))).collect()
}

/// Compares the characters of lines that differ, if they are not too many.
fn refine<'a>(from: &str, to: &'a str, gone: Span, come: Span, hunks: &mut Vec<(Span, &'a str)>) {
    let (old, new) = (&from[gone.0..gone.1], &to[come.0..come.1]);
    if old.is_empty() || new.is_empty() || old.len() + new.len() > COMPARED_CHARS {
        let start = common_start(old, new);
        let end = common_end(&old[start..], &new[start..]);
        hunks.push(((gone.0 + start, gone.1 - end), &new[start..new.len() - end]));
        return;
    }
    let chars = InternedInput::new(Chars(old), Chars(new));
    for (less, more) in hunks_of(&chars, old, new) {
        hunks.push(((gone.0 + less.0, gone.0 + less.1), &new[more.0..more.1]));
    }
}

/// Where each token begins, and where the last one ends.
struct Starts(Vec<usize>);

impl Starts {
    fn of(input: &InternedInput<&str>, tokens: &[imara_diff::Token]) -> Self {
        let mut starts = vec![0];
        for token in tokens {
            starts.push(starts[starts.len() - 1] + input.interner[*token].len());
        }
        Self(starts)
    }

    fn span(&self, tokens: std::ops::Range<u32>) -> Span {
        (self.0[tokens.start as usize], self.0[tokens.end as usize])
    }
}

struct Lines<'a>(&'a str);

impl<'a> TokenSource for Lines<'a> {
    type Token = &'a str;
    type Tokenizer = std::str::SplitInclusive<'a, char>;

    fn tokenize(&self) -> Self::Tokenizer {
        self.0.split_inclusive('\n')
    }

    fn estimate_tokens(&self) -> u32 {
        u32::try_from(self.0.len() / 32).unwrap_or(u32::MAX)
    }
}

struct Chars<'a>(&'a str);

impl<'a> TokenSource for Chars<'a> {
    type Token = &'a str;
    type Tokenizer = std::str::SplitInclusive<'a, fn(char) -> bool>;

    fn tokenize(&self) -> Self::Tokenizer {
        self.0.split_inclusive(|_| true)
    }

    fn estimate_tokens(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }
}

/// How many bytes of whole characters both begin with.
fn common_start(one: &str, other: &str) -> usize {
    let same = one.bytes().zip(other.bytes()).take_while(|(a, b)| a == b).count();
    (0..=same).rev().find(|at| one.is_char_boundary(*at) && other.is_char_boundary(*at)).unwrap_or(0)
}

/// How many bytes of whole characters both end with.
fn common_end(one: &str, other: &str) -> usize {
    let same = one.bytes().rev().zip(other.bytes().rev()).take_while(|(a, b)| a == b).count();
    let is_boundary =
        |end: &usize| one.is_char_boundary(one.len() - end) && other.is_char_boundary(other.len() - end);
    (0..=same).rev().find(is_boundary).unwrap_or(0)
}

fn utf16(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// Applies edits one after the other. `None` if one does not fit, or cuts a character in two.
pub fn apply(text: &str, edits: &[Edit]) -> Option<String> {
    let mut units: Vec<u16> = text.encode_utf16().collect();
    for edit in edits {
        let end = edit.at.checked_add(edit.delete)?;
        if end > units.len() || cuts(&units, edit.at) || cuts(&units, end) {
            return None;
        }
        units.splice(edit.at..end, edit.insert.encode_utf16());
    }
    String::from_utf16(&units).ok()
}

fn cuts(units: &[u16], at: usize) -> bool {
    let high = at.checked_sub(1).and_then(|before| units.get(before));
    high.is_some_and(|unit| (0xd800..0xdc00).contains(unit))
        && units.get(at).is_some_and(|unit| (0xdc00..0xe000).contains(unit))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn edit(at: usize, delete: usize, insert: &str) -> Edit {
        Edit { at, delete, insert: insert.to_owned() }
    }

    #[test]
    fn only_what_differs_is_changed() {
        assert_eq!(between("same", "same"), []);
        assert_eq!(between("let a = 1;\n", "let b = 1;\n"), [edit(4, 1, "b")]);
        let (old, new) = ("one\ntwo\nthree\nfour\n", "zero\none\ntwo!\nthree\n");
        assert_eq!(between(old, new), [edit(14, 5, ""), edit(7, 0, "!"), edit(0, 0, "zero\n")]);
    }

    #[test]
    fn offsets_count_utf16_and_no_character_is_cut() {
        assert_eq!(between("\u{1f600}a", "\u{1f601}ab"), [edit(3, 0, "b"), edit(0, 2, "\u{1f601}")]);
        assert_eq!(apply("\u{1f600}", &[edit(1, 0, "x")]), None);
        assert_eq!(apply("\u{1f600}", &[edit(0, 1, "")]), None);
        assert_eq!(apply("ab", &[edit(1, 2, "")]), None);
        assert_eq!(apply("ab", &[edit(usize::MAX, 2, "")]), None);
        assert_eq!(apply("ab", &[edit(0, 1, "xy"), edit(3, 0, "!")]).as_deref(), Some("xyb!"));
    }

    #[test]
    fn too_many_differences_are_one() {
        let (old, new) = ("a\nb\n".repeat(MOST + 1), "a\nc\n".repeat(MOST + 1));
        let edits = between(&old, &new);
        assert_eq!(edits.len(), 1);
        assert_eq!(apply(&old, &edits), Some(new));
    }

    #[test]
    fn two_texts_that_have_nothing_in_common_are_compared_in_time() {
        let text = |odd: usize| (0..40_000).map(|n| format!("{}\n", 2 * n + odd)).collect::<String>();
        let (old, new) = (text(0), text(1));
        assert_eq!(apply(&old, &between(&old, &new)), Some(new));
    }

    proptest! {
        #[test]
        fn the_edits_make_the_new_text_of_the_old_one(
            old in "([ab\n]|\u{1f600}|\u{1f601}|\u{e9}){0,40}",
            new in "([ab\n]|\u{1f600}|\u{1f601}|\u{e9}){0,40}",
        ) {
            let edits = between(&old, &new);
            prop_assert_eq!(apply(&old, &edits), Some(new));
        }
    }
}
