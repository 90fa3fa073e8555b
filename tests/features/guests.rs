//! Guests that misbehave: each costs its own run, is recorded as what it did, and disturbs
//! no other.

mod abi;
mod bounds;
mod bytes;
mod egress;
mod exchanges;
mod isolation;
mod schemes;

use extrack_tests::{
    Api, HangingServer, Inbox, PATIENCE, TargetServer, TestRuntime, Vendor, components, wait_for,
};
use serde_json::{Value, json};

/// A guest of `tests/guests`, and how its runs have to be recorded.
struct Hostile {
    guest: &'static str,
    interval_s: u32,
    /// Outcomes in `plugin_runs`; any of these.
    outcomes: &'static [&'static str],
    /// Status of the observation.
    error_kind: &'static str,
    /// A part of the reason.
    says: &'static str,
}

const HOSTILE: [Hostile; 11] = [
    Hostile {
        guest: "probe-traps",
        interval_s: 1,
        outcomes: &["trap"],
        error_kind: "plugin",
        says: "trap",
    },
    Hostile {
        guest: "probe-panics",
        interval_s: 1,
        outcomes: &["trap"],
        error_kind: "plugin",
        says: "panicking on purpose at probe-panics",
    },
    Hostile {
        guest: "probe-recurses",
        interval_s: 1,
        outcomes: &["trap"],
        error_kind: "plugin",
        says: "trap",
    },
    Hostile {
        guest: "probe-loops",
        interval_s: 2,
        outcomes: &["timeout", "limit"],
        error_kind: "plugin",
        says: "",
    },
    Hostile {
        guest: "probe-allocates",
        interval_s: 1,
        outcomes: &["limit"],
        error_kind: "plugin",
        says: "memory",
    },
    Hostile {
        guest: "probe-floods-log",
        interval_s: 2,
        outcomes: &["limit", "timeout"],
        error_kind: "plugin",
        says: "",
    },
    Hostile {
        guest: "probe-giant-options",
        interval_s: 2,
        outcomes: &["limit", "timeout"],
        error_kind: "plugin",
        says: "",
    },
    Hostile {
        guest: "probe-floods-output",
        interval_s: 2,
        outcomes: &["limit", "timeout"],
        error_kind: "plugin",
        says: "",
    },
    Hostile {
        guest: "probe-overfills-output",
        interval_s: 1,
        outcomes: &["trap"],
        error_kind: "plugin",
        says: "check-write",
    },
    Hostile {
        guest: "probe-sleeps",
        interval_s: 1,
        outcomes: &["timeout"],
        error_kind: "timeout",
        says: "",
    },
    Hostile {
        guest: "probe-answers-error",
        interval_s: 1,
        outcomes: &["error"],
        error_kind: "plugin",
        says: "lost my notes",
    },
];

/// Runs of each guest that are looked at.
const RUNS: i64 = 8;

/// Good services beside them: a thousand runs in the time that takes.
const BESIDE: usize = 60;

fn service(slug: &str, probe: &str, base_url: &str, interval_s: u32) -> String {
    format!(
        "\n  - {{name: \"{slug}\", type: own, baseUrl: \"{base_url}\", \
         monitoring: {{probe: {probe}, interval: {interval_s}, timeout: 700}}}}"
    )
}

/// So many good services, each every second.
fn beside(nginx: &TargetServer, count: usize) -> String {
    let url = nginx.url();
    let service = |index: usize| {
        format!(
            "\n  - {{name: \"beside {index}\", baseUrl: \"{url}\", healthEndpoint: /health, \
             monitoring: {{interval: 1, timeout: 5000}}}}"
        )
    };
    format!("services:{}", (0..count).map(service).collect::<String>())
}

/// Every second of every good service has its run, and every run went well.
async fn assert_unharmed(api: &Api) {
    let harmed = api
        .sql(
            "SELECT service, ts, status, error, missed FROM observations \
             WHERE service LIKE 'beside-%' AND (missed OR status <> 'healthy')",
        )
        .await;
    assert!(harmed.is_empty(), "{harmed:?}");
    let gaps = api
        .sql(
            "SELECT service, ts, gap_ms FROM (SELECT service, ts, \
             epoch_ms(ts) - epoch_ms(lag(ts) OVER (PARTITION BY service ORDER BY ts)) AS gap_ms \
             FROM observations WHERE service LIKE 'beside-%') WHERE gap_ms <> 1000",
        )
        .await;
    assert!(gaps.is_empty(), "{gaps:?}");
    assert_eq!(api.get("/readyz").await.status, 200);
}

