//! The kinds of updates that were found to make replicas differ, or text that was acknowledged disappear.

use shared::update::{
    GateError::{self, Garbage, Groups, Place, Reuse, Uncovered},
    History,
};

use crate::{
    gate::{Gate, Verdict},
    node::unhex,
    replicas::{apply, document, state, text_of},
};

const ABC: &str = "01010700040107636f6e74656e740361626300";

/// Everything before the last update passes; what becomes of that.
fn last(updates: &[&str]) -> Verdict {
    let mut gate = Gate::default();
    let (last, before) = updates.split_last().unwrap();
    for update in before {
        assert_eq!(gate.take(&unhex(update)), Verdict::Logged, "{update}");
    }
    gate.take(&unhex(last))
}

fn refusal(updates: &[&str]) -> GateError {
    match last(updates) {
        Verdict::Refused(error) => error,
        verdict => panic!("{verdict:?}"),
    }
}

#[test]
fn text_that_a_deleted_struct_covers_can_still_be_deleted() {
    let covered = "01020700010107636f6e74656e7403840702016400";
    assert_eq!(refusal(&[ABC, covered]), Uncovered);
    // As it was logged before there was this rule.
    let mut gate = Gate::default();
    gate.history.absorb(&unhex(ABC)).unwrap();
    gate.history.absorb(&unhex(covered)).unwrap();
    let deletion = "000107010003";
    assert_eq!(gate.take(&unhex(deletion)), Verdict::Logged);
    assert_eq!(text_of(&[ABC, covered, deletion].map(unhex)), "d");
}

#[test]
fn other_text_under_the_same_clocks_is_refused() {
    assert_eq!(refusal(&[ABC, "01010700040107636f6e74656e740378797a00"]), Reuse);
    assert_eq!(refusal(&[ABC, "01010700040107636f6e74656e7405767778797a00"]), Reuse);
    assert_eq!(last(&[ABC, ABC]), Verdict::Duplicate);
    assert_eq!(last(&[ABC, "01010700040107636f6e74656e7405616263646500"]), Verdict::Logged);
}

#[test]
fn the_same_text_in_another_place_is_refused() {
    let d_behind_c = "01010703840702016400";
    let d_behind_a = "01010703840700016400";
    assert_eq!(refusal(&[ABC, d_behind_c, d_behind_a]), Reuse);
    let d_before_c = "01010703440702016400";
    assert_eq!(refusal(&[ABC, d_behind_c, d_before_c]), Reuse);
}

#[test]
fn garbage_under_the_clocks_of_another_is_refused() {
    assert_eq!(refusal(&[ABC, "01010703006400"]), Garbage);
    let mut gate = Gate::default();
    assert_eq!(gate.take(&unhex(ABC)), Verdict::Logged);
    assert_eq!(gate.take_step2(&unhex("01010703006400")), Verdict::Refused(Garbage));
    let next = "01010703840702046c6f737400";
    assert_eq!(gate.take(&unhex(next)), Verdict::Logged, "the victim's text is logged");
}

#[test]
fn garbage_that_is_stored_does_not_lock_a_file() {
    let garbage = "01010900000300";
    let mut gate = Gate::default();
    gate.history.absorb(&unhex(ABC)).unwrap();
    gate.history.absorb(&unhex(garbage)).unwrap();
    assert!(!gate.history.checks_places());
    assert_eq!(gate.take_step2(&unhex(garbage)), Verdict::Duplicate, "each client brings it");
    assert_eq!(gate.take(&unhex("01010703840702046c6f737400")), Verdict::Logged);
}

#[test]
fn garbage_between_text_is_refused() {
    assert_eq!(refusal(&["01010100040107636f6e74656e7402616200", "01010200000100"]), Garbage);
    assert_eq!(refusal(&["01010200000300"]), Garbage);
}

#[test]
fn a_right_neighbour_that_does_not_follow_the_left_one_is_refused() {
    let text = "01010100040107636f6e74656e7408616263646566676800";
    assert_eq!(refusal(&[text, "01010200c401040101015800"]), Place);
    assert_eq!(refusal(&[text, "01010200c401040104015800"]), Place, "the same character twice");
    assert_eq!(last(&[text, "01010200c401040105015800"]), Verdict::Logged);
}

