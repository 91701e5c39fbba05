//! The origin as a whole: everything is opened once, here, and handed around.

use std::sync::Arc;

use anyhow::Context;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;

use crate::{
    archive::{Archive, mongo::MongoArchive, sqlite::SqliteArchive},
    clock,
    config::{Auth, FlushSettings, Settings, SettingsError, StoreSettings},
    connections::Connections,
    data_dir::DataDir,
    direct::{self, DirectHubs},
    flush::{
        FlushQueue, embedded,
        embedded::EmbeddedQueue,
        worker::{self, FlushThreads, Flusher},
    },
    http::{self, Access, Pages},
    link::{self, Dialler},
    metrics::Metrics,
    room::{self, Rooms},
    room_store::{
        RoomStore,
        embedded::EmbeddedStore,
        redis::{RedisSettings, RedisStore},
    },
    shutdown::Lifecycle,
    tokens::Tokens,
};

/// What handlers and tasks share. Cheap to clone.
#[derive(Clone)]
pub struct App {
    /// The settings it was made from.
    pub settings: Arc<Settings>,
    /// Where rooms live.
    pub store: Arc<dyn RoomStore>,
    /// Where shards are kept.
    pub archive: Arc<dyn Archive>,
    /// Who writes the one to the other.
    pub queue: Arc<dyn FlushQueue>,
    /// The open rooms.
    pub rooms: Rooms,
    /// The hubs of this origin's own sockets.
    pub direct: DirectHubs,
    /// The way to the edges.
    pub dialler: Dialler,
    /// Who is let in.
    pub access: Access,
    /// Which pages may call.
    pub pages: Pages,
    /// How far the process has come.
    pub lifecycle: Lifecycle,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// The connections to the stores.
    pub connections: Connections,
}

/// A running origin: the application, its flush threads, its folder.
pub struct Origin {
    /// The application.
    pub app: App,
    flushing: FlushThreads,
    _data_dir: DataDir,
}

impl Origin {
    /// Opens the stores, starts to flush and puts everything together. Nothing listens yet.
    pub async fn open(settings: Settings) -> anyhow::Result<Self> {
        let connections = Connections::new();
        let data_dir = &settings.service.data_dir;
        let (data_dir, store): (_, Arc<dyn RoomStore>) = match redis(&settings.stores) {
            Some(redis) => {
                let store = RedisStore::connect(redis, &connections).context("room store")?;
                (DataDir::share(data_dir)?, store)
            }
            None => {
                let data_dir = DataDir::open(data_dir)?;
                let store = EmbeddedStore::open(&data_dir.rooms()).context("room store")?;
                (data_dir, Arc::new(store))
            }
        };
        let archive: Arc<dyn Archive> = match settings.stores.mongodb_url() {
            Some(address) => {
                let archive = Arc::new(MongoArchive::open(address).await.context("archive")?);
                archive.watch(&connections).context("archive")?;
                archive
            }
            None => Arc::new(SqliteArchive::open(&data_dir.archive()).context("archive")?),
        };
        let (queue, metrics) =
            (Arc::new(EmbeddedQueue::new((&settings.flush).into())), Arc::new(Metrics::new()));
        let flusher = flusher(&store, &archive, &metrics);
        let flushing = worker::start(queue.clone(), Arc::new(flusher), settings.stores.sweep())
            .context("starting the threads that flush")?;
        let app = App::new(settings, store, archive, queue, metrics, connections)?;
        Ok(Self { app, flushing, _data_dir: data_dir })
    }

    /// Serves on the listener until `stop` ends, then drains within the grace. Whether all of it was done in
    /// time.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) -> anyhow::Result<bool> {
        use axum::serve::ListenerExt;
        let App { lifecycle, rooms, settings, .. } = self.app.clone();
        let listener = listener.tap_io(|stream| {
            // Without it small frames wait for each other; a stream that refuses still works.
            let _ = stream.set_nodelay(true);
        });
        let closing = lifecycle.clone();
        let server = axum::serve(listener, http::router(self.app.clone()))
            .with_graceful_shutdown(async move { closing.closing().await });
        let grace = settings.service.shutdown_grace();
        let mut serving = lifecycle.tracker().spawn(server.into_future());
        lifecycle.is_serving();
        let failed = tokio::select! {
            () = stop => None,
            ended = &mut serving => Some(ended),
        };
        let begun = tokio::time::Instant::now();
        let drained = lifecycle.drain(&rooms, grace).await;
        let stopped = self.flushing.stop(grace.saturating_sub(begun.elapsed())).await;
        // Last, since everything before may still have something to say to the stores.
        let closed = self.app.connections.close_all(grace.saturating_sub(begun.elapsed())).await;
        if let Some(ended) = failed {
            ended.context("the server's task")?.context("serving")?;
        }
        Ok(drained && stopped && closed)
    }
}

