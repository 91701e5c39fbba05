//! A member whose connection is cut and who is back at once, with the same document: everybody sees the member again
//! before anything is renewed, in the same region and in another one.

use super::World;

const FILE: &str = "src/main.js";

/// What a client speaks.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Version4,
    Older,
    YWebsocket,
}

const KINDS: [Kind; 3] = [Kind::Version4, Kind::Older, Kind::YWebsocket];

fn join(world: &mut World, hub: usize, kind: Kind, name: &str) -> usize {
    match kind {
        Kind::Version4 => world.join(hub, name, false),
        Kind::Older => world.join_old(hub, name),
        Kind::YWebsocket => world.join(hub, name, true),
    }
}

/// How the connection ends, for the hub.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    /// At once.
    Known,
    /// The hub loses its memory besides.
    KnownAndForgotten,
    /// After the member has come back.
    Later,
    /// The hub loses its memory besides, before it hears of the end.
    LaterAndForgotten,
}

const CUTS: [Cut; 4] = [Cut::Known, Cut::KnownAndForgotten, Cut::Later, Cut::LaterAndForgotten];

/// A member of one region is cut off and comes back to a region; members of every kind are in both.
fn returns(kind: Kind, cut: Cut, to: usize, hosts: usize, name: &str) {
    let case = format!("{kind:?} {cut:?} to region {to} of {hosts} origins, {name}");
    let mut world = World::new(&[FILE], 2, hosts);
    let ann = join(&mut world, 0, kind, name);
    // A y-websocket does not open the room.
    let kinds = KINDS.into_iter().filter(|kind| name == FILE || *kind != Kind::YWebsocket);
    let others: Vec<usize> = [0, 1]
        .into_iter()
        .flat_map(|hub| kinds.clone().map(move |kind| (hub, kind)))
        .map(|(hub, kind)| join(&mut world, hub, kind, name))
        .collect();
    world.run();
    for member in others.iter().chain([&ann]) {
        world.clients[*member].show(r#"{"user":"there"}"#);
    }
    world.run();
    let id = world.clients[ann].id;
    let sees =
        |world: &World| others.iter().filter(|other| world.clients[**other].sees().contains(&id)).count();
    assert_eq!(sees(&world), others.len(), "{case}");
    let clock = world.clients[ann].clock();

    let (hub, old) = world.vanish(ann).expect("a member who is there");
    if matches!(cut, Cut::Known | Cut::KnownAndForgotten) {
        world.end_socket(hub, old);
        world.run();
        assert_eq!(sees(&world), 0, "{case}");
    }
    if cut == Cut::KnownAndForgotten {
        world.evict(to);
    }
    world.homes[ann] = to;
    world.connect(ann);
    world.run();
    if cut == Cut::LaterAndForgotten {
        world.evict(hub);
    }
    if matches!(cut, Cut::Later | Cut::LaterAndForgotten) {
        assert_eq!(sees(&world), others.len(), "{case}");
        world.end_socket(hub, old);
        world.run();
    }
    assert_eq!(sees(&world), others.len(), "{case}");
    // What providers before 4 show once they see others may be an echo.
    if to == hub && cut == Cut::Later && kind == Kind::Version4 {
        assert_eq!(world.clients[ann].clock(), clock, "nobody was told that it had gone: {case}");
    }
    assert!(world.clients[ann].clock() <= clock + 2, "it was told no more than it must be: {case}");

    // And when it goes for good, it is gone.
    world.disconnect(ann);
    world.run();
    assert_eq!(sees(&world), 0, "{case}");
    for other in &others {
        assert_eq!(world.clients[*other].sees().len(), others.len() - 1, "{case}");
    }
}

#[test]
fn a_member_who_comes_back_at_once_is_seen_by_all_in_the_same_region_and_in_another() {
    for kind in KINDS {
        for cut in CUTS {
            for to in [0, 1] {
                for hosts in [1, 2] {
                    returns(kind, cut, to, hosts, FILE);
                }
            }
        }
    }
}

#[test]
fn so_is_one_who_comes_back_to_the_room_itself() {
    for kind in [Kind::Version4, Kind::Older] {
        for cut in CUTS {
            returns(kind, cut, 0, 1, ".room");
            returns(kind, cut, 1, 2, ".room");
        }
    }
}
