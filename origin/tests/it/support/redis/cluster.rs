//! A Redis Cluster on this machine.

use std::thread;

use redis::{FromRedisValue, Value};
use shared::id::RoomId;

use super::{Keeper, Redis, USER, ask, free_port, keep, kept_dir, until, until_it_answers, with_user};

/// A node of the cluster, for its administrator.
pub(crate) struct Node {
    url: String,
    /// Its name in the cluster.
    pub(crate) id: String,
}

impl Node {
    /// Asks it something.
    pub(crate) async fn ask<T: FromRedisValue>(&self, words: &[&str]) -> T {
        ask(&self.url, words).await
    }

    /// Whether somebody listens to a room here.
    pub(crate) async fn hears(&self, room: &RoomId) -> bool {
        let channel = format!("c:{{{room}}}:ch");
        self.ask::<(String, u64)>(&["PUBSUB", "SHARDNUMSUB", &channel]).await.1 > 0
    }
}

/// A cluster of three nodes on this machine.
pub(crate) struct Cluster {
    /// Where each node listens to clients and to the others.
    ports: Vec<(u16, u16)>,
    _keepers: Vec<Keeper>,
}

impl Cluster {
    /// Its nodes.
    pub(crate) async fn nodes(&self) -> Vec<Node> {
        let mut nodes = Vec::new();
        for (port, _) in &self.ports {
            let url = format!("redis://127.0.0.1:{port}");
            let id = ask(&url, &["CLUSTER", "MYID"]).await;
            nodes.push(Node { url, id });
        }
        nodes
    }

    /// Its address, with the user, once all of it is there.
    pub(crate) async fn url(&self) -> String {
        for node in self.nodes().await {
            let is_whole = async || {
                let info: String = node.ask(&["CLUSTER", "INFO"]).await;
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:3")
            };
            until(is_whole).await;
            with_user(&node.url).await;
        }
        format!("redis+cluster://{USER}:secret@127.0.0.1:{},127.0.0.1:{}", self.ports[0].0, self.ports[1].0)
    }

    /// Brings another server in.
    pub(crate) async fn meet(&self, other: &Redis) {
        let (port, bus) = self.ports[0];
        meet(&other.url(), port, bus).await;
    }

    /// Starts one: three nodes that know each other and have all slots; they agree on it a little later.
    pub(crate) fn start() -> Self {
        let nodes: Vec<(u16, u16)> = (0..3).map(|_| (free_port(), free_port())).collect();
        let keepers = nodes.iter().map(|(port, bus)| {
            let dir = kept_dir();
            let bus = bus.to_string();
            keep(*port, &dir, &cluster_options(&bus).map(str::to_owned), Some(&dir))
        });
        let keepers = keepers.collect();
        // On a thread and a runtime of its own, since the test that asks first has one that must not block.
        let meeting = thread::spawn(|| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(join(nodes))
        });
        Self { ports: meeting.join().unwrap(), _keepers: keepers }
    }
}

async fn join(nodes: Vec<(u16, u16)>) -> Vec<(u16, u16)> {
    let slots = [("0", "5460"), ("5461", "10922"), ("10923", "16383")];
    for ((port, _), (first, last)) in nodes.iter().zip(slots) {
        until_it_answers(*port).await;
        let url = format!("redis://127.0.0.1:{port}");
        let _: Value = ask(&url, &["CLUSTER", "ADDSLOTSRANGE", first, last]).await;
    }
    let first = format!("redis://127.0.0.1:{}", nodes[0].0);
    for (port, bus) in &nodes[1..] {
        meet(&first, *port, *bus).await;
    }
    nodes
}

async fn meet(node: &str, port: u16, bus: u16) {
    let (port, bus) = (port.to_string(), bus.to_string());
    let _: Value = ask(node, &["CLUSTER", "MEET", "127.0.0.1", &port, &bus]).await;
}

pub(super) fn cluster_options(bus: &str) -> [&str; 6] {
    ["--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "2000"]
}
