//! What a room store has lost: the room begins again, and what it held beyond the archive returns.

use origin::store::StoreError;
use shared::close::CloseCode;

use super::{World, schedules::two_members, store::Fault};

const FILE: &str = "src/main.js";

#[test]
fn a_room_store_that_was_emptied_is_joined_again_instead_of_being_waited_for() {
    let (mut world, a, _) = two_members();
    world.store.faults.push_back(Fault::Refused);
    world.clients[a].edit(0, Some("kept by its author"));
    world.run();
    let room = &mut world.hosts[0].room;
    assert!(!room.is_stale(), "a store that takes nothing is waited for");
    room.caught_up(Err(StoreError::Cold), world.now);
    assert!(room.is_stale());
}

#[test]
fn a_store_that_takes_nothing_for_minutes_costs_no_link_and_all_that_was_typed_is_logged_afterwards() {
    let (mut world, a, b) = two_members();
    let told = world.join(0, ".room", false);
    world.run();
    let links = world.pipes.len();
    let mut typed = String::new();
    for _ in 0..120 {
        world.store.faults.resize(8, Fault::Refused);
        world.clients[a].edit(typed.len(), Some("x"));
        typed.push('x');
        world.run();
        world.pass(1_000);
    }
    assert_eq!(world.logged_text(FILE), "");
    assert_eq!(world.clients[b].text(), typed, "neighbours go on");
    assert!(world.clients[told].events.iter().any(|event| event.contains(r#""type":"hold""#)));
    assert!(world.hubs[0].dropped.is_empty() && !world.hubs[0].asked, "{:?}", world.hubs[0].dropped);
    assert_eq!(world.pipes.len(), links, "nobody was asked to dial");
    world.store.faults.clear();
    world.rest();
    assert_eq!(world.pipes.len(), links);
    world.assert_converged(FILE);
    assert_eq!(world.logged_text(FILE), typed);
}

#[test]
fn what_a_room_store_has_lost_returns_without_a_client_also_where_the_archive_has_what_it_builds_on() {
    let mut world = World::new(&[FILE], 2, 2);
    let (a, new) = (world.join(0, FILE, false), world.join(0, "new.js", false));
    world.run();
    world.clients[a].edit(0, Some("stored"));
    world.clients[new].edit(0, Some("never stored"));
    world.run();
    world.flush(FILE);
    world.run();
    world.clients[a].edit(6, Some(", logged"));
    world.run();
    for client in [a, new] {
        world.disconnect(client);
    }
    // What was stored already is not there either, and what was logged after it cannot be logged without it.
    world.store.lag();
    world.begin_epoch();
    world.run_origins();
    assert_eq!(world.logged_text(FILE), "stored, logged");
    assert_eq!(world.logged_text("new.js"), "never stored");
    world.lose_store();
    world.run_origins();
    assert_eq!(world.logged_text(FILE), "stored, logged");
    assert_eq!(world.logged_text("new.js"), "never stored");
    assert!(world.hosts[0].room.holds_unflushed());
    world.flush(FILE);
    world.flush("new.js");
    world.run_origins();
    assert!(world.hosts.iter().all(|host| !host.room.holds_unflushed()), "nothing is kept of what is stored");
}

#[test]
fn what_was_compacted_and_then_lost_returns_from_an_origin_that_has_only_read_it() {
    let mut world = World::new(&[FILE], 2, 2);
    let a = world.join(0, FILE, false);
    world.run();
    world.clients[a].edit(0, Some("stored"));
    world.run();
    world.flush(FILE);
    world.run();
    world.clients[a].edit(6, Some(", compacted"));
    world.run();
    world.compact(FILE);
    world.disconnect(a);
    // As if both had been killed and started again: they have nothing but what the room store has.
    for host in 0..2 {
        world.hosts[host].room.refuse(CloseCode::Deleted, "killed");
        world.begin_again(host);
        assert!(!world.hosts[host].room.holds_unflushed());
    }
    let reader = world.join(1, FILE, false);
    world.run();
    assert_eq!(world.clients[reader].text(), "stored, compacted");
    world.disconnect(reader);
    assert!(world.hosts[1].room.holds_unflushed());
    world.lose_store();
    world.run_origins();
    assert_eq!(world.logged_text(FILE), "stored, compacted");
}

#[test]
fn a_path_that_another_file_has_got_meanwhile_gets_the_text_of_the_one_that_was_lost() {
    let mut world = World::new(&[FILE], 2, 2);
    let a = world.join(0, "new.js", false);
    world.run();
    world.clients[a].edit(0, Some("lost"));
    world.run();
    world.disconnect(a);
    // The other origin, which knows nothing of it, is asked for the same path first.
    world.store.empty();
    let path = shared::id::FilePath::parse("new.js").unwrap();
    world.store.claim(&path, &shared::id::FileId::from_random(77));
    world.begin_epoch();
    world.run_origins();
    assert_eq!(world.logged_text("new.js"), "lost");
    let b = world.join(1, "new.js", false);
    world.run();
    assert_eq!(world.clients[b].text(), "lost");
}
