use extrack_plugin::fake::{Host, response};
use extrack_plugin::json::{self, Value, json};
use extrack_plugin::value::Value as Metric;

use super::*;

const PAGE: &str = "https://status.example";
const SUMMARY: &str = "GET https://status.example/api/v2/summary.json";

fn settings(text: &Value) -> Settings {
    Settings::from_json(&text.to_string()).unwrap()
}

fn run_after(previous: Option<Observation>, text: &Value) -> Observation {
    let mut subject = Check::of("https://api.example");
    subject.credentials = vec!["default".to_owned()];
    subject.previous = previous;
    check(&subject, &settings(text)).unwrap()
}

fn run(mut text: Value) -> Observation {
    text["page"] = json!(PAGE);
    run_after(None, &text)
}

fn metric(observation: &Observation, name: &str) -> Option<String> {
    match value::find(&observation.metrics, name)? {
        Metric::Text(text) => Some(text.clone()),
        Metric::Integer(number) => Some(number.to_string()),
        other => panic!("{other:?}"),
    }
}

fn status_of(observation: &Observation) -> String {
    metric(observation, "page_status").unwrap()
}

/// A page with one group of components and one component beside it.
fn summary(indicator: &str, incidents: Value, planned: Value) -> Value {
    let component = |id: &str, name: &str, status: &str, group: Option<&str>| {
        json!({
            "id": id, "name": name, "status": status, "position": 1, "group_id": group, "group": false,
            "created_at": "2020-01-01T00:00:00.000Z", "updated_at": "2026-01-01T00:00:00.000Z",
        })
    };
    json!({
        "page": {"id": "p1", "name": "Acme", "url": PAGE, "time_zone": "Etc/UTC", "updated_at": "2026-01-01T00:00:00.000Z"},
        "status": {"indicator": indicator, "description": "as it is"},
        "components": [
            component("c1", "API", "operational", Some("g1")),
            component("c2", "Checkout", "major_outage", Some("g1")),
            component("c3", "Website", "degraded_performance", None),
            component("c4", "Mail", "on_fire", None),
            {"id": "g1", "name": "Payments", "status": "major_outage", "group": true, "components": ["c1", "c2"]},
        ],
        "incidents": incidents,
        "scheduled_maintenances": planned,
    })
}

fn incident(id: &str, status: &str, impact: &str, components: Value) -> Value {
    json!({
        "id": id, "name": format!("Trouble {id}"), "status": status, "impact": impact, "shortlink": format!("https://stspg.example/{id}"),
        "created_at": "2025-12-31T23:50:00.000Z", "started_at": "2025-12-31T23:00:00.000Z", "updated_at": "2025-12-31T23:55:00.000Z",
        "incident_updates": [], "components": components,
    })
}

fn planned(id: &str, status: &str, starts: &str, components: Value) -> Value {
    let mut work = incident(id, status, "maintenance", components);
    work["scheduled_for"] = json!(starts);
    work
}

#[test]
fn components_that_we_depend_on_decide() {
    let host = Host::install();
    let page = summary("critical", json!([]), json!([]));
    host.answer_http(SUMMARY, response(200, page.to_string()));
    for (components, status, said) in [
        (json!(["API"]), "operational", ""),
        (json!(["c1", " api "]), "operational", ""),
        (
            json!(["Website"]),
            "degraded",
            "component `Website` is `degraded_performance`",
        ),
        (
            json!(["API", "Checkout"]),
            "outage",
            "component `Checkout` is `major_outage`",
        ),
        (
            json!(["Payments"]),
            "outage",
            "component `Checkout` is `major_outage`",
        ),
        (
            json!(["g1"]),
            "outage",
            "component `Checkout` is `major_outage`",
        ),
        (json!(["Mail"]), "unknown", "component `Mail` is `on_fire`"),
        (
            json!(["API", "Fax"]),
            "unknown",
            "the page has no component `Fax`; it has `API`, `Checkout`, `Website`, `Mail`, `Payments`",
        ),
        (
            json!(["Mail", "Website"]),
            "degraded",
            "component `Website`",
        ),
        (json!([]), "outage", "the page is `critical`"),
    ] {
        let observation = run(json!({"components": components}));
        assert_eq!(status_of(&observation), status, "{components}");
        assert!(
            observation.message().contains(said),
            "{}",
            observation.message()
        );
        let wanted = match status {
            "operational" => Status::Healthy,
            _ => Status::Degraded,
        };
        assert_eq!(observation.status, wanted, "{components}");
        assert_eq!(observation.http_status, Some(200));
    }
}

