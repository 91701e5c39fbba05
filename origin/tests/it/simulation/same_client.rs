//! Two documents with one Yjs client id: a tab that was duplicated with what it had stored, or malice. What is
//! acknowledged is in the log, and whoever has something else is told.

use shared::{update::REUSE, wire::varint::Writer};

use super::{World, client::Client};

const FILE: &str = "src/main.js";

impl World {
    /// A second tab of a member, which has the first one's client id and all that it has.
    pub(crate) fn duplicate(&mut self, client: usize, hub: usize) -> usize {
        let Client { id, bare, ref name, .. } = self.clients[client];
        let name = name.clone();
        let at = self.invite_as(id, hub, &name, bare);
        let state = self.clients[client].whole();
        self.clients[at].apply(&state);
        self.connect(at);
        at
    }

    /// Another member, with the client id of somebody else.
    pub(crate) fn join_as(&mut self, client: usize, hub: usize) -> usize {
        let Client { id, bare, ref name, .. } = self.clients[client];
        let name = name.clone();
        let at = self.invite_as(id, hub, &name, bare);
        self.clients[at].member = u64::MAX;
        self.connect(at);
        at
    }
}

/// Two origins with a hub each. At the first hub a member who has typed, and a neighbour; at the second another one.
fn world() -> (World, usize, [usize; 2]) {
    let mut world = World::new(&[FILE], 2, 2);
    let first = world.join(0, FILE, false);
    let others = [world.join(0, FILE, false), world.join(1, FILE, false)];
    world.run();
    world.clients[first].edit(0, Some("abc"));
    world.run();
    world.assert_converged(FILE);
    (world, first, others)
}

/// The log has the text of one of the two; the other is told and owed what it will never get.
fn assert_one_of_them(world: &World, pair: [usize; 2], neighbours: &[usize]) -> usize {
    let told = |at: &usize| world.clients[*at].closed == [REUSE];
    let [loser] = pair.into_iter().filter(told).collect::<Vec<_>>()[..] else {
        panic!("one of them is told")
    };
    let winner = pair[0] + pair[1] - loser;
    assert!(world.clients[loser].unsynced > 0, "it never shows what was refused as saved");
    assert_eq!(world.clients[winner].unsynced, 0);
    assert_eq!(world.clients[winner].text(), world.logged_text(FILE));
    for client in neighbours {
        assert_eq!(world.clients[*client].text(), world.logged_text(FILE));
        assert_eq!(world.clients[*client].closed, Vec::<String>::new());
    }
    assert_ne!(world.clients[loser].text(), world.logged_text(FILE));
    loser
}

#[test]
fn a_second_tab_at_the_same_hub_is_told_and_nobody_sees_its_text() {
    let (mut world, first, others) = world();
    let second = world.duplicate(first, 0);
    world.run();
    world.clients[second].edit(0, Some("two"));
    world.deliver_from(second);
    world.clients[first].edit(0, Some("one"));
    world.deliver_from(first);
    world.run();
    // Those at that hub have seen what the first tab typed on, at once, and are brought back.
    assert_eq!(world.clients[others[0]].closed, ["reset"]);
    let loser = assert_one_of_them(&world, [first, second], &others[1..]);
    assert_eq!((loser, &*world.clients[second].closed), (first, &["reset".to_owned()][..]));
}

#[test]
fn a_second_tab_in_another_region_and_at_another_origin_is_told_at_the_same_moment() {
    let (mut world, first, others) = world();
    let second = world.duplicate(first, 1);
    world.run();
    world.clients[first].edit(0, Some("one"));
    world.clients[second].edit(0, Some("two"));
    // Both origins have validated theirs before either append is answered.
    for client in [first, second] {
        world.deliver_from(client);
    }
    for pipe in 0..world.pipes.len() {
        world.deliver_up(pipe);
    }
    world.answer(1);
    world.answer(0);
    world.run();
    let loser = assert_one_of_them(&world, [first, second], &others[1..]);
    assert_eq!(loser, first, "the other origin was first");
}

#[test]
fn whoever_reopens_with_a_new_document_goes_on() {
    let (mut world, first, _) = world();
    let second = world.duplicate(first, 1);
    world.run();
    world.clients[first].edit(0, Some("one"));
    world.clients[second].edit(0, Some("two"));
    world.deliver_from(second);
    world.pass(0);
    while world.deliver_up(1) | world.answer(1) {}
    world.run();
    assert_eq!(world.clients[first].closed, [REUSE]);
    world.disconnect(first);
    let again = world.join(0, FILE, false);
    world.run();
    world.clients[again].edit(0, Some("again "));
    world.run();
    assert_eq!(world.clients[again].text(), "again twoabc");
    assert_eq!(world.clients[again].unsynced, 0);
    assert_eq!(world.logged_text(FILE), "again twoabc");
}

