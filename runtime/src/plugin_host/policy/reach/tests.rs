//! Tables of where a run may go, and of where its secrets may.

use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::domain::{Grants, PluginInfo, PluginPolicy, Want};
use crate::plugin_host::policy::grants::{Policy, PolicyOrigin, Wants};

fn service(base_url: &str, hosts: &[&str]) -> Service {
    Service {
        slug: "shop".to_owned(),
        name: "Shop".to_owned(),
        kind: "REST".to_owned(),
        base_url: base_url.to_owned(),
        health_endpoint: None,
        tags: Vec::new(),
        labels: Default::default(),
        depends_on: Vec::new(),
        owner: None,
        description: None,
        profile: Default::default(),
        slo: None,
        rate_limits: Default::default(),
        origin: Origin::Api,
        hosts: hosts.iter().map(|host| (*host).to_owned()).collect(),
        private: PrivateReach::Open,
        credentials: Vec::new(),
        probes: Vec::new(),
        webhooks: Vec::new(),
        meters: Vec::new(),
        gateway: None,
    }
}

fn reach(base_url: &str, hosts: &[&str], settings: Value) -> Reach {
    let schema = json!({"properties": {
        "path": {"x-host": "url"}, "server": {"x-host": true}, "port": {"x-port": true}, "hook": {"x-secret": true},
    }});
    let sealed = SealedSettings::new(&settings, &schema);
    Reach::of_service(
        &service(base_url, hosts),
        &settings,
        &schema,
        &sealed,
        "probe `p`".to_owned(),
    )
}

fn reaches(reach: &Reach, url: &str) -> bool {
    reach
        .permission
        .check_url(&Url::parse(url).unwrap())
        .is_ok()
}

fn grants(granted: &[&str]) -> EffectiveGrants {
    let info = PluginInfo {
        name: "p".to_owned(),
        version: "1.0.0".to_owned(),
        summary: String::new(),
        settings_schema: json!({}),
        wants: vec![Want::Host("*".to_owned())],
        evaluated_over_time: false,
    };
    let grants = Grants {
        hosts: granted.iter().map(|host| (*host).to_owned()).collect(),
        ..Grants::default()
    };
    let policy = Policy::new(
        PolicyOrigin::File,
        PluginPolicy {
            grants,
            ..PluginPolicy::default()
        },
    );
    EffectiveGrants::new("p".into(), Arc::new(Wants::of(&info)), Arc::new(policy))
}

#[test]
fn a_probe_reaches_its_own_origin_and_no_other_port_of_its_host() {
    for (base_url, url, wanted) in [
        ("http://10.0.0.1:8080/v1", "http://10.0.0.1:8080/x", true),
        ("http://10.0.0.1:8080/v1", "http://10.0.0.1:5432/", false),
        ("http://10.0.0.1:8080/v1", "http://10.0.0.1/", false),
        ("http://10.0.0.1:8080/v1", "https://10.0.0.1:443/", false),
        ("http://shop.example", "https://shop.example/", true),
        ("http://shop.example", "https://shop.example:8443/", false),
        ("https://shop.example", "http://shop.example/", true),
        (
            "https://Shop.example:443/v1",
            "https://shop.EXAMPLE./",
            true,
        ),
        ("https://shop.example", "https://www.shop.example/", false),
        ("Db.example:5432", "http://db.example:5432/", true),
        ("db.example:5432", "http://db.example:5433/", false),
        // No port is named, so it is the plugin that knows it.
        ("db.example", "http://db.example:5432/", true),
        ("redis://db.example", "http://db.example:6379/", true),
        ("redis://db.example:6379", "http://db.example:22/", false),
    ] {
        assert_eq!(
            reaches(&reach(base_url, &[], json!({})), url),
            wanted,
            "{base_url} {url}"
        );
    }
}

