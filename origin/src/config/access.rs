//! Who is let in.

use std::net::SocketAddr;

use clap::builder::BoolishValueParser;
use secrecy::{ExposeSecret, SecretString};

use super::SettingsError;

/// Who is let in.
#[derive(Clone, Debug, clap::Args)]
pub struct AccessSettings {
    /// Whether a token is asked for. AUTH, default jwt.
    #[arg(long, env = "AUTH", value_enum, default_value_t = Auth::Jwt)]
    pub auth: Auth,
    /// Lets AUTH=open listen beyond this machine. ALLOW_OPEN, default off.
    #[arg(
        long,
        env = "ALLOW_OPEN",
        action = clap::ArgAction::Set,
        value_parser = BoolishValueParser::new(),
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true",
        default_value = "false"
    )]
    allow_open: bool,
    /// Whether opening a room or file that does not exist creates it. CREATE_ON_OPEN, default on with
    /// AUTH=open, else off.
    #[arg(
        long,
        env = "CREATE_ON_OPEN",
        action = clap::ArgAction::Set,
        value_parser = BoolishValueParser::new(),
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    create_on_open: Option<bool>,
    /// The keys of tokens: a JWKS, or the path of a file with one, which is read again when it changes. Keys for
    /// EdDSA, ES256 or HS256; the first private one signs what `origin token` prints. JWT_KEYS, default none.
    #[arg(long, env = "JWT_KEYS", hide_env_values = true)]
    jwt_keys: Option<SecretString>,
}

/// Whether a token is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Auth {
    /// A signed token says who somebody is.
    Jwt,
    /// Anybody may edit.
    Open,
}

impl AccessSettings {
    /// Whether it is known who somebody is.
    pub fn names_members(&self) -> bool {
        self.auth == Auth::Jwt
    }

    /// Whether a room or file that is opened and does not exist is created.
    pub fn create_on_open(&self) -> bool {
        self.create_on_open.unwrap_or(self.auth == Auth::Open)
    }

    /// The keys of tokens, as they were given.
    pub fn jwt_keys(&self) -> Option<&SecretString> {
        self.jwt_keys.as_ref().filter(|keys| !keys.expose_secret().trim().is_empty())
    }

    pub(super) fn check(&self, listen: SocketAddr) -> Result<(), SettingsError> {
        match self.auth {
            Auth::Jwt if self.jwt_keys().is_none() => Err(SettingsError::NoKeys),
            Auth::Jwt => Ok(()),
            Auth::Open if !self.allow_open && !listen.ip().is_loopback() => {
                Err(SettingsError::OpenToAll(listen))
            }
            Auth::Open => Ok(()),
        }
    }
}
