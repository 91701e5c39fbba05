//! One supervised connection that listens: made again for ever, with all its channels.
//!
//! It counts as lost when it says so, when a channel ends that nobody ended, or when a probe does not come back.
//! Once it is there again (a new generation), whoever listened before is let go: something may have been missed.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::{BoxFuture, FutureExt, OptionFuture};
use redis::{
    AsyncConnectionConfig, ConnectionInfo, PushInfo, PushKind, RedisError, Value, aio::MultiplexedConnection,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};

use super::super::{address, lane::backoff};
use crate::{
    connections::{Connection, Connections},
    room_store::StoreError,
};

/// Channels in one call.
const AT_ONCE: usize = 500;
/// Subscriptions that wait for the connection; more wait at their callers.
const WAITING: usize = 1024;

/// Says whether a message is to be dropped, as if it had been lost: for tests.
pub type Fault = Arc<dyn Fn(&str, &[u8]) -> bool + Send + Sync>;

/// Somebody who wants to hear a channel. `begun` is answered when everything published from then on is heard;
/// nobody waits for it any more, nobody is served.
pub(super) struct Ear {
    pub(super) channel: String,
    pub(super) to: mpsc::Sender<Bytes>,
    pub(super) begun: oneshot::Sender<()>,
}

/// The way to a feed. Cheap to clone.
#[derive(Clone)]
pub(super) struct Feed(mpsc::Sender<Ear>);

/// Which of its channels a feed still has to listen to; asked before each connection.
pub(super) type Serves = Arc<dyn Fn() -> BoxFuture<'static, Wanted> + Send + Sync>;

/// See [`Serves`].
pub(super) enum Wanted {
    /// All.
    All,
    /// Only those of these slots, first and last.
    Slots(Vec<(u16, u16)>),
}

/// What a feed is made of.
pub(super) struct Parts {
    pub(super) info: ConnectionInfo,
    /// Whether it is a node of a cluster, which has channels of its own.
    pub(super) sharded: bool,
    pub(super) deadline: Duration,
    pub(super) probe: Duration,
    pub(super) fault: Option<Fault>,
    pub(super) serves: Serves,
}

impl Feed {
    pub(super) fn start(parts: Parts, connection: Connection, connections: &Connections) -> Self {
        let (ears, waiting) = mpsc::channel(WAITING);
        let task = Task {
            connection,
            probe: format!("probe:{:016x}", rand::random::<u64>()),
            parts,
            channels: HashMap::new(),
            ears: waiting,
        };
        let closing = connections.closing().clone();
        connections.tracker().spawn(async move {
            tokio::select! {
                () = closing.cancelled() => {}
                () = task.run() => {}
            }
        });
        Self(ears)
    }

    /// Whether it has ended for good.
    pub(super) fn has_ended(&self) -> bool {
        self.0.is_closed()
    }

    pub(super) async fn listen(&self, ear: Ear) {
        // If it has ended, the ear is dropped, and its owner sees that.
        let _ = self.0.send(ear).await;
    }
}

struct Task {
    // Dropped before the ears: whoever sees the end of the feed may enter a connection of the same name.
    connection: Connection,
    probe: String,
    parts: Parts,
    channels: HashMap<String, Vec<Listening>>,
    ears: mpsc::Receiver<Ear>,
}

/// An ear, and who is to be told when it hears.
struct Listening {
    to: mpsc::Sender<Bytes>,
    begun: Option<oneshot::Sender<()>>,
}

/// What is asked of the server, one after the other.
enum Asked {
    Begin(Vec<String>),
    End(Vec<String>),
}

/// A connection that is up, and what it listens to.
struct Line {
    wire: MultiplexedConnection,
    sharded: bool,
    heard: HashSet<String>,
    ending: HashSet<String>,
}

impl Task {
    async fn run(mut self) {
        let mut failures = 0;
        while !self.ears.is_closed() {
            if let Wanted::Slots(slots) = (self.parts.serves)().await {
                if slots.is_empty() {
                    return;
                }
                let is_here = |slot| slots.iter().any(|(first, last)| (*first..=*last).contains(&slot));
                self.channels.retain(|channel, _| is_here(super::super::keys::slot(channel)));
            }
            let health = self.connection.health().clone();
            match self.connect().await {
                Ok((line, pushed)) => {
                    failures = 0;
                    self.connection.is_up(true);
                    let why = self.serve(line, pushed).await;
                    self.connection.is_up(false);
                    health.failed("listening", why);
                }
                Err(error) => {
                    failures += 1;
                    health.failed("connecting", &error.to_string());
                }
            }
            tokio::time::sleep(backoff(failures)).await;
        }
    }

