//! `REDIS_URL`: one server or a cluster, with or without TLS, user and password.

use std::time::Duration;

use redis::{
    Client, ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion, PushInfo,
    cluster::{ClusterClient, ClusterClientBuilder},
    io::tcp::TcpSettings,
};

use tokio::sync::mpsc;

use crate::room_store::StoreError;

/// A dead peer is noticed by TCP after this; the deadlines of the calls are shorter.
const USER_TIMEOUT: Duration = Duration::from_secs(5);

/// Where Redis is.
#[derive(Clone, Debug)]
pub(super) enum Address {
    /// One server.
    Single(Box<ConnectionInfo>),
    /// Some nodes of a cluster.
    Cluster(Vec<ConnectionInfo>),
}

impl Address {
    /// Reads `redis://` or `rediss://`, or with `+cluster` and several hosts, separated by commas. The error
    /// does not repeat the text, which may hold a password.
    pub(super) fn parse(url: &str) -> Result<Self, StoreError> {
        let wrong = |why: &str| StoreError::Failed(format!("REDIS_URL is not an address of Redis: {why}"));
        let (scheme, rest) = url.split_once("://").ok_or_else(|| wrong("it has no scheme"))?;
        let info = |url: String| match url.into_connection_info() {
            Ok(info) => Ok(prepared(info)),
            Err(error) => Err(wrong(&error.to_string())),
        };
        match scheme {
            "redis" | "rediss" => Ok(Self::Single(Box::new(info(url.to_owned())?))),
            "redis+cluster" | "rediss+cluster" => {
                let scheme = scheme.trim_end_matches("+cluster");
                let (user, hosts) = rest.rsplit_once('@').map_or(("", rest), |(user, hosts)| (user, hosts));
                let at = if user.is_empty() { "" } else { "@" };
                let hosts = hosts.trim_end_matches('/').split(',');
                let nodes = hosts.map(|host| info(format!("{scheme}://{user}{at}{host}")));
                Ok(Self::Cluster(nodes.collect::<Result<_, _>>()?))
            }
            _ => Err(wrong("the scheme is none of redis, rediss, redis+cluster, rediss+cluster")),
        }
    }

    /// Another node of the same cluster, or the server itself.
    pub(super) fn node(&self, host: &str, port: u16) -> Result<ConnectionInfo, StoreError> {
        let known = match self {
            Self::Single(info) => return Ok((**info).clone()),
            Self::Cluster(nodes) => nodes.first().cloned(),
        };
        let known = known.ok_or_else(|| StoreError::Failed("a cluster without nodes".to_owned()))?;
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
pub(super) fn client(info: ConnectionInfo) -> Result<Client, StoreError> {
    Client::open(info).map_err(|error| StoreError::Failed(error.to_string()))
}

/// A client of a cluster. It repeats nothing but what was redirected: whether an answer is still awaited is
/// decided by the caller's deadline.
pub(super) fn cluster(
    nodes: &[ConnectionInfo],
    deadline: Duration,
    pushes: mpsc::UnboundedSender<PushInfo>,
) -> Result<ClusterClient, StoreError> {
    ClusterClientBuilder::new(nodes.to_vec())
        .use_protocol(ProtocolVersion::RESP3)
        .push_sender(pushes)
        .tcp_settings(tcp())
        .connection_timeout(deadline)
        .response_timeout(deadline)
        .retries(3)
        .min_retry_wait(10)
        .max_retry_wait(200)
        .build()
        .map_err(|error| StoreError::Failed(error.to_string()))
}

fn prepared(info: ConnectionInfo) -> ConnectionInfo {
    let redis = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3).set_skip_set_lib_name();
    info.set_tcp_settings(tcp()).set_redis_settings(redis)
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

        let Ok(Address::Cluster(nodes)) = Address::parse("redis+cluster://ada:p@a,b:7001/") else {
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
