//! A process dies at every call that it makes of its stores, before the call is carried out or before its answer is
//! heard: `last_sync_timestamp` has skipped no change, and the archive ends with what was acknowledged.

mod mortal;
mod process;
mod member;
mod ledger;
mod ground;
mod history;
mod seeded;

use self::{
    ground::Ground,
    history::{
        Step::{self, Come, Flush, FlushWhile, Gone, Leave, Open, Saved, Sweep, Type},
        live,
    },
    mortal::Death,
};

const A: &str = "src/a.js";
const B: &str = "src/b.js";
const C: &str = "c.txt";

/// Two lives of a room: made when the first member comes, flushed while it is typed in, left dirty and ended.
const HISTORY: [Step; 39] = [
    Come(0, 0),
    Open(0, A),
    Open(0, B),
    Type(0, A),
    Saved(0),
    Type(0, B),
    Saved(0),
    FlushWhile(0, 0, A),
    Flush(0),
    Flush(0),
    Type(0, A),
    Saved(0),
    Come(1, 0),
    Open(1, A),
    Type(1, A),
    Saved(1),
    Sweep(0),
    Type(0, B),
    Saved(0),
    Flush(0),
    Leave(0),
    Open(1, C),
    Type(1, C),
    Type(1, C),
    Saved(1),
    Leave(1),
    Gone,
    Come(2, 0),
    Open(2, C),
    Type(2, C),
    Saved(2),
    FlushWhile(0, 2, C),
    Open(2, A),
    Type(2, A),
    Saved(2),
    Sweep(0),
    Leave(2),
    Gone,
    Sweep(0),
];

#[test]
fn at_every_call_of_a_history_on_the_embedded_stores() {
    for carried_out in [false, true] {
        let died =
            |call: &usize| live(&Ground::embedded(), &HISTORY, Some(Death { call: *call, carried_out }));
        let calls = (0..).take_while(died).count();
        assert!(calls > 100, "the history has only {calls} calls");
    }
}
