//! One supervised connection that subscribes: made again, indefinitely, with all its channels.
//!
//! It counts as lost when it says so, when a subscription ends that nobody ended, or when a probe does not come back.
//! Once it is up again, earlier subscribers are dropped: something may have been missed.

use std::{collections::HashSet, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, FutureExt, OptionFuture};
use redis::{ConnectionInfo, PushInfo, PushKind, RedisResult, Value};
use tokio::sync::mpsc::{self, UnboundedReceiver};

use super::{
    channels::{Channels, Subscriber},
    nodes::{Node, Nodes},
    wire::{Ask, Wire},
};
use crate::{
    connections::{Connection, Connections},
    redis::{
        slots::slot,
        supervisor::{Lost, Supervised, supervise},
    },
};

/// Channels in one call.
const AT_ONCE: usize = 500;
/// Subscribers that wait for the connection; more wait at their callers.
const WAITING: usize = 1024;

/// Says whether a message is to be dropped, as if it had been lost: for tests.
pub type Fault = Arc<dyn Fn(&str, &[u8]) -> bool + Send + Sync>;

/// The way to a feed. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Feed(mpsc::Sender<Subscriber>);

/// What a feed is made of.
pub(super) struct Settings {
    pub(super) info: ConnectionInfo,
    pub(super) deadline: Duration,
    pub(super) probe: Duration,
    pub(super) fault: Option<Fault>,
    /// If it is a node of a cluster: which.
    pub(super) node: Option<(Arc<Nodes>, Node)>,
}

impl Feed {
    pub(super) fn start(settings: Settings, connection: Connection, connections: &Connections) -> Self {
        let (feed, waiting) = mpsc::channel(WAITING);
        let probe_channel = format!("probe:{:016x}", rand::random::<u64>());
        let mut task = Task { settings, probe_channel, channels: Channels::default(), waiting };
        let closing = connections.closing().clone();
        connections.tracker().spawn(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = supervise(&mut task, &connection) => {}
            }
            // A subscriber that sees the end of the feed may enter a connection of the same name.
            drop(connection);
            drop(task);
        });
        Self(feed)
    }

    /// Whether it has ended for good.
    pub(super) fn has_ended(&self) -> bool {
        self.0.is_closed()
    }

    pub(super) async fn subscribe(&self, subscriber: Subscriber) {
        // If the feed has ended, the subscriber is dropped, and its owner sees that.
        let _ = self.0.send(subscriber).await;
    }
}

struct Task {
    settings: Settings,
    probe_channel: String,
    channels: Channels,
    waiting: mpsc::Receiver<Subscriber>,
}

/// A connection that is up, and what it is subscribed to.
struct Live {
    wire: Wire,
    pushed: UnboundedReceiver<PushInfo>,
    subscribed: HashSet<String>,
    ending: HashSet<String>,
}

impl Supervised for Task {
    type Live = Live;

    async fn is_needed(&mut self) -> bool {
        let Some((nodes, node)) = &self.settings.node else { return !self.waiting.is_closed() };
        let slots = nodes.slots_of(node).await;
        self.channels.retain(|channel| {
            let slot = slot(channel);
            slots.iter().any(|(first, last)| (*first..=*last).contains(&slot))
        });
        !slots.is_empty() && !self.waiting.is_closed()
    }

    /// Subscribed to everything, and earlier subscribers dropped.
    async fn connect(&mut self) -> Result<Live, String> {
        let Settings { info, deadline, node, .. } = &self.settings;
        let (mut wire, pushed) = Wire::connect(info.clone(), node.is_some(), *deadline).await?;
        if !wire.sharded {
            subscribe(&mut wire, vec![self.probe_channel.clone()]).await?;
        }
        while let Ok(subscriber) = self.waiting.try_recv() {
            self.channels.add(subscriber);
        }
        self.channels.drop_begun();
        let all: Vec<String> = self.channels.names().cloned().collect();
        for some in all.chunks(AT_ONCE) {
            subscribe(&mut wire, some.to_vec()).await?;
            self.channels.begin(some);
        }
        Ok(Live { wire, pushed, subscribed: all.into_iter().collect(), ending: HashSet::new() })
    }

    async fn serve(&mut self, live: Live, connection: &Connection) -> Option<Lost> {
        self.listen(live, connection).await.map(|why| ("listening", why.to_owned()))
    }
}

