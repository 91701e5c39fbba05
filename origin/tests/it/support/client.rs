//! A client of a room in the Hocuspocus envelope, with a real document per file.

use std::collections::HashMap;

use futures_util::{SinkExt, StreamExt};
use shared::wire::{
    hocuspocus::{ClientMessage, ServerMessage, read_server, write_client},
    yjs::SyncMessage,
};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Error, Message, client::IntoClientRequest},
};
use yrs::{
    Doc, GetString, ReadTxn, StateVector, Text, Transact, Update, updates::decoder::Decode,
    updates::encoder::Encode,
};

use super::PATIENCE;

/// How one document stands.
#[derive(Debug)]
struct Received {
    synced: bool,
    /// What it counts as unsaved, like a stock client: one for the opening, one for each update.
    unsaved: usize,
}

/// One socket with any number of open documents.
pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    documents: HashMap<String, (Doc, Received)>,
    /// The room events that came, for those who have `.room` open.
    pub(crate) events: Vec<serde_json::Value>,
}

impl Client {
    pub(crate) async fn connect(address: impl IntoClientRequest + Unpin) -> Self {
        let (socket, _) = connect_async(address).await.unwrap();
        Self { socket, documents: HashMap::new(), events: Vec::new() }
    }

    /// Opens a document and waits until it is synchronised.
    pub(crate) async fn open(&mut self, name: &str) {
        self.open_with(name, "").await;
    }

    /// The same with text that was typed offline.
    pub(crate) async fn open_with(&mut self, name: &str, text: &str) {
        let doc = Doc::new();
        if !text.is_empty() {
            doc.get_or_insert_text("content").insert(&mut doc.transact_mut(), 0, text);
        }
        self.documents.insert(name.to_owned(), (doc, Received { synced: false, unsaved: 1 }));
        let vector = self.vector(name);
        self.send(name, &ClientMessage::Token { token: "", version: Some("4.8.0") }).await;
        self.send(name, &ClientMessage::Sync(SyncMessage::Step1(&vector))).await;
        self.until(|client| client.documents[name].1.synced).await;
    }

    /// Appends to a document's text.
    pub(crate) async fn append(&mut self, name: &str, text: &str) {
        let update = {
            let Some((doc, received)) = self.documents.get_mut(name) else { panic!("{name} is not open") };
            received.unsaved += 1;
            let content = doc.get_or_insert_text("content");
            let mut change = doc.transact_mut();
            let end = content.len(&change);
            content.insert(&mut change, end, text);
            change.encode_update_v1()
        };
        self.send(name, &ClientMessage::Sync(SyncMessage::Update(&update))).await;
    }

    /// Deletes all of a document's text.
    pub(crate) async fn erase(&mut self, name: &str) {
        let update = {
            let Some((doc, received)) = self.documents.get_mut(name) else { panic!("{name} is not open") };
            received.unsaved += 1;
            let content = doc.get_or_insert_text("content");
            let mut change = doc.transact_mut();
            let length = content.len(&change);
            content.remove_range(&mut change, 0, length);
            change.encode_update_v1()
        };
        self.send(name, &ClientMessage::Sync(SyncMessage::Update(&update))).await;
    }

    pub(crate) fn text(&self, name: &str) -> String {
        let (doc, _) = &self.documents[name];
        doc.get_or_insert_text("content").get_string(&doc.transact())
    }

    /// Whether everything that was done is acknowledged.
    pub(crate) fn is_saved(&self, name: &str) -> bool {
        self.documents[name].1.unsaved == 0
    }

    /// Waits until everything that was done is acknowledged.
    pub(crate) async fn saved(&mut self, name: &str) {
        self.until(|client| client.is_saved(name)).await;
    }

    /// Reads frames until this holds.
    pub(crate) async fn until(&mut self, holds: impl Fn(&Self) -> bool) {
        while !holds(self) {
            match self.next_raw().await {
                Some(Message::Binary(frame)) => self.take(&frame).await,
                Some(Message::Close(frame)) => panic!("closed: {frame:?}"),
                Some(_) => {}
                None => panic!("the socket has ended"),
            }
        }
    }

    /// Reads frames until the socket is closed, and with which code.
    pub(crate) async fn closed(self) -> u16 {
        self.closed_because().await.0
    }

    /// The same with the reason.
    pub(crate) async fn closed_because(mut self) -> (u16, String) {
        loop {
            match self.next_raw().await {
                Some(Message::Close(Some(frame))) => return (frame.code.into(), frame.reason.to_string()),
                Some(Message::Close(None)) => return (1005, String::new()),
                Some(_) => {}
                None => return (1006, String::new()),
            }
        }
    }

    pub(crate) async fn send_raw(&mut self, message: Message) {
        self.socket.send(message).await.unwrap();
    }

    /// Sends something to an origin that may have closed the socket.
    pub(crate) async fn try_send(&mut self, message: Message) -> Result<(), Error> {
        self.socket.send(message).await
    }

    pub(crate) async fn next_raw(&mut self) -> Option<Message> {
        self.next().await.and_then(Result::ok)
    }

    /// What comes next: nothing once the connection has ended as it should.
    pub(crate) async fn next(&mut self) -> Option<Result<Message, Error>> {
        timeout(PATIENCE, self.socket.next()).await.unwrap_or_else(|_| panic!("nothing came"))
    }

    async fn take(&mut self, frame: &[u8]) {
        let Ok((name, message)) = read_server(frame) else { return };
        if let ServerMessage::Stateless(event) = message {
            self.events.push(serde_json::from_str(event).unwrap());
        }
        let Some((doc, received)) = self.documents.get_mut(name) else { return };
        let mut answer = None;
        match message {
            ServerMessage::Sync(SyncMessage::Step1(vector)) => {
                let theirs = StateVector::decode_v1(vector).unwrap();
                answer = Some(doc.transact().encode_diff_v1(&theirs));
            }
            ServerMessage::Sync(sync) => {
                received.synced |= matches!(sync, SyncMessage::Step2(_));
                doc.transact_mut().apply_update(Update::decode_v1(sync.payload()).unwrap()).unwrap();
            }
            ServerMessage::SyncStatus(true) => received.unsaved -= 1,
            ServerMessage::SyncStatus(false) => panic!("a change of {name} was refused"),
            ServerMessage::Close { reason } | ServerMessage::PermissionDenied { reason } => {
                panic!("{name} was closed: {reason}")
            }
            _ => {}
        }
        if let Some(update) = answer {
            let name = name.to_owned();
            self.send(&name, &ClientMessage::Sync(SyncMessage::Step2(&update))).await;
        }
    }

    async fn send(&mut self, name: &str, message: &ClientMessage<'_>) {
        self.send_raw(Message::Binary(write_client(name, message))).await;
    }

    fn vector(&self, name: &str) -> Vec<u8> {
        self.documents[name].0.transact().state_vector().encode_v1()
    }
}
