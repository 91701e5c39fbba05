//! What one Rust file says of modules: its children, what it imports, and which paths it names.
//! What stands under `#[cfg(test)]` does not count.

use super::tokens::{Token, tokens};

/// Segments of a path, such as `["super", "link", "Link"]`.
pub(super) type Path = Vec<String>;

/// One name that a `use` brings in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Import {
    /// The module inside of the file that says so; empty for the file itself.
    pub(super) module: Path,
    /// What is imported.
    pub(super) path: Path,
    /// The name that it has here; `*` for all.
    pub(super) name: String,
    /// Whether it is also given to others.
    pub(super) is_public: bool,
    /// Where.
    pub(super) line: usize,
}

/// A path that the code names without importing it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mention {
    /// The module inside of the file.
    pub(super) module: Path,
    /// What is named.
    pub(super) path: Path,
    /// Where.
    pub(super) line: usize,
}

/// What a file says of modules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// What it imports.
    pub(super) imports: Vec<Import>,
    /// What it names by a path.
    pub(super) mentions: Vec<Mention>,
    /// The words outside of imports that may be names of what is imported.
    pub(super) words: Vec<String>,
}

/// Reads a file.
pub(super) fn read(text: &str) -> Source {
    let tokens = tokens(text);
    let mut reader =
        Reader { tokens: &tokens, at: 0, source: Source::default(), inside: Vec::new(), depth: 0 };
    while reader.at < tokens.len() {
        reader.step();
    }
    reader.source
}

struct Reader<'a> {
    tokens: &'a [Token<'a>],
    at: usize,
    source: Source,
    /// The inline modules around, each with the depth of its brace.
    inside: Vec<(String, usize)>,
    depth: usize,
}

