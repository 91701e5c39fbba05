//! Histories by seed, of two processes that share Redis and the archive: one dies, the other goes on.

use std::{panic, sync::Arc, thread};

use origin::archive::Archive;

use super::{
    A, B, C,
    ground::Ground,
    history::{Step, live},
    mortal::Death,
};
use crate::{
    simulation::Dice,
    support::{mongo, redis},
};

const SEEDS: u64 = 200;
/// Histories at the same time: most of the time they wait for the archive.
const AT_ONCE: u64 = 8;
const STEPS: usize = 24;
const MEMBERS: usize = 3;
/// About as many calls as a process makes in a long history. Early ones are the likelier, for the short ones.
const CALLS: usize = 60;

/// How a history has ended.
enum Outcome {
    /// Its process died, with this call carried out or not.
    Died { carried_out: bool },
    /// Its process had done everything before.
    Survived,
    /// Something was lost.
    Failed(u64),
}

#[test]
fn at_some_call_of_any_history_on_redis_and_the_archive() {
    let outcomes = thread::scope(|scope| {
        let tasks: Vec<_> = (1..=AT_ONCE).map(|first| scope.spawn(move || task(first))).collect();
        tasks.into_iter().flat_map(|task| task.join().unwrap()).collect::<Vec<_>>()
    });
    let (mut failed, mut died) = (Vec::new(), [0, 0]);
    for outcome in outcomes {
        match outcome {
            Outcome::Died { carried_out } => died[usize::from(carried_out)] += 1,
            Outcome::Survived => {}
            Outcome::Failed(seed) => failed.push(seed),
        }
    }
    assert!(failed.is_empty(), "these seeds fail: {failed:?}");
    assert!(died.iter().all(|died| *died >= SEEDS / 3), "too few have died: {died:?}");
}

/// How every `AT_ONCE`th seed ends.
fn task(first: u64) -> Vec<Outcome> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    // A server of its own: a sweep looks at every room that is there.
    let (server, ground) = runtime.block_on(async {
        let server = redis::Redis::start(&[]).await;
        let url = redis::with_user(&server.url()).await;
        let archive: Arc<dyn Archive> = Arc::new(mongo::archive().await);
        (server, Ground::Shared(url, archive))
    });
    let ends = |seed| {
        let ran = panic::catch_unwind(panic::AssertUnwindSafe(|| run(&ground, seed)));
        ran.unwrap_or(Outcome::Failed(seed))
    };
    let outcomes = (first..=SEEDS).step_by(usize::try_from(AT_ONCE).unwrap()).map(ends).collect();
    drop(server);
    outcomes
}

fn run(ground: &Ground, seed: u64) -> Outcome {
    let mut dice = Dice::new(seed);
    let history = history(&mut dice);
    let last = dice.draw(CALLS) + 1;
    let death = Death { call: dice.draw(last), carried_out: dice.draw(2) == 0 };
    match live(ground, &history, Some(death)) {
        true => Outcome::Died { carried_out: death.carried_out },
        false => Outcome::Survived,
    }
}

fn history(dice: &mut Dice) -> Vec<Step> {
    let mut steps = Vec::new();
    // Where each member is, if anywhere, and which files it has open.
    let mut members: [Option<Vec<&'static str>>; MEMBERS] = Default::default();
    while steps.len() < STEPS {
        let (member, file) = (dice.draw(MEMBERS), [A, B, C][dice.draw(3)]);
        let Some(open) = &mut members[member] else {
            members[member] = Some(Vec::new());
            steps.push(Step::Come(member, dice.draw(2)));
            continue;
        };
        match dice.draw(12) {
            _ if open.is_empty() => {
                open.push(file);
                steps.push(Step::Open(member, file));
            }
            0..6 => steps.push(Step::Type(member, open[dice.draw(open.len())])),
            6 if !open.contains(&file) => {
                open.push(file);
                steps.push(Step::Open(member, file));
            }
            6 | 7 => steps.push(Step::Saved(member)),
            8 | 9 => steps.push(Step::Flush(dice.draw(2))),
            10 => steps.push(Step::Sweep(dice.draw(2))),
            _ => {
                steps.push(Step::Leave(member));
                let left = members[member].take();
                if left.is_some() && members.iter().all(Option::is_none) && dice.draw(2) == 0 {
                    steps.push(Step::Gone);
                }
            }
        }
    }
    steps.extend((0..MEMBERS).map(Step::Saved));
    steps
}
