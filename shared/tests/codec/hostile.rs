//! Bytes of any kind: a parser gives a result, and what it took it writes back.

use bytes::Bytes;
use proptest::prelude::*;
use shared::{
    update::{Ahead, History, StateVector, check},
    wire::{
        event,
        hocuspocus::{self, ClientInput},
        link,
        varint::Reader,
        yjs,
    },
};
use yrs::updates::decoder::Decode;

use super::support::golden_frames;

/// Golden frames with some bytes changed, cut, doubled or put in; and plain noise.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let golden = golden_frames();
    let mutant = (
        prop::sample::select(golden),
        prop::collection::vec((0..4, any::<prop::sample::Index>(), any::<u8>()), 0..6),
    );
    prop_oneof![
        1 => prop::collection::vec(any::<u8>(), 0..200),
        3 => mutant.prop_map(|(mut frame, changes)| {
            for (kind, at, byte) in changes {
                let at = at.index(frame.len() + 1);
                match kind {
                    0 if at < frame.len() => frame[at] = byte,
                    1 => frame.truncate(at),
                    2 => frame.insert(at, byte),
                    _ => frame.extend_from_within(at..),
                }
            }
            frame
        }),
    ]
}

/// Events, and what nearly is one.
const EVENT: &str = concat!(
    r#"\{"type":"(chat|broadcast|visible-files)","(text|data|files)":"#,
    r#"(\[*"[a-z\\n]{0,5}"\]*|null|[0-9.e-]{1,4})\}?"#
);

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_client_frame_that_is_read_is_written_back(frame in bytes()) {
        if let Ok(ClientInput::Frame(read)) = hocuspocus::read_client(&frame) {
            let back = hocuspocus::write_client(read.key, &read.message);
            prop_assert!(frame.starts_with(&back), "only trailing bytes are lost");
            prop_assert_eq!(hocuspocus::read_client(&back).unwrap(), ClientInput::Frame(read));
        }
    }

    #[test]
    fn a_server_frame_that_is_read_is_written_back(frame in bytes()) {
        if let Ok((key, message)) = hocuspocus::read_server(&frame) {
            prop_assert!(frame.starts_with(&hocuspocus::write_server(key, &message)));
        }
    }

    #[test]
    fn a_bare_frame_that_is_read_is_written_back(frame in bytes()) {
        if let Ok(message) = yjs::read_y(&frame) {
            prop_assert!(frame.starts_with(&yjs::write_y(&message)));
        }
    }

    #[test]
    fn awareness_that_is_read_is_written_back(bytes in bytes(), at in any::<prop::sample::Index>()) {
        // Anywhere inside a frame an awareness update may begin.
        let update = &bytes[at.index(bytes.len() + 1)..];
        if let Ok(entries) = yjs::read_awareness(update) {
            prop_assert!(update.starts_with(&yjs::write_awareness(&entries)));
            prop_assert_eq!(yjs::read_relayed_awareness(update), Ok(entries));
        }
    }

    #[test]
    fn a_state_vector_that_is_read_keeps_its_clocks(bytes in bytes(), at in any::<prop::sample::Index>()) {
        if let Ok(clocks) = StateVector::read(&bytes[at.index(bytes.len() + 1)..]) {
            prop_assert_eq!(StateVector::read(&clocks.write()), Ok(clocks));
        }
    }

    #[test]
    fn a_reader_never_passes_the_end(bytes in bytes(), calls in prop::collection::vec(0..4, 0..30)) {
        let mut reader = Reader::new(&bytes);
        for call in calls {
            let before = reader.position();
            match call {
                0 => drop(reader.u8()),
                1 => drop(reader.var(u64::MAX)),
                2 => drop(reader.bytes()),
                _ => drop(reader.text()),
            }
            prop_assert!(before <= reader.position());
            prop_assert_eq!(reader.position() + reader.left(), bytes.len());
        }
    }

    #[test]
    fn a_link_frame_gives_a_result(bytes in bytes(), tag in 0_u8..20) {
        let mut frame = vec![link::VERSION, tag];
        frame.push(u8::try_from(bytes.len().min(127)).unwrap());
        frame.extend(bytes);
        let frame = Bytes::from(frame);
        if let Ok(messages) = link::decode_hub(&frame) {
            prop_assert_eq!(link::decode_hub(&link::encode_hub(&messages)), Ok(messages));
        }
        if let Ok(messages) = link::decode_origin(&frame) {
            prop_assert_eq!(link::decode_origin(&link::encode_origin(&messages)), Ok(messages));
        }
    }

    #[test]
    fn an_event_that_is_read_is_written_back(json in EVENT) {
        if let Ok(read) = event::read(&json) {
            prop_assert_eq!(event::read(&serde_json::to_string(&read).unwrap()), Ok(read));
        }
    }

    #[test]
    fn the_gate_gives_one_answer(bytes in bytes(), at in any::<prop::sample::Index>()) {
        let mut update = bytes[at.index(bytes.len() + 1)..].to_vec();
        // The captured frames use another root.
        if let Some(root) = update.windows(3).position(|window| window == [1, 1, b't']) {
            update.splice(root..root + 3, [&[1, 7][..], b"content"].concat());
        }
        let shape = check(&update);
        let mut history = History::default();
        let admitted = history.admit(&Ahead::default(), &update);
        prop_assert_eq!(shape.err(), history.brings_new(&update).err());
        match (shape, admitted) {
            (Ok(_), Err(error)) => prop_assert!(error.is_missing()),
            (Ok(_), Ok(advance)) => {
                history.absorb(&update).unwrap();
                prop_assert!(advance.iter().eq(history.state_vector.iter()));
                prop_assert_eq!(history.brings_new(&update), Ok(false));
                prop_assert!(yrs::Update::decode_v1(&update).is_ok());
            }
            (Err(error), admitted) => prop_assert_eq!(admitted, Err(error)),
        }
    }
}

#[test]
fn awareness_has_bounds() {
    use yjs::AwarenessError;
    let entry = |client, state| yjs::AwarenessEntry { client, clock: 1, state };
    let long = format!("\"{}\"", "x".repeat(8191));
    let deep = format!("{}{}", "[".repeat(33), "]".repeat(33));
    let read = |entries: &[_]| yjs::read_awareness(&yjs::write_awareness(entries)).map(|read| read.len());
    assert_eq!(read(&[entry(1, "{}"), entry((1 << 53) - 1, "null")]), Ok(2));
    assert_eq!(read(&[entry(1, &long)]), Err(AwarenessError::StateTooLong));
    assert_eq!(read(&[entry(1, &deep)]), Err(AwarenessError::State));
    assert_eq!(read(&[entry(1, "{")]), Err(AwarenessError::State));
    assert!(matches!(read(&[entry(1 << 53, "{}")]), Err(AwarenessError::Read(_))));
    let crowd: Vec<_> = (0..65).map(|client| entry(client, "{}")).collect();
    assert_eq!(read(&crowd), Err(AwarenessError::TooMany));
    let relayed = yjs::read_relayed_awareness(&yjs::write_awareness(&crowd)).unwrap().len();
    assert_eq!(relayed, 65, "other hubs may speak for more");
    let big: Vec<_> = (0..9).map(|client| entry(client, &long[..8001])).collect();
    assert_eq!(yjs::read_awareness(&yjs::write_awareness(&big)), Err(AwarenessError::TooLong));
    let boast = [0xff, 0xff, 0xff, 0xff, 0x0f];
    assert!(matches!(yjs::read_relayed_awareness(&boast), Err(AwarenessError::Read(_))));
}