impl Task {
    /// Passes on what is pushed until the connection is lost: why; or until nobody can subscribe any more.
    async fn listen(&mut self, mut live: Live, connection: &Connection) -> Option<&'static str> {
        let mut probes = tokio::time::interval(self.settings.probe);
        probes.tick().await;
        let (mut heard, mut probed) = (true, false);
        // What is subscribed to may differ from what is wanted.
        let mut changed = true;
        let mut asking: Option<BoxFuture<'static, (Ask, RedisResult<()>)>> = None;
        let mut probing: Option<BoxFuture<'static, RedisResult<()>>> = None;
        loop {
            if asking.is_none() && std::mem::take(&mut changed) {
                asking = self.next_ask(&mut live).map(|ask| {
                    let mut wire = live.wire.clone();
                    async move { (wire.ask(&ask).await, ask) }.map(|(answer, ask)| (ask, answer)).boxed()
                });
            }
            tokio::select! {
                push = live.pushed.recv() => {
                    let Some(push) = push else { return Some("it was closed") };
                    if !heard {
                        heard = true;
                        connection.health().works();
                    }
                    match push.kind {
                        PushKind::Disconnection => return Some("it was closed"),
                        PushKind::Message | PushKind::SMessage => self.publish(&push.data),
                        PushKind::Unsubscribe | PushKind::SUnsubscribe
                            if !live.ending.remove(&text(push.data.first())) =>
                        {
                            return Some("a channel was ended by the server");
                        }
                        _ => {}
                    }
                }
                Some((asked, answer)) = OptionFuture::from(asking.as_mut()) => {
                    (asking, changed) = (None, true);
                    if answer.is_err() {
                        return Some("a subscription failed");
                    }
                    if let Ask::Subscribe(channels) = asked {
                        self.channels.begin(&channels);
                        live.subscribed.extend(channels);
                    }
                }
                Some(answer) = OptionFuture::from(probing.as_mut()) => {
                    probing = None;
                    if answer.is_err() {
                        return Some("a probe failed");
                    }
                    // A node of a cluster is only asked whether it answers.
                    heard |= live.wire.sharded;
                }
                subscriber = self.waiting.recv() => {
                    let channel = subscriber.as_ref()?.channel.clone();
                    subscriber.into_iter().for_each(|subscriber| self.channels.add(subscriber));
                    if live.subscribed.contains(&channel) {
                        self.channels.begin([&channel]);
                    } else {
                        changed = true;
                    }
                }
                _ = probes.tick() => {
                    if probed && !heard {
                        return Some("a probe did not come back");
                    }
                    probed = !heard;
                    if probed {
                        probing = Some(live.wire.clone().probe(self.probe_channel.clone()).boxed());
                    }
                    heard = false;
                    self.channels.drop_closed();
                    changed = true;
                }
            }
        }
    }

    fn publish(&mut self, data: &[Value]) {
        let [channel, Value::BulkString(message)] = data else { return };
        let channel = text(Some(channel));
        let is_lost = |drops: &Fault| self.channels.contains(&channel) && drops(&channel, message);
        if !self.settings.fault.as_ref().is_some_and(is_lost) {
            self.channels.publish(&channel, message);
        }
    }

    fn next_ask(&self, live: &mut Live) -> Option<Ask> {
        let wanted = self.channels.names().filter(|channel| !live.subscribed.contains(*channel));
        let wanted: Vec<String> = wanted.take(AT_ONCE).cloned().collect();
        if !wanted.is_empty() {
            return Some(Ask::Subscribe(wanted));
        }
        let unwanted = live.subscribed.iter().filter(|channel| !self.channels.contains(channel));
        let unwanted: Vec<String> = unwanted.take(AT_ONCE).cloned().collect();
        for channel in &unwanted {
            live.subscribed.remove(channel);
            live.ending.insert(channel.clone());
        }
        (!unwanted.is_empty()).then_some(Ask::Unsubscribe(unwanted))
    }
}

async fn subscribe(wire: &mut Wire, channels: Vec<String>) -> Result<(), String> {
    wire.ask(&Ask::Subscribe(channels)).await.map_err(|error| error.to_string())
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::BulkString(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Value::SimpleString(text)) => text.clone(),
        _ => String::new(),
    }
}
