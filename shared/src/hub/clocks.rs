//! How far a channel's updates have come, client by client, and so what may be shown to others before it is logged.
//!
//! An update that goes on where its channel has ended cannot be taken by the origin for something else. Any other may
//! use clocks that are in use: it is shown when it is logged. What follows it waits for that, not for its own turn.

use crate::update::Span;

/// Clients of one channel that are remembered; a client of Yjs has one.
const CLIENTS: usize = 8;

/// When an update is shown to the other sessions of its hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Showing {
    /// At once.
    Now,
    /// When the change with this number is logged.
    Behind(u64),
    /// When it is logged itself.
    Logged,
}

/// Where each client's updates on a channel have ended.
#[derive(Clone, Debug, Default)]
pub(super) struct Clocks(Vec<End>);

#[derive(Clone, Copy, Debug)]
struct End {
    client: u64,
    clock: u32,
    /// The change that has to be logged first.
    behind: Option<u64>,
}

impl Clocks {
    /// When an update with these spans is shown. Deletions alone collide with nothing.
    pub(super) fn showing(&self, spans: &[Span]) -> Showing {
        let mut showing = Showing::Now;
        for span in spans {
            match self.0.iter().find(|end| end.client == span.client && end.clock == span.start) {
                None => return Showing::Logged,
                Some(End { behind: Some(change), .. }) => {
                    showing = match showing {
                        Showing::Behind(other) => Showing::Behind(other.max(*change)),
                        _ => Showing::Behind(*change),
                    };
                }
                Some(_) => {}
            }
        }
        showing
    }

    /// An update was taken, as the change with this number.
    pub(super) fn taken(&mut self, spans: &[Span], showing: Showing, number: u64) {
        let behind = match showing {
            Showing::Now => None,
            Showing::Behind(change) => Some(change),
            Showing::Logged => Some(number),
        };
        for span in spans.iter().rev().take(CLIENTS).rev() {
            self.0.retain(|end| end.client != span.client);
            if self.0.len() >= CLIENTS {
                self.0.remove(0);
            }
            self.0.push(End { client: span.client, clock: span.end, behind });
        }
    }

    /// A change is logged: what follows it is shown at once.
    pub(super) fn logged(&mut self, number: u64) {
        for end in self.0.iter_mut().filter(|end| end.behind == Some(number)) {
            end.behind = None;
        }
    }

    /// It is not known any more where the channel stands.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(client: u64, start: u32, end: u32) -> Span {
        Span { client, start, end }
    }

    #[test]
    fn the_first_update_of_a_client_waits_for_the_log_and_what_follows_waits_for_it() {
        let mut clocks = Clocks::default();
        assert_eq!(clocks.showing(&[span(7, 0, 1)]), Showing::Logged);
        clocks.taken(&[span(7, 0, 1)], Showing::Logged, 10);
        assert_eq!(clocks.showing(&[span(7, 1, 2)]), Showing::Behind(10));
        clocks.taken(&[span(7, 1, 2)], Showing::Behind(10), 11);
        clocks.logged(10);
        assert_eq!(clocks.showing(&[span(7, 2, 3)]), Showing::Now);
        assert_eq!(clocks.showing(&[]), Showing::Now);
    }

    #[test]
    fn what_does_not_go_on_where_the_channel_ended_waits_for_the_log() {
        let mut clocks = Clocks::default();
        clocks.taken(&[span(7, 0, 5)], Showing::Now, 1);
        for start in [0, 4, 6] {
            assert_eq!(clocks.showing(&[span(7, start, 9)]), Showing::Logged);
        }
        assert_eq!(clocks.showing(&[span(7, 5, 6), span(3, 0, 1)]), Showing::Logged);
        clocks.forget();
        assert_eq!(clocks.showing(&[span(7, 5, 6)]), Showing::Logged);
    }

    #[test]
    fn an_update_of_several_clients_waits_for_the_last_change_that_one_of_them_waits_for() {
        let mut clocks = Clocks::default();
        clocks.taken(&[span(7, 0, 1)], Showing::Logged, 1);
        clocks.taken(&[span(8, 0, 1)], Showing::Logged, 2);
        assert_eq!(clocks.showing(&[span(8, 1, 2), span(7, 1, 2)]), Showing::Behind(2));
    }

    #[test]
    fn only_so_many_clients_are_remembered() {
        let mut clocks = Clocks::default();
        for client in 0..=CLIENTS as u64 {
            clocks.taken(&[span(client, 0, 1)], Showing::Now, client);
        }
        assert_eq!(clocks.showing(&[span(0, 1, 2)]), Showing::Logged, "the oldest is forgotten");
        assert_eq!(clocks.showing(&[span(CLIENTS as u64, 1, 2)]), Showing::Now);
        let many: Vec<Span> = (100..200).map(|client| span(client, 0, 1)).collect();
        clocks.taken(&many, Showing::Logged, 300);
        assert!(clocks.0.len() <= CLIENTS);
    }
}