#[test]
fn an_outage_is_unhealthy_only_where_the_page_is_all_that_is_known() {
    let host = Host::install();
    let page = summary("major", json!([]), json!([]));
    host.answer_http(SUMMARY, response(200, page.to_string()));
    assert_eq!(run(json!({})).status, Status::Degraded);
    let alone = run(json!({"onOutage": "unhealthy"}));
    assert_eq!(alone.status, Status::Unhealthy);
    assert_eq!(
        alone.message(),
        "the vendor reports an outage: the page is `major`"
    );
    let other = run(json!({"onOutage": "unhealthy", "components": ["Website"]}));
    assert_eq!(other.status, Status::Degraded);
}

#[test]
fn an_open_incident_is_trouble_whatever_the_page_says_of_itself() {
    let with = |components: Value, impact: &str| {
        summary(
            "none",
            json!([incident("i1", "investigating", impact, components)]),
            json!([]),
        )
        .to_string()
    };
    let api = json!([{"id": "c1", "name": "API", "status": "operational"}]);
    for (body, components, status) in [
        // Without components it may be about any of them.
        (with(json!([]), "none"), json!(["API"]), "degraded"),
        (with(json!([]), "critical"), json!(["API"]), "outage"),
        (with(json!([]), "none"), json!([]), "degraded"),
        (with(json!([]), "odd"), json!([]), "degraded"),
        (with(api.clone(), "minor"), json!(["API"]), "degraded"),
        // The component's own word is more exact than the impact.
        (
            with(api.clone(), "critical"),
            json!(["Payments", "c1"]),
            "outage",
        ),
        (with(api.clone(), "critical"), json!(["API"]), "degraded"),
        (with(api, "critical"), json!(["Website"]), "degraded"),
    ] {
        let host = Host::install();
        host.answer_http(SUMMARY, response(200, body));
        let observation = run(json!({"components": components}));
        assert_eq!(
            status_of(&observation),
            status,
            "{components}: {}",
            observation.message()
        );
    }
}

#[test]
fn the_gravest_incident_is_named_with_its_facts() {
    let host = Host::install();
    let incidents = json!([
        incident("i0", "resolved", "critical", json!([])),
        incident(
            "i1",
            "monitoring",
            "minor",
            json!([{"id": "c3", "name": "Website"}])
        ),
        incident("i2", "identified", "major", json!([])),
        incident(
            "i3",
            "identified",
            "critical",
            json!([{"id": "c4", "name": "Mail"}])
        ),
    ]);
    host.answer_http(
        SUMMARY,
        response(200, summary("minor", incidents, json!([])).to_string()),
    );
    let observation = run(json!({"components": ["API", "Website"]}));
    assert_eq!(
        observation.message(),
        "the vendor reports an outage: `Trouble i2` (identified, impact major, since 2025-12-31T23:00:00.000Z); \
         2 incidents are open; component `Website` is `degraded_performance`"
    );
    for (name, wanted) in [
        ("open_incidents", "2"),
        ("planned_work", "0"),
        ("incident", "Trouble i2"),
        ("incident_id", "i2"),
        ("incident_status", "identified"),
        ("incident_impact", "major"),
        ("incident_started", "2025-12-31T23:00:00.000Z"),
        ("incident_url", "https://stspg.example/i2"),
        ("page_format", "statuspage"),
    ] {
        assert_eq!(
            metric(&observation, name).as_deref(),
            Some(wanted),
            "{name}"
        );
    }
}

