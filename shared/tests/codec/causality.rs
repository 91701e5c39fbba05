//! Causality: what builds on something waits for it, what is there is not waited for.

use bytes::Bytes;
use shared::{
    limits,
    update::{Advance, Ahead, GateError, History},
};

use super::support::{Piece, update};

fn after(client: u64, clock: u64) -> Piece {
    Piece::Text("x", Some((client, clock)), None)
}

fn text(text: &'static str) -> Piece {
    Piece::Text(text, None, None)
}

/// Client 1 has typed "hello", client 2 "you" behind it; "ell" is deleted.
fn history() -> History {
    let state = update(
        &[(2, 0, vec![Piece::Text("you", Some((1, 4)), None)]), (1, 0, vec![text("hello")])],
        &[(1, vec![(1, 3)])],
    );
    History::of(&state).unwrap()
}

fn admit(update: &Bytes) -> Result<Vec<(u64, u32)>, GateError> {
    history().admit(&Ahead::default(), update).map(clocks)
}

fn clocks(advance: Advance) -> Vec<(u64, u32)> {
    advance.iter().map(|extension| (extension.client, extension.to)).collect()
}

fn is_new(history: &History, update: &Bytes) -> bool {
    history.compare(&Ahead::default(), update).unwrap().is_new
}

#[test]
fn a_history_is_what_the_state_says() {
    let history = history();
    assert_eq!(history.state_vector.iter().collect::<Vec<_>>(), [(1, 5), (2, 3)]);
    assert_eq!(history.deleted.iter().collect::<Vec<_>>(), [(1, 1..4)]);
}

#[test]
fn a_state_that_is_not_whole_has_no_history() {
    assert_eq!(History::of(&update(&[(1, 1, vec![text("x")])], &[])), Err(GateError::Missing));
    assert_eq!(History::of(&update(&[(1, 0, vec![after(2, 0)])], &[])), Err(GateError::Missing));
    assert_eq!(History::of(&[0, 0]), Ok(History::default()));
}

#[test]
fn what_follows_is_admitted_and_moves_the_clocks() {
    assert_eq!(admit(&update(&[(1, 5, vec![after(2, 2)])], &[(2, vec![(0, 3)])])), Ok(vec![(1, 6)]));
    assert_eq!(admit(&update(&[(9, 0, vec![text("new")])], &[(9, vec![(0, 3)])])), Ok(vec![(9, 3)]));
    assert_eq!(admit(&update(&[], &[(1, vec![(0, 5)])])), Ok(vec![]));
}

#[test]
fn a_group_may_begin_before_the_known_clock() {
    assert_eq!(admit(&update(&[(1, 3, vec![text("lo!")])], &[])), Ok(vec![(1, 6)]));
    assert_eq!(admit(&update(&[(1, 0, vec![text("hel")])], &[])), Ok(vec![]));
    assert_eq!(
        admit(&update(&[(1, 1, vec![Piece::Skip(3), text("o"), after(2, 0)])], &[])),
        Ok(vec![(1, 6)])
    );
}

#[test]
fn a_gap_is_missing() {
    assert_eq!(admit(&update(&[(1, 6, vec![text("x")])], &[])), Err(GateError::Missing));
    assert_eq!(admit(&update(&[(1, 4, vec![Piece::Skip(2), text("x")])], &[])), Err(GateError::Missing));
    assert_eq!(
        admit(&update(&[(1, 5, vec![after(1, 4), Piece::Skip(1), after(1, 6)])], &[])),
        Err(GateError::Missing)
    );
}

#[test]
fn an_unknown_neighbour_is_missing() {
    assert_eq!(admit(&update(&[(9, 0, vec![after(1, 5)])], &[])), Err(GateError::Missing));
    assert_eq!(admit(&update(&[(9, 0, vec![after(8, 0)])], &[])), Err(GateError::Missing));
    let right = Piece::Text("x", Some((1, 0)), Some((2, 3)));
    assert_eq!(admit(&update(&[(9, 0, vec![right])], &[])), Err(GateError::Missing));
    let deleted = Piece::Deleted(1, Some((8, 0)), None);
    assert_eq!(admit(&update(&[(9, 0, vec![deleted])], &[])), Err(GateError::Missing));
}

