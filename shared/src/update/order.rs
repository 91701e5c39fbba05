//! Where runs stand in the document, so that it can be told whether an update fits between its neighbours.
//!
//! A replica puts new text between two neighbours, and what others have typed there at the same time is put in order
//! by rules that every replica follows. The rules have one outcome only for text whose author had both neighbours side
//! by side. So new text is refused if its right neighbour does not follow the left one, or if something stands between
//! the two that its author has provably seen: what the text refers to (its neighbours, what its author typed before),
//! what that refers to, and so on. An author who has seen no more than that had a document in which the two stood side
//! by side, and no update of an honest client fails here, since whatever it refers to it has seen.
//!
//! No text is kept. A list holds the runs in order, with numbers that rise along it to compare two places.

use std::collections::{BTreeMap, HashMap};

use super::{
    GateError,
    labels::{self, Labels, Linked, NONE},
    read::Id,
};

/// Most runs that are looked at for one update, and how many more for each of its bytes.
const BUDGET: u64 = 1_000_000;
const BUDGET_PER_BYTE: u64 = 50;

/// The runs of a file in the order of the document.
#[derive(Clone, Debug, Default)]
pub(super) struct Order {
    runs: Vec<Placed>,
    /// Places in `runs` that are free.
    free: Vec<u32>,
    /// The runs by their first character.
    index: BTreeMap<Id, u32>,
    first: Option<u32>,
    arrivals: u32,
    /// What was done since it was last settled, to be undone from its end.
    undo: Vec<Undo>,
    /// How many runs were looked at in all, and how many more may be for this update.
    pub(super) looked_at: u64,
    budget: u64,
    /// The highest mark of a search for conflicts.
    marks: u64,
}

/// A run that has its place.
#[derive(Clone, Debug)]
pub(super) struct Placed {
    client: u64,
    start: u32,
    end: u32,
    origin: Option<Id>,
    right_origin: Option<Id>,
    before: u32,
    behind: u32,
    label: u64,
    /// Counts the runs as they come: one refers only to earlier ones.
    arrival: u32,
    /// The last searches for conflicts that came by.
    passed: u64,
    conflicting: u64,
}

#[derive(Clone, Debug)]
enum Undo {
    /// A run was put in.
    Put(u32),
    /// A run was made longer: where it ended.
    Extended(u32, u32),
    /// A run was divided.
    Divided(u32),
}

/// New text of one author.
#[derive(Clone, Copy, Debug)]
pub(super) struct Piece {
    pub(super) client: u64,
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) origin: Option<Id>,
    pub(super) right_origin: Option<Id>,
}

impl Order {
    /// Puts new text, all of whose neighbours are there, in its place.
    pub(super) fn put(&mut self, piece: Piece) -> Result<(), GateError> {
        if self.extends(&piece) {
            return Ok(());
        }
        self.validate(&piece)?;
        let left = piece.origin.and_then(|id| self.cut_behind(id));
        let right = piece.right_origin.and_then(|id| self.cut_before(id));
        let left = self.settle_conflicts(&piece, left, right)?;
        self.insert_behind(left, piece);
        Ok(())
    }

