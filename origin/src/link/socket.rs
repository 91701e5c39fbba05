//! One link: its frames to the room, the room's messages to the edge, and whether the other end is there.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{Sink, SinkExt, Stream, StreamExt};
use shared::{
    close::CloseCode,
    id::RoomId,
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

use super::{Parts, live::Place, status::HubStatus};
use crate::auth::LinkAuthorizer;
use crate::rooms::{Attachment, RoomError};

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
    let (sender, mut outbox) = mpsc::channel(crate::limits::ROOM_INBOX);
    let attachment = match parts.rooms.attach(room, sender).await {
        Ok(attachment) => attachment,
        Err(error) => {
            goodbye(&mut sink, &mut stream, code_of(&error).into()).await;
            return Err(error);
        }
    };
    let status = HubStatus::new(&parts.metrics, region);
    let mut authorizer = LinkAuthorizer::new(parts.access.clone(), room.clone());
    let (refuse, mut refused) = mpsc::channel(REFUSALS);
    let end = tokio::select! {
        end = read(&mut stream, &attachment, (&mut authorizer, &refuse), status, parts.ping * PINGS) => end,
        () = write(&mut sink, &mut outbox, &mut refused, parts.ping) => CloseCode::Restart.into(),
        () = place.replaced() => CloseCode::Restart.into(),
        () = parts.lifecycle.closing() => CloseCode::Restart.into(),
    };
    drop(attachment);
    goodbye(&mut sink, &mut stream, end).await;
    Ok(())
}

/// How a link ends.
enum End {
    /// It broke.
    Broken,
    /// The edge has closed it.
    ByEdge,
    /// The edge is told so.
    Told { code: CloseCode, reason: String },
}

impl From<CloseCode> for End {
    fn from(code: CloseCode) -> Self {
        Self::Told { code, reason: code.word().to_owned() }
    }
}

fn code_of(error: &RoomError) -> CloseCode {
    match error {
        RoomError::NoRoom | RoomError::NoFile => CloseCode::NotFound,
        RoomError::Draining => CloseCode::Restart,
        RoomError::Failed(_) => CloseCode::Failed,
    }
}

/// Passes frames on in order, until the end; waits while the room is behind.
async fn read(
    stream: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
    attachment: &Attachment,
    (authorizer, refuse): (&mut LinkAuthorizer, &mpsc::Sender<Vec<OriginMessage>>),
    mut status: HubStatus<'_>,
    silence: Duration,
) -> End {
    loop {
        let message = match timeout(silence, stream.next()).await {
            Ok(Some(Ok(message))) => message,
            Ok(Some(Err(error))) => {
                tracing::info!(%error, "a link broke");
                return End::Broken;
            }
            Ok(None) => return End::Broken,
            Err(_) => {
                tracing::info!("a link fell silent");
                return CloseCode::Restart.into();
            }
        };
        match message {
            Message::Binary(frame) => match decode_hub(&frame) {
                Ok(messages) => {
                    let mut refused = Vec::new();
                    let messages = authorizer.authorize(status.take(messages), &mut refused);
                    if !refused.is_empty() && refuse.send(refused).await.is_err() {
                        return CloseCode::Restart.into();
                    }
                    if attachment.send(messages).await.is_err() {
                        return CloseCode::Restart.into();
                    }
                }
                Err(error) => {
                    tracing::error!(%error, "a link speaks what this origin does not");
                    return End::Told { code: CloseCode::BadFrame, reason: error.to_string() };
                }
            },
            Message::Close(_) => return End::ByEdge,
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

/// Says what the edge is to be told, and lets the connection end when each side has closed it: what lay unread then
/// would undo what was written (RFC 1122, 4.2.2.13). Whoever takes longer is gone.
async fn goodbye(
    sink: &mut (impl Sink<Message> + Unpin),
    stream: &mut (impl Stream<Item = Result<Message, Error>> + Unpin),
    end: End,
) {
    let goodbye = async {
        match end {
            End::Broken => {}
            // The answer to its close is written with whatever else is.
            End::ByEdge => drop(sink.flush().await),
            End::Told { code, reason } => {
                let frame = CloseFrame { code: Code::from(code.as_u16()), reason: reason.into() };
                let said = sink.send(Message::Close(Some(frame))).await.is_ok();
                while said
                    && !matches!(stream.next().await, Some(Ok(Message::Close(_))) | Some(Err(_)) | None)
                {
                }
            }
        }
    };
    drop(timeout(GOODBYE, goodbye).await);
}
