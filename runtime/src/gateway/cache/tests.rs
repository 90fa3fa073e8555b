//! The cache as the gateway asks it, with answers as vendors send them.

use std::time::Duration;

use http::Request;

use super::*;

fn cache(settings: CacheSettings) -> Arc<Cache> {
    Arc::new(Cache::new(&settings))
}

fn settings() -> CacheSettings {
    CacheSettings {
        paths: Vec::new(),
        shared: false,
        max_bytes: 1024 * 1024,
        max_entries: 100,
    }
}

fn consumer(id: i64) -> Consumer {
    Consumer {
        id,
        name: format!("c{id}").into(),
        services: vec!["*".to_owned()],
        created_ms: 0,
        created_by: String::new(),
    }
}

type Lines<'a> = &'a [(&'static str, &'a str)];

fn asks(cache: &Arc<Cache>, of: i64, method: &str, uri: &str, lines: Lines<'_>) -> Option<Asked> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in lines {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let path = parts.uri.path().to_owned();
    let segments: Vec<String> = path[1..].split('/').map(str::to_owned).collect();
    let question = Question {
        parts: &parts,
        path: &path,
        segments: &segments,
        consumer: &consumer(of),
        has_body: false,
    };
    cache.ask(&question, Instant::now())
}

fn headers(lines: Lines<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, value.parse().unwrap());
    }
    headers
}

#[track_caller]
fn forward(asked: Option<Asked>) -> Forward {
    match asked {
        Some(Asked::Forward(forward)) => *forward,
        Some(Asked::Hit(reply)) => panic!("a hit: {reply:?}"),
        _ => panic!("not asked"),
    }
}

#[track_caller]
fn hit(asked: Option<Asked>) -> Reply {
    match asked {
        Some(Asked::Hit(reply)) => reply,
        Some(Asked::Forward(forward)) => {
            let mut headers = HeaderMap::new();
            forward.answered(StatusCode::IM_A_TEAPOT, &mut headers, Instant::now());
            panic!("no hit: {headers:?}")
        }
        _ => panic!("not asked"),
    }
}

/// The vendor answers a request of a consumer for `/a` with `GET`.
fn fetched(
    cache: &Arc<Cache>,
    of: i64,
    request: Lines<'_>,
    answer: Lines<'_>,
    body: &str,
) -> String {
    let forward = forward(asks(cache, of, "GET", "/a", request));
    let mut sent = headers(answer);
    let filling = forward.answered(StatusCode::OK, &mut sent, Instant::now());
    if let Some(mut filling) = filling {
        filling.feed(body.as_bytes());
        filling.finish();
    }
    sent[CACHE_STATUS].to_str().unwrap().to_owned()
}

fn is_hit(cache: &Arc<Cache>, of: i64, request: Lines<'_>) -> bool {
    matches!(asks(cache, of, "GET", "/a", request), Some(Asked::Hit(_)))
}

const MINUTE: (&str, &str) = ("cache-control", "max-age=60");

