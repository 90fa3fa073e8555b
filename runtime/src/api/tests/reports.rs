//! Reports over HTTP: who may have statements asked, and what is bounded.

use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::reports::Reports;
use crate::store::control::ReportRun;

#[tokio::test]
async fn statements_of_a_report_need_the_scope_sql() {
    let router = router(&world().await);
    let token = async |scopes: Value| {
        let name = format!("token-{}", scopes.as_array().map_or(0, Vec::len));
        let spec = json!({"name": name, "scopes": scopes});
        let made = send_json(&router, Method::POST, "/api/v1/tokens", spec).await;
        let made = made.json();
        made["token"].as_str().expect("a token is made").to_owned()
    };
    let writer = token(json!(["read", "write"])).await;
    let analyst = token(json!(["read", "write", "sql"])).await;
    let ask = async |token: &str, method: Method, path: &str, section: Value| {
        let body = json!({"name": "mine", "sections": [section]});
        let request = request(method, path)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header(CONTENT_TYPE, "application/json")
            .body(body.to_string().into());
        send(&router, request.unwrap()).await.status
    };
    let (sql, query) = (json!({"sql": "SELECT 1"}), json!({"query": "slow"}));
    let table = json!({"table": "services"});
    for section in [&sql, &query] {
        let status = ask(&writer, Method::POST, "/api/v1/reports", section.clone()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{section}");
    }
    let created = ask(&writer, Method::POST, "/api/v1/reports", table).await;
    assert_eq!(created, StatusCode::CREATED);
    let path = "/api/v1/reports/mine";
    for section in [&sql, &query] {
        let status = ask(&writer, Method::PUT, path, section.clone()).await;
        assert_eq!(status, StatusCode::FORBIDDEN, "{section}");
    }
    let replaced = ask(&analyst, Method::PUT, path, query).await;
    assert_eq!(replaced, StatusCode::OK);
}

#[tokio::test]
async fn a_report_of_the_program_is_previewed_before_it_is_enabled() {
    let router = router(&world().await);
    let ask = async |method: Method, path: &str| {
        let request = as_admin(method, path).body(Body::empty());
        send(&router, request.unwrap()).await
    };
    let path = "/api/v1/reports/cost/preview?format=json";
    let answer = ask(Method::GET, path).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    let unknown = ask(Method::GET, "/api/v1/reports/nope/preview").await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND, "{}", unknown.body);
    let run = ask(Method::POST, "/api/v1/reports/cost/run").await;
    assert_eq!(run.status, StatusCode::NOT_FOUND, "{}", run.body);
    assert!(run.body.contains("reports.yaml enables it"), "{}", run.body);
    let builder = ask(Method::GET, "/report-builder?bundled=costs").await;
    assert_eq!(builder.status, StatusCode::NOT_FOUND);
    assert!(builder.body.contains("did you mean"), "{}", builder.body);
}

#[tokio::test]
async fn the_builder_takes_sections_as_long_as_they_may_be() {
    let router = router(&world().await);
    let text = "x".repeat(16 * 1_024);
    let form = format!("name=mine&act=add&kind.0=text&value.0={text}&kind.1=text&value.1={text}");
    let request = as_admin(Method::POST, "/report-builder")
        .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
        .body(form.into());
    let answer = send(&router, request.unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.body);
    assert_eq!(answer.body.matches(&text).count(), 2);
}

fn reports(world: &Arc<World>) -> Reports {
    let state = world.state(ApiSettings::default(), Live::new());
    state.deps.reports.clone()
}

async fn finished(reports: &Reports, run: &ReportRun) -> ReportRun {
    let found = async {
        loop {
            let run = reports.run(&run.report, run.id).await.unwrap();
            if run.finished_ms.is_some() {
                return run;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(30), found).await;
    found.expect("the run is finished")
}

#[tokio::test]
async fn a_run_that_was_begun_three_times_has_failed_and_holds_up_no_other() {
    let world = world().await;
    let reports = reports(&world);
    let begin = async |name: &str| {
        let spec = json!({"name": name, "sections": [{"text": "Words"}]});
        reports.create(spec, "ops").await.unwrap();
        reports.begin(name).await.unwrap()
    };
    let (bad, good) = (begin("bad").await, begin("good").await);
    for _ in 0..3 {
        world.control.report_run_rendering(bad.id, 0).await.unwrap();
    }
    let stop = CancellationToken::new();
    let keeping = tokio::spawn(reports.clone().keep(stop.clone()));
    let bad = finished(&reports, &bad).await;
    assert_eq!((bad.state, bad.attempts), (ReportRunState::Failed, 3));
    let error = bad.error.unwrap();
    assert!(error.contains("3 times"), "{error}");
    let good = finished(&reports, &good).await;
    assert_eq!((good.state, good.attempts), (ReportRunState::Sent, 1));
    stop.cancel();
    keeping.await.unwrap();
}

#[tokio::test]
async fn more_runs_by_hand_than_may_wait_are_refused() {
    let router = router(&world().await);
    let spec = json!({"name": "mine", "sections": [{"text": "Words"}]});
    let made = send_json(&router, Method::POST, "/api/v1/reports", spec).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let mut statuses = Vec::new();
    for _ in 0..6 {
        let path = "/api/v1/reports/mine/run";
        let begun = send_json(&router, Method::POST, path, json!({})).await;
        statuses.push(begun.status);
    }
    let (last, before) = statuses.split_last().unwrap();
    assert!(before.iter().all(|status| *status == StatusCode::ACCEPTED));
    assert_eq!(*last, StatusCode::SERVICE_UNAVAILABLE);
}