    /// How many runs there are.
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }

    /// Undoes what was done since [`Self::begin`] gave this mark; with 0 all that was not kept.
    pub(super) fn undo_to(&mut self, mark: usize) {
        while self.undo.len() > mark {
            match self.undo.pop() {
                Some(Undo::Put(run)) => self.remove(run),
                Some(Undo::Extended(run, end)) => self.runs[run as usize].end = end,
                Some(Undo::Divided(run)) => {
                    let rest = self.runs[run as usize].behind;
                    let end = self.runs[rest as usize].end;
                    self.remove(rest);
                    self.runs[run as usize].end = end;
                }
                None => return,
            }
        }
    }

    /// Another update begins, to be undone to here if it does not fit.
    pub(super) fn begin(&mut self, bytes: usize) -> usize {
        self.budget = BUDGET + BUDGET_PER_BYTE * bytes as u64;
        self.undo.len()
    }

    /// What is logged already is put in its place whatever that costs.
    pub(super) fn begin_logged(&mut self) {
        self.undo_to(0);
        self.budget = u64::MAX;
    }

    /// What was done stays.
    pub(super) fn keep(&mut self) {
        self.undo.clear();
    }

    /// Makes a run longer, if the text goes on behind it and nobody has typed at that place. It refers to nothing that
    /// the run does not refer to: what stands between the neighbours was no obstacle then, and is none now.
    fn extends(&mut self, piece: &Piece) -> bool {
        let Some(origin) = piece.origin.filter(|id| id.client == piece.client) else { return false };
        let Some(at) = self.find(origin) else { return false };
        let run = &self.runs[at as usize];
        let follows = run.end == piece.start && origin.clock + 1 == piece.start;
        let is_alone = run.behind == NONE || self.runs[run.behind as usize].origin != piece.origin;
        if !follows || run.right_origin != piece.right_origin || !is_alone {
            return false;
        }
        self.undo.push(Undo::Extended(at, run.end));
        self.runs[at as usize].end = piece.end;
        true
    }

    fn validate(&mut self, piece: &Piece) -> Result<(), GateError> {
        let left = piece.origin.map(|id| self.find(id).ok_or(GateError::Place)).transpose()?;
        let right = piece.right_origin.map(|id| self.find(id).ok_or(GateError::Place)).transpose()?;
        if let (Some(left), Some(right)) = (left, right) {
            let place = |run: u32, id: Option<Id>| (self.runs[run as usize].label, id.map(|id| id.clock));
            if place(left, piece.origin) >= place(right, piece.right_origin) {
                return Err(GateError::Place);
            }
        }
        let mut since = u32::MAX;
        let mut count = 0;
        for (run, _) in self.between(piece, left, right) {
            since = since.min(run.arrival);
            count += 1;
            if count > self.budget {
                return Err(GateError::Conflicts);
            }
        }
        self.spend(count)?;
        if count == 0 {
            return Ok(());
        }
        let (seen, steps) = self.seen_by_author(piece, since)?;
        let has_seen = |run: &Placed, start| seen.get(&run.client).is_some_and(|until| *until > start);
        let misplaced = self.between(piece, left, right).any(|(run, start)| has_seen(run, start));
        self.spend(steps)?;
        if misplaced { Err(GateError::Place) } else { Ok(()) }
    }

    /// The runs between the neighbours, which are in these, and the first clock of each that is.
    fn between(
        &self,
        piece: &Piece,
        left: Option<u32>,
        right: Option<u32>,
    ) -> impl Iterator<Item = (&Placed, u32)> {
        let Piece { origin, right_origin, .. } = *piece;
        let first = left.or(self.first);
        let runs = std::iter::successors(first, move |at| {
            let behind = self.runs[*at as usize].behind;
            (Some(*at) != right && behind != NONE).then_some(behind)
        });
        runs.filter_map(move |at| {
            let run = &self.runs[at as usize];
            let start = origin.filter(|_| Some(at) == left).map_or(run.start, |id| id.clock + 1);
            let end = right_origin.filter(|_| Some(at) == right).map_or(run.end, |id| id.clock);
            (start < end).then_some((run, start))
        })
    }

    /// What the author of new text has provably seen of what came with this arrival or later: of each client up to
    /// which clock.
    fn seen_by_author(&self, piece: &Piece, since: u32) -> Result<(HashMap<u64, u32>, u64), GateError> {
        let neighbours = [piece.origin, piece.right_origin].into_iter().flatten();
        let mut open: Vec<(u64, u32)> = neighbours.map(|id| (id.client, id.clock + 1)).collect();
        open.push((piece.client, piece.start));
        let mut seen: HashMap<u64, u32> = HashMap::new();
        let mut steps = 0;
        while let Some((client, until)) = open.pop() {
            let known = seen.get(&client).copied().unwrap_or(0);
            if known >= until {
                continue;
            }
            seen.insert(client, until);
            let of_client = Id { client, clock: 0 }..Id { client, clock: until };
            for (_, at) in self.index.range(of_client).rev() {
                let run = &self.runs[*at as usize];
                if run.end <= known || run.arrival < since {
                    break;
                }
                steps += 1;
                if steps > self.budget {
                    return Err(GateError::Conflicts);
                }
                let refers = [run.origin, run.right_origin].into_iter().flatten();
                open.extend(refers.filter(|id| id.client != client).map(|id| (id.client, id.clock + 1)));
            }
        }
        Ok((seen, steps))
    }

    /// What stands between the neighbours was typed at the same time: finds the run behind which new text stands, as
    /// every replica of Yjs does (`Item.integrate`).
    fn settle_conflicts(
        &mut self,
        piece: &Piece,
        mut left: Option<u32>,
        right: Option<u32>,
    ) -> Result<Option<u32>, GateError> {
        let mut at = left.map_or(self.first.unwrap_or(NONE), |left| self.runs[left as usize].behind);
        let right = right.unwrap_or(NONE);
        // Marks of an earlier search are below these.
        let passed = self.marks + 1;
        let mut conflicting = passed;
        let mut steps = 0;
        while at != NONE && at != right {
            steps += 1;
            let other = &mut self.runs[at as usize];
            (other.passed, other.conflicting) = (passed, conflicting);
            let other = &self.runs[at as usize];
            if other.origin == piece.origin {
                if other.client < piece.client {
                    left = Some(at);
                    conflicting += 1;
                } else if other.right_origin == piece.right_origin {
                    break;
                }
            } else if let Some(origin) = other.origin.and_then(|id| self.find(id))
                && self.runs[origin as usize].passed == passed
            {
                if self.runs[origin as usize].conflicting != conflicting {
                    left = Some(at);
                    conflicting += 1;
                }
            } else {
                break;
            }
            at = other.behind;
        }
        self.marks = conflicting;
        self.spend(steps)?;
        Ok(left)
    }

    fn spend(&mut self, steps: u64) -> Result<(), GateError> {
        self.looked_at += steps;
        self.budget = self.budget.checked_sub(steps).ok_or(GateError::Conflicts)?;
        Ok(())
    }

    fn insert_behind(&mut self, left: Option<u32>, piece: Piece) {
        let Piece { client, start, end, origin, right_origin } = piece;
        let arrival = self.arrivals;
        self.arrivals = self.arrivals.saturating_add(1);
        let run = Placed {
            client,
            start,
            end,
            origin,
            right_origin,
            before: NONE,
            behind: NONE,
            label: 0,
            arrival,
            passed: 0,
            conflicting: 0,
        };
        let at = self.link(left, run);
        self.undo.push(Undo::Put(at));
    }

    fn find(&self, id: Id) -> Option<u32> {
        let (first, at) = self.index.range(..=id).next_back()?;
        (first.client == id.client && self.runs[*at as usize].end > id.clock).then_some(*at)
    }

    /// The run that ends with a character.
    fn cut_behind(&mut self, id: Id) -> Option<u32> {
        let at = self.find(id)?;
        self.divide(at, id.clock + 1);
        Some(at)
    }

    /// The run that begins with a character.
    fn cut_before(&mut self, id: Id) -> Option<u32> {
        let at = self.find(id)?;
        Some(self.divide(at, id.clock))
    }

    /// Makes a run begin at a clock of this one; the run that does.
    fn divide(&mut self, at: u32, clock: u32) -> u32 {
        let run = &mut self.runs[at as usize];
        if clock <= run.start || clock >= run.end {
            return at;
        }
        let origin = Some(Id { client: run.client, clock: clock - 1 });
        let rest = Placed { start: clock, origin, before: NONE, behind: NONE, label: 0, ..run.clone() };
        run.end = clock;
        let rest = self.link(Some(at), rest);
        self.undo.push(Undo::Divided(at));
        rest
    }

    fn link(&mut self, left: Option<u32>, mut run: Placed) -> u32 {
        let behind = left.map_or(self.first.unwrap_or(NONE), |left| self.runs[left as usize].behind);
        (run.before, run.behind) = (left.unwrap_or(NONE), behind);
        let first = run.first();
        let at = match self.free.pop() {
            Some(at) => {
                self.runs[at as usize] = run;
                at
            }
            None => {
                self.runs.push(run);
                u32::try_from(self.runs.len() - 1).unwrap_or(NONE)
            }
        };
        match left {
            Some(left) => self.runs[left as usize].behind = at,
            None => self.first = Some(at),
        }
        if behind != NONE {
            self.runs[behind as usize].before = at;
        }
        self.index.insert(first, at);
        self.looked_at += labels::label(self, at);
        at
    }

    fn remove(&mut self, at: u32) {
        let run = &self.runs[at as usize];
        let (first, before, behind) = (run.first(), run.before, run.behind);
        match before {
            NONE => self.first = (behind != NONE).then_some(behind),
            before => self.runs[before as usize].behind = behind,
        }
        if behind != NONE {
            self.runs[behind as usize].before = before;
        }
        self.index.remove(&first);
        self.free.push(at);
    }
}

impl Placed {
    fn first(&self) -> Id {
        Id { client: self.client, clock: self.start }
    }
}

impl Labels for Order {
    fn at(&self, run: u32) -> Linked {
        let Placed { before, behind, label, .. } = self.runs[run as usize];
        Linked { before, behind, label }
    }

    fn set(&mut self, run: u32, label: u64) {
        self.runs[run as usize].label = label;
    }
}
