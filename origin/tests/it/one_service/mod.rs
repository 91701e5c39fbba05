//! Origins on one Redis and one MongoDB, as one service: what the last leave writes, members who hand a room over
//! in the very moment it ends, and what an origin does not hear.

mod handing_over;
mod last_leave;
mod unheard;

use tokio::sync::Mutex;

use crate::support::{TestOrigin, mongo, redis};

/// Held by whoever asks so much of the archive, or so soon, that another must not do the same beside it.
static ARCHIVE: Mutex<()> = Mutex::const_new(());

/// The flags of an origin on this Redis and the tests' MongoDB, that flushes as often as it likes.
async fn flags(server: &redis::Redis, more: &[&str]) -> Vec<String> {
    let redis = format!("--redis-url={}", redis::with_user(&server.url()).await);
    let mongo = format!("--mongodb-url={}", mongo::address());
    let own = [redis, mongo, "--flush-limit=1000".to_owned(), "--flush-window-ms=1000".to_owned()];
    own.into_iter().chain(more.iter().map(|flag| (*flag).to_owned())).collect()
}

async fn start(flags: &[String]) -> TestOrigin {
    TestOrigin::start(&flags.iter().map(String::as_str).collect::<Vec<_>>()).await
}

/// Nothing of the room is left in Redis: no key, and no entry of an index.
async fn until_gone(server: &redis::Redis, room: &str) {
    redis::until(async || {
        let keys: Vec<String> = server.ask(&["KEYS", "c:*"]).await;
        let mut names = keys.iter().any(|key| key.contains(room));
        for index in keys.iter().filter(|key| key.starts_with("c:idx:")) {
            let rooms: Vec<String> = server.ask(&["ZRANGE", index, "0", "-1"]).await;
            names |= rooms.iter().any(|known| known == room);
        }
        !names
    })
    .await;
}
