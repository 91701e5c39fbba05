//! Awareness of clients is bounded before it is believed.

use shared::wire::yjs;

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