impl App {
    fn new(
        settings: Settings,
        store: Arc<dyn RoomStore>,
        archive: Arc<dyn Archive>,
        queue: Arc<dyn FlushQueue>,
        metrics: Arc<Metrics>,
        connections: Connections,
    ) -> anyhow::Result<Self> {
        let lifecycle = Lifecycle::default();
        let made_up = || format!("origin-{:08x}", rand::random::<u32>());
        let origin_id = settings.service.origin_id().map_or_else(made_up, str::to_owned);
        let rooms = Rooms::new(room::Parts {
            store: store.clone(),
            archive: archive.clone(),
            queue: queue.clone(),
            tracker: lifecycle.tracker().clone(),
            origin_id: origin_id.clone(),
            create_on_open: settings.access.create_on_open(),
            lease: settings.stores.lease(),
            metrics: metrics.clone(),
        });
        let access = access(&settings)?;
        let direct = DirectHubs::new(direct::Parts {
            rooms: rooms.clone(),
            access: access.clone(),
            lifecycle: lifecycle.clone(),
            metrics: metrics.clone(),
            origin_id,
        });
        let dialler = Dialler::new(link::Parts {
            keys: settings.edges.link_keys()?,
            edges: settings.edges.edge_urls().into_iter().map(str::to_owned).collect(),
            any_loopback: settings.access.auth == Auth::Open,
            ping: settings.edges.link_ping(),
            access: access.clone(),
            rooms: rooms.clone(),
            lifecycle: lifecycle.clone(),
            metrics: metrics.clone(),
        });
        let pages = Pages::new(settings.service.allowed_origins()?);
        let settings = Arc::new(settings);
        Ok(Self {
            settings,
            store,
            archive,
            queue,
            rooms,
            direct,
            dialler,
            access,
            pages,
            lifecycle,
            metrics,
            connections,
        })
    }
}

fn access(settings: &Settings) -> anyhow::Result<Access> {
    match (settings.access.auth, settings.access.jwt_keys()) {
        (Auth::Jwt, Some(keys)) => {
            let tokens = Tokens::open(keys.expose_secret()).context("JWT_KEYS")?;
            Ok(Access::by_tokens(tokens, settings.service.admin_token.clone()))
        }
        (Auth::Jwt, None) => Err(SettingsError::NoKeys.into()),
        (Auth::Open, _) => Ok(Access::open()),
    }
}

fn redis(settings: &StoreSettings) -> Option<RedisSettings> {
    let url = settings.redis_url()?.clone();
    let (deadline, probe) = (settings.redis_deadline(), settings.subscriber_probe());
    Some(RedisSettings { url, deadline, probe, fault: None })
}

fn flusher(store: &Arc<dyn RoomStore>, archive: &Arc<dyn Archive>, metrics: &Arc<Metrics>) -> Flusher {
    let metrics = metrics.clone();
    Flusher {
        store: store.clone(),
        archive: archive.clone(),
        now_us: clock::now_us,
        observe: Box::new(move |room, outcome| {
            metrics.flush_ended(outcome.is_ok());
            match outcome {
                Ok(report) => metrics.files_flushed(report.written.len() as u64, report.bytes),
                Err(error) => tracing::warn!(room.id = %room, %error, "a flush has failed"),
            }
        }),
    }
}

impl From<&FlushSettings> for embedded::FlushSettings {
    fn from(settings: &FlushSettings) -> Self {
        let ms = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        Self {
            delay_ms: ms(settings.delay()),
            concurrency: settings.concurrency,
            limit: settings.limit,
            window_ms: ms(settings.window()),
            attempts: settings.attempts,
            backoff_ms: ms(settings.backoff()),
            timeout_ms: ms(settings.timeout()),
        }
    }
}
