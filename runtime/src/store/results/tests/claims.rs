//! Claims of vendors beside our own incidents.

use serde_json::json;

use super::Running;
use crate::domain::{
    Incident, IncidentFacts, IncidentKind, IncidentOutcome, IncidentSource, UnixMillis, now_ms,
};
use crate::store::{ClaimSums, HistorySpans, IncidentFilter};

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
    let sums = running.store.service_claims("shop", 0).await.unwrap();
    assert_eq!(
        sums,
        ClaimSums {
            both: 2,
            only_us: 1,
            only_vendor: 1,
            us_first: 1,
            lag_s: Some(-300),
        }
    );
    let none = running.store.service_claims("shop", now_ms()).await;
    assert_eq!(none.unwrap(), ClaimSums::default());
    let sql = "SELECT our_incidents, vendor_incidents, we_first, vendor_first, undeclared, only_vendor, lag_p50_s, our_s, vendor_s
               FROM vendor_honesty WHERE service = 'shop'";
    assert_eq!(
        json!(running.rows(sql).await),
        json!([[3, 3, 1, 1, 1, 1, -300, 3_000, 12_900]])
    );
    let asked = |from_ms, to_ms| running.store.vendor_honesty((from_ms, to_ms));
    let month_ms = 30 * 24 * 60 * MINUTE;
    let found = asked(now_ms() - month_ms, now_ms()).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].undeclared, found[0].vendor_s), (1, 12_900));
    let before = asked(0, now_ms() - month_ms).await.unwrap();
    assert!(before.is_empty());
    running.stop().await;
}

#[tokio::test]
async fn an_incident_that_lasts_is_listed_however_many_began_after_it() {
    let running = Running::start();
    let mut incidents = vec![incident(1, IncidentSource::Ours, (0, None, 1))];
    incidents.extend((2..1_200).map(|id| {
        let minutes = (id, Some(id + 1), id + 1);
        incident(id, IncidentSource::Ours, minutes)
    }));
    incidents.push(incident(5_000, IncidentSource::Vendor, (2, Some(3), 4)));
    running.store.incident_append(incidents).await.unwrap();
    let spans = HistorySpans {
        days_from_ms: 0,
        hours_from_ms: 0,
        incidents_from_ms: 0,
        claims_from_ms: Some(0),
        until_ms: now_ms(),
    };
    let asked = running
        .store
        .service_histories(vec!["shop".to_owned()], spans);
    let histories = asked.await.unwrap();
    let claims = &histories.claims["shop"];
    assert_eq!((claims.len(), claims[0].id), (1, 5_000));
    let found = histories.incidents;
    assert_eq!((found[0].id, found[0].ended_ms), (1, None));
    assert_eq!((found.len(), found[1].id), (1_000, 1_199));
    running.stop().await;
}

#[tokio::test]
async fn an_outage_with_two_claims_counts_once_and_overlapping_claims_are_not_added_up() {
    use IncidentSource::{Ours, Vendor};
    let running = Running::start();
    let incidents = vec![
        incident(1, Ours, (0, Some(30), 1)),
        incident(2, Vendor, (5, Some(20), 6)),
        incident(3, Vendor, (10, Some(40), 11)),
    ];
    running.store.incident_append(incidents).await.unwrap();
    let sums = running.store.service_claims("shop", 0).await.unwrap();
    let wanted = ClaimSums {
        both: 1,
        us_first: 1,
        lag_s: Some(360),
        ..ClaimSums::default()
    };
    assert_eq!(sums, wanted);
    let found = running.store.vendor_honesty((0, now_ms())).await.unwrap();
    let [row] = &found[..] else {
        panic!("{found:?}");
    };
    assert_eq!((row.our_incidents, row.vendor_incidents), (1, 2));
    assert_eq!((row.our_s, row.vendor_s), (1_800, 2_100));
    let ours = IncidentFilter {
        source: Some(Ours),
        ..IncidentFilter::default()
    };
    let found = running.store.incident_page(ours, 20).await.unwrap();
    let found: Vec<_> = found.iter().map(|row| (row.id, row.seconds)).collect();
    assert_eq!(found, [(1, 1_800)], "claims are no outages of ours");
    running.stop().await;
}
