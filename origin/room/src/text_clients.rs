//! Clients without Yjs: their changes become updates, logged updates become edits of the text that they have.
//!
//! Promise: a change is encoded against the text that its author had, never against another one, and once, whichever
//! hub brings it again. Edits make the text that the client has after its own changes into the current one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use bytes::Bytes;
use shared::{
    fingerprint::secret_fingerprint,
    id::FileId,
    limits,
    position::Position,
    wire::{
        link::OriginMessage,
        text::{BAD_EDIT, Edit, STALE, TEXT_TOO_LARGE, TextChange, TextOut, TextPosition, read_change},
    },
};

use crate::{
    change::{Change, Encoded, Kind, Verdict},
    edits,
    effect::{LinkId, Place},
    file::LiveFile,
    own_texts::OwnText,
    text as project,
    text_view::{Seen, TextView},
};

/// The channels of text frames.
#[derive(Debug, Default)]
pub(crate) struct TextClients {
    /// With the file that each has open.
    views: BTreeMap<Place, (FileId, TextView)>,
    /// Files whose text some channel does not have.
    due: BTreeSet<FileId>,
}

/// The room in which text changes are validated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TextContext<'a> {
    /// Where its log stands.
    pub(crate) position: Position,
    /// What makes the client ids of text changes such as nobody can guess.
    pub(crate) secret: &'a str,
    /// Whether other origins can have the room open too.
    pub(crate) shared: bool,
}

impl TextClients {
    /// A channel has a file open, with a view if it speaks text frames.
    pub(crate) fn open(&mut self, place: Place, file: FileId, view: Option<TextView>) {
        self.views.remove(&place);
        self.views.extend(view.map(|view| (place, (file, view))));
    }

    /// A channel has nothing open any more: what it had.
    pub(crate) fn close(&mut self, place: Place) -> Option<TextView> {
        self.views.remove(&place).map(|(_, view)| view)
    }

    /// Whether a change of the channel was refused.
    pub(crate) fn was_refused(&self, place: Place) -> bool {
        self.views.get(&place).is_some_and(|(_, view)| view.was_refused())
    }

    /// Some channel may not have the text of this file.
    pub(crate) fn mark_due(&mut self, file: &FileId) {
        self.due.insert(file.clone());
    }

    /// Takes the files whose text some channel may not have.
    pub(crate) fn take_due(&mut self) -> BTreeSet<FileId> {
        std::mem::take(&mut self.due)
    }

    /// A channel gets its text whole, in another round.
    pub(crate) fn send_whole(&mut self, place: Place, round: u64) {
        if let Some((file, view)) = self.views.get_mut(&place) {
            view.begin_round(round);
            self.due.insert(file.clone());
        }
    }

    /// A text change was answered: its author has the text that it has typed; if that is not known, or the change
    /// was refused, it gets the whole one.
    pub(crate) fn answered(&mut self, change: &Change, verdict: Verdict) {
        let Kind::Text(state) = &change.kind else { return };
        let place = (change.link, change.channel);
        if matches!(verdict, Verdict::Refuse(_)) {
            return self.send_whole(place, change.hub_seq);
        }
        if let Some((file, view)) = self.views.get_mut(&place) {
            let encoded = state.encoded.as_ref();
            view.answered(change.hub_seq, encoded.map(|encoded| (encoded.base.seq, encoded.text.clone())));
            self.due.insert(file.clone());
        }
    }

    /// Encodes a text change as an update of the file and validates it.
    pub(crate) fn validate(
        &mut self,
        change: &mut Change,
        live: &mut LiveFile,
        context: TextContext<'_>,
    ) -> Verdict {
        let (base, client) = (self.base_of(change, context.position), client_of(context.secret, change));
        let (base, own) = match self.encode(change, live, context, base, client) {
            Ok(encoded) => encoded,
            Err(verdict) => {
                if let Some(base) =
                    base.filter(|_| verdict == Verdict::Duplicate && has_returns(&change.bytes))
                {
                    self.author_has(change, base, OwnText::Unknown);
                }
                return verdict;
            }
        };
        let verdict = live.validate(change, true);
        if verdict == Verdict::Log {
            live.add_pending_text(base.channel, change.hub_seq, change.bytes.clone());
        }
        self.author_has(change, base, own);
        verdict
    }

