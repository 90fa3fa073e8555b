//! Requests side by side: each is sent, counted and recorded as one that is sent alone.

use std::time::Duration;

use futures::stream::{self, StreamExt};
use tokio::time::Instant;

use super::request::{Request, Response};
use super::{Sender, Sent};
use crate::net::NetError;
use crate::plugin_host::capabilities::account::Account;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::http::Request as GuestRequest;
use crate::plugin_host::contract::bindings::imports::net::NetError as GuestError;
use crate::plugin_host::recording::format::CallCost;

/// Requests of one call: as many as a page of checks has, and few enough that all answers fit.
const MAX_REQUESTS: usize = 100;
/// Requests under way at once. Each may hold a body of the whole cap.
const MAX_IN_FLIGHT: usize = 10;

impl RunState {
    pub(super) async fn send_side_by_side(
        &mut self,
        requests: Vec<GuestRequest>,
    ) -> wasmtime::Result<Vec<Result<Response, GuestError>>> {
        let count = requests.len();
        // A call without a request is a call.
        for _ in 0..count.max(1) {
            self.host_call()?;
        }
        if count > MAX_REQUESTS {
            let text = format!("there are {count} requests; at most {MAX_REQUESTS} are taken");
            let error = self.net_failed(NetError::Protocol(text).into());
            return Ok(vec![Err(error); count]);
        }
        let requests = requests
            .into_iter()
            .map(|request| Request::new(request, &self.access.secrets))
            .collect::<wasmtime::Result<Vec<_>>>()?;
        let sender = Sender::new(&self.access, &self.label);
        let run_ends = self.net_deadline;
        let sending = requests.into_iter().enumerate().map(|(index, request)| {
            let sender = sender.clone();
            async move {
                let own = request.timeout_ms.map(Duration::from_millis);
                let deadline = own.and_then(|own| Instant::now().checked_add(own));
                let deadline = deadline.map_or(run_ends, |own| own.min(run_ends));
                (index, sender.send(request, deadline).await)
            }
        });
        let mut sending = stream::iter(sending).buffer_unordered(MAX_IN_FLIGHT);
        let mut answered: Vec<(usize, Sent)> = Vec::with_capacity(count);
        while let Some((index, sent)) = sending.next().await {
            answered.push((index, sent?));
            // What is still under way ends with the stream.
            self.within_budget()?;
        }
        answered.sort_by_key(|(index, _)| *index);
        let costs: Vec<&CallCost> = answered.iter().map(|(_, sent)| &sent.cost).collect();
        self.account.charge_side_by_side(&costs);
        Ok(answered.into_iter().map(|(_, sent)| sent.answer).collect())
    }
}

impl Account {
    /// Charges calls that were made side by side, in their order: the time from the first to the
    /// last, and the phases of the slowest.
    fn charge_side_by_side(&mut self, costs: &[&CallCost]) {
        for cost in costs {
            self.charge(&CallCost {
                bytes_in: cost.bytes_in,
                failure: cost.failure.clone(),
                ..CallCost::default()
            });
        }
        let Some(slowest) = costs.iter().max_by_key(|cost| cost.net_us) else {
            return;
        };
        let net_us = costs.iter().map(|cost| cost.net_us.unwrap_or(0));
        self.charge(&CallCost {
            waited_us: span(costs.iter().map(|cost| cost.waited_us)),
            net_us: slowest.net_us.map(|_| span(net_us)),
            phases: slowest.phases,
            ..CallCost::default()
        });
    }
}

/// Time from the first to the last of calls that take these times, where each begins as soon as one
/// of those under way is over. Computed from the times of the calls, so that a replay gets the same.
fn span(times: impl Iterator<Item = u64>) -> u64 {
    let mut ends = [0_u64; MAX_IN_FLIGHT];
    for time in times {
        let earliest = ends.iter_mut().min().expect("some are under way at once");
        *earliest = earliest.saturating_add(time);
    }
    ends.into_iter().max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Phases;

    fn cost(us: u64) -> CallCost {
        CallCost {
            waited_us: us,
            net_us: Some(us),
            phases: Phases {
                connect_us: Some(us),
                ..Phases::default()
            },
            bytes_in: 1,
            failure: None,
        }
    }

    #[test]
    fn time_that_passes_for_all_at_once_counts_once() {
        let costs: Vec<CallCost> = [5, 90, 30].map(cost).to_vec();
        let mut account = Account::default();
        account.charge_side_by_side(&costs.iter().collect::<Vec<_>>());
        assert_eq!(account.net_us, Some(90));
        assert_eq!(account.waited, Duration::from_micros(90));
        assert_eq!(account.phases.connect_us, Some(90));
        assert_eq!(account.bytes_in, 3);
    }

    #[test]
    fn one_more_than_fits_at_once_waits_for_the_first_that_ends() {
        let times = [[100; MAX_IN_FLIGHT - 1].as_slice(), &[40, 70]].concat();
        assert_eq!(span(times.into_iter()), 110);
        assert_eq!(span(std::iter::empty()), 0);
    }

    #[test]
    fn calls_without_a_network_take_no_time_of_it() {
        let mut account = Account::default();
        account.charge_side_by_side(&[]);
        account.charge_side_by_side(&[&CallCost::default()]);
        assert_eq!(account.net_us, None);
    }
}
