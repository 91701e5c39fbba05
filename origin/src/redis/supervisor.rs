//! Keeps a connection: connects, uses it until it is lost, waits a little, and connects again, indefinitely.

use std::{fmt::Display, time::Duration};

use tokio::time::{sleep, timeout};

use crate::connections::Connection;

/// What was being done when a connection was lost, and why it counts as lost.
pub(crate) type Lost = (&'static str, String);

/// Something that needs a connection.
pub(crate) trait Supervised: Send {
    /// A connection that is up.
    type Live: Send;

    /// Whether an outage is one warning, and not one for each way in which connecting fails.
    const WARNS_ONCE: bool = false;

    /// Whether the connection is needed still; asked before each attempt to connect.
    fn is_needed(&mut self) -> impl Future<Output = bool> + Send;

    /// Connects, within a time of its own. The error is for the log and holds no secret.
    fn connect(&mut self) -> impl Future<Output = Result<Self::Live, String>> + Send;

    /// Uses the connection until it is lost, or `None` if it is needed no longer. Tells the health of `connection` once
    /// it has been tried out.
    fn serve(
        &mut self,
        live: Self::Live,
        connection: &Connection,
    ) -> impl Future<Output = Option<Lost>> + Send;
}

/// Keeps the connection for as long as it is needed.
pub(crate) async fn supervise<S: Supervised>(supervised: &mut S, connection: &Connection) {
    let failed = |doing: &str, why: &str| match S::WARNS_ONCE {
        true => connection.health().is_out(doing, why),
        false => connection.health().failed(doing, why),
    };
    let mut failures = 0;
    while supervised.is_needed().await {
        match supervised.connect().await {
            Ok(live) => {
                failures = 0;
                connection.set_up(true);
                let lost = supervised.serve(live, connection).await;
                connection.set_up(false);
                if let Some((doing, why)) = lost {
                    failed(doing, &why);
                }
            }
            Err(why) => {
                failures += 1;
                failed("connecting", &why);
            }
        }
        sleep(backoff(failures)).await;
    }
}

/// The outcome of something that must be done by a deadline, errors as texts.
pub(crate) async fn in_time<T, E: Display>(
    deadline: Duration,
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match timeout(deadline, work).await {
        Ok(outcome) => outcome.map_err(|error| error.to_string()),
        Err(_) => Err("no answer in time".to_owned()),
    }
}

/// How long to wait after so many failures in a row: at most 2 s, not all at the same time.
fn backoff(failures: u32) -> Duration {
    let most = Duration::from_millis(25 << failures.min(7)).min(Duration::from_secs(2));
    most.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}
