//! Names to addresses, as the machine's own resolver answers (`/etc/hosts`, then the servers and
//! search domains of `/etc/resolv.conf`), but without a thread: a look-up that is no longer waited
//! for ends at once, with its sockets. Nothing is kept: every look-up is a real one, or shares one
//! that is under way.

mod order;
mod permits;
mod search;
mod system;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};
use tokio::time::{Instant, timeout};

use self::permits::Permits;
use self::system::System;
use super::dns::ask::pace;
use super::failure::NetError;

/// Servers that are asked: as many as the C library asks.
const MAX_SERVERS: usize = 3;

/// A look-up ends after this, whatever its callers wait for.
const LONGEST: Duration = Duration::from_secs(60);

/// Result of a look-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    /// Addresses, one or more, in the order in which they are to be tried.
    pub(super) addresses: Vec<IpAddr>,
    /// A name server answered this; false for `/etc/hosts` and `localhost`.
    pub(super) is_answer: bool,
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Servers in place of those of `/etc/resolv.conf`.
    configured: Vec<SocketAddr>,
    system: System,
    permits: Permits,
    under_way: Mutex<HashMap<String, WeakShared<LookUp>>>,
}

type LookUp = BoxFuture<'static, Result<Vec<IpAddr>, NetError>>;

impl Resolver {
    /// Resolver of this machine; `configured` replaces the servers of `/etc/resolv.conf`.
    pub(super) fn new(configured: Vec<SocketAddr>) -> Self {
        Self::with_system(configured, System::of_this_machine())
    }

    fn with_system(configured: Vec<SocketAddr>, system: System) -> Self {
        let permits = Permits::of_this_machine();
        Self {
            inner: Arc::new(Inner {
                configured,
                system,
                permits,
                under_way: Mutex::default(),
            }),
        }
    }

    /// The servers to ask.
    pub(super) fn servers(&self) -> Vec<SocketAddr> {
        let mut servers = match self.inner.configured.as_slice() {
            [] => self.inner.system.resolv_conf().servers.clone(),
            configured => configured.to_vec(),
        };
        servers.truncate(MAX_SERVERS);
        servers
    }

    /// The addresses of a name; the caller cuts it off at its deadline.
    pub(super) async fn look_up(&self, name: &str, deadline: Instant) -> Result<Found, NetError> {
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        if let Some(addresses) = self.known_here(&name) {
            return Ok(Found {
                addresses: order::ordered(addresses),
                is_answer: false,
            });
        }
        let mut seat = self.join(name, deadline);
        let addresses = seat.look_up.as_mut().expect("nobody has left yet").await?;
        Ok(Found {
            addresses: order::ordered(addresses),
            is_answer: true,
        })
    }

    /// Finds addresses that need no server: `/etc/hosts`, and the names that mean this machine (RFC 6761, 6.3).
    fn known_here(&self, name: &str) -> Option<Vec<IpAddr>> {
        if let Some(addresses) = self.inner.system.hosts().get(name) {
            return Some(addresses.clone());
        }
        let is_local = name == "localhost" || name.ends_with(".localhost");
        is_local.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
    }

    /// A place at the look-up of this name that is under way, or at a new one.
    fn join(&self, name: String, deadline: Instant) -> Seat<'_> {
        let mut under_way = self.under_way();
        let known = under_way
            .get(&name)
            .and_then(WeakShared::upgrade)
            .filter(|known| known.peek().is_none());
        let look_up = known.unwrap_or_else(|| {
            let new = self.clone().ask(name.clone(), deadline).boxed().shared();
            under_way.extend(new.downgrade().map(|new| (name.clone(), new)));
            new
        });
        drop(under_way);
        Seat {
            resolver: self,
            name,
            look_up: Some(look_up),
        }
    }

    async fn ask(self, name: String, deadline: Instant) -> Result<Vec<IpAddr>, NetError> {
        let asked = async {
            let _permit = self.inner.permits.acquire(&name).await;
            let conf = self.inner.system.resolv_conf();
            search::search(&conf, &self.servers(), &name, pace(deadline)).await
        };
        match timeout(LONGEST, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(NetError::Timeout(format!(
                "timed out after {} s while resolving `{name}`",
                LONGEST.as_secs()
            ))),
        }
    }

    fn under_way(&self) -> MutexGuard<'_, HashMap<String, WeakShared<LookUp>>> {
        self.inner
            .under_way
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// One caller's place at a look-up; the last one to leave ends it.
struct Seat<'a> {
    resolver: &'a Resolver,
    name: String,
    /// Look-up that is shared; none once it is left.
    look_up: Option<Shared<LookUp>>,
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        let mut under_way = self.resolver.under_way();
        // Within the lock, so that of several who leave at once one is the last.
        self.look_up = None;
        let is_over =
            |known: &WeakShared<LookUp>| known.upgrade().is_none_or(|known| known.peek().is_some());
        if under_way.get(&self.name).is_some_and(is_over) {
            under_way.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests;
