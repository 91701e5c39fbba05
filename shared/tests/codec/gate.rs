//! The shape check: text passes, everything that was ever found to hurt does not.

use shared::{
    update::{self, GateError, Shape, check},
    wire::{varint::Writer, yjs},
};

use super::support::{Piece, update};

const CLOCK_MAX: u64 = (1 << 31) - 1;

fn text(text: &'static str) -> Piece {
    Piece::Text(text, None, None)
}

fn one(piece: Piece) -> Result<Shape, GateError> {
    check(&update(&[(1, 0, vec![piece])], &[]))
}

fn raw(bytes: &[u8]) -> Piece {
    Piece::Raw(bytes.to_vec())
}

/// A struct in the root text, with content of the given kind.
fn content(kind: u8, bytes: &[u8]) -> Piece {
    let mut writer = Writer::default();
    writer.raw(&[kind, 1]);
    writer.text("content");
    writer.raw(bytes);
    Piece::Raw(writer.finish().to_vec())
}

#[test]
fn text_passes_and_says_what_it_does() {
    let bytes = update(&[(2, 5, vec![Piece::Text("hi", Some((1, 3)), None)]), (1, 0, vec![text("é𝒳")])], &[]);
    assert_eq!(
        check(&bytes),
        Ok(Shape { inserts: true, deletes: false, garbage: false, bytes: bytes.len() })
    );
    let bytes = update(&[], &[(7, vec![(0, 2), (2, 1), (9, 4)])]);
    assert_eq!(
        check(&bytes),
        Ok(Shape { inserts: false, deletes: true, garbage: false, bytes: bytes.len() })
    );
    let bytes = update(&[(1, 2, vec![Piece::Skip(3)])], &[]);
    assert_eq!(
        check(&bytes),
        Ok(Shape { inserts: false, deletes: false, garbage: false, bytes: bytes.len() })
    );
    assert_eq!(
        check(yjs::EMPTY_UPDATE),
        Ok(Shape { inserts: false, deletes: false, garbage: false, bytes: 2 })
    );
    assert!(update::is_empty(yjs::EMPTY_UPDATE) && !update::is_empty(&bytes) && !update::is_empty(&[]));
    let garbage = one(Piece::Gc(1)).unwrap();
    assert!(garbage.inserts && garbage.garbage);
    for piece in [Piece::Deleted(3, None, None), Piece::Deleted(3, Some((9, 1)), Some((8, 0)))] {
        let bytes = update(&[(1, 0, vec![piece])], &[(1, vec![(0, 3)])]);
        assert_eq!(
            check(&bytes),
            Ok(Shape { inserts: true, deletes: true, garbage: false, bytes: bytes.len() })
        );
    }
}

#[test]
fn a_string_counts_in_utf16_units() {
    let typed_after = |clock| {
        let after = Piece::Text("!", Some((1, clock)), None);
        check(&update(&[(1, 0, vec![text("é𝒳"), after])], &[])).err()
    };
    assert_eq!(typed_after(2), None, "é is one unit and 𝒳 is two");
    assert_eq!(typed_after(3), Some(GateError::Future));
}

#[test]
fn only_the_kinds_of_text_pass() {
    // Binary, JSON, embed, format, type, any, document, move and beyond.
    for kind in [2, 3, 5, 6, 7, 8, 9, 11, 12, 31] {
        assert_eq!(one(content(kind, &[1, 1, 0])), Err(GateError::Kind(kind)));
    }
    let nested = content(8, &[&[1][..], &[117, 1].repeat(50_000)].concat());
    assert_eq!(one(nested), Err(GateError::Kind(8)), "a value nested 50 000 deep");
    // A key of a map, and flags on structs that have none.
    assert_eq!(one(content(0x24, &[1, b'k', 1, b'x'])), Err(GateError::Kind(0x24)));
    assert!(matches!(one(raw(&[0x80, 1, 0, 1])), Err(GateError::Kind(0))));
    assert!(matches!(one(raw(&[0x8a, 9, 0, 1])), Err(GateError::Kind(10))));
}

