//! Why the process does not start with its settings.

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
