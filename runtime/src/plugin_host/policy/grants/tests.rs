//! Tables of what comes out of what is wanted and what is granted.

use super::*;
use crate::domain::{Grants, PluginPolicy};

fn grants(wants: &[Want], grants: Grants) -> EffectiveGrants {
    let info = PluginInfo {
        name: "shop".to_owned(),
        version: "1.0.0".to_owned(),
        summary: String::new(),
        settings_schema: serde_json::json!({}),
        wants: wants.to_vec(),
        evaluated_over_time: false,
    };
    let policy = Policy::new(
        PolicyOrigin::File,
        PluginPolicy {
            grants,
            ..PluginPolicy::default()
        },
    );
    EffectiveGrants::new("shop".into(), Arc::new(Wants::of(&info)), Arc::new(policy))
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn other_hosts_have_to_be_wanted_and_granted() {
    for (wanted, granted, both) in [
        (&[][..], &[][..], &[][..]),
        (&["a.example"], &[], &[]),
        (&[], &["a.example"], &[]),
        (&[], &["*"], &[]),
        (&["a.example"], &["a.example"], &["a.example"]),
        (&["a.example:443"], &["a.example"], &["a.example:443"]),
        (&["a.example"], &["*.example", "b.example"], &["a.example"]),
        (
            &["*"],
            &["a.example", "*.b.example:8443"],
            &["a.example", "*.b.example:8443"],
        ),
        (&["*.example", "a.example"], &["a.example"], &["a.example"]),
        (&["not a host", "a.example"], &["a.example"], &["a.example"]),
    ] {
        let wants: Vec<Want> = wanted
            .iter()
            .map(|host| Want::Host((*host).to_owned()))
            .collect();
        let grants = grants(
            &wants,
            Grants {
                hosts: names(granted),
                ..Grants::default()
            },
        );
        let hosts: Vec<String> = grants.hosts().iter().map(ToString::to_string).collect();
        assert_eq!(hosts, both, "wants {wanted:?}, is granted {granted:?}");
    }
}

#[test]
fn a_denied_host_is_told_with_what_would_allow_it() {
    let extended = |wants: &[Want], granted: &[&str]| {
        let mut permission = Permission {
            hosts: Vec::new(),
            public_hosts: Vec::new(),
            allow_private: false.into(),
            private_remedy: Permission::OPEN_IN_FILES,
            subject: "probe `shop`".to_owned(),
            setting: "`baseUrl` of the service".to_owned(),
        };
        grants(
            wants,
            Grants {
                hosts: names(granted),
                ..Grants::default()
            },
        )
        .extend(&mut permission);
        permission
    };
    let wants = [Want::Host("*.example".to_owned())];
    let permission = extended(&wants, &["a.example", "*.b.example"]);
    assert_eq!(
        (permission.hosts.len(), permission.public_hosts.len()),
        (1, 1)
    );
    let url = url::Url::parse("https://c.example/").unwrap();
    assert_eq!(
        permission.check_url(&url).unwrap_err().to_string(),
        "probe `shop` may not connect to `c.example:443`; to allow it, name it in `baseUrl` of the service, or in \
         `plugins.shop.grants.hosts` in plugins.yaml or by `extrack plugin grants shop --allow-host c.example`, if it is \
         among what the plugin wants: `*.example`"
    );
    assert_eq!(
        extended(&[], &["c.example"])
            .check_url(&url)
            .unwrap_err()
            .to_string(),
        "probe `shop` may not connect to `c.example:443`; to allow it, name it in `baseUrl` of the service (the plugin asks \
         for no other host in its `wants`, so none can be granted)"
    );
}

#[test]
fn credentials_have_to_be_granted_and_wanted_if_any_is_named() {
    for (wanted, granted, wanted_ok) in [
        (&[][..], None, true),
        (&[], Some(&["default"][..]), true),
        (&[], Some(&["other"]), false),
        (&[], Some(&[]), false),
        (&["default"], None, true),
        (&["other"], None, false),
        (&["default"], Some(&["default"]), true),
        (&["default"], Some(&["other"]), false),
        (&["other"], Some(&["default", "other"]), false),
    ] {
        let wants: Vec<Want> = wanted
            .iter()
            .map(|name| Want::Credential((*name).to_owned()))
            .collect();
        let grants = grants(
            &wants,
            Grants {
                credentials: granted.map(names),
                ..Grants::default()
            },
        );
        let answer = grants.credential("default");
        assert_eq!(
            answer.is_ok(),
            wanted_ok,
            "wants {wanted:?}, is granted {granted:?}: {answer:?}"
        );
    }
}

#[test]
fn methods_and_capabilities_are_all_granted_until_some_are_named() {
    let free = grants(&[], Grants::default());
    assert!(free.method("DELETE").is_ok() && free.capability(Capability::Stream).is_ok());
    let bound = grants(
        &[],
        Grants {
            methods: Some(names(&["GET", "HEAD"])),
            capabilities: Some(vec![Capability::Http]),
            ..Grants::default()
        },
    );
    for (method, wanted) in [
        ("GET", true),
        ("HEAD", true),
        ("POST", false),
        ("get", false),
    ] {
        assert_eq!(bound.method(method).is_ok(), wanted, "{method}");
    }
    assert!(bound.capability(Capability::Http).is_ok());
    assert_eq!(
        bound.capability(Capability::Mail).unwrap_err().to_string(),
        "plugin `shop` may not use `mail`; to allow it, name it in `plugins.shop.grants.capabilities` in plugins.yaml"
    );
}

#[test]
fn imports_that_are_withheld_are_found_before_the_first_run() {
    let imports = names(&[
        "external-tracking:plugin/types@0.2.0",
        "external-tracking:plugin/http@0.2.0",
        "external-tracking:plugin/log@0.2.0",
        "external-tracking:plugin/stream@0.2.0",
        "wasi:cli/environment@0.2.3",
    ]);
    assert_eq!(
        capabilities_of(&imports).collect::<Vec<_>>(),
        [Capability::Http, Capability::Stream]
    );
    assert_eq!(
        capabilities_of(&names(&["wasi:http/outgoing-handler@0.2.3"])).collect::<Vec<_>>(),
        [Capability::Http]
    );
    let of = |capabilities| {
        grants(
            &[],
            Grants {
                capabilities,
                ..Grants::default()
            },
        )
    };
    assert!(of(None).check_imports(&imports).is_ok());
    let refusal = of(Some(vec![Capability::Http]))
        .check_imports(&imports)
        .unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "refused at step `grants`: imports `stream`, which it is not granted; to allow it, name it in \
         `plugins.shop.grants.capabilities` in plugins.yaml, or leave that setting out"
    );
}
