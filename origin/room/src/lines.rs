//! Line ends. A text that comes in has LF from then on; how it ended its lines outside is remembered as an [`Eol`].
//!
//! What a Yjs client writes is its document, and not read here: it may hold carriage returns. They stay as they are
//! when a text that comes in has another line end in their place, and are not doubled on the way out.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use shared::wire::text::Edit;

use crate::edits;

/// The line ends of a file outside; inside, a document has LF only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Eol {
    /// `\n`
    #[default]
    Lf,
    /// `\r\n`
    Crlf,
    /// `\r`
    Cr,
}

/// Reads a text from outside: every line end becomes LF; the most frequent one is its style (LF on a tie).
pub fn import(text: &str) -> (String, Eol) {
    let crlf = text.matches("\r\n").count();
    let lf = text.matches('\n').count() - crlf;
    let cr = text.matches('\r').count() - crlf;
    let eol = match lf.max(crlf).max(cr) {
        most if most == lf => Eol::Lf,
        most if most == crlf => Eol::Crlf,
        _ => Eol::Cr,
    };
    (in_lf(text).into_owned(), eol)
}

/// Writes a text for outside: LF becomes the style's line end, unless a carriage return stands before it already.
pub fn export(text: &str, eol: Eol) -> String {
    match eol {
        Eol::Lf => text.to_owned(),
        Eol::Crlf => text.replace("\r\n", "\n").replace('\n', "\r\n"),
        Eol::Cr => text.replace("\r\n", "\r").replace('\n', "\r"),
    }
}

/// The text with LF in place of CRLF and of CR.
pub fn in_lf(text: &str) -> Cow<'_, str> {
    if text.contains('\r') { text.replace("\r\n", "\n").replace('\r', "\n").into() } else { text.into() }
}

/// The edits that make of `old` a text that says what `new` says, whatever line ends `new` has: a line end that both
/// have stays as it is in `old`, others are LF. From the end of the text to its beginning, in UTF-16 code units.
pub fn between(old: &str, new: &str) -> Vec<Edit> {
    let new = in_lf(new);
    if !old.contains('\r') {
        return edits::between(old, &new);
    }
    let mut edits = edits::between(&in_lf(old), &new);
    let pairs = pairs_of(old);
    let in_old = |at: usize| at + pairs.partition_point(|pair| *pair < at);
    for edit in &mut edits {
        let end = in_old(edit.at + edit.delete);
        edit.at = in_old(edit.at);
        edit.delete = end - edit.at;
    }
    match edits::apply(old, &edits) {
        Some(made) if in_lf(&made) == new => edits,
        // A carriage return and a line feed that were two line ends have become one.
        _ => edits::between(old, &new),
    }
}

/// Where the text has CRLF, counted in UTF-16 code units of the text in LF.
fn pairs_of(text: &str) -> Vec<usize> {
    let mut pairs = Vec::new();
    let mut at = 0;
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        if character == '\r' && rest.peek() == Some(&'\n') {
            pairs.push(at);
        } else {
            at += character.len_utf16();
        }
    }
    pairs
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_most_frequent_line_end_is_the_style() {
        assert_eq!(import("a\r\nb\r\nc\nd"), ("a\nb\nc\nd".to_owned(), Eol::Crlf));
        assert_eq!(import("a\rb\rc\n"), ("a\nb\nc\n".to_owned(), Eol::Cr));
        assert_eq!(import("a\nb\r\n"), ("a\nb\n".to_owned(), Eol::Lf));
        assert_eq!(import("none"), ("none".to_owned(), Eol::Lf));
    }

    #[test]
    fn a_carriage_return_that_is_there_is_not_doubled_on_the_way_out() {
        let text = "one\ntwo\nthree\r\n\rx";
        assert_eq!(export(text, Eol::Crlf), "one\r\ntwo\r\nthree\r\n\rx");
        assert_eq!(export(text, Eol::Cr), "one\rtwo\rthree\r\rx");
        assert_eq!(export(text, Eol::Lf), text);
    }

    #[test]
    fn another_line_end_is_no_difference_and_what_is_new_has_lf() {
        assert_eq!(between("a\nb\r\nc\rd", "a\r\nb\rc\nd"), []);
        let (old, new) = ("one\r\ntwo\nthree\r\n", "one\ntwo\r\n2\r\nthree\n\u{1f600}\r");
        let edits = between(old, new);
        assert_eq!(edits::apply(old, &edits).as_deref(), Some("one\r\ntwo\n2\nthree\r\n\u{1f600}\n"));
        let gone = edits::apply(old, &between(old, "one\nthree\n"));
        assert_eq!(gone.as_deref(), Some("one\r\nthree\r\n"));
    }

    proptest! {
        #[test]
        fn an_even_style_survives_the_round_trip(lines in prop::collection::vec("[^\r\n]{0,8}", 1..9)) {
            for style in ["\n", "\r\n", "\r"] {
                let text = lines.join(style);
                let (inside, eol) = import(&text);
                prop_assert_eq!(&inside, &lines.join("\n"));
                prop_assert_eq!(export(&inside, eol), text);
            }
        }

        #[test]
        fn the_edits_make_what_the_new_text_says_and_bring_no_carriage_return(
            old in "([ab\r\n]|\r\n|\u{1f600}){0,30}",
            new in "([ab\r\n]|\r\n|\u{1f600}){0,30}",
        ) {
            let edits = between(&old, &new);
            let made = edits::apply(&old, &edits);
            prop_assert_eq!(made.as_deref().map(in_lf), Some(in_lf(&new)));
            prop_assert!(edits.iter().all(|edit| !edit.insert.contains('\r')));
            let returns = |text: &str| text.matches('\r').count();
            prop_assert!(returns(made.as_deref().unwrap_or_default()) <= returns(&old));
        }
    }
}
