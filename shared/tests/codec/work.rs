//! What the gate costs: bounded by the size of an update and the runs that it touches, not by what the file has.

use bytes::Bytes;
use shared::update::{Ahead, GateError, History};

use super::support::{Piece, update};

const RUNS: u64 = 20_000;

/// A file of many runs: each character was put in front of the one before it.
fn long() -> History {
    let mut history = History::default();
    let pieces: Vec<Piece> = (0..RUNS)
        .map(|clock| Piece::Text("x", None, clock.checked_sub(1).map(|before| (1, before))))
        .collect();
    history.absorb(&update(&[(1, 0, pieces)], &[])).unwrap();
    assert!(history.checks_places());
    history
}

/// How many runs are looked at to validate an update, and what comes of it.
fn cost(history: &mut History, bytes: &Bytes) -> (u64, Result<(), GateError>) {
    let before = history.runs_looked_at();
    let compared = history.compare(&Ahead::default(), bytes);
    let runs = compared.as_ref().map_or(0, |novelty| novelty.runs as u64);
    let outcome = compared.and_then(|_| history.admit(&Ahead::default(), bytes)).map(drop);
    let cost = runs + history.runs_looked_at() - before;
    history.settle();
    (cost, outcome)
}

#[test]
fn what_an_update_costs_does_not_grow_with_the_file() {
    let mut history = long();
    let middle = RUNS / 2;
    let typed = update(&[(2, 0, vec![Piece::Text("y", Some((1, middle)), Some((1, middle - 1)))])], &[]);
    let (runs, outcome) = cost(&mut history, &typed);
    assert_eq!(outcome, Ok(()));
    assert!(runs < 70, "typing between two neighbours looked at {runs} runs");
    let again = update(&[(1, middle, vec![Piece::Text("x", None, Some((1, middle - 1)))])], &[]);
    let (runs, outcome) = cost(&mut history, &again);
    assert_eq!(outcome, Ok(()));
    assert!(runs <= 1, "one character that is known looked at {runs} runs");
    // Neighbours in the wrong order are told apart at once, however far they are from each other.
    let wrong = update(&[(2, 0, vec![Piece::Text("y", Some((1, 0)), Some((1, RUNS - 1)))])], &[]);
    assert_eq!(cost(&mut history, &wrong), (0, Err(GateError::Place)));
}

#[test]
fn what_stands_between_is_looked_at_once_for_each_struct() {
    let mut history = long();
    let far = |pieces: u64| {
        let piece = |_| Piece::Text("y", Some((1, RUNS - 1)), Some((1, 0)));
        update(&[(2, 0, (0..pieces).map(piece).collect())], &[])
    };
    let (one, outcome) = cost(&mut history, &far(1));
    assert_eq!(outcome, Err(GateError::Place), "what it refers to has been seen with all between");
    assert!(one <= 2 * RUNS + 100, "{one}");
    // One update can cost so much and no more, whatever it holds.
    let (all, outcome) = cost(&mut history, &far(5_000));
    assert!(outcome.is_err());
    assert!(all <= 1_100_000, "{all}");
}

#[test]
fn a_refused_update_leaves_nothing_behind() {
    let mut history = long();
    let before = history.clone();
    for clock in 1..200 {
        let pieces = vec![
            Piece::Text("y", Some((1, clock)), Some((1, clock - 1))),
            Piece::Text("z", Some((1, 0)), Some((1, clock))),
        ];
        let refused = update(&[(2, 0, pieces)], &[]);
        assert_eq!(history.admit(&Ahead::default(), &refused), Err(GateError::Place));
    }
    assert_eq!(history.runs_placed(), before.runs_placed());
    assert_eq!(history, before);
}
