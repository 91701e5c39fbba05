//! The gate against a real Yjs document: it misses what the document would miss, and finds new what changes
//! it.

use proptest::prelude::*;
use shared::update::{Ahead, History, check};
use yrs::{
    Doc, GetString, OffsetKind, Options, ReadTxn, StateVector, Text, Transact, Update,
    updates::{decoder::Decode, encoder::Encode},
};

/// What happens in a project of three people.
#[derive(Clone, Debug)]
enum Step {
    Type {
        who: usize,
        at: usize,
        text: &'static str,
    },
    Delete {
        who: usize,
        at: usize,
        length: usize,
    },
    /// One hears everything from another: the answer to a Step1 is an update of its own.
    Hear {
        from: usize,
        to: usize,
    },
    /// The whole state, as a client sends it that was away.
    Tell {
        who: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let text = prop::sample::select(vec!["a", "bc", "é𝒳", "hello\n"]);
    prop_oneof![
        4 => (0..3_usize, any::<usize>(), text).prop_map(|(who, at, text)| Step::Type { who, at, text }),
        2 => (0..3_usize, any::<usize>(), 1..6_usize)
            .prop_map(|(who, at, length)| Step::Delete { who, at, length }),
        3 => (0..3_usize, 0..3_usize).prop_map(|(from, to)| Step::Hear { from, to }),
        1 => (0..3_usize).prop_map(|who| Step::Tell { who }),
    ]
}

fn document(client: u64) -> Doc {
    let options = Options {
        client_id: yrs::block::ClientID::new(client),
        offset_kind: OffsetKind::Utf16,
        ..Options::default()
    };
    let doc = Doc::with_options(options);
    doc.get_or_insert_text("content");
    doc
}

fn read(doc: &Doc) -> String {
    let text = doc.get_or_insert_text("content");
    text.get_string(&doc.transact())
}

fn apply(doc: &Doc, update: &[u8]) {
    doc.transact_mut().apply_update(Update::decode_v1(update).unwrap()).unwrap();
}

fn state(doc: &Doc) -> Vec<u8> {
    doc.transact().encode_state_as_update_v1(&StateVector::default())
}

/// Lets the steps happen and returns every update that somebody sent, and the end of it all.
fn live(steps: &[Step]) -> (Vec<Vec<u8>>, Doc) {
    let docs = [document(11), document(300), document(70_000)];
    let mut sent = Vec::new();
    for step in steps {
        match *step {
            Step::Type { who, at, text } => {
                let content = docs[who].get_or_insert_text("content");
                let mut txn = docs[who].transact_mut();
                // Only whole characters: halves of a surrogate pair are not text.
                let places: Vec<u32> = places(&content.get_string(&txn));
                content.insert(&mut txn, places[at % places.len()], text);
                sent.push(txn.encode_update_v1());
            }
            Step::Delete { who, at, length } => {
                let content = docs[who].get_or_insert_text("content");
                let mut txn = docs[who].transact_mut();
                let places = places(&content.get_string(&txn));
                let from = at % places.len();
                let to = (from + length).min(places.len() - 1);
                if from < to {
                    content.remove_range(&mut txn, places[from], places[to] - places[from]);
                    sent.push(txn.encode_update_v1());
                }
            }
            Step::Hear { from, to } => {
                let known = docs[to].transact().state_vector();
                let answer = docs[from].transact().encode_state_as_update_v1(&known);
                apply(&docs[to], &answer);
                sent.push(answer);
            }
            Step::Tell { who } => sent.push(state(&docs[who])),
        }
    }
    let end = document(1);
    docs.iter().for_each(|doc| apply(&end, &state(doc)));
    (sent, end)
}

/// The UTF-16 offsets between characters.
fn places(text: &str) -> Vec<u32> {
    let mut places = vec![0];
    for unit in text.chars().map(char::len_utf16) {
        places.push(places[places.len() - 1] + unit as u32);
    }
    places
}

/// What a document knows, in comparable form.
fn known(doc: &Doc) -> (Vec<u8>, Vec<(u64, std::ops::Range<u32>)>) {
    let snapshot = doc.transact().snapshot();
    let mut deleted: Vec<_> = snapshot
        .delete_set
        .iter()
        .flat_map(|(client, ranges)| ranges.iter().map(move |range| (client.get(), range.clone())))
        .collect();
    deleted.sort_by_key(|(client, range)| (*client, range.start));
    (shared::update::StateVector::read(&snapshot.state_map.encode_v1()).unwrap().write().to_vec(), deleted)
}

/// Whether the document would leave a part of the update for later.
fn would_wait(server: &Doc, update: &[u8]) -> bool {
    let probe = document(2);
    apply(&probe, &state(server));
    apply(&probe, update);
    let txn = probe.transact();
    let reached = txn.state_vector();
    let typed = Update::decode_v1(update).unwrap().insertions(true);
    txn.has_missing_updates()
        || typed.iter().any(|(client, ranges)| ranges.iter().any(|range| range.end > reached.get(client)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_gate_agrees_with_the_document(
        steps in prop::collection::vec(step(), 1..24),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
        merge in any::<bool>(),
    ) {
        let (mut sent, end) = live(&steps);
        for pair in order.chunks_exact(2) {
            if !sent.is_empty() {
                let (a, b) = (pair[0].index(sent.len()), pair[1].index(sent.len()));
                sent.swap(a, b);
            }
        }
        if merge && sent.len() > 3 {
            // A merged update skips what lies between its parts.
            let parts: Vec<Vec<u8>> = sent.drain(..sent.len() / 2).step_by(2).collect();
            sent.insert(0, yrs::merge_updates_v1(&parts).unwrap());
            sent.push(state(&end));
        }
        let (server, mut history, mut ahead) = (document(3), History::default(), Ahead::default());
        let (mut logged, mut waiting) = (Vec::new(), sent.clone());
        for round in 0..=sent.len() {
            let mut rest = Vec::new();
            for update in waiting.drain(..) {
                prop_assert!(check(&update).is_ok());
                let admitted = history.admit(&ahead, &update);
                prop_assert_eq!(admitted.is_err(), would_wait(&server, &update), "{:?}", &update);
                let Ok(advance) = admitted else {
                    rest.push(update);
                    continue;
                };
                let novelty = history.compare(&ahead, &update).unwrap();
                ahead.apply(&advance, &update).unwrap();
                let before = known(&server);
                apply(&server, &update);
                let flushed = logged.is_empty();
                if flushed {
                    prop_assert_eq!(novelty.is_new, before != known(&server));
                }
                logged.push(update);
                // Appends are answered one by one or some at a time.
                if round % 2 == 0 || logged.len() > 2 {
                    for update in logged.drain(..) {
                        history.absorb(&update).unwrap();
                    }
                    ahead.clear();
                    let (clocks, deleted) = known(&server);
                    prop_assert_eq!(&history.state_vector.write()[..], &clocks[..]);
                    prop_assert_eq!(history.deleted.iter().collect::<Vec<_>>(), deleted);
                    prop_assert_eq!(&History::of(&state(&server)).unwrap(), &history);
                }
            }
            waiting = rest;
        }
        if !merge {
            prop_assert!(waiting.is_empty(), "everything is admitted in the end");
            prop_assert_eq!(read(&server), read(&end));
        }
    }
}