#[test]
fn the_first_update_of_a_document_is_shown_when_it_is_logged_and_later_ones_at_once() {
    let mut world = World::new(&[FILE], 1, 1);
    let (writer, neighbour) = (world.join(0, FILE, false), world.join(0, FILE, false));
    world.run();
    let shown = |world: &mut World| {
        while world.deliver_to(neighbour) {}
        world.clients[neighbour].text()
    };
    world.clients[writer].edit(0, Some("a"));
    world.deliver_from(writer);
    world.clients[writer].edit(1, Some("b"));
    world.deliver_from(writer);
    assert_eq!(shown(&mut world), "", "it may be under clocks that are in use");
    world.run();
    assert_eq!(world.clients[neighbour].text(), "ab");
    world.clients[writer].edit(2, Some("c"));
    world.deliver_from(writer);
    assert_eq!(shown(&mut world), "abc");
    world.run();
    world.assert_converged(FILE);
    // Without an origin they go on together.
    world.cut(0);
    world.hubs[0].asked = false;
    let late = world.clients[writer].typed();
    world.clients[writer].edit(3, Some("d"));
    world.deliver_from(writer);
    assert_eq!((shown(&mut world), world.clients[writer].typed()), ("abcd".to_owned(), late + 1));
}

#[test]
fn what_waits_for_the_log_is_shown_when_the_link_is_lost() {
    let mut world = World::new(&[FILE], 1, 1);
    let (writer, neighbour) = (world.join(0, FILE, false), world.join(0, FILE, false));
    world.run();
    world.clients[writer].edit(0, Some("a"));
    world.deliver_from(writer);
    world.cut(0);
    while world.deliver_to(neighbour) {}
    assert_eq!(world.clients[neighbour].text(), "a");
    world.rest();
    world.assert_converged(FILE);
    assert_eq!(world.clients[neighbour].text(), "a", "once");
}

#[test]
fn a_laptop_that_changes_network_types_on_at_once_though_its_old_socket_is_half_open() {
    let (mut world, first, others) = world();
    // Nobody tells the first hub that it is gone; the same document comes to the other one.
    world.vanish(first);
    let home = &mut world.homes[first];
    *home = 1;
    world.connect(first);
    world.run();
    world.clients[first].edit(0, Some("on "));
    world.run();
    assert_eq!(world.clients[first].unsynced, 0);
    assert_eq!(world.logged_text(FILE), "on abc");
    for other in others {
        assert_eq!(world.clients[other].text(), "on abc");
    }
}

#[test]
fn what_somebody_else_types_under_ones_client_id_comes_behind_what_is_in_flight() {
    // At the owner's hub, and at one of another origin.
    for hub in [0, 1] {
        let (mut world, first, _) = world();
        let other = world.join_as(first, hub);
        world.run();
        // Theirs is first at the origin, and asked for again; the owner's is in flight.
        world.clients[other].edit(0, Some("theirs "));
        world.deliver_from(other);
        world.clients[first].edit(0, Some("mine "));
        world.run();
        world.pass(1_000);
        world.run();
        assert_eq!(world.logged_text(FILE), "mine abc", "hub {hub}");
        assert_eq!(world.clients[first].unsynced, 0);
        assert_eq!(world.clients[other].closed, [REUSE]);
    }
}

#[test]
fn deleted_text_that_somebody_else_brings_under_ones_client_id_is_deleted_for_all() {
    for (length, hub) in [(1, 0), (1, 1), (5, 0), (5, 1), (9, 0), (9, 1)] {
        let (mut world, first, others) = world();
        let other = world.join_as(first, hub);
        world.run();
        world.disconnect(other);
        let theirs = deleted_in_front(world.clients[first].id, 3, length);
        world.clients[other].apply(&theirs);
        // At the same moment.
        world.clients[first].edit(0, Some("mine "));
        world.connect(other);
        world.run();
        world.pass(1_000);
        world.run();
        let rest = "mine ".get(length as usize..).unwrap_or_default();
        assert_eq!(world.logged_text(FILE), format!("{rest}abc"), "{length} at hub {hub}");
        if world.clients[first].closed.is_empty() {
            world.clients[first].edit(0, Some("next "));
            world.run();
            assert_eq!(world.clients[first].unsynced, 0);
            assert_eq!(world.logged_text(FILE), format!("next {rest}abc"), "{length} at hub {hub}");
        } else {
            assert_eq!(world.clients[first].closed, [REUSE], "{length} at hub {hub}");
            assert!(world.clients[first].unsynced > 0);
        }
        for client in others {
            assert_eq!(world.clients[client].text(), world.logged_text(FILE));
        }
    }
}

