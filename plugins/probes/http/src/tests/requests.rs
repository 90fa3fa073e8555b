//! Requests, redirects and cookies.

use super::*;

#[test]
fn follows_redirects_without_taking_credentials_to_another_origin() {
    let host = Host::install();
    host.answer_http(URL, response(302, "").with_header("Location", "/up"));
    host.answer_http(
        "GET https://api.example.com/up",
        response(307, "").with_header("location", "https://b.example/up"),
    );
    host.answer_http("GET https://b.example/up", response(200, ""));
    let mut subject = subject();
    subject.credentials = vec!["default".to_owned()];
    let observation = check(&subject, &settings(json!({}))).unwrap();
    assert_eq!(observation.status, Status::Healthy);
    let auth: Vec<_> = host
        .http_requests()
        .into_iter()
        .map(|request| request.auth)
        .collect();
    assert_eq!(
        auth,
        [Some("default".to_owned()), Some("default".to_owned()), None]
    );
    assert!(matches!(
        observation.metrics.last().map(|entry| &entry.value),
        Some(Value::Integer(2))
    ));
}

#[test]
fn a_url_in_the_query_is_no_whole_url() {
    let host = Host::install();
    let asked = "GET http://127.0.0.1:18100/probe?target=https://shop.example/health";
    host.answer_http(asked, response(200, ""));
    let mut subject = Check::of("http://127.0.0.1:18100");
    let path = "/probe?target=https://shop.example/health";
    let endpoint = extrack_plugin::value::Entry {
        key: "health-endpoint".to_owned(),
        value: path.into(),
    };
    subject.service.attributes.push(endpoint);
    assert_eq!(
        check(&subject, &settings(json!({}))).unwrap().status,
        Status::Healthy
    );
    let subject = Check::of("http://127.0.0.1:18100");
    assert_eq!(
        check(&subject, &settings(json!({ "path": path })))
            .unwrap()
            .status,
        Status::Healthy
    );
    host.answer_http("GET https://other.example/x", response(200, ""));
    let whole = settings(json!({"path": "https://other.example/x"}));
    assert_eq!(check(&subject, &whole).unwrap().status, Status::Healthy);
}

#[test]
fn a_cookie_that_a_redirect_sets_is_sent_to_the_same_host_only() {
    let host = Host::install();
    let to = |location: &str| response(302, "").with_header("location", location);
    host.answer_http(
        URL,
        to("/in").with_header("set-cookie", "session=1; Path=/; HttpOnly"),
    );
    host.answer_http("GET https://api.example.com/in", to("https://b.example/"));
    host.answer_http("GET https://b.example/", to("https://api.example.com/out"));
    host.answer_http("GET https://api.example.com/out", response(200, ""));
    assert_eq!(
        run(json!({"headers": {"Cookie": "own=1"}})).status,
        Status::Healthy
    );
    let cookies: Vec<Option<String>> = host
        .http_requests()
        .into_iter()
        .map(|request| {
            request
                .headers
                .into_iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("cookie"))
        })
        .map(|cookie| cookie.map(|(_, value)| value))
        .collect();
    let of = |text: &str| Some(text.to_owned());
    assert_eq!(
        cookies,
        [of("own=1"), of("own=1; session=1"), None, of("session=1")]
    );
}

#[test]
fn stops_at_a_redirect_that_was_asked_for_and_after_the_last_hop() {
    for (wanted, status) in [
        (json!({"expectedStatus": 302}), Status::Healthy),
        (json!({"followRedirects": 3}), Status::Unhealthy),
    ] {
        let host = Host::install();
        host.answer_http(URL, response(302, "").with_header("location", "/health"));
        assert_eq!(run(wanted).status, status);
    }
}

#[test]
fn builds_the_request_from_the_settings() {
    let host = Host::install();
    host.answer_http(
        "POST https://api.example.com/v1/ping?x=1",
        response(200, ""),
    );
    run(json!({
        "path": "/v1/ping?x=1", "method": "post", "headers": {"Accept": "text/plain"}, "body": "ping",
        "insecure": true, "maxBodyBytes": 1000, "auth": "metrics",
    }));
    let request = &host.http_requests()[0];
    assert_eq!(
        request.headers,
        [("Accept".to_owned(), "text/plain".to_owned())]
    );
    assert_eq!(request.body.as_deref(), Some(b"ping".as_slice()));
    assert_eq!(request.auth.as_deref(), Some("metrics"));
    let options: Vec<&str> = request
        .options
        .iter()
        .map(|entry| entry.key.as_str())
        .collect();
    assert_eq!(options, ["max-body-bytes", "insecure"]);
}
