//! Echo requests to one host.

use std::time::Duration;

use tokio::time::Instant;

use super::bounds;
use crate::domain::Capability;
use crate::net::{EchoRequest, NetError, NetFailure};
use crate::plugin_host::capabilities::host_call::begin;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::icmp::{Echo, Echoes, Host};
use crate::plugin_host::contract::bindings::imports::net::NetError as GuestError;

impl Host for RunState {
    async fn ping(&mut self, echo: Echo) -> wasmtime::Result<Result<Echoes, GuestError>> {
        let call = begin!(self, "icmp.ping", &echo);
        // A name can carry data out; what an echo request has behind its header is the host's.
        self.sends(echo.host.len())?;
        let start = Instant::now();
        let answer = self.ping_host(echo).await;
        self.waited_since(start);
        let answer = answer.map_err(|failure| self.net_failed(failure));
        Ok(self.answered(call, answer))
    }
}

impl RunState {
    async fn ping_host(&mut self, echo: Echo) -> Result<Echoes, NetFailure> {
        bounds::name("the host", &echo.host).map_err(NetError::Protocol)?;
        let request = EchoRequest {
            host: echo.host,
            count: echo.count,
            interval: Duration::from_millis(echo.interval_ms),
            timeout: Duration::from_millis(echo.timeout_ms),
            size: echo.size as usize,
            deadline: self.net_deadline,
        };
        let (net, permission) = self.net(Capability::Icmp)?;
        let echoes = net.icmp_ping(&permission, &request).await?;
        self.account.network(&echoes.phases, echoes.total_us, 0);
        let micros = |took: Duration| u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        let round_trips = echoes.round_trips.into_iter();
        Ok(Echoes {
            address: echoes.address.to_string(),
            round_trips_us: round_trips.map(|took| took.map(micros)).collect(),
            total_us: echoes.total_us,
            attributes: Vec::new(),
        })
    }
}
