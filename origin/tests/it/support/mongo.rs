//! The server that speaks MongoDB's protocol for the tests, found or started once for the whole run.
//!
//! `MONGODB_URL`; else a `mongod` on the `PATH`; else the image `mongo` where a container engine runs; else
//! FerretDB in the Go program of `tests/mongo`, several of them. Each test has a database of its own, but on the server
//! of `MONGODB_URL`. One line says which. What was started ends with this process, however that ends.

use std::{
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    io::{BufRead, BufReader, Write},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{Once, OnceLock},
    thread,
    time::Duration,
};

use mongodb::{Client, Database, bson::doc};
use origin::archive::mongo::{Deadlines, MongoArchive};
use secrecy::SecretString;

use super::{PATIENCE, proxy::Proxy};

/// The database that the tests use, whatever the address says.
const DATABASE: &str = "edgeroom_tests";
const IMAGE: &str = "docker.io/library/mongo:8";
const FIX: &str = "the tests need a server that speaks MongoDB's protocol: set MONGODB_URL, or install mongod, \
                   or start a container engine with the image mongo:8, or install Go 1.24 or newer \
                   (https://go.dev/dl)";

/// Runs "$@", and ends it and removes $DIR when its own stdin ends, which is when the tests end.
const KEEPER: &str = r#"
"$@" < /dev/null > "$DIR/log" 2>&1 &
echo
cat > /dev/null
kill -TERM $!
wait $!
rm -rf "$DIR"
"#;

/// The server, and the process that keeps it, if it was started here.
struct Server {
    address: String,
    _keeper: Option<Child>,
}

/// The address for a client: the same all through a test, whose thread has its name. FerretDB takes one command at a
/// time and looks through whole collections, so tests are spread over several servers and a database for each.
pub(crate) fn address() -> String {
    static SERVERS: [OnceLock<Server>; 4] = [const { OnceLock::new() }; 4];
    if variable("MONGODB_URL").is_some() {
        return SERVERS[0].get_or_init(find).address.clone();
    }
    let mut hasher = DefaultHasher::new();
    thread::current().name().filter(|name| name.contains("::")).hash(&mut hasher);
    let test = hasher.finish();
    let nth = usize::try_from(test % 4).unwrap() % stand_ins();
    with_database(&SERVERS[nth].get_or_init(find).address, &format!("{DATABASE}_{test:016x}"))
}

/// As many as there are cores; one server is enough if it is a MongoDB.
fn stand_ins() -> usize {
    static STAND_INS: OnceLock<usize> = OnceLock::new();
    *STAND_INS.get_or_init(|| match nearest() {
        Kind::FerretDb => thread::available_parallelism().map_or(1, usize::from).min(4),
        _ => 1,
    })
}

/// The address of a database of its own. FerretDB takes one command at a time and looks through whole collections, so
/// large files are on another server, or they would keep the other tests waiting.
pub(crate) fn apart() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    if variable("MONGODB_URL").is_some() {
        return address();
    }
    let server = SERVER.get_or_init(find);
    with_database(&server.address, &format!("{DATABASE}_{:016x}", rand::random::<u64>()))
}

/// The same for a setting of an origin or an archive.
pub(crate) fn secret() -> SecretString {
    address().into()
}

/// An archive with its own connections.
pub(crate) async fn archive() -> MongoArchive {
    MongoArchive::open(&secret()).await.unwrap()
}

/// An archive that takes over what nobody goes on with after 300 ms.
pub(crate) async fn hasty_archive() -> MongoArchive {
    let deadlines = Deadlines { making: Duration::from_millis(300), ..Deadlines::default() };
    MongoArchive::open_within(&secret(), deadlines).await.unwrap()
}

/// How a command on a collection begins, on the wire.
pub(crate) fn command(name: &str, collection: &str) -> Vec<u8> {
    let length = i32::try_from(collection.len()).unwrap() + 1;
    [b"\x02", name.as_bytes(), b"\0", &length.to_le_bytes(), collection.as_bytes(), b"\0"].concat()
}

/// A proxy in front of the server, and the address for an archive that goes through it and soon gives up.
pub(crate) async fn proxied() -> (Proxy, SecretString) {
    proxied_within(Duration::from_millis(1500)).await
}

/// The same for an archive that looks for a server for this long.
pub(crate) async fn proxied_within(selection: Duration) -> (Proxy, SecretString) {
    proxied_to(&address(), selection).await
}

/// The same for the server and the database of this address.
pub(crate) async fn proxied_to(address: &str, selection: Duration) -> (Proxy, SecretString) {
    let (scheme, rest) = address.split_once("://").unwrap();
    let (before, options) = rest.split_once('?').unwrap_or((rest, ""));
    let (user, hosts) = before.rsplit_once('@').map_or((None, before), |(user, hosts)| (Some(user), hosts));
    let (hosts, database) = hosts.split_once('/').unwrap();
    let first = hosts.split(',').next().unwrap();
    let with_port = if first.contains(':') { first.to_owned() } else { format!("{first}:27017") };
    let server = tokio::net::lookup_host(with_port).await.unwrap().next().unwrap();
    let proxy = Proxy::start(server).await;
    let user = user.map(|user| format!("{user}@")).unwrap_or_default();
    let kept: Vec<_> =
        options.split('&').filter(|one| !one.is_empty() && !one.starts_with("directConnection=")).collect();
    let selection = format!("serverSelectionTimeoutMS={}", selection.as_millis());
    let connect = format!("connectTimeoutMS={}", PATIENCE.as_millis());
    let options = [&kept[..], &["directConnection=true", &selection, &connect]].concat().join("&");
    let through = format!("{scheme}://{user}{}/{database}?{options}", proxy.address());
    (proxy, through.into())
}

