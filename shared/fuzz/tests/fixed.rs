//! Every target on the same inputs in every run: frames captured from stock clients and frames of the link, changed,
//! cut, doubled and mixed, and plain noise.

use std::panic::{AssertUnwindSafe, catch_unwind};

use fuzz::{TARGETS, Target};

const FRAMES: &str = include_str!("../../tests/golden/frames.tsv");
const LINK: &str = include_str!("../../tests/golden/link-v1.tsv");
const EVENTS: [&str; 7] = [
    r#"{"type":"chat","text":"a \"word\" ä"}"#,
    r#"{"type":"visible-files","files":["src/a.txt","b"]}"#,
    r#"{"type":"broadcast","data":{"a":[1,2,[null]],"b":"\ud83d\ude00"}}"#,
    r#"{"type":"elsewhere"}"#,
    r#"{"type":"open","file":"a.txt"}"#,
    r#"{"type":"edit","file":"a.txt","position":"7.3.65537.9","edits":[{"at":1,"delete":2,"insert":"x"}]}"#,
    r#"{"type":"code-change","file":"a.txt","text":"ä"}"#,
];
/// Inputs for each target.
const INPUTS: usize = 20_000;

/// SplitMix64, so that every run is the same.
struct Chance(u64);

impl Chance {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, most: usize) -> usize {
        usize::try_from(self.draw() % most.max(1) as u64).expect("below a usize")
    }

    fn byte(&mut self) -> u8 {
        // Bytes that mean something to most parsers come up more often.
        const KNOWN: [u8; 8] = [0, 1, 2, 4, 127, 128, 132, 255];
        let [low, high, ..] = self.draw().to_le_bytes();
        if high < 128 { low } else { KNOWN[usize::from(low % 8)] }
    }
}

/// What inputs are made from: frames, what may begin inside one (an update, a state vector), events.
fn seeds() -> [Vec<Vec<u8>>; 3] {
    let column = |tsv: &'static str, at: usize| {
        let lines = tsv.lines().filter(|line| !line.starts_with('#'));
        lines.filter_map(move |line| line.split('\t').nth(at)).map(unhex)
    };
    let frames: Vec<Vec<u8>> = column(FRAMES, 4).chain(column(LINK, 2)).collect();
    let inside = frames.iter().flat_map(|frame| (1..frame.len().min(24)).map(|at| as_content(&frame[at..])));
    let inside = inside.collect();
    [frames, inside, EVENTS.iter().map(|event| event.as_bytes().to_vec()).collect()]
}

/// The captured frames use another root.
fn as_content(bytes: &[u8]) -> Vec<u8> {
    match bytes.windows(3).position(|window| window == [1, 1, b't']) {
        Some(root) => [&bytes[..root], &[1, 7], b"content", &bytes[root + 3..]].concat(),
        None => bytes.to_vec(),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16).expect("a hexadecimal digit");
    let pair = |pair: &[u8]| u8::try_from(digit(&pair[0]) * 16 + digit(&pair[1])).expect("two digits");
    text.as_bytes().chunks(2).map(pair).collect()
}

fn input(seeds: &[Vec<Vec<u8>>; 3], chance: &mut Chance) -> Vec<u8> {
    if chance.below(8) == 0 {
        let length = chance.below(200);
        return (0..length).map(|_| chance.byte()).collect();
    }
    let seeds = &seeds[[0, 0, 1, 1, 1, 2][chance.below(6)]];
    let mut bytes = seeds[chance.below(seeds.len())].clone();
    for _ in 0..chance.below(6) {
        let at = chance.below(bytes.len() + 1);
        match chance.below(5) {
            0 if at < bytes.len() => bytes[at] = chance.byte(),
            1 => bytes.truncate(at),
            2 => bytes.insert(at, chance.byte()),
            3 => bytes.extend_from_within(at..),
            _ => bytes.extend_from_slice(&seeds[chance.below(seeds.len())]),
        }
    }
    bytes
}

fn holds((name, target): Target, inputs: &[Vec<u8>]) -> Result<(), String> {
    for bytes in inputs {
        let held = catch_unwind(AssertUnwindSafe(|| target(bytes)));
        held.map_err(|_| format!("{name} does not hold for {bytes:02x?}"))?;
    }
    Ok(())
}

#[test]
fn every_target_holds_for_a_fixed_number_of_inputs() {
    let (seeds, mut chance) = (seeds(), Chance(1));
    let inputs: Vec<Vec<u8>> = (0..INPUTS).map(|_| input(&seeds, &mut chance)).collect();
    let broken: Vec<String> = TARGETS.into_iter().filter_map(|target| holds(target, &inputs).err()).collect();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn a_target_that_does_not_hold_is_found() {
    let picky: Target = ("picky", |bytes| assert!(bytes.len() < 3));
    assert!(holds(picky, &[vec![1], vec![1, 2, 3]]).is_err());
}

#[test]
fn the_inputs_reach_beyond_the_first_refusal() {
    let (seeds, mut chance) = (seeds(), Chance(1));
    let inputs: Vec<Vec<u8>> = (0..INPUTS).map(|_| input(&seeds, &mut chance)).collect();
    let good = |accepts: fn(&[u8]) -> bool| inputs.iter().filter(|bytes| accepts(bytes)).count();
    let updates = good(|bytes| shared::update::check(bytes).is_ok_and(|_| bytes.len() > 8));
    let frames = good(|bytes| shared::wire::hocuspocus::read_client(bytes).is_ok());
    let awareness = good(|bytes| shared::wire::yjs::read_awareness(bytes).is_ok_and(|read| !read.is_empty()));
    let events =
        good(|bytes| std::str::from_utf8(bytes).is_ok_and(|text| shared::wire::event::read(text).is_ok()));
    let changes = good(|bytes| shared::wire::text::read_change(bytes).is_ok());
    for (what, count) in [
        ("updates", updates),
        ("frames", frames),
        ("awareness", awareness),
        ("events", events),
        ("text changes", changes),
    ] {
        assert!(count >= 10, "only {count} of {INPUTS} inputs are {what}");
    }
}