    /// A new generation: subscribed to everything, and those who listened before let go.
    async fn connect(&mut self) -> Result<(Line, mpsc::UnboundedReceiver<PushInfo>), StoreError> {
        let (push, pushed) = mpsc::unbounded_channel();
        let config = AsyncConnectionConfig::new()
            .set_push_sender(push)
            .set_connection_timeout(Some(self.parts.deadline))
            .set_response_timeout(Some(self.parts.deadline));
        let client = address::client(self.parts.info.clone())?;
        let failed = |error: RedisError| StoreError::Failed(error.to_string());
        let wire = timeout(self.parts.deadline, client.get_multiplexed_async_connection_with_config(&config));
        let late = |_| StoreError::Failed("connecting took too long".to_owned());
        let wire = wire.await.map_err(late)?.map_err(failed)?;
        let mut line =
            Line { wire, sharded: self.parts.sharded, heard: HashSet::new(), ending: HashSet::new() };
        if !line.sharded {
            line.ask(&Asked::Begin(vec![self.probe.clone()])).await.map_err(failed)?;
        }
        while let Ok(ear) = self.ears.try_recv() {
            self.add(ear);
        }
        self.channels.retain(|_, ears| {
            ears.retain(|ear| ear.begun.as_ref().is_some_and(|begun| !begun.is_closed()));
            !ears.is_empty()
        });
        let all: Vec<String> = self.channels.keys().cloned().collect();
        for some in all.chunks(AT_ONCE) {
            line.ask(&Asked::Begin(some.to_vec())).await.map_err(failed)?;
            self.begun(some);
            line.heard.extend(some.iter().cloned());
        }
        Ok((line, pushed))
    }