/// The database as other tools see it.
pub(crate) async fn database() -> Database {
    database_at(&address()).await
}

/// The same for the database of this address.
pub(crate) async fn database_at(address: &str) -> Database {
    Client::with_uri_str(address).await.unwrap().default_database().unwrap()
}

/// What can serve the tests here.
enum Kind {
    Given(String),
    Mongod,
    Container(&'static str),
    FerretDb,
}

fn nearest() -> Kind {
    if let Some(given) = variable("MONGODB_URL") {
        return Kind::Given(given);
    }
    if runs("mongod", &["--version"]) {
        return Kind::Mongod;
    }
    // A developer who names the stand-in does not want to wait for a registry.
    let engine = variable("EDGEROOM_MONGO").is_none().then(container_engine).flatten();
    engine.map_or(Kind::FerretDb, Kind::Container)
}

fn find() -> Server {
    static SAID: Once = Once::new();
    let (what, server) = match nearest() {
        Kind::Given(given) => {
            let address = with_database(&given, DATABASE);
            ("the server of MONGODB_URL".to_owned(), Server { address, _keeper: None })
        }
        Kind::Mongod => {
            let start = |dir: &Path, port: u16| {
                let mut command = vec!["mongod".to_owned(), "--dbpath".to_owned(), text_of(dir)];
                command.extend(["--bind_ip", "127.0.0.1", "--port", &port.to_string()].map(str::to_owned));
                command
            };
            ("mongod".to_owned(), start_server(start))
        }
        Kind::Container(engine) => {
            let start = |_: &Path, port: u16| {
                let published = format!("127.0.0.1:{port}:27017");
                [engine, "run", "--rm", "--publish", &published, IMAGE].map(str::to_owned).to_vec()
            };
            (format!("{IMAGE} in {engine}"), start_server(start))
        }
        Kind::FerretDb => {
            let program = ferretdb();
            let start = |dir: &Path, port: u16| {
                let listen = format!("127.0.0.1:{port}");
                vec![text_of(&program), "-listen".to_owned(), listen, "-dir".to_owned(), text_of(dir)]
            };
            ("FerretDB 1.24, one command at a time".to_owned(), start_server(start))
        }
    };
    // Not by a macro: the line is for the run, and what macros print belongs to one test.
    SAID.call_once(|| {
        let _ = writeln!(std::io::stderr(), "MongoDB's protocol is served by {what}");
    });
    server
}

/// Starts a server with this command, and waits until it answers.
fn start_server(command: impl Fn(&Path, u16) -> Vec<String>) -> Server {
    let dir = tempfile::Builder::new().prefix("edgeroom-mongo-").tempdir().unwrap().keep();
    let data = dir.join("data");
    fs::create_dir(&data).unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut keeper = Command::new("sh")
        .args(["-c", KEEPER, "keeper"])
        .args(command(&data, port))
        .env("DIR", &dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // It has begun when it says so.
    BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut String::new()).unwrap();
    let address = with_database(&format!("mongodb://127.0.0.1:{port}/?directConnection=true"), DATABASE);
    if !answers(&address) {
        let log = fs::read_to_string(dir.join("log")).unwrap_or_default();
        panic!("the server does not answer; it says:\n{log}\n{FIX}");
    }
    Server { address, _keeper: Some(keeper) }
}

/// On a thread and a runtime of its own, since the test that asks first has one that must not block.
fn answers(address: &str) -> bool {
    let address = address.to_owned();
    let ask = async move {
        let client = Client::with_uri_str(address).await.unwrap();
        client.database("admin").run_command(doc! { "ping": 1 }).await.is_ok()
    };
    let asking = thread::spawn(|| {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(ask)
    });
    asking.join().unwrap()
}

/// The address with this database in its path.
fn with_database(address: &str, database: &str) -> String {
    let (scheme, rest) = address.split_once("://").unwrap();
    let (before, options) = rest.split_once('?').unwrap_or((rest, ""));
    let hosts = before.split('/').next().unwrap();
    let question = if options.is_empty() { "" } else { "?" };
    format!("{scheme}://{hosts}/{database}{question}{options}")
}

fn container_engine() -> Option<&'static str> {
    let has_image = |engine: &str| {
        runs(engine, &["info"])
            && (runs(engine, &["image", "inspect", IMAGE]) || runs(engine, &["pull", IMAGE]))
    };
    ["docker", "podman"].into_iter().find(|engine| has_image(engine))
}

/// The Go program: the one that `EDGEROOM_MONGO` names, else built here.
fn ferretdb() -> PathBuf {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    let built = variable("EDGEROOM_MONGO").map(PathBuf::from);
    PROGRAM.get_or_init(|| built.unwrap_or_else(build_ferretdb)).clone()
}

fn build_ferretdb() -> PathBuf {
    assert!(runs("go", &["version"]), "{FIX}");
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join("mongo");
    let mut build = Command::new("go");
    build.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/mongo"));
    let built = build.args(["build", "-trimpath", "-o"]).arg(&program).arg(".").output().unwrap();
    assert!(
        built.status.success(),
        "building tests/mongo: {}\n{FIX}",
        String::from_utf8_lossy(&built.stderr)
    );
    program
}

fn runs(program: &str, arguments: &[&str]) -> bool {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[expect(clippy::disallowed_methods, reason = "tells the tests which server to use, not an origin")]
fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn text_of(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}
