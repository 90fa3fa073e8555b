//! `extrack demo`: something to look at, without a vendor and without a network.

use std::collections::BTreeMap;
use std::process::{Output, Stdio};

use extrack_tests::{Api, PATIENCE, TestRuntime, wait_for};
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_demo_shows_a_vendor_in_all_its_moods() {
    let mut runtime = TestRuntime::builder().demo().without_token().start().await;
    let printed = wait_for("what to try", PATIENCE, async || {
        let printed = runtime.printed().join("\n");
        let tries = [
            "extrack services check",
            "extrack sql",
            "extrack alerts list",
        ];
        if tries.iter().all(|one| printed.contains(one)) {
            Ok(printed)
        } else {
            Err(printed)
        }
    })
    .await;
    assert!(printed.contains(runtime.url()), "{printed}");
    let token = printed
        .split_once("EXTRACK_TOKEN=")
        .and_then(|(_, rest)| rest.split_whitespace().next());
    let api = Api::new(
        runtime.url(),
        Some(token.unwrap_or_else(|| panic!("no token in {printed}"))),
    );

    let moods = wait_for("an observation of each service", PATIENCE, async || {
        let services = api.list("/api/v1/services").await;
        let moods: BTreeMap<String, String> = services
            .iter()
            .filter_map(|service| {
                Some((
                    service["slug"].as_str()?.to_owned(),
                    service["status"].as_str()?.to_owned(),
                ))
            })
            .collect();
        if moods.len() == services.len() && moods.len() >= 5 {
            Ok(moods)
        } else {
            Err(format!("{services:?}"))
        }
    })
    .await;
    assert!(moods.values().any(|mood| mood == "healthy"), "{moods:?}");
    // A slow one and one whose certificate ends soon.
    assert!(
        moods.values().filter(|mood| *mood == "degraded").count() >= 2,
        "{moods:?}"
    );
    // What is tried works: the check of the service that fails now and then answers, whatever its
    // mood.
    let checked = api.check("payments-api").await;
    assert!(checked["status"].is_string(), "{checked}");
    let said = try_all(&printed).await;
    assert!(said.status.success(), "{said:?}");
    for part in ["payments-api", "catalog-api"] {
        assert!(
            String::from_utf8_lossy(&said.stdout).contains(part),
            "no `{part}` in {said:?}"
        );
    }
    let page = api.get("/").await.expect_text(200);
    for slug in moods.keys() {
        assert!(page.contains(slug), "no `{slug}` on the page");
    }
    assert_eq!(runtime.stop().await.code(), Some(0));
}

/// The commands as they are printed, in a shell that knows nothing of the build.
async fn try_all(printed: &str) -> Output {
    let is_command = |line: &&str| {
        ["    export ", "    extrack "]
            .iter()
            .any(|start| line.starts_with(start))
    };
    let script: Vec<&str> = printed.lines().filter(is_command).collect();
    assert!(script.len() >= 4, "{printed}");
    let mut shell = Command::new("sh");
    shell
        .args(["-ec", &script.join("\n")])
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null());
    shell.output().await.expect("there is a shell")
}
