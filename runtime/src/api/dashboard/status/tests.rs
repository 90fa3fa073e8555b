//! Pages, feeds and badges made of planted facts, private ones among them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::facts::{Condition, DAY_MS, DAYS, NoteFacts, PageFacts, Sources, Span, first_day_ms};
use super::kept::{Rendered, StatusPages};
use super::past::Past;
use super::{badge, feed, files, html, json as as_json};
use crate::domain::{
    Catalog, CurrentStatus, IncidentKind, IncidentSource, Maintenance, Matcher, Origin, Pause,
    PrivateReach, Recurrence, Service, ServiceProfile, StatusPage, UnixMillis,
};
use crate::monitoring::ServiceStatus;
use crate::store::{BareIncident, HistorySlot, Latencies, ServiceHistories};

/// 2026-11-23T07:43:20Z
const NOW_MS: UnixMillis = 1_795_419_800_000;
const HOUR_MS: UnixMillis = 3_600_000;

fn service(slug: &str, public: bool) -> Service {
    Service {
        slug: slug.to_owned(),
        name: format!("The {slug}"),
        kind: "REST".to_owned(),
        base_url: format!("https://{slug}.planted-host.example"),
        health_endpoint: Some("/planted-path".to_owned()),
        tags: vec!["web".to_owned()],
        labels: BTreeMap::new(),
        depends_on: vec!["planted-dependency".to_owned()],
        owner: Some("planted-owner".to_owned()),
        description: Some("planted-description".to_owned()),
        profile: ServiceProfile {
            public,
            links: BTreeMap::from([("wiki".to_owned(), "https://planted-wiki.example".to_owned())]),
            ..ServiceProfile::default()
        },
        slo: None,
        rate_limits: Default::default(),
        origin: Origin::File,
        hosts: Vec::new(),
        private: PrivateReach::default(),
        credentials: Vec::new(),
        probes: Vec::new(),
        webhooks: Vec::new(),
        meters: Vec::new(),
        gateway: None,
    }
}

fn catalog(services: impl IntoIterator<Item = Service>) -> Catalog {
    let services = services
        .into_iter()
        .map(|service| (service.slug.clone(), Arc::new(service)));
    Catalog {
        services: services.collect(),
        ..Catalog::default()
    }
}

fn incident(
    id: i64,
    service: &str,
    source: IncidentSource,
    hours: (i64, Option<i64>),
) -> BareIncident {
    BareIncident {
        id,
        service: service.to_owned(),
        started_ms: NOW_MS - hours.0 * HOUR_MS,
        ended_ms: hours.1.map(|hours| NOW_MS - hours * HOUR_MS),
        kind: IncidentKind::Outage.as_str().to_owned(),
        source: source.as_str().to_owned(),
        error_kind: (source == IncidentSource::Ours).then(|| "timeout".to_owned()),
    }
}

fn days_of(down: u64) -> Vec<HistorySlot> {
    let first_ms = first_day_ms(NOW_MS, DAYS as UnixMillis);
    let slot = |day: UnixMillis| HistorySlot {
        from_ms: first_ms + day * DAY_MS,
        healthy: 1_440 - down - day.unsigned_abs() % 3,
        error: down,
        missed: day.unsigned_abs() % 3,
        ..HistorySlot::default()
    };
    (0..DAYS as UnixMillis).map(slot).collect()
}

fn past(slugs: &[&str], incidents: Vec<BareIncident>) -> Past {
    let owned = |slug: &&str| (*slug).to_owned();
    let hours = HistorySlot {
        healthy: 99,
        error: 1,
        latencies: Latencies::of([84_000; 99]),
        ..HistorySlot::default()
    };
    Past {
        histories: ServiceHistories {
            days: slugs.iter().map(|slug| (owned(slug), days_of(1))).collect(),
            hours: slugs
                .iter()
                .map(|slug| (owned(slug), hours.clone()))
                .collect(),
            incidents,
            claims: BTreeMap::new(),
        },
        notes: BTreeMap::from([(
            987_654_320,
            vec![NoteFacts {
                at_ms: NOW_MS - HOUR_MS / 2,
                text: "The vendor <b>knows</b>.".to_owned(),
            }],
        )]),
        windows: Vec::new(),
        data_to_ms: NOW_MS - 1_000,
    }
}

