//! What all pages share: the frame, the viewer's preferences, compression.

use std::io::Read;

use axum::http::header::{ACCEPT, ACCEPT_ENCODING, CONTENT_ENCODING, COOKIE, LOCATION, SET_COOKIE};

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

async fn page_with(router: &Router, path: &str, cookies: &str) -> String {
    let request = as_admin(Method::GET, path)
        .header(ACCEPT, "text/html")
        .header(COOKIE, cookies);
    send(router, request.body(Body::empty()).unwrap())
        .await
        .body
}

async fn prefer(router: &Router, fields: &str) -> Answer {
    let request = as_admin(Method::POST, "/preferences").header(CONTENT_TYPE, FORM);
    send(router, request.body(fields.to_owned().into()).unwrap()).await
}

#[tokio::test]
async fn theme_and_zone_are_kept_in_cookies_and_rule_the_pages() {
    let router = router(&world().await);
    let plain = page_with(&router, "/alerts", "").await;
    assert!(
        plain.contains(r#"<html lang="en" data-zone="UTC">"#) && plain.contains(" UTC</time>"),
        "{plain}"
    );
    let back = "back=%2Falerts%3Fx%3D1";
    let kept = prefer(&router, &format!("theme=dark&zone=Asia%2FKathmandu&{back}")).await;
    assert_eq!(kept.status, StatusCode::SEE_OTHER, "{}", kept.body);
    assert_eq!(kept.headers[LOCATION], "/alerts?x=1");
    let cookies: Vec<&str> = kept
        .headers
        .get_all(SET_COOKIE)
        .iter()
        .filter_map(|cookie| cookie.to_str().unwrap().split(';').next())
        .collect();
    assert_eq!(
        cookies,
        ["extrack_theme=dark", "extrack_zone=Asia/Kathmandu"]
    );
    let page = page_with(&router, "/alerts?x=1", &cookies.join("; ")).await;
    for part in [
        r#"data-theme="dark" data-zone="Asia/Kathmandu""#,
        r#"<option value="dark" selected>"#,
        r#"<input type="hidden" name="back" value="/alerts?x=1">"#,
        " +0545",
    ] {
        assert!(page.contains(part), "no `{part}` in {page}");
    }
}

#[tokio::test]
async fn preferences_that_make_no_sense_are_refused_and_lead_nowhere_else() {
    let router = router(&world().await);
    for (fields, status) in [
        ("theme=blue&zone=UTC", StatusCode::BAD_REQUEST),
        ("theme=dark&zone=Mars%2FBase", StatusCode::BAD_REQUEST),
        (
            "theme=dark&zone=UTC&back=%2F%2Fevil.org",
            StatusCode::SEE_OTHER,
        ),
    ] {
        let answer = prefer(&router, fields).await;
        assert_eq!(answer.status, status, "{fields}: {}", answer.body);
        assert!(
            answer
                .headers
                .get(LOCATION)
                .is_none_or(|place| place == "/"),
            "{fields}"
        );
    }
}

#[tokio::test]
async fn every_page_has_the_rooms_the_keys_and_the_number_of_open_alerts() {
    let router = router(&world().await);
    for path in ["/", "/alerts", "/help"] {
        let page = page_with(&router, path, "").await;
        assert!(page.contains("<title>(1) "), "{path}: {page}");
        assert!(
            page.contains(r#"<span class="open-count">1</span>"#),
            "{path}"
        );
        for (room, key) in [("/routing", "o"), ("/settings", "e"), ("/sql", "q")] {
            let link = format!(r#"<a href="{room}" data-go="{key}""#);
            assert!(page.contains(&link), "{path}: no {link}");
        }
        assert!(page.contains("<kbd>g q</kbd>"), "{path}");
    }
}

async fn encoded(router: &Router, path: &str, accepted: &str) -> (HeaderMap, Vec<u8>) {
    let request = as_admin(Method::GET, path).header(ACCEPT_ENCODING, accepted);
    let request = request.body(Body::empty()).unwrap();
    let (parts, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    (parts.headers, body.to_vec())
}

#[tokio::test]
async fn answers_are_compressed_for_clients_that_want_it() {
    let router = router(&world().await);
    for path in [
        "/",
        "/assets/app.css",
        "/assets/app.js",
        "/api/v1/openapi.json",
    ] {
        let (headers, plain) = encoded(&router, path, "identity").await;
        assert!(!headers.contains_key(CONTENT_ENCODING), "{path}");
        let (headers, packed) = encoded(&router, path, "gzip, br").await;
        assert_eq!(headers[CONTENT_ENCODING], "gzip", "{path}");
        assert!(
            packed.len() * 2 < plain.len(),
            "{path}: {} of {} bytes",
            packed.len(),
            plain.len()
        );
        let mut unpacked = Vec::new();
        flate2::read::GzDecoder::new(&packed[..])
            .read_to_end(&mut unpacked)
            .unwrap();
        if path != "/" {
            assert_eq!(unpacked, plain, "{path}");
        }
    }
    let (headers, _) = encoded(&router, "/login", "gzip").await;
    assert!(!headers.contains_key(CONTENT_ENCODING), "the login page");
}
