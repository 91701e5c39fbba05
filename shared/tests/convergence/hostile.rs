//! Histories of members who want replicas to differ. What passes the gate must have one text all the same.

use serde_json::json;
use shared::wire::varint::Writer;
use yrs::{Text, Transact};

use crate::{
    chance::Chance,
    gate::{Gate, Verdict},
    histories,
    node::{Node, hex},
    replicas::{apply, document, state, text, text_of},
};

/// Few clients, so that they meet.
const CLIENTS: [u64; 5] = [1, 2, 3, 7, 8];
const LETTERS: [&str; 9] = ["a", "b", "c", "xy", "\u{1f600}", "\u{fffd}", "a\u{fffd}", "d\u{1f600}e", "fgh"];

/// A history under way.
struct History {
    chance: Chance,
    gate: Gate,
    logged: Vec<Vec<u8>>,
    /// Everything that was sent, logged or not.
    sent: Vec<Vec<u8>>,
}

type Id = (u64, u32);

impl History {
    fn new(seed: u64) -> Self {
        Self { chance: Chance::new(seed), gate: Gate::default(), logged: Vec::new(), sent: Vec::new() }
    }

    fn step(&mut self) {
        let update = match self.chance.below(100) {
            0..25 => self.typed(),
            25..70 => self.made(),
            70..80 => self.reused(),
            80..90 => self.damaged(),
            _ => self.merged(),
        };
        let Some(update) = update else { return };
        let incremental = self.chance.percent(70);
        let verdict = self.gate.validate(&update, incremental);
        if self.chance.percent(60) {
            self.gate.answer();
        }
        if verdict == Verdict::Logged {
            self.logged.push(update.clone());
        }
        self.sent.push(update);
    }

    fn clock(&self, client: u64) -> u32 {
        self.gate.clock(client)
    }

    /// Some character that is there.
    fn known(&mut self) -> Option<Id> {
        let clocks: Vec<Id> = self.gate.history.state_vector.iter().collect();
        let (client, clock) = *clocks.get(self.chance.below(clocks.len()))?;
        Some((client, u32::try_from(self.chance.below(clock as usize)).unwrap()))
    }

    /// An edit of an honest member, who may lag behind.
    fn typed(&mut self) -> Option<Vec<u8>> {
        let client = *self.chance.pick(&CLIENTS);
        let doc = document(client);
        let heard = self.logged.len() - self.chance.below(self.logged.len().min(2) + 1);
        // What it has typed itself, it has.
        let own =
            |update: &&Vec<u8>| shared::update::spans(update).unwrap().iter().any(|s| s.client == client);
        let last_own = self.logged.iter().rposition(|update| own(&update)).map_or(0, |at| at + 1);
        self.logged[..heard.max(last_own)].iter().for_each(|update| apply(&doc, update));
        let content = doc.get_or_insert_text("content");
        let places: Vec<u32> = {
            let mut at = 0;
            let read = text(&doc);
            let ends = read.chars().map(|char| {
                at += char.len_utf16() as u32;
                at
            });
            std::iter::once(0).chain(ends).collect()
        };
        let mut typing = doc.transact_mut();
        let from = self.chance.below(places.len());
        if self.chance.percent(30) && places.len() > 1 {
            let to = (from + 1 + self.chance.below(3)).min(places.len() - 1);
            let from = from.min(to - 1);
            content.remove_range(&mut typing, places[from], places[to] - places[from]);
        } else {
            let letters: &str = self.chance.pick::<&str>(&LETTERS);
            content.insert(&mut typing, places[from], letters);
        }
        Some(typing.encode_update_v1())
    }

    /// Structs with any neighbours.
    fn made(&mut self) -> Option<Vec<u8>> {
        let groups = if self.chance.percent(85) { 1 } else { 2 };
        let mut clients: Vec<u64> = (0..groups).map(|_| *self.chance.pick(&CLIENTS)).collect();
        clients.sort_unstable();
        clients.dedup();
        if self.chance.percent(97) {
            clients.reverse();
        }
        let starts: Vec<Id> = clients.iter().map(|client| (*client, self.clock(*client))).collect();
        Some(self.structs(&starts))
    }

