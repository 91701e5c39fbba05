//! Clients without Yjs: their changes become updates, logged updates become edits of the text that they have.
//!
//! Promise: a change is made of the text that its author had, never of another one, and once, whoever brings it
//! again. Edits make the text that the client has after its own changes into the current one.

use std::sync::Arc;

use bytes::Bytes;
use shared::{
    fingerprint::secret_fingerprint,
    grant::Grant,
    id::{ChannelId, FileId},
    limits,
    wire::{
        link::OriginMessage,
        text::{BAD_EDIT, Edit, STALE, TEXT_TOO_LARGE, TextChange, TextOut, TextPosition, read_change},
    },
};

use super::{
    LinkId, Room,
    change::{Change, What},
    commit::Pending,
    judge::Verdict,
    opens::Opens,
    own_texts::{OwnText, OwnTexts},
};
use crate::{edits, text as project};

/// What a channel of text frames has of its file.
#[derive(Clone, Debug)]
pub(super) struct TextView {
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
enum Seen {
    /// None that is known: it gets the whole one.
    Nothing,
    /// The one that another link, or another origin, has told it.
    At(TextPosition),
    /// This one, told as of a seq; its own changes are in it.
    Text { seq: u64, text: Arc<str> },
}

/// What a text change is, beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Typing {
    base: String,
    /// What became of it, once it was made.
    made: Option<MadeOf>,
}

/// A text change that was made into an update.
#[derive(Clone, Debug, PartialEq, Eq)]
struct MadeOf {
    base: TextPosition,
    /// What its author has now.
    text: Arc<str>,
    /// What it was made of.
    frame: Bytes,
}

impl Typing {
    /// The frame that an update was made of.
    pub(super) fn unmake(&mut self) -> Option<Bytes> {
        self.made.take().map(|made| made.frame)
    }

    /// The channel that the log names: the one whose position it is based on. Who has come back and names an old
    /// position has, as far as that goes, never been away.
    pub(super) fn author(&self) -> Option<ChannelId> {
        self.made.as_ref().map(|made| made.base.channel)
    }
}

impl TextView {
    /// What a channel has that names the position which it was told last.
    pub(super) fn new(name: &str, told: &str, round: u64) -> Self {
        let at = TextPosition::parse(told);
        let round = at.map_or(round, |at| at.round);
        let seen = at.map_or(Seen::Nothing, Seen::At);
        Self { name: name.to_owned(), seen, round, refused: false, own: OwnTexts::default() }
    }
}

impl Room {
    /// A channel of text frames wants a file, or the whole text of the one that it has.
    pub(super) fn open_text(
        &mut self,
        link: LinkId,
        channel: ChannelId,
        name: &str,
        grant: Grant,
        told: &str,
        round: u64,
    ) {
        let open = self.opens.get(link, channel);
        match open.filter(|open| open.text.is_some() && !open.file.is_room() && told.is_empty()) {
            // In its turn: what the channel has sent before is answered before.
            Some(open) => {
                let file = open.file.clone();
                self.commit.push(Pending::TextAnew { link, channel, file, round });
            }
            None => {
                let refused = open.and_then(|open| open.text.as_ref()).is_some_and(|view| view.refused);
                let view = TextView { refused, ..TextView::new(name, told, round) };
                if self.settings.shared && !told.is_empty() {
                    // What its client has been told through another origin may not have reached this one.
                    self.catch_up();
                }
                self.open(link, channel, name, grant, Some(view));
            }
        }
    }

    /// A change of a text frame.
    pub(super) fn take_text(
        &mut self,
        link: LinkId,
        channel: ChannelId,
        file: FileId,
        hub_seq: u64,
        base: String,
        json: Bytes,
    ) {
        let what = What::Text(Typing { base, made: None });
        self.take(link, Change::new(channel, file, hub_seq, what, json));
    }

    /// The channel gets its text whole, in another round.
    pub(super) fn text_anew(&mut self, link: LinkId, channel: ChannelId, round: u64) {
        let Some((file, view)) = self.view(link, channel) else { return };
        view.seen = Seen::Nothing;
        view.round = round;
        view.refused = true;
        self.due_texts.insert(file);
    }

