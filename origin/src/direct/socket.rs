//! One socket: reads frames for its hub, writes what the hub has for it, notices when nobody is there.

use std::{sync::Arc, time::Duration};

use axum::extract::ws::{Message, WebSocket};
use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use shared::{close::CloseCode, hub::Frame, id::SessionId};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

use super::{
    input::{HUB_GONE, Input, MESSAGE_BYTES, bytes_of},
    outgoing::{Next, Outgoing},
};

/// How often a client is pinged; browsers answer by themselves.
const PING: Duration = Duration::from_secs(20);
/// Silence after which a client is gone.
const SILENCE: Duration = Duration::from_secs(45);
/// How long a client has to take what is half-written, and to answer a close.
const GOODBYE: Duration = Duration::from_secs(5);
/// What the frames of one socket may hold while they wait on the hub.
const WAITING_BYTES: usize = MESSAGE_BYTES;

/// Reads and writes until one of the two ends, then lets the connection end as RFC 6455 asks: each side has sent a
/// close and read the other's. Writing is a task of its own: what is sent to a client must not cost a look at what it
/// has sent.
pub(super) async fn run(
    socket: WebSocket,
    session: SessionId,
    hub: &mpsc::Sender<Input>,
    outgoing: Arc<Outgoing>,
    tracker: &TaskTracker,
) {
    let (mut sink, mut stream) = socket.split();
    let queue = outgoing.clone();
    let write_all = async move { write(&mut sink, &queue).await };
    let mut writing = AbortOnDropHandle::new(tracker.spawn(write_all));
    let ended = tokio::select! {
        read = read(&mut stream, session, hub) => read,
        _ = &mut writing => Ended::Closing,
    };
    if let Ended::HubGone = ended {
        let (code, reason) = HUB_GONE;
        outgoing.close(code, reason);
    }
    let close = async {
        if !matches!(ended, Ended::Silent) {
            closed(&mut stream).await;
        }
    };
    // The others need not wait for the goodbye, and a hub that has ended needs to hear of none.
    let (_, ()) = tokio::join!(hub.send(Input::Gone(session)), close);
    drop(writing);
}

/// Closes a socket that no hub has.
pub(crate) async fn turn_away(socket: WebSocket, code: CloseCode, reason: &str) {
    let outgoing = Outgoing::default();
    outgoing.close(code, reason);
    let (mut sink, mut stream) = socket.split();
    let write_all = async {
        write(&mut sink, &outgoing).await;
        std::future::pending().await
    };
    tokio::select! {
        () = closed(&mut stream) => {}
        () = write_all => {}
    }
}

enum Ended {
    /// The client fell silent, or the connection broke.
    Silent,
    /// One of the two has closed.
    Closing,
    /// There is no hub any more.
    HubGone,
}

/// Reads on until the other side has closed as well. Reading also writes the answer to a client's close, behind what
/// is half-written; and what lay unread when the connection ends would undo what was written (RFC 1122, 4.2.2.13).
async fn closed(stream: &mut (impl Stream<Item = Result<Message, axum::Error>> + Unpin)) {
    // Whoever takes longer is gone.
    let _ = timeout(GOODBYE, async { while let Some(Ok(_)) = stream.next().await {} }).await;
}

async fn read(
    stream: &mut (impl Stream<Item = Result<Message, axum::Error>> + Unpin),
    session: SessionId,
    hub: &mpsc::Sender<Input>,
) -> Ended {
    let room_left = Arc::new(Semaphore::new(WAITING_BYTES));
    while let Ok(Some(Ok(message))) = timeout(SILENCE, stream.next()).await {
        let frame = match message {
            Message::Binary(bytes) => Frame::Binary(bytes),
            Message::Text(text) => Frame::Text(text.as_str().to_owned()),
            Message::Ping(_) | Message::Pong(_) => continue,
            Message::Close(_) => return Ended::Closing,
        };
        let share = u32::try_from(bytes_of(&frame).min(WAITING_BYTES)).unwrap_or(u32::MAX);
        let Ok(share) = room_left.clone().acquire_many_owned(share).await else { return Ended::Silent };
        if hub.send(Input::Frame(session, frame, share)).await.is_err() {
            return Ended::HubGone;
        }
    }
    Ended::Silent
}

/// Ends after a close was written, or when nothing can be written any more.
async fn write(sink: &mut (impl Sink<Message> + Unpin), outgoing: &Outgoing) {
    let mut pings = interval(PING);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    loop {
        let next = tokio::select! {
            next = outgoing.next() => next,
            _ = pings.tick() => Next::Send(vec![Message::Ping(Bytes::new())]),
        };
        let (frames, is_last) = match next {
            Next::Send(frames) => (frames, false),
            Next::Close(frame) => (vec![Message::Close(Some(frame))], true),
        };
        for frame in frames {
            if sink.feed(frame).await.is_err() {
                return;
            }
        }
        if sink.flush().await.is_err() || is_last {
            return;
        }
    }
}
