//! What hubs and rooms ask for, carried out: the part of the shells that the simulation stands in for.

use room::Effect as RoomEffect;
use shared::{
    grant::{Grant, Member},
    hub::Effect,
    wire::link,
};

use super::World;

impl World {
    pub(super) fn settle_hub(&mut self, hub: usize) {
        loop {
            let effects = self.hubs[hub].hub.effects();
            if effects.is_empty() {
                return;
            }
            for effect in effects {
                self.carry_out(hub, effect);
            }
        }
    }

    fn carry_out(&mut self, hub: usize, effect: Effect) {
        let role = self.role;
        let shell = &mut self.hubs[hub];
        match effect {
            Effect::Send { to, frame } => {
                for session in to {
                    if let Some(client) = shell.sockets.get(&session) {
                        self.inboxes[*client].push_back(frame.clone());
                    }
                }
            }
            Effect::SendText { to, text } => {
                if let Some(client) = shell.text_sockets.get(&to) {
                    self.texts[*client].inbox.push_back(text);
                }
            }
            // Every socket takes everything at once.
            Effect::Look { session } => shell.hub.backlog(session, 0, self.now),
            Effect::Close { session, .. } => {
                shell.sessions.remove(&session);
                if let Some(client) = shell.text_sockets.remove(&session) {
                    self.texts[client].disconnected();
                }
                if let Some(client) = shell.sockets.remove(&session) {
                    self.places[client] = None;
                    self.clients[client].disconnected();
                }
            }
            Effect::Admit { channel, .. } => {
                // Tabs of one member have one client id, and one name.
                let session = channel.session();
                let client = shell.sockets.get(&session).map(|client| self.clients[*client].member);
                let id = client.unwrap_or(session.as_u64()).to_string();
                let member = Member { id: id.as_str().into(), name: "member".into() };
                let grant = Grant { member, role, expires: None, version: 1, rules: [].into() };
                shell.hub.admitted(channel, Ok(grant), self.now);
            }
            Effect::Link(messages) => {
                let frame = link::encode_hub(&messages);
                if let Some(pipe) = shell.link
                    && self.pipes[pipe].alive
                {
                    self.pipes[pipe].up.push_back(frame);
                }
            }
            Effect::Dial => shell.asked = true,
            Effect::DropLink(end) => {
                shell.dropped.push(end.word().to_owned());
                if let Some(pipe) = shell.link.take() {
                    self.flush_pipe(pipe);
                }
            }
            Effect::SaveSession { session, snapshot } => {
                shell.sessions.insert(session, snapshot);
            }
            Effect::SaveChannel { channel, row } => {
                shell.channels.insert(channel, row);
            }
            Effect::DropChannel { channel } => {
                shell.channels.remove(&channel);
            }
            Effect::SaveOutbox { row, bytes } => {
                shell.outbox.insert(row, bytes);
            }
            Effect::ForgetOutbox { row } => {
                shell.outbox.remove(&row);
            }
            Effect::SaveLink { snapshot } => shell.link_snapshot = snapshot,
        }
    }

    /// A socket that is closed in order delivers what was sent before.
    fn flush_pipe(&mut self, pipe: usize) {
        while self.deliver_up(pipe) {}
        self.end_pipe(pipe);
    }

    pub(super) fn settle_host(&mut self, host: usize) {
        for effect in self.hosts[host].room.effects() {
            match effect {
                RoomEffect::ToHub(id, messages) => {
                    let frame = link::encode_origin(&messages);
                    if let Some(pipe) = self.pipes.iter_mut().find(|pipe| pipe.id == id && pipe.alive) {
                        pipe.down.push_back(frame);
                    }
                }
                RoomEffect::Unlink(id, _) => {
                    let pipe = self.pipes.iter().position(|pipe| pipe.id == id && pipe.alive);
                    if let Some(pipe) = pipe {
                        let hub = self.pipes[pipe].hub;
                        self.end_pipe(pipe);
                        if self.hubs[hub].link == Some(pipe) {
                            self.hubs[hub].link = None;
                            self.hubs[hub].hub.link_down(self.now);
                            self.settle_hub(hub);
                        }
                    }
                }
                RoomEffect::Flush => {}
                RoomEffect::Announce(note) => self.store.announce(note),
                job => self.hosts[host].jobs.push_back(job),
            }
        }
    }
}
