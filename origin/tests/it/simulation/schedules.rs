//! The orders of events that lose text in a straightforward server, one test each. Named after what they guard.

use shared::{
    limits, update,
    wire::link::{ChangeKind, HubMessage, OriginMessage},
};

use super::{World, store::Fault};

const FILE: &str = "src/main.js";

/// A room with two members in one region, open and at rest.
pub(super) fn two_members() -> (World, usize, usize) {
    let mut world = World::new(&[FILE], 2, 1);
    let (a, b) = (world.join(0, FILE, false), world.join(0, FILE, false));
    world.run();
    world.assert_converged(FILE);
    (world, a, b)
}

fn says(messages: &[HubMessage], kind: ChangeKind) -> usize {
    let is = |message: &&HubMessage| matches!(message, HubMessage::Update { kind: of, .. } if *of == kind);
    messages.iter().filter(is).count()
}

#[test]
fn schedule_1_a_hub_that_loses_its_memory_still_acknowledges_what_it_had_taken() {
    let (mut world, a, b) = two_members();
    world.clients[a].edit(0, Some("fanned out, then lost"));
    world.deliver_from(a);
    // The update is on its way up a dead link, and the memory goes.
    world.pipes.last_mut().unwrap().up.clear();
    world.evict(0);
    assert!(world.hubs[0].outbox.is_empty(), "it was neither logged nor stored: only its author has it");
    assert_eq!(world.clients[a].unsynced, 1);
    world.run();
    world.assert_converged(FILE);
    assert_eq!(world.clients[b].text(), "fanned out, then lost");
    assert_eq!(world.clients[a].status, (2, 0), "one for the opening, one for the edit");
}

#[test]
fn schedule_1_a_replayed_change_is_acknowledged_once_though_nobody_remembers_whose_it_was() {
    let (mut world, a, _) = two_members();
    world.cut(0);
    world.clients[a].edit(0, Some("in the outbox"));
    world.deliver_from(a);
    assert!(!world.hubs[0].outbox.is_empty(), "without a link it is stored before the turn ends");
    world.evict(0);
    world.run();
    world.assert_converged(FILE);
    assert_eq!(world.clients[a].status, (2, 0));
    assert!(world.hubs[0].outbox.is_empty(), "the row is forgotten");
}

#[test]
fn schedule_2_a_member_who_opens_a_file_gets_what_neighbours_have_in_flight() {
    let (mut world, a, _) = two_members();
    world.clients[a].edit(0, Some("logged, "));
    world.run();
    world.clients[a].edit(8, Some("in flight"));
    world.deliver_from(a);
    let held = std::mem::take(&mut world.pipes.last_mut().unwrap().up);
    let late = world.join(0, FILE, false);
    world.run();
    assert_eq!(world.logged_text(FILE), "logged, ", "the rest is not");
    assert_eq!(world.clients[late].text(), "logged, in flight");
    world.pipes.last_mut().unwrap().up.extend(held);
    world.run();
    world.assert_converged(FILE);
}

#[test]
fn schedule_3_an_opening_is_acknowledged_only_when_all_before_its_step2_is_logged() {
    let (mut world, a, _) = two_members();
    world.disconnect(a);
    world.clients[a].edit(0, Some("offline 1, "));
    world.clients[a].edit(20, Some("offline 2"));
    world.connect(a);
    // Everything reaches the hub, the log answers nothing.
    for _ in 0..50 {
        while world.deliver_from(a) | world.deliver_to(a) {}
        for pipe in 0..world.pipes.len() {
            world.deliver_up(pipe);
            world.deliver_down(pipe);
        }
    }
    assert_eq!(world.clients[a].unsynced, 1, "no acknowledgement while the log is silent");
    world.run();
    world.assert_converged(FILE);
    assert_eq!(world.clients[a].status, (1 + 3, 0), "one for the Step2, one for each Update since the Step1");
}

#[test]
fn schedule_3_a_step2_that_the_server_asked_for_cancels_no_edit_in_flight() {
    let (mut world, a, _) = two_members();
    let file = world.store.names.keys().next().unwrap().clone();
    let state_vector = bytes::Bytes::from_static(&[0]);
    // The origin asks all writers (as after a `missing`); then the client types.
    let asks = OriginMessage::Missing { channel: shared::id::ChannelId(1), file, hub_seq: 1, state_vector };
    world.hub_hears(0, asks);
    while world.deliver_to(a) {}
    world.clients[a].edit(0, Some("typed after the answer"));
    world.deliver_from(a);
    world.run();
    world.assert_converged(FILE);
    assert_eq!(world.clients[a].status, (2, 0), "the answer to the server's own Step1 is not counted");
}

