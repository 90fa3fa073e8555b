//! The gateway, connected with the parts that it must not know: what keeps calls, what reads units,
//! and the probes.

use std::sync::Arc;

use anyhow::Result;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

use super::Core;
use super::tasks::{Stage, Tasks};
use crate::domain::{Call, CallUnits, CurrentStatus, UnitReader, UnitRules};
use crate::gateway::{Calls, ConsumerBook, Gateway, GatewayParts, UnitTap, Units};
use crate::monitoring::{Monitoring, StatusCache, StatusChange};
use crate::net::Net;
use crate::registry::Registry;
use crate::usage;

/// Starts the gateway with its consumers and what they used.
pub(super) async fn build(
    tasks: &mut Tasks,
    core: &Core,
    net: Net,
    monitoring: &Monitoring,
    calls: usage::Calls,
) -> Result<(Gateway, ConsumerBook)> {
    let consumers = ConsumerBook::new(core.control.clone());
    let gateway = Gateway::new(GatewayParts {
        net,
        host: core.host.clone(),
        consumers: consumers.clone(),
        calls: Arc::new(Recorded(calls)),
        units: Arc::new(UnitReaders(core.registry.clone())),
        stop: tasks.stop(Stage::Faces),
    });
    gateway
        .prepare(&core.control, &core.registry.catalog())
        .await?;
    let (running, control, catalog) =
        (gateway.clone(), core.control.clone(), core.registry.watch());
    // Stops after the faces, so that what the last calls used is stored.
    tasks.spawn(Stage::Delivery, "gateway", |stop| {
        running.run(control, catalog, stop)
    });
    let (probed, status) = (gateway.clone(), monitoring.status_cache());
    tasks.spawn(Stage::Monitoring, "gateway probes", |stop| {
        follow_probes(probed, status, stop)
    });
    Ok((gateway, consumers))
}

/// Calls become rows and totals.
struct Recorded(usage::Calls);

impl Calls for Recorded {
    fn record(&self, call: Call) {
        metrics::counter!(
            "extrack_gateway_calls_total",
            "service" => call.service.to_string(),
            "ended" => call.ended.as_str()
        )
        .increment(1);
        if let Some(latency) = call.latency {
            let service = call.service.to_string();
            metrics::histogram!("extrack_gateway_call_duration_seconds", "service" => service)
                .record(latency.as_secs_f64());
        }
        self.0.record(call);
    }
}

/// Readers of units by the settings of each service.
struct UnitReaders(Registry);

impl Units for UnitReaders {
    fn reader(
        &self,
        service: &str,
        content_type: Option<&str>,
        encoding: Option<&str>,
    ) -> Option<Box<dyn UnitTap>> {
        let catalog = self.0.catalog();
        let settings = catalog.described(service)?.gateway.as_ref()?;
        let reader = match &settings.units {
            UnitRules::None => return None,
            rules => UnitReader::new(rules, content_type, encoding),
        };
        Some(Box::new(Reader(reader)))
    }
}

struct Reader(UnitReader);

impl UnitTap for Reader {
    fn feed(&mut self, bytes: &[u8]) {
        self.0.feed(bytes);
    }

    fn finish(self: Box<Self>, is_whole: bool) -> CallUnits {
        match (self.0.finish(), is_whole) {
            (CallUnits::Known(amounts), false) => CallUnits::AtLeast(amounts),
            (units, _) => units,
        }
    }
}

/// Reports to the breakers what the probes find.
async fn follow_probes(gateway: Gateway, status: Arc<StatusCache>, stop: CancellationToken) {
    use broadcast::error::RecvError;
    let mut changes = status.subscribe();
    loop {
        let change = tokio::select! {
            () = stop.cancelled() => return,
            change = changes.recv() => change,
        };
        match change {
            Ok(StatusChange { service, .. }) => {
                let is_down = matches!(
                    status.status(&service),
                    Some(CurrentStatus::Error | CurrentStatus::Unhealthy)
                );
                gateway.probed(&service, is_down);
            }
            // The next change of the service makes it right again.
            Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return stop.cancelled().await,
        }
    }
}
