//! One DNS query.

use tokio::time::Instant;

use crate::domain::{Capability, Phases};
use crate::net::DnsQuery;
use crate::plugin_host::bindings::imports::dns::{Answer, Host, Query, Response};
use crate::plugin_host::bindings::imports::net::NetError as GuestError;
use crate::plugin_host::state::RunState;

impl Host for RunState {
    async fn resolve(&mut self, query: Query) -> wasmtime::Result<Result<Response, GuestError>> {
        self.host_call()?;
        // A name can carry data out.
        self.sends(query.name.len())?;
        let start = Instant::now();
        let asked = DnsQuery {
            name: query.name,
            record_type: query.record_type,
            server: query.server,
            deadline: self.call_deadline(query.timeout_ms),
        };
        let answer = match self.net(Capability::Dns) {
            Ok((net, permission)) => net.dns_query(&permission, asked).await,
            Err(failure) => Err(failure),
        };
        self.waited_since(start);
        match answer {
            Ok(answer) => {
                let phases = Phases { dns_us: Some(answer.total_us), ..Phases::default() };
                self.account.network(&phases, answer.total_us, 0);
                let answers = answer.answers.into_iter().map(|record| Answer {
                    name: record.name,
                    record_type: record.record_type,
                    ttl: record.ttl,
                    data: record.data,
                });
                Ok(Ok(Response {
                    rcode: answer.rcode,
                    answers: answers.collect(),
                    server: answer.server.to_string(),
                    total_us: answer.total_us,
                }))
            }
            Err(failure) => Ok(Err(self.net_failed(failure))),
        }
    }
}
