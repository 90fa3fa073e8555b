//! Guests that no compiler makes: they break the rules of the component model's binary interface,
//! grow what they should not, or do their harm where no plugin function runs: while they start,
//! while memory is given, after an answer.

use extrack_tests::{Hostile, TargetServer, TestRuntime};
use serde_json::json;

const ENDLESS: &str = "(loop $again (br $again)) unreachable";

/// A billion strings in one answer: one megabyte of zeros, named again and again by a list of half
/// a million entries.
const AMPLIFIED: &str = r"
    (local $at i32)
    (drop (memory.grow (i32.const 600)))
    (local.set $at (i32.const 2097152))
    (loop $more
      (i32.store (local.get $at) (i32.const 1048576))
      (i32.store offset=4 (local.get $at) (i32.const 1048576))
      (i32.store8 offset=8 (local.get $at) (i32.const 3))
      (local.set $at (i32.add (local.get $at) (i32.const 24)))
      (br_if $more (i32.lt_u (local.get $at) (i32.const 14680064))))
    (i32.store (i32.const 580) (i32.const 2097152))
    (i32.store (i32.const 584) (i32.const 524288))
    global.get $healthy";

/// Refused when it is loaded: which step, and a part of the reason.
fn refused() -> Vec<(Hostile, &'static str, &'static str)> {
    let new = Hostile::new;
    vec![
        (
            Hostile {
                fields: "(func $begin unreachable) (start $begin)",
                ..new("starts-with-trap")
            },
            "describe",
            "unreachable",
        ),
        (
            Hostile {
                fields: "(func $begin (loop $again (br $again))) (start $begin)",
                ..new("never-started")
            },
            "describe",
            "CPU",
        ),
        (
            Hostile {
                memory: "5000",
                ..new("born-too-big")
            },
            "",
            "memory",
        ),
        (
            Hostile {
                fields: "(table 1000000 funcref)",
                ..new("born-with-tables")
            },
            "",
            "table",
        ),
        (
            Hostile {
                describe: ENDLESS,
                ..new("describe-endless")
            },
            "describe",
            "CPU",
        ),
        (
            Hostile {
                describe: "i32.const -64",
                ..new("describe-outside")
            },
            "describe",
            "",
        ),
        (
            // A name of two gigabytes.
            Hostile {
                describe: "(i32.store (i32.const 68) (i32.const 0x7fffffff)) global.get $info",
                ..new("describe-long")
            },
            "describe",
            "",
        ),
        (
            Hostile {
                describe: "(i32.store8 (i32.const 40) (i32.const 0xff)) global.get $info",
                ..new("describe-no-text")
            },
            "describe",
            "",
        ),
    ]
}

/// A run of each ends so; any of these outcomes.
fn broken() -> Vec<(Hostile, &'static [&'static str], &'static str)> {
    let new = Hostile::new;
    let trap: &[&str] = &["trap"];
    let limit: &[&str] = &["limit"];
    let cut: &[&str] = &["timeout", "limit"];
    vec![
        (
            Hostile {
                check: "(loop $more (br_if $more (i32.ne (table.grow $table (ref.null func) (i32.const 1000)) (i32.const -1)))) unreachable",
                ..new("grows-tables")
            },
            limit,
            "",
        ),
        (
            Hostile {
                check: "(loop $more (br_if $more (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))) unreachable",
                ..new("grows-memory")
            },
            limit,
            "memory",
        ),
        (
            Hostile {
                check: ENDLESS,
                ..new("endless")
            },
            cut,
            "",
        ),
        (
            Hostile {
                check: "i32.const -8",
                ..new("answers-outside")
            },
            trap,
            "",
        ),
        (
            Hostile {
                check: "i32.const 3",
                ..new("answers-unaligned")
            },
            trap,
            "",
        ),
        (
            Hostile {
                check: "(i32.store8 (i32.const 520) (i32.const 250)) global.get $healthy",
                ..new("no-such-status")
            },
            trap,
            "",
        ),
        (
            Hostile {
                check: "(i32.store8 (i32.const 40) (i32.const 0xff)) global.get $unhealthy",
                ..new("no-text")
            },
            trap,
            "",
        ),
        (
            Hostile {
                check: "(i32.store (i32.const 672) (i32.const 0x7fffffff)) global.get $unhealthy",
                ..new("text-without-end")
            },
            trap,
            "",
        ),
        (
            Hostile {
                check: "(i32.store (i32.const 584) (i32.const 0x0fffffff)) global.get $healthy",
                ..new("list-without-end")
            },
            trap,
            "",
        ),
        (
            Hostile {
                check: AMPLIFIED,
                ..new("amplifies")
            },
            &["trap", "limit"],
            "",
        ),
        (
            Hostile {
                realloc: "drop drop drop drop i32.const -16",
                ..new("gives-outside")
            },
            trap,
            "",
        ),
        (
            Hostile {
                realloc: "drop drop drop drop unreachable",
                ..new("gives-nothing")
            },
            trap,
            "unreachable",
        ),
        (
            Hostile {
                realloc: "drop drop drop drop (loop $again (br $again)) unreachable",
                ..new("gives-never")
            },
            cut,
            "",
        ),
        (
            // Calls the host while the host waits for memory.
            Hostile {
                realloc: "(call $log (i32.const 1) (i32.const 16) (i32.const 5)) call $give",
                ..new("talks-back")
            },
            trap,
            "",
        ),
        (
            Hostile {
                post_return: "unreachable",
                ..new("traps-afterwards")
            },
            trap,
            "unreachable",
        ),
        (
            Hostile {
                post_return: "(loop $again (br $again))",
                ..new("loops-afterwards")
            },
            cut,
            "",
        ),
        (
            Hostile {
                check: "(call $log (i32.const 9) (i32.const 16) (i32.const 5)) global.get $healthy",
                ..new("logs-at-no-level")
            },
            trap,
            "",
        ),
        (
            Hostile {
                check: "(call $log (i32.const 1) (i32.const 16) (i32.const 0x7ffffff0)) global.get $healthy",
                ..new("logs-all-memory")
            },
            trap,
            "",
        ),
    ]
}