    /// Clocks that are in use.
    fn reused(&mut self) -> Option<Vec<u8>> {
        let (client, clock) = self.known()?;
        Some(self.structs(&[(client, clock)]))
    }

    fn structs(&mut self, starts: &[Id]) -> Vec<u8> {
        let mut writer = Writer::default();
        let mut deleted: Vec<(u64, u32, u32)> = Vec::new();
        writer.var(starts.len() as u64);
        let mut inside: Vec<Id> = Vec::new();
        for (client, start) in starts {
            let mut start = *start;
            if self.chance.percent(2) {
                start += 1;
            }
            if self.chance.percent(1) {
                start = (1 << 31) - 2;
            }
            let count = 1 + self.chance.below(3);
            writer.var(count as u64);
            writer.var(*client);
            writer.var(start.into());
            let mut clock = start;
            for _ in 0..count {
                let kind = match self.chance.below(100) {
                    0..82 => 4,
                    82..96 => 1,
                    96..98 => 0,
                    _ => 10,
                };
                let length = 1 + self.chance.below(3) as u32;
                if matches!(kind, 0 | 10) {
                    writer.u8(kind);
                    writer.var(length.into());
                    clock += length;
                    continue;
                }
                let (origin, right) = self.neighbours((*client, clock), &inside);
                let flags = origin.map_or(0, |_| 0x80) | right.map_or(0, |_| 0x40);
                writer.u8(kind | flags);
                for (client, clock) in [origin, right].into_iter().flatten() {
                    writer.var(client);
                    writer.var(clock.into());
                }
                if flags == 0 {
                    writer.u8(1);
                    writer.text("content");
                }
                let begin = clock;
                if kind == 4 {
                    let letters = *self.chance.pick(&LETTERS);
                    writer.text(letters);
                    clock += letters.encode_utf16().count() as u32;
                } else {
                    writer.var(length.into());
                    clock += length;
                    if self.chance.percent(90) {
                        deleted.push((*client, begin, length));
                    }
                }
                inside.extend((begin..clock).map(|clock| (*client, clock)));
            }
        }
        if self.chance.percent(25)
            && let Some((client, clock)) = self.known()
        {
            deleted.push((client, clock, 1 + self.chance.below(2) as u32));
        }
        self.deletions(&mut writer, deleted);
        writer.finish().to_vec()
    }

    fn deletions(&mut self, writer: &mut Writer, mut deleted: Vec<(u64, u32, u32)>) {
        deleted.sort_unstable();
        let mut clients: Vec<u64> = deleted.iter().map(|(client, ..)| *client).collect();
        clients.dedup();
        writer.var(clients.len() as u64);
        for client in clients {
            let mut ranges: Vec<(u32, u32)> = Vec::new();
            for (_, clock, length) in deleted.iter().filter(|(of, ..)| *of == client) {
                match ranges.last_mut().filter(|(start, length)| start + length > *clock) {
                    Some(last) => last.1 = last.1.max(clock + length - last.0),
                    None => ranges.push((*clock, *length)),
                }
            }
            writer.var(client);
            writer.var(ranges.len() as u64);
            for (clock, length) in ranges {
                writer.var(clock.into());
                writer.var(length.into());
            }
        }
    }

    fn neighbours(&mut self, (client, clock): Id, inside: &[Id]) -> (Option<Id>, Option<Id>) {
        let own = clock.checked_sub(1).map(|clock| (client, clock));
        let origin = match self.chance.below(100) {
            0..20 => None,
            20..50 => own,
            50..60 if !inside.is_empty() => Some(*self.chance.pick(inside)),
            _ => self.known(),
        };
        let right = match self.chance.below(100) {
            0..40 => None,
            40..60 => origin.map(|(client, clock)| (client, clock + 1)),
            60..63 => origin,
            63..70 if !inside.is_empty() => Some(*self.chance.pick(inside)),
            _ => self.known(),
        };
        (origin, right)
    }

