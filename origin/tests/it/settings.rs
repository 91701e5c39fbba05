//! Settings: defaults, both spellings, and what the process refuses to start with.

use std::time::Duration;

use origin::{
    config::{AllowedOrigins, Cli, Durability, Role, Settings, SettingsError},
    flush,
};

use secrecy::ExposeSecret;

use crate::support::Process;

fn read(flags: &[&str]) -> Result<Settings, SettingsError> {
    Cli::read(["origin", "--auth=open"].iter().chain(flags)).map(|cli| cli.settings)
}

fn defaults() -> Settings {
    read(&[]).unwrap()
}

#[test]
fn it_listens_on_this_machine_only_by_default() {
    assert_eq!(defaults().service.listen().to_string(), "127.0.0.1:8080");
    assert_eq!(read(&["--port=9"]).unwrap().service.listen().to_string(), "127.0.0.1:9");
    assert_eq!(read(&["--listen=[::1]:7"]).unwrap().service.listen().to_string(), "[::1]:7");
}

#[test]
fn the_grace_of_a_shutdown_is_20_s_by_default() {
    assert_eq!(defaults().service.shutdown_grace(), Duration::from_secs(20));
}

#[test]
fn a_lease_lasts_30_s_by_default() {
    assert_eq!(defaults().stores.lease(), Duration::from_secs(30));
}

#[test]
fn the_sweeper_comes_once_a_minute_by_default() {
    assert_eq!(defaults().stores.sweep(), Duration::from_secs(60));
}

#[test]
fn a_link_is_pinged_every_20_s_by_default() {
    assert_eq!(defaults().edges.link_ping(), Duration::from_secs(20));
}

#[test]
fn the_flush_has_the_defaults_of_its_queue() {
    assert_eq!(flush::FlushSettings::from(&defaults().flush), flush::FlushSettings::default());
}

#[test]
fn a_job_is_its_workers_for_30_s_and_the_dead_are_looked_for_every_15_s_by_default() {
    let flush = defaults().flush;
    assert_eq!((flush.lock(), flush.stalled()), (Duration::from_secs(30), Duration::from_secs(15)));
    assert_eq!((&*flush.queue_name, &*flush.queue_prefix), ("flush", "bull"));
}

#[test]
fn a_queue_that_could_not_work_is_refused() {
    for flags in [["--queue-name=a:b"], ["--queue-prefix="], ["--flush-attempts=21"], ["--flush-lock-ms=0"]] {
        assert!(read(&flags).is_err(), "{flags:?}");
    }
}

#[test]
fn rooms_are_created_on_open_where_anybody_may_edit() {
    assert!(defaults().access.create_on_open());
    assert!(!read(&["--create-on-open=0"]).unwrap().access.create_on_open());
}

#[test]
fn flags_count_before_and_after_the_role() {
    for arguments in
        [["origin", "--auth=open", "--port=9", "serve"], ["origin", "serve", "--auth=open", "--port=9"]]
    {
        let cli = Cli::read(arguments).unwrap();
        assert_eq!((cli.role(), cli.settings.service.listen().port()), (Role::Serve, 9));
    }
}

#[test]
fn one_role_takes_members_the_other_flushes_and_plain_is_both() {
    let role = |words: &[&str]| {
        let words = [&["origin", "--auth=open", "--redis-url=redis://a"], words].concat();
        let role = Cli::read(words).unwrap().role();
        (role.serves(), role.flushes(true))
    };
    assert_eq!(role(&[]), (true, true));
    assert_eq!(role(&["serve"]), (true, false));
    assert_eq!(role(&["flush"]), (false, true));
    assert!(Role::Serve.flushes(false), "nobody else can flush the embedded stores");
}

#[test]
fn who_lets_nobody_in_needs_no_word_on_access() {
    let listen = "--listen=0.0.0.0:0";
    assert!(Cli::read(["origin", "flush", "--auth=jwt", "--redis-url=redis://a", listen]).is_ok());
    assert!(Cli::read(["origin", "serve", "--auth=jwt", "--redis-url=redis://a", listen]).is_err());
}

#[test]
fn both_names_of_allowed_origins_count() {
    let pages =
        read(&["--allowed-origins=http://a.example/, https://b.example", "--frontend-url=http://c.example"]);
    let AllowedOrigins::List(list) = pages.unwrap().service.allowed_origins().unwrap() else { panic!("any") };
    assert_eq!(list, ["http://a.example", "https://b.example", "http://c.example"]);
    assert_eq!(
        read(&["--allowed-origins=*"]).unwrap().service.allowed_origins().unwrap(),
        AllowedOrigins::Any
    );
}

