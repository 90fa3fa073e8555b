use extrack_plugin::fake::{Host, delivery};
use extrack_plugin::probe::Status;

use super::*;

fn settings(more: &str) -> Settings {
    Settings::from_json(&format!(r#"{{"secret": "t0ken"{more}}}"#)).unwrap()
}

fn update(name: &str, from: &str, to: &str, indicator: &str) -> Value {
    json!({
        "meta": {"generated_at": "2026-01-01T00:00:09.498Z"},
        "page": {"id": "p1", "status_indicator": indicator, "status_description": "Partial Outage"},
        "component": {"id": "c1", "name": name, "status": to},
        "component_update": {"id": "u1", "old_status": from, "new_status": to, "created_at": "2026-01-01T00:00:09Z", "component_id": "c1"},
    })
}

fn opened(components: Value) -> Value {
    json!({
        "page": {"id": "p1", "status_indicator": "major", "status_description": "Major System Outage"},
        "incident": {
            "id": "i1", "name": "Checkout fails", "status": "investigating", "impact": "major", "shortlink": "https://stspg.io/1",
            "updated_at": "2026-01-01T00:00:05.837Z", "components": components,
            "incident_updates": [{"id": "n2", "body": "We look into it."}, {"id": "n1", "body": "older"}],
        },
    })
}

fn received(payload: &Value, settings: &Settings) -> Result<Option<Event>, Reject> {
    receive(
        &delivery(payload.to_string()).with_query("a=1&token=t0ken"),
        settings,
    )
}

#[test]
fn a_component_we_depend_on_is_our_report() {
    let _host = Host::install();
    for (status, wanted) in [
        ("operational", Status::Healthy),
        ("degraded_performance", Status::Degraded),
        ("partial_outage", Status::Degraded),
        ("under_maintenance", Status::Degraded),
        ("major_outage", Status::Unhealthy),
    ] {
        for components in [
            r#", "components": ["API"]"#,
            r#", "components": ["x", "c1"]"#,
        ] {
            let payload = update("API", "operational", status, "minor");
            let event = received(&payload, &settings(components)).unwrap().unwrap();
            assert_eq!(event.report.unwrap().status, wanted, "{status}");
            assert_eq!(event.kind, format!("component.{status}"));
            assert_eq!(event.summary, format!("API: {status}, was operational"));
            assert_eq!(
                (event.id.as_deref(), event.ts_ms),
                (Some("component_update:u1"), Some(1_767_225_609_000))
            );
        }
    }
}

#[test]
fn other_components_are_of_no_interest() {
    let _host = Host::install();
    let payload = update("Website", "operational", "major_outage", "minor");
    assert_eq!(
        received(&payload, &settings(r#", "components": ["API"]"#)),
        Ok(None)
    );
    let event = received(&payload, &settings("")).unwrap().unwrap();
    assert_eq!(
        event.report.unwrap().status,
        Status::Degraded,
        "without components, the page as a whole counts"
    );
}

#[test]
fn an_incident_reports_the_worst_of_what_we_depend_on() {
    let _host = Host::install();
    let components = json!([
        {"id": "c1", "name": "API", "status": "partial_outage"},
        {"id": "c2", "name": "Checkout", "status": "major_outage"},
        {"id": "c3", "name": "Website", "status": "operational"},
    ]);
    let payload = opened(components);
    for (components, wanted) in [
        (r#", "components": ["API", "c3"]"#, Some(Status::Degraded)),
        (
            r#", "components": ["API", "Checkout"]"#,
            Some(Status::Unhealthy),
        ),
        (r#", "components": ["Mail"]"#, None),
        ("", Some(Status::Unhealthy)),
    ] {
        let event = received(&payload, &settings(components)).unwrap().unwrap();
        assert_eq!(
            event.report.as_ref().map(|report| report.status),
            wanted,
            "{components}"
        );
        assert_eq!(
            (event.kind.as_str(), event.id.as_deref()),
            ("incident.investigating", Some("incident:i1:n2"))
        );
        assert_eq!(event.summary, "Checkout fails: investigating, impact major");
        assert_eq!(event.payload["update"], "We look into it.");
    }
}

#[test]
fn the_secret_of_the_url_is_checked() {
    let _host = Host::install();
    let body = update("API", "operational", "operational", "none").to_string();
    for query in ["", "token=", "token=guess", "key=t0ken"] {
        let refused = receive(&delivery(body.clone()).with_query(query), &settings(""));
        assert!(
            matches!(refused, Err(Reject::Unauthenticated(_))),
            "{query}"
        );
    }
    let named = settings(r#", "parameter": "key""#);
    assert!(receive(&delivery(body.clone()).with_query("key=t0ken"), &named).is_ok());
    let without = Settings::from_json("{}").unwrap();
    assert!(
        receive(&delivery(body), &without).is_ok(),
        "the host refuses it, unless the operator said `unsigned`"
    );
}

#[test]
fn what_is_not_of_statuspage_is_malformed() {
    let _host = Host::install();
    for payload in [json!({}), json!([]), json!({"incident": 1})] {
        assert!(matches!(
            received(&payload, &settings("")),
            Err(Reject::Malformed(_))
        ));
    }
    let odd = update("API", "operational", "on_fire", "odd");
    assert_eq!(
        received(&odd, &settings("")).unwrap().unwrap().report,
        None,
        "of an unknown word nothing follows"
    );
}
