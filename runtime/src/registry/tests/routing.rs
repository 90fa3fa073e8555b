//! The routing tree, channels, windows and escalations.

use super::*;

#[tokio::test]
async fn without_a_tree_the_channels_at_the_top_are_one_that_groups_by_name() {
    let alerts = json!([
        {"name": "Down", "condition": "status == 'error'"},
        {"name": "Own", "condition": "true", "notifications": [{"channel": "slack", "webhook": "https://s"}]},
    ]);
    let files = || {
        let channels = json!([{"channel": "email", "recipients": ["ops@a"]}]);
        entries(
            json!([{"name": "A", "baseUrl": "https://a"}]),
            alerts.clone(),
            channels,
        )
    };
    let catalog = registry(files()).await.catalog();
    let routed: Vec<(&str, bool)> = catalog.rules["a"]
        .iter()
        .map(|rule| (rule.name.as_str(), rule.is_routed))
        .collect();
    assert_eq!(routed, [("Down", true), ("Own", false)]);
    let labels =
        |service: &str| crate::domain::Labels::from([("alertname", "Down"), ("service", service)]);
    let tree = catalog.route.as_ref().unwrap();
    let [one] = &tree.destinations(&labels("a"))[..] else {
        panic!("one destination")
    };
    assert_eq!(
        (one.timing.wait.as_secs(), one.timing.interval.as_secs()),
        (10, 60)
    );
    assert_eq!(one.group_key(&labels("a")), one.group_key(&labels("b")));
    assert_eq!(catalog.channels[&one.channels[0]].plugin, "email");
    assert!(one.path == "{}" && one.channels.len() == 1);

    let mut with_tree = files();
    with_tree.routing.route = serde_json::from_value(json!({"groupWait": 0})).unwrap();
    let catalog = registry(with_tree).await.catalog();
    assert!(
        catalog.route.as_ref().unwrap().destinations(&labels("a"))[0]
            .timing
            .wait
            .is_zero()
    );
}

#[tokio::test]
async fn the_routing_tree_is_in_the_catalog_and_rules_without_channels_follow_it() {
    let mut files = entries(
        json!([shop()]),
        json!([{"name": "Down", "condition": "true"}]),
        json!([]),
    );
    files.routing.channels =
        serde_json::from_value(json!({"ops": {"channel": "slack", "webhook": "https://a"}}))
            .unwrap();
    files.routing.route = serde_json::from_value(json!({
        "receiver": "ops", "groupBy": ["service", "team"], "groupWait": 0,
        "routes": [{"match": "severity=critical", "continue": true, "muteTimes": ["night"]}],
    }))
    .unwrap();
    files.routing.mute_times =
        serde_json::from_value(json!({"night": {"cron": "0 22 * * *", "duration": "8h"}})).unwrap();
    let (checked, report) = checked(&files).await;
    assert_eq!(
        (texts(&report.faults), texts(&report.warnings)),
        (vec![], vec![])
    );
    assert_eq!(checked.channels().count(), 1);
    let catalog = registry(files).await.catalog();
    let route = catalog.route.as_ref().unwrap();
    let channel = &catalog.channels[&route.channels.as_ref().unwrap()[0]];
    assert_eq!(
        (channel.name.as_str(), channel.plugin.as_str()),
        ("ops", "slack")
    );
    assert!(catalog.rules["shop-api"].iter().all(|rule| rule.is_routed));
    assert!(catalog.mute_times.contains_key("night"));
}

