//! What a client of text frames has of its file.

use std::sync::Arc;

use shared::{
    id::ChannelId,
    position::{Epoch, Position},
    wire::text::TextPosition,
};

use crate::{
    own_texts::{OwnText, OwnTexts},
    text::Merged,
    text_history::TextHistory,
};

/// What a channel of text frames has of its file.
#[derive(Clone, Debug)]
pub(crate) struct TextView {
    /// As its member has called it.
    name: String,
    seen: Seen,
    /// What was based on a text of another round does not count.
    round: u64,
    /// A change of it was refused: what other channels had is no base for it any more.
    refused: bool,
    own: OwnTexts,
}

/// The text that the client has.
#[derive(Clone, Debug)]
pub(crate) enum Seen {
    /// None that is known: it gets the whole one.
    Nothing,
    /// The one that another link, or another origin, has sent it.
    At(TextPosition),
    /// This one, sent as of a seq; its own changes are in it.
    Text { seq: u64, text: Arc<str> },
}

impl TextView {
    /// What a channel has that names the position which it was sent last.
    pub(crate) fn new(name: &str, told: &str, round: u64, refused: bool) -> Self {
        let at = TextPosition::parse(told);
        let round = at.map_or(round, |at| at.round);
        let seen = at.map_or(Seen::Nothing, Seen::At);
        Self { name: name.to_owned(), seen, round, refused, own: OwnTexts::default() }
    }

    /// The file as its member has called it.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The text that the client has.
    pub(crate) fn seen(&self) -> &Seen {
        &self.seen
    }

    /// Whether a change of it was refused.
    pub(crate) fn was_refused(&self) -> bool {
        self.refused
    }

    /// It gets its text whole, in another round.
    pub(crate) fn begin_round(&mut self, round: u64) {
        self.seen = Seen::Nothing;
        self.round = round;
        self.refused = true;
    }

    /// The current text was sent.
    pub(crate) fn was_sent(&mut self, seq: u64, text: Arc<str>) {
        self.seen = Seen::Text { seq, text };
    }

    /// A change of it was answered, after which its client has this text, if it is known.
    pub(crate) fn answered(&mut self, hub_seq: u64, text: Option<(u64, Arc<str>)>) {
        self.own.answered(hub_seq);
        self.seen = text.map_or(Seen::Nothing, |(seq, text)| Seen::Text { seq, text });
    }

    /// The text that the client had before a change.
    pub(crate) fn own_before(&self, hub_seq: u64, base: &TextPosition) -> OwnText {
        self.own.before(hub_seq, base)
    }

    /// The text that the client has after a change.
    pub(crate) fn author_has(&mut self, hub_seq: u64, base: TextPosition, text: OwnText) {
        self.own.add(hub_seq, base, text);
    }

    /// The position that it was sent last, if that is known.
    pub(crate) fn last_position(&self, epoch: Epoch, channel: ChannelId) -> Option<TextPosition> {
        match &self.seen {
            Seen::Text { seq, .. } => Some(TextPosition { epoch, seq: *seq, channel, round: self.round }),
            Seen::At(at) => Some(*at),
            Seen::Nothing => None,
        }
    }

    /// Where it stands when it is sent the room's text.
    pub(crate) fn position(&self, room: Position, channel: ChannelId) -> TextPosition {
        TextPosition { epoch: room.epoch, seq: room.seq, channel, round: self.round }
    }

    /// Whether a change that is based on this position counts.
    pub(crate) fn counts(&self, base: &TextPosition, channel: ChannelId) -> bool {
        if base.channel == channel { base.round == self.round } else { !self.refused }
    }

    /// If only the client's position is known, its text is made from the history, as far as that goes.
    pub(crate) fn restore_text(&mut self, history: &TextHistory, room: Position, channel: ChannelId) {
        let Seen::At(at) = &self.seen else { return };
        let known = at.epoch == room.epoch && at.seq <= room.seq && at.channel == channel;
        let updates = known.then(|| history.updates_for(at, channel, u64::MAX)).flatten();
        let text = updates.and_then(|updates| Merged::of(updates).ok());
        self.seen = match text {
            Some(merged) => Seen::Text { seq: at.seq, text: merged.text().into() },
            None => Seen::Nothing,
        };
    }
}
