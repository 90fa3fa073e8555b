//! Deeds of hostile guests, numbered as the attacks were when they were found: what was possible
//! once, and what becomes of it now. Others of them are in `../reach.rs` (D5, D11, D12), and what no
//! guest can bring about is shown where it happens: the `tls` probe's verdict (D20), slots in an
//! outage (D21, `../outage.rs`), answers that are cut off (D22, beside `net/dns`).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use extrack_tests::guarded::CLIENT;
use extrack_tests::{
    Guarded, Mailbox, Names, PATIENCE, RecordingServer, TargetServer, TestRuntime, components,
    wait_for,
};
use serde_json::{Value, json};

use super::{beside, wait_for_runs};

const GUEST: &str = "probe-schemes";

/// A service of the configuration that uses the guest, in the JSON that is YAML as well.
fn service(name: &str, url: &str, interval: u32, settings: &Value) -> String {
    let monitoring =
        json!({"probe": GUEST, "interval": interval, "timeout": 10_000, "settings": settings});
    let service = json!({"name": name, "type": "own", "baseUrl": url, "monitoring": monitoring});
    format!("\n  - {service}")
}

async fn runtime(services: &str) -> TestRuntime {
    TestRuntime::builder()
        .services(format!("services:{services}\n"))
        .plugin("probe-schemes.wasm", components::guest(GUEST))
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d1_expressions_without_end_cost_their_own_runs_only() {
    let nginx = TargetServer::start().await;
    let doubled = format!("['xxxxxxxxxxxxxxxx']{} == []", ".map(a, a + a)".repeat(35));
    let nested = (0..12).fold("0".to_owned(), |inner, depth| {
        format!("[0,0,0,0,0,0,0,0,0,0].map(v{depth}, {inner})")
    });
    let sum = vec!["1"; 2_000].join("+");
    let bombs: String = [doubled, nested, sum]
        .into_iter()
        .enumerate()
        .map(|(index, bomb)| {
            let settings = json!({"deed": "evaluate", "expressions": [bomb]});
            service(&format!("bomb {index}"), &nginx.url(), 2, &settings)
        })
        .collect();
    let hyphens = format!("'{}' == ''", "-".repeat(65));
    let fine = json!({"deed": "evaluate", "expressions": [hyphens, "1 + 1"]});
    let fine = service("fine", &nginx.url(), 86_400, &fine);
    let runtime = TestRuntime::builder()
        .services(format!("{}{bombs}{fine}\n", beside(&nginx, 20)))
        .plugin("probe-schemes.wasm", components::guest(GUEST))
        .start()
        .await;
    let api = runtime.api();
    wait_for_runs(&api, GUEST, "check", 12).await;
    // Either the evaluation is refused, or the run ends by its own limit.
    let ends = api
        .sql(&format!(
            "SELECT DISTINCT outcome, error FROM plugin_runs WHERE plugin = '{GUEST}' AND function = 'check' \
             AND service LIKE 'bomb-%' AND outcome NOT IN ('ok', 'limit')"
        ))
        .await;
    assert!(ends.is_empty(), "{ends:?}");
    let ended = api
        .sql("SELECT DISTINCT metrics->>'expression_0' FROM observations WHERE service LIKE 'bomb-%' AND status = 'healthy'")
        .await;
    // The sum is long, and no more than that.
    let is_bounded = |row: &Vec<Value>| {
        let end = row[0].as_str().unwrap_or_default();
        end.starts_with("refused: ") || end == "2000"
    };
    assert!(ended.iter().all(is_bounded), "{ended:?}");
    let found = api.check("fine").await;
    assert_eq!(
        (
            &found["metrics"]["expression_0"],
            &found["metrics"]["expression_1"]
        ),
        (&json!("false"), &json!("2")),
        "{found}"
    );
    let harmed = api
        .sql("SELECT service, status, error FROM observations WHERE service LIKE 'beside-%' AND NOT missed AND status <> 'healthy'")
        .await;
    assert!(harmed.is_empty(), "{harmed:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d4_a_secret_in_any_place_of_a_schema_is_seen_by_nobody() {
    let settings = json!({
        "deed": "show", "beside": "s3cret-beside", "twice": "s3cret-twice", "one": {"token": "s3cret-one"},
        "any": "s3cret-any-of", "all": {"token": "s3cret-all-of"}, "listed": ["plain", "s3cret-listed"],
        "named": {"key-a": "s3cret-named"},
        "chosen": {"kind": "basic", "password": "s3cret-chosen"},
    });
    let runtime = runtime(&service("shop", "http://192.0.2.1", 86_400, &settings)).await;
    let api = runtime.api();
    let found = api.check("shop").await;
    let seen = &found["metrics"];
    assert_eq!(seen["deed"], "\"show\"", "{found}");
    assert_eq!(
        seen["one"], r#"{"token":{"$secret":"/one/token"}}"#,
        "{found}"
    );
    let shown = api.service("shop").await;
    assert_eq!(
        shown["monitoring"]["settings"]["listed"],
        json!(["plain", "***"]),
        "{shown}"
    );
    let recordings = wait_for("the recording", PATIENCE, async || {
        let kept = api.list("/api/v1/recordings?service=shop").await;
        match kept.first() {
            Some(kept) => Ok(api
                .get(&format!("/api/v1/recordings/{}", kept["runId"]))
                .await),
            None => Err("none yet".to_owned()),
        }
    })
    .await;
    assert!(recordings.text.contains("show"), "{}", recordings.text);
    for (place, text) in [
        ("the guest", found.to_string()),
        ("the API", shown.to_string()),
        ("the recording", recordings.text.clone()),
        ("the log", runtime.logs()),
    ] {
        assert!(!text.contains("s3cret"), "{place}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d6_no_text_stands_for_a_secret_wherever_it_is_written() {
    const KEY: &str = "s3cret-of-the-settings";
    let server = RecordingServer::start().await;
    let settings = json!({"deed": "write", "key": KEY});
    let runtime = runtime(&service("shop", &server.url(), 86_400, &settings)).await;
    let found = runtime.api().check("shop").await;
    let ended = found["metrics"].as_object().expect("it reports");
    assert_eq!(ended.len(), 5, "{found}");
    for statuses in ended.values() {
        assert_eq!(statuses, "200 200 200 200 200 200 200", "{found}");
    }
    let requests = server.requests();
    assert_eq!(requests.len(), 5 * 7);
    let written = requests.concat();
    assert!(written.contains("x-text: {{secret:/key}}"), "{written}");
    for hidden in [KEY.to_owned(), STANDARD.encode(KEY)] {
        assert!(!written.contains(&hidden), "{written}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d11_strangers_names_are_not_asked_for_and_a_path_is_no_host() {
    let names = Names::start().await;
    let (own, strangers) = (
        ["shop.test", "db.shop.test"],
        [
            "db.corp.test",
            "data-of-ours.evil.test",
            "shop.test.evil.test",
        ],
    );
    for name in own.iter().chain(&strangers) {
        names.set(name, &["127.0.0.1"]);
    }
    names.set("metrics", &["127.0.0.1"]);
    let all: Vec<&str> = own.into_iter().chain(strangers).collect();
    let asking = json!({"deed": "look-up", "names": all});
    let reaching = json!({"deed": "reach", "path": "metrics"});
    let services = [
        service("asks", "http://shop.test", 86_400, &asking),
        service("reaches", "http://shop.test", 86_400, &reaching),
    ];
    let runtime = TestRuntime::builder()
        .names(&names)
        .services(format!("services:{}\n", services.concat()))
        .plugin("probe-schemes.wasm", components::guest(GUEST))
        .start()
        .await;
    let api = runtime.api();
    let found = api.check("asks").await;
    let ended = |name: &str| {
        let ended = &found["metrics"][name.replace('.', "_")];
        ended.as_str().unwrap_or_default().to_owned()
    };
    for name in own {
        assert_eq!(ended(name), "answered", "{found}");
    }
    for name in strangers {
        assert!(ended(name).starts_with("denied: "), "{name}: {found}");
        assert_eq!(names.queries(name), 0, "{name} was asked for");
    }
    let found = api.check("reaches").await;
    let ended = found["metrics"]["ended"].as_str().unwrap_or_default();
    assert!(ended.starts_with("denied: "), "{found}");
    assert_eq!(names.queries("metrics"), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d13_a_name_that_leads_nowhere_today_is_no_refusal() {
    let names = Names::start().await;
    names.set("shop.test", &["0.0.0.0"]);
    let services = json!({
        "name": "shop", "type": "own", "baseUrl": "http://shop.test",
        "monitoring": {"probe": "probe-attempts", "interval": 86_400, "timeout": 10_000,
                       "settings": {"attempts": [{"url": "http://shop.test/"}]}},
    });
    let runtime = TestRuntime::builder()
        .names(&names)
        .services(format!("services:\n  - {services}\n"))
        .plugin("probe-attempts.wasm", components::guest("probe-attempts"))
        .start()
        .await;
    let found = runtime.api().check("shop").await;
    let ended = found["metrics"]["attempt_00"].as_str().unwrap_or_default();
    assert!(ended.starts_with("dns: "), "worth another attempt: {found}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d14_mail_goes_to_and_from_nobody_but_those_that_the_operator_named() {
    let mailbox = Mailbox::start().await;
    let many: Vec<String> = (0..101)
        .map(|index| format!("victim{index}@example.net"))
        .collect();
    let mails = json!([
        {}, {"to": ["victim@example.net"]}, {"to": ["ops@example.org", "victim@example.net"]}, {"to": many},
        {"from": "boss@example.net"}, {"to": ["Ops <ops@example.org>, victim@example.net"]},
    ]);
    let channel =
        json!({"channel": "notifier-spams", "recipients": ["ops@example.org"], "mails": mails});
    let runtime = TestRuntime::builder()
        .env("SMTP_HOST", "127.0.0.1")
        .env("SMTP_PORT", mailbox.port().to_string())
        .env("SMTP_TLS", "none")
        .env("SMTP_FROM", "watch@example.org")
        .alerts(format!("alerts: []\nnotifications:\n  - {channel}\n"))
        .plugin("notifier-spams.wasm", components::guest("notifier-spams"))
        .start()
        .await;
    let tested = runtime
        .api()
        .post("/api/v1/channels/notifier-spams/test", &json!({}))
        .await
        .expect(200);
    assert_eq!(tested["delivered"], true, "{tested}");
    let mails = mailbox.mails();
    assert_eq!(mails.len(), 1, "{tested} {mails:?}");
    assert_eq!(
        (mails[0].from.as_str(), mails[0].to.as_slice()),
        (
            "watch@example.org",
            ["ops@example.org".to_owned()].as_slice()
        )
    );
}

/// A component with one function that takes a compiler many seconds: 50,000 locals that are alive in
/// 100,000 blocks.
fn slow_to_compile() -> Vec<u8> {
    let section = |id: u8, content: &[u8]| [&[id][..], &leb(content.len()), content].concat();
    let locals = [&[1][..], &leb(50_000), &[0x7f]].concat();
    let body = [
        locals.as_slice(),
        &[0x02, 0x40, 0x0b].repeat(100_000),
        &[0x0b],
    ]
    .concat();
    let body = [leb(body.len()), body].concat();
    let module = [
        b"\0asm\x01\0\0\0".as_slice(),
        &section(1, &[1, 0x60, 0, 0]),
        &section(3, &[1, 0]),
        &section(10, &[vec![1], body].concat()),
    ]
    .concat();
    [b"\0asm\x0d\0\x01\0".as_slice(), &section(1, &module)].concat()
}

/// An unsigned number as WebAssembly writes it.
fn leb(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value > 0x7f {
        bytes.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d16_a_component_that_takes_the_compiler_long_is_refused_by_the_operators_limit() {
    let runtime = TestRuntime::builder()
        .env("EXTRACK_COMPILE_CPU", "1")
        .start()
        .await;
    let refused = runtime
        .api()
        .plugin_put("bomb", &slow_to_compile())
        .await
        .expect_problem(422);
    let detail = refused["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains("more than 1s of CPU time") && detail.contains("`EXTRACK_COMPILE_CPU`"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d19_a_service_that_takes_no_token_is_not_asked_for_a_new_one_each_time() {
    let vendor = Guarded::start().await;
    let attempt = json!({"url": format!("{}/never", vendor.url()), "auth": "default"});
    let service = json!({
        "name": "shop", "type": "own", "baseUrl": vendor.url(),
        "authentication": {"type": "oauth2", "tokenUrl": format!("{}/token", vendor.url()), "clientId": CLIENT.0,
                           "clientSecret": CLIENT.1, "clientAuth": "post"},
        "monitoring": {"probe": "probe-attempts", "interval": 86_400, "timeout": 20_000,
                       "settings": {"attempts": vec![attempt; 10]}},
    });
    let runtime = TestRuntime::builder()
        .services(format!("services:\n  - {service}\n"))
        .plugin("probe-attempts.wasm", components::guest("probe-attempts"))
        .start()
        .await;
    for _ in 0..3 {
        let found = runtime.api().check("shop").await;
        let ended = found["metrics"].as_object().expect("it reports");
        assert_eq!(ended.len(), 10, "{found}");
        for end in ended.values() {
            assert!(
                end.as_str().is_some_and(|end| end.starts_with("401 ")),
                "{found}"
            );
        }
    }
    let tokens = vendor.tokens();
    assert!((1..=2).contains(&tokens), "{tokens} tokens for 30 requests");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d22_a_name_server_that_fails_is_followed_by_the_next_one() {
    let (failing, good) = (Names::start_failing().await, Names::start().await);
    good.set("shop.test", &["127.0.0.1"]);
    let settings = json!({"deed": "look-up", "names": ["shop.test"]});
    let runtime = TestRuntime::builder()
        .env(
            "EXTRACK_NAMESERVERS",
            format!("{},{}", failing.address(), good.address()),
        )
        .services(format!(
            "services:{}\n",
            service("shop", "http://shop.test", 86_400, &settings)
        ))
        .plugin("probe-schemes.wasm", components::guest(GUEST))
        .start()
        .await;
    let found = runtime.api().check("shop").await;
    assert_eq!(found["metrics"]["shop_test"], "answered", "{found}");
    assert!(good.queries("shop.test") > 0);
}
