//! The origin as a whole: everything is opened once, here, and handed around.

use std::sync::Arc;

use anyhow::Context;
use secrecy::ExposeSecret;

use crate::{
    archive::{Archive, mongo::MongoArchive, sqlite::SqliteArchive},
    auth::{Access, Pages, Tokens},
    clock,
    config::{Auth, Durability, FlushSettings, Role, Settings, StoreSettings},
    connections::Connections,
    data_dir::DataDir,
    direct::{self, DirectHubs},
    flush::{
        self, FlushQueue,
        bullmq::{BullQueue, BullSettings},
        embedded::EmbeddedQueue,
        flusher::Flusher,
        parking::Parking,
        report::{FlushFailure, FlushReport},
        runner::FlushRunner,
        sweep::Sweeper,
        threads::FlushThreads,
    },
    link::{self, Dialler},
    metrics::Metrics,
    redis::Fault,
    rooms::{self, Rooms},
    shutdown::Lifecycle,
    store::{
        RoomStore,
        embedded::EmbeddedStore,
        redis::{RedisSettings, RedisStore},
    },
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
    /// Flushes a room: for the queue, the sweep and operators.
    pub runner: Arc<FlushRunner>,
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

/// An origin that is open: the application, its flush threads, its folder.
pub struct Origin {
    /// The application.
    pub app: App,
    pub(crate) role: Role,
    pub(crate) flushing: FlushThreads,
    pub(crate) data_dir: DataDir,
}

impl Origin {
    /// [`Self::open_as`] one that does everything.
    pub async fn open(settings: Settings) -> anyhow::Result<Self> {
        Self::open_as(Role::Both, settings).await
    }

    /// Opens the stores, starts to flush if that is its role, and puts everything together. Nothing listens yet.
    pub async fn open_as(role: Role, settings: Settings) -> anyhow::Result<Self> {
        Self::open_losing(role, settings, None).await
    }

    /// The same, but what the fault says is published by Redis and not heard here: for tests.
    pub async fn open_losing(role: Role, settings: Settings, fault: Option<Fault>) -> anyhow::Result<Self> {
        // Whoever speaks TLS takes this; the queue's crate panics if there is none. It may be there already.
        let _ = rustls::crypto::ring::default_provider().install_default();
        // First: keys that cannot be used are to leave nothing behind.
        let access = access(&settings)?;
        let connections = Connections::new();
        let data_dir = &settings.service.data_dir;
        let (data_dir, store): (_, Arc<dyn RoomStore>) = match redis(&settings.stores, fault) {
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
        let metrics = Arc::new(Metrics::new());
        let origin_id = origin_id(&settings);
        let queue = queue(&settings, &origin_id, &metrics, &connections)?;
        let flusher = Arc::new(flusher(&store, &archive));
        // Also where none is done but what operators ask for.
        let flushing = FlushThreads::start().context("starting the threads that flush")?;
        let runner = Arc::new(runner(&settings, &flusher, &flushing, &metrics));
        if role.flushes(store.is_shared()) {
            flush(&settings, &flushing, flusher, queue.clone(), runner.clone(), &metrics);
        }
        let opened = Opened { store, archive, queue, runner, connections };
        let app = App::new(settings, access, origin_id, opened, metrics)?;
        Ok(Self { app, role, flushing, data_dir })
    }
}

/// What is opened before the application is put together.
struct Opened {
    store: Arc<dyn RoomStore>,
    archive: Arc<dyn Archive>,
    queue: Arc<dyn FlushQueue>,
    runner: Arc<FlushRunner>,
    connections: Connections,
}

impl App {
    fn new(
        settings: Settings,
        access: Access,
        origin_id: String,
        opened: Opened,
        metrics: Arc<Metrics>,
    ) -> anyhow::Result<Self> {
        let Opened { store, archive, queue, runner, connections } = opened;
        let lifecycle = Lifecycle::default();
        let rooms = Rooms::new(rooms::Parts {
            store: store.clone(),
            archive: archive.clone(),
            queue: queue.clone(),
            tracker: lifecycle.tracker().clone(),
            origin_id: origin_id.clone(),
            create_on_open: settings.access.create_on_open(),
            owned_clients: settings.access.names_members(),
            lease: settings.stores.lease(),
            behind: settings.flush.behind(),
            metrics: metrics.clone(),
        });
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
            runner,
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

/// Without keys nobody comes in: only a process that serves nobody starts so.
fn access(settings: &Settings) -> anyhow::Result<Access> {
    match (settings.access.auth, settings.access.jwt_keys()) {
        (Auth::Jwt, Some(keys)) => {
            let tokens = Tokens::open(keys.expose_secret()).context("JWT_KEYS")?;
            Ok(Access::by_tokens(tokens, settings.service.admin_token.clone()))
        }
        (Auth::Jwt, None) => Ok(Access::nobody()),
        (Auth::Open, _) => Ok(Access::open(settings.service.admin_token.clone())),
    }
}

fn redis(settings: &StoreSettings, fault: Option<Fault>) -> Option<RedisSettings> {
    let url = settings.redis_url()?.clone();
    let (deadline, probe) = (settings.redis_deadline(), settings.subscriber_probe());
    let replica = settings.durability == Durability::Replica;
    Some(RedisSettings { url, deadline, replica, probe, fault })
}

fn origin_id(settings: &Settings) -> String {
    let made_up = || format!("origin-{:08x}", rand::random::<u32>());
    settings.service.origin_id().map_or_else(made_up, str::to_owned)
}

/// The queue of the Redis that has the rooms, else one in memory.
fn queue(
    settings: &Settings,
    origin_id: &str,
    metrics: &Arc<Metrics>,
    connections: &Connections,
) -> anyhow::Result<Arc<dyn FlushQueue>> {
    let (stores, flush) = (&settings.stores, &settings.flush);
    let Some(url) = stores.redis_url() else {
        return Ok(Arc::new(EmbeddedQueue::new(flush.into())));
    };
    let settings = BullSettings {
        url: url.clone(),
        prefix: flush.queue_prefix.clone(),
        name: flush.queue_name.clone(),
        flush: flush.into(),
        lock: flush.lock(),
        stalled: flush.stalled(),
        deadline: stores.redis_deadline(),
        probe: stores.subscriber_probe(),
        worker: format!("{origin_id}.{}", std::process::id()),
    };
    Ok(BullQueue::connect(settings, metrics.clone(), connections).context("flush queue")?)
}

/// Runs the queue, and the sweep beside it.
fn flush(
    settings: &Settings,
    threads: &FlushThreads,
    flusher: Arc<Flusher>,
    queue: Arc<dyn FlushQueue>,
    runner: Arc<FlushRunner>,
    metrics: &Arc<Metrics>,
) {
    let (at_once, metrics) = (settings.flush.concurrency, metrics.clone());
    let observe = Box::new(move |swept: &_| metrics.swept(swept));
    let sweeper = Sweeper { flusher, queue: queue.clone(), runner: runner.clone(), at_once, observe };
    let every = settings.stores.sweep();
    threads.run(|stop| queue.run(runner, stop));
    threads.run(async move |stop| sweeper.run(every, &stop).await);
}

/// Every attempt is counted, and one that fails is logged.
fn runner(
    settings: &Settings,
    flusher: &Arc<Flusher>,
    threads: &FlushThreads,
    metrics: &Arc<Metrics>,
) -> FlushRunner {
    let metrics = metrics.clone();
    let observe = move |room: &_, outcome: &Result<FlushReport, FlushFailure>, took| {
        metrics.flush_ended(outcome.is_ok(), took);
        if let Some(report) = outcome.as_ref().map_or_else(FlushFailure::report, Some) {
            metrics.files_flushed(report.written.len() as u64, report.bytes);
        }
        if let Err(error) = outcome {
            tracing::warn!(room.id = %room, %error, "a flush has failed");
        }
    };
    FlushRunner {
        flusher: flusher.clone(),
        threads: threads.handle().clone(),
        timeout: settings.flush.timeout(),
        observe: Box::new(observe),
    }
}

fn flusher(store: &Arc<dyn RoomStore>, archive: &Arc<dyn Archive>) -> Flusher {
    Flusher {
        store: store.clone(),
        archive: archive.clone(),
        parking: Parking::default(),
        now_us: clock::now_us,
    }
}

impl From<&FlushSettings> for flush::FlushSettings {
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
