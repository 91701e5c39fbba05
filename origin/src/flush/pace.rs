//! Calls with a whole file in them leave a shared store to the others in between.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::store::RoomStore;

/// The longest pause after a call.
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// A call with a whole file in it, and then as long a pause: a store that others ask too does one after the other, and
/// an append is not to wait for more than one of these.
pub(super) async fn paced<T>(store: &dyn RoomStore, call: impl Future<Output = T>) -> T {
    let begun = Instant::now();
    let answer = call.await;
    if store.is_shared() {
        sleep(begun.elapsed().min(LONGEST_PAUSE)).await;
    }
    answer
}
