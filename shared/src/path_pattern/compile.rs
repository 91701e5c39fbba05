//! A pattern's text into its steps, in one pass.

use unicode_normalization::{
    IsNormalized, UnicodeNormalization, char::canonical_combining_class, is_nfc_quick,
};

use super::{
    PatternError,
    program::{Program, Step},
};
use crate::limits;

/// Reads the whole pattern.
pub(super) fn compile(text: &str) -> Result<Program, PatternError> {
    let is_short = || text.nfc().map(char::len_utf8).sum::<usize>() <= limits::PATH_BYTES;
    if text.is_empty() || text.len() > 2 * limits::PATH_BYTES || !is_short() {
        return Err(PatternError::Length);
    }
    let mut compiler = Compiler::default();
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '\\' => compiler.literal.push(rest.next().ok_or(PatternError::Quote)?),
            '*' => {
                let crosses = rest.next_if_eq(&'*').is_some();
                while rest.next_if_eq(&'*').is_some() {}
                let with_slash = crosses && rest.next_if_eq(&'/').is_some();
                compiler.many(crosses, with_slash)?;
            }
            '?' => compiler.step(Step::Any)?,
            '{' => compiler.begin_group()?,
            ',' if !compiler.groups.is_empty() => compiler.next_alternative()?,
            '}' => compiler.end_group()?,
            character => compiler.literal.push(character),
        }
    }
    compiler.finish()
}

#[derive(Default)]
struct Compiler {
    steps: Vec<Step>,
    /// Characters that stand for themselves, not normalised yet.
    literal: String,
    groups: Vec<Group>,
    alternatives: usize,
}

/// Braces that are open.
struct Group {
    /// Where the fork is, and where the alternatives begin that it leads to.
    fork: usize,
    begins: Vec<usize>,
    /// The jumps at the ends of alternatives.
    jumps: Vec<usize>,
}

impl Compiler {
    fn step(&mut self, step: Step) -> Result<(), PatternError> {
        self.end_literal()?;
        self.steps.push(step);
        Ok(())
    }

    fn end_literal(&mut self) -> Result<(), PatternError> {
        let literal = std::mem::take(&mut self.literal);
        let normal: Vec<char> = literal.nfc().collect();
        if !self.steps.is_empty() && normal.first().is_some_and(|first| joins(*first)) {
            return Err(PatternError::Combining);
        }
        self.steps.extend(normal.into_iter().map(Step::Character));
        Ok(())
    }

    /// `*` or `**`. Where a segment begins, `**/` is also nothing.
    fn many(&mut self, crosses: bool, with_slash: bool) -> Result<(), PatternError> {
        self.end_literal()?;
        if !with_slash {
            return self.step(Step::Many { crosses });
        }
        let at = self.steps.len();
        self.steps.extend([
            Step::Fork(vec![at + 1, at + 4]),
            Step::Many { crosses },
            Step::Character('/'),
            Step::Jump(at + 5),
            Step::SegmentBegins,
        ]);
        Ok(())
    }

    fn begin_group(&mut self) -> Result<(), PatternError> {
        self.step(Step::Fork(Vec::new()))?;
        let at = self.steps.len();
        self.groups.push(Group { fork: at - 1, begins: vec![at], jumps: Vec::new() });
        self.count_alternative()
    }

    fn next_alternative(&mut self) -> Result<(), PatternError> {
        self.step(Step::Jump(0))?;
        let at = self.steps.len();
        if let Some(group) = self.groups.last_mut() {
            group.jumps.push(at - 1);
            group.begins.push(at);
        }
        self.count_alternative()
    }

    fn count_alternative(&mut self) -> Result<(), PatternError> {
        self.alternatives += 1;
        if self.alternatives > limits::PATTERN_ALTERNATIVES {
            return Err(PatternError::Alternatives);
        }
        Ok(())
    }

    fn end_group(&mut self) -> Result<(), PatternError> {
        self.end_literal()?;
        let group = self.groups.pop().ok_or(PatternError::Brace)?;
        let end = self.steps.len();
        for jump in group.jumps {
            self.steps[jump] = Step::Jump(end);
        }
        self.steps[group.fork] = Step::Fork(group.begins);
        Ok(())
    }

    fn finish(mut self) -> Result<Program, PatternError> {
        self.step(Step::End)?;
        if self.groups.is_empty() { Ok(Program(self.steps)) } else { Err(PatternError::Brace) }
    }
}

/// Whether a character may become one with what stands before it.
fn joins(character: char) -> bool {
    canonical_combining_class(character) != 0 || is_nfc_quick(std::iter::once(character)) != IsNormalized::Yes
}
