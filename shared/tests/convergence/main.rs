//! One text everywhere: what passes the gate has the same text in every order and from every encoded state, in yrs and
//! in yjs, and no update of an honest client is refused.
//!
//! Histories come from seeds. `EDGEROOM_HISTORIES` is how many (20,000 by default), `EDGEROOM_SEED` where they begin.
//! Node runs beside the test (`EDGEROOM_NODE`, else `node`), with what `npm ci` has installed.

#![expect(clippy::unwrap_used, reason = "what a test cannot read ends it")]

mod chance;
mod gate;
mod hostile;
mod node;
mod kinds;
mod honest;
mod replicas;

/// A variable of the environment.
#[expect(clippy::disallowed_methods, reason = "a test's own settings")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// How many histories are tried, and the seed of the first.
fn histories() -> std::ops::Range<u64> {
    let number = |name| variable(name).and_then(|text| text.parse::<u64>().ok());
    let first = number("EDGEROOM_SEED").unwrap_or(0);
    first..first + number("EDGEROOM_HISTORIES").unwrap_or(20_000)
}
