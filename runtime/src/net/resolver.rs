//! The same policy for reqwest: `ClientBuilder::dns_resolver`. reqwest does not resolve literal addresses, so a URL goes
//! through [`Permission::check_url`] and [`PolicyResolver::check_literal`] first.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::Host;

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

    /// The address rule for a host that is an address.
    pub fn check_literal(&self, host: &Host) -> Result<(), NetError> {
        match host {
            Host::Domain(_) => Ok(()),
            Host::Ipv4(address) => self.permission.check_address(&address.to_string(), (*address).into()),
            Host::Ipv6(address) => self.permission.check_address(&address.to_string(), (*address).into()),
        }
    }
}

impl Resolve for PolicyResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let permission = self.permission.clone();
        Box::pin(async move {
            let host = parse_host(name.as_str())?;
            permission.check_name(&host)?;
            let found = look_up(name.as_str(), 0).await?;
            let kept: Vec<SocketAddr> = permission.keep_allowed(name.as_str(), found)?;
            Ok(Box::new(kept.into_iter()) as Addrs)
        })
    }
}