#[test]
fn schedule_3_a_forced_synchronisation_begins_the_count_again() {
    let (mut world, a, _) = two_members();
    world.clients[a].edit(0, Some("first"));
    world.clients[a].step1();
    world.clients[a].edit(0, Some("second"));
    world.run();
    world.assert_converged(FILE);
    assert_eq!(world.clients[a].status, (1 + 2, 0), "what was in flight before the Step1 is in its Step2");
}

#[test]
fn schedule_4_a_step2_with_nothing_new_is_acknowledged_but_neither_logged_nor_sent_to_anybody() {
    let (mut world, a, _) = two_members();
    world.clients[a].edit(0, Some("some text"));
    world.clients[a].edit(3, None);
    world.run();
    let logged = world.store.log.len();
    for _ in 0..20 {
        let joiner = world.join(1, FILE, false);
        world.run();
        assert_eq!(world.clients[joiner].unsynced, 0);
    }
    assert_eq!(world.store.log.len(), logged, "twenty joiners, each with the whole delete set, log nothing");
}

#[test]
fn schedule_4_a_step2_with_offline_work_reaches_everybody() {
    let (mut world, b, _) = two_members();
    let (a, far) = (world.join(0, FILE, true), world.join(1, FILE, false));
    world.run();
    world.disconnect(a);
    world.clients[a].edit(0, Some("offline work"));
    world.connect(a);
    world.run();
    for member in [b, far] {
        assert_eq!(world.clients[member].text(), "offline work");
    }
}

#[test]
fn schedule_5_the_hub_refuses_what_the_origin_would_before_anybody_sees_it() {
    let (mut world, a, b) = two_members();
    let huge = "x".repeat(limits::FILE_BYTES + 1);
    world.clients[a].edit(0, Some(&huge));
    world.deliver_from(a);
    assert!(world.going_up(0).iter().all(|message| !matches!(message, HubMessage::Update { .. })));
    world.run();
    assert_eq!(world.clients[b].text(), "");
    assert_eq!(world.clients[a].closed, ["file-too-large"]);
}

#[test]
fn schedule_5_a_refusal_after_fan_out_leaves_nobody_to_type_on_top_of_it() {
    let (mut world, a, b) = two_members();
    world.clients[a].edit(0, Some("logged, "));
    world.run();
    world.clients[a].edit(0, Some("refused"));
    world.deliver_from(a);
    let Some(HubMessage::Update { channel, file, hub_seq, .. }) = world.going_up(0).pop() else {
        panic!("an update")
    };
    world.pipes.last_mut().unwrap().up.clear();
    world.hub_hears(0, OriginMessage::Refuse { channel, file, hub_seq, reason: "why".to_owned() });
    world.run();
    for member in [a, b] {
        assert_eq!(world.clients[member].closed, ["reset"], "everybody who got it starts over");
    }
}

