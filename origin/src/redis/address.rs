//! `REDIS_URL`: one server or a cluster, with or without TLS, user and password.

use std::time::Duration;

use anyhow::{Context, anyhow};
use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, PushInfo, RedisResult,
    TlsCertificates,
    cluster::{ClusterClient, ClusterClientBuilder},
    io::tcp::TcpSettings,
};
use tokio::sync::mpsc;

use super::tls;

/// A dead peer is noticed by TCP after this; the deadlines of the calls are shorter.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

/// `REDIS_URL` taken apart: one address for each server that it names.
pub(crate) enum Urls {
    /// One server.
    Single(String),
    /// Some nodes of a cluster.
    Cluster(Vec<String>),
}

/// Where Redis is.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    /// One server.
    Single(Box<ConnectionInfo>),
    /// Some nodes of a cluster, and who may vouch for them if they are behind TLS.
    Cluster(Vec<ConnectionInfo>, Option<TlsCertificates>),
}

impl Urls {
    /// Reads `redis://` or `rediss://`, or with `+cluster` and several hosts, separated by commas. The error
    /// does not repeat the text, which may hold a password.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        match scheme {
            "redis" | "rediss" => Ok(Self::Single(url.to_owned())),
            "redis+cluster" | "rediss+cluster" => {
                let scheme = scheme.trim_end_matches("+cluster");
                let (user, hosts) = rest.rsplit_once('@').map_or(("", rest), |(user, hosts)| (user, hosts));
                let at = if user.is_empty() { "" } else { "@" };
                let hosts = hosts.trim_end_matches('/').split(',');
                Ok(Self::Cluster(hosts.map(|host| format!("{scheme}://{user}{at}{host}")).collect()))
            }
            _ => Err(wrong("the scheme is none of redis, rediss, redis+cluster, rediss+cluster")),
        }
    }

    /// Who may vouch for the servers, as PEM; `None` if they are not behind TLS.
    pub(crate) fn authorities(&self) -> anyhow::Result<Option<Vec<u8>>> {
        let first = match self {
            Self::Single(url) => url,
            Self::Cluster(urls) => urls.first().ok_or_else(|| wrong("it names no host"))?,
        };
        first.starts_with("rediss://").then(tls::authorities).transpose()
    }
}

impl Address {
    /// Reads what [`Urls::parse`] reads, with the same silence.
    pub(crate) fn parse(url: &str) -> anyhow::Result<Self> {
        let urls = Urls::parse(url)?;
        let certificates =
            urls.authorities()?.map(|pem| TlsCertificates { client_tls: None, root_cert: Some(pem) });
        let info = |url: String| match url.into_connection_info() {
            Ok(info) => prepared(info, certificates.as_ref()),
            Err(error) => Err(wrong(&error.to_string())),
        };
        match urls {
            Urls::Single(url) => Ok(Self::Single(Box::new(info(url)?))),
            Urls::Cluster(urls) => {
                let nodes = urls.into_iter().map(info).collect::<Result<_, _>>()?;
                Ok(Self::Cluster(nodes, certificates))
            }
        }
    }

    /// Another node of the same cluster, or the server itself.
    pub(super) fn node(&self, host: &str, port: u16) -> anyhow::Result<ConnectionInfo> {
        let known = match self {
            Self::Single(info) => return Ok((**info).clone()),
            Self::Cluster(nodes, _) => nodes.first().cloned(),
        };
        let known = known.context("a cluster without nodes")?;
        let address = match known.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host: host.to_owned(),
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        };
        Ok(known.set_addr(address))
    }
}

/// A client of one server.
pub(super) fn client(info: ConnectionInfo) -> RedisResult<Client> {
    Client::open(info)
}

/// A client of a cluster. It repeats nothing but what was redirected: whether an answer is still awaited is
/// decided by the caller's deadline.
pub(super) fn cluster(
    nodes: &[ConnectionInfo],
    certificates: Option<&TlsCertificates>,
    deadline: Duration,
    pushes: mpsc::UnboundedSender<PushInfo>,
) -> RedisResult<ClusterClient> {
    let builder = ClusterClientBuilder::new(nodes.to_vec());
    let builder = match certificates {
        Some(certificates) => builder.certs(certificates.clone()),
        None => builder,
    };
    builder
        .use_protocol(ProtocolVersion::RESP3)
        .push_sender(pushes)
        .tcp_settings(tcp())
        .connection_timeout(deadline)
        .response_timeout(deadline)
        .retries(3)
        .min_retry_wait(10)
        .max_retry_wait(200)
        .build()
}

fn prepared(info: ConnectionInfo, certificates: Option<&TlsCertificates>) -> anyhow::Result<ConnectionInfo> {
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
    let info = info.set_tcp_settings(tcp()).set_redis_settings(redis);
    let Some(certificates) = certificates else { return Ok(info) };
    let client = Client::build_with_tls(info, certificates.clone());
    Ok(client.map_err(|error| wrong(&error.to_string()))?.get_connection_info().clone())
}

fn wrong(why: &str) -> anyhow::Error {
    anyhow!("REDIS_URL is not an address of Redis: {why}")
}

fn tcp() -> TcpSettings {
    TcpSettings::default().set_nodelay(true).set_user_timeout(USER_TIMEOUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_a_server_or_a_cluster() {
        let Ok(Address::Single(one)) = Address::parse("rediss://ada:p%40ss@host:7/2") else { panic!("one") };
        assert!(matches!(one.addr(), ConnectionAddr::TcpTls { host, port: 7, .. } if host == "host"));
        let redis = one.redis_settings();
        assert_eq!((redis.username(), redis.password(), redis.db()), (Some("ada"), Some("p@ss"), 2));
        assert_eq!(redis.protocol(), ProtocolVersion::RESP3);

        let Ok(Address::Cluster(nodes, None)) = Address::parse("redis+cluster://ada:p@a,b:7001/") else {
            panic!("a cluster")
        };
        let addresses: Vec<String> = nodes.iter().map(|node| node.addr().to_string()).collect();
        assert_eq!(addresses, ["a:6379", "b:7001"]);
        assert_eq!(nodes[1].redis_settings().username(), Some("ada"));
    }

    #[test]
    fn a_url_that_is_none_is_refused_without_being_repeated() {
        for url in ["http://u:hidden@h", "hidden", "redis://u:hidden@h:port"] {
            let refused = Address::parse(url).unwrap_err().to_string();
            assert!(refused.contains("REDIS_URL") && !refused.contains("hidden"), "{refused}");
        }
    }
}
