use serde_json::{Map, Value, json};

use crate::import::testing::{imported, notes};
use crate::import::{Format, Imported};

fn file(text: &str) -> (Map<String, Value>, Imported) {
    let imported = imported(Format::Alertmanager, text);
    (imported.alerts_file().unwrap_or_default(), imported)
}

#[test]
fn a_tree_keeps_its_receivers_matchers_and_times() {
    let (file, imported) = file(
        r#"
global: {slack_api_url: "https://hooks.example/hunter2", smtp_smarthost: "mail:25", resolve_timeout: 5m}
route:
  receiver: team
  group_by: [alertname, cluster]
  group_wait: 30s
  group_interval: 5m
  repeat_interval: 3h
  routes:
    - match: {severity: critical}
      match_re: {service: ^(a|b)$}
      receiver: pager
      continue: true
      mute_time_intervals: [nights]
    - matchers: ['owner!="x"', tag=~"eu|us"]
      receiver: nobody
      group_by: ['...']
    - matchers: ['{bad']
      receiver: team
receivers:
  - name: team
    slack_configs: [{channel: '#ops', title: x}]
  - name: pager
    pagerduty_configs: [{routing_key: hunter3}]
    email_configs: [{to: 'a@x.example, b@x.example'}]
    opsgenie_configs: [{api_key: hunter4}]
  - name: nobody
inhibit_rules:
  - source_match: {severity: critical}
    target_matchers: [severity=~"warning|info"]
    equal: [alertname, service]
time_intervals:
  - name: nights
    time_intervals:
      - times: [{start_time: '00:00', end_time: '06:00'}, {start_time: '22:00', end_time: '24:00'}]
        location: Europe/Berlin
templates: ['/etc/*.tmpl']
"#,
    );
    let wanted = json!({
        "channels": {
            "team": {"channel": "slack", "webhook": "${SLACK_API_URL}"},
            "pager-pagerduty": {"channel": "pagerduty", "routingKey": "${PAGER_PAGERDUTY_ROUTING_KEY}"},
            "pager-email": {"channel": "email", "recipients": ["a@x.example", "b@x.example"]},
        },
        "muteTimes": {
            "nights-1": {"cron": "0 0 * * *", "duration": "6h", "timezone": "Europe/Berlin"},
            "nights-2": {"cron": "0 22 * * *", "duration": "2h", "timezone": "Europe/Berlin"},
        },
        "route": {
            "receiver": "team", "groupBy": ["alertname", "cluster"], "groupWait": "30s", "groupInterval": "5m",
            "repeatInterval": "3h",
            "routes": [
                {
                    "match": ["severity=\"critical\"", "service=~\"^(a|b)$\""],
                    "receiver": ["pager-pagerduty", "pager-email"], "muteTimes": ["nights-1", "nights-2"],
                    "continue": true,
                },
                {"match": ["owner!=\"x\"", "tag=~\"eu|us\""], "receiver": [], "groupBy": ["..."]},
            ],
        },
        "inhibit": [{
            "source": ["severity=\"critical\""], "target": ["severity=~\"warning|info\""],
            "equal": ["alertname", "service"],
        }],
    });
    assert_eq!(Value::Object(file), wanted);
    // Three receivers, four nodes, an inhibition and an interval; one node is not carried over.
    assert_eq!((imported.found, imported.carried), (9, 8));
    let notes = notes(&imported);
    assert!(!notes.join(" ").contains("hunter"), "{notes:?}");
    for start in [
        "f.yaml:2: global.slack_api_url: is secret; set `SLACK_API_URL`",
        "f.yaml:2: global.resolve_timeout: our rules decide themselves",
        "f.yaml:3: route: alerts have the label `cluster`",
        "f.yaml:18: route.routes[2].matchers[0]: `{bad` is not a matcher",
        "f.yaml:22: receivers[0].slack_configs[0].channel: an incoming webhook writes to the channel",
        "f.yaml:22: receivers[0].slack_configs[0].title: messages are in our notifiers' words",
        "f.yaml:26: receivers[1].opsgenie_configs[0]: no notifier for `opsgenie`; left out",
        "f.yaml:37: templates[0]: templates of Go",
    ] {
        assert!(
            notes.iter().any(|note| note.starts_with(start)),
            "{start}: {notes:#?}"
        );
    }
}