#[tokio::test(start_paused = true)]
async fn an_answer_is_used_while_it_is_fresh_and_then_confirmed() {
    let cache = cache(settings());
    let sent = [
        MINUTE,
        ("etag", "\"v1\""),
        ("age", "10"),
        ("connection", "x-hop"),
        ("x-hop", "1"),
        ("x-ratelimit-remaining", "5"),
        ("retry-after", "9"),
        ("link", "<a>"),
        ("link", "<b>"),
        ("cache-status", "cdn; hit"),
    ];
    assert_eq!(fetched(&cache, 1, &[], &sent, "text"), "cdn; hit");
    tokio::time::advance(Duration::from_secs(49)).await;
    let reply = hit(asks(&cache, 1, "GET", "/a", &[]));
    assert_eq!(
        (reply.status, &reply.body[..]),
        (StatusCode::OK, &b"text"[..])
    );
    assert_eq!(reply.headers["age"], "59");
    assert_eq!(reply.headers.get_all("link").iter().count(), 2);
    let ours = reply.headers.get_all(CACHE_STATUS).iter().next_back();
    assert_eq!(ours.unwrap(), "extrack; hit; ttl=1");
    for gone in [
        "x-hop",
        "connection",
        "x-ratelimit-remaining",
        "retry-after",
    ] {
        assert!(!reply.headers.contains_key(gone), "{gone}");
    }

    tokio::time::advance(Duration::from_secs(1)).await;
    let forward = forward(asks(&cache, 1, "GET", "/a", &[("if-none-match", "\"v0\"")]));
    let mut request = headers(&[("if-none-match", "\"v0\""), ("if-modified-since", "x")]);
    forward.prepare(&mut request);
    assert_eq!(request, headers(&[("if-none-match", "\"v1\"")]));
    let confirms = headers(&[
        ("etag", "\"v1\""),
        ("cache-control", "max-age=5"),
        ("x-new", "1"),
    ]);
    let reply = forward
        .confirmed(StatusCode::NOT_MODIFIED, &confirms, Instant::now())
        .unwrap();
    assert_eq!(
        (reply.status, &reply.body[..]),
        (StatusCode::OK, &b"text"[..])
    );
    assert_eq!(
        (&reply.headers["age"], &reply.headers["x-new"]),
        (&"0".parse().unwrap(), &"1".parse().unwrap())
    );
    let ours = reply.headers.get_all(CACHE_STATUS).iter().next_back();
    assert_eq!(
        ours.unwrap(),
        "extrack; fwd=stale; fwd-status=304; stored; ttl=5"
    );
    assert!(is_hit(&cache, 1, &[]));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert!(!is_hit(&cache, 1, &[]));
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_kept_is_not() {
    for (request, answer, wanted) in [
        (&[][..], &[MINUTE][..], true),
        (&[], &[("cache-control", "s-maxage=9, max-age=0")], true),
        (&[], &[], false),
        (
            &[],
            &[("last-modified", "Tue, 14 Nov 2023 22:00:00 GMT")],
            false,
        ),
        (&[], &[MINUTE, ("cache-control", "No-Store")], false),
        (&[], &[MINUTE, ("cache-control", "PRIVATE")], false),
        (&[], &[MINUTE, ("cache-control", "no-cache")], false),
        (&[], &[MINUTE, ("set-cookie", "a=1")], false),
        (&[], &[MINUTE, ("vary", "accept, *")], false),
        (&[], &[MINUTE, ("age", "60")], false),
        (
            &[],
            &[MINUTE, ("date", "Tue, 14 Nov 2023 22:00:00 GMT")],
            false,
        ),
        (&[("authorization", "x")], &[MINUTE], false),
        (
            &[("authorization", "x")],
            &[("cache-control", "public, max-age=60")],
            true,
        ),
        (&[("cookie", "a=1")], &[MINUTE], false),
        (&[("range", "bytes=0-1")], &[MINUTE], false),
        (&[("cache-control", "no-store")], &[MINUTE], false),
    ] {
        let cache = cache(settings());
        fetched(&cache, 1, request, answer, "x");
        assert_eq!(is_hit(&cache, 1, request), wanted, "{request:?} {answer:?}");
        assert!(!is_hit(&cache, 2, request), "another consumer: {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_gets_the_answer_that_it_selects() {
    let cache = cache(CacheSettings {
        shared: true,
        ..settings()
    });
    let varies = [MINUTE, ("vary", "Accept, X-B")];
    let json = [("accept", "application/json")];
    let text = [("accept", "text/plain"), ("accept", "text/html")];
    assert_eq!(
        fetched(&cache, 1, &json, &varies, "json"),
        "extrack; fwd=uri-miss; stored"
    );
    assert_eq!(
        fetched(&cache, 2, &text, &varies, "text"),
        "extrack; fwd=vary-miss; stored"
    );
    assert_eq!(&hit(asks(&cache, 3, "GET", "/a", &json)).body[..], b"json");
    assert_eq!(&hit(asks(&cache, 1, "GET", "/a", &text)).body[..], b"text");
    assert!(!is_hit(&cache, 1, &text[..1]));
    assert!(!is_hit(
        &cache,
        1,
        &[("accept", "application/json"), ("x-b", "1")]
    ));
    assert!(!matches!(
        asks(&cache, 1, "GET", "/a?b", &json),
        Some(Asked::Hit(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn the_client_may_ask_for_more_than_a_kept_answer() {
    let cache = cache(settings());
    fetched(&cache, 1, &[], &[MINUTE, ("etag", "W/\"v,1\"")], "text");
    tokio::time::advance(Duration::from_secs(10)).await;
    for (wish, wanted) in [
        ("max-age=10", true),
        ("max-age=9", false),
        ("max-age=0", false),
        ("min-fresh=50", true),
        ("min-fresh=51", false),
        ("no-cache", false),
        ("max-stale", true),
        ("only-if-cached", true),
    ] {
        let request = [("cache-control", wish)];
        assert_eq!(is_hit(&cache, 1, &request), wanted, "{wish}");
    }
    assert!(!is_hit(&cache, 1, &[("pragma", "no-cache")]));
    let nothing = asks(
        &cache,
        2,
        "GET",
        "/a",
        &[("cache-control", "only-if-cached")],
    );
    assert!(matches!(nothing, Some(Asked::Nothing)));
    for (tags, wanted) in [
        ("\"v,1\"", 304),
        ("\"x\", W/\"v,1\"", 304),
        ("*", 304),
        ("\"v\", \"1\"", 200),
    ] {
        let reply = hit(asks(&cache, 1, "GET", "/a", &[("if-none-match", tags)]));
        assert_eq!(reply.status, wanted, "{tags}");
        assert_eq!(reply.body.is_empty(), wanted == 304, "{tags}");
    }
    let head = hit(asks(&cache, 1, "HEAD", "/a", &[]));
    assert_eq!(
        (head.headers["content-length"].as_bytes(), head.body.len()),
        (&b"4"[..], 0)
    );
}

#[tokio::test(start_paused = true)]
async fn what_changes_something_forgets_what_was_kept_for_everybody() {
    let cache = cache(settings());
    for (method, status, is_kept) in [
        ("POST", 404, true),
        ("OPTIONS", 200, true),
        ("POST", 201, false),
        ("PUT", 504, false),
        ("DELETE", 303, false),
    ] {
        for of in [1, 2] {
            if !is_hit(&cache, of, &[]) {
                fetched(&cache, of, &[], &[MINUTE], "x");
            }
        }
        let forward = forward(asks(&cache, 1, method, "/a", &[]));
        assert_eq!(forward.usage(), CacheUse::Bypass);
        let status = StatusCode::from_u16(status).unwrap();
        let filling = forward.answered(status, &mut headers(&[MINUTE]), Instant::now());
        assert!(filling.is_none());
        assert_eq!(is_hit(&cache, 2, &[]), is_kept, "{method} {status}");
    }
    for (method, is_kept) in [("GET", true), ("DELETE", false)] {
        if !is_hit(&cache, 2, &[]) {
            fetched(&cache, 2, &[], &[MINUTE], "x");
        }
        let anew = [("cache-control", "no-cache")];
        let asked = forward(asks(&cache, 1, method, "/a", &anew));
        if let Some(pending) = asked.pending() {
            pending.settle();
        }
        assert!(is_hit(&cache, 2, &[]), "{method}: not sent");
        drop(asked.pending());
        assert_eq!(is_hit(&cache, 2, &[]), is_kept, "{method}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_under_way_when_its_address_was_cleared_is_not_kept() {
    let cache = cache(settings());
    let get = |uri: &str| forward(asks(&cache, 1, "GET", uri, &[]));
    let tagged = [MINUTE, ("etag", "\"v1\"")];
    let changed = |uri: &str| {
        let put = forward(asks(&cache, 2, "PUT", uri, &[]));
        put.answered(
            StatusCode::NO_CONTENT,
            &mut HeaderMap::new(),
            Instant::now(),
        );
    };
    let begun = get("/a");
    let other = get("/b");
    let filling = get("/a")
        .answered(StatusCode::OK, &mut headers(&tagged), Instant::now())
        .unwrap();
    changed("/a");
    filling.finish();
    let late = begun.answered(StatusCode::OK, &mut headers(&tagged), Instant::now());
    late.unwrap().finish();
    assert!(!is_hit(&cache, 1, &[]), "of before the change");
    let other = other.answered(StatusCode::OK, &mut headers(&tagged), Instant::now());
    other.unwrap().finish();
    assert!(matches!(
        asks(&cache, 1, "GET", "/b", &[]),
        Some(Asked::Hit(_))
    ));

    fetched(&cache, 1, &[], &tagged, "new");
    assert!(is_hit(&cache, 1, &[]));
    tokio::time::advance(Duration::from_secs(61)).await;
    let begun = get("/a");
    changed("/a");
    let confirms = headers(&tagged);
    let reply = begun.confirmed(StatusCode::NOT_MODIFIED, &confirms, Instant::now());
    assert!(reply.is_some() && !is_hit(&cache, 1, &[]));
}

#[tokio::test(start_paused = true)]
async fn a_newer_answer_that_is_not_kept_ends_the_use_of_the_older_one() {
    let no_store = [("cache-control", "no-store")];
    let large = [MINUTE, ("content-length", "2000000")];
    let other = [("etag", "\"v2\"")];
    let same = [("etag", "\"v1\"")];
    for (method, status, answer, is_kept) in [
        ("GET", 200, &no_store[..], false),
        ("GET", 200, &large[..], false),
        ("GET", 404, &no_store[..], false),
        ("GET", 403, &no_store[..], false),
        ("GET", 429, &no_store[..], true),
        ("GET", 503, &no_store[..], true),
        ("HEAD", 200, &other[..], false),
        ("HEAD", 200, &same[..], true),
    ] {
        let cache = cache(settings());
        fetched(&cache, 1, &[], &[MINUTE, same[0]], "old");
        let anew = [("cache-control", "no-cache")];
        let forward = forward(asks(&cache, 1, method, "/a", &anew));
        let status = StatusCode::from_u16(status).unwrap();
        let filling = forward.answered(status, &mut headers(answer), Instant::now());
        assert!(filling.is_none());
        assert_eq!(
            is_hit(&cache, 1, &[]),
            is_kept,
            "{method} {status} {answer:?}"
        );
    }

    // It turned out to be too large.
    let cache = cache(settings());
    fetched(&cache, 1, &[], &[MINUTE], "old");
    let forward = forward(asks(&cache, 1, "GET", "/a", &[("pragma", "no-cache")]));
    let filling = forward.answered(StatusCode::OK, &mut headers(&[MINUTE]), Instant::now());
    let too_large = "x".repeat(MAX_ANSWER_BYTES + 1);
    filling.unwrap().feed(too_large.as_bytes());
    assert!(!is_hit(&cache, 1, &[]));
}

#[tokio::test(start_paused = true)]
async fn memory_is_bounded_and_what_was_not_used_goes_first() {
    let cache = cache(CacheSettings {
        max_bytes: 64 * 1024,
        max_entries: 3,
        ..settings()
    });
    let get = |uri: &str| asks(&cache, 1, "GET", uri, &[]);
    let keep = |uri: &str, size: usize| {
        let forward = forward(get(uri));
        let filling = forward.answered(StatusCode::OK, &mut headers(&[MINUTE]), Instant::now());
        let mut filling = filling.unwrap();
        for _ in 0..size / 1_000 {
            filling.feed(&[b'x'; 1_000]);
        }
        filling.finish();
    };
    let is_there = |uri: &str| matches!(get(uri), Some(Asked::Hit(_)));
    for uri in ["/1", "/2", "/3"] {
        keep(uri, 1_000);
    }
    assert!(is_there("/1"));
    keep("/4", 1_000);
    assert_eq!(
        ["/1", "/2", "/3", "/4"].map(is_there),
        [true, false, true, true]
    );
    keep("/5", 55_000);
    assert!(is_there("/5"));
    keep("/6", 70_000);
    assert!(!is_there("/6"));
    let (entries, bytes) = cache.store().size();
    assert!(entries <= 3 && bytes <= 64 * 1024, "{entries} {bytes}");

    // One that breaks off gives its room back, and so does one that grew too large.
    let forward = forward(get("/7"));
    let filling = forward.answered(StatusCode::OK, &mut headers(&[MINUTE]), Instant::now());
    let mut filling = filling.unwrap();
    filling.feed(&[b'x'; 40_000]);
    assert!(cache.store().size().1 >= 40_000);
    drop(filling);
    assert!(!is_there("/7"));
    let (entries, bytes) = cache.store().size();
    keep("/8", 1_000);
    let (more, with) = cache.store().size();
    assert!(
        more == entries + 1 && with < bytes + 3_000,
        "{bytes} {with}"
    );
    let large = [MINUTE, ("content-length", "2000000")];
    let forward = self::forward(get("/9"));
    assert!(
        forward
            .answered(StatusCode::OK, &mut headers(&large), Instant::now())
            .is_none()
    );
}

#[tokio::test(start_paused = true)]
async fn only_the_paths_that_are_named_are_kept() {
    let cache = cache(CacheSettings {
        paths: vec!["/b/*".to_owned()],
        ..settings()
    });
    assert!(asks(&cache, 1, "GET", "/a", &[]).is_none());
    assert!(asks(&cache, 1, "GET", "/b/c", &[]).is_some());
}