#[tokio::test]
async fn faults_of_routes_windows_and_dependencies_have_their_places() {
    let services = json!([
        {"name": "A", "baseUrl": "https://a", "dependsOn": ["b"], "labels": {"severity": "x", "1st": "y"}},
        {"name": "B", "baseUrl": "https://b", "dependsOn": ["c"]},
        {"name": "C", "baseUrl": "https://c", "dependsOn": ["a", "dd"]},
    ]);
    let mut files = entries(services, json!([]), json!([]));
    files.routing.channels = serde_json::from_value(json!({
        "ops": {"channel": "slack", "webhook": "https://a", "name": "other"},
        "odd": {"channel": "pigeon"},
    }))
    .unwrap();
    files.routing.route = serde_json::from_value(json!({
        "match": "severity=critical",
        "groupInterval": 0,
        "routes": [
            {"receiver": ["ops", "opps"], "match": ["severity=critical", "severity"], "groupBy": ["...", "service"]},
            {"muteTimes": ["night"], "groupBy": ["a b"], "groupWait": "soon"},
        ],
    }))
    .unwrap();
    files.routing.inhibit = vec![(
        0,
        serde_json::from_value(json!({"source": [], "target": "service=~\"(\""})).unwrap(),
    )];
    let windows = json!([
        {"name": "a", "cron": "0 2 30 2 *", "duration": "1h"},
        {"name": "a", "start": "2026-11-23T22:00:00Z", "end": "2026-11-23T20:00:00Z"},
        {"name": "b", "start": "tomorrow", "end": "2026-11-23T20:00:00Z"},
        {"name": "c"},
    ]);
    files.routing.maintenance = serde_json::from_value::<Vec<_>>(windows)
        .unwrap()
        .into_iter()
        .enumerate()
        .collect();
    let (_, report) = checked(&files).await;
    let mut faults = texts(&report.faults);
    faults.sort();
    let mut places: Vec<&str> = faults
        .iter()
        .map(|fault| fault.split(": ").next().unwrap())
        .collect();
    places.sort();
    assert_eq!(
        places,
        [
            "/channels/odd/channel",
            "/channels/ops/name",
            "/inhibit/0/source",
            "/inhibit/0/target",
            "/maintenance/0/cron",
            "/maintenance/1/end",
            "/maintenance/1/name",
            "/maintenance/2/start",
            "/maintenance/3",
            "/route",
            "/route/groupInterval",
            "/route/match",
            "/route/routes/0/groupBy",
            "/route/routes/0/match/1",
            "/route/routes/0/receiver/1",
            "/route/routes/1/groupBy/0",
            "/route/routes/1/groupWait",
            "/route/routes/1/muteTimes/0",
            "/services/0/dependsOn",
            "/services/0/labels/1st",
            "/services/0/labels/severity",
            "/services/2/dependsOn/1",
        ],
        "{faults:#?}"
    );
    let circle = faults
        .iter()
        .find(|fault| fault.starts_with("/services/0/dependsOn"))
        .unwrap();
    assert!(
        circle.ends_with("depends on itself: `a`, `b`, `c`, `a`; leave one of them out"),
        "{circle}"
    );
}

#[tokio::test]
async fn escalations_and_the_watchdog_name_channels() {
    let services = json!([{"name": "A", "baseUrl": "https://a"}]);
    let alerts = json!([{"name": "Down", "condition": "true", "escalation": "ops"}]);
    let default = json!([{"channel": "email", "name": "Ops", "recipients": ["ops@company.com"]}]);
    let mut entries = entries(services, alerts, default);
    entries.escalations = named(json!({"ops": {"steps": [
        {"wait": "10m", "notify": ["Ops", {"channel": "slack", "name": "On call", "webhook": "https://1"}],
         "repeat": {"every": "5m", "times": 3}},
        {"wait": 600, "notify": ["Ops"], "hours": {"days": ["mon", "Friday"], "from": "09:00", "to": "17:30", "timezone": "Europe/Berlin"}},
    ]}}));
    entries.watchdog = Some(
        serde_json::from_value(json!({"url": "https://hc.example/ping/1", "interval": "30s"}))
            .unwrap(),
    );
    let catalog = registry(entries).await.catalog();
    let policy = &catalog.escalations["ops"];
    let names: Vec<Vec<&str>> = policy
        .steps
        .iter()
        .map(|step| {
            step.channels
                .iter()
                .map(|id| catalog.channels[id].name.as_str())
                .collect()
        })
        .collect();
    assert_eq!(names, [vec!["Ops", "On call"], vec!["Ops"]]);
    assert_eq!(policy.steps[0].repeat.unwrap().times, Some(3));
    let hours = policy.steps[1].hours.clone().unwrap();
    assert_eq!(
        (hours.weekdays.as_slice(), hours.from, hours.to),
        ([0, 4].as_slice(), 540, 1_050)
    );
    let watchdog = catalog.watchdog.clone().unwrap();
    assert_eq!(
        (
            catalog.channels[&watchdog.channel].plugin.as_str(),
            watchdog.interval.as_secs()
        ),
        ("webhook", 30)
    );
    assert_eq!(catalog.rules["a"][0].escalation.as_deref(), Some("ops"));
}