impl<'a> Reader<'a> {
    fn text(&self, ahead: usize) -> &'a str {
        self.tokens.get(self.at + ahead).map_or("", |token| token.text)
    }

    fn starts_with(&self, texts: &[&str]) -> bool {
        texts.iter().enumerate().all(|(ahead, text)| self.text(ahead) == *text)
    }

    fn module(&self) -> Path {
        self.inside.iter().map(|(name, _)| name.clone()).collect()
    }

    fn step(&mut self) {
        let before = &self.tokens[..self.at];
        let goes_on =
            ends_with(before, ".") || (ends_with(before, ":") && ends_with(&before[..self.at - 1], ":"));
        if self.starts_with(&["#", "[", "cfg", "(", "test", ")", "]"]) {
            self.at += 7;
            self.skip_item();
        } else if self.text(0) == "use" && self.text(1) != "<" {
            self.import();
        } else if self.text(0) == "mod" && self.text(2) == "{" {
            self.inside.push((self.text(1).to_owned(), self.depth));
            self.at += 2;
        } else if self.text(0) == "mod" && self.text(2) == ";" {
            self.at += 3;
        } else if !goes_on && self.tokens[self.at].is_word() && self.text(1) == ":" && self.text(2) == ":" {
            self.mention();
        } else {
            self.brace();
            if !goes_on && !ends_with(before, "fn") && self.tokens[self.at].is_word() {
                self.source.words.push(self.text(0).to_owned());
            }
            self.at += 1;
        }
    }

    fn brace(&mut self) {
        match self.text(0) {
            "{" => self.depth += 1,
            "}" => {
                self.depth = self.depth.saturating_sub(1);
                if self.inside.last().is_some_and(|(_, depth)| *depth == self.depth) {
                    self.inside.pop();
                }
            }
            _ => {}
        }
    }

    /// Goes on behind the item that begins here: behind its `;`, or behind its braces.
    fn skip_item(&mut self) {
        let (mut depth, is_import) = (0_usize, self.text(0) == "use" || self.text(1) == "use");
        while self.at < self.tokens.len() {
            match self.text(0) {
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth = depth.saturating_sub(1),
                _ => {}
            }
            let ends = self.text(0) == ";" || (self.text(0) == "}" && !is_import);
            self.at += 1;
            if ends && depth == 0 {
                return;
            }
        }
    }

    fn import(&mut self) {
        let is_public = self.at > 0 && {
            // Before a closing parenthesis stands what `pub` is limited to.
            let before = &self.tokens[..self.at];
            ends_with(before, "pub") || (ends_with(before, ")") && is_limited_pub(before))
        };
        self.at += 1;
        self.tree(Vec::new(), is_public);
        self.at += 1;
    }

    /// Reads one tree of a `use` up to the sign that ends it: `,`, `}` or `;`.
    fn tree(&mut self, mut path: Path, is_public: bool) {
        let line = self.tokens.get(self.at).map_or(0, |token| token.line);
        let mut name = None;
        loop {
            match self.text(0) {
                "{" => {
                    self.at += 1;
                    while !matches!(self.text(0), "}" | "") {
                        self.tree(path.clone(), is_public);
                        if self.text(0) == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "as" => {
                    name = Some(self.text(1).to_owned());
                    self.at += 2;
                }
                "," | "}" | ";" | "" => break,
                ":" => self.at += 1,
                // `a::{self}` is `a`.
                "self" if !path.is_empty() => self.at += 1,
                segment => {
                    path.push(segment.to_owned());
                    self.at += 1;
                }
            }
        }
        let Some(last) = path.last().cloned() else { return };
        let (module, name) = (self.module(), name.unwrap_or(last));
        self.source.imports.push(Import { module, path, name, is_public, line });
    }

    fn mention(&mut self) {
        let line = self.tokens[self.at].line;
        let mut path = vec![self.text(0).to_owned()];
        self.at += 1;
        while self.text(0) == ":"
            && self.text(1) == ":"
            && self.tokens.get(self.at + 2).is_some_and(|t| t.is_word())
        {
            path.push(self.text(2).to_owned());
            self.at += 3;
        }
        self.source.words.extend(path.first().cloned());
        self.source.mentions.push(Mention { module: self.module(), path, line });
    }
}

fn ends_with(tokens: &[Token<'_>], text: &str) -> bool {
    tokens.last().is_some_and(|token| token.text == text)
}

/// Whether these tokens end with `pub(crate)` or the like.
fn is_limited_pub(tokens: &[Token<'_>]) -> bool {
    let open = tokens.iter().rposition(|token| token.text == "(");
    open.is_some_and(|open| ends_with(&tokens[..open], "pub"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(text: &str) -> Vec<String> {
        let shown = |import: Import| {
            let Import { path, name, is_public, line, .. } = import;
            format!("{line} {}{} as {name}", if is_public { "pub " } else { "" }, path.join("::"))
        };
        read(text).imports.into_iter().map(shown).collect()
    }

    #[test]
    fn nested_groups_are_read() {
        let text =
            "use crate::{a::{self, B, c::D as E}, f};\npub use self::g::*;\npub(super) use super::h::I;";
        assert_eq!(
            imports(text),
            [
                "1 crate::a as a",
                "1 crate::a::B as B",
                "1 crate::a::c::D as E",
                "1 crate::f as f",
                "2 pub self::g::* as *",
                "3 pub super::h::I as I",
            ]
        );
    }

    #[test]
    fn tests_do_not_count() {
        let text = "#[cfg(test)]\nmod tests { use super::*; fn f() { crate::x::y(); } }\n#[cfg(test)]\nmod more;\n\
                    #[cfg(test)]\nuse crate::{a, b};\n#[cfg(feature = \"c\")]\nuse crate::c;";
        let source = read(text);
        assert_eq!((source.imports.len(), source.mentions.len()), (1, 0));
    }

    #[test]
    fn paths_in_the_code_are_read_with_the_module_around_them() {
        let source = read(
            "mod a { fn f(x: super::b::C) -> impl Sized + use<> { x.d() } }\nfn g() { a::f(C::<u8>::e) }",
        );
        let shown = |mention: Mention| format!("{}:{}", mention.module.join("::"), mention.path.join("::"));
        let mentions: Vec<String> = source.mentions.into_iter().map(shown).collect();
        assert_eq!(mentions, ["a:super::b::C", ":a::f", ":C"]);
        assert!(!source.words.contains(&"d".to_owned()) && !source.words.contains(&"f".to_owned()));
    }
}
