//! One link: its frames to the room, the room's messages to the edge, and whether the other end is there.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use shared::{
    close::CloseCode,
    id::RoomId,
    limits,
    wire::link::{OriginMessage, decode_hub, encode_origin},
};
use tokio::{
    net::TcpStream,
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream,
    tungstenite::{
        Message,
        protocol::{CloseFrame, frame::coding::CloseCode as Code},
    },
};

use super::{dial::Parts, doorman::Doorman, live::Place, standing::Standing};
use crate::room::{Attachment, RoomError};

/// A frame that is larger is split between messages.
const FRAME_BYTES: usize = 16 << 20;
/// Pings without an answer after which the edge is gone.
const PINGS: u32 = 3;
/// Answers to sessions without a good token that wait to be written; then the link is not read.
const REFUSALS: usize = 16;
/// How long the edge has to answer a close.
const GOODBYE: Duration = Duration::from_secs(5);

type Error = tokio_tungstenite::tungstenite::Error;

/// Attaches the link to its room and carries frames both ways until one of them ends.
pub(super) async fn run(
    link: WebSocketStream<MaybeTlsStream<TcpStream>>,
    (room, region): (&RoomId, &str),
    place: &Place,
    parts: &Parts,
) -> Result<(), RoomError> {
    let (mut sink, mut stream) = link.split();
    let (sender, mut outbox) = mpsc::channel(limits::ROOM_INBOX);
    let attachment = match parts.rooms.attach(room, sender).await {
        Ok(attachment) => attachment,
        Err(error) => {
            goodbye(&mut sink, code_of(&error).into()).await;
            return Err(error);
        }
    };
    let standing = Standing::new(&parts.metrics, region);
    let mut doorman = Doorman::new(parts.access.clone(), room.clone());
    let (refuse, mut refused) = mpsc::channel(REFUSALS);
    let end = tokio::select! {
        end = read(&mut stream, &attachment, (&mut doorman, &refuse), standing, parts.ping * PINGS) => end,
        () = write(&mut sink, &mut outbox, &mut refused, parts.ping) => Some(CloseCode::Restart.into()),
        () = place.replaced() => Some(CloseCode::Restart.into()),
        () = parts.lifecycle.closing() => Some(CloseCode::Restart.into()),
    };
    drop(attachment);
    if let Some(end) = end {
        goodbye(&mut sink, end).await;
    }
    Ok(())
}

/// What the edge is told at the end.
struct End {
    code: CloseCode,
    reason: String,
}

impl From<CloseCode> for End {
    fn from(code: CloseCode) -> Self {
        Self { code, reason: code.word().to_owned() }
    }
}

fn code_of(error: &RoomError) -> CloseCode {
    match error {
        RoomError::NoRoom | RoomError::NoFile => CloseCode::NotFound,
        RoomError::Draining => CloseCode::Restart,
        RoomError::Failed(_) => CloseCode::Failed,
    }
}

/// Passes frames on in order; waits while the room is behind. The answer is what to say at the end.
async fn read(
    stream: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
    attachment: &Attachment,
    (doorman, refuse): (&mut Doorman, &mpsc::Sender<Vec<OriginMessage>>),
    mut standing: Standing<'_>,
    silence: Duration,
) -> Option<End> {
    loop {
        let message = match timeout(silence, stream.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => {
                tracing::info!(%error, "a link broke");
                return None;
            }
            Ok(None) => return None,
            Err(_) => {
                tracing::info!("a link fell silent");
                return Some(CloseCode::Restart.into());
            }
        };
        match message {
            Message::Binary(frame) => match decode_hub(&frame) {
                Ok(messages) => {
                    let mut refused = Vec::new();
                    let messages = doorman.let_through(standing.take(messages), &mut refused);
                    if !refused.is_empty() && refuse.send(refused).await.is_err() {
                        return Some(CloseCode::Restart.into());
                    }
                    if attachment.send(messages).await.is_err() {
                        return Some(CloseCode::Restart.into());
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a link speaks what this origin does not");
                    return Some(End { code: CloseCode::BadFrame, reason: error.to_string() });
                }
            },
            Message::Close(_) => return None,
            Message::Text(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

/// Ends when the room lets go of the link, or nothing can be written any more.
async fn write(
    sink: &mut (impl Sink<Message> + Unpin),
    outbox: &mut mpsc::Receiver<Vec<OriginMessage>>,
    refused: &mut mpsc::Receiver<Vec<OriginMessage>>,
    ping: Duration,
) {
    let mut pings = interval(ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    pings.reset();
    loop {
        let messages = tokio::select! {
            messages = outbox.recv() => match messages {
                Some(messages) => messages,
                None => return,
            },
            Some(messages) = refused.recv() => messages,
            _ = pings.tick() => {
                if sink.send(Message::Ping(Bytes::new())).await.is_err() {
                    return;
                }
                continue;
            }
        };
        for frame in frames(&messages) {
            if sink.feed(Message::Binary(frame)).await.is_err() {
                return;
            }
        }
        if outbox.is_empty() && sink.flush().await.is_err() {
            return;
        }
    }
}

/// One frame, or as many as it takes to stay below what an edge receives.
fn frames(messages: &[OriginMessage]) -> Vec<Bytes> {
    let frame = encode_origin(messages);
    if frame.len() <= FRAME_BYTES || messages.len() < 2 {
        return vec![frame];
    }
    let (first, second) = messages.split_at(messages.len() / 2);
    [frames(first), frames(second)].concat()
}

async fn goodbye(sink: &mut (impl Sink<Message> + Unpin), end: End) {
    let frame = CloseFrame { code: Code::from(end.code.as_u16()), reason: end.reason.into() };
    // Whoever is gone already needs no reason.
    drop(timeout(GOODBYE, sink.send(Message::Close(Some(frame)))).await);
}
