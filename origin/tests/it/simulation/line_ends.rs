//! Line ends of clients without Yjs: what comes in ends its lines with LF, and what is in the document stays as it is.

use super::{
    World,
    text_client::{a_pair, converged},
};

const FILE: &str = "src/main.js";

#[test]
fn line_ends_that_come_in_are_lf_and_change_nothing_by_themselves() {
    let (mut world, yjs, plain) = a_pair("one\ntwo\nthree\n");
    world.clients[yjs].edit(3, Some("!"));
    while world.deliver_from(yjs) {}
    // It knows nothing of the exclamation mark, and its line ends are others throughout.
    world.texts[plain].whole("one\r\ntwo\r\n2\rthree\r\n");
    assert_eq!(converged(&mut world), "one!\ntwo\n2\nthree\n");
    let brought = world.clients[yjs].brought;
    world.texts[plain].whole("one!\r\ntwo\r\n2\r\nthree\r\n");
    assert_eq!(converged(&mut world), "one!\ntwo\n2\nthree\n");
    assert_eq!(world.clients[yjs].brought, brought, "nothing was changed");
    assert_eq!(world.texts[plain].errors, [""; 0]);
}

#[test]
fn edits_in_flight_count_the_carriage_returns_that_their_author_has_sent() {
    let (mut world, yjs, plain) = a_pair("ab");
    world.texts[plain].edit(1, 0, "\r\n\r");
    world.texts[plain].edit(4, 0, "x");
    world.texts[plain].edit(2, 1, "");
    world.texts[plain].edit(0, 0, "<");
    while world.deliver_from_text(plain) {}
    world.clients[yjs].edit(2, Some("y"));
    let text = converged(&mut world);
    assert_eq!(text, "<a\n\nxby");
    world.texts[plain].edit(0, 1, "\r");
    world.run();
    world.texts[plain].edit(1, 0, "z");
    assert_eq!(converged(&mut world), "\nza\n\nxby");
    assert_eq!(world.texts[plain].errors, [""; 0]);
}

#[test]
fn carriage_returns_of_a_yjs_client_stay_whatever_line_ends_others_send() {
    let (mut world, yjs, plain) = a_pair("one\r\ntwo\rthree\n");
    let other = world.join_text(0, FILE);
    world.run();
    assert_eq!(world.texts[plain].text, "one\r\ntwo\rthree\n", "as it is in the document");
    world.texts[plain].whole("one\ntwo\n2\nthree\n");
    assert_eq!(converged(&mut world), "one\r\ntwo\r2\nthree\n");
    world.texts[other].edit(5, 0, "> ");
    world.clients[yjs].edit(0, Some("-"));
    assert_eq!(converged(&mut world), "-one\r\n> two\r2\nthree\n");
    assert_eq!(world.texts[other].errors, [""; 0]);
}

#[test]
fn what_comes_again_with_carriage_returns_makes_later_edits_stale_instead_of_misplacing_them() {
    let mut world = World::new(&[FILE], 2, 2);
    let plain = world.join_text(1, FILE);
    world.run();
    world.texts[plain].whole("abc");
    world.run();
    world.texts[plain].edit(0, 0, "\r\n\r\n");
    while world.deliver_from_text(plain) {}
    let pipe = world.hubs[1].link.unwrap();
    world.deliver_up(pipe);
    let first = world.hubs[1].origin;
    while world.answer(first) {}
    // It is logged, and the answer is lost with the link.
    world.hubs[1].origin = 1 - first;
    world.cut(1);
    world.texts[plain].edit(5, 0, "x");
    world.rest();
    assert_eq!(converged(&mut world), "\n\nabc");
    assert_eq!(world.texts[plain].errors, ["stale"]);
}
