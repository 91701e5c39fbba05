//! The yardstick of group commit: one `EVALSHA` for each update, as many at a time as wait, pipelined over one
//! connection. Its script does what a room needs and no more; it knows neither batches nor repetitions.

use anyhow::{Context, Result, bail};
use bytes::Bytes;
use futures_util::{StreamExt, TryStreamExt, future::try_join_all, stream};
use redis::{
    AsyncConnectionConfig, Client, IntoConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    aio::MultiplexedConnection, io::tcp::TcpSettings,
};
use tokio::sync::mpsc;

use crate::rooms;

/// As many as the origin hands to a connection.
const PIPELINED: usize = 512;

/// Rooms of one file, on a connection for calls and one that listens.
pub(crate) struct Rooms {
    calls: MultiplexedConnection,
    _listens: MultiplexedConnection,
    heard: mpsc::UnboundedReceiver<PushInfo>,
    script: String,
    names: Vec<String>,
}

/// Makes the rooms and subscribes to them.
pub(crate) async fn open(url: &str, names: Vec<String>) -> Result<Rooms> {
    let config = AsyncConnectionConfig::new().set_response_timeout(None);
    let info = url.into_connection_info()?;
    let resp3 = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let info = info.set_tcp_settings(TcpSettings::default().set_nodelay(true)).set_redis_settings(resp3);
    let client = Client::open(info)?;
    let of_calls = config.clone().set_pipeline_buffer_size(PIPELINED);
    let mut calls = client.get_multiplexed_async_connection_with_config(&of_calls).await?;
    let (say, heard) = mpsc::unbounded_channel();
    let of_pushes = config.set_push_sender(say);
    let mut listens = client.get_multiplexed_async_connection_with_config(&of_pushes).await?;
    let code = include_str!("single.lua");
    let script = redis::cmd("SCRIPT").arg("LOAD").arg(code).query_async(&mut calls).await?;
    for name in &names {
        let meta = [("st", "R"), ("e", "1"), ("s", "0"), ("t", "0")];
        let _: () = redis::cmd("HSET").arg(key(name, "m")).arg(&meta).query_async(&mut calls).await?;
        listens.subscribe(key(name, "ch")).await?;
    }
    Ok(Rooms { calls, _listens: listens, heard, script, names })
}

impl Rooms {
    /// Fills all logs, until everything is acknowledged and heard.
    pub(crate) async fn fill(&mut self, updates: &[Bytes], waiting: usize) -> Result<()> {
        let file = rooms::file(1)?;
        let (calls, script, all) = (&self.calls, &self.script, self.names.len() * updates.len());
        let filling = try_join_all(self.names.iter().map(|name| {
            let appends =
                updates.iter().map(|update| append(calls.clone(), script, name, file.as_str(), update));
            stream::iter(appends).buffer_unordered(waiting).try_for_each(async |()| Ok(()))
        }));
        tokio::try_join!(filling, hear(&mut self.heard, all)).map(drop)
    }

    /// That each has so many updates; then removes them.
    pub(crate) async fn close(mut self, updates: usize) -> Result<()> {
        let file = rooms::file(1)?;
        for name in &self.names {
            let log = key(name, &format!("l:{}", file.as_str()));
            let length: usize = redis::cmd("XLEN").arg(&log).query_async(&mut self.calls).await?;
            if length != updates {
                bail!("{name} has {length} of {updates} updates");
            }
            let keys = [key(name, "m"), key(name, "f"), key(name, "d"), log];
            let _: () = redis::cmd("UNLINK").arg(&keys).query_async(&mut self.calls).await?;
        }
        Ok(())
    }
}

async fn append(
    mut calls: MultiplexedConnection,
    script: &str,
    name: &str,
    file: &str,
    update: &Bytes,
) -> Result<()> {
    let mut call = redis::cmd("EVALSHA");
    call.arg(script).arg(4).arg(key(name, "m")).arg(key(name, &format!("l:{file}")));
    call.arg(key(name, "f")).arg(key(name, "d"));
    call.arg(1).arg(file).arg(update.as_ref()).arg(key(name, "ch"));
    let _: (u64, u64) = call.query_async(&mut calls).await?;
    Ok(())
}

async fn hear(heard: &mut mpsc::UnboundedReceiver<PushInfo>, updates: usize) -> Result<()> {
    let mut left = updates;
    while left > 0 {
        let push = heard.recv().await.context("something was not heard")?;
        left -= usize::from(push.kind == PushKind::Message);
    }
    Ok(())
}

fn key(room: &str, name: &str) -> String {
    format!("one:{{{room}}}:{name}")
}