/// Returns how many of a hundred runs began within that many seconds of their moment; the bound is
/// one that the metric has.
async fn began_within(api: &Api, seconds: &str) -> f64 {
    let metrics = api.metrics().await;
    let value = |name: &str| -> f64 {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("no {name}"));
        line.rsplit(' ')
            .next()
            .and_then(|value| value.parse().ok())
            .expect("a metric has a value")
    };
    let within = value(&format!(
        "extrack_probe_start_lag_seconds_bucket{{le=\"{seconds}\"}}"
    ));
    within * 100.0 / value("extrack_probe_start_lag_seconds_count")
}

/// The most memory that the program had at once, MiB.
fn peak_mb(runtime: &TestRuntime) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", runtime.pid()))
        .expect("the program is running");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .expect("a process has a size");
    line.trim()
        .trim_end_matches(" kB")
        .parse::<u64>()
        .expect("a size is a number")
        / 1_024
}

async fn wait_for_runs(api: &Api, guest: &str, function: &str, wanted: i64) {
    let query = format!(
        "SELECT count(*) FROM plugin_runs WHERE plugin = '{guest}' AND function = '{function}'"
    );
    wait_for(
        &format!("{wanted} runs of {guest}"),
        PATIENCE * 2,
        async || {
            let runs = api.sql_count(&query).await;
            if runs >= wanted {
                Ok(())
            } else {
                Err(format!("{runs} runs"))
            }
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_costs_its_own_run_only_and_is_recorded_as_such() {
    let (nginx, silent) = (TargetServer::start().await, HangingServer::start().await);
    let hostile = |hostile: &Hostile| {
        service(
            hostile.guest,
            hostile.guest,
            &silent.url(),
            hostile.interval_s,
        )
    };
    let mut builder = TestRuntime::builder().services(format!(
        "{}{}\n",
        beside(&nginx, BESIDE),
        HOSTILE.iter().map(hostile).collect::<String>()
    ));
    for hostile in &HOSTILE {
        builder = builder.plugin(
            &format!("{}.wasm", hostile.guest),
            components::guest(hostile.guest),
        );
    }
    let runtime = builder.start().await;
    let api = runtime.api();
    for Hostile {
        guest,
        outcomes,
        error_kind,
        says,
        ..
    } in &HOSTILE
    {
        wait_for_runs(&api, guest, "check", RUNS).await;
        let ended = api
            .sql(&format!(
                "SELECT DISTINCT outcome, error FROM plugin_runs WHERE plugin = '{guest}' AND function = 'check'"
            ))
            .await;
        for row in &ended {
            assert!(
                outcomes.iter().any(|outcome| row[0] == *outcome),
                "{guest}: {ended:?}"
            );
            assert!(
                row[1]
                    .as_str()
                    .is_some_and(|error| !error.is_empty() && error.contains(says)),
                "{guest}: {ended:?}"
            );
        }
        let found = api
            .sql(&format!(
                "SELECT DISTINCT status, error_kind FROM observations WHERE service = '{guest}' AND NOT missed"
            ))
            .await;
        assert_eq!(
            found,
            [vec![Value::from("error"), Value::from(*error_kind)]],
            "{guest}"
        );
        let limits = api
            .sql(&format!(
                "SELECT max(duration_us), max(memory_bytes), max(log_bytes) FROM plugin_runs WHERE plugin = '{guest}' AND function = 'check'"
            ))
            .await;
        let at_most = |column: usize, limit: u64| {
            limits[0][column]
                .as_u64()
                .is_some_and(|value| value <= limit)
        };
        assert!(
            at_most(0, 5_000_000),
            "{guest} ran on after its deadline: {limits:?} µs"
        );
        assert!(
            at_most(1, 64 << 20),
            "{guest} had more memory than it may: {limits:?}"
        );
    }
    // One run and its observation are the same run.
    let strangers = api
        .sql(
            "SELECT o.run_id FROM observations o LEFT JOIN plugin_runs r ON o.run_id = r.run_id \
             WHERE NOT o.missed AND r.run_id IS NULL AND o.ts < (SELECT max(ts) - INTERVAL 5 SECOND FROM observations)",
        )
        .await;
    assert!(strangers.is_empty(), "{strangers:?}");
    wait_for("a thousand runs beside them", PATIENCE, async || {
        let runs = api
            .sql_count("SELECT count(*) FROM observations WHERE service LIKE 'beside-%'")
            .await;
        if runs >= 1_000 {
            Ok(())
        } else {
            Err(format!("{runs} runs"))
        }
    })
    .await;
    assert_unharmed(&api).await;
    let peak = peak_mb(&runtime);
    assert!(
        peak < 1_024,
        "{peak} MiB: one of them used the host's memory"
    );
    let on_time = began_within(&api, "0.25").await;
    assert!(
        on_time >= 95.0,
        "{on_time} % of the runs began within 250 ms of their moment"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_is_stored_within_bounds() {
    let nginx = TargetServer::start().await;
    let guests = ["probe-answers-hugely", "probe-answers-oddly"];
    let services: String = guests
        .iter()
        .map(|guest| service(guest, guest, &nginx.url(), 1))
        .collect();
    let mut builder = TestRuntime::builder().services(format!("{}{services}\n", beside(&nginx, 1)));
    for guest in guests {
        builder = builder.plugin(&format!("{guest}.wasm"), components::guest(guest));
    }
    let runtime = builder.start().await;
    let api = runtime.api();
    for guest in guests {
        wait_for_runs(&api, guest, "check", 5).await;
        let observation = api.check(guest).await;
        assert!(
            observation["error"]
                .as_str()
                .is_none_or(|error| error.len() <= 1_024),
            "{guest}: a long error"
        );
        assert!(
            observation["metrics"].as_object().unwrap().len() <= 64,
            "{guest}: many metrics"
        );
        let stored = api
            .sql(&format!("SELECT max(strlen(error)), max(strlen(metrics::VARCHAR)), count(*) FROM observations WHERE service = '{guest}'"))
            .await;
        assert!(
            stored[0][0].as_u64().is_none_or(|length| length <= 1_024),
            "{guest}: {stored:?}"
        );
        assert!(
            stored[0][1]
                .as_u64()
                .is_none_or(|length| length <= 64 * 600),
            "{guest}: {stored:?}"
        );
        let page = api
            .get(&format!("/api/v1/services/{guest}/observations?limit=1000"))
            .await
            .expect(200);
        assert!(!page["items"].as_array().unwrap().is_empty());
        let row = api
            .sql(&format!(
                "SELECT * FROM observations WHERE service = '{guest}' LIMIT 1"
            ))
            .await;
        assert_eq!(row.len(), 1);
    }
    let dashboard = api.get("/").await.expect_text(200);
    assert!(dashboard.len() < 200_000, "{} bytes", dashboard.len());
    assert_unharmed(&api).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_probe_reaches_nothing_but_its_service() {
    let runtime = TestRuntime::builder().start().await;
    let api = runtime.api();
    api.plugin_put("probe-trespasses", &components::guest("probe-trespasses"))
        .await
        .expect(200);
    for private in [false, true] {
        // An address of the documentation range: not loopback, not private, and never reached.
        let name = format!("private {private}");
        let service = json!({
            "name": name, "type": "own", "baseUrl": "http://192.0.2.1", "private": private,
            "monitoring": {"probe": "probe-trespasses", "interval": 86400, "timeout": 5000},
        });
        let created = api.post("/api/v1/services", &service).await.expect(201);
        let found = api.check(created["slug"].as_str().unwrap()).await;
        assert_eq!(
            found["status"], "healthy",
            "it got through to something: {found}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rules_and_notifiers_that_break_harm_no_other() {
    let (vendor, inbox) = (Vendor::start().await, Inbox::start().await);
    vendor.set_status("/health", 500);
    let services = format!(
        r#"
services:
  - name: "Shop"
    baseUrl: "{}"
    healthEndpoint: /health
    monitoring: {{interval: 1, timeout: 5000}}
    alerts:
      - {{type: rule-traps, name: "Trapping"}}
      - {{type: rule-loops, name: "Looping"}}
      - {{condition: "status == 'unhealthy'", name: "Down"}}
"#,
        vendor.url()
    );
    let alerts = format!(
        "notifications: [{{channel: notifier-traps}}, {{channel: notifier-loops}}, {{channel: webhook, url: \"{}\"}}]\n\
         route: {{groupBy: ['...'], groupWait: 0, groupInterval: 1s}}\n",
        inbox.url("/hook")
    );
    let mut builder = TestRuntime::builder().services(services).alerts(alerts);
    for guest in [
        "rule-traps",
        "rule-loops",
        "notifier-traps",
        "notifier-loops",
    ] {
        builder = builder.plugin(&format!("{guest}.wasm"), components::guest(guest));
    }
    let runtime = builder.start().await;
    let api = runtime.api();
    wait_for("the message that works", PATIENCE, async || {
        match inbox.received("/hook").len() {
            0 => Err("no message".to_owned()),
            _ => Ok(()),
        }
    })
    .await;
    for (guest, function, outcomes) in [
        ("rule-traps", "evaluate", &["trap"][..]),
        ("rule-loops", "evaluate", &["timeout", "limit"]),
        ("notifier-traps", "notify", &["trap"]),
        ("notifier-loops", "notify", &["timeout", "limit"]),
    ] {
        wait_for_runs(&api, guest, function, 1).await;
        let ended = api
            .sql(&format!(
                "SELECT DISTINCT outcome FROM plugin_runs WHERE plugin = '{guest}' AND function = '{function}'"
            ))
            .await;
        assert!(
            ended
                .iter()
                .all(|row| outcomes.iter().any(|outcome| row[0] == *outcome)),
            "{guest}: {ended:?}"
        );
    }
    // What breaks has said nothing; what is not delivered waits.
    let alerts = api.list("/api/v1/alerts?service=shop").await;
    assert_eq!(alerts.len(), 1, "{alerts:?}");
    assert_eq!(alerts[0]["name"], "Down");
    wait_for("both broken channels to be tried", PATIENCE, async || {
        let waiting = api.list("/api/v1/notifications?state=waiting").await;
        // Alerts about the plugins themselves may be among them.
        let tried = waiting
            .iter()
            .filter(|one| one["alerts"][0]["service"] == "shop" && one["lastError"].is_string())
            .count();
        if tried == 2 {
            Ok(())
        } else {
            Err(format!("{waiting:?}"))
        }
    })
    .await;
    assert_eq!(inbox.received("/hook").len(), 1);
    let missed = api
        .sql("SELECT ts, error FROM observations WHERE missed")
        .await;
    assert!(missed.is_empty(), "{missed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_traps_when_asked_is_told_where_it_was_asked() {
    let nginx = TargetServer::start().await;
    let runtime = TestRuntime::builder()
        .services(beside(&nginx, 1))
        .start()
        .await;
    let api = runtime.api();
    for guest in ["probe-settings-traps", "rule-look-back-traps"] {
        api.plugin_put(guest, &components::guest(guest))
            .await
            .expect(200);
    }
    let monitoring = json!({"probe": "probe-settings-traps", "interval": 86400});
    let service = json!({"name": "Shop", "type": "own", "baseUrl": nginx.url(), "private": true, "monitoring": monitoring});
    let refused = api
        .post("/api/v1/services", &service)
        .await
        .expect_problem(422);
    assert!(
        refused.to_string().contains("settings are beneath me"),
        "{refused}"
    );
    let service = json!({
        "name": "Shop", "baseUrl": nginx.url(), "private": true, "alerts": [{"type": "rule-look-back-traps"}],
    });
    let refused = api
        .post("/api/v1/services", &service)
        .await
        .expect_problem(422);
    assert!(
        refused.to_string().contains("I never look back"),
        "{refused}"
    );
    for (guest, function) in [
        ("probe-settings-traps", "check-settings"),
        ("rule-look-back-traps", "look-back"),
    ] {
        wait_for_runs(&api, guest, function, 1).await;
        let query = format!(
            "SELECT DISTINCT outcome FROM plugin_runs WHERE plugin = '{guest}' AND function = '{function}'"
        );
        assert_eq!(api.sql(&query).await, [[Value::from("trap")]], "{guest}");
    }
    assert_unharmed(&api).await;
}