fn status(slug: &str) -> Option<ServiceStatus> {
    let status = match slug {
        "search" => CurrentStatus::Error,
        "vault" => CurrentStatus::Degraded,
        "waits" => return None,
        _ => CurrentStatus::Healthy,
    };
    Some(ServiceStatus {
        meters: Vec::new(),
        status: Some(status),
        reason: Some("planted-reason".to_owned()),
        since_ms: Some(NOW_MS - HOUR_MS),
        probes: Vec::new(),
        figures: None,
    })
}

fn facts(page: &StatusPage, catalog: &Catalog, past: Option<&Past>) -> Option<PageFacts> {
    Sources::new(catalog, &status, past, NOW_MS).page(page)
}

/// Texts of all files that are made of a page.
fn texts(page: &PageFacts) -> Vec<(String, String)> {
    let files = files::export(&[page]).files.into_iter();
    let files = files.filter(|file| file.path != "app.css");
    let mut texts: Vec<(String, String)> = files.map(|file| (file.path, file.text)).collect();
    let served = html::page(page, &html::Links::served(&page.name)).into_string();
    texts.push(("served".to_owned(), served));
    texts
}

#[test]
fn nothing_private_is_in_anything_that_is_public() {
    let catalog = catalog([
        service("search", true),
        service("mail", true),
        service("vault", false),
    ]);
    let incidents = vec![
        incident(987_654_320, "search", IncidentSource::Ours, (1, None)),
        incident(987_654_321, "vault", IncidentSource::Ours, (2, None)),
        incident(987_654_322, "vault", IncidentSource::Ours, (30, Some(29))),
        incident(987_654_323, "mail", IncidentSource::Vendor, (40, Some(39))),
    ];
    let past = past(&["search", "mail", "vault"], incidents);
    let page = facts(&StatusPage::of_all(), &catalog, Some(&past)).unwrap();
    let texts = texts(&page);
    assert!(texts.len() > 20, "{}", texts.len());
    for (path, text) in &texts {
        for planted in ["planted", "vault", "https:", "987654", "vendor reports"] {
            assert!(!text.contains(planted), "{planted} in {path}: {text}");
        }
        assert!(!path.contains("vault"), "{path}");
    }
    let (_, page) = &texts[texts.len() - 1];
    assert!(
        page.contains("The vendor &lt;b&gt;knows&lt;/b&gt;."),
        "{page}"
    );
    assert!(
        page.contains("The search") && page.contains("it did not answer in time"),
        "{page}"
    );
    assert!(
        !page.contains("<script") && !page.contains(" style="),
        "{page}"
    );
}

#[tokio::test(start_paused = true)]
async fn old_pages_are_shown_for_a_while_and_one_at_a_time_renders_new_ones() {
    let catalog = catalog([service("mail", true)]);
    let past = past(&["mail"], Vec::new());
    let rendered = || {
        let sources = Sources::new(&catalog, &status, Some(&past), NOW_MS);
        Some(Arc::new(Rendered::new(&sources)))
    };
    let pages = StatusPages::new(1);
    let is_fresh = || {
        let usable = pages.usable(catalog.version);
        usable.map(|rendered| rendered.is_fresh())
    };
    assert_eq!(is_fresh(), None);
    assert!(pages.begin_rendering());
    assert!(!pages.begin_rendering(), "somebody does");
    let rendering = pages.next_rendering();
    pages.end_rendering(rendered());
    rendering.await;
    assert_eq!(is_fresh(), Some(true));
    assert!(pages.usable(catalog.version + 1).is_none());
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(is_fresh(), Some(false));
    assert!(pages.begin_rendering());
    pages.end_rendering(None);
    assert_eq!(is_fresh(), Some(false), "those of before stay");
    tokio::time::advance(Duration::from_secs(20)).await;
    assert_eq!(is_fresh(), None, "nobody is shown what was long ago");
}

