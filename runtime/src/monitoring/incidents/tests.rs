use std::collections::BTreeMap;
use std::time::Duration;

use super::vendor::updated;
use super::*;
use crate::domain::{
    ErrorKind, Event, Exclusion, Failure, IncidentKind, IncidentOutcome, IncidentSource, LOCAL,
    Metric, MetricValue, Observation, Status,
};
use crate::store::carrier::carry;
use crate::store::{ControlStore, Keyring, ResultSettings, ResultStore};

/// 2026-11-30T00:00:00Z
const T0: UnixMillis = 1_795_996_800_000;
const MINUTE: i64 = 60_000;

fn run(probe: &str, minute: i64, status: Status) -> Observation {
    let failed = !status.is_available();
    Observation {
        ts_ms: T0 + minute * MINUTE,
        service: "shop".to_owned(),
        probe: probe.to_owned(),
        location: LOCAL.to_owned(),
        status,
        latency_us: None,
        phases: Default::default(),
        http_status: None,
        failure: failed.then(|| Failure::new(ErrorKind::Connect, format!("refused at {minute}"))),
        bytes: 0,
        plugin: "http".to_owned(),
        plugin_version: String::new(),
        run_id: minute,
        metrics: Vec::new(),
        missed: false,
        excluded: None,
        rate_limits: Vec::new(),
    }
}

/// A tracker of one service; each probe runs every minute.
fn tracker(probes: &[(&str, u32)], before: Vec<IncidentFacts>) -> IncidentTracker {
    let tracker = IncidentTracker::default();
    let mut outages = Outages::default();
    before.into_iter().for_each(|facts| outages.adopt(facts));
    let probes: BTreeMap<String, ProbeTraits> = probes
        .iter()
        .map(|(name, retries)| {
            let traits = ProbeTraits {
                retries: *retries,
                interval: Duration::from_secs(60),
            };
            ((*name).to_owned(), traits)
        })
        .collect();
    outages.apply(probes, T0);
    tracker.lock().services.insert("shop".to_owned(), outages);
    tracker
}

/// Runs of a probe, one a minute: `+` is good, `-` failed.
fn play(tracker: &IncidentTracker, probe: &str, since: i64, runs: &str) -> Vec<IncidentFacts> {
    let mut changes = Vec::new();
    for (minute, sign) in (since..).zip(runs.chars()) {
        let status = match sign {
            '+' => Status::Healthy,
            _ => Status::Error,
        };
        tracker.note(&run(probe, minute, status));
        changes.extend(tracker.take_unsaved(10));
    }
    changes
}

fn minutes(facts: &IncidentFacts) -> (i64, Option<i64>) {
    let minute = |ms: UnixMillis| (ms - T0) / MINUTE;
    (minute(facts.started_ms), facts.ended_ms.map(minute))
}

#[test]
fn an_outage_is_written_when_it_begins_and_when_it_is_over() {
    let tracker = tracker(&[("http", 0)], vec![]);
    let changes = play(&tracker, "http", 0, "++---++++");
    let [begun, ended] = &changes[..] else {
        panic!("{changes:?}");
    };
    assert_eq!((minutes(begun), begun.runs), ((2, None), 1));
    assert_eq!((minutes(ended), ended.runs), ((2, Some(5)), 3));
    assert_eq!(ended.cause, "refused at 2");
    assert_eq!(ended.error_kind.as_deref(), Some("connect"));
    assert_eq!(ended.probe.as_deref(), Some("http"));
    assert_eq!(ended.outcome, Some(IncidentOutcome::Recovered));
    assert_eq!(begun.reference, ended.reference);
}

#[test]
fn a_run_that_fails_counts_once_its_retries_are_used_up() {
    let tracker = tracker(&[("http", 2)], vec![]);
    assert_eq!(play(&tracker, "http", 0, "+--+--+"), []);
    let changes = play(&tracker, "http", 10, "---");
    assert_eq!(changes.len(), 1);
    assert_eq!((minutes(&changes[0]), changes[0].runs), ((10, None), 3));
}

#[test]
fn a_service_that_comes_and_goes_has_one_incident_with_few_changes() {
    let tracker = tracker(&[("http", 0)], vec![]);
    let changes = play(&tracker, "http", 0, &"-+".repeat(500));
    assert_eq!(changes.len(), 1, "it was never available for two runs");
    let changes = play(&tracker, "http", 1_000, &"++---".repeat(200));
    let last = changes.last().unwrap();
    assert_eq!(minutes(last).0, 0);
    assert!(changes.len() < 10, "{}", changes.len());
    let over = play(&tracker, "http", 2_000, "+++++");
    assert_eq!(minutes(&over[0]), (0, Some(2_000)));
}

