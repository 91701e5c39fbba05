//! The awareness states of one document, by the clock rule of y-protocols, with an owner for every client.
//!
//! Whoever has heard that a client is gone takes nothing of it under the same clock again. So a client that comes back
//! with the clock that it had is not shown but told, and y-protocols has it raise its clock.

use std::collections::BTreeMap;

use crate::{Millis, id::ChannelId, wire::yjs::AwarenessEntry};

/// How long the clock of a client that is gone is remembered: echoes by old providers come later than the end, and the
/// client itself may come back. It renews its state, with a higher clock, every 15 s.
pub(super) const GONE_MS: Millis = 60_000;

/// What the clients of one document show.
#[derive(Clone, Debug, Default)]
pub(super) struct Awareness {
    entries: BTreeMap<u64, Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    clock: u64,
    state: State,
    /// The channel here that speaks for it; `None` for a client of another hub.
    owner: Option<ChannelId>,
    /// A channel here on which the client has come back while its old socket is not known to be gone.
    heir: Option<ChannelId>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Json(String),
    /// Known to be there, but what it shows went with the hub's memory.
    Lost,
    Gone(Millis),
}

/// Where an awareness update comes from.
#[derive(Clone, Copy, Debug)]
pub(super) enum Source {
    /// A channel here.
    Channel {
        id: ChannelId,
        /// This may be an echo of what others show.
        may_repeat: bool,
        /// It is what the channel shows first, and the hub may have forgotten that the client is gone.
        may_be_gone: bool,
    },
    /// Another hub.
    Elsewhere,
}

/// What an awareness update has brought, and who has to hear that a client is gone for the others.
#[derive(Debug, Default)]
pub(super) struct Outcome<'a> {
    /// What was not known.
    pub(super) news: Vec<AwarenessEntry<'a>>,
    /// Clients that the channel speaks for from now on, with their clocks.
    pub(super) speaks_for: Vec<(u64, u64)>,
    /// Ends of clients which are here nevertheless, by the channel that speaks for them.
    pub(super) ended_here: BTreeMap<ChannelId, Vec<AwarenessEntry<'static>>>,
    /// Ends of clients which another hub shows nevertheless.
    pub(super) ended_elsewhere: Vec<AwarenessEntry<'static>>,
}

impl Source {
    fn channel(self) -> Option<ChannelId> {
        match self {
            Self::Channel { id, .. } => Some(id),
            Self::Elsewhere => None,
        }
    }

    fn speaks_for_itself(self) -> bool {
        matches!(self, Self::Channel { may_repeat: false, .. })
    }
}

impl Entry {
    fn is_there(&self) -> bool {
        !matches!(self.state, State::Gone(_))
    }

    fn yields_to(&self, new: &AwarenessEntry<'_>) -> bool {
        let fills = self.state == State::Lost || (new.state == "null" && self.is_there());
        self.clock < new.clock || (self.clock == new.clock && fills)
    }

    fn shows(&self, new: &AwarenessEntry<'_>) -> bool {
        self.clock == new.clock && matches!(&self.state, State::Json(state) if state == new.state)
    }
}

fn end(client: u64, clock: u64) -> AwarenessEntry<'static> {
    AwarenessEntry { client, clock, state: "null" }
}

impl Outcome<'_> {
    fn tell(&mut self, channel: ChannelId, end: AwarenessEntry<'static>) {
        self.ended_here.entry(channel).or_default().push(end);
    }
}

