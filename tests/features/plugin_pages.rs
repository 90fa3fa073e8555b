//! The page of a plugin: its forms install, replace and roll back versions.

use extrack_tests::runtime::TOKEN;
use extrack_tests::{Api, Reply, TargetServer, TestRuntime, components};
use reqwest::Method;
use serde_json::json;

/// Signed in by the form, as a browser is.
struct Browser {
    api: Api,
    origin: String,
    cookie: String,
}

impl Browser {
    async fn sign_in(runtime: &TestRuntime) -> Self {
        let api = runtime.api().anonymous();
        let form = api
            .request(Method::POST, "/login")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(format!("token={TOKEN}"));
        let reply = api.send(form).await;
        let cookie = reply.header("set-cookie").split(';').next().unwrap();
        Self {
            cookie: cookie.to_owned(),
            origin: runtime.url().to_owned(),
            api,
        }
    }

    async fn page(&self, path: &str) -> String {
        let request = self.api.request(Method::GET, path);
        let reply = self.api.send(request.header("cookie", &self.cookie)).await;
        reply.expect_text(200)
    }

    async fn submit(&self, path: &str, content_type: &str, origin: &str, body: Vec<u8>) -> Reply {
        let request = self
            .api
            .request(Method::POST, path)
            .header("cookie", &self.cookie)
            .header("origin", origin)
            // A form that is refused before it was read ends its connection.
            .header("connection", "close")
            .header("content-type", content_type);
        self.api.send(request.body(body)).await
    }

    /// Sends a component, as the form of a page does.
    async fn upload(&self, path: &str, origin: &str, name: &str, component: &[u8]) -> Reply {
        let mut body = format!(
            "--limit\r\ncontent-disposition: form-data; name=\"name\"\r\n\r\n{name}\r\n\
             --limit\r\ncontent-disposition: form-data; name=\"component\"; filename=\"plugin.wasm\"\r\n\
             content-type: application/wasm\r\n\r\n"
        )
        .into_bytes();
        body.extend_from_slice(component);
        // A file that was not chosen is sent as an empty one.
        body.extend_from_slice(
            b"\r\n--limit\r\ncontent-disposition: form-data; name=\"signature\"; filename=\"\"\r\n\r\n\r\n--limit--\r\n",
        );
        let content_type = "multipart/form-data; boundary=limit";
        self.submit(path, content_type, origin, body).await
    }

    async fn roll_back(&self, fields: &str) -> Reply {
        let content_type = "application/x-www-form-urlencoded";
        let path = "/plugins/swapped/rollback";
        let body = fields.as_bytes().to_vec();
        self.submit(path, content_type, &self.origin, body).await
    }

    /// Shows the plugin, whose versions have these states.
    async fn expect_versions(&self, versions: &[(&str, &str)]) -> String {
        let page = self.page("/plugins/swapped").await;
        for (version, state) in versions {
            let row = format!("<td>{version}</td><td>{state}</td>");
            assert!(page.contains(&row), "no `{row}` in {page}");
        }
        page
    }
}

#[track_caller]
fn expect_back(reply: &Reply) {
    assert_eq!(reply.status, 303, "{}: {}", reply.request, reply.text);
    assert_eq!(reply.header("location"), "/plugins/swapped");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plugin_is_swapped_and_rolled_back_by_the_forms_of_its_page() {
    let nginx = TargetServer::start().await;
    let runtime = TestRuntime::builder().start().await;
    let (api, browser) = (runtime.api(), Browser::sign_in(&runtime).await);
    let [one, two] = ["swapped-one", "swapped-two"].map(components::guest);
    let own = browser.origin.as_str();
    expect_back(
        &browser
            .upload("/plugins/install", own, "swapped", &one)
            .await,
    );
    browser.expect_versions(&[("1.0.0", "active")]).await;
    let service = json!({
        "name": "Shop", "type": "own", "baseUrl": nginx.url(), "private": true,
        "monitoring": {"probe": "swapped", "interval": 3600, "settings": {"path": "/health"}},
    });
    api.post("/api/v1/services", &service).await.expect(201);
    assert_eq!(api.check("shop").await["pluginVersion"], "1.0.0");

    // A form of another site changes nothing, and neither does what is no component.
    let path = "/plugins/swapped/upload";
    let foreign = browser
        .upload(path, "https://evil.example", "swapped", &two)
        .await;
    assert_eq!(foreign.status, 403, "{}", foreign.text);
    let refused = browser.upload(path, own, "swapped", b"#!/bin/sh\n").await;
    assert_eq!(refused.status, 422, "{}", refused.text);
    assert!(
        refused.text.contains("That was not done") && refused.text.contains("not WebAssembly"),
        "{}",
        refused.text
    );
    assert_eq!(api.check("shop").await["pluginVersion"], "1.0.0");

    expect_back(&browser.upload(path, own, "swapped", &two).await);
    let page = browser
        .expect_versions(&[("2.0.0", "active"), ("1.0.0", "previous")])
        .await;
    assert!(page.contains("href=\"/services/shop\""), "{page}");
    assert_eq!(api.check("shop").await["pluginVersion"], "2.0.0");

    // To the version before, and by digest to the one that was left.
    expect_back(&browser.roll_back("").await);
    browser
        .expect_versions(&[("1.0.0", "active"), ("2.0.0", "previous")])
        .await;
    assert_eq!(api.check("shop").await["pluginVersion"], "1.0.0");
    let digest = components::sha256(&two);
    expect_back(&browser.roll_back(&format!("to={digest}")).await);
    browser
        .expect_versions(&[("2.0.0", "active"), ("1.0.0", "previous")])
        .await;
    assert_eq!(api.check("shop").await["pluginVersion"], "2.0.0");
}
