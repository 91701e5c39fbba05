//! The settings: the only place that reads the environment.
//!
//! Every setting is a flag and a variable, and means the same in both. What cannot work, or could be mistaken
//! for working, is refused before anything is opened.

mod error;
mod values;
mod role;
mod access;
mod edges;
mod flush;
mod service;
mod stores;
mod token;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

pub(crate) use self::edges::base_of_edge;

pub use self::{
    access::{AccessSettings, Auth},
    edges::EdgeSettings,
    error::SettingsError,
    flush::FlushSettings,
    role::Role,
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