    /// Passes on what is pushed until the connection is lost: why.
    async fn serve(&mut self, mut line: Line, mut pushed: mpsc::UnboundedReceiver<PushInfo>) -> &'static str {
        let mut probes = tokio::time::interval(self.parts.probe);
        probes.tick().await;
        let (mut heard, mut probed) = (true, false);
        // What is heard may differ from what is wanted.
        let mut changed = true;
        let mut asking: Option<BoxFuture<'static, (Asked, Result<(), RedisError>)>> = None;
        let mut probing: Option<BoxFuture<'static, Result<(), RedisError>>> = None;
        loop {
            if asking.is_none() && std::mem::take(&mut changed) {
                asking = self.next_question(&mut line);
            }
            tokio::select! {
                push = pushed.recv() => {
                    let Some(push) = push else { return "it was closed" };
                    if !heard {
                        heard = true;
                        self.connection.health().works();
                    }
                    match push.kind {
                        PushKind::Disconnection => return "it was closed",
                        PushKind::Message | PushKind::SMessage => self.dispatch(&push.data),
                        PushKind::Unsubscribe | PushKind::SUnsubscribe => {
                            let channel = text(push.data.first());
                            if !line.ending.remove(&channel) {
                                return "a channel was ended by the server";
                            }
                        }
                        _ => {}
                    }
                }
                Some((asked, answer)) = OptionFuture::from(asking.as_mut()) => {
                    (asking, changed) = (None, true);
                    if answer.is_err() {
                        return "a subscription failed";
                    }
                    if let Asked::Begin(channels) = asked {
                        self.begun(&channels);
                        line.heard.extend(channels);
                    }
                }
                Some(answer) = OptionFuture::from(probing.as_mut()) => {
                    probing = None;
                    if answer.is_err() {
                        return "a probe failed";
                    }
                    // A node of a cluster is only asked whether it answers.
                    heard |= line.sharded;
                }
                ear = self.ears.recv() => {
                    let Some(ear) = ear else { return "nobody listens" };
                    let channel = ear.channel.clone();
                    self.add(ear);
                    if line.heard.contains(&channel) {
                        self.begun(&[channel]);
                    } else {
                        changed = true;
                    }
                }
                _ = probes.tick() => {
                    if probed && !heard {
                        return "a probe did not come back";
                    }
                    probed = !heard;
                    if probed {
                        probing = Some(line.probe(&self.probe));
                    }
                    heard = false;
                    self.let_go_of_the_deaf();
                    changed = true;
                }
            }
        }
    }

    fn add(&mut self, ear: Ear) {
        let listening = Listening { to: ear.to, begun: Some(ear.begun) };
        self.channels.entry(ear.channel).or_default().push(listening);
    }

    /// These channels are heard: those who have waited for it long enough to give up are let go.
    fn begun(&mut self, channels: &[String]) {
        for channel in channels {
            if let Some(ears) = self.channels.get_mut(channel) {
                ears.retain_mut(|ear| ear.begun.take().is_none_or(|begun| begun.send(()).is_ok()));
            }
        }
    }

    fn dispatch(&mut self, data: &[Value]) {
        let [channel, Value::BulkString(message)] = data else { return };
        let channel = text(Some(channel));
        let Some(ears) = self.channels.get_mut(&channel) else { return };
        if self.parts.fault.as_ref().is_some_and(|drops| drops(&channel, message)) {
            return;
        }
        let message = Bytes::copy_from_slice(message);
        // A full queue ends that subscription; the others hear on.
        ears.retain(|ear| ear.to.try_send(message.clone()).is_ok());
    }

    fn let_go_of_the_deaf(&mut self) {
        self.channels.retain(|_, ears| {
            ears.retain(|ear| !ear.to.is_closed());
            !ears.is_empty()
        });
    }

    fn next_question(&self, line: &mut Line) -> Option<BoxFuture<'static, (Asked, Result<(), RedisError>)>> {
        let unheard = self.channels.keys().filter(|channel| !line.heard.contains(*channel));
        let wanted: Vec<String> = unheard.take(AT_ONCE).cloned().collect();
        let asked = if wanted.is_empty() {
            let unwanted = line.heard.iter().filter(|channel| !self.channels.contains_key(*channel));
            let unwanted: Vec<String> = unwanted.take(AT_ONCE).cloned().collect();
            if unwanted.is_empty() {
                return None;
            }
            for channel in &unwanted {
                line.heard.remove(channel);
                line.ending.insert(channel.clone());
            }
            Asked::End(unwanted)
        } else {
            Asked::Begin(wanted)
        };
        let mut line = line.speaker();
        Some(async move { (line.ask(&asked).await, asked) }.map(|(answer, asked)| (asked, answer)).boxed())
    }
}

/// The part of a line that asks.
struct Speaker {
    wire: MultiplexedConnection,
    sharded: bool,
}

impl Line {
    fn speaker(&self) -> Speaker {
        Speaker { wire: self.wire.clone(), sharded: self.sharded }
    }

    async fn ask(&mut self, asked: &Asked) -> Result<(), RedisError> {
        self.speaker().ask(asked).await
    }

    fn probe(&self, channel: &str) -> BoxFuture<'static, Result<(), RedisError>> {
        let (mut wire, channel) = (self.wire.clone(), channel.to_owned());
        if self.sharded {
            return async move { redis::cmd("PING").query_async::<Value>(&mut wire).await.map(drop) }.boxed();
        }
        async move { redis::cmd("PUBLISH").arg(channel).arg("").query_async::<Value>(&mut wire).await.map(drop) }
            .boxed()
    }
}

impl Speaker {
    async fn ask(&mut self, asked: &Asked) -> Result<(), RedisError> {
        match (asked, self.sharded) {
            (Asked::Begin(channels), false) => self.wire.subscribe(channels).await,
            (Asked::End(channels), false) => self.wire.unsubscribe(channels).await,
            (Asked::Begin(channels), true) => self.each("SSUBSCRIBE", channels).await,
            (Asked::End(channels), true) => self.each("SUNSUBSCRIBE", channels).await,
        }
    }

    /// Channels of different slots cannot share a command.
    async fn each(&mut self, verb: &str, channels: &[String]) -> Result<(), RedisError> {
        let mut commands = redis::pipe();
        for channel in channels {
            commands.cmd(verb).arg(channel);
        }
        commands.query_async::<Vec<Value>>(&mut self.wire).await.map(drop)
    }
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::BulkString(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
        Some(Value::SimpleString(text)) => text.clone(),
        _ => String::new(),
    }
}
