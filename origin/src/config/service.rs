//! The process and what it listens to.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use axum::http::{HeaderValue, Uri};
use secrecy::SecretString;

use super::{
    SettingsError,
    values::{above_zero, entries},
};

/// The process and what it listens to.
#[derive(Clone, Debug, clap::Args)]
pub struct ServiceSettings {
    /// The address to listen on. LISTEN, default 127.0.0.1:8080; port 0 picks one.
    #[arg(long, env = "LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Replaces the port of LISTEN. PORT, default none.
    #[arg(long, env = "PORT")]
    port: Option<u16>,
    /// Where the embedded stores are; locked. DATA_DIR, default ./data.
    #[arg(long, env = "DATA_DIR", default_value = "./data")]
    pub data_dir: PathBuf,
    /// The page that is served at /, if the folder exists. PAGE_DIR, default ./demo/dist.
    #[arg(long, env = "PAGE_DIR", default_value = "./demo/dist")]
    pub page_dir: PathBuf,
    /// Names this origin among others. ORIGIN_ID, default made up at each start.
    #[arg(long, env = "ORIGIN_ID")]
    origin_id: Option<String>,
    /// The origins of pages in browsers that may call, a comma list, or * for all. ALLOWED_ORIGINS, default none.
    #[arg(long, env = "ALLOWED_ORIGINS")]
    allowed_origins: Option<String>,
    /// An alias of ALLOWED_ORIGINS. FRONTEND_URL, default none.
    #[arg(long, env = "FRONTEND_URL")]
    frontend_url: Option<String>,
    /// Allows administration, where that is not open to anybody. ADMIN_TOKEN, default none.
    #[arg(long, env = "ADMIN_TOKEN", hide_env_values = true)]
    pub admin_token: Option<SecretString>,
    /// How long a shutdown may take, in milliseconds. SHUTDOWN_GRACE_MS, default 20000.
    #[arg(long, env = "SHUTDOWN_GRACE_MS", default_value_t = 20_000)]
    shutdown_grace_ms: u64,
    /// What is logged: a level, or targets with levels. RUST_LOG, default info.
    #[arg(long, env = "RUST_LOG", default_value = "info")]
    pub log: String,
    /// How it is logged. LOG_FORMAT, default text.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// The pages in browsers that may call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedOrigins {
    /// Every page.
    Any,
    /// These, as browsers spell them in the `Origin` header.
    List(Vec<HeaderValue>),
}

impl ServiceSettings {
    /// The address to listen on, with the port that `PORT` names.
    pub fn listen(&self) -> SocketAddr {
        SocketAddr::new(self.listen.ip(), self.port.unwrap_or(self.listen.port()))
    }

    /// The name of this origin, if it was given one.
    pub fn origin_id(&self) -> Option<&str> {
        self.origin_id.as_deref().filter(|id| !id.is_empty())
    }

    /// The pages that may call, of both variables.
    pub fn allowed_origins(&self) -> Result<AllowedOrigins, SettingsError> {
        let lists = [&self.allowed_origins, &self.frontend_url];
        let all: Vec<&str> = lists.into_iter().flatten().flat_map(|list| entries(list)).collect();
        if all.contains(&"*") {
            return Ok(AllowedOrigins::Any);
        }
        all.into_iter().map(page_origin).collect::<Result<_, _>>().map(AllowedOrigins::List)
    }

    /// How long a shutdown may take.
    pub fn shutdown_grace(&self) -> Duration {
        Duration::from_millis(self.shutdown_grace_ms)
    }

    pub(super) fn check(&self) -> Result<(), SettingsError> {
        above_zero("SHUTDOWN_GRACE_MS", self.shutdown_grace_ms)?;
        self.allowed_origins().map(drop)
    }
}

/// Reads an origin as people write it, with or without a slash at the end.
fn page_origin(text: &str) -> Result<HeaderValue, SettingsError> {
    let wrong = || SettingsError::AllowedOrigin(text.to_owned());
    let bare = text.strip_suffix('/').unwrap_or(text);
    let uri: Uri = bare.parse().map_err(|_| wrong())?;
    if uri.scheme().is_none() || uri.authority().is_none() || uri.path() != "/" || bare.ends_with('/') {
        return Err(wrong());
    }
    HeaderValue::from_str(&bare.to_ascii_lowercase()).map_err(|_| wrong())
}
