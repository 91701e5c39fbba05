//! Redis and the embedded store do the same, whatever is asked of them in whatever order and whichever answers are lost,
//! and neither loses what it has answered.

mod run;

use std::{future::ready, sync::Arc};

use origin::store::embedded::EmbeddedStore;
use proptest::prelude::*;

use self::run::Run;
use crate::support::redis::shared_store;

/// What is asked, and whether it must be asked again because no answer came.
#[derive(Clone, Debug)]
struct Step {
    fate: Fate,
    act: Act,
}

/// What becomes of the first attempt of a call; it is made again if its answer is lost.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    /// It is answered.
    Answered,
    /// It is done, and its answer is lost.
    Unheard,
    /// Whoever asks gives up at once: it is done or not.
    CutOff,
}

impl Fate {
    /// Lets a first attempt go wrong.
    async fn befall<T>(self, call: impl Future<Output = T>) {
        match self {
            Self::Answered => {}
            Self::Unheard => drop(call.await),
            Self::CutOff => tokio::select! {
                biased;
                _ = call => {}
                () = ready(()) => {}
            },
        }
    }
}

#[derive(Clone, Debug)]
enum Act {
    /// Joins, and populates if it is the loader.
    Join(u8),
    /// Joins, and gives up if it is the loader.
    Shrink(u8),
    Append {
        origin: u8,
        /// A repeat of the last batch although it was answered, instead of the next one.
        again: bool,
        what: Vec<What>,
    },
    /// Merges a file into the archive and acknowledges it.
    Flush {
        n: u8,
        end: End,
    },
    Claim {
        name: u8,
        n: u8,
    },
    Leave(u8),
    Erase,
    /// Reads everything after the position that was answered so many steps ago.
    Backfill(usize),
}

/// How a flush ends.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Well,
    /// Another came first.
    Late,
    /// It dies when the archive has the file.
    Dies,
    /// The archive does not take the file; the log is compacted.
    Compacts,
}

#[derive(Clone, Debug)]
enum What {
    Update(u8),
    Event(u8, u64),
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![3 => Just(Fate::Answered), 1 => Just(Fate::Unheard), 1 => Just(Fate::CutOff)];
    (fate, act()).prop_map(|(fate, act)| Step { fate, act })
}

fn act() -> impl Strategy<Value = Act> {
    let what = prop_oneof![
        (1..5_u8).prop_map(What::Update),
        (0..2_u8, 1..9_u64).prop_map(|(h, n)| What::Event(h, n))
    ];
    let end = prop_oneof![6 => Just(End::Well), 1 => Just(End::Late), 1 => Just(End::Dies), 3 => Just(End::Compacts)];
    prop_oneof![
        3 => (0..3_u8).prop_map(Act::Join),
        1 => (0..3_u8).prop_map(Act::Shrink),
        8 => (0..3_u8, prop::bool::weighted(0.2), prop::collection::vec(what, 1..5))
            .prop_map(|(origin, again, what)| Act::Append { origin, again, what }),
        4 => (1..5_u8, end).prop_map(|(n, end)| Act::Flush { n, end }),
        2 => (0..4_u8, 1..6_u8).prop_map(|(name, n)| Act::Claim { name, n }),
        3 => (0..3_u8).prop_map(Act::Leave),
        1 => Just(Act::Erase),
        2 => (0..20_usize).prop_map(Act::Backfill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn both_stores_answer_alike_and_lose_nothing(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let dir = tempfile::tempdir().unwrap();
            let embedded = EmbeddedStore::open(&dir.path().join("rooms.db")).unwrap();
            let (mut one, mut other) =
                (Run::new(Arc::new(embedded)), Run::new(shared_store().await.store));
            for (number, step) in steps.iter().enumerate() {
                let (a, b) = (one.take(step).await, other.take(step).await);
                assert_eq!(a, b, "step {number}: {step:?}");
                assert_eq!(one.held().await, other.held().await, "after step {number}: {step:?}");
            }
            for run in [&mut one, &mut other] {
                run.nothing_answered_is_missing().await;
                run.end().await;
                run.nothing_answered_is_missing().await;
            }
        });
    }
}