#[test]
fn only_the_files_text_can_be_changed() {
    for root in ["", "t", "contents", "Content", "title"] {
        let mut writer = Writer::default();
        writer.raw(&[4, 1]);
        writer.text(root);
        writer.text("x");
        assert_eq!(one(raw(&writer.finish())), Err(GateError::Root), "{root:?}");
    }
    assert_eq!(one(raw(&[4, 0, 9, 0, 1, b'x'])), Err(GateError::Root), "a parent that is a struct");
    assert_eq!(one(raw(&[4, 2, 9, 0, 1, b'x'])), Err(GateError::Root));
}

#[test]
fn announced_numbers_of_things_are_not_believed() {
    assert_eq!(check(&[0xff, 0xff, 0xff, 0x3f, 0]), Err(GateError::End), "2^27 clients in five bytes");
    assert_eq!(check(&[1, 0xff, 0xff, 0xff, 0x3f, 1, 0, 0, 1, 0]), Err(GateError::End));
    assert_eq!(check(&[0, 0xff, 0xff, 0xff, 0x3f]), Err(GateError::End));
    assert_eq!(check(&[0, 1, 1, 0xff, 0xff, 0xff, 0x3f, 0, 1]), Err(GateError::End));
    for cut in [&[][..], &[0], &[1], &[1, 1, 1], &[1, 1, 1, 0, 4, 1]] {
        assert_eq!(check(cut), Err(GateError::End), "{cut:?}");
    }
}

#[test]
fn clocks_and_lengths_stay_below_their_limits() {
    for piece in [Piece::Gc(0), Piece::Skip(0), Piece::Deleted(0, None, None), text("")] {
        assert_eq!(one(piece), Err(GateError::Length));
    }
    assert_eq!(check(&[1, 0, 1, 0, 0, 0, 0]), Err(GateError::Length), "a group without structs");
    assert!(one(Piece::Gc(CLOCK_MAX)).is_ok());
    assert_eq!(one(Piece::Gc(u32::MAX.into())), Err(GateError::Number));
    let two = |a, b| check(&update(&[(1, 0, vec![Piece::Gc(a), Piece::Gc(b)])], &[]));
    assert_eq!(two(CLOCK_MAX, 1), Err(GateError::Length));
    assert_eq!(check(&update(&[(1, CLOCK_MAX, vec![text("x")])], &[])), Err(GateError::Length));
    assert_eq!(check(&update(&[(1 << 53, 0, vec![text("x")])], &[])), Err(GateError::Number));
    assert_eq!(check(&update(&[], &[(1, vec![(0, 0)])])), Err(GateError::Length));
    assert_eq!(check(&update(&[], &[(1, vec![(CLOCK_MAX, 1)])])), Err(GateError::Length));
    assert_eq!(check(&update(&[], &[(1, vec![(u32::MAX.into(), 2)])])), Err(GateError::Number));
    // A zero of nine bytes, which other decoders read differently.
    assert_eq!(check(&[0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0, 0]), Err(GateError::Number));
}

#[test]
fn delete_ranges_ascend() {
    assert_eq!(check(&update(&[], &[(1, vec![(5, 1), (0, 1)])])), Err(GateError::Order));
    assert_eq!(check(&update(&[], &[(1, vec![(0, 3), (2, 1)])])), Err(GateError::Order));
    let backwards = (0..100_000).rev().map(|i| (2 * i, 1)).collect();
    assert_eq!(
        check(&update(&[], &[(1, backwards)])),
        Err(GateError::Order),
        "quadratic where it is sorted in"
    );
}

