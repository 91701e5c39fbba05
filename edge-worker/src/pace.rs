//! How often one address may ask: counted by the platform, per location, before anything else is touched.
//!
//! What a member may ask on an open socket is the hub's to say.

use std::net::{IpAddr, Ipv6Addr};

use worker::{Env, Request, console_warn};

use crate::error::Refusal;

/// The binding of `[[ratelimits]]`. A deployment without it has no such limit.
const LIMITER: &str = "ADDRESS_RATE";
const ADDRESS: &str = "cf-connecting-ip";

/// Refuses an address that asks too often. A limiter that fails keeps nobody out.
pub(crate) async fn keep(env: &Env, request: &Request) -> Result<(), Refusal> {
    let (Some(address), Ok(limiter)) = (request.headers().get(ADDRESS)?, env.rate_limiter(LIMITER)) else {
        return Ok(());
    };
    match limiter.limit(counted_as(&address)).await {
        Ok(outcome) if !outcome.success => Err(Refusal::TooOften),
        Ok(_) => Ok(()),
        Err(error) => {
            console_warn!("pace.limiter: {error}");
            Ok(())
        }
    }
}

/// One subscriber's IPv6 network counts as one address.
fn counted_as(address: &str) -> String {
    match address.parse() {
        Ok(IpAddr::V6(address)) => {
            let [a, b, c, d, ..] = address.segments();
            format!("{}/64", Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        _ => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_count_together() {
        assert_eq!(counted_as("203.0.113.9"), "203.0.113.9");
        assert_eq!(counted_as("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
        assert_eq!(counted_as("2001:db8:1:2::1"), counted_as("2001:db8:1:2:ffff::"));
        assert_ne!(counted_as("2001:db8:1:3::1"), counted_as("2001:db8:1:2::1"));
    }
}
