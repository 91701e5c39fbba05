//! The jobs: what they are called, how they are added, how long they are kept.

use std::time::Duration;

use bullmq::{
    DeduplicationOptions, Job, JobOptions,
    types::{BackoffStrategy, KeepJobs, RemoveOnFinish},
};
use serde_json::json;
use shared::id::RoomId;

use crate::flush::settings::FlushSettings;

/// The name of the jobs.
pub(super) const JOB: &str = "flush-room";

/// Adds a job for a room, unless it has one that waits; one that waits for its time is started if `at_once`.
pub(super) async fn add(
    queue: &bullmq::Queue,
    room: &RoomId,
    settings: FlushSettings,
    at_once: bool,
) -> Result<(), bullmq::Error> {
    let delay = Duration::from_millis(if at_once { 0 } else { settings.delay_ms });
    let job =
        queue.add(JOB, json!({ "room": room })).options(job_options(room, settings).delay(delay)).await?;
    if at_once {
        match job.promote().await {
            // It waits already, runs or is done.
            Err(bullmq::Error::Redis(error)) => return Err(error.into()),
            _ => return Ok(()),
        }
    }
    Ok(())
}

fn job_options(room: &RoomId, settings: FlushSettings) -> JobOptions {
    JobOptions::new()
        .attempts(settings.attempts)
        .backoff(BackoffStrategy::Exponential(settings.backoff_ms))
        .remove_on_complete(done_are_kept())
        .remove_on_fail(failed_are_kept())
        .deduplication(DeduplicationOptions {
            id: room.to_string(),
            ttl: None,
            extend: None,
            replace: None,
            keep_last_if_active: Some(true),
        })
}

/// An hour, at most a thousand. The scripts take seconds, whatever the crate says.
pub(super) fn done_are_kept() -> RemoveOnFinish {
    RemoveOnFinish::Options(KeepJobs { age: Some(3600), count: Some(1000), limit: None })
}

/// A week, at most five thousand.
pub(super) fn failed_are_kept() -> RemoveOnFinish {
    RemoveOnFinish::Options(KeepJobs { age: Some(604_800), count: Some(5000), limit: None })
}

/// The room that a job is for.
pub(super) fn room_of(job: &Job) -> Option<RoomId> {
    RoomId::parse(job.data().get("room")?.as_str()?).ok()
}
