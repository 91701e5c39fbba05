//! How often one address may ask, and how often one member may come in: counted by the platform, per location.
//!
//! The address before anything else is looked at, the member as soon as a token says who it is. What a member may ask on
//! an open socket is the hub's to say.

use std::net::{IpAddr, Ipv6Addr};

use shared::close::{CloseCode, Denial};
use worker::{Env, Request, console_warn};

use crate::error::Refusal;

/// The bindings of `[[ratelimits]]`. A deployment without one has no such limit.
const BY_ADDRESS: &str = "ADDRESS_RATE";
const BY_MEMBER: &str = "MEMBER_RATE";
const ADDRESS: &str = "cf-connecting-ip";

/// Refuses an address that asks too often.
pub(crate) async fn check_address(env: &Env, request: &Request) -> Result<(), Refusal> {
    match request.headers().get(ADDRESS)? {
        Some(address) if !allows(env, BY_ADDRESS, counted_as(&address)).await => Err(Refusal::TooOften),
        _ => Ok(()),
    }
}

/// Refuses a member who shows tokens too often, from wherever.
pub(crate) async fn check_member(env: &Env, member: &str) -> Result<(), Denial> {
    if allows(env, BY_MEMBER, member.to_owned()).await {
        return Ok(());
    }
    let code = CloseCode::RateLimited;
    Err(Denial { code, reason: code.word().to_owned() })
}

/// A limiter that fails keeps nobody out.
async fn allows(env: &Env, binding: &str, key: String) -> bool {
    let Ok(limiter) = env.rate_limiter(binding) else { return true };
    match limiter.limit(key).await {
        Ok(outcome) => outcome.success,
        Err(error) => {
            console_warn!("rate_limit: {binding}: {error}");
            true
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
