//! Who is gone without a word is found out: clients by their hub, links by both ends, also by a hub that sleeps and
//! loses its memory between any two of its questions.

use super::World;

const FILE: &str = "src/main.js";
/// Clients renew what they show.
const RENEWAL_S: u64 = 15;
/// A hub that hears nothing for so long falls asleep.
const SLEEP_S: u64 = 11;

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Version4,
    Older,
    YWebsocket,
}

const KINDS: [Kind; 3] = [Kind::Version4, Kind::Older, Kind::YWebsocket];

fn join(world: &mut World, hub: usize, kind: Kind) -> usize {
    match kind {
        Kind::Version4 => world.join(hub, FILE, false),
        Kind::Older => world.join_old(hub, FILE),
        Kind::YWebsocket => world.join(hub, FILE, true),
    }
}

/// A second passes, in which everything arrives. Every so often these members renew what they show, and a hub that
/// sleeps was evicted.
fn second(world: &mut World, at: u64, showing: &[usize], sleeps: bool) {
    if at.is_multiple_of(RENEWAL_S) {
        for member in showing {
            world.clients[*member].show(r#"{"user":"there"}"#);
        }
    }
    if sleeps && at % SLEEP_S == SLEEP_S - 1 {
        for hub in 0..world.hubs.len() {
            world.evict(hub);
        }
    }
    world.run();
    world.pass(1_000);
    world.run();
}

#[test]
fn a_member_whose_socket_is_cut_without_a_close_is_gone_everywhere_within_a_minute() {
    for kind in KINDS {
        for (hosts, sleeps) in [(1, false), (2, false), (1, true), (2, true)] {
            let mut world = World::new(&[FILE], 2, hosts);
            let lost = join(&mut world, 0, kind);
            let others: Vec<usize> = [0, 1]
                .into_iter()
                .flat_map(|hub| KINDS.map(|kind| (hub, kind)))
                .map(|(hub, kind)| join(&mut world, hub, kind))
                .collect();
            let everybody: Vec<usize> = others.iter().copied().chain([lost]).collect();
            (0..40).for_each(|at| second(&mut world, at, &everybody, sleeps));
            let id = world.clients[lost].id;
            for other in &others {
                assert!(world.clients[*other].sees().contains(&id), "{kind:?} {hosts} {sleeps}");
            }
            world.vanish(lost);
            (0..60).for_each(|at| second(&mut world, at, &others, sleeps));
            for other in &others {
                assert!(!world.clients[*other].sees().contains(&id), "{kind:?} {hosts} {sleeps}");
                assert!(world.places[*other].is_some(), "who is there stays");
                assert_eq!(world.clients[*other].sees().len(), others.len() - 1);
            }
        }
    }
}

#[test]
fn a_quiet_client_of_any_kind_is_asked_and_stays_until_it_is_really_gone() {
    for kind in KINDS {
        for sleeps in [false, true] {
            let mut world = World::new(&[FILE], 1, 1);
            let (lost, stays) = (join(&mut world, 0, kind), join(&mut world, 0, kind));
            (0..200).for_each(|at| second(&mut world, at, &[], sleeps));
            assert!(world.places[lost].is_some() && world.places[stays].is_some(), "{kind:?} {sleeps}");
            world.vanish(lost);
            (0..60).for_each(|at| second(&mut world, at, &[], sleeps));
            assert_eq!(world.hubs[0].hub.stats().sessions, 1, "{kind:?} {sleeps}");
            assert!(world.places[stays].is_some());
        }
    }
}

#[test]
fn nobody_is_given_up_because_the_origin_is_away() {
    for kind in KINDS {
        for sleeps in [false, true] {
            let mut world = World::new(&[FILE], 1, 1);
            let member = join(&mut world, 0, kind);
            world.run();
            world.cut(0);
            for at in 0..200 {
                if sleeps && at % SLEEP_S == SLEEP_S - 1 {
                    world.evict(0);
                }
                world.pass(1_000);
                world.hubs[0].asked = false;
                world.run();
            }
            assert!(world.places[member].is_some(), "{kind:?} {sleeps}");
        }
    }
}

#[test]
fn a_hub_that_is_woken_again_and_again_keeps_its_clients_alive() {
    let mut world = World::new(&[FILE], 1, 1);
    let (renews, listens) = (world.join(0, FILE, false), world.join(0, FILE, true));
    world.run();
    let mut heard = 0;
    let mut silence = 0;
    for at in 0_u64..300 {
        if at.is_multiple_of(RENEWAL_S) {
            world.clients[renews].show(r#"{"user":"ann"}"#);
        }
        if at % SLEEP_S == SLEEP_S - 1 {
            world.evict(0);
        }
        // What others show is not sent to the one who shows it.
        let before = world.inboxes[renews].len();
        while world.deliver_from(renews)
            | world.deliver_from(listens)
            | world.deliver_up(0)
            | world.deliver_down(0)
        {}
        world.pass(1_000);
        let frames = world.inboxes[renews].len() - before;
        while world.deliver_to(renews) | world.deliver_to(listens) {}
        if frames > 0 {
            heard = at;
        }
        silence = silence.max(at - heard);
    }
    assert!(silence < 30, "a provider comes back after 30 s of silence; it was {silence} s");
}

#[test]
fn what_an_old_provider_repeats_of_others_does_not_become_its_own() {
    let mut world = World::new(&[FILE], 2, 1);
    let (old, stays) = (world.join_old(0, FILE), world.join(0, FILE, false));
    let (near, far) = (world.join(0, FILE, true), world.join(1, FILE, false));
    world.run();
    for member in [old, near, far] {
        world.clients[member].show(r#"{"user":"there"}"#);
    }
    world.run();
    // The hub no longer knows what the others show when the provider repeats it.
    (0..25).for_each(|at| second(&mut world, at, &[], at == 10));
    world.disconnect(old);
    world.run();
    let mut seen = world.clients[stays].sees();
    seen.sort_unstable();
    assert_eq!(seen, [world.clients[near].id, world.clients[far].id]);
}

#[test]
fn a_half_open_link_is_given_up_within_a_minute_even_if_nobody_types() {
    for sleeps in [false, true] {
        let mut world = World::new(&[FILE], 1, 2);
        let member = world.join(0, FILE, false);
        (0..100).for_each(|at| second(&mut world, at, &[], sleeps));
        assert!(world.hubs[0].dropped.is_empty(), "one that answers stays");
        // Nothing comes through any more, and neither end is told.
        let link = world.hubs[0].link.expect("a link");
        world.pipes[link].alive = false;
        world.hubs[0].origin = 1;
        (0..60).for_each(|at| second(&mut world, at, &[], sleeps));
        assert_eq!(world.hubs[0].dropped, ["no-answer"], "{sleeps}");
        let link = world.hubs[0].link.expect("another link");
        assert_eq!(world.pipes[link].origin, 1);
        world.clients[member].edit(0, Some("x"));
        world.rest();
        assert_eq!(world.clients[member].unsynced, 0);
    }
}

#[test]
fn a_link_that_never_brings_anything_is_asked_for_less_and_less() {
    let mut world = World::new(&[FILE], 1, 1);
    world.join(0, FILE, false);
    let mut dials = 0;
    for _ in 0..1_200 {
        while world.deliver_from(0) | world.deliver_to(0) {}
        if world.hubs[0].asked {
            dials += 1;
            world.dial(0);
            world.cut(0);
        }
        world.pass(100);
    }
    // In two minutes: doubled from 200 ms to 15 s, less up to half of that.
    assert!((8..20).contains(&dials), "{dials} dials");
    // One that breaks on what it brings is little better: every 1.6 to 3.2 s.
    dials = 0;
    for _ in 0..1_200 {
        while world.deliver_from(0) | world.deliver_to(0) {}
        if world.hubs[0].asked {
            dials += 1;
            world.dial(0);
            world.run();
            world.cut(0);
        }
        world.pass(100);
    }
    assert!((20..80).contains(&dials), "{dials} dials");
    world.rest();
    assert!(world.clients[0].synced, "and as soon as one does, all is well");
    world.cut(0);
    world.pass(100);
    assert!(world.hubs[0].asked, "and the next one is asked for at once");
}

/// The files that a client was last told a member looks at.
fn last_look(world: &World, client: usize) -> Option<&str> {
    let looks = world.clients[client].events.iter().rev().find(|event| event.contains("visible-files"))?;
    looks.split(r#""files":"#).nth(1)
}

#[test]
fn what_a_member_looks_at_ends_with_the_session_that_said_so() {
    for (hosts, sleeps) in [(1, false), (2, false), (1, true), (2, true)] {
        for is_cut in [false, true] {
            let mut world = World::new(&[FILE], 2, hosts);
            let leaves = world.join(0, ".room", false);
            let others = [world.join(0, ".room", false), world.join(1, ".room", false)];
            world.run();
            world.clients[leaves].stateless(r#"{"type":"visible-files","files":["src/main.js"]}"#);
            (0..15).for_each(|at| second(&mut world, at, &[], sleeps));
            for other in others {
                assert_eq!(last_look(&world, other), Some(r#"["src/main.js"]}"#));
            }
            // It is said again over a new link, also by a hub that was evicted.
            world.cut(0);
            world.run();
            let late = world.join(1, ".room", false);
            world.run();
            assert_eq!(last_look(&world, late), Some(r#"["src/main.js"]}"#), "{hosts} {sleeps} {is_cut}");
            if is_cut {
                world.vanish(leaves);
            } else {
                world.disconnect(leaves);
            }
            (0..60).for_each(|at| second(&mut world, at, &[], sleeps));
            for other in others.into_iter().chain([late]) {
                assert_eq!(last_look(&world, other), Some("[]}"), "{hosts} {sleeps} {is_cut}");
            }
            let later = world.join(1, ".room", false);
            world.run();
            assert_eq!(last_look(&world, later), None);
        }
    }
}

#[test]
fn what_members_of_a_region_look_at_ends_when_that_does_not_come_back() {
    for hosts in [1, 2] {
        let mut world = World::new(&[FILE], 2, hosts);
        let (lost, stays) = (world.join(0, ".room", false), world.join(1, ".room", false));
        world.run();
        world.clients[lost].stateless(r#"{"type":"visible-files","files":["src/main.js"]}"#);
        world.run();
        world.vanish(lost);
        world.hubs[0].sockets.clear();
        world.cut(0);
        for _ in 0..15 {
            world.pass(1_000);
            world.hubs[0].asked = false;
            world.run();
        }
        assert_eq!(last_look(&world, stays), Some("[]}"), "{hosts}");
    }
}

#[test]
fn who_leaves_while_the_link_is_down_is_gone_elsewhere_once_it_is_up() {
    for hosts in [1, 2] {
        let mut world = World::new(&[FILE], 2, hosts);
        let (leaves, looks) = (world.join(0, FILE, false), world.join(0, ".room", false));
        let stays = world.join(0, FILE, false);
        let (sees, hears) = (world.join(1, FILE, false), world.join(1, ".room", false));
        world.run();
        world.clients[leaves].show(r#"{"user":"ann"}"#);
        world.clients[stays].show(r#"{"user":"ben"}"#);
        world.clients[looks].stateless(r#"{"type":"visible-files","files":["src/main.js"]}"#);
        world.run();
        world.pass(1_000);
        world.cut(0);
        world.disconnect(leaves);
        world.disconnect(looks);
        (0..15).for_each(|at| second(&mut world, at + 1, &[], false));
        assert_eq!(world.clients[sees].sees(), [world.clients[stays].id], "{hosts}");
        assert_eq!(last_look(&world, hears), Some("[]}"), "{hosts}");
    }
}
