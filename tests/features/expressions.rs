//! Expressions and templates that grow without end, in settings of people who may write some: they
//! end, and disturb no other.

use extrack_tests::{PATIENCE, TestRuntime, Vendor, wait_for};
use serde_json::json;

/// 10^8 rounds that nothing but the evaluator's own bound ends; harmless as long as there is no
/// answer, as when it is checked.
fn bomb() -> String {
    let loops = (0..8).fold("true".to_owned(), |inner, depth| {
        format!("[0,0,0,0,0,0,0,0,0,0].all(v{depth}, {inner})")
    });
    format!("status == 200 && {loops}")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_expressions_without_end_leave_the_other_probes_on_time() {
    let vendor = Vendor::start().await;
    let service = |name: String, settings: &str| {
        format!(
            "\n  - {{name: \"{name}\", baseUrl: \"{}\", monitoring: {{interval: 1, timeout: 900, settings: {{{settings}}}}}}}",
            vendor.url()
        )
    };
    let costly = format!("assertions: [{{cel: \"{}\"}}]", bomb());
    let services: String = (0..10)
        .map(|index| service(format!("quick{index}"), ""))
        .chain((0..2).map(|index| service(format!("costly{index}"), &costly)))
        .collect();
    let runtime = TestRuntime::builder()
        .services(format!("services:{services}\n"))
        .start()
        .await;
    let api = runtime.api();
    wait_for("runs of all probes", PATIENCE, async || {
        let counts = api
            .sql("SELECT service, count(*) FROM observations WHERE NOT missed GROUP BY service HAVING count(*) >= 5")
            .await;
        if counts.len() == 12 { Ok(()) } else { Err(format!("{counts:?}")) }
    })
    .await;
    let ends = api
        .sql("SELECT DISTINCT outcome, error FROM plugin_runs WHERE function = 'check' AND service LIKE 'costly%'")
        .await;
    assert!(ends.iter().all(|end| end[0] == "limit"), "{ends:?}");
    assert!(
        ends[0][1]
            .as_str()
            .unwrap()
            .contains("takes more steps than an evaluation may"),
        "{ends:?}"
    );
    // Moments lie exactly an interval apart, and every check has its answer within its time-out.
    let gaps = api
        .sql(
            "SELECT service, gap_ms FROM (SELECT service, epoch_ms(ts) - epoch_ms(lag(ts) OVER (PARTITION BY service ORDER BY ts)) \
             AS gap_ms FROM observations WHERE service LIKE 'quick%' AND NOT missed) WHERE gap_ms % 1000 <> 0",
        )
        .await;
    assert!(gaps.is_empty(), "{gaps:?}");
    let others = api
        .sql_count(
            "SELECT count(*) FROM observations WHERE service LIKE 'quick%' AND NOT missed AND status <> 'healthy'",
        )
        .await;
    assert_eq!(others, 0, "the costly ones harmed the others");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn expressions_and_templates_without_end_are_refused_over_the_api() {
    let inbox = Vendor::start().await;
    let alerts = format!(
        "alerts: []\nnotifications:\n  - {{channel: webhook, name: ops, url: \"{}/hook\"}}\n",
        inbox.url()
    );
    let runtime = TestRuntime::builder().alerts(alerts).start().await;
    let api = runtime.api();
    let doubled = format!("['xxxxxxxxxxxxxxxx']{} == []", ".map(a, a + a)".repeat(40));
    let nested = (0..12).fold("0".to_owned(), |inner, depth| {
        format!("[0,0,0,0,0,0,0,0,0,0].map(v{depth}, {inner})")
    });
    let sum = format!("{} == 'x'", vec!["1"; 1_900].join("+"));
    for expression in [doubled, format!("{nested} == []"), sum] {
        let service = json!({"name": "s", "baseUrl": inbox.url(), "alerts": [{"name": "a", "condition": expression}]});
        api.post("/api/v1/services", &service)
            .await
            .expect_problem(422);
        let monitoring = json!({"settings": {"assertions": [{"cel": expression}]}});
        let service = json!({"name": "s", "baseUrl": inbox.url(), "monitoring": monitoring});
        api.post("/api/v1/services", &service)
            .await
            .expect_problem(422);
    }
    for text in [
        "{% set ns=namespace(a=[1]) %}{% for i in range(34) %}{% set ns.a=ns.a+ns.a %}{% endfor %}{{ ns.a|length }}",
        "{% set ns=namespace(a=[1]) %}{% for i in range(20000) %}{% set ns.a=[ns.a] %}{% endfor %}{{ ns.a }}",
        "{{ 10**400000 }}",
        "{{ '%2000000000d'|format(1) }}",
    ] {
        let preview = json!({"template": {"text": text}});
        api.post("/api/v1/channels/ops/preview", &preview)
            .await
            .expect_problem(422);
    }
    api.get("/healthz").await.expect_text(200);
}
