//! The settings: the only place that reads the environment.
//!
//! Every setting is a flag and a variable, and means the same in both. What cannot work, or could be mistaken
//! for working, is refused before anything is opened.

mod access;
mod edges;
mod flush;
mod service;
mod stores;
mod token;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

use crate::app::Role;

pub use self::{
    access::{AccessSettings, Auth},
    edges::EdgeSettings,
    flush::FlushSettings,
    service::{AllowedOrigins, LogFormat, ServiceSettings},
    stores::{Durability, StoreSettings},
    token::TokenOrder,
};

/// The command line.
#[derive(Clone, Debug, Parser)]
#[command(name = "origin", version, about = "The origin of Edgeroom: rooms, log, archive, flush, REST")]
pub struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    /// Everything else.
    #[command(flatten)]
    pub settings: Settings,
}

/// What a process does when it is not to do everything.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
enum Command {
    /// Rooms, links, sockets and REST. On the embedded stores it also flushes: nobody else can.
    Serve,
    /// Only writes dirty files to the archive. Needs REDIS_URL.
    Flush,
    /// Prints a token that is signed with the first private key of JWT_KEYS, and ends.
    Token(TokenOrder),
}

/// All settings, one struct per concern.
#[derive(Clone, Debug, clap::Args)]
pub struct Settings {
    /// The process and what it listens to.
    #[command(flatten)]
    pub service: ServiceSettings,
    /// Where rooms and shards are kept.
    #[command(flatten)]
    pub stores: StoreSettings,
    /// The edges and the links to them.
    #[command(flatten)]
    pub edges: EdgeSettings,
    /// Who is let in.
    #[command(flatten)]
    pub access: AccessSettings,
    /// When and how files are written to the archive.
    #[command(flatten)]
    pub flush: FlushSettings,
}

/// Why the process does not start with these settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// Not a command line, or a value that does not parse. Also the answer to `--help`.
    #[error(transparent)]
    Usage(#[from] clap::Error),
    /// `AUTH=jwt` without keys.
    #[error(
        "AUTH=jwt, the default, needs JWT_KEYS: a JWKS or the path of one. To let anybody edit, set AUTH=open"
    )]
    NoKeys,
    /// `AUTH=open` in reach of others.
    #[error(
        "AUTH=open lets anybody edit, so it does not listen on {0}: listen on 127.0.0.1 or set ALLOW_OPEN=1"
    )]
    OpenToAll(std::net::SocketAddr),
    /// An address of a store that is not of its kind; what it is is not shown, since it can hold a password.
    #[error("{0} is not an address such as {1}")]
    StoreAddress(&'static str, &'static str),
    /// `origin flush` on the embedded stores.
    #[error(
        "origin flush needs REDIS_URL: the embedded stores are flushed by the process that has them open"
    )]
    FlushAlone,
    /// `DURABILITY=replica` on the embedded stores.
    #[error("DURABILITY=replica needs REDIS_URL: the embedded room store has no replica")]
    NoReplica,
    /// `LINK_KEYS` that do not parse.
    #[error("LINK_KEYS is a list of id:secret, separated by commas")]
    LinkKeys,
    /// `EDGE_URLS` with something that is no address of an edge.
    #[error("EDGE_URLS holds {0:?}, which is not an http or https address without a path")]
    EdgeUrl(String),
    /// An entry of `ALLOWED_ORIGINS` that no browser sends.
    #[error("ALLOWED_ORIGINS holds {0:?}, which is not an origin such as https://example.com")]
    AllowedOrigin(String),
    /// A count that is too high to work.
    #[error("{0} must be at most {1}")]
    TooMany(&'static str, u32),
    /// A part of the queue's keys that would not be one.
    #[error("{0} must not be empty nor hold a colon")]
    QueueName(&'static str),
    /// An interval or a count of zero.
    #[error("{0} must be above zero")]
    Zero(&'static str),
}

impl Cli {
    /// Reads the command line and the environment of this process.
    pub fn from_process() -> Result<Self, SettingsError> {
        Self::read(std::env::args_os())
    }

    /// Reads these arguments and the environment; flags count before and after the subcommand,
    /// and the last one of a kind.
    pub fn read<I, A>(arguments: I) -> Result<Self, SettingsError>
    where
        I: IntoIterator<Item = A>,
        A: Into<std::ffi::OsString> + Clone,
    {
        let command = Self::command().args_override_self(true).mut_args(|arg| arg.global(true));
        let cli = Self::from_arg_matches(&command.try_get_matches_from(arguments)?)?;
        cli.check()?;
        Ok(cli)
    }

    /// The token that is wanted, if that is all.
    pub fn token_order(&self) -> Option<&TokenOrder> {
        match &self.command {
            Some(Command::Token(order)) => Some(order),
            _ => None,
        }
    }

    /// What this process does; both roles if none is named.
    pub fn role(&self) -> Role {
        match self.command {
            None | Some(Command::Token(_)) => Role::Both,
            Some(Command::Serve) => Role::Serve,
            Some(Command::Flush) => Role::Flush,
        }
    }

    fn check(&self) -> Result<(), SettingsError> {
        if self.token_order().is_some() {
            let keys = self.settings.access.jwt_keys();
            return keys.map(drop).ok_or(SettingsError::NoKeys);
        }
        let (role, settings) = (self.role(), &self.settings);
        if !role.serves() && settings.stores.redis_url().is_none() {
            return Err(SettingsError::FlushAlone);
        }
        settings.check()?;
        // Who lets nobody in has nothing to open.
        if role.serves() { settings.access.check(settings.service.listen()) } else { Ok(()) }
    }
}

impl Settings {
    fn check(&self) -> Result<(), SettingsError> {
        self.stores.check()?;
        self.service.check()?;
        self.edges.check()?;
        self.flush.check()
    }
}

pub(crate) use self::edges::base_of_edge;

fn above_zero(name: &'static str, value: u64) -> Result<(), SettingsError> {
    if value == 0 { Err(SettingsError::Zero(name)) } else { Ok(()) }
}

/// The entries of a comma list, without the empty ones.
fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}