    /// Makes a text change into an update and judges it.
    pub(super) fn judge_text(&mut self, change: &mut Change) -> Verdict {
        let What::Text(typing) = &change.what else { return Verdict::Known };
        let (channel, hub_seq) = (change.channel, change.hub_seq);
        let base = self.base_of(change.link, channel, &typing.base);
        let client = client_of(&self.secret, &change.hub, hub_seq);
        let Some(live) = self.live.get_mut(&change.file) else { return Verdict::Refuse("no-file") };
        let Some(past) = &mut live.past else { return Verdict::Refuse(STALE) };
        let named = base.map_or(channel, |base| base.channel);
        if past.has(channel, hub_seq) || past.has(named, hub_seq) || live.history.state_vector.get(client) > 0
        {
            if let Some(base) = base.filter(|_| brings_carriage_returns(&change.bytes)) {
                self.author_has(change, base, OwnText::Unknown);
            }
            return Verdict::Known;
        }
        let Some(base) = base else { return Verdict::Refuse(STALE) };
        if self.settings.shared && base.channel != channel && !change.looked {
            // Its author comes back from somewhere else: what was logged there has to be known here.
            return Verdict::Missing;
        }
        let Some(updates) = past.updates_for(&base, channel, hub_seq) else { return Verdict::Refuse(STALE) };
        let Ok(asked) = read_change(&change.bytes) else { return Verdict::Refuse(BAD_EDIT) };
        let had = match (
            view_at(&self.opens, change.link, channel).map(|view| view.own.before(hub_seq, &base)),
            &asked,
        ) {
            (Some(OwnText::Unknown), TextChange::Edits(_)) => return Verdict::Refuse(STALE),
            (Some(OwnText::Other(text)), _) => Some(text),
            _ => None,
        };
        let typed = match project::type_into(updates, client, &asked, had.as_deref()) {
            Ok(Some(typed)) => typed,
            Ok(None) => return Verdict::Refuse(BAD_EDIT),
            Err(error) => {
                tracing::warn!(file.id = %change.file, %error, "a text change cannot be made");
                return Verdict::Refuse(STALE);
            }
        };
        if live.is_beyond(limits::FILE_BYTES, typed.update.len()) {
            return Verdict::Refuse(TEXT_TOO_LARGE);
        }
        let text: Arc<str> = typed.has.into();
        let own = if *text == *typed.text { OwnText::AsLogged } else { OwnText::Other(text.clone()) };
        let frame = std::mem::replace(&mut change.bytes, typed.update);
        if let What::Text(typing) = &mut change.what {
            typing.made = Some(MadeOf { base, text, frame });
        }
        let verdict = live.judge(change, true);
        if verdict == Verdict::Log
            && let Some(past) = &mut live.past
        {
            past.make(base.channel, hub_seq, change.bytes.clone());
        }
        self.author_has(change, base, own);
        verdict
    }

    fn author_has(&mut self, change: &Change, base: TextPosition, text: OwnText) {
        if let Some((_, view)) = self.view(change.link, change.channel) {
            view.own.add(change.hub_seq, base, text);
        }
    }

    /// The position that a change is based on, if it can count.
    fn base_of(&self, link: LinkId, channel: ChannelId, base: &str) -> Option<TextPosition> {
        let view = view_at(&self.opens, link, channel);
        let last = || match view?.seen {
            Seen::Text { seq, .. } => Some(self.text_position(seq, channel, view?.round)),
            Seen::At(at) => Some(at),
            Seen::Nothing => None,
        };
        let base = if base == "*" { last() } else { TextPosition::parse(base) }?;
        let counts = view.is_none_or(|view| match base.channel == channel {
            true => base.round == view.round,
            false => !view.refused,
        });
        let known = base.epoch == self.position.epoch && base.seq <= self.position.seq;
        (counts && known).then_some(base)
    }

    fn text_position(&self, seq: u64, channel: ChannelId, round: u64) -> TextPosition {
        TextPosition { epoch: self.position.epoch, seq, channel, round }
    }

    /// A text change was answered: its author has the text that it has typed; if that is not known, or the change
    /// was refused, it gets the whole one.
    pub(super) fn text_answered(&mut self, change: &Change, verdict: Verdict) {
        let What::Text(typing) = &change.what else { return };
        if matches!(verdict, Verdict::Refuse(_)) {
            return self.text_anew(change.link, change.channel, change.hub_seq);
        }
        let made = typing.made.clone();
        let Some((file, view)) = self.view(change.link, change.channel) else { return };
        view.own.answered(change.hub_seq);
        view.seen = made.map_or(Seen::Nothing, |made| Seen::Text { seq: made.base.seq, text: made.text });
        self.due_texts.insert(file);
    }

