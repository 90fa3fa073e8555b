//! Claims of vendors beside our own incidents.

use serde_json::json;

use super::Running;
use crate::domain::{
    Incident, IncidentFacts, IncidentKind, IncidentOutcome, IncidentSource, UnixMillis, now_ms,
};

const MINUTE: i64 = 60_000;

/// An incident by minutes: when it began, when it was over, when this was written.
fn incident(id: i64, source: IncidentSource, minutes: (i64, Option<i64>, i64)) -> Incident {
    let origin: UnixMillis = now_ms() / MINUTE * MINUTE - 3 * 24 * 60 * MINUTE;
    let moment = |minute: i64| origin + minute * MINUTE;
    let (started, ended, written) = minutes;
    Incident {
        id,
        facts: IncidentFacts {
            service: "shop".to_owned(),
            source,
            reference: format!("r{id}"),
            kind: IncidentKind::Outage,
            cause: format!("cause {id}"),
            error_kind: None,
            probe: None,
            started_ms: moment(started),
            ended_ms: ended.map(moment),
            outcome: ended.map(|_| IncidentOutcome::Recovered),
            runs: 1,
            reopened: 0,
            decided_ms: moment(written),
        },
        alert: None,
        change_id: id * 1_000 + written,
        changed_ms: moment(written),
    }
}

#[tokio::test]
async fn claims_of_vendors_stand_beside_our_outages_with_who_knew_first() {
    use IncidentSource::{Ours, Vendor};
    let mut planned = incident(6, Vendor, (300, Some(320), 300));
    planned.facts.kind = IncidentKind::Maintenance;
    let running = Running::start();
    let incidents = vec![
        incident(1, Ours, (0, Some(30), 1)),
        // First seen after 12 minutes, put back before ours, taken back later.
        incident(2, Vendor, (-5, None, 12)),
        incident(2, Vendor, (-5, Some(40), 40)),
        incident(3, Ours, (300, Some(310), 301)),
        planned,
        incident(4, Vendor, (600, Some(660), 601)),
        incident(5, Ours, (1000, Some(1010), 1001)),
        incident(7, Vendor, (990, Some(1100), 995)),
    ];
    running.store.incident_append(incidents).await.unwrap();
    let sql = "SELECT incident_id, claim_id, knew_first, lag_s, backdated_s, claim_ended IS NULL, service FROM vendor_claims
               ORDER BY coalesce(started, claimed)";
    let found = running.rows(sql).await;
    assert_eq!(
        json!(found),
        json!([
            [1, 2, "us", 720, 1_020, false, "shop"],
            [3, null, "only us", null, null, true, "shop"],
            [null, 4, "only vendor", null, 60, false, "shop"],
            [5, 7, "vendor", -300, 300, false, "shop"],
        ])
    );
    running.stop().await;
}