#[test]
fn no_client_is_named_twice() {
    let group = |client| (client, 0, vec![text("x")]);
    let ranges = |client| (client, vec![(0, 1)]);
    assert!(check(&update(&[group(3), group(2), group(1)], &[ranges(2), ranges(1), ranges(3)])).is_ok());
    assert_eq!(check(&update(&[group(2), group(2)], &[])), Err(GateError::Groups));
    assert_eq!(check(&update(&[group(2), group(1), group(2)], &[])), Err(GateError::Groups));
    assert_eq!(check(&update(&[], &[ranges(2), ranges(1), ranges(2)])), Err(GateError::Twice));
    assert_eq!(check(&update(&[], &[(2, vec![(0, 1)]), (2, vec![])])), Err(GateError::Twice));
}

#[test]
fn structs_come_in_descending_order_of_their_clients() {
    let group = |client| (client, 0, vec![text("x")]);
    assert!(check(&update(&[group(9), group(2)], &[])).is_ok());
    assert_eq!(check(&update(&[group(2), group(9)], &[])), Err(GateError::Groups), "merging it loses text");
}

#[test]
fn a_deleted_struct_is_among_the_deletions() {
    let deleted = |ranges: &[(u64, Vec<(u64, u64)>)]| {
        check(&update(&[(7, 2, vec![Piece::Deleted(3, Some((7, 1)), None)])], ranges)).err()
    };
    assert_eq!(deleted(&[(7, vec![(0, 9)])]), None);
    assert_eq!(deleted(&[(7, vec![(0, 3), (3, 2)])]), None, "ranges that touch are one");
    for ranges in [vec![], vec![(7, vec![(2, 2)])], vec![(7, vec![(3, 4)])], vec![(8, vec![(2, 3)])]] {
        assert_eq!(deleted(&ranges), Some(GateError::Uncovered), "{ranges:?}");
    }
}

#[test]
fn a_struct_stands_between_two_characters() {
    let at = |left, right| one(Piece::Text("x", left, right)).err();
    assert_eq!(at(Some((9, 4)), Some((9, 4))), Some(GateError::Place));
    assert_eq!(at(Some((9, 4)), Some((9, 5))), None);
    assert_eq!(at(None, Some((9, 0))), None);
}

#[test]
fn strings_are_utf8_and_nothing_trails() {
    for bad in [&[0xff][..], &[0xc3], &[0xed, 0xa0, 0x80]] {
        let mut writer = Writer::default();
        writer.bytes(bad);
        assert_eq!(one(content(4, &writer.finish())), Err(GateError::Text));
    }
    let mut bytes = update(&[(1, 0, vec![text("x")])], &[]).to_vec();
    bytes.push(0);
    assert_eq!(check(&bytes), Err(GateError::Trailing));
}

#[test]
fn a_struct_cannot_stand_beside_its_own_future() {
    for id in [(1, 0), (1, 5)] {
        assert_eq!(one(Piece::Text("x", Some(id), None)), Err(GateError::Future));
        assert_eq!(one(Piece::Text("x", Some((9, 9)), Some(id))), Err(GateError::Future));
    }
    assert!(check(&update(&[(1, 6, vec![Piece::Text("x", Some((1, 5)), Some((1, 0)))])], &[])).is_ok());
}

#[test]
fn every_refusal_has_a_word_of_its_own() {
    use GateError::{
        Clients, Conflicts, End, Future, Garbage, Groups, Kind, Length, Missing, Number, Order, Place, Reuse,
        Root, Text, Trailing, Twice, Uncovered,
    };
    let of_bytes = [End, Number, Kind(7), Root, Text, Length, Order, Twice, Groups, Clients, Uncovered];
    let all = [&of_bytes[..], &[Place, Conflicts, Garbage, Future, Trailing, Missing, Reuse]].concat();
    let words: std::collections::BTreeSet<_> = all.iter().map(GateError::word).collect();
    assert_eq!(words.len(), all.len());
    assert_eq!(all.iter().filter(|error| error.is_missing()).count(), 1);
}