#[test]
fn a_page_without_a_public_service_does_not_exist() {
    let catalog = catalog([service("vault", false)]);
    assert!(facts(&StatusPage::of_all(), &catalog, None).is_none());
}

#[test]
fn incidents_of_vendors_are_shown_where_the_page_wants_them() {
    let catalog = catalog([service("mail", true)]);
    let incidents = vec![incident(1, "mail", IncidentSource::Vendor, (40, Some(39)))];
    let mut past = past(&["mail"], incidents.clone());
    past.histories.claims = BTreeMap::from([("mail".to_owned(), incidents)]);
    let with = StatusPage {
        shows_vendors: true,
        ..StatusPage::of_all()
    };
    let shown = |page: &StatusPage| {
        let page = facts(page, &catalog, Some(&past)).unwrap();
        let text = html::page(&page, &html::Links::served("services")).into_string();
        let is_claimed = text.contains("the vendor claims trouble on 1");
        (page.over.len(), is_claimed)
    };
    assert_eq!(shown(&StatusPage::of_all()), (0, false));
    assert_eq!(shown(&with), (1, true));
}

#[test]
fn the_sentence_names_what_is_worst() {
    let sentence = |slugs: &[&str]| {
        let catalog = catalog(slugs.iter().map(|slug| service(slug, true)));
        facts(&StatusPage::of_all(), &catalog, None)
            .unwrap()
            .sentence()
    };
    for (slugs, wanted) in [
        (&["mail"][..], "The service is operational."),
        (&["mail", "chat"][..], "All 2 services are operational."),
        (
            &["mail", "vault"][..],
            "1 of 2 services is degraded: The vault.",
        ),
        (
            &["search", "vault"][..],
            "1 of 2 services is down: The search.",
        ),
        (
            &["waits", "mail"][..],
            "1 of 2 services is of unknown status: The waits.",
        ),
    ] {
        assert_eq!(sentence(slugs), wanted);
    }
}

#[test]
fn a_pause_and_planned_work_come_before_what_the_checks_found() {
    let mut catalog = catalog([service("search", true), service("mail", true)]);
    let condition = |catalog: &Catalog, past: Option<&Past>, slug: &str| {
        let page = facts(&StatusPage::of_all(), catalog, past).unwrap();
        let found = page
            .services()
            .find(|service| service.slug == slug)
            .unwrap();
        (found.condition, found.since_ms.is_some())
    };
    assert_eq!(condition(&catalog, None, "search"), (Condition::Down, true));
    let mut past = past(&[], Vec::new());
    past.windows = vec![Maintenance {
        name: "planted-window".to_owned(),
        matchers: vec![Matcher::parse("service=search").unwrap()],
        recurrence: Recurrence::once(NOW_MS - HOUR_MS, NOW_MS + HOUR_MS).unwrap(),
    }];
    assert_eq!(
        condition(&catalog, Some(&past), "search"),
        (Condition::Maintenance, false)
    );
    let page = facts(&StatusPage::of_all(), &catalog, Some(&past)).unwrap();
    assert_eq!(page.planned.len(), 1);
    let text = html::page(&page, &html::Links::served("services")).into_string();
    assert!(
        text.contains("under way") && !text.contains("planted-window"),
        "{text}"
    );
    let pause = Pause {
        until_ms: None,
        reason: "planted-reason".to_owned(),
        by: None,
    };
    catalog.paused = Arc::new(BTreeMap::from([("mail".to_owned(), pause)]));
    assert_eq!(
        condition(&catalog, None, "mail"),
        (Condition::Unknown, false)
    );
}