#[test]
fn all_open_incidents_that_touch_us_are_handed_over() {
    let open = json!([
        incident("i2", "identified", "major", json!([])),
        incident(
            "i1",
            "monitoring",
            "minor",
            json!([{"id": "c3", "name": "Website"}])
        ),
        incident(
            "i3",
            "identified",
            "critical",
            json!([{"id": "c4", "name": "Mail"}])
        ),
    ]);
    let work = json!([
        planned("m1", "scheduled", "2026-02-02T00:00:00Z", json!([])),
        planned("m2", "in_progress", "2026-01-01T00:00:00Z", json!([])),
    ]);
    let host = Host::install();
    host.answer_http(
        SUMMARY,
        response(200, summary("minor", open, work).to_string()),
    );
    let handed = |observation: &Observation| -> Value {
        let text = value::text(&observation.attributes, "incidents").unwrap();
        json::from_str(text).unwrap()
    };
    let ours = handed(&run(json!({"components": ["Website"]})));
    let started = 1_767_222_000_000_u64;
    assert_eq!(
        ours,
        json!([
            {"id": "i1", "name": "Trouble i1", "status": "monitoring", "impact": "minor", "level": "degraded", "startedMs": started},
            {"id": "i2", "name": "Trouble i2", "status": "identified", "impact": "major", "level": "outage", "startedMs": started},
            {"id": "m2", "name": "Trouble m2", "status": "in_progress", "impact": "maintenance", "level": "maintenance", "startedMs": 1_767_225_600_000_u64},
        ])
    );
    let host = Host::install();
    host.answer_http(
        SUMMARY,
        response(200, summary("none", json!([]), json!([])).to_string()),
    );
    assert_eq!(handed(&run(json!({}))), json!([]), "nothing is open");
    let host = Host::install();
    host.answer_http(SUMMARY, response(503, ""));
    let unread = run(json!({"format": "statuspage"}));
    assert!(unread.attributes.is_empty(), "nothing is known");
}

#[test]
fn planned_work_counts_while_it_is_under_way() {
    let work = json!([
        planned("m1", "scheduled", "2026-02-02T00:00:00Z", json!([])),
        planned(
            "m2",
            "scheduled",
            "2026-02-01T00:00:00Z",
            json!([{"id": "c1", "name": "API"}])
        ),
        planned(
            "m3",
            "in_progress",
            "2025-12-31T00:00:00Z",
            json!([{"id": "c3", "name": "Website"}])
        ),
        planned("m4", "completed", "2025-12-30T00:00:00Z", json!([])),
    ]);
    let host = Host::install();
    host.answer_http(
        SUMMARY,
        response(200, summary("maintenance", json!([]), work).to_string()),
    );
    let quiet = run(json!({"components": ["API"]}));
    assert_eq!(
        (quiet.status, status_of(&quiet).as_str()),
        (Status::Healthy, "operational")
    );
    assert_eq!(metric(&quiet, "planned_work").as_deref(), Some("2"));
    assert_eq!(
        metric(&quiet, "planned_work_starts").as_deref(),
        Some("2026-02-01T00:00:00.000Z")
    );
    let whole = run(json!({}));
    assert_eq!(
        (whole.status, status_of(&whole).as_str()),
        (Status::Degraded, "maintenance")
    );
    assert!(
        whole
            .message()
            .starts_with("the vendor reports planned work: `Trouble m3`"),
        "{}",
        whole.message()
    );
    assert_eq!(metric(&whole, "open_incidents").as_deref(), Some("0"));
    assert_eq!(
        run(json!({"onMaintenance": "healthy"})).status,
        Status::Healthy
    );
}

#[test]
fn instatus_is_read_with_its_components() {
    let host = Host::install();
    host.answer_http("GET https://status.example/summary.json", response(200, json!({
        "page": {"name": "Acme", "url": PAGE, "status": "HASISSUES"},
        "activeIncidents": [{"name": "Slow API", "started": "2025-12-31T23:00:00.000Z", "status": "INVESTIGATING",
            "impact": "MAJOROUTAGE", "url": "https://status.example/cl1", "updatedAt": "2025-12-31T23:10:00.000Z"}],
        "activeMaintenances": [{"name": "Work", "start": "2026-02-01T00:00:00.000Z", "status": "NOTSTARTEDYET", "duration": "60"}],
    }).to_string()));
    host.answer_http("GET https://status.example/v2/components.json", response(200, json!({"components": [
        {"id": "k1", "name": "API", "status": "PARTIALOUTAGE", "group": {"id": "g", "name": "Core"}},
        {"id": "k2", "name": "Site", "status": "OPERATIONAL", "group": null},
    ]}).to_string()));
    let whole = run(json!({"format": "instatus"}));
    assert_eq!(status_of(&whole), "outage");
    assert_eq!(metric(&whole, "incident_id").as_deref(), Some("cl1"));
    assert_eq!(
        metric(&whole, "incident_status").as_deref(),
        Some("investigating")
    );
    assert_eq!(metric(&whole, "planned_work").as_deref(), Some("1"));
    let group = run(json!({"format": "instatus", "components": ["Core"]}));
    assert!(
        group
            .message()
            .contains("component `API` is `PARTIALOUTAGE`"),
        "{}",
        group.message()
    );
    for (word, wanted) in [
        ("UP", "operational"),
        ("ALLUNDERMAINTENANCE", "maintenance"),
        ("SOMEMAJOROUTAGE", "outage"),
        ("ODD", "unknown"),
    ] {
        let host = Host::install();
        let page = json!({"page": {"name": "Acme", "status": word}});
        host.answer_http(
            "GET https://status.example/summary.json",
            response(200, page.to_string()),
        );
        assert_eq!(status_of(&run(json!({"format": "instatus"}))), wanted);
    }
}

