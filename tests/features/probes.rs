//! Real servers on loopback: each gets the right status, error kind and phases, within its
//! time-out.

use std::time::Duration;

use extrack_tests::{
    Api, Authority, DnsServer, HangingServer, TargetServer, TestRuntime, Vendor, refusing_address,
};
use serde_json::Value;
use tokio::time::Instant;

/// Time-out of every probe below, unless it has one of its own.
const TIMEOUT_MS: u64 = 3_000;

/// Result that a check has to find.
struct Wanted {
    slug: &'static str,
    status: &'static str,
    error_kind: Option<&'static str>,
    http_status: Option<u16>,
    /// Phases that have to be there; the others have to be absent.
    phases: &'static [&'static str],
    /// A part of the error's text.
    says: &'static str,
}

const CONNECT: &[&str] = &["connectUs"];
const PLAIN: &[&str] = &["connectUs", "firstByteUs", "bodyUs"];
const SECURE: &[&str] = &["connectUs", "tlsUs", "firstByteUs", "bodyUs"];
const SECURE_BY_NAME: &[&str] = &["dnsUs", "connectUs", "tlsUs", "firstByteUs", "bodyUs"];

/// `SLUG: TYPE BASE-URL`, and what stands under `monitoring` beside the interval and the time-out.
fn service(slug: &str, kind: &str, base_url: &str, monitoring: &str) -> String {
    format!(
        "\n  - {{name: \"{slug}\", type: {kind}, baseUrl: \"{base_url}\", \
         monitoring: {{interval: 86400, timeout: {TIMEOUT_MS}{monitoring}}}}}"
    )
}

