//! A caller of the program's HTTP API.

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{CONTENT_TYPE, HeaderMap, ORIGIN};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

/// Longer than the server takes before it gives up by itself.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
pub struct Api {
    base: String,
    token: Option<String>,
    http: reqwest::Client,
}

/// Reply of the server.
#[derive(Debug)]
pub struct Reply {
    pub request: String,
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Api {
    /// `base` without a slash at its end.
    pub fn new(base: impl Into<String>, token: Option<&str>) -> Self {
        Self {
            base: base.into(),
            token: token.map(str::to_owned),
            http: client(),
        }
    }

    pub fn anonymous(&self) -> Self {
        Self {
            token: None,
            ..self.clone()
        }
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.token {
            Some(token) => request.bearer_auth(token),
            None => request,
        }
    }

    /// `Err` when no answer came, as while the program is down.
    pub async fn try_send(&self, request: RequestBuilder) -> Result<Reply, reqwest::Error> {
        let request = request.build()?;
        let line = format!("{} {}", request.method(), request.url());
        let response = self.http.execute(request).await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Reply {
            request: line,
            status,
            headers,
            text: response.text().await?,
        })
    }

    pub async fn send(&self, request: RequestBuilder) -> Reply {
        self.try_send(request)
            .await
            .unwrap_or_else(|error| panic!("no answer: {error:?}"))
    }

    /// A path from the root: `/healthz`, `/api/v1/services`.
    pub async fn get(&self, path: &str) -> Reply {
        self.send(self.request(Method::GET, path)).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::POST, path).json(body)).await
    }

    /// Sends a form of a page, with its fields as a URL has them; `origin` is where the page is.
    pub async fn submit(&self, origin: &str, path: &str, fields: &str) -> Reply {
        let form = self
            .request(Method::POST, path)
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ORIGIN, origin)
            .body(fields.to_owned());
        self.send(form).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Reply {
        self.send(self.request(Method::PUT, path).json(body)).await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.send(self.request(Method::DELETE, path)).await
    }

    pub async fn plugin_put(&self, name: &str, component: &[u8]) -> Reply {
        let request = self.request(Method::PUT, &format!("/api/v1/plugins/{name}"));
        self.send(
            request
                .header(CONTENT_TYPE, "application/wasm")
                .body(component.to_vec()),
        )
        .await
    }

    /// Sends a component, with the text of its `.minisig` file.
    pub async fn plugin_put_signed(&self, name: &str, component: &[u8], signature: &str) -> Reply {
        let request = self.request(Method::PUT, &format!("/api/v1/plugins/{name}"));
        let signature = STANDARD.encode(signature);
        self.send(
            request
                .header("x-extrack-signature", signature)
                .body(component.to_vec()),
        )
        .await
    }

    pub async fn rollback(&self, name: &str) -> Reply {
        self.send(self.request(Method::POST, &format!("/api/v1/plugins/{name}/rollback")))
            .await
    }

    /// A candidate beside the active version.
    pub async fn shadow_put(&self, name: &str, component: &[u8]) -> Reply {
        let request = self.request(Method::PUT, &format!("/api/v1/plugins/{name}/shadow"));
        self.send(
            request
                .header(CONTENT_TYPE, "application/wasm")
                .body(component.to_vec()),
        )
        .await
    }

    pub async fn promote(&self, name: &str) -> Reply {
        self.send(self.request(Method::POST, &format!("/api/v1/plugins/{name}/promote")))
            .await
    }

    pub async fn discard(&self, name: &str) -> Reply {
        self.send(self.request(Method::POST, &format!("/api/v1/plugins/{name}/discard")))
            .await
    }

    /// All pages of a list.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let joint = if path.contains('?') { '&' } else { '?' };
        let (mut items, mut cursor) = (Vec::new(), String::new());
        loop {
            let mut page = self
                .get(&format!("{path}{joint}limit=500{cursor}"))
                .await
                .expect(200);
            items.append(page["items"].as_array_mut().expect("a list has `items`"));
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => return items,
            }
        }
    }

    pub async fn service(&self, slug: &str) -> Value {
        self.get(&format!("/api/v1/services/{slug}"))
            .await
            .expect(200)
    }

    /// Runs a probe now; the observation is stored when this returns.
    pub async fn check(&self, slug: &str) -> Value {
        self.send(self.check_request(slug)).await.expect(200)
    }

    pub fn check_request(&self, slug: &str) -> RequestBuilder {
        self.request(Method::POST, &format!("/api/v1/services/{slug}/check"))
    }

    pub async fn check_probe(&self, slug: &str, probe: &str) -> Value {
        let path = format!("/api/v1/services/{slug}/check?probe={probe}");
        self.send(self.request(Method::POST, &path))
            .await
            .expect(200)
    }

    /// The rows of an answer.
    pub async fn sql(&self, query: &str) -> Vec<Vec<Value>> {
        let body = json!({ "query": query });
        let mut reply = self.post("/api/v1/sql", &body).await;
        // The first files of a machine that stands still take longer than a question waits.
        for _ in 0..10 {
            if !(reply.status == 503 && reply.text.contains("is being prepared")) {
                break;
            }
            reply = self.post("/api/v1/sql", &body).await;
        }
        let answer = reply.expect(200);
        let rows = answer["rows"].as_array().expect("an answer has `rows`");
        rows.iter()
            .map(|row| row.as_array().expect("a row is a list").clone())
            .collect()
    }

    /// The first column of all rows, however many; `query` has to order them.
    pub async fn sql_numbers(&self, query: &str) -> Vec<i64> {
        const ROWS: usize = 5_000;
        let mut numbers = Vec::new();
        loop {
            let rows = self
                .sql(&format!("{query} LIMIT {ROWS} OFFSET {}", numbers.len()))
                .await;
            numbers.extend(
                rows.iter()
                    .map(|row| row[0].as_i64().expect("a whole number")),
            );
            if rows.len() < ROWS {
                return numbers;
            }
        }
    }

    /// The one number that a query answers.
    pub async fn sql_count(&self, query: &str) -> i64 {
        let rows = self.sql(query).await;
        rows[0][0]
            .as_i64()
            .unwrap_or_else(|| panic!("`{query}` answered {:?}, not a whole number", rows[0][0]))
    }

    pub async fn metrics(&self) -> String {
        self.get("/metrics").await.expect_text(200)
    }
}

impl Reply {
    /// The JSON of an answer with this status.
    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(
            self.status, status,
            "{} answered: {}",
            self.request, self.text
        );
        if self.text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{}: {error}: {}", self.request, self.text))
    }

    #[track_caller]
    pub fn expect_text(self, status: u16) -> String {
        assert_eq!(
            self.status, status,
            "{} answered: {}",
            self.request, self.text
        );
        self.text
    }

    /// Checks that it is a problem (RFC 9457): the status, the content type, and a body with the
    /// same status.
    #[track_caller]
    pub fn expect_problem(self, status: u16) -> Value {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}: {}",
            self.request,
            self.text
        );
        let problem = self.expect(status);
        assert_eq!(problem["status"], status, "{problem}");
        for key in ["type", "title", "detail"] {
            assert!(
                problem[key].as_str().is_some_and(|text| !text.is_empty()),
                "no `{key}` in {problem}"
            );
        }
        problem
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    }
}

/// A client that follows nothing and asks no proxy.
pub fn client() -> reqwest::Client {
    // Nothing here speaks TLS, but the client wants to know how it would.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .timeout(PATIENCE)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()
        .expect("a plain client can be built")
}