    fn view(&mut self, link: LinkId, channel: ChannelId) -> Option<(FileId, &mut TextView)> {
        let (file, view) = self.opens.text_mut(link, channel)?;
        Some((file.clone(), view))
    }

    /// Whether a channel of text frames has the file, or something of one waits to be made into its update.
    pub(super) fn needs_past(&self, file: &FileId) -> bool {
        self.opens.has_text(file) || self.commit.has_text(file)
    }

    /// Sends every channel of text frames what makes its text the current one. Nothing while something is logged
    /// that this room has not seen: what was acknowledged must be in the text that is sent.
    pub(super) fn tell_texts(&mut self) {
        if self.due_texts.is_empty() || self.waits_for_others() || self.catching_up {
            return;
        }
        for file in std::mem::take(&mut self.due_texts) {
            if !self.opens.has_text(&file) {
                continue;
            }
            if self.live.get(&file).is_some_and(|live| live.past.is_some()) {
                self.tell_text(&file);
            } else if self.names.has(&file) {
                self.want(&file);
                self.due_texts.insert(file);
            }
        }
    }

    fn tell_text(&mut self, file: &FileId) {
        let Some(live) = self.live.get(file) else { return };
        let Some(past) = &live.past else { return };
        let now: Arc<str> = live.text().into();
        let (epoch, seq) = (self.position.epoch, self.position.seq);
        // Who has the same text gets the same edits, compared once.
        let mut compared: Option<(Arc<str>, Arc<[Edit]>)> = None;
        for (link, channel) in self.opens.texts_of(file) {
            let (Some((_, view)), Some(state)) =
                (self.opens.text_mut(link, channel), self.links.get_mut(&link))
            else {
                continue;
            };
            if let Seen::At(at) = view.seen {
                let known = at.epoch == epoch && at.seq <= seq && at.channel == channel;
                let updates = known.then(|| past.updates_for(&at, channel, u64::MAX)).flatten();
                let text = updates.and_then(|updates| project::Merged::of(updates).ok());
                view.seen = match text {
                    Some(merged) => Seen::Text { seq: at.seq, text: merged.text().into() },
                    None => Seen::Nothing,
                };
            }
            let position = TextPosition { epoch, seq, channel, round: view.round }.to_string();
            let (whole, json) = match &view.seen {
                Seen::Text { text, seq: told } if **text == *now && *told >= past.begins() => continue,
                Seen::Text { text, .. } => {
                    let edits = match &compared {
                        Some((of, edits)) if of == text => edits.clone(),
                        _ => Arc::from(edits::between(text, &now)),
                    };
                    compared = Some((text.clone(), edits.clone()));
                    let (file, id) = (view.name.as_str(), file);
                    (false, TextOut::Edit { file, id, position: &position, edits: &edits }.to_json())
                }
                Seen::At(_) | Seen::Nothing => {
                    let (file, id) = (view.name.as_str(), file);
                    (true, TextOut::Text { file, id, position: &position, text: &now }.to_json())
                }
            };
            view.seen = Seen::Text { seq, text: now.clone() };
            let json = Bytes::from(json);
            state.out.push(OriginMessage::Text { channel, position, whole, json });
        }
    }
}

fn view_at(opens: &Opens, link: LinkId, channel: ChannelId) -> Option<&TextView> {
    opens.get(link, channel)?.text.as_ref()
}

fn brings_carriage_returns(frame: &[u8]) -> bool {
    match read_change(frame) {
        Ok(TextChange::Edits(edits)) => edits.iter().any(|edit| edit.insert.contains('\r')),
        Ok(TextChange::Whole(text)) => text.contains('\r'),
        Err(_) => false,
    }
}

/// The Yjs client that a text change is made by: its own, and the same whenever it is made, so that one that is
/// brought again brings nothing new; nobody can guess it and log something under it first. Above the 32 bits from
/// which clients choose theirs.
fn client_of(secret: &str, hub: &str, hub_seq: u64) -> u64 {
    let mark = secret_fingerprint(secret, &[hub.as_bytes(), &hub_seq.to_be_bytes()]);
    mark & ((1 << 53) - 1) | (1 << 52)
}
