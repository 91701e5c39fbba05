//! The room as a pure state machine: messages of hubs, answers of the room store and the time go in, effects
//! come out of [`Room::effects`].
//!
//! Invariants: a live document holds logged updates only; at most one append is in flight; the changes of a
//! link are judged, logged and answered in the order in which they came.

mod file;
mod size;
mod links;
mod opens;
mod names;
mod open;
mod change;
mod commit;
mod judge;
mod apply;
mod hello;
mod hold;
mod presence;
mod events;
mod past;
mod text;
mod own_texts;
mod visible;
mod notes;
mod storing;
mod unstored;
mod returning;

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use shared::{
    Millis,
    close::CloseCode,
    id::{ChannelId, FileId, FileName, FilePath},
    position::Position,
    wire::link::{ChangeKind, HubMessage, OriginMessage},
};

pub use self::file::{Broken, text_of};
use self::{
    apply::Gap,
    change::{Change, What},
    commit::Commit,
    file::LiveFile,
    links::Link,
    names::Names,
    opens::Opens,
    presence::Presence,
    returning::Returning,
    storing::Storing,
    unstored::Unstored,
    visible::Visible,
};
use crate::log::Batch;

/// Names one link of a room in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkId(pub u64);

/// What is to be done for a room.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Send these messages to a hub, in order.
    ToHub(LinkId, Vec<OriginMessage>),
    /// End a link.
    Unlink(LinkId, &'static str),
    /// Append this batch and answer with [`Room::appended`].
    Append(Batch),
    /// Read this file and answer with [`Room::file_read`].
    Read(FileId),
    /// Read what this link lacks and answer with [`Room::backfilled`].
    Backfill(LinkId, Position),
    /// Read the room's events and answer with [`Room::events_read`] for this link, which has them up to this seq.
    Events(LinkId, u64),
    /// Read what the room itself lacks and answer with [`Room::caught_up`].
    CatchUp(Position),
    /// Claim this path for a new file, which has this id if it had one before, and answer with [`Room::claimed`].
    Claim(FilePath, Option<FileId>),
    /// Read what the archive has of this file and answer with [`Room::stored_read`].
    Stored(FileId),
    /// Read what is dirty and answer with [`Room::dirty_read`].
    Dirty,
    /// Tell the other origins, in order; nothing durable depends on it.
    Announce(Bytes),
    /// Something is dirty: a flush is due.
    Flush,
}

/// What a room counts; the shell moves it into the metrics.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Changes that came over links.
    pub received: u64,
    /// Changes that were logged.
    pub logged: u64,
    /// Changes that brought nothing new.
    pub known: u64,
    /// Changes refused for good.
    pub refused: u64,
    /// Changes whose dependencies nobody has logged.
    pub missing: u64,
    /// Batches appended.
    pub batches: u64,
    /// Times that published changes did not follow on what the room had.
    pub backfills: u64,
    /// Files read whose text stands in impossible places, so that places are not checked in them.
    pub unchecked: u64,
}

/// How a room behaves.
#[derive(Clone, Debug)]
pub struct Settings {
    /// This origin's id.
    pub origin: String,
    /// Whether opening a path that does not exist creates the file.
    pub create_on_open: bool,
    /// Whether other origins can have the room open too.
    pub shared: bool,
    /// Whether the text of a Yjs client belongs to the member who has extended it: not where everybody is a stranger.
    pub owned: bool,
    /// Whether a change that the log has already is acknowledged only after an append has been answered.
    pub confirm: bool,
    /// How long a change may wait for the archive until members are told.
    pub behind: Millis,
}