    /// Something that was sent, with one byte changed.
    fn damaged(&mut self) -> Option<Vec<u8>> {
        let mut update = self.sent.get(self.chance.below(self.sent.len()))?.clone();
        let at = self.chance.below(update.len());
        let change = [1, 2, 0x40, 0x80, 0xff][self.chance.below(5)];
        update[at] =
            if self.chance.percent(50) { update[at].wrapping_add(change) } else { update[at] ^ change };
        Some(update)
    }

    /// Several that were sent, in one.
    fn merged(&mut self) -> Option<Vec<u8>> {
        let mut parts: Vec<Vec<u8>> = Vec::new();
        for _ in 0..2 + self.chance.below(2) {
            parts.push(match self.chance.percent(50) {
                true => self.made()?,
                false => self.sent.get(self.chance.below(self.sent.len()))?.clone(),
            });
        }
        if !parts.iter().all(|part| shared::update::check(part).is_ok()) {
            return None;
        }
        std::panic::catch_unwind(|| yrs::merge_updates_v1(&parts).ok()).ok().flatten()
    }

    /// Another order in which the log could have come.
    fn order(&mut self) -> Vec<usize> {
        let mut left: Vec<usize> = (0..self.logged.len()).collect();
        for at in (1..left.len()).rev() {
            left.swap(at, self.chance.below(at + 1));
        }
        let (mut gate, mut order) = (Gate::default(), Vec::new());
        while let Some(next) = left.iter().position(|at| {
            let fits = gate.history.admit(&Default::default(), &self.logged[*at]).is_ok();
            gate.history.settle();
            fits
        }) {
            let next = left.remove(next);
            gate.history.absorb(&self.logged[next]).unwrap();
            order.push(next);
        }
        assert!(left.is_empty(), "every order goes on to its end");
        order
    }
}

#[test]
fn what_passes_the_gate_has_one_text() {
    let mut yjs = Node::run("texts.mjs", &[]);
    let (mut logged, mut refused) = (0, 0);
    for seed in histories() {
        let mut history = History::new(seed);
        for _ in 0..4 + history.chance.below(16) {
            history.step();
        }
        logged += history.logged.len();
        refused += history.sent.len() - history.logged.len();
        validate(seed, &mut history, &mut yjs);
    }
    println!("{} histories: {logged} updates logged, {refused} not", histories().count());
    assert!(logged > refused / 4 && refused > logged / 4, "both happen often");
}

fn validate(seed: u64, history: &mut History, yjs: &mut Node) {
    let all = history.logged.clone();
    let told =
        || format!("seed {seed}: {}", all.iter().map(|update| hex(update)).collect::<Vec<_>>().join(" "));
    let expected = text_of(&all);
    let doc = document(9_000_002);
    let mut states = Vec::new();
    for (at, update) in all.iter().enumerate() {
        apply(&doc, update);
        let state = state(&doc);
        let again = text_of(std::iter::once(&state).chain(&all[at + 1..]));
        assert_eq!(again, expected, "from the state behind {at}, {}", told());
        states.push((hex(&state), at + 1));
    }
    let orders = [history.order(), history.order()];
    for order in &orders {
        assert_eq!(text_of(order.iter().map(|at| &all[*at])), expected, "in order {order:?}, {}", told());
    }
    if all.is_empty() {
        return;
    }
    let some = history.chance.below(states.len());
    let states = [&states[some], &states[states.len() - 1]];
    let updates: Vec<String> = all.iter().map(|update| hex(update)).collect();
    let texts = yjs.ask(&json!({ "updates": updates, "orders": orders, "states": states }));
    for text in texts.as_array().unwrap() {
        assert_eq!(text[1], format!("={expected}"), "yjs {}, {}", text[0], told());
    }
}
