//! How large a file is: what was replaced or deleted does not count, in any region, with or without an origin.

use shared::limits;

use super::{World, schedules::two_members};

const FILE: &str = "src/main.js";
/// What is put in the place of everything, again and again.
const PIECE: usize = 1_000 << 10;

fn piece(round: usize) -> String {
    let number = round.to_string();
    format!("{number}{}", "x".repeat(PIECE - number.len()))
}

#[test]
fn text_that_is_replaced_again_and_again_never_makes_a_file_too_large_in_any_region() {
    let mut world = World::new(&[FILE], 2, 1);
    let (a, b, far) = (world.join(0, FILE, false), world.join(0, FILE, false), world.join(1, FILE, false));
    world.run();
    // More than a file may have, without a flush, while others have it open.
    for round in 0..limits::FILE_BYTES / PIECE + 2 {
        world.clients[a].replace(&piece(round));
        world.run();
        if round % 6 == 5 {
            world.clients[far].replace(&piece(round));
            world.run();
        }
    }
    world.clients[b].edit(0, Some("b"));
    world.clients[far].edit(0, Some("c"));
    world.run();
    world.assert_converged(FILE);
    assert_eq!(world.logged_text(FILE).len(), PIECE + 2);
}

#[test]
fn a_region_without_an_origin_goes_on_although_more_was_typed_than_a_file_may_have() {
    let (mut world, a, b) = two_members();
    world.cut(0);
    for round in 0..limits::FILE_BYTES / PIECE + 2 {
        world.clients[a].replace(&piece(round));
        while world.deliver_from(a) | world.deliver_to(b) {}
        assert_eq!(world.clients[b].text().len(), PIECE, "neighbours see it");
    }
    world.rest();
    world.assert_converged(FILE);
    assert_eq!(world.logged_text(FILE).len(), PIECE);
}

#[test]
fn a_file_that_is_full_is_measured_before_it_refuses_and_takes_text_again_when_some_is_deleted() {
    let (mut world, a, b) = two_members();
    for round in 0..limits::FILE_BYTES / PIECE {
        world.clients[a].edit(0, Some(&piece(round)));
        world.run();
    }
    world.assert_converged(FILE);
    // All of it goes with a few bytes, and what comes next would not have had room beside it.
    world.clients[a].replace("");
    world.run();
    world.clients[b].edit(0, Some(&piece(77)));
    world.run();
    world.assert_converged(FILE);
    assert_eq!(world.logged_text(FILE).len(), PIECE);
}
