//! The same policy for reqwest, whose `ClientBuilder::dns_resolver` takes it. reqwest resolves no literal addresses and no
//! ports, so the URL of each request and of each redirect goes through [`PolicyResolver::check`] first.

use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use super::connect::look_up;
use super::failure::NetError;
use super::policy::{Permission, parse_host};

#[derive(Debug, Clone)]
pub struct PolicyResolver {
    permission: Arc<Permission>,
}

impl PolicyResolver {
    pub(super) fn new(permission: Permission) -> Self {
        Self { permission: Arc::new(permission) }
    }

    /// All that can be said before resolution.
    pub fn check(&self, url: &Url) -> Result<(), NetError> {
        match self.permission.check_url(url)? {
            (Host::Domain(_), _) => Ok(()),
            (Host::Ipv4(address), _) => self.permission.check_address(&address.to_string(), address.into()),
            (Host::Ipv6(address), _) => self.permission.check_address(&address.to_string(), address.into()),
        }
    }
}

impl Resolve for PolicyResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let permission = self.permission.clone();
        Box::pin(async move {
            permission.check_name(&parse_host(name.as_str())?)?;
            let found = look_up(name.as_str(), 0).await?;
            Ok(Box::new(permission.keep_allowed(name.as_str(), found)?.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::testing::permission;

    #[tokio::test]
    async fn names_resolve_to_allowed_addresses_only() {
        for (hosts, allow_private, wanted) in
            [(&["localhost:80"][..], true, true), (&["localhost"], false, false), (&["other.example"], true, false)]
        {
            let resolver = PolicyResolver::new(permission(hosts, allow_private));
            let answer = resolver.resolve("localhost".parse().unwrap()).await;
            assert_eq!(answer.is_ok(), wanted, "{hosts:?}");
            for address in answer.into_iter().flatten() {
                assert!(address.ip().is_loopback());
            }
        }
    }

    #[test]
    fn literal_addresses_are_judged_by_their_url() {
        for (url, allow_private, wanted) in [
            ("http://127.0.0.1/", true, true),
            ("http://127.0.0.1/", false, false),
            ("http://0x7f.1/", false, false),
            ("http://[::ffff:127.0.0.1]/", false, false),
            ("http://169.254.169.254/", true, false),
            ("https://shop.example/", false, true),
            ("https://other.example/", true, false),
        ] {
            let hosts = ["127.0.0.1", "[::ffff:127.0.0.1]", "169.254.169.254", "shop.example"];
            let resolver = PolicyResolver::new(permission(&hosts, allow_private));
            assert_eq!(resolver.check(&Url::parse(url).unwrap()).is_ok(), wanted, "{url}");
        }
    }
}
