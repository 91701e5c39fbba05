//! The link, version 1: every message as the golden file has it, both ways.

use bytes::Bytes;
use shared::{
    close::CloseCode,
    grant::{Grant, Member, Role, Rule},
    id::{ChannelId, FileId, FilePath},
    path_pattern::PathPattern,
    position::{Epoch, Position},
    wire::link::{
        ChangeKind, FileUpdate, HubMessage, LinkError, OriginMessage, decode_hub, decode_origin, encode_hub,
        encode_origin,
    },
};

use super::support::{hex, rows, unhex};

const GOLDEN: &str = include_str!("../golden/link-v1.tsv");

fn file() -> FileId {
    FileId::parse("f_0123456789abcdef").unwrap()
}

fn position() -> Position {
    Position { epoch: Epoch(3), seq: 300, ts: 1_700_000_000_000_000 }
}

fn grant(role: Role, expires: Option<u64>) -> Grant {
    Grant {
        member: Member { id: "ann".into(), name: "Ann é".into() },
        role,
        expires,
        version: 2,
        rules: [].into(),
    }
}

fn bytes(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn hub_samples() -> Vec<(&'static str, HubMessage)> {
    let channel = ChannelId(0x1f_ffff_ffff_0001);
    let update_of = |kind, may_edit, author: &str| HubMessage::Update {
        channel,
        file: file(),
        hub_seq: 129,
        kind,
        grant_version: 7,
        may_edit,
        author: author.into(),
        bytes: Bytes::from_static(&[0, 0]),
    };
    let update = |kind, may_edit| update_of(kind, may_edit, "");
    let rules = [Rule { paths: PathPattern::parse("docs/**").unwrap(), role: Role::Viewer }].into();
    let with_rules = Grant { rules, ..grant(Role::Editor, None) };
    let open = |name: &str, grant| HubMessage::Open { channel, name: name.into(), grant };
    let open_text = |told: &str| HubMessage::OpenText {
        channel,
        name: "src/a.txt".into(),
        grant: grant(Role::Editor, None),
        told: told.into(),
        round: 130,
    };
    vec![
        ("hello", HubMessage::Hello { hub: "demo~weur".into(), position: Some(position()) }),
        ("hello, position unknown", HubMessage::Hello { hub: "direct~o1".into(), position: None }),
        ("open as editor", open("src/a.txt", grant(Role::Editor, Some(1_700_000_000_000)))),
        ("open as viewer, no expiry", open(".room", grant(Role::Viewer, None))),
        ("open as owner", open("f_0123456789abcdef", grant(Role::Owner, None))),
        ("close", HubMessage::Close { channel }),
        ("update", update(ChangeKind::Update, true)),
        ("update, step 2 of a viewer", update(ChangeKind::Step2, false)),
        ("update, with its author", update_of(ChangeKind::Update, true, "ann")),
        ("update, held", update_of(ChangeKind::Held, true, "ann")),
        (
            "sync",
            HubMessage::Sync {
                channel,
                file: file(),
                ask: 130,
                state_vector: Bytes::from_static(&[1, 9, 2]),
            },
        ),
        (
            "sync, only the origin's",
            HubMessage::Sync { channel, file: file(), ask: 130, state_vector: Bytes::new() },
        ),
        ("awareness", HubMessage::Awareness { file: file(), bytes: bytes("\u{1}\u{9}\u{1}\u{2}{}") }),
        ("awareness of the room", HubMessage::Awareness { file: FileId::room(), bytes: bytes("\0") }),
        (
            "event, logged",
            HubMessage::Event { channel, hub_seq: 5, json: bytes(r#"{"type":"chat","text":"é"}"#) },
        ),
        ("event, not logged", HubMessage::Event { channel, hub_seq: 0, json: bytes("{}") }),
        ("stats", HubMessage::Stats { json: bytes(r#"{"sessions":2}"#) }),
        ("ping", HubMessage::Ping),
        ("open-text", open_text("3.300.65537.129")),
        ("open-text, whole", open_text("")),
        (
            "text",
            HubMessage::Text {
                channel,
                file: file(),
                hub_seq: 129,
                grant_version: 7,
                base: "3.300.65537.129".into(),
                json: bytes(r#"{"type":"code-change","file":"a","text":"é"}"#),
            },
        ),
        ("open with rules", open("src/a.txt", with_rules)),
        ("token", HubMessage::Token { session: channel.session(), token: "a.b.c".into() }),
    ]
}

fn origin_samples() -> Vec<(&'static str, OriginMessage)> {
    let channel = ChannelId(0x1_0001);
    let path = FilePath::parse("src/é.txt").unwrap();
    let opened = |file, path| OriginMessage::Opened { channel, file, path, size: 70_000, grant_version: 2 };
    let diff = |channel, bytes| OriginMessage::Diff {
        channel,
        file: file(),
        ask: 130,
        bytes,
        state_vector: Bytes::from_static(&[1, 9, 2]),
        size: 12,
        position: position(),
    };
    let update = |except, bytes| FileUpdate { file: file(), except: ChannelId(except), bytes };
    let text =
        |whole| OriginMessage::Text { channel, position: "3.300.65537.129".into(), whole, json: bytes("{}") };
    let revoke = |role| OriginMessage::Revoke { member: "ann".into(), role, version: 3 };
    vec![
        ("opened", opened(file(), Some(path))),
        ("opened, the room", opened(FileId::room(), None)),
        (
            "closed",
            OriginMessage::Closed { channel, code: CloseCode::NotFound, reason: "no-such-file".into() },
        ),
        ("ack", OriginMessage::Ack { channel, file: file(), hub_seq: 129, seq: 300, size: 12 }),
        ("refuse", OriginMessage::Refuse { channel, file: file(), hub_seq: 129, reason: "read-only".into() }),
        ("missing", OriginMessage::Missing { channel, file: file(), hub_seq: 1, state_vector: bytes("\0") }),
        ("hold", OriginMessage::Hold { why: "full".into() }),
        ("resume", OriginMessage::Resume),
        ("diff", diff(channel, Bytes::from_static(&[0, 0]))),
        ("diff, only the state vector, to all", diff(ChannelId(0), Bytes::new())),
        (
            "updates",
            OriginMessage::Updates {
                position: position(),
                updates: vec![update(0, Bytes::from_static(&[0, 0])), update(0x1_0001, bytes("x"))],
            },
        ),
        ("updates, only the position", OriginMessage::Updates { position: position(), updates: vec![] }),
        ("awareness", OriginMessage::Awareness { file: file(), bytes: bytes("\0") }),
        (
            "event, logged",
            OriginMessage::Event { position: Some(position()), channel: None, json: bytes("{}") },
        ),
        ("event, to one", OriginMessage::Event { position: None, channel: Some(channel), json: bytes("{}") }),
        ("revoke", revoke(None)),
        ("revoke, to viewer", revoke(Some(Role::Viewer))),
        ("revoke, to editor", revoke(Some(Role::Editor))),
        ("revoke, to owner", revoke(Some(Role::Owner))),
        ("reset", OriginMessage::Reset { position: position() }),
        ("pong", OriginMessage::Pong),
        ("text", text(true)),
        ("text, an edit", text(false)),
        ("size", OriginMessage::Size { file: file(), bytes: 8_000_000, text_bytes: 300 }),
    ]
}

#[test]
fn the_length_of_a_message_is_what_it_takes_in_a_frame() {
    for (name, message) in hub_samples() {
        assert_eq!(message.encoded_len() + 1, encode_hub(&[message]).len(), "{name}");
    }
    let large = HubMessage::Stats { json: vec![7; 200_000].into() };
    assert_eq!(large.encoded_len() + 1, encode_hub(&[large]).len());
}

#[test]
fn every_message_of_the_link_is_as_it_always_was() {
    let hub = hub_samples().into_iter().map(|(name, message)| ("hub", name, encode_hub(&[message])));
    let origin =
        origin_samples().into_iter().map(|(name, message)| ("origin", name, encode_origin(&[message])));
    let written: Vec<String> =
        hub.chain(origin).map(|(side, name, frame)| format!("{side}\t{name}\t{}", hex(&frame))).collect();
    let golden: Vec<&str> = GOLDEN.lines().filter(|line| !line.starts_with('#')).collect();
    assert_eq!(written, golden, "\n{}\n", written.join("\n"));
}

#[test]
fn every_golden_message_is_read_again() {
    let frame = |row: &[&str]| Bytes::from(unhex(row[2]));
    let (hub, origin): (Vec<_>, Vec<_>) = rows(GOLDEN).partition(|row| row[0] == "hub");
    let hub: Vec<_> = hub.iter().map(|row| (row[1], decode_hub(&frame(row)))).collect();
    let origin: Vec<_> = origin.iter().map(|row| (row[1], decode_origin(&frame(row)))).collect();
    let expected: Vec<_> =
        hub_samples().into_iter().map(|(name, message)| (name, Ok(vec![message]))).collect();
    assert_eq!(hub, expected);
    let expected: Vec<_> =
        origin_samples().into_iter().map(|(name, message)| (name, Ok(vec![message]))).collect();
    assert_eq!(origin, expected);
}

#[test]
fn many_messages_share_a_frame_and_its_bytes() {
    let messages: Vec<_> = hub_samples().into_iter().map(|(_, message)| message).collect();
    let frame = encode_hub(&messages);
    let read = decode_hub(&frame).unwrap();
    assert_eq!(read, messages);
    let within = frame.as_ptr_range();
    let shared = read.iter().filter_map(|message| match message {
        HubMessage::Update { bytes, .. } => Some(bytes.as_ptr()),
        _ => None,
    });
    let shared: Vec<_> = shared.collect();
    assert_eq!(shared.len(), 4);
    assert!(shared.iter().all(|start| within.contains(start)), "the update was copied");
}

#[test]
fn what_a_later_build_adds_is_skipped() {
    let unknown = [1, 200, 3, 1, 2, 3, 9, 0];
    assert_eq!(decode_hub(&Bytes::copy_from_slice(&unknown)), Ok(vec![HubMessage::Ping]));
    let longer = [1, 9, 2, 1, 2, 3, 2, 5, 77];
    let expected = vec![HubMessage::Ping, HubMessage::Close { channel: ChannelId(5) }];
    assert_eq!(decode_hub(&Bytes::copy_from_slice(&longer)), Ok(expected));
    assert_eq!(decode_origin(&Bytes::from_static(&[1, 99, 0, 13, 0])), Ok(vec![OriginMessage::Pong]));
}

#[test]
fn a_frame_that_is_not_of_this_link_is_an_error() {
    assert_eq!(decode_hub(&Bytes::new()), Err(LinkError::Empty));
    assert_eq!(decode_origin(&Bytes::from_static(&[2, 13, 0])), Err(LinkError::Version(2)));
    assert_eq!(decode_hub(&Bytes::from_static(&[1, 3, 0])), Err(LinkError::Malformed(3)));
    assert_eq!(decode_hub(&Bytes::from_static(&[1, 9, 5, 0])), Err(LinkError::Malformed(9)));
    assert_eq!(decode_hub(&Bytes::from_static(&[1, 9])), Err(LinkError::Malformed(9)));
}

#[test]
fn a_file_on_the_link_is_a_file_id() {
    let mut frame = encode_hub(&[HubMessage::Awareness { file: file(), bytes: Bytes::new() }]).to_vec();
    frame[4] = b'/';
    assert_eq!(decode_hub(&frame.into()), Err(LinkError::Malformed(6)));
}

#[test]
fn a_rule_whose_pattern_is_not_known_here_gives_nobody_more_rights() {
    let rules = [Rule { paths: PathPattern::parse("docs/**").unwrap(), role: Role::Owner }].into();
    let grant = Grant { rules, ..grant(Role::Editor, None) };
    let open = HubMessage::Open { channel: ChannelId(1), name: "a.txt".into(), grant };
    let mut frame = encode_hub(&[open]).to_vec();
    let at = frame.windows(7).position(|part| part == b"docs/**").unwrap();
    frame[at..at + 7].copy_from_slice(b"docs/{*");
    let read = decode_hub(&frame.into()).unwrap();
    let [HubMessage::Open { grant, .. }] = &read[..] else { panic!("{read:?}") };
    assert_eq!(grant.role_at(Some(&FilePath::parse("docs/a.md").unwrap())), Role::Viewer);
    assert_eq!(grant.role_at(Some(&FilePath::parse("a.md").unwrap())), Role::Viewer);
}
