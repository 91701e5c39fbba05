//! A long way: a TCP proxy that keeps every byte for a time, in each direction, however many are on their way.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// Reads that are on their way in one direction; more wait at their sender.
const ON_THE_WAY: usize = 64 << 10;

/// Listens; the address at which connections are taken to `far_end` once they are [served](LongWay::serve).
pub(crate) struct LongWay {
    listener: TcpListener,
    far_end: String,
    one_way: Duration,
}

impl LongWay {
    pub(crate) async fn to(far_end: &str, one_way: Duration) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("listening for the delay proxy")?;
        Ok(Self { listener, far_end: far_end.to_owned(), one_way })
    }

    pub(crate) fn address(&self) -> Result<SocketAddr> {
        self.listener.local_addr().context("asking for the delay proxy's address")
    }

    /// Takes connections indefinitely.
    pub(crate) async fn serve(self) -> Result<()> {
        let mut connections = JoinSet::new();
        loop {
            let (near, _) = self.listener.accept().await.context("accepting at the delay proxy")?;
            let far = TcpStream::connect(&self.far_end).await;
            let far = far.with_context(|| format!("connecting to {}", self.far_end))?;
            near.set_nodelay(true)?;
            far.set_nodelay(true)?;
            let ((near_read, near_write), (far_read, far_write)) = (near.into_split(), far.into_split());
            connections.spawn(carry(near_read, far_write, self.one_way));
            connections.spawn(carry(far_read, near_write, self.one_way));
        }
    }
}

/// Carries bytes until either end is gone.
async fn carry(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, one_way: Duration) {
    let (departures, mut arrivals) = mpsc::channel::<(Instant, Bytes)>(ON_THE_WAY);
    let depart = async move {
        let mut buffer = BytesMut::with_capacity(64 << 10);
        while from.read_buf(&mut buffer).await.is_ok_and(|read| read > 0) {
            if departures.send((Instant::now() + one_way, buffer.split().freeze())).await.is_err() {
                break;
            }
        }
    };
    let arrive = async move {
        while let Some((due, bytes)) = arrivals.recv().await {
            sleep_until(due).await;
            if to.write_all(&bytes).await.is_err() {
                break;
            }
        }
    };
    tokio::join!(depart, arrive);
}