#[test]
fn schedule_6_a_leavers_cursor_is_removed_by_a_hub_that_has_lost_its_memory() {
    let (mut world, a, b) = two_members();
    let far = world.join(1, FILE, false);
    world.clients[a].show(r#"{"user":"ann"}"#);
    world.run();
    world.clients[a].show(r#"{"user":"ann","cursor":7}"#);
    world.run();
    assert_eq!(world.clients[b].sees(), [1]);
    assert_eq!(world.clients[far].sees(), [1]);
    world.evict(0);
    world.disconnect(a);
    world.run();
    assert_eq!(world.clients[b].sees(), Vec::<u64>::new());
    assert_eq!(world.clients[far].sees(), Vec::<u64>::new());
}

#[test]
fn schedule_6_a_joiner_after_the_loss_sees_who_is_there() {
    let (mut world, a, _) = two_members();
    world.clients[a].show(r#"{"user":"ann"}"#);
    world.run();
    world.evict(0);
    let late = world.join(0, FILE, false);
    world.run();
    assert_eq!(world.clients[late].sees(), [1]);
}

#[test]
fn schedule_7_a_session_with_more_than_an_attachment_holds_comes_back_instead_of_being_guessed_at() {
    let (mut world, a, _) = two_members();
    for client in 1..=limits::AWARENESS_CLIENTS as u64 {
        world.clients[a].show_as(1 << 40 | client, client << 40, r#"{"user":"bot"}"#);
    }
    world.run();
    let snapshot = world.largest_snapshot(0);
    assert!(snapshot <= 12 << 10, "a snapshot of {snapshot} bytes fits an attachment");
    world.clients[a].edit(0, Some("before the loss"));
    world.deliver_from(a);
    world.evict(0);
    world.rest();
    world.assert_converged(FILE);
}

#[test]
fn schedule_9_a_handover_between_origins_loses_nothing_that_comes_down() {
    let mut world = World::new(&[FILE], 2, 2);
    let (a, b) = (world.join(0, FILE, false), world.join(1, FILE, false));
    world.run();
    // The first hub's link ends, the second region types, then another origin dials.
    world.hubs[0].origin = 1;
    world.cut(0);
    world.clients[b].edit(0, Some("typed between two links"));
    world.deliver_from(b);
    world.deliver_up(1);
    world.answer(1);
    assert_eq!(world.logged_text(FILE), "typed between two links");
    world.pass(1_000);
    world.run();
    assert_eq!(world.clients[a].text(), "typed between two links");
    world.assert_converged(FILE);
}

#[test]
fn schedule_9_a_hub_that_does_not_know_how_far_it_has_read_gets_every_open_document_whole() {
    let mut world = World::new(&[FILE], 2, 1);
    let (a, b) = (world.join(0, FILE, false), world.join(1, FILE, false));
    world.run();
    world.clients[b].edit(0, Some("lost on the way down"));
    world.deliver_from(b);
    let up = world.pipes.len() - 1;
    world.deliver_up(up);
    world.answer(0);
    // It was sent to the first hub, which loses link and memory before it arrives.
    assert!(!world.going_down(0).is_empty());
    world.cut(0);
    world.evict(0);
    world.run();
    assert_eq!(world.clients[a].text(), "lost on the way down");
    world.assert_converged(FILE);
}

#[test]
fn schedule_13_a_replay_of_what_was_not_committed_is_not_taken_for_a_duplicate() {
    let (mut world, a, b) = two_members();
    world.store.faults.push_back(Fault::Refused);
    world.clients[a].edit(0, Some("refused at first"));
    world.run();
    assert_eq!(world.logged_text(FILE), "");
    assert_eq!(world.clients[a].unsynced, 1, "held is neither acknowledged nor refused");
    assert_eq!(world.clients[b].text(), "refused at first", "neighbours go on");
    world.rest();
    world.assert_converged(FILE);
    assert_eq!(world.logged_text(FILE), "refused at first");
}

#[test]
fn schedule_13_an_append_whose_answer_was_lost_is_neither_lost_nor_doubled() {
    let (mut world, a, _) = two_members();
    let room = world.join(0, ".room", false);
    world.run();
    world.store.faults.push_back(Fault::AnswerLost);
    world.clients[a].edit(0, Some("logged, unheard"));
    world.clients[room].stateless(r#"{"type":"chat","text":"once"}"#);
    world.deliver_from(a);
    world.deliver_from(room);
    world.rest();
    world.assert_converged(FILE);
    let changes = world.store.log.iter().filter(|entry| !entry.file.is_room()).count();
    let chats = world.clients[room].events.iter().filter(|event| event.contains(r#""text":"once""#)).count();
    assert_eq!((changes, chats), (1, 1));
}

#[test]
fn a_change_whose_dependencies_are_nowhere_stops_nobody_and_comes_back_with_its_author() {
    let (mut world, a, b) = two_members();
    world.clients[a].edit(0, Some("lost "));
    world.deliver_from(a);
    world.deliver_to(b);
    // The first edit is lost on the way up; the neighbour builds on it.
    world.pipes.last_mut().unwrap().up.clear();
    world.hubs[0].outbox.clear();
    world.clients[b].edit(5, Some("built on it"));
    world.run();
    world.rest();
    world.assert_converged(FILE);
    assert_eq!(world.logged_text(FILE), "lost built on it");
}

#[test]
fn an_update_is_checked_the_same_way_at_both_doors() {
    let hostile = [0xff_u8, 0xff, 0xff, 0xff, 0x0f];
    assert!(update::check(&hostile).is_err());
    let (mut world, a, b) = two_members();
    world.clients[a].send_update(&hostile);
    world.run();
    assert_eq!(world.clients[a].closed.len(), 1);
    assert_eq!(says(&world.going_up(0), ChangeKind::Update), 0);
    world.clients[b].edit(0, Some("goes on"));
    world.run();
    assert_eq!(world.logged_text(FILE), "goes on");
}

#[test]
fn chat_that_was_said_while_a_hub_was_away_reaches_it_though_the_log_was_trimmed() {
    let mut world = World::new(&[FILE], 2, 1);
    let (a, near) = (world.join(0, FILE, false), world.join(0, ".room", false));
    let (b, far) = (world.join(1, FILE, false), world.join(1, ".room", false));
    world.run();
    world.cut(0);
    world.hubs[0].asked = false;
    world.clients[far].stateless(r#"{"type":"chat","text":"are you there?"}"#);
    world.clients[b].edit(0, Some("typed meanwhile"));
    world.run();
    world.flush(FILE);
    world.rest();
    assert_eq!(world.clients[a].text(), "typed meanwhile");
    let heard = world.clients[near].events.iter().filter(|event| event.contains("are you there?")).count();
    assert_eq!(heard, 1);
}
