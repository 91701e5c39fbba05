//! Sessions of every kind in one room: presence, events, rights, names.

use shared::grant::Role;

use super::World;

const FILE: &str = "src/main.js";

#[test]
fn awareness_appears_and_disappears_in_every_region_and_dialect() {
    for hosts in [1, 2] {
        awareness_appears_and_disappears(World::new(&[FILE], 2, hosts));
    }
}

fn awareness_appears_and_disappears(mut world: World) {
    let members = [world.join(0, FILE, false), world.join(0, FILE, true), world.join(1, FILE, false)];
    world.run();
    world.clients[members[0]].show(r#"{"user":"ann"}"#);
    world.run();
    for other in &members[1..] {
        assert_eq!(world.clients[*other].sees(), [1]);
    }
    let late = world.join(1, FILE, true);
    world.run();
    assert_eq!(world.clients[late].sees(), [1]);
    world.clients[members[0]].leave();
    world.run();
    for other in [members[1], members[2], late] {
        assert_eq!(world.clients[other].sees(), Vec::<u64>::new());
    }
}

#[test]
fn presence_of_a_region_that_does_not_come_back_ends() {
    let mut world = World::new(&[FILE], 2, 1);
    let (a, b) = (world.join(0, FILE, false), world.join(1, FILE, false));
    world.run();
    world.clients[a].show(r#"{"user":"ann"}"#);
    world.run();
    assert_eq!(world.clients[b].sees(), [1]);
    world.cut(0);
    world.hubs[0].asked = false;
    world.pass(5_000);
    world.hubs[0].asked = false;
    world.pass(6_000);
    while world.deliver_down(1) {}
    while world.deliver_to(b) {}
    assert_eq!(world.clients[b].sees(), Vec::<u64>::new());
}

#[test]
fn chat_reaches_every_member_once_and_in_one_order() {
    let mut world = World::new(&[FILE], 2, 2);
    let members =
        [world.join(0, ".room", false), world.join(0, ".room", false), world.join(1, ".room", false)];
    world.run();
    for (at, member) in members.iter().enumerate() {
        world.clients[*member].stateless(&format!(r#"{{"type":"chat","text":"message {at}"}}"#));
    }
    world.run();
    let chats = |world: &World, member: usize| {
        let is_chat = |event: &&String| event.contains(r#""type":"chat""#);
        world.clients[member].events.iter().filter(is_chat).cloned().collect::<Vec<_>>()
    };
    let first = chats(&world, members[0]);
    assert_eq!(first.len(), 3);
    for member in &members[1..] {
        assert_eq!(chats(&world, *member), first);
    }
}

#[test]
fn visible_files_and_broadcasts_reach_the_others_and_a_late_member() {
    for hosts in [1, 2] {
        visible_files_and_broadcasts_reach_the_others(World::new(&[FILE], 2, hosts));
    }
}

fn visible_files_and_broadcasts_reach_the_others(mut world: World) {
    let members =
        [world.join(0, ".room", false), world.join(0, ".room", false), world.join(1, ".room", false)];
    world.run();
    world.clients[members[0]].stateless(r#"{"type":"visible-files","files":["src/main.js"]}"#);
    let data = r#"{ "z":3.9285714285714293, "a":[1e400,"\ud800"] }"#;
    world.clients[members[0]].stateless(&format!(r#"{{"data":{data},"type":"broadcast"}}"#));
    world.run();
    let seen = |world: &World, member: usize, what: &str| {
        world.clients[member].events.iter().filter(|event| event.contains(what)).count()
    };
    for other in &members[1..] {
        assert_eq!(seen(&world, *other, "visible-files"), 1);
        assert_eq!(seen(&world, *other, "broadcast"), 1);
        assert_eq!(seen(&world, *other, data), 1, "byte for byte");
    }
    assert_eq!(seen(&world, members[0], "broadcast"), 0, "no echo");
    assert!(world.store.log.is_empty(), "neither is logged");
    let late = world.join(1, ".room", false);
    world.run();
    assert_eq!(seen(&world, late, "visible-files"), 1);
}

#[test]
fn a_viewer_reads_and_is_told_that_nothing_is_taken() {
    let mut world = World::new(&[FILE], 1, 1);
    let editor = world.join(0, FILE, false);
    world.run();
    world.role = Role::Viewer;
    let viewer = world.join(0, FILE, false);
    world.clients[editor].edit(0, Some("for all to read"));
    world.run();
    assert_eq!(world.clients[viewer].text(), "for all to read");
    assert_eq!(world.clients[viewer].unsynced, 0, "a Step2 with nothing new is acknowledged");
    world.clients[viewer].edit(0, Some("not for all"));
    world.run();
    assert_eq!(world.clients[viewer].status, (1, 1));
    world.clients[viewer].step1();
    world.run();
    assert_eq!(world.clients[viewer].status, (1, 2), "the Step2 brings it again and is refused again");
    assert_eq!(world.clients[editor].text(), "for all to read");
    assert_eq!(world.logged_text(FILE), "for all to read");
}

#[test]
fn a_path_that_does_not_exist_becomes_one_file_for_both_regions() {
    let mut world = World::new(&[FILE], 2, 2);
    let (a, b) = (world.join(0, "src/new.js", false), world.join(1, "src/new.js", false));
    world.run();
    world.clients[a].edit(0, Some("a"));
    world.clients[b].edit(0, Some("b"));
    world.run();
    assert_eq!(world.clients[a].text().len(), 2);
    assert_eq!(world.clients[a].text(), world.clients[b].text());
    world.assert_converged("src/new.js");
    assert_eq!(world.store.names.len(), 2);
}

#[test]
fn bad_paths_and_case_twins_are_refused_with_the_reason() {
    let mut world = World::new(&[FILE], 1, 1);
    for (path, reason) in
        [("../etc/passwd", "bad-path"), ("SRC/main.js", "path-differs-in-case"), ("a//b", "bad-path")]
    {
        let member = world.join(0, path, false);
        world.run();
        assert_eq!(world.clients[member].denied, [reason], "{path}");
    }
}

#[test]
fn members_keep_typing_while_the_origin_is_away_and_all_of_it_is_logged_once() {
    let mut world = World::new(&[FILE], 2, 1);
    let members = [world.join(0, FILE, false), world.join(0, FILE, true), world.join(0, FILE, false)];
    let far = world.join(1, FILE, false);
    world.run();
    world.cut(0);
    for round in 0..100 {
        world.clients[members[round % 3]].edit(round, Some("x"));
        while world.deliver_from(members[round % 3]) {}
        for member in members {
            while world.deliver_to(member) {}
        }
    }
    assert_eq!(world.clients[members[0]].text().len(), 100, "neighbours see each other");
    assert_eq!(world.clients[far].text(), "");
    let before = world.store.log.len();
    world.rest();
    world.assert_converged(FILE);
    assert_eq!(world.clients[far].text().len(), 100);
    assert_eq!(world.store.log.len() - before, 100, "in order, once");
}

#[test]
fn a_healthy_run_reads_the_log_back_for_nobody() {
    let mut world = World::new(&[FILE], 2, 2);
    let members: Vec<usize> = (0..4).map(|at| world.join(at % 2, FILE, false)).collect();
    world.run();
    for round in 0..200 {
        world.clients[members[round % 4]].edit(round * 7, Some("y"));
        world.run();
    }
    world.assert_converged(FILE);
    let backfills: u64 = world.hosts.iter_mut().map(|host| host.room.counts().backfills).sum();
    assert_eq!(backfills, 0);
}

#[test]
fn a_room_that_is_populated_again_serves_a_hub_whose_link_has_stayed() {
    let mut world = World::new(&[FILE], 2, 1);
    let members = [world.join(0, FILE, false), world.join(0, FILE, false), world.join(1, FILE, false)];
    world.run();
    for round in 0..5 {
        world.clients[members[round % 3]].edit(0, Some("z"));
    }
    world.run();
    world.flush(FILE);
    for member in members {
        world.clients[member].leave();
    }
    world.run();
    assert!(world.hubs[0].link.is_some(), "the sockets are still there, and so is the link");
    world.populate_again(0);
    for member in members {
        world.clients[member].connected();
    }
    world.run();
    world.clients[members[2]].edit(0, Some("after"));
    world.run();
    for member in members {
        assert_eq!(world.clients[member].text(), "afterzzzzz");
    }
    assert_eq!(world.logged_text(FILE), "afterzzzzz");
}

#[test]
fn an_origin_that_opens_the_room_later_learns_who_is_there_from_the_others() {
    let mut world = World::new(&[FILE], 2, 2);
    let (a, seen) = (world.join(0, FILE, false), world.join(0, ".room", false));
    world.run();
    world.clients[a].show(r#"{"user":"ann"}"#);
    world.clients[seen].stateless(r#"{"type":"visible-files","files":["src/main.js"]}"#);
    world.run();
    world.begin_again(1);
    let (b, late) = (world.join(1, FILE, false), world.join(1, ".room", false));
    world.run();
    assert_eq!(world.clients[b].sees(), [1]);
    assert!(world.clients[late].events.iter().any(|event| event.contains("visible-files")));
}

#[test]
fn members_of_an_origin_that_died_are_gone_within_a_minute() {
    let mut world = World::new(&[FILE], 2, 2);
    let (a, b) = (world.join(0, FILE, false), world.join(1, FILE, false));
    world.run();
    world.clients[a].show(r#"{"user":"ann"}"#);
    world.run();
    assert_eq!(world.clients[b].sees(), [1]);
    // The first origin and its region fall silent: nobody says goodbye.
    for _ in 0..60 {
        world.now += 1_000;
        world.hosts[1].room.tick(world.now);
        world.hub_ticks(1);
        world.run_only(1, b);
    }
    assert_eq!(world.clients[b].sees(), Vec::<u64>::new());
}

#[test]
fn an_answer_that_overtakes_what_others_have_logged_waits_for_it_instead_of_reading_the_log() {
    let mut world = World::new(&[FILE], 2, 2);
    let (a, b) = (world.join(0, FILE, false), world.join(1, FILE, false));
    world.run();
    world.clients[a].edit(0, Some("a"));
    world.clients[b].edit(0, Some("b"));
    for member in [a, b] {
        world.deliver_from(member);
    }
    for pipe in 0..world.pipes.len() {
        while world.deliver_up(pipe) {}
    }
    // Both have appended; the second one hears of its own change first.
    assert!(world.answer(0) && world.answer(1));
    assert_eq!(world.hosts[1].room.position().seq, 0, "not before what was logged first");
    world.run();
    world.assert_converged(FILE);
    let backfills: u64 = world.hosts.iter_mut().map(|host| host.room.counts().backfills).sum();
    assert_eq!(backfills, 0);
}

#[test]
fn what_others_have_logged_and_nobody_publishes_is_read_from_the_log() {
    let mut world = World::new(&[FILE], 2, 2);
    let (a, b) = (world.join(0, FILE, false), world.join(1, FILE, false));
    world.run();
    world.clients[a].edit(0, Some("never published"));
    world.deliver_from(a);
    world.run_only(0, a);
    assert!(world.answer(0));
    world.store.published.get_mut(&1).unwrap().clear();
    world.clients[b].edit(0, Some("and "));
    world.run();
    world.pass(1_000);
    world.run();
    world.assert_converged(FILE);
    let backfills: u64 = world.hosts.iter_mut().map(|host| host.room.counts().backfills).sum();
    assert_eq!(backfills, 1, "once, and counted");
}

#[test]
fn members_are_told_when_the_archive_falls_behind_and_when_it_has_caught_up() {
    let mut world = World::new(&[FILE], 2, 2);
    let (a, room) = (world.join(0, FILE, false), world.join(0, ".room", false));
    let there = world.join(1, ".room", false);
    world.run();
    let told = |world: &World, what: &str| {
        [room, there].map(|member| world.clients[member].events.iter().filter(|it| it.contains(what)).count())
    };
    let (behind, caught_up) = (r#""state":"behind""#, r#""state":"caught-up""#);
    world.clients[a].edit(0, Some("x"));
    world.run();
    world.pass(19_999);
    world.run();
    assert_eq!(told(&world, behind), [0, 0]);
    world.pass(1);
    world.run();
    assert_eq!(told(&world, behind), [1, 1], "in every region");
    world.pass(20_000);
    world.run();
    assert_eq!(told(&world, behind), [2, 2], "again, for those who have come since");

    let id = world.store.names.iter().find(|(_, path)| path.as_str() == FILE).unwrap().0.clone();
    let stored = |world: &World, seq: u64| {
        let file = format!(r#"{{"id":"{id}","path":"{FILE}","seq":{seq},"at":1}}"#);
        format!(r#"{{"type":"stored","epoch":{},"files":[{file}]}}"#, world.store.position.epoch.0)
    };
    world.clients[a].edit(0, Some("y"));
    world.run();
    let note = stored(&world, 1);
    world.store.announce(note.into());
    world.run();
    assert_eq!(told(&world, caught_up), [1, 1], "what is left is new");
    let note = stored(&world, 2);
    world.store.announce(note.into());
    world.run();
    world.pass(60_000);
    world.run();
    assert_eq!((told(&world, behind), told(&world, caught_up)), ([2, 2], [1, 1]), "and nothing is left");
}

#[test]
fn who_comes_to_a_hub_that_was_empty_gets_a_document_once() {
    let text = "a text of some length ".repeat(100);
    for new_epoch in [false, true] {
        let mut world = World::new(&[FILE], 2, 1);
        let (a, b) = (world.join(0, FILE, false), world.join(1, FILE, false));
        world.run();
        world.disconnect(a);
        world.run();
        world.clients[b].edit(0, Some(&text));
        world.run();
        if new_epoch {
            world.store.empty();
            world.begin_epoch();
            world.run();
        }
        let late = world.join(0, FILE, false);
        world.run();
        assert_eq!(world.clients[late].text(), text);
        assert!(world.clients[late].brought < text.len() * 3 / 2, "{} bytes", world.clients[late].brought);
    }
}
