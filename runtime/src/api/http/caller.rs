//! The client of a request, as limits count it.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

/// Address of the client; an extension of every request that came over a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) IpAddr);

/// An address, or for IPv6 the network a household gets (/64).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Caller(IpAddr);

impl Caller {
    /// All callers that find no place of their own in a table.
    pub(crate) const EVERYONE_ELSE: Self = Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
}

impl From<Option<IpAddr>> for Caller {
    fn from(address: Option<IpAddr>) -> Self {
        address.map_or(Self::EVERYONE_ELSE, Self::from)
    }
}

impl From<IpAddr> for Caller {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(address.into()),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into())
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let address = parts
            .extensions
            .get::<ClientAddress>()
            .map(|ClientAddress(address)| *address);
        Ok(address.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller(text: &str) -> Caller {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn an_ipv6_network_is_one_caller() {
        assert_eq!(
            caller("2001:db8:1:2:aaaa::1"),
            caller("2001:db8:1:2:bbbb::2")
        );
        assert_ne!(caller("2001:db8:1:2::1"), caller("2001:db8:1:3::1"));
        assert_eq!(caller("::ffff:10.0.0.1"), caller("10.0.0.1"));
    }
}