fn mute_times(interval: &str, key: &str) -> (Value, Vec<String>) {
    let (file, imported) = file(&format!(
        "route: {{receiver: a, routes: [{{match: {{a: b}}, {key}: [x]}}]}}\nreceivers: [{{name: a}}]\ntime_intervals:\n- name: x\n  time_intervals:\n  - {interval}\n",
    ));
    let times = file.get("muteTimes").cloned().unwrap_or_default();
    let mut notes = notes(&imported);
    notes.retain(|note| !note.contains("have the label"));
    (times, notes)
}

#[test]
fn intervals_are_schedules() {
    for (interval, wanted) in [
        (
            "{weekdays: ['saturday', 'sunday']}",
            json!({"x": {"cron": "0 0 * * SUN,SAT", "duration": "1d"}}),
        ),
        (
            "{weekdays: ['monday:friday'], times: [{start_time: '09:00', end_time: '17:30'}]}",
            json!({"x": {"cron": "0 9 * * MON,TUE,WED,THU,FRI", "duration": "510m"}}),
        ),
        (
            "{days_of_month: ['1:5', '20'], months: ['january:march', '12']}",
            json!({"x": {"cron": "0 0 1-5,20 1-3,12 *", "duration": "1d"}}),
        ),
    ] {
        let (times, notes) = mute_times(interval, "mute_time_intervals");
        assert_eq!((times, notes), (wanted, vec![]), "{interval}");
    }
    for (interval, reason) in [
        (
            "{days_of_month: ['-3:-1']}",
            "a schedule of ours counts no days from the end",
        ),
        ("{years: ['2026']}", "a schedule of ours names no years"),
        (
            "{weekdays: ['monday'], days_of_month: ['1']}",
            "has days of the month or of the week",
        ),
        (
            "{times: [{start_time: '22:00', end_time: '06:00'}]}",
            "is no time from a start to a later end",
        ),
    ] {
        let (times, notes) = mute_times(interval, "mute_time_intervals");
        assert_eq!(times, Value::Null, "{interval}");
        assert!(
            notes.iter().any(|note| note.contains(reason)),
            "{interval}: {notes:?}"
        );
        assert!(
            notes
                .iter()
                .any(|note| note.contains("`x` is not carried over as a whole")),
            "{notes:?}"
        );
    }
}

#[test]
fn times_that_are_active_mute_all_others() {
    let (times, notes) = mute_times(
        "{weekdays: ['monday:friday'], times: [{start_time: '09:00', end_time: '17:00'}], location: Europe/Berlin}",
        "active_time_intervals",
    );
    let zone = "Europe/Berlin";
    let wanted = json!({
        "outside of x-1": {"cron": "0 0 * * SUN,SAT", "duration": "1d", "timezone": zone},
        "outside of x-2": {"cron": "0 0 * * MON,TUE,WED,THU,FRI", "duration": "9h", "timezone": zone},
        "outside of x-3": {"cron": "0 17 * * MON,TUE,WED,THU,FRI", "duration": "7h", "timezone": zone},
    });
    assert_eq!((times, notes), (wanted, vec![]));
    let (times, notes) = mute_times("{months: ['1']}", "active_time_intervals");
    assert_eq!(times, Value::Null);
    assert!(
        notes[0].contains("all but some days of the month"),
        "{notes:?}"
    );
}

#[test]
fn a_receiver_of_which_nothing_is_carried_over_leaves_its_alerts_to_the_node_above() {
    let (file, imported) = file(
        "route: {receiver: a, routes: [{match: {service: b}, receiver: b}]}\nreceivers:\n- {name: a, sns_configs: [{}]}\n- {name: b, wechat_configs: [{}]}\n",
    );
    let wanted = json!({"receiver": [], "routes": [{"match": ["service=\"b\""]}]});
    assert_eq!(file["route"], wanted);
    let notes = notes(&imported);
    assert!(
        notes.iter().any(|note| note.contains("it notifies nobody")),
        "{notes:?}"
    );
    assert!(
        notes
            .iter()
            .any(|note| note.contains("so the node above notifies")),
        "{notes:?}"
    );
}