#[test]
fn settings_and_hosts_of_the_service_open_what_they_name() {
    let base = "http://10.0.0.1:8080";
    for (hosts, settings, url, wanted) in [
        (
            &[][..],
            json!({"path": "metrics"}),
            "http://metrics:9090/",
            false,
        ),
        (
            &[],
            json!({"path": "/probe?target=https://shop.example/"}),
            "https://shop.example/",
            false,
        ),
        (
            &[],
            json!({"path": "http://10.0.0.1:9100/metrics"}),
            "http://10.0.0.1:9100/metrics",
            true,
        ),
        (
            &[],
            json!({"server": "ns1.example:5353"}),
            "http://ns1.example:5353/",
            true,
        ),
        (&[], json!({"port": 22}), "http://10.0.0.1:22/", true),
        (&[], json!({"port": 22}), "http://10.0.0.1:23/", false),
        (
            &[],
            json!({"hook": "https://hooks.example/T0"}),
            "https://hooks.example/",
            true,
        ),
        (&["localhost"], json!({}), "http://localhost:8080/", true),
        (&["localhost"], json!({}), "https://localhost/", true),
        (&["localhost"], json!({}), "http://localhost:5432/", false),
        (&["10.0.0.1:5432"], json!({}), "http://10.0.0.1:5432/", true),
    ] {
        assert_eq!(
            reaches(&reach(base, hosts, settings.clone()), url),
            wanted,
            "{hosts:?} {settings} {url}"
        );
    }
    let denial = |url: &str| {
        reach(base, &[], json!({}))
            .permission
            .check_url(&Url::parse(url).unwrap())
            .unwrap_err()
    };
    let text = denial("http://localhost:8080/").to_string();
    assert!(
        text.ends_with("to allow it, name it in `hosts` of the service, as `localhost:8080`"),
        "{text}"
    );
    assert!(
        denial("https://www.shop.example/")
            .to_string()
            .ends_with("as `www.shop.example`")
    );
}

#[test]
fn a_secret_of_the_settings_goes_to_what_was_written_out_only() {
    let check = |base: &str, hosts: &[&str], settings: Value, granted: &[&str], url: &str| {
        reach(base, hosts, settings)
            .scope
            .check_secret(&grants(granted), url)
            .is_ok()
    };
    for (base, hosts, settings, granted, url, wanted) in [
        (
            "https://shop.example",
            &[][..],
            json!({}),
            &[][..],
            "https://shop.example/x",
            true,
        ),
        (
            "https://shop.example",
            &[],
            json!({}),
            &[],
            "http://shop.example/x",
            false,
        ),
        (
            "http://shop.example",
            &[],
            json!({}),
            &[],
            "http://shop.example/x",
            true,
        ),
        (
            "http://shop.example",
            &[],
            json!({}),
            &[],
            "https://shop.example/x",
            true,
        ),
        (
            "http://shop.example",
            &[],
            json!({}),
            &[],
            "http://shop.example:81/x",
            false,
        ),
        (
            "https://shop.example",
            &["other.example"],
            json!({}),
            &[],
            "https://other.example/",
            false,
        ),
        (
            "https://shop.example",
            &[],
            json!({"server": "api.example"}),
            &[],
            "https://api.example/",
            true,
        ),
        (
            "https://shop.example",
            &[],
            json!({"server": "api.example"}),
            &[],
            "http://api.example/",
            false,
        ),
        (
            "https://shop.example",
            &[],
            json!({"server": "http://api.example"}),
            &[],
            "http://api.example/",
            true,
        ),
        (
            "https://shop.example",
            &[],
            json!({"server": "localhost:80"}),
            &[],
            "http://localhost/",
            true,
        ),
        (
            "https://shop.example",
            &[],
            json!({"hook": "http://hook.example/k"}),
            &[],
            "http://hook.example/k",
            true,
        ),
        (
            "https://shop.example",
            &[],
            json!({}),
            &["vendor.example"],
            "https://vendor.example/",
            true,
        ),
        (
            "https://shop.example",
            &[],
            json!({}),
            &["vendor.example"],
            "http://vendor.example/",
            false,
        ),
        (
            "https://shop.example",
            &[],
            json!({}),
            &["*.vendor.example"],
            "https://a.vendor.example/",
            false,
        ),
        (
            "https://shop.example",
            &[],
            json!({}),
            &["*"],
            "https://evil.example/",
            false,
        ),
    ] {
        let shown = format!("{base} {hosts:?} {settings} {granted:?} {url}");
        assert_eq!(
            check(base, hosts, settings, granted, url),
            wanted,
            "{shown}"
        );
    }
}

