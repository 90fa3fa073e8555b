use extrack_plugin::fake::{Host, sample};

use super::*;

const NOW_MS: u64 = 1_767_225_600_000;

fn settings(condition: &str) -> Settings {
    Settings {
        condition: condition.to_owned(),
    }
}

fn judge(condition: &str) -> Verdict {
    evaluate(&Evaluation::of("shop-api", NOW_MS), &settings(condition)).unwrap()
}

/// A host with one healthy run before one that failed, which evaluates by a function of the
/// variables.
fn host_that(evaluate: impl Fn(&Value) -> Result<Value, cel::CelError> + 'static) -> Host {
    let host = Host::install();
    host.answer_cel(move |_, variables| evaluate(variables));
    let mut latest = sample(NOW_MS, Status::Unhealthy, 250);
    latest.http_status = Some(503);
    latest.failure = Some(Failure::new(
        ErrorKind::Assertion,
        "status is 503, wanted 2xx",
    ));
    latest.metrics.push(extrack_plugin::value::Entry {
        key: "queue".to_owned(),
        value: 7_i64.into(),
    });
    host.set_history([sample(NOW_MS - 1_000, Status::Healthy, 100), latest]);
    host
}

#[test]
fn breaches_while_the_condition_is_true_and_shows_what_was_found() {
    let _host = host_that(|variables| Ok(json!(variables["status"] == "unhealthy")));
    let verdict = judge("status == 'unhealthy'");
    assert!(verdict.is_breached());
    assert_eq!(
        verdict.summary(),
        "`status == 'unhealthy'` is true; status is `unhealthy`"
    );
}

#[test]
fn passes_the_variables_that_are_named_and_no_others() {
    let _host = host_that(|variables| {
        let wanted = json!({
            "service": "shop-api", "location": "local", "latency_ms": 250.0, "http_status": 503, "error_kind": "assertion",
            "error": "status is 503, wanted 2xx", "metrics": {"queue": 7}, "consecutive_failures": 1,
        });
        assert_eq!(variables, &wanted);
        Ok(json!(false))
    });
    let verdict = judge(
        "service + location + latency_ms + http_status + error_kind + error + metrics.queue + consecutive_failures == ''",
    );
    assert!(!verdict.is_breached());
}

#[test]
fn shows_the_history_it_looked_at() {
    let _host = host_that(|_| Ok(json!(true)));
    let verdict =
        judge("availability('5m') < 99 || error_rate('5m') > 1 || latency('5m', 0.5) > 90.0");
    assert!(
        verdict.summary().ends_with(
            "; availability('5m') is 50 %, error_rate('5m') is 50 %, latency('5m', 0.5) is 100 ms"
        ),
        "{}",
        verdict.summary()
    );
}

#[test]
fn has_no_opinion_where_there_is_nothing_to_judge() {
    let host = host_that(|_| Err(cel::CelError::Failed("no such key: `left`".to_owned())));
    let verdict = judge("metrics.left < 10");
    assert!(
        matches!(&verdict, Verdict::NoOpinion(reason) if reason.contains("no such key")),
        "{verdict:?}"
    );
    host.set_history([]);
    assert_eq!(judge("status == 'error'").summary(), "no observation yet");
}

#[test]
fn a_condition_that_is_neither_true_nor_false_has_no_opinion() {
    let _host = host_that(|_| Ok(json!(3)));
    assert!(
        matches!(judge("1 + 2"), Verdict::NoOpinion(reason) if reason.contains("wanted true or false"))
    );
}

#[test]
fn looks_back_as_far_as_the_longest_window() {
    for (condition, seconds) in [
        ("status == 'error'", 0),
        ("availability('5m') < 99", 300),
        (
            "availability('5m') < 99 && latency('2h', 0.95) > 100.0",
            7_200,
        ),
    ] {
        assert_eq!(
            look_back(&settings(condition)).as_secs(),
            seconds,
            "{condition}"
        );
    }
}

#[test]
fn finds_faults_when_settings_are_saved() {
    let host = Host::install();
    host.answer_cel(|_, _| Err(cel::CelError::Invalid("unexpected `=` at 8".to_owned())));
    assert_eq!(
        check_settings(&settings("status = 'error'"))[0].message,
        "unexpected `=` at 8"
    );
    host.answer_cel(|_, _| Ok(json!(true)));
    let faults = check_settings(&settings("availability('soon') < 99"));
    assert!(
        faults[0]
            .message
            .starts_with("`availability('soon')` names no window"),
        "{}",
        faults[0].message
    );
    assert!(check_settings(&settings("status == 'unhealthy'")).is_empty());
}

#[test]
fn other_probes_of_the_service_can_be_asked_about() {
    let host = Host::install();
    let tls = history::Sample {
        probe: "tls".to_owned(),
        ..sample(NOW_MS - 90_000, Status::Unhealthy, None)
    };
    host.set_history([tls, sample(NOW_MS, Status::Healthy, 10)]);
    host.answer_cel(|_, variables| {
        assert_eq!(variables["probes"]["tls"]["age_s"], 90);
        assert_eq!(variables["probes"]["http"]["latency_ms"], 10.0);
        Ok((variables["probes"]["tls"]["status"] == "unhealthy"
            && variables["status"] == "healthy")
            .into())
    });
    let verdict = judge("probes['tls'].status == 'unhealthy' && status == 'healthy'");
    assert!(verdict.is_breached());
    assert!(
        verdict
            .summary()
            .ends_with("; status is `healthy`, probe tls is `unhealthy`"),
        "{}",
        verdict.summary()
    );
}

#[test]
fn runs_and_failures_are_shown_as_numbers() {
    let host = Host::install();
    host.set_history([
        sample(NOW_MS - 1_000, Status::Error, None),
        sample(NOW_MS, Status::Healthy, 10),
    ]);
    host.answer_cel(|_, _| Ok(true.into()));
    let verdict = judge("failures('5m') > 0 && runs('5m') > 1");
    assert!(
        verdict
            .summary()
            .ends_with("; failures('5m') is 1, runs('5m') is 2"),
        "{}",
        verdict.summary()
    );
}