#[tokio::test]
async fn faults_of_escalations_have_their_places() {
    let mut entries = entries(json!([]), json!([]), json!([]));
    entries.escalations = named(json!({"ops": {"steps": [
        {"notify": ["Opps"], "repeat": {"every": "5m"}},
        {"notify": [], "repeat": {"every": 1, "times": 1}},
        {"notify": [{"channel": "slak"}], "hours": {"days": ["mo"], "from": "9", "to": "25:00", "timezone": "Mars"}},
    ]}, "none": {"steps": []}}));
    entries.watchdog = Some(serde_json::from_value(json!({"interval": 1})).unwrap());
    let (_, report) = checked(&entries).await;
    let faults = texts(&report.faults);
    for wanted in [
        "/escalations/ops/steps/0/notify/0: there is no channel `Opps`",
        "/escalations/ops/steps/0/repeat: is repeated until somebody comes",
        "/escalations/ops/steps/1/notify: must have between 1 and 32 entries",
        "/escalations/ops/steps/1/repeat/every: must be at least 10s",
        "/escalations/ops/steps/2/notify/0/channel: there is no notifier plugin `slak`; did you mean `slack`?",
        "/escalations/ops/steps/2/hours/days/0: `mo` is not a day",
        "/escalations/ops/steps/2/hours/from: `9` is not a time of day",
        "/escalations/ops/steps/2/hours/to: `25:00` is not a time of day",
        "/escalations/ops/steps/2/hours/timezone: is not a known time zone",
        "/escalations/none/steps: must have between 1 and 32 entries",
        "/watchdog/interval: must be at least 5s",
        "/watchdog: needs to know where it is sent to: either a `url` or `notify`",
    ] {
        assert!(
            faults.iter().any(|fault| fault.starts_with(wanted)),
            "{wanted} is not in {faults:#?}"
        );
    }
    assert_eq!(faults.len(), 12);
}

#[tokio::test]
async fn a_node_of_the_tree_names_an_escalation_for_rules_that_name_none() {
    let mut entries = entries(json!([]), json!([]), json!([]));
    entries.escalations = named(json!({"ops": {"steps": [{"notify": ["pager"]}]}}));
    let channels = json!({"pager": {"channel": "slack", "webhook": "https://1"}});
    entries.routing.channels = serde_json::from_value(channels).unwrap();
    let route = json!({"receiver": "pager", "escalation": "ops", "routes": [
        {"match": "severity=info", "escalation": "opps"}, {"match": "severity=warning"},
    ]});
    entries.routing.route = Some(serde_json::from_value(route).unwrap());
    let (files, report) = checked(&entries).await;
    assert_eq!(
        texts(&report.faults),
        ["/route/routes/0/escalation: alerts.yaml has no escalation `opps`; did you mean `ops`?"]
    );
    let route = files.routing.route.unwrap();
    let labels = crate::domain::Labels::of("Down", "a", crate::domain::Severity::Warning, None);
    assert_eq!(
        route.destinations(&labels)[0].escalation.as_deref(),
        Some("ops"),
        "from the node above"
    );
}

#[tokio::test]
async fn channels_take_templates_limits_and_fallbacks_and_their_faults_have_places() {
    let templates = json!({
        "short": {"title": "{{ status }}"},
        "wrong": {"title": "fine", "text": "one\n{{ alerts[0].sumary }}"},
        "empty": {},
    });
    let notifications = json!([
        {"channel": "slack", "name": "ops", "webhook": "https://a", "template": "short",
            "rateLimit": {"messages": 3, "per": "1m"}, "fallback": "mail"},
        {"channel": "slack", "name": "plain", "webhook": "https://a", "fallback": "mial"},
        {"channel": "slack", "name": "odd", "webhook": "https://b", "template": "shrt", "fallback": "odd"},
        {"channel": "slack", "name": "mail", "webhook": "https://c", "rateLimit": {"messages": 1, "per": 0}, "fallbackAfter": "1m"},
    ]);
    let message_templates = serde_json::from_value(templates).unwrap();
    let entries = FileEntries {
        message_templates,
        ..entries(json!([]), json!([]), notifications)
    };
    let (files, report) = checked(&entries).await;
    assert_eq!(
        texts(&report.faults),
        [
            "/messageTemplates/empty: is empty; write a `title`, a `text` or an `html`",
            "/messageTemplates/wrong/text: line 2, column 4 of the template: there is no `alerts[0].sumary`",
            "/notifications/2/template: alerts.yaml has no message template `shrt` below `messageTemplates`; did you mean `short`?",
            "/notifications/2/fallback: is the channel itself; name another one",
            "/notifications/3/rateLimit/per: has to be between 1 ms and a day",
            "/notifications/3/fallbackAfter: there is no `fallback` to go to; name a channel",
            "/notifications/1/fallback: there is no channel with the name `mial`; did you mean `mail`?",
        ]
    );
    let channels: Vec<_> = files.channels().collect();
    let options = &channels[0].options;
    assert_eq!(
        options
            .template
            .as_ref()
            .map(|template| template.name.as_str()),
        Some("short")
    );
    assert_eq!(
        options
            .rate_limit
            .map(|limit| (limit.messages, limit.per.as_secs())),
        Some((3, 60))
    );
    assert_eq!(
        options
            .fallback
            .as_ref()
            .map(|fallback| fallback.channel.as_str()),
        Some("mail")
    );
    assert_ne!(
        channels[0].id, channels[1].id,
        "another template makes another channel"
    );
}
