//! Every captured frame that a server or a client of ours can meet is understood and written back byte for
//! byte, down to the awareness entries and state vectors inside.

use bytes::Bytes;
use shared::{
    update::StateVector,
    wire::{
        hocuspocus::{self, ClientInput, ClientMessage, FrameError, ServerMessage},
        varint::ReadError,
        yjs::{self, SyncMessage, YMessage},
    },
};

use super::support::{GOLDEN_FRAMES, hex, rows, unhex};

/// The frames that are not frames, and how they are refused.
const REFUSED: [(&str, &str, FrameError); 3] = [
    ("017a00070100", "a sync message of kind 7 does not exist", FrameError::Kind(0, 7)),
    ("c80141", "the name is longer than the frame", FrameError::Read(ReadError::End)),
    ("68656c6c6f", "a text frame, not a binary one", FrameError::Read(ReadError::End)),
];

#[test]
fn every_captured_frame_is_read_and_written_back() {
    let (mut good, mut refused) = (0, Vec::new());
    for row in rows(GOLDEN_FRAMES) {
        let frame = unhex(row[4]);
        match again(row[0], row[3], &frame) {
            Ok(back) => assert_eq!(hex(&back), row[4], "{}: {}", row[1], row[5]),
            Err(error) => {
                refused.push((row[4], error));
                continue;
            }
        }
        good += 1;
    }
    let expected: Vec<_> = REFUSED.iter().map(|(frame, _, error)| (*frame, *error)).collect();
    assert_eq!(refused, expected);
    assert_eq!(good, 318);
}

fn again(protocol: &str, direction: &str, frame: &[u8]) -> Result<Bytes, FrameError> {
    match (protocol, direction) {
        ("hocuspocus", "C->S") => again_from_client(frame),
        ("hocuspocus", "S->C") => again_from_server(frame),
        ("y-websocket", _) => again_bare(frame),
        other => panic!("{other:?} is no protocol of the golden frames"),
    }
}

fn again_from_client(frame: &[u8]) -> Result<Bytes, FrameError> {
    let read = match hocuspocus::read_client(frame)? {
        ClientInput::Pong => return Ok(Bytes::from_static(hocuspocus::PONG)),
        ClientInput::Frame(read) => read,
    };
    assert_eq!(hocuspocus::read_head(frame)?.0, read.key);
    Ok(match read.message {
        ClientMessage::Awareness(update) => {
            hocuspocus::write_client(read.key, &ClientMessage::Awareness(&same_awareness(update)))
        }
        ClientMessage::Sync(SyncMessage::Step1(state_vector)) => {
            let same = same_state_vector(state_vector);
            hocuspocus::write_client(read.key, &ClientMessage::Sync(SyncMessage::Step1(&same)))
        }
        message => hocuspocus::write_client(read.key, &message),
    })
}

fn again_from_server(frame: &[u8]) -> Result<Bytes, FrameError> {
    let (key, message) = hocuspocus::read_server(frame)?;
    Ok(match message {
        ServerMessage::Awareness(update) => {
            hocuspocus::write_server(key, &ServerMessage::Awareness(&same_awareness(update)))
        }
        ServerMessage::Sync(SyncMessage::Step1(state_vector)) => {
            let same = same_state_vector(state_vector);
            hocuspocus::write_server(key, &ServerMessage::Sync(SyncMessage::Step1(&same)))
        }
        message => hocuspocus::write_server(key, &message),
    })
}

fn again_bare(frame: &[u8]) -> Result<Bytes, FrameError> {
    Ok(match yjs::read_y(frame)? {
        YMessage::Awareness(update) => yjs::write_y(&YMessage::Awareness(&same_awareness(update))),
        YMessage::Sync(SyncMessage::Step1(state_vector)) => {
            yjs::write_y(&YMessage::Sync(SyncMessage::Step1(&same_state_vector(state_vector))))
        }
        message => yjs::write_y(&message),
    })
}

fn same_awareness(update: &[u8]) -> Bytes {
    yjs::write_awareness(&yjs::read_awareness(update).unwrap())
}

fn same_state_vector(bytes: &[u8]) -> Bytes {
    StateVector::read(bytes).unwrap().write()
}

#[test]
fn a_token_frame_says_its_version_only_from_provider_4_on() {
    let token = |frame: &str| match hocuspocus::read_client(&unhex(frame)) {
        Ok(ClientInput::Frame(read)) => match read.message {
            ClientMessage::Token { token, version } => (token.to_owned(), version.map(str::to_owned)),
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    };
    assert_eq!(token("0164020003746f6b"), ("tok".to_owned(), None));
    assert_eq!(token("01700200017405342e382e30"), ("t".to_owned(), Some("4.8.0".to_owned())));
}

#[test]
fn bytes_after_a_known_payload_are_ignored() {
    for trailed in ["017a0700ff", "017a03ff"] {
        let frame = unhex(trailed);
        let Ok(ClientInput::Frame(read)) = hocuspocus::read_client(&frame) else {
            panic!("{trailed} was not read");
        };
        assert!(matches!(read.message, ClientMessage::Close | ClientMessage::QueryAwareness));
    }
    assert_eq!(yjs::read_y(&[0, 0, 1, 0, 99]), Ok(YMessage::Sync(SyncMessage::Step1(&[0]))));
}

#[test]
fn a_key_is_a_name_and_perhaps_a_session() {
    assert_eq!(hocuspocus::document_name("src/a.txt"), "src/a.txt");
    assert_eq!(hocuspocus::document_name("src/a.txt\0"), "src/a.txt");
    assert_eq!(hocuspocus::document_name("src/a.txt\0k3j\0x"), "src/a.txt");
}

#[test]
fn keys_have_a_longest_length() {
    let key = "k".repeat(1025);
    let frame = hocuspocus::write_client(&key, &ClientMessage::Close);
    assert_eq!(hocuspocus::read_client(&frame), Err(FrameError::Key));
    assert_eq!(hocuspocus::read_head(&frame), Err(FrameError::Key));
}
