//! What a socket still has to send: a queue bounded by bytes.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use axum::extract::ws::{CloseFrame, Message};
use shared::{close::CloseCode, limits};
use tokio::sync::Notify;

/// What one socket may have to send before the shell gives it up, whatever the hub knows: the hub's own limit
/// counts what is left after a moment, since a client that opens a large project gets much at once.
const MOST_BYTES: usize = limits::BACKLOG_HUB_BYTES;
/// Frames beside the bytes: an empty one costs memory too.
const MOST_FRAMES: usize = 64 << 10;
/// Bytes that are written between two flushes.
const BATCH_BYTES: usize = 256 << 10;

/// The queue between a hub and one socket.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    frames: VecDeque<Message>,
    bytes: usize,
    end: Option<CloseFrame>,
}

/// The queue is full: the socket reads too slowly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full;

/// What a socket is to do next.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Send(Vec<Message>),
    Close(CloseFrame),
}

impl Outgoing {
    /// Puts a frame at the end.
    pub(super) fn push(&self, frame: Message) -> Result<(), Full> {
        let mut queue = self.lock();
        let size = size_of(&frame);
        if queue.end.is_some() {
            return Ok(());
        }
        if queue.bytes + size > MOST_BYTES || queue.frames.len() >= MOST_FRAMES {
            return Err(Full);
        }
        queue.bytes += size;
        queue.frames.push_back(frame);
        self.changed.notify_one();
        Ok(())
    }

    /// Ends the socket after what is queued; a slow one gets nothing of that any more. The first reason counts.
    pub(super) fn close(&self, code: CloseCode, reason: &str) {
        let mut queue = self.lock();
        if code == CloseCode::SlowConsumer {
            queue.frames.clear();
            queue.bytes = 0;
        }
        queue.end.get_or_insert_with(|| CloseFrame { code: code.as_u16(), reason: reason.into() });
        self.changed.notify_one();
    }

    /// Bytes that wait behind what is being written.
    pub(super) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// Waits for something to do. Frames that were taken count as written: whoever stops half-way is gone.
    pub(super) async fn next(&self) -> Next {
        loop {
            let changed = self.changed.notified();
            if let Some(next) = self.lock().take() {
                return next;
            }
            changed.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn take(&mut self) -> Option<Next> {
        if self.frames.is_empty() {
            return self.end.clone().map(Next::Close);
        }
        let (mut batch, mut size) = (Vec::new(), 0);
        while let Some(frame) = self.frames.pop_front() {
            size += size_of(&frame);
            batch.push(frame);
            if size >= BATCH_BYTES {
                break;
            }
        }
        self.bytes -= size;
        Some(Next::Send(batch))
    }
}

fn size_of(frame: &Message) -> usize {
    match frame {
        Message::Binary(bytes) => bytes.len(),
        Message::Text(text) => text.len(),
        Message::Ping(_) | Message::Pong(_) | Message::Close(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> Message {
        Message::Binary(vec![0; bytes].into())
    }

    #[tokio::test]
    async fn frames_leave_in_order_and_the_close_comes_last() {
        let outgoing = Outgoing::default();
        outgoing.push(frame(1)).unwrap();
        outgoing.close(CloseCode::Deleted, "deleted");
        outgoing.close(CloseCode::Failed, "later");
        assert_eq!(outgoing.push(frame(5)), Ok(()));
        assert_eq!(outgoing.next().await, Next::Send(vec![frame(1)]));
        assert_eq!(outgoing.next().await, Next::Close(CloseFrame { code: 4410, reason: "deleted".into() }));
    }

    #[tokio::test]
    async fn a_full_queue_says_so_and_a_slow_socket_gets_the_close_at_once() {
        let outgoing = Outgoing::default();
        outgoing.push(frame(MOST_BYTES)).unwrap();
        assert_eq!(outgoing.push(frame(1)), Err(Full));
        outgoing.close(CloseCode::SlowConsumer, "slow-consumer");
        assert_eq!(outgoing.bytes(), 0);
        assert!(matches!(outgoing.next().await, Next::Close(frame) if frame.code == 4508));
    }

    #[tokio::test]
    async fn what_is_being_written_does_not_count_as_waiting() {
        let outgoing = Outgoing::default();
        outgoing.push(frame(BATCH_BYTES)).unwrap();
        outgoing.push(frame(7)).unwrap();
        assert_eq!(outgoing.next().await, Next::Send(vec![frame(BATCH_BYTES)]));
        assert_eq!(outgoing.bytes(), 7);
    }
}