async fn look(api: &Api, wanted: &Wanted) {
    let started = Instant::now();
    let found = api.check(wanted.slug).await;
    let took = started.elapsed();
    let slug = wanted.slug;
    assert_eq!(found["status"], wanted.status, "{slug}: {found}");
    assert_eq!(
        found["errorKind"],
        wanted.error_kind.map_or(Value::Null, Value::from),
        "{slug}: {found}"
    );
    assert_eq!(
        found["httpStatus"],
        wanted.http_status.map_or(Value::Null, Value::from),
        "{slug}: {found}"
    );
    for phase in ["dnsUs", "connectUs", "tlsUs", "firstByteUs", "bodyUs"] {
        // An address in place of a name needs no DNS, and whether that counts as a phase is
        // not for others.
        if phase == "dnsUs" && !wanted.phases.contains(&phase) {
            continue;
        }
        assert_eq!(
            found["phases"][phase].is_u64(),
            wanted.phases.contains(&phase),
            "{slug}: phase {phase} of {found}"
        );
    }
    match wanted.says {
        "" => assert_eq!(found["error"], Value::Null, "{slug}: {found}"),
        says => {
            assert!(
                found["error"]
                    .as_str()
                    .is_some_and(|error| error.contains(says)),
                "{slug}: `{says}` in {found}"
            )
        }
    }
    if wanted.status == "healthy" || wanted.status == "degraded" {
        let latency = found["latencyUs"]
            .as_u64()
            .unwrap_or_else(|| panic!("{slug}: no latency in {found}"));
        assert!(
            (1..TIMEOUT_MS * 1_000).contains(&latency),
            "{slug}: {found}"
        );
        let phases: u64 = found["phases"]
            .as_object()
            .unwrap()
            .values()
            .filter_map(Value::as_u64)
            .sum();
        assert!(
            phases <= latency + 1_000,
            "{slug}: the phases take longer than the whole: {found}"
        );
    }
    // The end of the time-out, and what storing the observation takes.
    let limit = Duration::from_millis(TIMEOUT_MS) + Duration::from_secs(3);
    assert!(took < limit, "{slug} took {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_web_service_is_judged_by_its_answer() {
    let (nginx, silent, vendor, refusing) = (
        TargetServer::start().await,
        HangingServer::start().await,
        Vendor::start().await,
        refusing_address(),
    );
    vendor.set_delay("/slow", Duration::from_millis(400));
    vendor.set_delay("/too-slow", Duration::from_secs(10));
    let http = |slug: &str, base: &str, settings: &str| {
        service(slug, "REST", base, &format!(", settings: {{{settings}}}"))
    };
    let yaml = [
        "services:".to_owned(),
        http("ok", &nginx.url(), "path: /health"),
        http("missing", &nginx.url(), "path: /nowhere"),
        http("broken", &nginx.url(), "path: /broken"),
        http(
            "wanted-404",
            &nginx.url(),
            "path: /nowhere, expectedStatus: 404",
        ),
        http(
            "with-text",
            &nginx.url(),
            "path: /health, bodyContains: \"all good\"",
        ),
        http(
            "without-text",
            &nginx.url(),
            "path: /health, bodyContains: \"all bad\"",
        ),
        http("slow", &vendor.url(), "path: /slow, degradedOver: 200ms"),
        http(
            "slow-enough",
            &vendor.url(),
            "path: /slow, degradedOver: 2s",
        ),
        http("too-slow", &vendor.url(), "path: /too-slow"),
        http("refused", &format!("http://{refusing}"), ""),
        http("never-answers", &silent.url(), ""),
        http("no-such-name", "http://no-such-name.invalid", ""),
        String::new(),
    ]
    .join("");
    let runtime = TestRuntime::builder().services(yaml).start().await;
    let api = runtime.api();
    for wanted in [
        Wanted {
            slug: "ok",
            status: "healthy",
            error_kind: None,
            http_status: Some(200),
            phases: PLAIN,
            says: "",
        },
        Wanted {
            slug: "missing",
            status: "unhealthy",
            error_kind: Some("assertion"),
            http_status: Some(404),
            phases: PLAIN,
            says: "404",
        },
        Wanted {
            slug: "broken",
            status: "unhealthy",
            error_kind: Some("assertion"),
            http_status: Some(500),
            phases: PLAIN,
            says: "500",
        },
        Wanted {
            slug: "wanted-404",
            status: "healthy",
            error_kind: None,
            http_status: Some(404),
            phases: PLAIN,
            says: "",
        },
        Wanted {
            slug: "with-text",
            status: "healthy",
            error_kind: None,
            http_status: Some(200),
            phases: PLAIN,
            says: "",
        },
        Wanted {
            slug: "without-text",
            status: "unhealthy",
            error_kind: Some("assertion"),
            http_status: Some(200),
            phases: PLAIN,
            says: "all bad",
        },
        Wanted {
            slug: "slow",
            status: "degraded",
            error_kind: Some("assertion"),
            http_status: Some(200),
            phases: PLAIN,
            says: "200",
        },
        Wanted {
            slug: "slow-enough",
            status: "healthy",
            error_kind: None,
            http_status: Some(200),
            phases: PLAIN,
            says: "",
        },
        Wanted {
            slug: "too-slow",
            status: "error",
            error_kind: Some("timeout"),
            http_status: None,
            phases: CONNECT,
            says: "",
        },
        Wanted {
            slug: "refused",
            status: "error",
            error_kind: Some("connect"),
            http_status: None,
            phases: &[],
            says: "refused",
        },
        Wanted {
            slug: "never-answers",
            status: "error",
            error_kind: Some("timeout"),
            http_status: None,
            phases: CONNECT,
            says: "",
        },
        Wanted {
            slug: "no-such-name",
            status: "error",
            error_kind: Some("dns"),
            http_status: None,
            phases: &[],
            says: "no-such-name.invalid",
        },
    ] {
        if wanted.error_kind == Some("timeout") {
            look_at_a_timeout(&api, &wanted).await;
        } else {
            look(&api, &wanted).await;
        }
    }
}

/// Checks that it takes as long as the time-out and not much longer, and that its text names it.
async fn look_at_a_timeout(api: &Api, wanted: &Wanted) {
    let started = Instant::now();
    let found = api.check(wanted.slug).await;
    let took = started.elapsed();
    assert_eq!(
        [&found["status"], &found["errorKind"]],
        ["error", "timeout"],
        "{}: {found}",
        wanted.slug
    );
    assert!(
        found["phases"]["connectUs"].is_u64(),
        "{}: it did connect: {found}",
        wanted.slug
    );
    assert!(
        found["error"]
            .as_str()
            .is_some_and(|error| !error.is_empty()),
        "{found}"
    );
    let timeout = Duration::from_millis(TIMEOUT_MS);
    assert!(
        (timeout * 8 / 10..timeout + Duration::from_secs(3)).contains(&took),
        "{} took {took:?}",
        wanted.slug
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_judged() {
    let (authority, stranger) = (Authority::new("Trusted"), Authority::new("Stranger"));
    let good = TargetServer::start_tls(&authority.sign(&["localhost", "127.0.0.1"], -10, 90)).await;
    let expired =
        TargetServer::start_tls(&authority.sign(&["localhost", "127.0.0.1"], -90, -2)).await;
    let wrong_name = TargetServer::start_tls(&authority.sign(&["other.test"], -10, 90)).await;
    let unknown =
        TargetServer::start_tls(&stranger.sign(&["localhost", "127.0.0.1"], -10, 90)).await;
    let soon = TargetServer::start_tls(&authority.sign(&["localhost", "127.0.0.1"], -80, 6)).await;
    let plain = TargetServer::start().await;

    let https = |slug: &str, host: &str, server: &TargetServer| {
        service(
            slug,
            "REST",
            &format!("https://{host}:{}", server.port()),
            ", settings: {path: /health}",
        )
    };
    let tls = |slug: &str, server: &TargetServer, settings: &str| {
        service(
            slug,
            "TLS",
            &format!("localhost:{}", server.port()),
            &format!(", settings: {{{settings}}}"),
        )
    };
    let yaml = [
        "services:".to_owned(),
        https("https-ok", "127.0.0.1", &good),
        https("https-by-name", "localhost", &good),
        https("https-expired", "localhost", &expired),
        https("https-wrong-name", "localhost", &wrong_name),
        https("https-unknown", "localhost", &unknown),
        https("https-to-plain", "localhost", &plain),
        tls("tls-ok", &good, ""),
        tls("tls-soon", &soon, "warnDays: 14"),
        tls("tls-expired", &expired, ""),
        tls("tls-wrong-name", &wrong_name, ""),
        tls("tls-unknown", &unknown, ""),
        String::new(),
    ]
    .join("");
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, authority.certificate()).unwrap();
    let runtime = TestRuntime::builder()
        .services(yaml)
        .env("SSL_CERT_FILE", roots.to_str().unwrap())
        .start()
        .await;
    let api = runtime.api();
    let tls = |slug, says| Wanted {
        slug,
        status: "error",
        error_kind: Some("tls"),
        http_status: None,
        phases: CONNECT,
        says,
    };
    for wanted in [
        Wanted {
            slug: "https-ok",
            status: "healthy",
            error_kind: None,
            http_status: Some(200),
            phases: SECURE,
            says: "",
        },
        Wanted {
            slug: "https-by-name",
            status: "healthy",
            error_kind: None,
            http_status: Some(200),
            phases: SECURE_BY_NAME,
            says: "",
        },
        tls("https-expired", "expired"),
        tls("https-wrong-name", "localhost"),
        tls("https-unknown", "nknown"),
        tls("https-to-plain", ""),
    ] {
        look_at_tls(&api, &wanted).await;
    }

    let ok = api.check("tls-ok").await;
    assert_eq!(ok["status"], "healthy", "{ok}");
    let days = &ok["metrics"]["certificate_days_left"];
    assert!(
        days.as_f64()
            .is_some_and(|days| (88.0..=90.0).contains(&days)),
        "{ok}"
    );
    let soon = api.check("tls-soon").await;
    assert_eq!(soon["status"], "degraded", "{soon}");
    assert!(
        soon["metrics"]["certificate_days_left"]
            .as_f64()
            .is_some_and(|days| (4.0..=6.0).contains(&days)),
        "{soon}"
    );
    for (slug, says) in [
        ("tls-expired", "expired"),
        ("tls-wrong-name", "localhost"),
        ("tls-unknown", "trusted"),
    ] {
        let bad = api.check(slug).await;
        assert_eq!(
            [&bad["status"], &bad["errorKind"]],
            ["unhealthy", "tls"],
            "{slug}: {bad}"
        );
        assert!(
            bad["error"]
                .as_str()
                .is_some_and(|error| error.contains(says)),
            "{slug}: {bad}"
        );
        assert!(
            bad["metrics"]["certificate_days_left"].is_i64(),
            "{slug}: {bad}"
        );
        assert!(bad["phases"]["tlsUs"].is_u64(), "{slug}: {bad}");
    }
}

async fn look_at_tls(api: &Api, wanted: &Wanted) {
    if wanted.status == "healthy" {
        return look(api, wanted).await;
    }
    let found = api.check(wanted.slug).await;
    assert_eq!(
        [&found["status"], &found["errorKind"]],
        ["error", "tls"],
        "{}: {found}",
        wanted.slug
    );
    assert!(
        found["phases"]["connectUs"].is_u64(),
        "{}: it did connect: {found}",
        wanted.slug
    );
    assert!(
        found["phases"]["firstByteUs"].is_null(),
        "{}: nothing was asked: {found}",
        wanted.slug
    );
    assert!(
        found["error"]
            .as_str()
            .is_some_and(|error| error.contains(wanted.says)),
        "{}: {found}",
        wanted.slug
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_looked_up() {
    let (dns, silent) = (DnsServer::start().await, HangingServer::start().await);
    let lookup = |slug: &str, name: &str, settings: &str| {
        service(
            slug,
            "DNS",
            name,
            &format!(", settings: {{server: \"{}\"{settings}}}", dns.address()),
        )
    };
    let yaml = [
        "services:".to_owned(),
        lookup("found", "up.test", ""),
        lookup("as-wanted", "up.test", ", expected: [\"192.0.2.10\"]"),
        lookup("not-as-wanted", "up.test", ", expected: [\"192.0.2.99\"]"),
        lookup("nxdomain", "down.test", ""),
        service(
            "no-server",
            "DNS",
            "up.test",
            &format!(", settings: {{server: \"{}\"}}", silent.address()),
        ),
        String::new(),
    ]
    .join("");
    let runtime = TestRuntime::builder().services(yaml).start().await;
    let api = runtime.api();
    for slug in ["found", "as-wanted"] {
        let found = api.check(slug).await;
        assert_eq!(
            [&found["status"], &found["errorKind"]],
            [&Value::from("healthy"), &Value::Null],
            "{slug}: {found}"
        );
        assert!(
            found["latencyUs"]
                .as_u64()
                .is_some_and(|latency| latency > 0),
            "{slug}: {found}"
        );
    }
    let wrong = api.check("not-as-wanted").await;
    assert_eq!(
        [&wrong["status"], &wrong["errorKind"]],
        ["unhealthy", "assertion"],
        "{wrong}"
    );
    assert!(
        wrong["error"]
            .as_str()
            .is_some_and(|error| error.contains("192.0.2.10") && error.contains("192.0.2.99")),
        "{wrong}"
    );
    let nxdomain = api.check("nxdomain").await;
    // The server answered, and not as wanted.
    assert_eq!(
        [&nxdomain["status"], &nxdomain["errorKind"]],
        ["unhealthy", "assertion"],
        "{nxdomain}"
    );
    assert!(
        nxdomain["error"]
            .as_str()
            .is_some_and(|error| error.contains("NXDOMAIN")),
        "{nxdomain}"
    );
    let started = Instant::now();
    let silent = api.check("no-server").await;
    // It accepts over TCP alone: over UDP there is no server.
    assert_eq!(silent["status"], "error", "{silent}");
    assert!(
        ["timeout", "dns", "connect"].contains(&silent["errorKind"].as_str().unwrap_or_default()),
        "{silent}"
    );
    assert!(started.elapsed() < Duration::from_millis(TIMEOUT_MS) + Duration::from_secs(3));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ports_are_tried() {
    let (nginx, silent, refusing) = (
        TargetServer::start().await,
        HangingServer::start().await,
        refusing_address(),
    );
    let tcp = |slug: &str, address: String| service(slug, "TCP", &address, "");
    let yaml = [
        "services:".to_owned(),
        tcp("open", nginx.address().to_string()),
        // It accepts, and that is all this probe asks for.
        tcp("silent", silent.address().to_string()),
        tcp("refused", refusing.to_string()),
        String::new(),
    ]
    .join("");
    let runtime = TestRuntime::builder().services(yaml).start().await;
    let api = runtime.api();
    for slug in ["open", "silent"] {
        look(
            &api,
            &Wanted {
                slug,
                status: "healthy",
                error_kind: None,
                http_status: None,
                phases: CONNECT,
                says: "",
            },
        )
        .await;
    }
    look(
        &api,
        &Wanted {
            slug: "refused",
            status: "error",
            error_kind: Some("connect"),
            http_status: None,
            phases: &[],
            says: "refused",
        },
    )
    .await;
}
