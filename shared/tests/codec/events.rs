//! Room events are spelled exactly as clients know them.

use shared::{
    grant::{Member, Role},
    id::{FileId, FilePath},
    wire::event::{
        self, Attributed, EventError, EventIn, EventOut, FileChange, FileOp, LinkState, RawJson, StoredFile,
        StoringState,
    },
};

fn raw(json: &str) -> RawJson {
    serde_json::from_str(json).unwrap()
}

fn member() -> Member {
    Member { id: "u1".into(), name: "Ann".into() }
}

#[test]
fn every_event_for_members_has_its_one_spelling() {
    let id = FileId::parse("f_0123456789abcdef").unwrap();
    let path = FilePath::parse("src/a.ts").unwrap();
    let change = |op| FileChange { op, id: id.clone(), path: path.clone() };
    let stored = StoredFile { id: id.clone(), path: path.clone(), seq: 4, at: 5 };
    let error = |file| EventOut::Error { code: "stale".into(), reason: "why".into(), file };
    let data = raw(r#"{"z": 3.9285714285714293, "a":[1e400,"\ud83d"]}"#);
    let spelled = [
        (
            EventOut::Chat {
                id: "3:7".into(),
                member: member(),
                text: "hé".into(),
                at: 1_700_000_000_000_000,
            },
            r#"{"type":"chat","id":"3:7","member":{"id":"u1","name":"Ann"},"text":"hé","at":1700000000000000}"#,
        ),
        (
            EventOut::VisibleFiles { member: member(), files: vec![path.clone()] },
            r#"{"type":"visible-files","member":{"id":"u1","name":"Ann"},"files":["src/a.ts"]}"#,
        ),
        (
            EventOut::Broadcast { member: member(), data },
            r#"{"type":"broadcast","member":{"id":"u1","name":"Ann"},"data":{"z": 3.9285714285714293, "a":[1e400,"\ud83d"]}}"#,
        ),
        (
            EventOut::Files {
                changes: vec![change(FileOp::Create), change(FileOp::Rename), change(FileOp::Delete)],
            },
            concat!(
                r#"{"type":"files","changes":[{"op":"create","id":"f_0123456789abcdef","path":"src/a.ts"},"#,
                r#"{"op":"rename","id":"f_0123456789abcdef","path":"src/a.ts"},"#,
                r#"{"op":"delete","id":"f_0123456789abcdef","path":"src/a.ts"}]}"#
            ),
        ),
        (EventOut::Role { role: Role::Viewer }, r#"{"type":"role","role":"viewer"}"#),
        (
            EventOut::Logged { file: id.clone(), seq: 9 },
            r#"{"type":"logged","file":"f_0123456789abcdef","seq":9}"#,
        ),
        (
            EventOut::Stored { epoch: 3, files: vec![stored] },
            r#"{"type":"stored","epoch":3,"files":[{"id":"f_0123456789abcdef","path":"src/a.ts","seq":4,"at":5}]}"#,
        ),
        (EventOut::Storing { state: StoringState::Behind }, r#"{"type":"storing","state":"behind"}"#),
        (EventOut::Storing { state: StoringState::CaughtUp }, r#"{"type":"storing","state":"caught-up"}"#),
        (EventOut::Link { state: LinkState::Up }, r#"{"type":"link","state":"up"}"#),
        (EventOut::Link { state: LinkState::Down }, r#"{"type":"link","state":"down"}"#),
        (EventOut::Hold { why: "full".into() }, r#"{"type":"hold","why":"full"}"#),
        (error(None), r#"{"type":"error","code":"stale","reason":"why"}"#),
        (error(Some(id)), r#"{"type":"error","code":"stale","reason":"why","file":"f_0123456789abcdef"}"#),
    ];
    for (event, json) in spelled {
        assert_eq!(event.to_json(), json);
        assert_eq!(event::tree_changes(json.as_bytes()).len(), if json.contains("rename") { 3 } else { 0 });
        let stored = event::stored_files(json.as_bytes());
        assert_eq!(
            stored.map(|(epoch, files)| (epoch, files.len())),
            json.contains("epoch").then_some((3, 1))
        );
        let looks = event::visible_files(json.as_bytes());
        assert_eq!(looks, json.contains("visible-files").then(|| (member(), 1)));
    }
}

#[test]
fn an_event_of_a_member_is_read() {
    assert_eq!(event::read(r#"{"type":"chat","text":"hi"}"#), Ok(EventIn::Chat { text: "hi".into() }));
    assert_eq!(
        event::read(r#"{"files":["a","e\u0301/c"],"type":"visible-files","more":1}"#),
        Ok(EventIn::VisibleFiles {
            files: ["a", "\u{e9}/c"].map(|path| FilePath::parse(path).unwrap()).into()
        })
    );
    assert_eq!(
        event::read(r#"{"type":"\u0062roadcast","data": {"z":1.50, "a":"\u00e9"} }"#),
        Ok(EventIn::Broadcast { data: raw(r#"{"z":1.50, "a":"\u00e9"}"#) })
    );
}

#[test]
fn the_data_of_a_broadcast_stays_as_it_came() {
    for data in [
        "3.9285714285714293",
        "-0.0",
        "1E+2",
        "12345678901234567890123",
        r#"{"z":1,"a":2,"z":3}"#,
        r#"{ "a" :[ ] }"#,
        r#""\ud800 \/ \u0000 é""#,
        "null",
    ] {
        let event = event::read(&format!(r#"{{"data":{data},"type":"broadcast"}}"#)).unwrap();
        let sent = Attributed { member: member(), event }.to_json();
        let EventIn::Broadcast { data: read } = event::read_attributed(sent.as_bytes()).unwrap().event else {
            panic!("{sent}");
        };
        let told = EventOut::Broadcast { member: member(), data: read }.to_json();
        let member = r#"{"id":"u1","name":"Ann"}"#;
        assert_eq!(told, format!(r#"{{"type":"broadcast","member":{member},"data":{data}}}"#));
    }
}

#[test]
fn what_an_earlier_hub_took_for_paths_is_no_file() {
    let json = br#"{"member":{"id":"u1","name":"Ann"},"event":{"type":"visible-files","files":["/a"]}}"#;
    let event = EventIn::VisibleFiles { files: Vec::new() };
    assert_eq!(event::read_attributed(json), Ok(Attributed { member: member(), event }));
}

#[test]
fn an_event_that_is_none_is_refused() {
    let malformed = [
        "",
        "7",
        "{}",
        r#"{"type":"chat"}"#,
        r#"{"type":"role","role":"owner"}"#,
        r#"{"type":"chat","text":7}"#,
        r#"{"type":"broadcast"}"#,
        r#"{"type":"broadcast","data":nul}"#,
        r#"{"type":"broadcast","data":1,"data":2}"#,
        r#"{"type":"broadcast","data":01}"#,
        r#"["chat"]"#,
    ];
    for json in malformed {
        assert_eq!(event::read(json), Err(EventError::Malformed), "{json}");
    }
}

#[test]
fn an_event_is_bounded_before_it_is_parsed() {
    let chat = |bytes| format!(r#"{{"type":"chat","text":"{}"}}"#, "x".repeat(bytes));
    assert!(event::read(&chat(8192)).is_ok());
    assert_eq!(event::read(&chat(8193)), Err(EventError::ChatTooLong));
    assert_eq!(event::read(&chat(70_000)), Err(EventError::TooLong));
    let nested =
        |levels| format!(r#"{{"type":"broadcast","data":{}1{}}}"#, "[".repeat(levels), "]".repeat(levels));
    assert!(event::read(&nested(31)).is_ok());
    assert_eq!(event::read(&nested(32)), Err(EventError::TooDeep));
    assert_eq!(event::read(&"[".repeat(60_000)), Err(EventError::TooDeep));
    for path in [&*"p".repeat(513), "/a", "", "a//b"] {
        let path = format!(r#"{{"type":"visible-files","files":["{path}"]}}"#);
        assert_eq!(event::read(&path), Err(EventError::Files));
    }
}
