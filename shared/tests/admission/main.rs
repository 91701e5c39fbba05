//! How a hub lets sessions in, keeps them at the door and shows them out, with time as a parameter.

#![expect(clippy::unwrap_used, reason = "what a test cannot read ends it")]

mod door;

use shared::{
    close::CloseCode,
    grant::{Grant, Member, Role, Rule},
    hub::{Denial, Dialect, Effect, Frame, Hub, Persisted},
    limits,
    path_pattern::PathPattern,
    token::TokenError,
    wire::{
        hocuspocus::ClientMessage,
        link::HubMessage,
        yjs::{self, SyncMessage, YMessage},
    },
};

use self::door::{Door, T0, costs_nothing, grant, settings};

#[test]
fn a_guest_costs_nothing_and_is_shown_out_after_10_s() {
    let mut door = Door::hocuspocus();
    door.say("a.txt", &ClientMessage::Sync(SyncMessage::Step1(&[0])));
    assert_eq!(door.hub.next_tick(), Some(T0 + 10_000));
    door.pass(9_999);
    assert_eq!(door.closed(), None);
    door.pass(1);
    assert_eq!(door.closed(), Some((4401, "no-token")));
    assert!(costs_nothing(&door));
    assert_eq!(door.hub.next_tick(), None);
}

#[test]
fn a_refused_token_may_be_followed_by_a_good_one_on_the_same_socket() {
    let mut door = Door::hocuspocus();
    door.show("a.txt", "bad");
    door.validate(Err(TokenError::Signature.into()));
    assert_eq!(door.told(), ["a.txt denied wrong-signature"]);
    assert!(costs_nothing(&door));
    door.show("a.txt", "good");
    assert_eq!(door.asked(), ["bad", "good"]);
    door.validate(Ok(grant(Role::Editor, T0 + 60_000)));
    assert!(door.seen.contains(&Effect::Dial) && door.hub.has_members());
    door.pass(10_000);
    assert_eq!(door.closed(), None);
}

#[test]
fn a_member_who_comes_too_often_is_told_to_come_back_later() {
    let mut door = Door::hocuspocus();
    door.show("a.txt", "good");
    door.validate(Err(Denial { code: CloseCode::RateLimited, reason: "rate-limited".to_owned() }));
    assert_eq!(door.closed(), Some((4529, "rate-limited")));
    assert!(costs_nothing(&door));
}

#[test]
fn who_shows_no_good_token_in_10_s_is_told_why_the_last_was_refused() {
    let mut door = Door::hocuspocus();
    door.show("a.txt", "old");
    door.validate(Err(TokenError::Expired.into()));
    door.pass(10_000);
    assert_eq!(door.closed(), Some((4401, "token-expired")));
}

#[test]
fn a_stock_provider_may_send_all_of_a_thousand_documents_before_its_token_is_verified() {
    let names = || (0..1000).map(|at| format!("src/components/{at}.tsx")).chain([".room".to_owned()]);
    for token_for_each in [false, true] {
        let mut door = Door::hocuspocus();
        for name in names() {
            let of = if token_for_each { name.as_str() } else { "" };
            door.show(&name, &format!("{}{of}", "t".repeat(500)));
        }
        for name in names() {
            door.say(&name, &ClientMessage::Sync(SyncMessage::Step1(&[0])));
            door.say(&name, &ClientMessage::Awareness(&[0; 200]));
        }
        assert_eq!(door.closed(), None, "a token for each: {token_for_each}");
        for _ in 0..if token_for_each { 1001 } else { 1 } {
            door.validate(Ok(grant(Role::Editor, T0 + 60_000)));
        }
        door.link();
        let scopes = door.told().iter().filter(|told| told.ends_with("read-write")).count();
        assert_eq!((scopes, door.closed()), (1001, None));
        door.show("one.txt", "");
        assert_eq!(door.told(), ["one.txt denied too-many-documents"]);
    }
}

#[test]
fn who_leaves_more_waiting_than_a_guest_may_is_closed_when_the_first_token_is_refused() {
    let mut door = Door::hocuspocus();
    door.show("a.txt", "bad");
    for _ in 0..10 {
        door.say("b.txt", &ClientMessage::Awareness(&[0; 10_000]));
    }
    assert_eq!(door.closed(), None);
    door.validate(Err(TokenError::Signature.into()));
    assert_eq!(door.closed(), Some((4401, "wrong-signature")));
    assert!(costs_nothing(&door));
    let mut door = Door::hocuspocus();
    door.show("a.txt", "bad");
    for _ in 0..110 {
        door.say("b.txt", &ClientMessage::Awareness(&[0; 10_000]));
    }
    assert_eq!(door.closed(), Some((4529, "too-much-before-open")));
}