#[test]
fn an_outage_after_minutes_of_quiet_is_another_one() {
    let tracker = tracker(&[("http", 0)], vec![]);
    play(&tracker, "http", 0, "--++");
    let changes = play(&tracker, "http", 4, "++++-");
    assert_eq!(minutes(&changes[0]), (8, None));
    assert_eq!(changes[0].reopened, 0);
}

#[test]
fn an_incident_ends_when_the_last_probe_has_recovered() {
    let tracker = tracker(&[("http", 0), ("tls", 0)], vec![]);
    assert_eq!(play(&tracker, "http", 0, "--").len(), 1);
    assert_eq!(play(&tracker, "tls", 1, "--"), []);
    assert_eq!(play(&tracker, "http", 2, "++++"), []);
    let changes = play(&tracker, "tls", 6, "++");
    assert_eq!(minutes(&changes[0]), (0, Some(6)));
    assert_eq!(changes[0].runs, 4);
}

#[test]
fn runs_that_say_nothing_of_the_service_change_nothing() {
    let tracker = tracker(&[("http", 0)], vec![]);
    let broken = Observation {
        failure: Some(Failure::new(ErrorKind::Plugin, "trap")),
        ..run("http", 0, Status::Error)
    };
    let missed = Observation {
        missed: true,
        ..run("http", 1, Status::Error)
    };
    let report = Observation {
        location: crate::domain::WEBHOOK.to_owned(),
        ..run("http", 2, Status::Unhealthy)
    };
    let planned = Observation {
        excluded: Some(Exclusion::Maintenance),
        ..run("http", 3, Status::Error)
    };
    let unknown = run("gone", 4, Status::Error);
    for observation in [broken, missed, report, planned, unknown] {
        tracker.note(&observation);
    }
    assert_eq!(tracker.take_unsaved(10), []);
}

/// Every crash between two runs: what the board has is played again, and nothing is lost or doubled.
#[test]
fn a_crash_after_any_run_leaves_the_same_incidents() {
    let runs = "++--+-++++++++---++++";
    let whole = |cut: usize, is_written: bool| {
        let first = tracker(&[("http", 0)], vec![]);
        let mut written: BTreeMap<String, IncidentFacts> = BTreeMap::new();
        let keep = |written: &mut BTreeMap<String, IncidentFacts>, changes: Vec<IncidentFacts>| {
            written.extend(
                changes
                    .into_iter()
                    .map(|facts| (facts.reference.clone(), facts)),
            );
        };
        let changes = play(&first, "http", 0, &runs[..cut]);
        let kept = changes.len().saturating_sub(usize::from(!is_written));
        keep(&mut written, changes[..kept].to_vec());
        let second = tracker(&[("http", 0)], written.values().cloned().collect());
        for (minute, sign) in runs[..cut].chars().enumerate() {
            let status = match sign {
                '+' => Status::Healthy,
                _ => Status::Error,
            };
            second.replay(&run("http", minute as i64, status));
        }
        keep(&mut written, second.take_unsaved(10));
        keep(
            &mut written,
            play(&second, "http", cut as i64, &runs[cut..]),
        );
        written.values().map(minutes).collect::<Vec<_>>()
    };
    for cut in 0..runs.len() {
        for is_written in [true, false] {
            assert_eq!(
                whole(cut, is_written),
                [(2, Some(6)), (14, Some(17))],
                "cut at {cut}, the last change written: {is_written}"
            );
        }
    }
}

#[test]
fn an_incident_goes_on_after_a_start_without_the_runs_of_before() {
    let begun = play(&tracker(&[("http", 0)], vec![]), "http", 0, "-");
    let tracker = tracker(&[("http", 0), ("tls", 0)], begun);
    assert_eq!(play(&tracker, "tls", 60, "++++"), [], "another probe fails");
    let changes = play(&tracker, "http", 60, "++");
    assert_eq!(minutes(&changes[0]), (0, Some(60)));
}

#[test]
fn the_incident_of_what_is_no_longer_watched_ends() {
    let tracker = tracker(&[("http", 0)], vec![]);
    play(&tracker, "http", 0, "-");
    tracker.apply_catalog(&Catalog::default(), T0 + 9 * MINUTE);
    let changes = tracker.take_unsaved(10);
    assert_eq!(minutes(&changes[0]), (0, Some(9)));
    assert_eq!(changes[0].outcome, Some(IncidentOutcome::Removed));
}