/// Deleted text of a client in front of its first character.
fn deleted_in_front(client: u64, clock: u64, length: u64) -> Vec<u8> {
    let mut writer = Writer::default();
    for number in [1, 1, client, clock, 0x41, client, 0, length, 1, client, 1, clock, length] {
        writer.var(number);
    }
    writer.finish().to_vec()
}

#[test]
fn what_somebody_else_brings_of_a_client_is_taken_when_it_answers_a_question() {
    let (mut world, first, others) = world();
    world.disconnect(first);
    let other = world.join_as(first, 1);
    world.run();
    world.clients[other].edit(0, Some("brought "));
    world.run();
    world.pass(1_000);
    world.run();
    assert_eq!(world.logged_text(FILE), "brought abc");
    assert_eq!(world.clients[other].unsynced, 0);
    assert_eq!(world.clients[others[0]].text(), "brought abc");
}

#[test]
fn what_a_second_tab_typed_while_it_was_away_is_told_apart_whatever_its_length() {
    for text in ["same", "short", "and much longer than the other one"] {
        let (mut world, first, _) = world();
        let second = world.duplicate(first, 1);
        world.run();
        world.disconnect(second);
        world.clients[second].edit(0, Some(text));
        world.clients[first].edit(0, Some("other"));
        world.run();
        world.connect(second);
        world.run();
        assert_eq!(world.clients[second].closed, [REUSE], "{text}");
        assert_eq!(world.logged_text(FILE), "otherabc");
        assert!(world.clients[second].unsynced > 0, "{text} is never shown as saved");
    }
}

#[test]
fn a_question_does_not_divide_a_character() {
    let (mut world, first, _) = world();
    for length in 0..4 {
        world.clients[first].edit(0, Some(&"\u{1f600}".repeat(33)));
        world.clients[first].edit(0, Some(&"x".repeat(length)));
        world.run();
        world.disconnect(first);
        world.clients[first].edit(length, Some("typed while away \u{1f600}"));
        world.connect(first);
        world.run();
        world.assert_converged(FILE);
    }
}

#[test]
fn nobody_is_shown_what_builds_on_something_that_is_nowhere() {
    let (mut world, first, others) = world();
    // A deletion of what nobody has typed, and text beside it.
    for update in ["000109010005", "01010700840908017a00"] {
        world.clients[first].send_update(&unhex(update));
        world.run();
        world.pass(1_000);
        world.run();
    }
    world.clients[others[0]].edit(0, Some("goes on "));
    world.run();
    assert!(!world.clients[others[0]].is_pending());
    assert_eq!(world.clients[others[0]].unsynced, 0);
    assert_eq!(world.logged_text(FILE), "goes on abc");
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = |at| u8::from_str_radix(&text[at..at + 2], 16).unwrap();
    (0..text.len()).step_by(2).map(digits).collect()
}

#[test]
fn of_two_tabs_that_type_on_one_loses_all_and_the_other_nothing() {
    let (mut world, first, _) = world();
    let second = world.duplicate(first, 1);
    world.run();
    world.clients[second].edit(0, Some("B"));
    world.deliver_from(second);
    for pipe in 0..world.pipes.len() {
        world.deliver_up(pipe);
    }
    while world.answer(1) {}
    // It has heard nothing of that, and types one character after the other.
    for (at, text) in ["h", "e", "l", "l", "o"].into_iter().enumerate() {
        world.clients[first].edit(at, Some(text));
        world.deliver_from(first);
    }
    world.run();
    assert_eq!(world.clients[first].closed, [REUSE]);
    world.clients[second].edit(1, Some("C"));
    world.run();
    assert_eq!(world.logged_text(FILE), "BCabc");
    assert_eq!((world.clients[second].unsynced, world.clients[second].closed.len()), (0, 0));
}

#[test]
fn a_refusal_after_a_loss_of_memory_brings_back_those_who_may_have_seen_it() {
    let (mut world, first, others) = world();
    let second = world.duplicate(first, 1);
    world.run();
    world.cut(0);
    world.clients[first].edit(0, Some("one "));
    world.deliver_from(first);
    while world.deliver_to(others[0]) {}
    assert_eq!(world.clients[others[0]].text(), "one abc");
    world.evict(0);
    world.clients[second].edit(0, Some("two "));
    world.deliver_from(second);
    let pipe = world.hubs[1].link.unwrap();
    while world.deliver_up(pipe) | world.answer(1) {}
    world.run();
    assert_eq!(world.logged_text(FILE), "two abc");
    assert_eq!(world.clients[first].closed, [REUSE]);
    assert_eq!(world.clients[others[0]].closed, ["reset"]);
}
