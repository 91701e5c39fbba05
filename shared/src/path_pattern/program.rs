//! What a pattern is made into: steps that are followed side by side.

/// One step. A thread of the matcher stands in front of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// This character.
    Character(char),
    /// Any character but `/`.
    Any,
    /// Any number of characters; of one segment, unless it crosses them.
    Many { crosses: bool },
    /// Goes on at each of these steps.
    Fork(Vec<usize>),
    /// Goes on there.
    Jump(usize),
    /// Goes on only where a segment begins.
    SegmentBegins,
    /// The path must end here.
    End,
}

impl Step {
    fn fits(&self, character: char) -> bool {
        match self {
            Self::Character(one) => *one == character,
            Self::Any => character != '/',
            Self::Many { crosses } => *crosses || character != '/',
            Self::Fork(_) | Self::Jump(_) | Self::SegmentBegins | Self::End => false,
        }
    }

    /// Where a thread goes on after a character that fits.
    fn after(&self, at: usize) -> usize {
        if matches!(self, Self::Many { .. }) { at } else { at + 1 }
    }

    /// Where a thread goes on without one.
    fn besides(&self, at: usize, begins: bool, to: &mut Vec<usize>) {
        match self {
            Self::Many { .. } => to.push(at + 1),
            Self::SegmentBegins if begins => to.push(at + 1),
            Self::Fork(targets) => to.extend_from_slice(targets),
            Self::Jump(target) => to.push(*target),
            _ => {}
        }
    }
}

/// The steps of a pattern; the last one is its only end.
#[derive(Debug)]
pub(super) struct Program(pub(super) Vec<Step>);

impl Program {
    pub(super) fn everything() -> Self {
        Self(vec![Step::Many { crosses: true }, Step::End])
    }

    /// Whether the whole of the path fits.
    pub(super) fn fits(&self, path: &str) -> bool {
        let mut now = self.threads();
        self.reach(&mut now, 0, true);
        for character in path.chars() {
            let mut next = self.threads();
            let steps = self.0.iter().enumerate().filter(|(at, step)| now[*at] && step.fits(character));
            for (at, step) in steps {
                self.reach(&mut next, step.after(at), character == '/');
            }
            now = next;
        }
        now.last() == Some(&true)
    }

    fn threads(&self) -> Vec<bool> {
        vec![false; self.0.len()]
    }

    /// Puts a thread in front of a step and of all that it leads to without a character.
    fn reach(&self, threads: &mut [bool], at: usize, begins: bool) {
        let mut open = vec![at];
        while let Some(at) = open.pop() {
            if !std::mem::replace(&mut threads[at], true) {
                self.0[at].besides(at, begins, &mut open);
            }
        }
    }

    /// Whether there is a part that no path can fit, whatever fits the others.
    pub(super) fn is_partly_void(&self) -> bool {
        let places = self.0.len() * SEGMENTS.len();
        let mut from: Vec<Vec<usize>> = vec![Vec::new(); places];
        let mut reached = vec![false; places];
        let mut open = vec![place(0, Segment::Begins)];
        while let Some(here) = open.pop() {
            if std::mem::replace(&mut reached[here], true) {
                continue;
            }
            for there in self.leads_to(here) {
                from[there].push(here);
                open.push(there);
            }
        }
        let mut useful = vec![false; places];
        let mut open = vec![place(self.0.len() - 1, Segment::Named)];
        while let Some(here) = open.pop() {
            if reached[here] && !std::mem::replace(&mut useful[here], true) {
                open.append(&mut from[here]);
            }
        }
        let is_part = |step: &Step| !matches!(step, Step::SegmentBegins | Step::Fork(_) | Step::Jump(_));
        let mut parts = self.0.iter().enumerate().filter(|(_, step)| is_part(step));
        parts.any(|(at, _)| !SEGMENTS.iter().any(|segment| useful[place(at, *segment)]))
    }

    fn leads_to(&self, here: usize) -> Vec<usize> {
        let (at, segment) = (here / SEGMENTS.len(), SEGMENTS[here % SEGMENTS.len()]);
        let step = &self.0[at];
        let mut besides = Vec::new();
        step.besides(at, segment == Segment::Begins, &mut besides);
        let besides = besides.into_iter().map(|at| place(at, segment));
        // What stands for every character that is neither a dot nor a slash.
        let kinds: &[char] = match step {
            Step::Character(one) => std::slice::from_ref(one),
            _ => &['.', '/', 'a'],
        };
        let read = kinds.iter().filter(|kind| step.fits(**kind));
        let after = read.filter_map(|kind| Some(place(step.after(at), segment.then(*kind)?)));
        besides.chain(after).collect()
    }
}

/// How far the segment of a path has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Segment {
    Begins,
    Dot,
    DotDot,
    Named,
}

const SEGMENTS: [Segment; 4] = [Segment::Begins, Segment::Dot, Segment::DotDot, Segment::Named];

fn place(at: usize, segment: Segment) -> usize {
    at * SEGMENTS.len() + segment as usize
}

impl Segment {
    /// `None` where no path goes on with this character.
    fn then(self, character: char) -> Option<Self> {
        match (self, character) {
            (Self::Named, '/') => Some(Self::Begins),
            (_, '/' | '\\') => None,
            (_, control) if control.is_control() => None,
            (Self::Begins, '.') => Some(Self::Dot),
            (Self::Dot, '.') => Some(Self::DotDot),
            _ => Some(Self::Named),
        }
    }
}