#[test]
fn better_stack_is_read_with_sections_and_reports() {
    let host = Host::install();
    let report = |id: &str, kind: &str, starts: &str, ends: Value, resource: &str| {
        json!({
            "id": id, "type": "status_report",
            "attributes": {"title": format!("Report {id}"), "report_type": kind, "starts_at": starts, "ends_at": ends,
                "aggregate_state": "downtime", "affected_resources": [{"status_page_resource_id": resource, "status": "downtime"}]},
        })
    };
    host.answer_http("GET https://status.example/index.json", response(200, json!({
        "data": {"id": "1", "type": "status_page", "attributes": {"company_name": "Acme", "aggregate_state": "degraded"}},
        "included": [
            {"id": "7", "type": "status_page_section", "attributes": {"name": "Core"}},
            {"id": "7", "type": "status_page_resource", "attributes": {"public_name": "API", "status": "downtime", "status_page_section_id": 7}},
            {"id": "8", "type": "status_page_resource", "attributes": {"public_name": "Site", "status": "operational", "status_page_section_id": 9}},
            report("r1", "manual", "2025-12-31T23:00:00Z", Value::Null, "7"),
            report("r2", "manual", "2025-12-30T23:00:00Z", json!("2025-12-31T00:00:00Z"), "8"),
            report("r3", "maintenance", "2026-01-02T00:00:00Z", json!("2026-01-02T01:00:00Z"), "8"),
        ],
    }).to_string()));
    for (components, status) in [
        (json!(["Core"]), "outage"),
        (json!(["Site"]), "operational"),
        (json!([]), "outage"),
    ] {
        let observation = run(json!({"format": "better-stack", "components": components}));
        assert_eq!(status_of(&observation), status, "{components}");
    }
    let site = run(json!({"format": "better-stack", "components": ["Site"]}));
    assert_eq!(metric(&site, "planned_work").as_deref(), Some("1"));
    assert_eq!(metric(&site, "incident_id"), None);
}

fn feed(items: &str) -> String {
    format!(
        "<?xml version=\"1.0\"?><rss version=\"2.0\"><channel><title>Acme</title>{items}</channel></rss>"
    )
}

#[test]
fn a_feed_is_read_by_the_words_of_its_entries() {
    let item = |title: &str, text: &str, day: u8| {
        format!(
            "<item><title>{title}</title><description>&lt;p&gt;&lt;strong&gt;{text}&lt;/strong&gt; - …&lt;/p&gt;</description>\
         <pubDate>{day:02} Dec 2025 12:00:00 GMT</pubDate><guid>https://s.example/{day}</guid></item>"
        )
    };
    for (items, components, status) in [
        (String::new(), json!([]), "operational"),
        (item("API", "Resolved", 31), json!([]), "operational"),
        (item("API", "Investigating", 31), json!([]), "degraded"),
        (
            item("API", "Investigating", 31),
            json!(["mail"]),
            "operational",
        ),
        (item("API", "Investigating", 31), json!(["api"]), "degraded"),
        (item("API", "We look into it", 31), json!([]), "unknown"),
        (item("API", "We look into it", 29), json!([]), "operational"),
        (item("API", "We look into it", 1), json!([]), "operational"),
        (
            item("API [RESOLVED]", "Investigating", 31),
            json!([]),
            "operational",
        ),
        (item("Work", "Scheduled", 31), json!([]), "operational"),
    ] {
        let host = Host::install();
        host.answer_http("GET https://status.example", response(200, feed(&items)));
        let observation = run(json!({"format": "feed", "components": components}));
        assert_eq!(status_of(&observation), status, "{items} {components}");
    }
}