#[test]
fn a_guest_may_leave_64_kb_waiting_tokens_included() {
    let mut door = Door::hocuspocus();
    door.show("a.txt", "bad");
    door.validate(Err(TokenError::Signature.into()));
    door.asked();
    door.show("a.txt", "first");
    for at in 0..14 {
        door.show(&format!("{at}.txt"), &format!("{at}{}", "t".repeat(4_000)));
        door.say(&format!("{at}.txt"), &ClientMessage::Awareness(&[0; 200]));
    }
    assert_eq!(door.closed(), None);
    assert_eq!(door.asked(), ["first"], "one at a time");
    door.show("last.txt", &"u".repeat(4_000));
    door.say("last.txt", &ClientMessage::Awareness(&[0; 2_000]));
    assert_eq!(door.closed(), Some((4529, "too-much-before-open")));
    assert!(costs_nothing(&door));
}

#[test]
fn documents_that_open_with_one_token_cost_one_verification() {
    let mut door = Door::hocuspocus();
    for at in 0..500 {
        door.show(&format!("{at}.txt"), &"t".repeat(4_000));
    }
    assert_eq!(door.asked().len(), 1);
    door.validate(Ok(grant(Role::Editor, T0 + 60_000)));
    door.show("later.txt", &"t".repeat(4_000));
    door.show("empty.txt", "");
    assert_eq!(door.asked(), Vec::<String>::new());
    door.hub.link_up(T0);
    door.look();
    assert_eq!(
        door.said_to_origin(|message| matches!(message, HubMessage::Open { .. }).then_some(())).len(),
        502
    );
    let tokens = door.said_to_origin(|message| matches!(message, HubMessage::Token { .. }).then_some(()));
    assert_eq!(tokens.len(), 1, "the origin sees it once");
}

#[test]
fn an_oversized_token_is_refused_unverified() {
    let mut door = Door::hocuspocus();
    door.show("a.txt", &"t".repeat(limits::TOKEN_BYTES + 1));
    assert_eq!(door.told(), ["a.txt denied token-too-long"]);
    assert_eq!(door.asked(), Vec::<String>::new());
    let large = "t".repeat(limits::TOKEN_BYTES + 1);
    let mut plain = Door::open(Dialect::YWebsocket { document: "a.txt".into() }, Some(&large));
    plain.validate(Err(TokenError::TooLong.into()));
    assert_eq!(plain.closed(), Some((4401, "token-too-long")));
}

#[test]
fn a_y_websocket_with_a_bad_token_is_closed_with_its_code() {
    for (error, code) in [(TokenError::Absent, 4401), (TokenError::Expired, 4401), (TokenError::Room, 4403)] {
        let mut door = Door::open(Dialect::YWebsocket { document: "a.txt".into() }, None);
        door.validate(Err(error.into()));
        assert_eq!(door.closed(), Some((code, error.word())));
    }
}

#[test]
fn the_end_of_its_token_ends_a_session_and_a_new_token_prolongs_it() {
    let mut door = Door::hocuspocus();
    door.show("a.txt", "first");
    door.validate(Ok(grant(Role::Editor, T0 + 150_000)));
    door.link();
    door.pass(89_999);
    assert!(!door.told().contains(&"a.txt token?".to_owned()));
    door.pass(1);
    assert!(
        door.told().contains(&"a.txt token?".to_owned()),
        "asked a minute before the end, or at half time"
    );
    door.show("a.txt", "second");
    door.validate(Ok(grant(Role::Editor, T0 + 250_000)));
    door.pass(100_000);
    assert_eq!(door.closed(), None);
    let told = door.told();
    assert_eq!(told.iter().filter(|told| *told == "a.txt token?").count(), 1, "{told:?}");
    door.show("a.txt", "second");
    assert_eq!(door.asked(), ["first", "second"]);
    door.pass(60_000);
    assert_eq!(door.closed(), Some((4401, "token-expired")));
}

#[test]
fn a_client_whose_documents_wait_for_an_origin_is_asked_for_another_token_too() {
    let mut door = Door::hocuspocus();
    door.show("a.txt", "t");
    door.validate(Ok(grant(Role::Editor, T0 + 10_000)));
    door.pass(5_000);
    assert!(door.told().contains(&"a.txt token?".to_owned()));
}

#[test]
fn a_frame_after_the_end_is_not_taken_though_the_tick_is_late() {
    let mut door = Door::hocuspocus();
    door.show("a.txt", "t");
    door.validate(Ok(grant(Role::Editor, T0 + 1_000)));
    door.link();
    door.now = T0 + 1_000;
    door.say("a.txt", &ClientMessage::Sync(SyncMessage::Update(&[0, 0])));
    assert_eq!(door.closed(), Some((4401, "token-expired")));
    assert_eq!(door.hub.stats().unacknowledged, 0);
}

#[test]
fn a_verdict_that_comes_after_the_end_of_the_token_lets_nobody_in() {
    let mut door = Door::hocuspocus();
    door.show("a.txt", "t");
    door.now = T0 + 1_000;
    door.validate(Ok(grant(Role::Editor, T0 + 1_000)));
    assert_eq!(door.told(), ["a.txt denied token-expired"]);
    assert!(costs_nothing(&door));
}