#[test]
fn availability_is_rounded_down_and_has_its_coverage() {
    let catalog = catalog([service("mail", true), service("chat", true)]);
    let past = past(&["mail"], Vec::new());
    let page = facts(&StatusPage::of_all(), &catalog, Some(&past)).unwrap();
    let body: Value = serde_json::from_str(&as_json::page(&page)).unwrap();
    let services = body["groups"][0]["services"].as_array().unwrap();
    let mail = services.iter().find(|it| it["slug"] == "mail").unwrap();
    // 90 of 90 * 1440 - 90 runs were down, and as many missed.
    assert_eq!(
        mail["uptime"][3],
        json!({"span": "90d", "percent": 99.93, "coveragePercent": 99.93})
    );
    assert_eq!(
        mail["uptime"][0],
        json!({"span": "24h", "percent": 99.0, "coveragePercent": 100.0})
    );
    let chat = services.iter().find(|it| it["slug"] == "chat").unwrap();
    assert_eq!(
        chat["uptime"][1],
        json!({"span": "7d", "percent": null, "coveragePercent": null})
    );
    assert_eq!(chat["p95Ms"], Value::Null);
}

#[test]
fn badges_have_a_word_beside_their_color() {
    let catalog = catalog([service("search", true)]);
    let past = past(&["search"], Vec::new());
    let page = facts(&StatusPage::of_all(), &catalog, Some(&past)).unwrap();
    let search = page.services().next().unwrap();
    let shown = [
        badge::Badge::status(search),
        badge::Badge::uptime(search, Span::Day),
        badge::Badge::p95(search),
    ];
    let shown = shown.map(|badge| {
        let picture = badge::svg(&badge);
        assert!(picture.contains(&badge.message), "{picture}");
        assert!(picture.starts_with("<svg xmlns"), "{picture}");
        (badge.label.clone(), badge.tone)
    });
    assert_eq!(
        shown,
        [
            ("status".to_owned(), "error"),
            ("uptime 24h".to_owned(), "degraded"),
            ("p95 24h".to_owned(), "waiting")
        ]
    );
}

#[test]
fn an_entry_of_the_feed_keeps_its_id_when_its_incident_is_over() {
    let catalog = catalog([service("search", true)]);
    let of = |ended: Option<i64>| {
        let incidents = vec![incident(1, "search", IncidentSource::Ours, (3, ended))];
        let past = past(&["search"], incidents);
        let page = facts(&StatusPage::of_all(), &catalog, Some(&past)).unwrap();
        feed::of(&page, "/status/services")
    };
    let ids = |feed: &str| {
        let ids = feed.split("<id>").skip(1);
        ids.map(|rest| rest.split("</id>").next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let (open, over) = (of(None), of(Some(1)));
    assert!(open.starts_with("<?xml"), "{open}");
    assert_eq!(ids(&open).len(), 2);
    assert_eq!(ids(&open), ids(&over));
    assert!(over.contains("for 2 h 0 min. It is over."), "{over}");
    assert_eq!(
        over.matches("<link").count(),
        over.matches("</link>").count()
    );
}

#[test]
fn a_page_of_50_services_is_below_30_kb_on_its_way() {
    let slugs: Vec<String> = (0..50).map(|number| format!("service-{number}")).collect();
    let slugs: Vec<&str> = slugs.iter().map(String::as_str).collect();
    let catalog = catalog(slugs.iter().map(|slug| service(slug, true)));
    let past = past(&slugs, Vec::new());
    let page = facts(&StatusPage::of_all(), &catalog, Some(&past)).unwrap();
    let text = html::page(&page, &html::Links::served("services")).into_string();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let compressed = encoder.finish().unwrap().len();
    assert!(compressed < 30_000, "{compressed} bytes");
    assert_eq!(text.matches("class=\"days\"").count(), 50);
}
