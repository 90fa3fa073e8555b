use extrack_plugin::fake::{Host, awkward, response, with_attribute, with_omitted};
use extrack_plugin::json::json;
use extrack_plugin::notifier::NotificationStatus;

use super::*;

fn alert(name: &str, status: NotificationStatus) -> Alert {
    Alert {
        id: "7".to_owned(),
        name: name.to_owned(),
        service: "shop-api".to_owned(),
        service_name: "Shop API".to_owned(),
        severity: "critical".to_owned(),
        status,
        summary: "`status == 'unhealthy'` is true".to_owned(),
        started_ms: 1_767_225_600_000,
        ended_ms: (status == NotificationStatus::Resolved).then_some(1_767_225_660_000),
        labels: [
            ("alertname", name),
            ("service", "shop-api"),
            ("severity", "critical"),
            ("team", "shop"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .to_vec(),
        annotations: Vec::new(),
        attributes: Vec::new(),
    }
}

fn notification(status: NotificationStatus, names: &[&str]) -> Notification {
    Notification {
        id: "n-1".to_owned(),
        status,
        group_key: "shop-api".to_owned(),
        group_labels: vec![("service".to_owned(), "shop-api".to_owned())],
        receiver: "ops".to_owned(),
        external_url: "https://extrack.example.com/".to_owned(),
        alerts: names.iter().map(|name| alert(name, status)).collect(),
        attempt: 1,
        attributes: Vec::new(),
    }
}

fn settings() -> Settings {
    Settings::from_json(
        r#"{"url": "https://hooks.example.com/a", "headers": {"Authorization": "Bearer t0k"}}"#,
    )
    .unwrap()
}

fn send(answer: extrack_plugin::wit::http::Response) -> (Result<Receipt, NotifyError>, Host) {
    let host = Host::install();
    host.answer_http("POST https://hooks.example.com/a", answer);
    (
        notify(
            &notification(NotificationStatus::Firing, &["Service Down"]),
            &settings(),
        ),
        host,
    )
}

#[test]
fn posts_what_alertmanager_posts() {
    assert_eq!(
        payload::payload(&notification(NotificationStatus::Firing, &["Service Down"])),
        json!({
            "version": "4",
            "groupKey": "shop-api",
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "ops",
            "groupLabels": {"service": "shop-api"},
            "commonLabels": {"alertname": "Service Down", "service": "shop-api", "severity": "critical", "team": "shop"},
            "commonAnnotations": {"summary": "`status == 'unhealthy'` is true", "serviceName": "Shop API"},
            "externalURL": "https://extrack.example.com/",
            "alerts": [{
                "status": "firing",
                "labels": {"alertname": "Service Down", "service": "shop-api", "severity": "critical", "team": "shop"},
                "annotations": {"summary": "`status == 'unhealthy'` is true", "serviceName": "Shop API"},
                "startsAt": "2026-01-01T00:00:00.000Z",
                "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "https://extrack.example.com/#alert-7",
                "fingerprint": "51921c6821fc285e",
            }],
        })
    );
}

#[test]
fn a_report_arrives_with_its_words_and_is_not_the_end_of_an_alert() {
    let mut message = notification(NotificationStatus::Resolved, &[]);
    for (key, text) in [
        ("reason", "report"),
        ("title", "Weekly vendors"),
        ("text", "Nobody was down"),
    ] {
        message = with_attribute(message, key, text);
    }
    let body = payload::payload(&message);
    for (key, wanted) in [
        ("status", "report"),
        ("reason", "report"),
        ("title", "Weekly vendors"),
        ("message", "Nobody was down"),
    ] {
        assert_eq!(body[key], wanted, "{key}");
    }
    assert_eq!(body["alerts"], json!([]));
    let resolved = notification(NotificationStatus::Resolved, &["Service Down"]);
    let body = payload::payload(&with_attribute(resolved, "reason", "transition"));
    assert_eq!(body["status"], "resolved");
    assert!(body.get("reason").is_none(), "{body}");
}

#[test]
fn says_how_many_alerts_there_was_no_room_for() {
    let message = notification(NotificationStatus::Firing, &["Service Down", "Slow"]);
    assert_eq!(
        payload::payload(&with_omitted(message, 7))["truncatedAlerts"],
        7
    );
}

#[test]
fn five_hundred_awkward_alerts_arrive_as_they_are() {
    let host = Host::install();
    host.answer_http("POST https://hooks.example.com/a", response(200, ""));
    let message = awkward(500);
    notify(&message, &settings()).unwrap();
    let body: json::Value =
        json::from_slice(host.http_requests()[0].body.as_ref().unwrap()).unwrap();
    assert_eq!(
        (
            body["alerts"].as_array().unwrap().len(),
            &body["truncatedAlerts"]
        ),
        (500, &json!(0))
    );
    for (sent, alert) in body["alerts"]
        .as_array()
        .unwrap()
        .iter()
        .zip(&message.alerts)
    {
        for (name, value) in &alert.labels {
            assert_eq!(sent["labels"][name], value.as_str());
        }
        assert_eq!(sent["annotations"]["summary"], alert.summary.as_str());
    }
}

#[test]
fn a_resolved_alert_has_an_end_and_the_same_fingerprint() {
    let firing = payload::payload(&notification(NotificationStatus::Firing, &["Service Down"]));
    let resolved = payload::payload(&notification(
        NotificationStatus::Resolved,
        &["Service Down"],
    ));
    assert_eq!(resolved["status"], "resolved");
    assert_eq!(resolved["alerts"][0]["endsAt"], "2026-01-01T00:01:00.000Z");
    assert_eq!(
        resolved["alerts"][0]["fingerprint"],
        firing["alerts"][0]["fingerprint"]
    );
}

#[test]
fn common_labels_are_those_of_every_alert() {
    let body = payload::payload(&notification(
        NotificationStatus::Firing,
        &["Service Down", "Slow"],
    ));
    assert_eq!(
        body["commonLabels"],
        json!({"service": "shop-api", "severity": "critical", "team": "shop"})
    );
    assert_eq!(body["alerts"].as_array().unwrap().len(), 2);
}

#[test]
fn a_success_is_a_receipt() {
    let (result, host) = send(response(202, "queued"));
    assert_eq!(result, Ok(Receipt::new("202 queued")));
    let request = &host.http_requests()[0];
    let header = |wanted: &str| {
        request
            .headers
            .iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    };
    assert_eq!(header("idempotency-key"), Some("n-1"));
    assert_eq!(header("Authorization"), Some("Bearer t0k"));
    assert_eq!(header("content-type"), Some("application/json"));
}

#[test]
fn what_may_get_better_is_retried() {
    for (answer, after) in [
        (response(500, "oops"), None),
        (
            response(503, "").with_header("Retry-After", "120"),
            Some(Duration::from_secs(120)),
        ),
        (
            response(429, "").with_header("retry-after", "7"),
            Some(Duration::from_secs(7)),
        ),
    ] {
        let (result, _host) = send(answer);
        assert!(
            matches!(&result, Err(NotifyError::Retryable { after: found, .. }) if *found == after),
            "{result:?}"
        );
    }
}

#[test]
fn what_will_not_get_better_is_permanent() {
    for status in [301, 400, 401, 404, 410] {
        let (result, _host) = send(response(status, "no"));
        assert_eq!(result, Err(NotifyError::Permanent(format!("{status} no"))));
    }
}

#[test]
fn no_answer_is_retried_and_a_denial_is_not() {
    let host = Host::install();
    host.answer_http(
        "POST https://hooks.example.com/a",
        NetError::Connect("refused".to_owned()),
    );
    host.answer_http(
        "POST https://hooks.example.com/a",
        NetError::Denied("not allowed".to_owned()),
    );
    let message = notification(NotificationStatus::Firing, &["Service Down"]);
    assert_eq!(
        notify(&message, &settings()),
        Err(NotifyError::retryable("refused"))
    );
    assert_eq!(
        notify(&message, &settings()),
        Err(NotifyError::permanent("not allowed"))
    );
}

#[test]
fn url_and_headers_are_secrets() {
    let schema: json::Value = json::from_str(&Settings::schema()).unwrap();
    assert_eq!(schema["properties"]["url"]["x-secret"], json!(true));
    assert_eq!(
        schema["properties"]["headers"]["additionalProperties"]["x-secret"],
        json!(true)
    );
    assert_eq!(schema["required"], json!(["url"]));
}

#[test]
fn is_signed_by_the_host_under_the_id_that_every_attempt_has() {
    let host = Host::install();
    host.answer_http("POST https://hooks.example.com/a", response(200, ""));
    let settings = Settings::from_json(
        r#"{"url": "https://hooks.example.com/a", "signingSecret": "c2VjcmV0"}"#,
    )
    .unwrap();
    notify(
        &notification(NotificationStatus::Firing, &["Service Down"]),
        &settings,
    )
    .unwrap();
    let signature = host.http_requests()[0].signature.clone();
    assert_eq!(
        signature,
        Some(("standard-webhooks", "c2VjcmV0".to_owned()))
    );
}
