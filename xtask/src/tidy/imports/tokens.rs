//! The words and signs of a Rust file, without comments, literals and lifetimes: enough to find paths in it.

/// A word (identifier or number) or one sign, with the line that it is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// The word, or the sign.
    pub(super) text: &'a str,
    /// Counted from 1.
    pub(super) line: usize,
}

impl Token<'_> {
    /// Whether it is an identifier or a keyword.
    pub(super) fn is_word(self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// The tokens of a file in their order.
pub(super) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut reader = Reader { rest: source, line: 1 };
    let mut tokens = Vec::new();
    while let Some(token) = reader.next() {
        tokens.extend(token);
    }
    tokens
}

struct Reader<'a> {
    rest: &'a str,
    line: usize,
}

impl<'a> Reader<'a> {
    /// The next piece of text: `Some(None)` if it is no token.
    fn next(&mut self) -> Option<Option<Token<'a>>> {
        let first = self.rest.chars().next()?;
        let line = self.line;
        if self.rest.starts_with("//") {
            self.take(self.rest.find('\n').unwrap_or(self.rest.len()));
        } else if self.rest.starts_with("/*") {
            self.take(block_comment(self.rest));
        } else if let Some(bytes) = literal(self.rest) {
            self.take(bytes);
        } else if first.is_alphanumeric() || first == '_' {
            let is_part = |c: char| c.is_alphanumeric() || c == '_';
            let text = self.take(self.rest.find(|c| !is_part(c)).unwrap_or(self.rest.len()));
            return Some(Some(Token { text, line }));
        } else {
            let text = self.take(first.len_utf8());
            return Some((!first.is_whitespace()).then_some(Token { text, line }));
        }
        Some(None)
    }

    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.line += taken.matches('\n').count();
        self.rest = rest;
        taken
    }
}

/// The length of a block comment, which may hold others.
fn block_comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while let Some(next) = text[at..].find(['/', '*']) {
        at += next;
        match text.get(at..at + 2) {
            Some("/*") => depth += 1,
            Some("*/") => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return at;
        }
    }
    text.len()
}

/// The length of a string, a character or a lifetime, if the text begins with one.
fn literal(text: &str) -> Option<usize> {
    let unprefixed = text.trim_start_matches(['b', 'c', 'r']);
    let prefix = &text[..text.len() - unprefixed.len()];
    let hashes = unprefixed.len() - unprefixed.trim_start_matches('#').len();
    let is_raw = prefix.ends_with('r') && unprefixed[hashes..].starts_with('"');
    if is_raw && prefix.len() <= 2 {
        let end = format!("\"{}", "#".repeat(hashes));
        let start = prefix.len() + hashes + 1;
        return Some(text[start..].find(&end).map_or(text.len(), |at| start + at + end.len()));
    }
    if prefix.len() <= 1 && unprefixed.starts_with('"') {
        return Some(prefix.len() + quoted(unprefixed, '"'));
    }
    if prefix.len() <= 1 && unprefixed.starts_with('\'') {
        let mut chars = unprefixed.chars().skip(1);
        let is_char = chars.next() == Some('\\') || chars.next() == Some('\'');
        let lifetime = || 1 + unprefixed[1..].find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(0);
        return Some(prefix.len() + if is_char { quoted(unprefixed, '\'') } else { lifetime() });
    }
    None
}

/// The length of what stands between two of these quotes, with them.
fn quoted(text: &str, quote: char) -> usize {
    let mut is_escaped = true;
    let end = text.char_indices().find(|(at, c)| {
        let ends = *at > 0 && *c == quote && !is_escaped;
        is_escaped = *c == '\\' && !is_escaped && *at > 0;
        ends
    });
    end.map_or(text.len(), |(at, _)| at + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        tokens(source).into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn comments_and_literals_are_left_out() {
        assert_eq!(texts("a // use b;\n/* use /* c */ d */ e"), ["a", "e"]);
        assert_eq!(texts(r##"f("use \" x", r#"use " y"#, b"\\", b'"', '\'', '{', 'l')"##), {
            ["f", "(", ",", ",", ",", ",", ",", ",", ")"]
        });
        assert_eq!(texts("&'a str; crab::rb; brr"), ["&", "str", ";", "crab", ":", ":", "rb", ";", "brr"]);
        assert_eq!(texts("x('\\\\', \"\", 'ä')"), ["x", "(", ",", ",", ")"]);
    }

    #[test]
    fn a_token_has_its_line() {
        let found = tokens("/* a\n */ b \"\n\"\nc");
        assert_eq!(found.iter().map(|token| token.line).collect::<Vec<_>>(), [2, 4]);
    }
}