#[test]
fn an_entry_whose_state_is_not_known_claims_no_incident() {
    let items = "<item><title>API</title><pubDate>31 Dec 2025 12:00:00 GMT</pubDate><guid>g1</guid></item>\
        <item><title>Mail: investigating</title><pubDate>31 Dec 2025 12:00:00 GMT</pubDate><guid>g2</guid></item>";
    let host = Host::install();
    host.answer_http("GET https://status.example", response(200, feed(items)));
    let observation = run(json!({"format": "feed"}));
    let claims = extrack_plugin::value::text(&observation.attributes, INCIDENTS).unwrap();
    assert!(claims.contains("g2") && !claims.contains("g1"), "{claims}");
}

#[test]
fn a_format_is_recognised_and_remembered() {
    let host = Host::install();
    host.answer_http(SUMMARY, response(404, ""));
    host.answer_http(
        "GET https://status.example/summary.json",
        response(200, "<html>"),
    );
    host.answer_http(
        "GET https://status.example/index.json",
        response(200, json!({"data": 1}).to_string()),
    );
    host.answer_http("GET https://status.example", response(200, feed("")));
    let first = run(json!({}));
    assert_eq!(metric(&first, "page_format").as_deref(), Some("feed"));
    assert_eq!(host.http_requests().len(), 4);
    let second = run_after(Some(first), &json!({"page": PAGE}));
    assert_eq!(second.status, Status::Healthy);
    assert_eq!(
        host.http_requests().len(),
        5,
        "the format of before is asked for first"
    );
    assert!(
        host.http_requests()
            .iter()
            .all(|request| request.auth.is_none())
    );
    // A document is read as it is.
    host.answer_http(
        "GET https://status.example/own/summary.json",
        response(200, summary("none", json!([]), json!([])).to_string()),
    );
    let own = run_after(
        None,
        &json!({"page": "https://status.example/own/summary.json"}),
    );
    assert_eq!(
        (own.status, metric(&own, "page_format").as_deref()),
        (Status::Healthy, Some("statuspage"))
    );
}

#[test]
fn a_page_that_can_not_be_read_is_unknown_and_never_up() {
    for (answer, said) in [
        (response(503, ""), "answered 503, wanted 200"),
        (response(200, "<html>"), "is not of the format `statuspage`"),
        (
            response(200, json!({"status": {}}).to_string()),
            "is not of the format `statuspage`",
        ),
    ] {
        let host = Host::install();
        host.answer_http(SUMMARY, answer);
        let observation = run(json!({"format": "statuspage"}));
        assert_eq!(
            (observation.status, status_of(&observation).as_str()),
            (Status::Degraded, "unknown")
        );
        assert!(
            observation.message().contains(said),
            "{}",
            observation.message()
        );
    }
    let host = Host::install();
    host.answer_http(SUMMARY, NetError::Timeout("no answer within 5s".to_owned()));
    let observation = run(json!({}));
    assert_eq!(
        (observation.status, observation.kind()),
        (Status::Degraded, Some(ErrorKind::Timeout))
    );
    let host = Host::install();
    host.answer_http(
        SUMMARY,
        NetError::Denied("`status.example` is not allowed".to_owned()),
    );
    let denied = check(&Check::of(PAGE), &settings(&json!({})));
    let Err(Stop::Found(observation)) = denied else {
        panic!("{denied:?}")
    };
    assert_eq!(observation.kind(), Some(ErrorKind::Denied));
}

#[test]
fn settings_that_can_not_work_are_faults() {
    let faults = check_settings(&settings(
        &json!({"page": "status.example", "components": ["API", " "]}),
    ));
    let places: Vec<&str> = faults.iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(places, ["/page", "/components/1"]);
    assert!(Settings::from_json(r#"{"format": "html"}"#).is_err());
    let schema: Value = json::from_str(&Settings::schema()).unwrap();
    for (name, property) in schema["properties"].as_object().unwrap() {
        assert!(property["description"].is_string(), "{name}");
    }
}