/// Most the program ever had, in KiB.
fn peak_kib(pid: u32) -> u64 {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).expect("the program is running");
    let line = status
        .lines()
        .find(|line| line.starts_with("VmHWM:"))
        .expect("Linux tells the high-water mark");
    line.split_whitespace()
        .nth(1)
        .and_then(|kib| kib.parse().ok())
        .expect("a number of KiB")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_that_breaks_the_rules_costs_its_own_run_only() {
    let nginx = TargetServer::start().await;
    let runtime = TestRuntime::builder()
        .services(super::beside(&nginx, 1))
        .start()
        .await;
    let api = runtime.api();
    for (guest, step, says) in refused() {
        let detail = api
            .plugin_put(guest.name, &guest.component())
            .await
            .expect_problem(422)["detail"]
            .to_string();
        // Before it runs or when it is first to run: either will do where no step is named.
        assert!(
            detail.contains(&format!("step `{step}")) && detail.contains(says),
            "{}: {detail}",
            guest.name
        );
    }
    let good = Hostile::new("good");
    let all: Vec<_> = std::iter::once((good, &["ok"] as &'static [&'static str], ""))
        .chain(broken())
        .collect();
    for (guest, ..) in &all {
        let installed = api.plugin_put(guest.name, &guest.component()).await;
        // Good settings need memory too; one that can't give any is in no use.
        assert!(
            [200, 422].contains(&installed.status),
            "{}: {}",
            guest.name,
            installed.text
        );
        let service = json!({
            "name": guest.name, "type": "own", "baseUrl": nginx.url(), "private": true,
            "monitoring": {"probe": guest.name, "interval": 86400, "timeout": 700, "settings": {}},
        });
        api.post("/api/v1/services", &service).await;
    }
    let before_kib = peak_kib(runtime.pid());
    for (guest, outcomes, says) in &all {
        let name = guest.name;
        let mut function = "check";
        if guest.realloc != Hostile::new("").realloc {
            // It has broken already, when it was asked about its settings.
            let services = api.get(&format!("/api/v1/services/{name}")).await;
            assert_eq!(services.status, 404, "{name}: {}", services.text);
            function = "check-settings";
        } else {
            let observation = api.check(name).await;
            let wanted = if outcomes.contains(&"ok") {
                "healthy"
            } else {
                "error"
            };
            assert_eq!(observation["status"], wanted, "{name}: {observation}");
        }
        let query = format!(
            "SELECT outcome, coalesce(error, ''), memory_bytes FROM plugin_runs WHERE plugin = '{name}' \
             AND function = '{function}' ORDER BY run_id DESC LIMIT 1"
        );
        let run = extrack_tests::wait_for(
            &format!("the account of {name}"),
            extrack_tests::PATIENCE,
            async || {
                api.sql(&query)
                    .await
                    .pop()
                    .ok_or_else(|| "no row".to_owned())
            },
        )
        .await;
        let error = run[1].as_str().unwrap();
        assert!(
            outcomes.iter().any(|outcome| run[0] == *outcome),
            "{name}: {run:?}"
        );
        assert!(
            error.contains(says) && (!error.is_empty() || outcomes.contains(&"ok")),
            "{name}: {run:?}"
        );
        assert!(
            run[2].as_u64().is_some_and(|bytes| bytes <= 64 << 20),
            "{name}: {run:?}"
        );
    }
    let grown_kib = peak_kib(runtime.pid()).saturating_sub(before_kib);
    assert!(
        grown_kib < 600 << 10,
        "answers made the program {} MiB bigger",
        grown_kib >> 10
    );
    super::assert_unharmed(&api).await;
}