    /// Puts the update in the place of the frame: the position that it is based on, and what its author has then.
    fn encode(
        &self,
        change: &mut Change,
        live: &mut LiveFile,
        context: TextContext<'_>,
        base: Option<TextPosition>,
        client: u64,
    ) -> Result<(TextPosition, OwnText), Verdict> {
        let (channel, hub_seq) = (change.channel, change.hub_seq);
        let Some(history) = live.text_history() else { return Err(Verdict::Refuse(STALE)) };
        let named = base.map_or(channel, |base| base.channel);
        if history.has(channel, hub_seq) || history.has(named, hub_seq) || live.knows_client(client) {
            return Err(Verdict::Duplicate);
        }
        let base = base.ok_or(Verdict::Refuse(STALE))?;
        if context.shared && base.channel != channel && !change.looked_up {
            // Its author comes back from somewhere else: what was logged there has to be known here.
            return Err(Verdict::MissingDependencies);
        }
        let updates = history.updates_for(&base, channel, hub_seq).ok_or(Verdict::Refuse(STALE))?;
        let asked = read_change(&change.bytes).map_err(|_| Verdict::Refuse(BAD_EDIT))?;
        let view = self.views.get(&(change.link, channel));
        let had = match (view.map(|(_, view)| view.own_before(hub_seq, &base)), &asked) {
            (Some(OwnText::Unknown), TextChange::Edits(_)) => return Err(Verdict::Refuse(STALE)),
            (Some(OwnText::Other(text)), _) => Some(text),
            _ => None,
        };
        let typed = match project::type_into(updates, client, &asked, had.as_deref()) {
            Ok(Some(typed)) => typed,
            Ok(None) => return Err(Verdict::Refuse(BAD_EDIT)),
            Err(error) => {
                tracing::warn!(file.id = %change.file, %error, "a text change cannot be encoded");
                return Err(Verdict::Refuse(STALE));
            }
        };
        if live.is_beyond(limits::FILE_BYTES, typed.update.len()) {
            return Err(Verdict::Refuse(TEXT_TOO_LARGE));
        }
        let text: Arc<str> = typed.has.into();
        let own = if *text == *typed.text { OwnText::AsLogged } else { OwnText::Other(text.clone()) };
        let frame = std::mem::replace(&mut change.bytes, typed.update);
        if let Kind::Text(state) = &mut change.kind {
            state.encoded = Some(Encoded { base, text, frame });
        }
        Ok((base, own))
    }

    fn author_has(&mut self, change: &Change, base: TextPosition, text: OwnText) {
        if let Some((_, view)) = self.views.get_mut(&(change.link, change.channel)) {
            view.author_has(change.hub_seq, base, text);
        }
    }

    /// The position that a change is based on, if it can count.
    fn base_of(&self, change: &Change, room: Position) -> Option<TextPosition> {
        let Kind::Text(state) = &change.kind else { return None };
        let view = self.views.get(&(change.link, change.channel)).map(|(_, view)| view);
        let base = match &*state.base {
            "*" => view?.last_position(room.epoch, change.channel),
            base => TextPosition::parse(base),
        }?;
        let counts = view.is_none_or(|view| view.counts(&base, change.channel));
        let known = base.epoch == room.epoch && base.seq <= room.seq;
        (counts && known).then_some(base)
    }

    /// What makes the text of these channels, which have the file open, the current one.
    #[must_use]
    pub(crate) fn updates(
        &mut self,
        file: &FileId,
        live: &LiveFile,
        room: Position,
        places: Vec<Place>,
    ) -> Vec<(LinkId, OriginMessage)> {
        let Some(history) = live.text_history() else { return Vec::new() };
        let now: Arc<str> = live.text().into();
        let mut messages = Vec::new();
        // Channels that have the same text get the same edits, compared once.
        let mut compared: Option<(Arc<str>, Arc<[Edit]>)> = None;
        for (link, channel) in places {
            let Some((_, view)) = self.views.get_mut(&(link, channel)) else { continue };
            view.restore_text(history, room, channel);
            let position = view.position(room, channel).to_string();
            let (whole, json) = match view.seen() {
                Seen::Text { text, seq } if **text == *now && *seq >= history.begins() => continue,
                Seen::Text { text, .. } => {
                    let edits = match &compared {
                        Some((of, edits)) if of == text => edits.clone(),
                        _ => Arc::from(edits::between(text, &now)),
                    };
                    compared = Some((text.clone(), edits.clone()));
                    let (file, id) = (view.name(), file);
                    (false, TextOut::Edit { file, id, position: &position, edits: &edits }.to_json())
                }
                Seen::At(_) | Seen::Nothing => {
                    let (file, id) = (view.name(), file);
                    (true, TextOut::Text { file, id, position: &position, text: &now }.to_json())
                }
            };
            view.was_sent(room.seq, now.clone());
            let json = Bytes::from(json);
            messages.push((link, OriginMessage::Text { channel, position, whole, json }));
        }
        messages
    }
}

fn has_returns(frame: &[u8]) -> bool {
    match read_change(frame) {
        Ok(TextChange::Edits(edits)) => edits.iter().any(|edit| edit.insert.contains('\r')),
        Ok(TextChange::Whole(text)) => text.contains('\r'),
        Err(_) => false,
    }
}

/// The Yjs client that a text change is made by: its own, and the same whenever it is encoded, so that one that is
/// brought again brings nothing new; nobody can guess it and log something under it first. Above the 32 bits from
/// which clients choose theirs.
fn client_of(secret: &str, change: &Change) -> u64 {
    let mark = secret_fingerprint(secret, &[change.hub.as_bytes(), &change.hub_seq.to_be_bytes()]);
    mark & ((1 << 53) - 1) | (1 << 52)
}