#[test]
fn a_deletion_of_what_is_not_there_is_missing() {
    assert_eq!(admit(&update(&[], &[(1, vec![(4, 2)])])), Err(GateError::Missing));
    assert_eq!(admit(&update(&[], &[(9, vec![(0, 1)])])), Err(GateError::Missing));
}

#[test]
fn groups_may_build_on_each_other_in_any_order() {
    // 3 types "a"; 4 types after it; 3 goes on after 4; 5 goes on after that; 4 comes back once more.
    let groups = [
        (5, 0, vec![after(3, 1)]),
        (4, 0, vec![after(3, 0), after(5, 0)]),
        (3, 0, vec![text("a"), after(4, 0)]),
    ];
    let mut order = groups.to_vec();
    for _ in 0..3 {
        order.rotate_left(1);
        assert_eq!(admit(&update(&order, &[])), Ok(vec![(3, 2), (4, 2), (5, 1)]));
        order.swap(0, 1);
        assert_eq!(admit(&update(&order, &[])), Ok(vec![(3, 2), (4, 2), (5, 1)]));
        order.swap(0, 1);
    }
}

#[test]
fn a_circle_of_neighbours_is_missing() {
    let circle = [(4, 0, vec![after(3, 0)]), (3, 0, vec![after(4, 0)])];
    assert_eq!(admit(&update(&circle, &[])), Err(GateError::Missing));
    let with_a_tail =
        [(5, 0, vec![after(4, 0)]), (4, 0, vec![after(3, 1)]), (3, 0, vec![text("a"), after(5, 0)])];
    assert_eq!(admit(&update(&with_a_tail, &[])), Err(GateError::Missing));
}

#[test]
fn a_long_chain_of_groups_is_settled_in_time() {
    const CLIENTS: u64 = limits::UPDATE_CLIENTS as u64;
    let chain = |first: Piece| {
        let rest = (2..=CLIENTS).map(|client| (client + 10, 0, vec![after(client + 9, 0)]));
        let groups: Vec<_> = std::iter::once((11, 0, vec![first])).chain(rest).collect();
        update(&groups, &[])
    };
    assert_eq!(admit(&chain(text("a"))).map(|advance| advance.len() as u64), Ok(CLIENTS));
    assert_eq!(admit(&chain(after(CLIENTS + 10, 0))), Err(GateError::Missing));
    // Everybody waits for the last character of one author.
    let typed = (0..CLIENTS).map(|i| if i == 0 { text("a") } else { after(11, i - 1) }).collect();
    let waiting = (2..CLIENTS).map(|client| (client + 10, 0, vec![after(11, CLIENTS - 1)]));
    let groups: Vec<_> = std::iter::once((11, 0, typed)).chain(waiting).collect();
    // Each replica would compare all of them with each other.
    assert_eq!(admit(&update(&groups, &[])), Err(GateError::Conflicts));
}

#[test]
fn what_is_on_its_way_counts_until_it_is_given_up() {
    let (mut history, mut ahead) = (history(), Ahead::default());
    let first = update(&[(9, 0, vec![text("ab")])], &[]);
    let second = update(&[(9, 2, vec![after(9, 1)])], &[(9, vec![(0, 3)])]);
    assert_eq!(history.admit(&ahead, &second), Err(GateError::Missing));
    ahead.apply(&history.admit(&ahead, &first).unwrap(), &first).unwrap();
    ahead.apply(&history.admit(&ahead, &second).unwrap(), &second).unwrap();
    assert_eq!(history.admit(&ahead, &second).unwrap().iter().count(), 0, "it brings nothing more");
    ahead.clear();
    assert!(ahead.is_empty());
    assert_eq!(history.admit(&ahead, &second), Err(GateError::Missing));
}