#[test]
fn a_new_token_with_another_role_changes_every_document_of_the_session() {
    let mut door = Door::hocuspocus();
    for key in [".room", "a.txt"] {
        door.show(key, "editor");
    }
    door.validate(Ok(grant(Role::Editor, T0 + 900_000)));
    door.link();
    door.told();
    door.show(".room", "viewer");
    door.validate(Ok(grant(Role::Viewer, T0 + 900_000)));
    let told = door.told();
    for expected in [".room readonly", "a.txt readonly", r#".room {"type":"role","role":"viewer"}"#] {
        assert!(told.iter().any(|told| told == expected), "{told:?}");
    }
    door.say("a.txt", &ClientMessage::Sync(SyncMessage::Update(&[0, 0])));
    assert!(door.told().contains(&"a.txt status false".to_owned()));
}

#[test]
fn another_members_token_is_refused_on_a_socket_that_has_one() {
    let mut door = Door::hocuspocus();
    door.show("a.txt", "ann");
    door.validate(Ok(grant(Role::Viewer, T0 + 60_000)));
    door.show("b.txt", "ben");
    let member = Member { id: "ben".into(), name: "Ben".into() };
    door.validate(Ok(Grant { member, ..grant(Role::Owner, T0 + 60_000) }));
    assert_eq!(door.told(), ["b.txt denied another-member"]);
}

#[test]
fn a_bad_token_on_an_open_document_closes_that_document_only() {
    let mut door = Door::hocuspocus();
    for key in [".room", "a.txt"] {
        door.show(key, "good");
    }
    door.validate(Ok(grant(Role::Editor, T0 + 60_000)));
    door.link();
    door.told();
    door.show("a.txt", "forged");
    door.validate(Err(TokenError::Signature.into()));
    assert_eq!(door.told(), ["a.txt closed wrong-signature"]);
    assert_eq!(door.closed(), None);
}

#[test]
fn a_rule_for_its_path_makes_one_document_read_only() {
    let mut door = Door::hocuspocus();
    for key in ["docs/a.md", "src/a.rs"] {
        door.show(key, "t");
    }
    let rules = [Rule { paths: PathPattern::parse("docs/**").unwrap(), role: Role::Viewer }].into();
    door.validate(Ok(Grant { rules, ..grant(Role::Editor, T0 + 60_000) }));
    door.link();
    let told = door.told();
    assert!(
        told.contains(&"docs/a.md readonly".to_owned()) && told.contains(&"src/a.rs read-write".to_owned())
    );
}

#[test]
fn a_y_websocket_that_may_not_write_is_closed_with_4403_when_it_does() {
    let mut door = Door::open(Dialect::YWebsocket { document: "a.txt".into() }, Some("t"));
    door.validate(Ok(grant(Role::Viewer, T0 + 60_000)));
    door.link();
    let update = yjs::write_y(&YMessage::Sync(SyncMessage::Update(&[0, 0])));
    door.hub.receive(door.session, Frame::Binary(update), door.now);
    door.look();
    assert_eq!(door.closed(), Some((4403, "read-only")));
    assert_eq!(door.hub.stats().unacknowledged, 0);
}

#[test]
fn rights_and_their_end_survive_the_loss_of_the_memory() {
    let mut door = Door::hocuspocus();
    door.show("docs/a.md", "t");
    let rules = [Rule { paths: PathPattern::parse("docs/**").unwrap(), role: Role::Viewer }].into();
    door.validate(Ok(Grant { rules, ..grant(Role::Editor, T0 + 60_000) }));
    door.link();
    let mut kept = Persisted::default();
    for effect in &door.seen {
        match effect {
            Effect::SaveSession { session, snapshot } => kept.sessions = vec![(*session, snapshot.clone())],
            Effect::SaveChannel { channel, row } => kept.channels = vec![(*channel, row.clone())],
            _ => {}
        }
    }
    door.hub = Hub::rebuild(settings(), kept, T0 + 1_000);
    door.seen.clear();
    door.link();
    assert_eq!(
        door.said_to_origin(|message| match message {
            HubMessage::Token { token, .. } => Some(token.clone()),
            _ => None,
        }),
        ["t"],
        "a new origin is shown the token"
    );
    door.say("docs/a.md", &ClientMessage::Sync(SyncMessage::Update(&[0, 0])));
    assert!(door.told().contains(&"docs/a.md status false".to_owned()));
    door.show("other.md", "t");
    assert_eq!(door.asked(), Vec::<String>::new(), "what was verified stays so");
    door.pass(60_000);
    assert_eq!(door.closed(), Some((4401, "token-expired")));
}

#[test]
fn a_session_whose_token_was_being_verified_comes_back_after_a_loss_of_memory() {
    let mut door = Door::hocuspocus();
    door.show("a.txt", "t");
    let snapshot = door.seen.iter().rev().find_map(|effect| match effect {
        Effect::SaveSession { snapshot, .. } => Some(snapshot.clone()),
        _ => None,
    });
    let kept = Persisted { sessions: vec![(door.session, snapshot.unwrap())], ..Persisted::default() };
    door.hub = Hub::rebuild(settings(), kept, T0);
    door.seen.clear();
    door.look();
    assert_eq!(door.closed(), Some((CloseCode::Restart.as_u16(), "restart")));
}
