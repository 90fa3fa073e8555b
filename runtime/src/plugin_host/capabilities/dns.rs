//! One DNS query.

use tokio::time::Instant;

use super::bounds;
use crate::domain::{Capability, Phases};
use crate::net::{DnsQuery, NetError, NetFailure};
use crate::plugin_host::capabilities::host_call::begin;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::dns::{Answer, Host, Query, Response};
use crate::plugin_host::contract::bindings::imports::net::NetError as GuestError;

impl Host for RunState {
    async fn resolve(&mut self, query: Query) -> wasmtime::Result<Result<Response, GuestError>> {
        let call = begin!(self, "dns.resolve", &query);
        // A name can carry data out.
        self.sends(query.name.len())?;
        let start = Instant::now();
        let answer = self.resolve_dns(query).await;
        self.waited_since(start);
        let answer = answer.map_err(|failure| self.net_failed(failure));
        Ok(self.answered(call, answer))
    }
}

impl RunState {
    async fn resolve_dns(&mut self, query: Query) -> Result<Response, NetFailure> {
        bounds::query(&query).map_err(NetError::Protocol)?;
        let asked = DnsQuery {
            name: query.name,
            record_type: query.record_type,
            server: query.server,
            deadline: self.call_deadline(query.timeout_ms),
        };
        let (net, permission) = self.net(Capability::Dns)?;
        let answer = net.dns_query(&permission, asked).await?;
        let phases = Phases {
            dns_us: Some(answer.total_us),
            ..Phases::default()
        };
        self.account.network(&phases, answer.total_us, 0);
        let answers = answer.answers.into_iter().map(|record| Answer {
            name: record.name,
            record_type: record.record_type,
            ttl: record.ttl,
            data: record.data,
            attributes: Vec::new(),
        });
        Ok(Response {
            rcode: answer.rcode,
            answers: answers.collect(),
            server: answer.server.to_string(),
            total_us: answer.total_us,
            attributes: Vec::new(),
        })
    }
}