impl Awareness {
    /// Applies an update.
    pub(super) fn accept<'a>(
        &mut self,
        entries: Vec<AwarenessEntry<'a>>,
        source: Source,
        now: Millis,
    ) -> Outcome<'a> {
        let mut outcome = Outcome::default();
        for entry in entries {
            self.accept_one(entry, source, now, &mut outcome);
        }
        outcome
    }

    fn accept_one<'a>(
        &mut self,
        new: AwarenessEntry<'a>,
        source: Source,
        now: Millis,
        outcome: &mut Outcome<'a>,
    ) {
        let (gone, channel) = (new.state == "null", source.channel());
        let known = self.entries.get_mut(&new.client);
        // A client is ended by the channel that speaks for it, not by others that have lost sight of it, or want it gone.
        if gone && channel.is_some() && known.as_ref().is_none_or(|known| known.owner != channel) {
            return;
        }
        match known {
            Some(known) if known.yields_to(&new) => {}
            Some(known) if !known.is_there() => {
                return match channel {
                    _ if gone => {}
                    Some(channel) => outcome.tell(channel, end(new.client, known.clock)),
                    None => outcome.ended_elsewhere.push(end(new.client, known.clock)),
                };
            }
            Some(known) => {
                if source.speaks_for_itself() && known.owner != channel && known.shows(&new) {
                    known.heir = channel;
                    // Whether another hub's client has come back here is open until that hub lets it go.
                    outcome.speaks_for.extend(known.owner.map(|_| (new.client, new.clock)));
                }
                return;
            }
            None if new.clock == 0 => return,
            None => {
                if let Source::Channel { id, may_be_gone: true, .. } = source {
                    outcome.tell(id, end(new.client, new.clock));
                }
            }
        }
        self.replace(&new, source, now, outcome);
        outcome.news.push(new);
    }

    fn replace(&mut self, new: &AwarenessEntry<'_>, source: Source, now: Millis, outcome: &mut Outcome<'_>) {
        let channel = source.channel();
        let known = self.entries.get(&new.client);
        let replaced = Entry { clock: new.clock, state: State::Gone(now), owner: None, heir: None };
        if new.state == "null" {
            let speakers = known.map_or([None, None], |known| [known.owner, known.heir]);
            for speaker in speakers.into_iter().flatten().filter(|speaker| Some(*speaker) != channel) {
                outcome.tell(speaker, end(new.client, new.clock));
            }
            self.entries.insert(new.client, replaced);
            return;
        }
        // A clock that was learnt before memory was lost keeps its owner, whoever fills in the state.
        let lost = known.filter(|known| known.state == State::Lost);
        let kept = lost.filter(|known| channel.is_none() || known.clock == new.clock);
        let owner = kept.and_then(|known| known.owner).or(channel);
        let returns = source.speaks_for_itself() && owner != channel;
        let heir = if returns { channel } else { kept.and_then(|known| known.heir) };
        let state = State::Json(new.state.to_owned());
        self.entries.insert(new.client, Entry { state, owner, heir, ..replaced });
        if channel.is_some() && (owner == channel || returns) {
            outcome.speaks_for.push((new.client, new.clock));
        }
    }

    /// What is shown at the moment, by everybody or only by this hub's own channels.
    pub(super) fn shown(&self, own: bool) -> Vec<AwarenessEntry<'_>> {
        self.entries
            .iter()
            .filter(|(_, entry)| !own || entry.owner.is_some())
            .filter_map(|(client, entry)| match &entry.state {
                State::Json(state) => Some(AwarenessEntry { client: *client, clock: entry.clock, state }),
                _ => None,
            })
            .collect()
    }

    /// A channel ends. What it showed goes on with the channel on which its client has come back; what is gone is
    /// returned, under the clock that everybody knows.
    pub(super) fn end_of(&mut self, channel: ChannelId, now: Millis) -> Vec<AwarenessEntry<'static>> {
        let mut gone = Vec::new();
        for (client, entry) in &mut self.entries {
            entry.heir = entry.heir.filter(|heir| *heir != channel);
            if entry.owner != Some(channel) || !entry.is_there() {
                continue;
            }
            entry.owner = entry.heir.take();
            if entry.owner.is_none() {
                entry.state = State::Gone(now);
                gone.push(end(*client, entry.clock));
            }
        }
        gone
    }

    /// A channel had this client before the hub's memory went. Of two channels with the same clock one has come back.
    pub(super) fn restore(&mut self, client: u64, clock: u64, owner: ChannelId) {
        match self.entries.get_mut(&client) {
            Some(known) if known.clock == clock => known.heir = Some(owner),
            Some(known) if known.clock > clock => {}
            _ => {
                let entry = Entry { clock, state: State::Lost, owner: Some(owner), heir: None };
                self.entries.insert(client, entry);
            }
        }
    }

    pub(super) fn forget_gone(&mut self, now: Millis) {
        self.entries.retain(|_, entry| !matches!(entry.state, State::Gone(since) if since + GONE_MS <= now));
    }
}