fn update(kind: &str, impact: &str, minute: i64) -> Event {
    Event {
        id: minute,
        ts_ms: T0 + minute * MINUTE,
        received_ms: T0 + minute * MINUTE,
        service: "shop".to_owned(),
        webhook: "page".to_owned(),
        plugin: "statuspage".to_owned(),
        plugin_version: String::new(),
        run_id: 1,
        event_id: Some(format!("incident:abc:{minute}")),
        kind: format!("incident.{kind}"),
        summary: format!("API errors: {kind}"),
        payload: "{}".to_owned(),
        attributes: vec![Metric {
            name: "impact".to_owned(),
            value: MetricValue::Text(impact.to_owned()),
        }],
    }
}

#[test]
fn a_vendors_updates_make_one_incident_with_its_worst_kind() {
    let mut facts: Option<IncidentFacts> = None;
    let updates = [
        ("scheduled", "maintenance", 0, None),
        (
            "investigating",
            "minor",
            1,
            Some((IncidentKind::Degradation, None)),
        ),
        (
            "identified",
            "critical",
            2,
            Some((IncidentKind::Outage, None)),
        ),
        ("investigating", "minor", 1, None),
        ("monitoring", "minor", 3, Some((IncidentKind::Outage, None))),
        ("resolved", "none", 4, Some((IncidentKind::Outage, Some(4)))),
        ("postmortem", "none", 900, None),
    ];
    for (kind, impact, minute, wanted) in updates {
        let after = updated(
            facts.clone(),
            &update(kind, impact, minute),
            "page:abc".to_owned(),
        );
        let found = after.as_ref().map(|facts| (facts.kind, minutes(facts).1));
        assert_eq!(found, wanted, "{kind} at {minute}");
        facts = after.or(facts);
    }
    assert_eq!(minutes(&facts.unwrap()).0, 1);
}

async fn stores(folder: &std::path::Path) -> (ControlStore, ResultStore) {
    let keyring = Keyring::load(None, folder).unwrap();
    let control = ControlStore::open(&folder.join("control.db"), keyring)
        .await
        .unwrap();
    let (results, writer) = ResultStore::open(folder, ResultSettings::default()).unwrap();
    // It ends with the store.
    drop(writer.start().unwrap());
    (control, results)
}

#[tokio::test]
async fn what_vendors_report_is_written_once_however_often_it_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (control, results) = stores(folder.path()).await;
    let events = vec![
        update("investigating", "major", 1),
        update("resolved", "none", 5),
    ];
    results.event_append_durable(events, vec![]).await.unwrap();
    for _ in 0..2 {
        let copy = IncidentCopy::new(control.clone(), results.clone());
        let vendors = VendorIncidents::new(control.clone(), results.clone(), &copy);
        vendors.follow(&mut 0).await.unwrap();
    }
    let written = control.incident_after(0, 10).await.unwrap();
    assert_eq!(written.len(), 1);
    assert_eq!((written[0].id, written[0].change_id), (1, 1));
    assert_eq!(minutes(&written[0].facts), (1, Some(5)));
    assert_eq!(written[0].facts.source, IncidentSource::Vendor);
    assert_eq!(control.incident_event_mark().await.unwrap(), 5);
    results.close().await.unwrap();
}

#[tokio::test]
async fn incidents_reach_the_results_once_over_crashes_of_the_copy() {
    let folder = tempfile::tempdir().unwrap();
    let (control, results) = stores(folder.path()).await;
    let changes = play(&tracker(&[("http", 0)], vec![]), "http", 0, "--++");
    for facts in &changes {
        // The copy dies at any moment: a page may be there without its mark.
        for _ in 0..2 {
            control
                .incident_put(std::slice::from_ref(facts), None, T0)
                .await
                .unwrap();
            let copy = IncidentCopy::new(control.clone(), results.clone());
            carry(&copy, &mut Some(0)).await.unwrap();
            carry(&copy, &mut None).await.unwrap();
        }
    }
    let shown = results.incident_page(Default::default(), 10).await.unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!(shown[0].seconds, 120);
    assert_eq!(shown[0].ended_ms, Some(T0 + 2 * MINUTE));
    assert_eq!(results.incident_last().await.unwrap(), Some((2, T0)));
    results.close().await.unwrap();
}
