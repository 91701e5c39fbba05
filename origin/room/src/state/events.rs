//! Room events: chat goes through the log, the rest straight to the other hubs.

use bytes::Bytes;
use shared::{
    Millis,
    id::{ChannelId, FileId},
    wire::{
        event::{self, EventIn, EventOut, FileOp},
        link::OriginMessage,
    },
};

use super::{
    LinkId, Room,
    change::{Change, What},
};
use crate::log::LogEntry;

impl Room {
    /// An event of a member, as its hub has attributed it.
    pub(super) fn event(
        &mut self,
        link: LinkId,
        channel: ChannelId,
        hub_seq: u64,
        json: &Bytes,
        now: Millis,
    ) {
        let Ok(attributed) = event::read_attributed(json) else { return };
        let member = attributed.member;
        let out = match attributed.event {
            EventIn::Chat { text } => {
                let hub = self.links.get(&link).map(|state| state.hub.clone()).unwrap_or_default();
                let id = format!("{hub}.{hub_seq}");
                let chat: Bytes = EventOut::Chat { id, member, text, at: now * 1000 }.to_json().into();
                return self.take(link, Change::new(channel, FileId::room(), hub_seq, What::Event, chat));
            }
            EventIn::VisibleFiles { files } => EventOut::VisibleFiles { member, files },
            EventIn::Broadcast { data } => EventOut::Broadcast { member, data },
        };
        let json: Bytes = out.to_json().into();
        let keeps = matches!(out, EventOut::VisibleFiles { .. });
        if keeps {
            self.looks_at(link, channel, &json);
        }
        self.announce_event(channel, keeps, &json);
        let others: Vec<LinkId> = self.links.keys().copied().filter(|other| *other != link).collect();
        for other in others {
            self.tell(
                other,
                vec![OriginMessage::Event { position: None, channel: None, json: json.clone() }],
            );
        }
    }

    /// A logged tree event changes the names.
    pub(super) fn learn_names(&mut self, entry: &LogEntry) {
        if !entry.file.is_room() {
            return;
        }
        for change in event::tree_changes(&entry.bytes) {
            if change.op == FileOp::Create {
                self.names.add(change.id, change.path);
            }
        }
    }
}