#[test]
fn text_between_neighbours_that_its_author_knew_something_between_is_refused() {
    let mut gate = Gate::default();
    assert_eq!(gate.take(&unhex("01010400040107636f6e74656e7402656600")), Verdict::Logged);
    let split = "0103050084040106616263646566c404000501015ac404010502015a00";
    assert_eq!(gate.take(&unhex(split)), Verdict::Refused(Place));
    // Who has not seen it may.
    let typed = "0101050084040106616263646566";
    assert_eq!(gate.take(&unhex(&format!("{typed}00"))), Verdict::Logged);
    assert_eq!(gate.take(&unhex("01010600840401015a00")), Verdict::Logged);
    // And who refers to what was typed between has seen it.
    assert_eq!(gate.take(&unhex("01020900840500015ac404000401015a00")), Verdict::Logged);
    assert_eq!(gate.take(&unhex("01020a008405000159840401015900")), Verdict::Refused(Place));
}

#[test]
fn half_of_a_pair_and_the_pair_are_not_the_same_text() {
    let half = "01010700040107636f6e74656e740461efbfbd00";
    let pair = "01010700040107636f6e74656e740661f09f98806200";
    assert_eq!(refusal(&[half, pair]), Reuse);
    let halves = "01010700040107636f6e74656e740761efbfbdefbfbd00";
    assert_eq!(refusal(&[halves, pair]), Reuse);
    // Where a pair was divided, replicas have two replacement characters; they bring nothing new.
    let only_pair = "01010700040107636f6e74656e740561f09f988000";
    assert_eq!(last(&[only_pair, halves]), Verdict::Duplicate);
}

#[test]
fn a_pair_that_is_divided_is_the_same_as_its_halves() {
    let pair = "01010700040107636f6e74656e740561f09f988000";
    let x_between = "01010800c407010702015800";
    let second_half_deleted = "000107010201";
    let pair_and_more = "01010700040107636f6e74656e740761f09f9880626300";
    let halves_and_more = "020700040107636f6e74656e740461efbfbd84070104efbfbd62";
    let halves = format!("01{halves_and_more}00");
    // Who has been away since before it was divided, and who has it in halves.
    for divides in [x_between, second_half_deleted] {
        assert_eq!(last(&[pair, divides, pair_and_more]), Verdict::Logged);
    }
    assert_eq!(last(&[pair, x_between, &halves]), Verdict::Logged);
    assert_eq!(text_of(&[pair, x_between, &halves].map(unhex)), "a\u{fffd}X\u{fffd}b");
    assert_eq!(text_of(&[pair, x_between, pair_and_more].map(unhex)), "a\u{fffd}X\u{fffd}bc");
    // What divides it comes with the halves.
    let with_x = format!("02010800c4070107020158{halves_and_more}00");
    assert_eq!(last(&[pair, &with_x]), Verdict::Logged);
    // Nothing divides it.
    assert_eq!(refusal(&[pair, &halves]), Reuse);
    // Whatever is divided is two replacement characters everywhere, also for whoever still has the pair.
    let typed = "01010700040107636f6e74656e740761efbfbdefbfbd00";
    assert_eq!(refusal(&[typed, pair_and_more]), Reuse);
    assert_eq!(last(&[typed, x_between, pair_and_more]), Verdict::Logged);
    // What divides it comes before it in an update.
    let together = "02010800c4070107020158010700040107636f6e74656e740561f09f988000";
    assert_eq!(last(&[together, &halves]), Verdict::Logged);
    assert_eq!(last(&[together, pair_and_more]), Verdict::Logged);
    // It is stored in halves.
    for divides in [x_between, second_half_deleted] {
        let doc = document(9);
        [pair, divides].iter().for_each(|update| apply(&doc, &unhex(update)));
        let mut gate = Gate::default();
        gate.history = History::of(&state(&doc)).unwrap();
        assert_eq!(gate.take(&unhex(pair_and_more)), Verdict::Logged);
    }
}

#[test]
fn groups_that_do_not_descend_are_refused() {
    let group = |client: u8| format!("01{client:02x}00040107636f6e74656e740161");
    assert_eq!(refusal(&[&format!("02{}{}00", group(1), group(2))]), Groups);
    assert_eq!(last(&[&format!("02{}{}00", group(2), group(1))]), Verdict::Logged);
}
