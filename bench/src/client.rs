//! Clients: of a room in the Hocuspocus envelope, or of the raw broadcast; what they type, and what they see.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use shared::wire::{
    hocuspocus::{ClientMessage, ServerMessage, read_server, write_client},
    yjs::{EMPTY_UPDATE, SyncMessage},
};
use tokio::net::TcpStream;
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, client_async, connect_async_with_config, tungstenite::Message,
};
use yrs::{
    ClientID, Doc, Options, ReadTxn, Text, Transact, Update,
    updates::{decoder::Decode, encoder::Encode},
};

/// The file that everybody has open; it is created when it is first opened.
pub(crate) const FILE: &str = "main.txt";

pub(crate) type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// What matters of what a server sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum News {
    /// Somebody else's update, in the whole frame.
    Update,
    /// One own change is logged.
    Acknowledged,
    /// The file as it was when it was opened.
    State,
    /// The server wants what this client has.
    Question,
    Other,
}

/// Connects to the raw broadcast and waits to be in.
pub(crate) async fn join_broadcast(url: &str) -> Result<Socket> {
    let mut socket = connect(url).await?;
    next_frame(&mut socket).await?;
    Ok(socket)
}

/// Connects to a room and opens the file; ready when a stock client would show it as saved.
pub(crate) async fn join_room(url: &str) -> Result<Socket> {
    open_file(connect(url).await?, &Doc::new()).await
}

/// The same over a connection that is there, wherever it leads: the server is told the address of `url`. What the
/// screen lacks is asked for and shown.
pub(crate) async fn join_room_over(stream: TcpStream, url: &str, screen: &Doc) -> Result<Socket> {
    stream.set_nodelay(true)?;
    let connected = client_async(url, MaybeTlsStream::Plain(stream)).await;
    open_file(connected.with_context(|| format!("connecting as if to {url}"))?.0, screen).await
}

async fn open_file(mut socket: Socket, screen: &Doc) -> Result<Socket> {
    let has = screen.transact().state_vector().encode_v1();
    send(&mut socket, write(&ClientMessage::Token { token: "", version: None })).await?;
    send(&mut socket, write(&ClientMessage::Sync(SyncMessage::Step1(&has)))).await?;
    let (mut has_state, mut is_saved) = (false, false);
    while !has_state || !is_saved {
        let frame = next_frame(&mut socket).await?;
        match read(&frame)? {
            News::State => {
                show(screen, &frame)?;
                has_state = true;
            }
            News::Acknowledged => is_saved = true,
            News::Question => {
                let answer = ClientMessage::Sync(SyncMessage::Step2(EMPTY_UPDATE));
                send(&mut socket, write(&answer)).await?;
            }
            News::Update | News::Other => {}
        }
    }
    Ok(socket)
}

/// Sends a frame at once.
pub(crate) async fn send(socket: &mut Socket, frame: Bytes) -> Result<()> {
    socket.send(Message::Binary(frame)).await.context("sending")
}

/// Waits for this and gives its frame.
pub(crate) async fn until(socket: &mut Socket, wanted: News) -> Result<Bytes> {
    loop {
        let frame = next_frame(socket).await?;
        if read(&frame)? == wanted {
            return Ok(frame);
        }
    }
}

/// What a frame of a server says.
pub(crate) fn read(frame: &[u8]) -> Result<News> {
    let (_, message) = read_server(frame).context("reading a frame")?;
    Ok(match message {
        ServerMessage::Sync(SyncMessage::Update(_)) => News::Update,
        ServerMessage::Sync(SyncMessage::Step2(_)) => News::State,
        ServerMessage::Sync(SyncMessage::Step1(_)) => News::Question,
        ServerMessage::SyncStatus(true) => News::Acknowledged,
        ServerMessage::SyncStatus(false) => bail!("a change was refused"),
        ServerMessage::Close { reason } | ServerMessage::PermissionDenied { reason } => {
            bail!("the file was closed: {reason}")
        }
        _ => News::Other,
    })
}

/// Shows what a frame brings of the file.
pub(crate) fn show(screen: &Doc, frame: &[u8]) -> Result<()> {
    let (_, ServerMessage::Sync(SyncMessage::Update(update) | SyncMessage::Step2(update))) =
        read_server(frame)?
    else {
        bail!("a frame that brings nothing of the file")
    };
    screen.transact_mut().apply_update(Update::decode_v1(update)?).context("showing an update")
}

/// One keystroke after the other by one author, each as the frame that a client sends and a server passes on.
pub(crate) fn keystrokes(author: u64, count: usize) -> Vec<Bytes> {
    typed(author, count, "x")
}

/// The same, where each keystroke puts a whole text at the end.
pub(crate) fn typed(author: u64, count: usize, keystroke: &str) -> Vec<Bytes> {
    let frame = |update: Bytes| write(&ClientMessage::Sync(SyncMessage::Update(&update)));
    updates(author, count, keystroke).into_iter().map(frame).collect()
}

/// The updates alone.
pub(crate) fn updates(author: u64, count: usize, keystroke: &str) -> Vec<Bytes> {
    let doc = Doc::with_options(Options { client_id: ClientID::new(author), ..Options::default() });
    let text = doc.get_or_insert_text("content");
    let mut press = |_| {
        let mut change = doc.transact_mut();
        text.push(&mut change, keystroke);
        Bytes::from(change.encode_update_v1())
    };
    (0..count).map(&mut press).collect()
}

/// Connects to a room or to the raw broadcast.
pub(crate) async fn connect(url: &str) -> Result<Socket> {
    let without_nagle = true;
    let connected = connect_async_with_config(url, None, without_nagle).await;
    Ok(connected.with_context(|| format!("connecting to {url}"))?.0)
}

async fn next_frame(socket: &mut Socket) -> Result<Bytes> {
    loop {
        match socket.next().await.context("the server has gone")?.context("receiving")? {
            Message::Binary(frame) => return Ok(frame),
            Message::Close(frame) => bail!("the server has closed: {frame:?}"),
            _ => {}
        }
    }
}

fn write(message: &ClientMessage<'_>) -> Bytes {
    write_client(FILE, message)
}
