//! Serving an origin, and draining it.
//!
//! Promise: from the signal to the exit at most `SHUTDOWN_GRACE_MS` pass. Until then appends are finished and
//! answered, hubs and clients are told to come back elsewhere, and every task on the tracker is waited for.

use std::time::Duration;

use anyhow::Context;
use axum::serve::ListenerExt;
use tokio::{
    net::TcpListener,
    time::{Instant, interval, timeout},
};

use crate::{
    app::{App, Origin},
    http,
    rooms::Rooms,
    shutdown::Lifecycle,
};

/// Serves on the listener until `stop` ends, then drains within the grace. Whether all of it was done in time.
pub async fn serve(
    origin: Origin,
    listener: TcpListener,
    stop: impl Future<Output = ()>,
) -> anyhow::Result<bool> {
    // The folder is locked until the end.
    let Origin { app, role, flushing, data_dir: _locked } = origin;
    let App { lifecycle, rooms, settings, connections, .. } = app.clone();
    let listener = listener.tap_io(|stream| {
        // Without it small frames wait for each other; a stream that refuses still works.
        let _ = stream.set_nodelay(true);
    });
    let closing = lifecycle.clone();
    let routes = if role.serves() { http::router } else { http::health_only };
    let server =
        axum::serve(listener, routes(app)).with_graceful_shutdown(async move { closing.closing().await });
    let grace = settings.service.shutdown_grace();
    let mut serving = lifecycle.tracker().spawn(server.into_future());
    lifecycle.set_ready();
    let failed = tokio::select! {
        () = stop => None,
        ended = &mut serving => Some(ended),
    };
    let begun = Instant::now();
    let drained = drain(&lifecycle, &rooms, grace).await;
    let stopped = flushing.stop(grace.saturating_sub(begun.elapsed())).await;
    // Last, since everything before may still have something to say to the stores.
    let closed = connections.close_all(grace.saturating_sub(begun.elapsed())).await;
    if let Some(ended) = failed {
        ended.context("the server's task")?.context("serving")?;
    }
    Ok(drained && stopped && closed)
}

/// Drains in order: takes nobody new, lets the rooms finish what they have, closes every connection, waits for the
/// tasks. Whether all of it was done within `grace`.
async fn drain(lifecycle: &Lifecycle, rooms: &Rooms, grace: Duration) -> bool {
    lifecycle.start_draining();
    let in_order = async {
        rooms.drain().await;
        // A room that cannot finish must not take the time in which its members could be told.
        let _ = timeout(grace / 2, all_closed(rooms)).await;
        lifecycle.close_connections();
        lifecycle.tracker().wait().await;
    };
    let done = timeout(grace, in_order).await.is_ok();
    lifecycle.close_connections();
    done
}

async fn all_closed(rooms: &Rooms) {
    let mut looks = interval(Duration::from_millis(10));
    while rooms.count() > 0 {
        looks.tick().await;
    }
}
