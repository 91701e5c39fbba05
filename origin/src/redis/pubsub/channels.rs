//! The channels of a feed, and who subscribes to each.

use std::collections::HashMap;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// A subscriber of a channel. `begun` is answered when everything published from then on is passed to `to`; once nobody
/// waits for that answer, the subscriber is dropped.
pub(super) struct Subscriber {
    pub(super) channel: String,
    pub(super) to: mpsc::Sender<Bytes>,
    pub(super) begun: oneshot::Sender<()>,
}

/// The channels that have subscribers.
#[derive(Default)]
pub(super) struct Channels(HashMap<String, Vec<Listening>>);

struct Listening {
    to: mpsc::Sender<Bytes>,
    /// Until its subscription has begun.
    begun: Option<oneshot::Sender<()>>,
}

impl Channels {
    pub(super) fn add(&mut self, Subscriber { channel, to, begun }: Subscriber) {
        self.0.entry(channel).or_default().push(Listening { to, begun: Some(begun) });
    }

    pub(super) fn contains(&self, channel: &str) -> bool {
        self.0.contains_key(channel)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &String> {
        self.0.keys()
    }

    /// Drops the subscribers of all other channels.
    pub(super) fn retain(&mut self, is_kept: impl Fn(&str) -> bool) {
        self.0.retain(|channel, _| is_kept(channel));
    }

    /// These channels are subscribed to: their subscribers are told so, and subscribers that wait no longer are dropped.
    pub(super) fn begin<'a>(&mut self, channels: impl IntoIterator<Item = &'a String>) {
        for channel in channels {
            if let Some(all) = self.0.get_mut(channel) {
                all.retain_mut(|one| one.begun.take().is_none_or(|begun| begun.send(()).is_ok()));
            }
        }
    }

    /// Passes a message on. A full queue ends that subscription; the others go on.
    pub(super) fn publish(&mut self, channel: &str, message: &[u8]) {
        let Some(all) = self.0.get_mut(channel) else { return };
        let message = Bytes::copy_from_slice(message);
        all.retain(|one| one.to.try_send(message.clone()).is_ok());
    }

    /// Drops the subscribers that may have missed something: all whose subscription had begun.
    pub(super) fn drop_begun(&mut self) {
        self.retain_subscribers(|one| one.begun.as_ref().is_some_and(|begun| !begun.is_closed()));
    }

    /// Drops the subscribers that have gone.
    pub(super) fn drop_closed(&mut self) {
        self.retain_subscribers(|one| !one.to.is_closed());
    }

    fn retain_subscribers(&mut self, is_kept: impl Fn(&Listening) -> bool) {
        self.0.retain(|_, all| {
            all.retain(&is_kept);
            !all.is_empty()
        });
    }
}
