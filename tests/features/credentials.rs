//! Credentials of every kind reach the service they belong to; a plugin can use one and not see it,
//! not even in an echo.

mod signed;
mod stored;

use extrack_tests::guarded::{CLIENT, TOKEN_START};
use extrack_tests::{Authority, Guarded, TargetServer, TestRuntime, components};
use serde_json::{Value, json};

use crate::secrets::files_with;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_got_kept_and_renewed_over_the_egress_policy() {
    let vendor = Guarded::start().await;
    let service = |name: &str, token_url: &str, secret: &str| {
        format!(
            r#"
  - name: "{name}"
    baseUrl: "{}"
    healthEndpoint: "/health"
    authentication: {{type: oauth2, tokenUrl: "{token_url}", clientId: {}, clientSecret: "{secret}", clientAuth: post}}
    monitoring: {{interval: 86400, timeout: 5000}}"#,
            vendor.url(),
            CLIENT.0
        )
    };
    let good = format!("{}/token?x=1", vendor.url());
    let runtime = TestRuntime::builder()
        .services(format!(
            "services:{}{}{}\n",
            service("good", &good, "${LOGIN}"),
            service("wrong", &good, "wr0ng-s3cret"),
            service("metadata", "http://169.254.169.254/token", "${LOGIN}"),
        ))
        .env("LOGIN", CLIENT.1)
        .env("EXTRACK_LOG", "debug,extrack=trace")
        .start()
        .await;
    let api = runtime.api();
    for _ in 0..5 {
        assert_eq!(api.check("good").await["status"], "healthy");
    }
    let asked = vendor.tokens();
    assert!((1..=2).contains(&asked), "{asked} tokens for 5 checks");
    vendor.forget_tokens();
    let seen = api.check("good").await;
    assert_eq!(
        (&seen["status"], vendor.refused()),
        (&json!("healthy"), 1),
        "{seen}"
    );
    assert_eq!(vendor.tokens(), asked + 2);

    let wrong = api.check("wrong").await;
    let said = wrong["error"].as_str().unwrap_or_default();
    assert_eq!(wrong["status"], "error", "{wrong}");
    assert!(
        said.contains("credential `default` got no token") && said.contains("invalid_client"),
        "{said}"
    );
    assert!(
        said.contains("client_secret=***") && !said.contains("wr0ng"),
        "{said}"
    );
    let denied = api.check("metadata").await;
    assert_eq!(
        (&denied["errorKind"], vendor.refused()),
        (&json!("denied"), 1),
        "{denied}"
    );
    assert!(
        denied["error"]
            .as_str()
            .is_some_and(|text| text.contains("never allowed")),
        "{denied}"
    );
    assert!(!runtime.logs().contains("wr0ng-s3cret") && !runtime.logs().contains(CLIENT.1));
    assert!(!runtime.logs().contains(TOKEN_START));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_certificate_opens_the_door() {
    let authority = Authority::new("Test CA");
    let nginx = TargetServer::start_mutual(
        &authority.sign(&["localhost"], -1, 30),
        authority.certificate(),
    )
    .await;
    let client = authority.sign(&["client.example"], -1, 30);
    let stranger = Authority::new("Another CA").sign(&["client.example"], -1, 30);
    let url = format!("https://localhost:{}", nginx.port());
    let service = |name: &str, more: &str| {
        format!(
            "\n  - {{name: \"{name}\", baseUrl: \"{url}\", healthEndpoint: /health, monitoring: {{interval: 86400, timeout: 5000}}{more}}}"
        )
    };
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, authority.certificate()).unwrap();
    let mut runtime = TestRuntime::builder()
        .services(format!(
            "services:{}{}\n",
            service(
                "known",
                ", authentication: {type: mtls, certificateFile: client.pem, keyFile: client.key}"
            ),
            service("nobody", ""),
        ))
        .env("SSL_CERT_FILE", roots.to_str().unwrap())
        .prepare();
    std::fs::write(runtime.config().join("client.pem"), &client.certificate).unwrap();
    std::fs::write(runtime.config().join("client.key"), &client.key).unwrap();
    runtime.start().await;
    let api = runtime.api();
    let known = api.check("known").await;
    assert_eq!(known["status"], "healthy", "{known}");
    let nobody = api.check("nobody").await;
    assert_eq!(
        [&nobody["status"], &nobody["httpStatus"]],
        [&json!("unhealthy"), &json!(400)],
        "{nobody}"
    );

    // Over the API, where the key is sealed, and a key that is somebody else's is refused when it
    // is saved.
    let spec = |key: &str, identity: &str| {
        json!({
            "name": "By name", "baseUrl": url, "private": true, "healthEndpoint": "/health",
            "credentials": {"door": {"type": "mtls", "certificate": identity, "key": key}},
            "monitoring": {"interval": 86400, "timeout": 5000, "settings": {"auth": "door"}},
        })
    };
    let problem = api
        .post(
            "/api/v1/services",
            &spec(&stranger.key, &client.certificate),
        )
        .await
        .expect_problem(422);
    assert!(
        problem
            .to_string()
            .contains("the key does not belong to the certificate"),
        "{problem}"
    );
    let created = api
        .post("/api/v1/services", &spec(&client.key, &client.certificate))
        .await
        .expect(201);
    assert_eq!(created["credentials"]["door"]["key"], "***");
    let seen = api.check("by-name").await;
    assert_eq!(seen["status"], "healthy", "{seen}");
    let strange = api
        .put(
            "/api/v1/services/by-name",
            &spec(&stranger.key, &stranger.certificate),
        )
        .await;
    strange.expect(200);
    let seen = api.check("by-name").await;
    assert_ne!(seen["status"], "healthy", "{seen}");
    let line = client.key.lines().nth(1).unwrap();
    assert_eq!(files_with(&runtime.data(), line), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_service_echoes_of_a_credential_is_shown_to_nobody() {
    let vendor = Guarded::start().await;
    let services = format!(
        r#"
services:
  - name: "Echo"
    type: own
    baseUrl: "{0}"
    authentication: {{type: api_key, header: X-API-Key, value: "k3y-0f-many-w0rds/+="}}
    credentials:
      bearer: {{type: bearer, token: "b3arer/t0ken+0f-many"}}
      basic: {{type: basic, username: user, password: "p4ss w0rd &<>"}}
      query: {{type: query, parameter: key, value: "qu3ry/v4lue+%?"}}
      login: {{type: oauth2, tokenUrl: "{0}/token", clientId: {1}, clientSecret: "{2}", clientAuth: post}}
    monitoring: {{probe: probe-echoes, interval: 86400, timeout: 5000}}
"#,
        vendor.url(),
        CLIENT.0,
        CLIENT.1
    );
    let mut runtime = TestRuntime::builder()
        .services(services)
        .plugin("echoes.wasm", components::guest("probe-echoes"))
        .env("EXTRACK_LOG", "debug,extrack=trace")
        .start()
        .await;
    let api = runtime.api();
    let seen = api.check("echo").await;
    let said = seen["error"].as_str().unwrap_or_default();
    assert!(said.contains("echo of") && said.contains("***"), "{seen}");
    let metrics: Vec<&Value> = ["default", "bearer", "basic", "query", "login"]
        .map(|name| &seen["metrics"][format!("said_{name}")])
        .into();
    assert!(
        metrics
            .iter()
            .all(|text| text.as_str().is_some_and(|text| text.contains("***"))),
        "{metrics:?}"
    );
    let mut places = vec![("the observation", seen.to_string())];
    for table in ["observations", "plugin_runs"] {
        places.push((
            table,
            format!("{:?}", api.sql(&format!("SELECT * FROM {table}")).await),
        ));
    }
    runtime.stop().await;
    places.push(("the log", runtime.logs()));
    for secret in [
        "k3y-0f",
        "b3arer",
        "p4ss",
        "qu3ry",
        "v4lue",
        TOKEN_START,
        CLIENT.1,
        "cDRzcy",
        "ZXI6cDRzcw",
        "dXNlcjpwNHNz",
    ] {
        for (place, text) in &places {
            let line = text.lines().find(|line| line.contains(secret));
            assert!(line.is_none(), "`{secret}` is shown by {place}: {line:?}");
        }
        if secret.len() > 8 {
            assert_eq!(files_with(&runtime.data(), secret), Vec::<String>::new());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_smuggled_and_no_header_of_the_hosts_is_set() {
    let vendor = Guarded::start().await;
    let services = format!(
        r#"
services:
  - name: "Target"
    type: own
    baseUrl: "{}"
    authentication: {{type: api_key, header: X-API-Key, value: "k3y-0f-many-w0rds"}}
    credentials: {{query: {{type: query, parameter: key, value: "qu3ry-v4lue"}}}}
    monitoring: {{probe: probe-smuggles, interval: 86400, timeout: 5000}}
"#,
        vendor.url()
    );
    let runtime = TestRuntime::builder()
        .services(services)
        .plugin("smuggles.wasm", components::guest("probe-smuggles"))
        .start()
        .await;
    let seen = runtime.api().check("target").await;
    assert_eq!(seen["status"], "healthy", "{seen}");
    assert_eq!(vendor.smuggled(), 0);
}