#[test]
fn what_carries_a_secret_is_not_sent_to_a_server_that_proves_less() {
    let scope = |settings: Value| reach("https://shop.example", &[], settings).scope;
    let insecure = Weakened {
        insecure: true,
        server_name: None,
    };
    let named = Weakened {
        insecure: false,
        server_name: Some("a.example"),
    };
    let denial = scope(json!({}))
        .check_weakened(&insecure)
        .unwrap_err()
        .to_string();
    assert!(
        denial.contains("write `insecure: true` in the settings"),
        "{denial}"
    );
    let denial = scope(json!({"serverName": "b.example"}))
        .check_weakened(&named)
        .unwrap_err()
        .to_string();
    assert!(
        denial.contains("write it as `serverName` in the settings"),
        "{denial}"
    );
    scope(json!({"insecure": true}))
        .check_weakened(&insecure)
        .unwrap();
    scope(json!({"serverName": "a.example"}))
        .check_weakened(&named)
        .unwrap();
    scope(json!({}))
        .check_weakened(&Weakened::default())
        .unwrap();
}

#[test]
fn a_channel_remembers_what_its_names_led_to_until_its_settings_change() {
    let reach = ChannelReach::default();
    let channel = |settings: Value, origin| Channel {
        id: crate::domain::ChannelId("c".to_owned()),
        name: "c".to_owned(),
        plugin: "webhook".to_owned(),
        settings,
        origin,
        options: Default::default(),
    };
    let seen = |channel: &Channel| match reach.of(channel) {
        PrivateReach::AsFirstSeen(seen) => seen,
        other => panic!("{other:?}"),
    };
    let first = seen(&channel(json!({"url": "a"}), Origin::File));
    assert!(Arc::ptr_eq(
        &first,
        &seen(&channel(json!({"url": "a"}), Origin::File))
    ));
    assert!(!Arc::ptr_eq(
        &first,
        &seen(&channel(json!({"url": "b"}), Origin::File))
    ));
    assert_eq!(
        reach.of(&channel(json!({"url": "a"}), Origin::Api)),
        PrivateReach::Closed
    );
}

#[test]
fn a_secret_goes_over_a_plain_connection_where_the_address_says_plain() {
    for (base, settings, host, port, wanted) in [
        (
            "redis://db.example:6379",
            json!({}),
            "db.example",
            6379,
            true,
        ),
        (
            "REDIS://db.example:6379",
            json!({}),
            "db.example",
            6379,
            true,
        ),
        ("db.example:6379", json!({}), "db.example", 6379, false),
        (
            "rediss://db.example:6379",
            json!({}),
            "db.example",
            6379,
            false,
        ),
        (
            "https://shop.example",
            json!({"server": "db.example:1"}),
            "db.example",
            1,
            false,
        ),
        (
            "https://shop.example",
            json!({"server": "mqtt://db.example:1"}),
            "db.example",
            1,
            true,
        ),
        ("db.example:6379", json!({}), "other.example", 6379, false),
        ("localhost:6379", json!({}), "localhost", 6379, true),
    ] {
        let scope = reach(base, &[], settings.clone()).scope;
        let host = Host::parse(host).unwrap();
        let is_checked = |is_plain| scope.check_stream(&grants(&[]), &host, port, is_plain);
        assert_eq!(is_checked(true).is_ok(), wanted, "{base} {settings}");
        let is_trusted = !base.starts_with("db.example") || host.to_string() == "db.example";
        assert_eq!(is_checked(false).is_ok(), is_trusted, "{base} {settings}");
    }
}
