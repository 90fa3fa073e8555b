//! Analytics over the API, on pages and on the command line: the numbers are those of SQL.

use extrack_tests::{Api, Inbox, PATIENCE, TestRuntime, Vendor, wait_for};
use reqwest::Method;
use serde_json::{Value, json};

async fn wait_for_count(api: &Api, what: &str, sql: &str) {
    wait_for(what, PATIENCE, async || match api.sql_count(sql).await {
        0 => Err("none yet".to_owned()),
        _ => Ok(()),
    })
    .await;
}

/// Waits until an answer of the API and a query are equal: the last runs may still come in.
async fn same(api: &Api, path: &str, fields: &[&str], sql: &str) -> Value {
    wait_for(&format!("{path} as SQL has it"), PATIENCE, async || {
        let answer = api.get(path).await.expect(200);
        let item = answer["items"][0].clone();
        let row: Vec<Value> = fields.iter().map(|field| item[*field].clone()).collect();
        let rows = api.sql(sql).await;
        if rows == [row.clone()] {
            Ok(item)
        } else {
            Err(format!("{row:?} is not {rows:?}"))
        }
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_of_analytics_are_those_of_sql_wherever_they_are_shown() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    let services = format!(
        "services:\n  - name: Shop\n    baseUrl: \"{}\"\n    healthEndpoint: /health\n    monitoring: {{interval: 1, timeout: 20000}}\n    \
         slo: {{target: 99.9, window: 7d}}\n    contract: {{sla: 99.95, claimWithin: 30d}}\n",
        vendor.url()
    );
    let alerts = format!(
        "alerts: [{{name: Down, condition: \"status == 'unhealthy'\", notifications: [{{channel: webhook, url: \"{}\"}}]}}]\n",
        inbox.url("/hook")
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .alerts(alerts)
        .start()
        .await;
    let api = runtime.api();
    wait_for_count(
        &api,
        "a healthy run",
        "SELECT count(*) FROM observations WHERE status = 'healthy'",
    )
    .await;
    vendor.set_status("/health", 503);
    wait_for_count(&api, "an alert", "SELECT count(*) FROM alert_noise").await;
    vendor.set_status("/health", 200);
    let ended = "SELECT count(*) FROM incidents WHERE ended IS NOT NULL";
    wait_for_count(&api, "the end of the outage", ended).await;
    let resolved = "SELECT count(*) FROM alert_noise WHERE resolve_p50_s IS NOT NULL";
    wait_for_count(&api, "the end of the alert", resolved).await;
    let begun = api.sql_count("SELECT epoch_ms(utc_now())").await;
    let call = json!({"id": "c1", "ts": begun, "service": "shop", "method": "GET", "route": "/orders", "status": 200, "latencyMs": 12});
    let call = call.to_string();
    let report = api
        .request(Method::POST, "/api/v1/calls")
        .header("content-type", "application/x-ndjson")
        .body(call);
    api.send(report).await.expect(200);
    wait_for_count(&api, "the call", "SELECT count(*) FROM usage_by_hour").await;
    // From here on the numbers stand still: an answer and a query are of two moments.
    let pause = api.post("/api/v1/services/shop/pause", &json!({})).await;
    pause.expect(200);

    let noise = same(
        &api,
        "/api/v1/analytics/noise",
        &[
            "rule",
            "fired",
            "notActedOn",
            "refired",
            "resolveP50Seconds",
        ],
        "SELECT rule, times_fired, not_acted_on, refired, resolve_p50_s FROM alert_noise",
    )
    .await;
    assert_eq!(
        (&noise["rule"], &noise["fired"]),
        (&json!("shop/Down"), &json!(1))
    );
    let compared = same(
        &api,
        "/api/v1/analytics/comparison",
        &["service", "availability", "coverage", "incidents", "calls"],
        "SELECT service, availability, coverage, incidents, calls FROM service_comparison",
    )
    .await;
    assert_eq!(
        (&compared["incidents"], &compared["calls"]),
        (&json!(1), &json!(1))
    );
    let slo = same(
        &api,
        "/api/v1/analytics/slo",
        &["target", "availability", "met"],
        "SELECT target, availability, is_met FROM slo",
    )
    .await;
    assert_eq!(slo["months"][0]["frozen"], false);
    let honesty = same(
        &api,
        "/api/v1/analytics/honesty",
        &["ourIncidents", "undeclared", "weFirst", "vendorIncidents"],
        "SELECT our_incidents, undeclared, we_first, vendor_incidents FROM vendor_honesty",
    )
    .await;
    assert_eq!(
        (&honesty["undeclared"], &honesty["sla"]),
        (&json!(1), &json!(99.95))
    );
    let trends = api
        .get("/api/v1/analytics/trends?service=shop&series=true&zone=Europe/Berlin")
        .await
        .expect(200);
    let trend = &trends["items"][0];
    assert_eq!(
        (&trends["zone"], &trend["p95"]["changes"]),
        (&json!("Europe/Berlin"), &json!([]))
    );
    let calls: u64 = trend["usage"]
        .as_array()
        .expect("hours by weekdays")
        .iter()
        .flat_map(|hours| hours.as_array().expect("hours"))
        .filter_map(Value::as_u64)
        .sum();
    assert_eq!(calls, 1);

    evidence_is_whole(&api).await;
    refusals_name_the_parameter(&api).await;
    for (view, wanted) in [
        ("trends", "Shop"),
        ("trends&service=shop", "No change of the level"),
        ("slo", "Budget left"),
        ("noise", "Ask a backtest"),
        ("noise&advise=shop%2FDown", "would have fired"),
        ("honesty", "Never declared"),
        ("comparison", "Coverage"),
    ] {
        let page = api
            .get(&format!("/analytics?view={view}"))
            .await
            .expect_text(200);
        let is_there = page.to_lowercase().contains(&wanted.to_lowercase());
        assert!(is_there, "{view}: {page}");
        if view == "comparison" || view.starts_with("trends") {
            downloads_are_answered(&api, &page).await;
        }
    }
    let linked = api.get("/alerts").await.expect_text(200);
    assert!(linked.contains("/analytics?view=noise"), "{linked}");
    for (command, wanted) in [
        (vec!["trends"], "shop"),
        (vec!["slo"], "99.9 % 7 d"),
        (vec!["noise"], "shop/Down"),
        (vec!["honesty"], "99.95"),
        (vec!["comparison", "--services", "shop"], "shop"),
    ] {
        let said = runtime.cli([vec!["analytics"], command].concat()).await;
        assert!(said.out.contains(wanted), "{said:?}");
    }
}

async fn downloads_are_answered(api: &Api, page: &str) {
    let links: Vec<String> = page
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next())
        .filter(|href| href.starts_with("/sql/download?"))
        .map(|href| href.replace("&amp;", "&"))
        .collect();
    assert!(!links.is_empty(), "{page}");
    for link in links {
        let rows = api.get(&link).await.expect_text(200);
        let head = rows.lines().next().unwrap_or_default();
        assert!(head.contains(','), "{link}: {rows}");
    }
}

async fn evidence_is_whole(api: &Api) {
    let month = api.sql("SELECT strftime(utc_now(), '%Y-%m')").await[0][0].clone();
    let month = month.as_str().expect("a month").to_owned();
    let path = format!("/api/v1/analytics/honesty?pack=shop&month={month}");
    let pack = api.get(&path).await.expect(200);
    assert_eq!(
        (&pack["sla"], &pack["frozen"]),
        (&json!(99.95), &json!(false))
    );
    assert_eq!(
        pack["incidents"].as_array().map(Vec::len),
        Some(1),
        "{pack}"
    );
    assert!(pack["claimBy"].is_string(), "{pack}");
    let runs = pack["runs"].as_str().expect("an address");
    let text = api.get(runs).await.expect_text(200);
    let down = text
        .lines()
        .filter(|line| line.contains(",unhealthy,"))
        .count();
    assert!(text.starts_with("ts,run_id,probe,") && down > 0, "{text}");
    let stored = "SELECT count(*) FROM observations WHERE status = 'unhealthy'";
    assert_eq!(api.sql_count(stored).await, down as i64);
}

async fn refusals_name_the_parameter(api: &Api) {
    for (query, parameter) in [
        ("trends?zone=Mars", "zone"),
        ("trends?from=2020-01-01T00:00:00Z", "from"),
        ("trends?service=nope", "service"),
        (
            "noise?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z",
            "to",
        ),
        ("noise?advise=shop/Nope", "advise"),
        ("honesty?pack=shop", "month"),
        ("honesty?pack=shop&month=2026-13", "month"),
        ("honesty?month=2026-11", "pack"),
        ("comparison?services=shop,nope", "services"),
    ] {
        let path = format!("/api/v1/analytics/{query}");
        let problem = api.get(&path).await.expect_problem(400);
        assert_eq!(
            problem["faults"][0]["pointer"], parameter,
            "{query}: {problem}"
        );
    }
}
