//! Presence: what members show each other by awareness, relayed between the channels here and over the link. What is to
//! go over the link is returned.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::{awareness::Source, documents::Documents, output::Output, session::Session, sessions::Sessions};
use crate::{
    Millis,
    id::{ChannelId, FileId},
    wire::{
        event::{self, Attributed, EventIn, EventOut},
        hocuspocus::ServerMessage,
        link::HubMessage,
        yjs::{self, AwarenessEntry, AwarenessError, YMessage},
    },
};

/// Awareness of a channel, read.
pub(super) struct Shown<'a> {
    entries: Vec<AwarenessEntry<'a>>,
    /// Whether somebody is shown: who goes is let go, whatever the rate.
    pub(super) shows: bool,
}

/// Reads the awareness of a channel; providers that were asked show all that they know, of others too.
pub(super) fn read<'a>(
    sessions: &Sessions,
    id: ChannelId,
    update: &'a [u8],
) -> Result<Shown<'a>, AwarenessError> {
    let Some(channel) = sessions.channel(id) else {
        return Ok(Shown { entries: Vec::new(), shows: false });
    };
    let repeats = sessions.get(&id.session()).is_some_and(Session::repeats_awareness);
    let entries = match yjs::read_awareness(update) {
        _ if repeats || channel.speaker.was_asked_to_show() => channel.speaker.own_entries(update),
        entries => entries?,
    };
    if channel.speaker.is_too_many(&entries) {
        return Err(AwarenessError::TooMany);
    }
    let shows = entries.iter().any(|entry| entry.state != "null");
    Ok(Shown { entries, shows })
}

/// A channel shows something: what is news goes to the others here and over the link. It `may_be_gone` for others if
/// the hub may have forgotten that.
#[must_use]
pub(super) fn show(
    sessions: &mut Sessions,
    documents: &mut Documents,
    (id, file): (ChannelId, &FileId),
    shown: Shown<'_>,
    may_be_gone: bool,
    now: Millis,
    output: &mut Output,
) -> Option<HubMessage> {
    let is_modern = sessions.get(&id.session()).is_some_and(Session::is_modern);
    let source = sessions.channel(id)?.speaker.source(id, is_modern, may_be_gone);
    let outcome = documents.get_mut(file)?.awareness.accept(shown.entries, source, now);
    if !outcome.news.is_empty() || !outcome.speaks_for.is_empty() {
        sessions.channel_mut(id)?.speaker.spoke(&outcome.news, &outcome.speaks_for);
    }
    let news = (!outcome.news.is_empty()).then(|| yjs::write_awareness(&outcome.news));
    if let Some(bytes) = &news {
        documents.broadcast_awareness(file, bytes, id, |to| sessions.takes_presence(to), output);
    }
    ask_to_show(sessions, outcome.ended_here, output);
    news.map(|bytes| HubMessage::Awareness { file: file.clone(), bytes })
}

/// Awareness of other hubs; what those have wrong is told them.
#[must_use]
pub(super) fn relay(
    sessions: &mut Sessions,
    documents: &mut Documents,
    file: &FileId,
    update: &[u8],
    now: Millis,
    output: &mut Output,
) -> Option<HubMessage> {
    let document = documents.get_mut(file)?;
    let entries = yjs::read_relayed_awareness(update).ok()?;
    let outcome = document.awareness.accept(entries, Source::Elsewhere, now);
    if !outcome.news.is_empty() {
        let bytes = yjs::write_awareness(&outcome.news);
        documents.broadcast_awareness(file, &bytes, ChannelId(0), |to| sessions.takes_presence(to), output);
    }
    ask_to_show(sessions, outcome.ended_here, output);
    let ended = outcome.ended_elsewhere;
    (!ended.is_empty())
        .then(|| HubMessage::Awareness { file: file.clone(), bytes: yjs::write_awareness(&ended) })
}

/// Clients that these channels speak for are gone for everybody else. Told so, they raise their clocks and show
/// themselves again; providers from version 4 on raise them in silence and have to be asked.
fn ask_to_show(
    sessions: &mut Sessions,
    ended: BTreeMap<ChannelId, Vec<AwarenessEntry<'static>>>,
    output: &mut Output,
) {
    for (id, ends) in ended {
        let is_modern = sessions.get(&id.session()).is_some_and(Session::is_modern);
        let Some(channel) = sessions.channel_mut(id) else { continue };
        output.send(id.session(), channel.key().awareness(&yjs::write_awareness(&ends)));
        if is_modern {
            channel.speaker.asked_to_show(&ends);
            output.send(id.session(), channel.key().query_awareness());
        }
    }
}

/// Shows a channel everybody who is there.
pub(super) fn show_all(
    sessions: &mut Sessions,
    documents: &Documents,
    id: ChannelId,
    file: &FileId,
    output: &mut Output,
) {
    let Some(channel) = sessions.channel_mut(id) else { return };
    channel.speaker.shown_others();
    if let Some(presence) = documents.presence(file).filter(|_| !channel.key().is_text()) {
        output.send(id.session(), channel.key().awareness(&presence));
    }
}

/// Tells the author of presence that cannot be taken: it harms nobody, and the text goes on.
pub(super) fn refuse(
    sessions: &Sessions,
    id: ChannelId,
    file: &FileId,
    error: AwarenessError,
    output: &mut Output,
) {
    let Some(channel) = sessions.channel(id) else { return };
    let (code, reason) = (error.word().to_owned(), error.to_string());
    let refusal = EventOut::Error { code, reason, file: Some(file.clone()) }.to_json();
    let in_envelope = channel.key().hocuspocus(&ServerMessage::Stateless(&refusal));
    let frame = in_envelope.unwrap_or_else(|| yjs::write_y(&YMessage::Auth { reason: error.word() }));
    output.send(id.session(), frame);
}

/// The files that members look at, for a new link.
pub(super) fn visible_files(sessions: &Sessions) -> Vec<HubMessage> {
    let looking = sessions.values().filter_map(|session| {
        let (channel, _) = session.room_channel()?;
        Some(HubMessage::Event { channel, hub_seq: 0, json: session.visible()?.clone() })
    });
    looking.collect()
}

/// A session leaves the room's document: its member looks at nothing any more, or at what another session of the
/// same member has said.
#[must_use]
pub(super) fn end_visible_files(
    sessions: &mut Sessions,
    documents: &Documents,
    id: ChannelId,
    output: &mut Output,
) -> Option<HubMessage> {
    let was = sessions.get_mut(&id.session())?.set_visible(None)?;
    let Attributed { member, .. } = event::read_attributed(&was).ok()?;
    let others = sessions.looking(&member.id).into_iter();
    let others = others.filter_map(|other| sessions.get(&other)?.visible());
    let mut others = others.filter_map(|json| event::read_attributed(json).ok());
    let files = match others.next().map(|other| other.event) {
        Some(EventIn::VisibleFiles { files }) => files,
        _ => Vec::new(),
    };
    let event = EventIn::VisibleFiles { files: files.clone() };
    let json: Bytes = Attributed { member: member.clone(), event }.to_json().into();
    documents.broadcast_event(&EventOut::VisibleFiles { member, files }.to_json(), id, output);
    Some(HubMessage::Event { channel: id, hub_seq: 0, json })
}