/// A room that is open.
#[derive(Debug)]
pub struct Room {
    settings: Settings,
    /// Why nothing can be opened here, if that is so.
    refusal: Option<(CloseCode, &'static str)>,
    position: Position,
    names: Names,
    live: BTreeMap<FileId, LiveFile>,
    reading: BTreeSet<FileId>,
    claiming: BTreeMap<FilePath, Vec<(LinkId, ChannelId)>>,
    links: BTreeMap<LinkId, Link>,
    opens: Opens,
    presence: Presence,
    gap: Gap,
    visible: Visible,
    commit: Commit,
    storing: Storing,
    /// Files that are not what clients of text frames have of them.
    due_texts: BTreeSet<FileId>,
    batches: u64,
    /// What makes the client ids of text changes such as nobody can guess.
    secret: String,
    /// Files to be read again once the room has caught up.
    reread: Vec<FileId>,
    catching_up: bool,
    stale: bool,
    unstored: Unstored,
    /// Others keep what is logged.
    retired: bool,
    returning: Returning,
    effects: Vec<Effect>,
    counts: Counts,
}

impl Room {
    /// A room before it is populated.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            refusal: None,
            position: Position::default(),
            names: Names::default(),
            live: BTreeMap::new(),
            reading: BTreeSet::new(),
            claiming: BTreeMap::new(),
            links: BTreeMap::new(),
            opens: Opens::default(),
            presence: Presence::default(),
            gap: Gap::default(),
            visible: Visible::default(),
            commit: Commit::default(),
            storing: Storing::default(),
            due_texts: BTreeSet::new(),
            batches: 0,
            secret: String::new(),
            reread: Vec::new(),
            catching_up: false,
            stale: false,
            unstored: Unstored::default(),
            retired: false,
            returning: Returning::default(),
            effects: Vec::new(),
            counts: Counts::default(),
        }
    }

    /// The room is populated: this is its position and these are its files.
    /// Answers to what was asked before mean nothing any more. In another epoch than before, what was kept is given
    /// back. `batches` is a number above that of every batch this origin has appended in the epoch.
    /// `secret` is what only the origins of the room know.
    pub fn begin(
        &mut self,
        position: Position,
        names: Vec<(FileId, FilePath)>,
        batches: u64,
        secret: String,
    ) {
        if position.epoch != self.position.epoch {
            self.returning.add(self.unstored.take(), &self.names);
            self.returning.begin();
        }
        self.refusal = None;
        self.retired = false;
        self.claiming.clear();
        self.position = position;
        self.names = names.into_iter().collect();
        self.live.clear();
        self.reading.clear();
        self.commit = Commit::default();
        self.batches = batches;
        self.secret = secret;
        self.reread.clear();
        self.gap = Gap::default();
        self.catching_up = false;
        self.stale = false;
        self.begin_storing();
        self.greet_again();
        self.visible.forget_elsewhere();
        self.ask_others();
        self.give_back();
        self.commit_next();
    }

    /// Nothing can be opened here (any more): who is here is told and everything is closed.
    pub fn refuse(&mut self, code: CloseCode, reason: &'static str) {
        self.refusal = Some((code, reason));
        self.forget_unstored(code);
        for (link, channel, _) in std::mem::take(&mut self.opens).iter() {
            self.tell(link, vec![OriginMessage::Closed { channel, code, reason: reason.to_owned() }]);
        }
        self.commit = Commit::default();
        self.live.clear();
    }

    /// A message of a hub.
    pub fn hub_message(&mut self, link: LinkId, message: HubMessage, now: Millis) {
        if !self.links.contains_key(&link) {
            return;
        }
        match message {
            HubMessage::Hello { hub, position } => self.hello(link, hub, position, now),
            HubMessage::Open { channel, name, grant } => self.open(link, channel, &name, grant, None),
            HubMessage::OpenText { channel, name, grant, told, round } => {
                self.open_text(link, channel, &name, grant, &told, round);
            }
            HubMessage::Text { channel, file, hub_seq, grant_version: _, base, json } => {
                self.take_text(link, channel, file, hub_seq, base, json);
            }
            HubMessage::Close { channel } => self.close(link, channel),
            HubMessage::Update {
                channel,
                file,
                hub_seq,
                kind,
                grant_version: _,
                may_edit,
                author,
                bytes,
            } => {
                let what = match kind {
                    ChangeKind::Update => What::Update,
                    ChangeKind::Held => What::Held,
                    ChangeKind::Step2 => What::Step2 { may_edit },
                };
                let change = Change::new(channel, file, hub_seq, what, bytes);
                self.take(link, Change { author, ..change });
            }
            HubMessage::Sync { channel, file, ask, state_vector } => {
                self.sync(link, channel, file, ask, state_vector);
            }
            HubMessage::Awareness { file, bytes } => self.awareness(link, &file, &bytes, now),
            HubMessage::Event { channel, hub_seq, json } => self.event(link, channel, hub_seq, &json, now),
            // Tokens are for whoever stands at the room's door.
            HubMessage::Stats { .. } | HubMessage::Token { .. } => {}
            HubMessage::Ping => self.tell(link, vec![OriginMessage::Pong]),
        }
        self.commit_next();
    }

    /// Takes the effects since the last call, in order.
    pub fn effects(&mut self) -> Vec<Effect> {
        self.tell_texts();
        let mut effects = Vec::new();
        for (link, state) in &mut self.links {
            if !state.out.is_empty() {
                effects.push(Effect::ToHub(*link, std::mem::take(&mut state.out)));
            }
        }
        effects.append(&mut self.effects);
        effects
    }

    /// Takes what was counted since the last call.
    pub fn counts(&mut self) -> Counts {
        std::mem::take(&mut self.counts)
    }

    /// Where the room stands: everything up to here is in its documents.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether nobody has a document open and nothing is on its way to the log.
    pub fn is_idle(&self) -> bool {
        self.commit.is_empty() && self.claiming.is_empty() && self.opens.is_empty()
    }

    /// Whether a hub is connected at all.
    pub fn has_links(&self) -> bool {
        !self.links.is_empty()
    }

    /// The hubs that are connected.
    pub fn link_ids(&self) -> Vec<LinkId> {
        self.links.keys().copied().collect()
    }

    /// Published changes may have been missed: the log is read.
    pub fn look_at_log(&mut self) {
        self.counts.backfills += 1;
        self.catch_up();
    }

    /// The file that a name stands for.
    pub fn file_named(&self, name: &FileName) -> Option<FileId> {
        let by_id = |id: &FileId| self.names.has(id).then(|| id.clone());
        name.find(by_id, |path| self.names.file_at(path).cloned())
    }

    /// The room's files.
    pub fn files(&self) -> impl Iterator<Item = (&FileId, &FilePath)> {
        self.names.iter()
    }

    fn tell(&mut self, link: LinkId, messages: Vec<OriginMessage>) {
        if let Some(state) = self.links.get_mut(&link) {
            state.out.extend(messages);
        }
    }
}
