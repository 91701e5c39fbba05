//! Two origins on one Redis and one MongoDB as the service that they are together: from the first member of a room
//! to what is left when the last one has gone.

mod last_leave;
mod leave_and_join;

use tokio::time::{Duration, sleep, timeout};

use crate::support::{
    TestOrigin, mongo,
    redis::{Redis, with_user},
};

/// For what many rooms do at the same time with a server that takes one command after the other.
const LONG: Duration = Duration::from_secs(60);

/// Two origins, and the Redis that is theirs alone.
struct Service {
    redis: Redis,
    origins: [TestOrigin; 2],
}

impl Service {
    /// Starts it with these flags for both origins.
    async fn start(flags: &[&str]) -> Self {
        Self::with_archive(&mongo::address(), flags).await
    }

    /// Starts it on the MongoDB at this address.
    async fn with_archive(mongodb: &str, flags: &[&str]) -> Self {
        let redis = Redis::start(&[]).await;
        let stores = [
            format!("--redis-url={}", with_user(&redis.url()).await),
            format!("--mongodb-url={mongodb}"),
            "--flush-limit=100000".to_owned(),
        ];
        let flags: Vec<&str> = stores.iter().map(String::as_str).chain(flags.iter().copied()).collect();
        let origins = [TestOrigin::start(&flags).await, TestOrigin::start(&flags).await];
        Self { redis, origins }
    }

    /// Waits until Redis holds nothing at all: no key of a room, no room in an index.
    async fn until_redis_is_empty(&self, patience: Duration) {
        let emptied = async {
            loop {
                let keys: Vec<String> = self.redis.ask(&["KEYS", "*"]).await;
                if keys.is_empty() {
                    return;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        if timeout(patience, emptied).await.is_err() {
            let keys: Vec<String> = self.redis.ask(&["KEYS", "*"]).await;
            panic!("Redis still holds {keys:?}");
        }
    }

    async fn backfills(&self) -> [u64; 2] {
        let mut counted = [0; 2];
        for (count, origin) in counted.iter_mut().zip(&self.origins) {
            let metrics = origin.get("/metrics").await.text;
            let line = metrics.lines().find_map(|line| line.strip_prefix("edgeroom_backfills_total "));
            *count = line.expect("it is counted").parse().unwrap();
        }
        counted
    }

    async fn stop(self) {
        for origin in self.origins {
            origin.stop().await;
        }
    }
}
