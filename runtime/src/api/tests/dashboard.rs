//! Pages and their live changes.

use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use super::world::{READER, SOON};
use super::*;
use crate::domain::{Acknowledgement, MuteChange};
use crate::monitoring::ServiceFigures;
use crate::spec::ServiceSpec;
use crate::store::{ErrorBudget, HALF_HOUR_MS, HALF_HOURS, HalfHour, ServiceSummary};
use serde_json::json;

#[tokio::test]
async fn the_overview_says_how_things_are() {
    let router = router(&world().await);
    let page = get(&router, "/").await;
    assert_eq!(page.status, StatusCode::OK);
    assert_eq!(
        page.header("content-type"),
        Some("text/html; charset=utf-8")
    );
    for part in [
        "1 of 2 services needs attention",
        r#"id="service-shop-api""#,
        "connection refused by 203.0.113.7:443",
        "last 48 half hours: 48 without measurements",
        r#"formaction="/attention/"#,
        "Service Down",
        "status is <code>error</code>, wanted <code>healthy</code>",
        "slack",
        r#"data-events="/events?page=1&amp;since="#,
    ] {
        assert!(
            page.body.contains(part),
            "{part} is missing in {}",
            page.body
        );
    }
}

#[tokio::test]
async fn what_is_planned_is_marked_and_what_is_paused_needs_no_attention() {
    let world = world().await;
    let router = router(&world);
    let window = json!({"name": "Move", "match": "service=shop-api", "start": "2020-01-01T00:00:00Z",
        "end": "2090-01-01T00:00:00Z"});
    let made = send_json(&router, Method::POST, "/api/v1/maintenance", window).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.body);
    let page = get(&router, "/").await.body;
    let parts = [r#"class="now-list""#, "in maintenance"];
    assert!(parts.iter().all(|part| page.contains(part)), "{page}");
    let pause = "/api/v1/services/shop-api/pause";
    let paused = send_json(&router, Method::POST, pause, json!({})).await;
    assert_eq!(paused.status, StatusCode::OK, "{}", paused.body);
    let page = get(&router, "/").await.body;
    assert!(!page.contains(r#"class="now-list""#), "{page}");
}

#[tokio::test]
async fn what_others_wrote_is_escaped() {
    let world = world().await;
    let evil = r#"<script>alert("x")</script>"#;
    let slug = world
        .service_add(evil, "https://x.org/\"><img/src=x>")
        .await;
    let mut observation = world.observation(&slug, evil, 9, Status::Error);
    observation.failure = Some(Failure::new(ErrorKind::Protocol, evil));
    world.observe(observation.clone());
    world.observe(Observation {
        probe: "other\" onload=\"x".to_owned(),
        run_id: 10,
        ..observation
    });
    let alert = world.draft(&slug, Severity::Info, AlertState::Firing);
    world
        .alert(
            AlertDraft {
                name: evil.to_owned(),
                summary: evil.to_owned(),
                ..alert
            },
            None,
            false,
        )
        .await;
    let mut plugin = world.plugin(PluginKind::Rule, evil);
    plugin.version = evil.to_owned();
    plugin.by = evil.to_owned();
    plugin.info = Arc::new(PluginInfo {
        summary: evil.to_owned(),
        ..PluginInfo::clone(&plugin.info)
    });
    world.plugins.lock().unwrap().push(plugin);
    let router = router(&world);
    for path in [
        "/",
        "/?q=%3Cscript%3Ealert(%22x%22)%3C/script%3E",
        "/login?next=/%22%3E%3Cscript%3E",
    ] {
        let page = get(&router, path).await.body;
        assert_eq!(
            page.matches("<script").count(),
            usize::from(path.starts_with("/?") || path == "/"),
            "{page}"
        );
        assert!(!page.contains("<img"), "{page}");
        assert!(!page.contains("\" onload"), "{page}");
        assert!(
            !page.contains(" style=") && !page.contains("<style"),
            "the policy allows no inline style"
        );
    }
}

#[tokio::test]
async fn an_alert_that_nobody_hears_of_says_why() {
    let world = world().await;
    let router = router(&world);
    let open = world.control.alert_open_list().await.unwrap().remove(0);
    let mute = MuteChange {
        alert: open.id,
        from: AlertState::Firing,
        suppressed_by: Some("dependency `database`".to_owned()),
        actor: "engine".to_owned(),
        reason: "the database is down".to_owned(),
        ts_ms: world.now,
    };
    world.control.alert_mute(vec![mute]).await.unwrap();
    let page = get(&router, "/").await.body;
    assert!(
        page.contains(", muted by dependency <code>database</code>"),
        "{page}"
    );

    let acknowledged = Acknowledgement {
        by: "ana".to_owned(),
        at_ms: world.now,
        until_ms: None,
        note: String::new(),
    };
    let firing = world
        .alert(
            world.draft("mail", Severity::Info, AlertState::Firing),
            None,
            false,
        )
        .await;
    let mut draft = world.draft("mail", Severity::Info, AlertState::Acknowledged);
    (draft.id, draft.flags.acknowledged) = (Some(firing.id), Some(acknowledged));
    world.alert(draft, Some(AlertState::Firing), false).await;
    let page = get(&router, "/").await.body;
    assert!(page.contains(", acknowledged by ana"), "{page}");
}

#[tokio::test]
async fn a_service_that_cannot_run_is_told() {
    let world = world().await;
    let probes = json!([{"plugin": "tls", "settings": {"days": 3}}]);
    let spec = json!({"name": "Names", "baseUrl": "https://names.example.com", "probes": probes});
    world.registry.create(spec).await.unwrap();
    world.probe_remove("tls").await;
    let router = router(&world);
    let page = get(&router, "/").await.body;
    assert!(
        page.contains("<b>names</b> can't run: there is no probe plugin <code>tls</code>"),
        "{page}"
    );
    let service = get(&router, "/api/v1/services/names").await.json();
    let fault = service["faults"][0]["message"].as_str().unwrap();
    assert!(
        fault.starts_with("there is no probe plugin `tls`"),
        "{fault}"
    );
}

#[tokio::test]
async fn the_overview_is_searched_and_filtered_by_its_address() {
    let router = router(&world().await);
    for (path, shop, mail) in [
        ("/?q=shop", true, false),
        ("/?q=SHOP+example", true, false),
        ("/?q=nothing", false, false),
        ("/?status=error", true, false),
        ("/?status=waiting", false, true),
        ("/?status=nonsense", true, true),
        ("/?q=status:error", true, false),
        ("/?q=status:nonsense", false, false),
        ("/?q=type:rest&group=type&sort=name", true, true),
        ("/?q=team:nobody&as=compact", false, false),
        ("/?page=7", true, true),
    ] {
        let page = get(&router, path).await.body;
        assert_eq!(page.contains(r#"id="service-shop-api""#), shop, "{path}");
        assert_eq!(page.contains(r#"id="service-mail""#), mail, "{path}");
    }
}

#[tokio::test]
async fn a_row_has_the_figures_that_decide_something() {
    let world = world().await;
    let half_hour = HalfHour {
        healthy: 30,
        latency_us: Some(84_000),
        ..HalfHour::default()
    };
    let mut half_hours = vec![half_hour; HALF_HOURS];
    half_hours[40] = HalfHour {
        healthy: 28,
        down: 2,
        ..half_hour
    };
    let figures = ServiceFigures {
        summary: ServiceSummary {
            from_ms: world.now - world.now % HALF_HOUR_MS - 47 * HALF_HOUR_MS,
            half_hours,
            up: 99_862,
            down: 138,
            budget: Some(ErrorBudget {
                whole_s: 2_592,
                left_s: -1_080,
            }),
            p95_us: Some(84_300),
        },
        costs: vec![("EUR".to_owned(), "310.2".parse().unwrap())],
    };
    world.figures_set("shop-api", figures);
    let page = get(&router(&world), "/").await.body;
    for part in [
        "99.86 %",
        "-18 min",
        "84 ms",
        "310.20 EUR",
        "2 of 30 runs down",
        r#"<a href="/services/shop-api?range=24h"><svg class="strip""#,
        r#"<svg class="spark""#,
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    let row = page.split(r#"<tr id="service-shop-api""#).nth(1).unwrap();
    insta::assert_snapshot!("overview_row", row.split("</tr>").next().unwrap());
}

#[tokio::test]
async fn who_may_only_read_gets_no_buttons_and_no_form() {
    let router = router(&world().await);
    let request = request(Method::GET, "/").header("authorization", format!("Bearer {READER}"));
    let page = send(&router, request.body(Body::empty()).unwrap()).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(page.body.contains("Service Down"), "{}", page.body);
    for part in ["/attention/", r#"id="act""#, r#"href="/new""#] {
        assert!(!page.body.contains(part), "{part} in {}", page.body);
    }
}

#[tokio::test]
async fn the_first_run_takes_a_url_and_shows_what_was_wrong_with_it() {
    let world = World::empty().await;
    let router = router(&world);
    let page = get(&router, "/").await.body;
    for part in [
        "Nothing is watched yet",
        r#"<form method="post" action="/new">"#,
        "extrack add VENDOR",
        "healthEndpoint: &quot;/health&quot;",
    ] {
        assert!(page.contains(part), "{part} is missing in {page}");
    }
    let watch = async |form: &str| {
        let request = as_admin(Method::POST, "/new")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::from(form.to_owned()));
        send(&router, request.unwrap()).await
    };
    let refused = watch("url=ftp%3A%2F%2Fx.example").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.body.contains(r#"value="ftp://x.example""#)
            && refused.body.contains("not with <code>ftp://</code>"),
        "{}",
        refused.body
    );
    let private = watch("url=http%3A%2F%2F10.0.0.7%2Fup").await;
    assert_eq!(private.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        private.body.contains("tick <code>at a private address"),
        "{}",
        private.body
    );
    let done = watch("url=https%3A%2F%2Fapi.example.com%2Fhealth").await;
    assert_eq!(done.status, StatusCode::SEE_OTHER, "{}", done.body);
    assert_eq!(done.header("location"), Some("/services/api-example-com"));
    let service = get(&router, "/api/v1/services/api-example-com")
        .await
        .json();
    assert_eq!(service["baseUrl"], "https://api.example.com");
    assert_eq!(service["healthEndpoint"], "/health");
    let again = watch("url=https%3A%2F%2Fapi.example.com").await;
    assert_eq!(again.status, StatusCode::CONFLICT, "{}", again.body);
    assert!(again.body.contains("api-example-com"), "{}", again.body);
}

#[tokio::test]
async fn many_services_come_in_pages_and_rows_are_light() {
    let world = World::empty().await;
    let names = (0..450)
        .map(|number| json!({"name": format!("Service {number:03}"), "baseUrl": "https://x.org"}));
    let specs: Vec<ServiceSpec> = serde_json::from_value(names.collect()).unwrap();
    let slugs: Vec<String> = specs.iter().map(|spec| slug(&spec.name)).collect();
    world
        .files_change(|entries| entries.services.extend(specs.into_iter().enumerate()))
        .await;
    for slug in slugs {
        for run in 0..40 {
            world.observe(world.observation(&slug, "http", run, Status::Healthy));
        }
    }
    let router = router(&world);
    let page = get(&router, "/?as=rows").await.body;
    assert_eq!(page.matches("<tr id=").count(), 100);
    assert!(page.contains("Page 1 of 5"), "{page}");
    assert!(page.len() / 100 < 2_000, "{} bytes a row", page.len() / 100);
    let last = get(&router, "/?as=rows&page=5").await.body;
    assert_eq!(last.matches("<tr id=").count(), 50);

    let wall = get(&router, "/").await.body;
    assert_eq!(wall.matches("<tr id=").count(), 0);
    assert!(wall.contains(r#"aria-label="450 healthy""#), "{wall}");
    assert!(wall.len() < 20_000, "{} bytes", wall.len());
}

#[tokio::test]
async fn unknown_pages_are_pages_for_browsers() {
    let router = router(&world().await);
    let request = as_admin(Method::GET, "/nothing")
        .header("accept", "text/html")
        .body(Body::empty())
        .unwrap();
    let answer = send(&router, request).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.body.contains("Nothing here"));
}

#[tokio::test]
async fn what_a_browser_is_not_shown_is_a_page_and_the_api_has_problems() {
    let router = router(&world().await);
    let open = async |token: &str, path: &str| {
        let request = request(Method::GET, path)
            .header(AUTHORIZATION, format!("Bearer {token}"))
            .header("accept", "text/html");
        send(&router, request.body(Body::empty()).unwrap()).await
    };
    let nothing = "<h1>Nothing here</h1>";
    for (token, path, status, wanted) in [
        (READER, "/sql", StatusCode::FORBIDDEN, "the scope `sql`"),
        (READER, "/new", StatusCode::FORBIDDEN, "the scope `write`"),
        (ADMIN, "/alerts/abc", StatusCode::BAD_REQUEST, "abc"),
        (ADMIN, "/alerts/999999", StatusCode::NOT_FOUND, nothing),
        (ADMIN, "/sql?saved=nope", StatusCode::NOT_FOUND, nothing),
    ] {
        let page = open(token, path).await;
        assert_eq!(page.status, status, "{path}: {}", page.body);
        let kind = page.header("content-type");
        assert_eq!(kind, Some("text/html; charset=utf-8"), "{path}");
        assert!(page.body.contains(wanted), "{path}: {}", page.body);
        assert!(!page.body.contains("That was not done"), "{}", page.body);
    }
    let problem = open(READER, "/api/v1/queries").await;
    assert_eq!(problem.json()["status"], 403, "{}", problem.body);
}

/// Events as the browser gets them.
struct Events(axum::body::BodyDataStream);

impl Events {
    async fn open(router: &Router, path: &str) -> Self {
        let request = as_admin(Method::GET, path).body(Body::empty()).unwrap();
        let response = router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        let mut events = Self(response.into_body().into_data_stream());
        assert_eq!(events.next().await, ": live\n\n");
        events
    }

    async fn next(&mut self) -> String {
        let frame = tokio::time::timeout(SOON, self.0.next())
            .await
            .expect("an event in time");
        String::from_utf8(frame.expect("an open stream").unwrap().to_vec()).unwrap()
    }
}

fn live_router(world: &Arc<World>) -> (Router, Live) {
    let live = Live::new();
    tokio::spawn(live.clone().run(world.deps(), CancellationToken::new()));
    (
        crate::api::router(world.state(ApiSettings::default(), live.clone())),
        live,
    )
}

#[tokio::test]
async fn a_change_arrives_as_a_fragment() {
    let world = world().await;
    let (router, live) = live_router(&world);
    let mut events = Events::open(&router, "/events").await;

    world.observe(world.observation("mail", "http", 20, Status::Degraded));
    live.changes().service("mail");
    let event = events.next().await;
    assert!(event.starts_with("event: fragments\n"), "{event}");
    assert!(
        event.contains(r#"<tr id="service-mail" data-status="degraded""#),
        "{event}"
    );
    assert!(event.contains(r#"<div id="totals">"#), "{event}");
    assert!(
        !event.contains("service-shop-api") && !event.contains(r#"id="alerts""#),
        "{event}"
    );

    let open = world.control.alert_open_list().await.unwrap().remove(0);
    let resolved = AlertDraft {
        id: Some(open.id),
        ..world.draft("shop-api", open.severity, AlertState::Resolved)
    };
    world.alert(resolved, Some(AlertState::Firing), false).await;
    live.changes().alerts();
    live.changes().plugins();
    let event = events.next().await;
    assert!(event.contains(r#"<div id="alerts">"#), "{event}");
    assert!(!event.contains("Service Down"), "{event}");
    assert!(event.contains(r#"<div id="plugins">"#), "{event}");

    live.changes().services();
    assert!(events.next().await.starts_with("event: reload\n"));
}

#[tokio::test]
async fn changes_come_together_once_a_second() {
    let world = world().await;
    let (router, live) = live_router(&world);
    let mut events = Events::open(&router, "/events").await;
    let started = tokio::time::Instant::now();
    live.changes().service("mail");
    events.next().await;
    for _ in 0..100 {
        live.changes().service("mail");
        live.changes().service("shop-api");
        tokio::task::yield_now().await;
    }
    let event = events.next().await;
    assert_eq!(event.matches("<tr id=").count(), 2, "{event}");
    assert!(
        started.elapsed().as_millis() >= 990,
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_page_is_sent_what_it_missed_and_only_what_it_shows() {
    let world = world().await;
    let (router, live) = live_router(&world);
    let page = get(&router, "/?q=shop").await.body;
    let address = page
        .split("data-events=\"")
        .nth(1)
        .unwrap()
        .split('"')
        .next()
        .unwrap()
        .replace("&amp;", "&");
    live.changes().service("mail");
    live.changes().service("shop-api");
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    let event = Events::open(&router, &address).await.next().await;
    assert!(
        event.contains("service-shop-api") && !event.contains("service-mail"),
        "{event}"
    );

    let event = Events::open(&router, "/events?since=1").await.next().await;
    assert!(event.starts_with("event: reload\n"), "{event}");
}

#[tokio::test]
async fn a_page_that_is_loaded_again_gets_a_sign_of_what_it_shows() {
    let world = world().await;
    let (router, live) = live_router(&world);
    let page = get(&router, "/services/shop-api").await.body;
    assert!(
        page.contains(r#"data-events="/events?watch=shop-api&amp;since="#),
        "{page}"
    );
    let mut service = Events::open(&router, "/events?watch=shop-api").await;
    let mut alerts = Events::open(&router, "/events?watch=").await;
    live.changes().service("mail");
    live.changes().service("shop-api");
    let event = service.next().await;
    assert!(event.starts_with("event: changed\n"), "{event}");
    assert!(!event.contains("<tr"), "{event}");
    live.changes().alerts();
    assert!(alerts.next().await.starts_with("event: changed\n"));
    assert!(service.next().await.starts_with("event: changed\n"));
}

#[tokio::test]
async fn live_connections_are_bounded_and_end_with_the_program() {
    let world = world().await;
    let settings = ApiSettings {
        max_live: 1,
        ..ApiSettings::default()
    };
    let shutdown = CancellationToken::new();
    let state = crate::api::ApiState::new(settings, world.deps(), Live::new(), shutdown.clone());
    let router = crate::api::router(state);
    let mut first = Events::open(&router, "/events").await;
    assert_eq!(
        get(&router, "/events").await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    shutdown.cancel();
    assert!(first.0.next().await.is_none());
    drop(first);
    assert_eq!(get(&router, "/events").await.status, StatusCode::OK);
}

#[tokio::test]
async fn a_live_connection_ends_with_its_session() {
    use axum::http::header::{COOKIE, HOST, ORIGIN, SET_COOKIE};
    let (router, _live) = live_router(&world().await);
    let form =
        request(Method::POST, "/login").header("content-type", "application/x-www-form-urlencoded");
    let answer = send(&router, form.body(format!("token={ADMIN}").into()).unwrap()).await;
    let cookie = answer.headers[SET_COOKIE]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let events = request(Method::GET, "/events")
        .header(COOKIE, &cookie)
        .body(Body::empty())
        .unwrap();
    let mut events = router
        .clone()
        .oneshot(events)
        .await
        .unwrap()
        .into_body()
        .into_data_stream();
    assert!(events.next().await.is_some(), "it is live");

    let logout = request(Method::POST, "/logout")
        .header(COOKIE, &cookie)
        .header(HOST, "x.org");
    let logout = logout
        .header(ORIGIN, "http://x.org")
        .body(Body::empty())
        .unwrap();
    assert_eq!(send(&router, logout).await.status, StatusCode::SEE_OTHER);
    let ended = async { while events.next().await.is_some() {} };
    tokio::time::timeout(std::time::Duration::from_secs(60), ended)
        .await
        .expect("the stream ends");
}
