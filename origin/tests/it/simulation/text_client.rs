//! A client without Yjs, as `docs/PROTOCOL.md` describes it: it keeps a text, applies edits, and counts the answers
//! to its changes. While one is unanswered it takes nothing; after an error only a whole text.

use std::collections::VecDeque;

use serde_json::{Value, json};
use shared::{
    hub::{Dialect, Frame, Visitor},
    id::SessionId,
};

use super::World;

/// One file on one socket.
pub(crate) struct TextClient {
    pub(crate) file: String,
    pub(crate) text: String,
    pub(crate) position: Option<Value>,
    pub(crate) unanswered: usize,
    /// Its last change was refused and it has not got the text since.
    pub(crate) lost: bool,
    pub(crate) logged: usize,
    /// The codes of the errors that it got.
    pub(crate) errors: Vec<String>,
    /// Everything else that it got.
    pub(crate) events: Vec<Value>,
    /// How many edits of others, and whole texts, it has taken.
    pub(crate) taken: (usize, usize),
    pub(crate) out: VecDeque<String>,
    pub(crate) inbox: VecDeque<String>,
    pub(crate) place: Option<(usize, SessionId)>,
    home: usize,
}

impl TextClient {
    pub(crate) fn disconnected(&mut self) {
        self.place = None;
        self.out.clear();
        self.inbox.clear();
    }

    fn connected(&mut self) {
        self.out.push_back(json!({ "type": "open", "file": self.file }).to_string());
        if std::mem::take(&mut self.unanswered) > 0 && !self.lost {
            // Whether those were logged it cannot know: it says what it had and what it has.
            self.whole(&self.text.clone());
        }
    }

    /// Types by an edit of the text that it has. Offsets in UTF-16.
    pub(crate) fn edit(&mut self, at: usize, delete: usize, insert: &str) {
        let edit = json!({ "at": at, "delete": delete, "insert": insert });
        self.text = applied(&self.text, &edit);
        let frame = json!({ "type": "edit", "file": self.file, "position": self.position, "edits": [edit] });
        self.send(frame);
    }

    /// Says what its text is now.
    pub(crate) fn whole(&mut self, text: &str) {
        self.text = text.to_owned();
        let frame =
            json!({ "type": "code-change", "file": self.file, "position": self.position, "text": text });
        self.send(frame);
    }

    fn send(&mut self, frame: Value) {
        self.unanswered += 1;
        if self.place.is_some() {
            self.out.push_back(frame.to_string());
        }
    }

    fn receive(&mut self, frame: &str) {
        let frame: Value = serde_json::from_str(frame).expect("JSON");
        let takes = self.unanswered == 0;
        match frame["type"].as_str().expect("a type") {
            "logged" => {
                assert_eq!(frame["file"], self.file.as_str());
                self.unanswered -= 1;
                self.logged += 1;
            }
            "error" => {
                self.errors.push(frame["code"].as_str().expect("a code").to_owned());
                if frame["file"] == self.file.as_str() {
                    self.unanswered = self.unanswered.saturating_sub(1);
                    self.lost = true;
                }
            }
            "text" if takes => {
                self.text = frame["text"].as_str().expect("a text").to_owned();
                self.position = Some(frame["position"].clone());
                self.lost = false;
                self.taken.1 += 1;
            }
            "edit" if takes && !self.lost => {
                for edit in frame["edits"].as_array().expect("edits") {
                    self.text = applied(&self.text, edit);
                }
                self.position = Some(frame["position"].clone());
                self.taken.0 += 1;
            }
            "text" | "edit" => {}
            _ => self.events.push(frame),
        }
    }
}

fn applied(text: &str, edit: &Value) -> String {
    let mut units: Vec<u16> = text.encode_utf16().collect();
    let [at, delete] = ["at", "delete"].map(|part| edit[part].as_u64().expect("a number") as usize);
    units.splice(at..at + delete, edit["insert"].as_str().expect("a text").encode_utf16());
    String::from_utf16(&units).expect("no character is cut")
}

impl World {
    /// A new client of text frames at a hub, connected.
    pub(crate) fn join_text(&mut self, hub: usize, file: &str) -> usize {
        self.texts.push(TextClient {
            file: file.to_owned(),
            text: String::new(),
            position: None,
            unanswered: 0,
            lost: false,
            logged: 0,
            errors: Vec::new(),
            events: Vec::new(),
            taken: (0, 0),
            out: VecDeque::new(),
            inbox: VecDeque::new(),
            place: None,
            home: hub,
        });
        let at = self.texts.len() - 1;
        self.connect_text(at);
        at
    }

    pub(crate) fn connect_text(&mut self, client: usize) {
        let hub = self.texts[client].home;
        self.next_id += 1;
        let session = SessionId::from_random(self.next_id << 20);
        self.texts[client].place = Some((hub, session));
        self.hubs[hub].text_sockets.insert(session, client);
        let visitor = Visitor { dialect: Dialect::Hocuspocus, token: Some("token".to_owned()) };
        self.hubs[hub].hub.connect(session, visitor, self.now);
        self.texts[client].connected();
        self.settle_hub(hub);
    }

    /// The socket ends, from the client's side or by the network.
    pub(crate) fn disconnect_text(&mut self, client: usize) {
        if let Some((hub, session)) = self.texts[client].place {
            self.hubs[hub].text_sockets.remove(&session);
            self.hubs[hub].sessions.remove(&session);
            self.hubs[hub].hub.disconnect(session, self.now);
            self.texts[client].disconnected();
            self.settle_hub(hub);
        }
    }

    /// The hub gets a text frame of a client that is not what the reference client would send.
    pub(crate) fn says(&mut self, client: usize, frame: &Value) {
        self.texts[client].out.push_back(frame.to_string());
        self.run();
    }

    pub(crate) fn deliver_from_text(&mut self, client: usize) -> bool {
        let Some((hub, session)) = self.texts[client].place else { return false };
        let Some(frame) = self.texts[client].out.pop_front() else { return false };
        self.hubs[hub].hub.receive(session, Frame::Text(frame), self.now);
        self.settle_hub(hub);
        true
    }

    pub(crate) fn deliver_to_text(&mut self, client: usize) -> bool {
        let Some(frame) = self.texts[client].inbox.pop_front() else { return false };
        self.texts[client].receive(&frame);
        true
    }

    /// Every client of text frames has what the log says and waits for nothing.
    pub(crate) fn assert_texts_converged(&self, file: &str) {
        let logged = self.logged_text(file);
        for (at, client) in self.texts.iter().enumerate().filter(|(_, client)| client.file == file) {
            assert_eq!(client.unanswered, 0, "text client {at} waits indefinitely");
            assert!(!client.lost, "text client {at} was refused and got no text");
            assert_eq!(client.text, logged, "text client {at} differs from the log");
        }
    }
}

/// A Yjs client and a client of text frames in different regions, both with the same text.
pub(super) fn a_pair(text: &str) -> (World, usize, usize) {
    let mut world = World::new(&["src/main.js"], 2, 1);
    let yjs = world.join(0, "src/main.js", false);
    let plain = world.join_text(1, "src/main.js");
    world.run();
    world.clients[yjs].edit(0, Some(text));
    world.run();
    assert_eq!(world.texts[plain].text, text);
    (world, yjs, plain)
}

pub(super) fn converged(world: &mut World) -> String {
    world.run();
    world.assert_converged("src/main.js");
    world.assert_texts_converged("src/main.js");
    world.logged_text("src/main.js")
}
