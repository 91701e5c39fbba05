//! Why an attempt failed, written on its job at once: the crate says so only of a job that has used all of them.

use bullmq::{Error, Job, Queue};

const SCRIPT: &str = include_str!("lua/reason.lua");

/// Leaves the reason on the job, where boards look for it.
pub(super) async fn leave(queue: &Queue, job: &Job, reason: &str) -> Result<(), Error> {
    let key = queue.keys().job_key(job.id());
    let line = format!("attempt {}: {reason}", job.attempts_made() + 1);
    // Rare enough to be sent whole.
    let mut call = redis::cmd("EVAL");
    call.arg(SCRIPT).arg(2).arg(&key).arg(format!("{key}:lock"));
    call.arg(job.token().unwrap_or_default()).arg(reason).arg(line);
    queue.connection().cmd(&mut call).await
}