#[test]
fn new_is_what_is_not_logged_inserts_and_deletions_alike() {
    let history = history();
    let news = |groups: &[_], deleted: &[_]| is_new(&history, &update(groups, deleted));
    assert!(!news(&[], &[]));
    assert!(!news(&[(1, 0, vec![text("hello")])], &[(1, vec![(1, 1), (2, 2)])]));
    assert!(
        !news(&[(1, 0, vec![Piece::Deleted(5, None, None)])], &[]),
        "only a delete range deletes what is known"
    );
    assert!(!news(&[(1, 3, vec![Piece::Skip(9)])], &[]));
    assert!(news(&[(1, 3, vec![Piece::Text("lo!", Some((1, 2)), None)])], &[]));
    assert!(news(&[], &[(1, vec![(1, 4)])]));
    assert!(news(&[], &[(2, vec![(0, 1)])]));
    assert!(news(&[], &[(3, vec![(0, 1)])]));
}

#[test]
fn what_was_logged_is_no_longer_new() {
    let mut history = history();
    let change = update(
        &[(9, 0, vec![text("ab"), Piece::Gc(2), Piece::Deleted(1, Some((1, 0)), None)])],
        &[(2, vec![(0, 1)])],
    );
    assert!(is_new(&history, &change));
    history.absorb(&change).unwrap();
    assert!(!is_new(&history, &change));
    assert_eq!(history.state_vector.get(9), 5);
    assert_eq!(history.deleted.iter().collect::<Vec<_>>(), [(1, 1..4), (2, 0..1), (9, 2..5)]);
}

#[test]
fn what_does_not_pass_leaves_no_trace() {
    let mut known = history();
    let mut cut = update(&[(9, 0, vec![text("ab")])], &[]).to_vec();
    cut.push(0);
    assert_eq!(known.absorb(&cut), Err(GateError::Trailing));
    assert_eq!(known, history());
}

#[test]
fn what_an_update_adds_to_the_state_is_counted_without_what_is_known() {
    let growth = |update: &Bytes| history().compare(&Ahead::default(), update).unwrap();
    let known = growth(&update(&[(1, 0, vec![text("hello")])], &[(1, vec![(1, 3)])]));
    assert_eq!((known.text_bytes, known.ranges), (0, 0));
    let deleting = growth(&update(&[], &[(1, vec![(0, 1), (1, 2)]), (2, vec![(0, 1), (2, 1)])]));
    assert_eq!((deleting.text_bytes, deleting.ranges), (0, 3));
    assert_eq!(deleting.growth(), 3 * limits::RANGE_BYTES);
    let typed = update(&[(9, 0, vec![after(1, 0)])], &[]);
    assert!((1..=typed.len()).contains(&growth(&typed).growth()));
}

#[test]
fn an_update_brings_text_of_only_so_many_clients() {
    let most = limits::UPDATE_CLIENTS as u64;
    let of = |clients: std::ops::Range<u64>| {
        let piece = |client: u64| Piece::Text("x", client.checked_sub(1).map(|before| (before, 0)), None);
        let groups = clients.rev().map(|client| (client, 0, vec![piece(client)]));
        update(&groups.collect::<Vec<_>>(), &[])
    };
    let mut history = History::default();
    let nothing = Ahead::default();
    assert_eq!(history.admit(&nothing, &of(0..most + 1)), Err(GateError::Clients));
    assert_eq!(history.runs_placed(), 0);
    assert!(history.admit(&nothing, &of(0..most)).is_ok());
    history.absorb(&of(0..most)).unwrap();
    // However many are known.
    assert_eq!(history.admit(&nothing, &of(0..most + 1)).map(clocks), Ok(vec![(most, 1)]));
}