#[test]
fn what_cannot_work_is_refused() {
    let refused = |flags: &[&str]| read(flags).unwrap_err().to_string();
    assert!(refused(&["--lease-ms=0"]).contains("LEASE_MS"));
    assert!(refused(&["--flush-concurrency=0"]).contains("FLUSH_CONCURRENCY"));
    assert!(refused(&["--link-keys=nonsense"]).contains("LINK_KEYS"));
    assert!(refused(&["--edge-urls=edge.example"]).contains("edge.example"));
    assert!(refused(&["--allowed-origins=http://a.example/page"]).contains("ALLOWED_ORIGINS"));
}

#[test]
fn it_asks_for_tokens_by_default_and_does_not_start_without_their_keys() {
    let said = Process::refused(&[], &[]);
    assert!(said.contains("JWT_KEYS") && said.contains("AUTH=open"), "{said}");
    assert!(Process::refused(&[("AUTH", "jwt"), ("JWT_KEYS", " ")], &["serve"]).contains("JWT_KEYS"));
    let by_tokens = Cli::read(["origin", "--jwt-keys=keys.json"]).unwrap().settings.access;
    assert!(!by_tokens.create_on_open());
}

#[test]
fn open_access_stays_on_this_machine_unless_that_is_wanted() {
    let open = [("AUTH", "open"), ("LISTEN", "0.0.0.0:0")];
    let said = Process::refused(&open, &[]);
    assert!(said.contains("ALLOW_OPEN=1"), "{said}");
    assert!(read(&["--listen=0.0.0.0:0", "--allow-open"]).is_ok());
    assert!(read(&["--listen=0.0.0.0:0", "--allow-open=0"]).is_err());
}

#[test]
fn redis_is_where_its_url_says_and_a_url_of_something_else_is_refused() {
    assert_eq!(read(&["--redis-url="]).unwrap().stores.redis_url().map(|_| ()), None);
    for url in ["redis://a", "rediss://u:p@a:1", "redis+cluster://a,b"] {
        let settings = read(&["--redis-url", url]).unwrap();
        assert_eq!(settings.stores.redis_url().map(|url| url.expose_secret()), Some(url));
    }
    let refused = Process::refused(&[("AUTH", "open"), ("REDIS_URL", "http://user:hidden@127.0.0.1")], &[]);
    assert!(refused.contains("REDIS_URL") && !refused.contains("hidden"), "{refused}");
}

#[test]
fn redis_may_take_2_s_and_is_probed_every_5_s_by_default() {
    let stores = defaults().stores;
    assert_eq!(stores.redis_deadline(), Duration::from_secs(2));
    assert_eq!(stores.subscriber_probe(), Duration::from_secs(5));
}

#[test]
fn an_edit_is_saved_once_it_is_logged_unless_a_replica_is_asked_for() {
    assert_eq!(defaults().stores.durability, Durability::Log);
    let replica = read(&["--durability=replica", "--redis-url=redis://a"]).unwrap();
    assert_eq!(replica.stores.durability, Durability::Replica);
    let said = Process::refused(&[("AUTH", "open"), ("DURABILITY", "replica")], &[]);
    assert!(said.contains("REDIS_URL"), "{said}");
    assert!(read(&["--durability=disk"]).is_err());
}

#[test]
fn the_archive_is_where_mongodb_url_says_or_its_alias() {
    let url = |flags: &[&str]| {
        let settings = read(&[&["--mongodb-url=", "--database-url="], flags].concat()).unwrap();
        settings.stores.mongodb_url().map(|url| url.expose_secret().to_owned())
    };
    assert_eq!(url(&[]), None);
    assert_eq!(url(&["--mongodb-url=mongodb://a/b"]).as_deref(), Some("mongodb://a/b"));
    assert_eq!(url(&["--database-url=mongodb+srv://c"]).as_deref(), Some("mongodb+srv://c"));
    let both = url(&["--mongodb-url=mongodb://a", "--database-url=mongodb://c"]);
    assert_eq!(both.as_deref(), Some("mongodb://a"));
    let refused = read(&["--database-url=postgres://ada:hidden@c"]).unwrap_err().to_string();
    assert!(refused.contains("DATABASE_URL") && !refused.contains("hidden"), "{refused}");
}

#[test]
fn a_flush_of_its_own_needs_redis() {
    let said = Process::refused(&[("AUTH", "open")], &["flush"]);
    assert!(said.contains("REDIS_URL"), "{said}");
}

#[test]
fn a_second_process_on_the_same_folder_is_refused_and_sigterm_ends_the_first() {
    let folder = tempfile::tempdir().unwrap();
    let variables =
        [("AUTH", "open"), ("LISTEN", "127.0.0.1:0"), ("DATA_DIR", folder.path().to_str().unwrap())];
    let first = Process::start(&variables, &[]);
    assert!(first.address.starts_with("127.0.0.1:"));
    let said = Process::refused(&variables, &[]);
    assert!(said.contains("another process"), "{said}");
    let (status, said) = first.terminate();
    assert!(status.success(), "{status}: {said}");
    assert!(Process::start(&variables, &[]).terminate().0.success());
}
