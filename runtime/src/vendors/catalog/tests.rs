//! Each file of the catalog, and the operator's own.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;
use url::Url;

use super::*;
use crate::domain::rules_of_vendor;
use crate::spec::ServiceSpec;
use crate::vendors::{Draft, Options, Secrets};

const LEAST_VENDORS: usize = 40;

/// Values for all parameters.
fn examples(vendor: &VendorSpec) -> Options {
    let parameters = vendor.parameters.iter();
    Options {
        parameters: parameters
            .map(|(name, parameter)| (name.clone(), parameter.example.clone()))
            .collect(),
        webhook: true,
        status_page: true,
        ..Options::default()
    }
}

fn https(text: &str, of: &str) {
    let url = Url::parse(text).unwrap_or_else(|error| panic!("{of}: `{text}`: {error}"));
    assert_eq!(url.scheme(), "https", "{of}: `{text}`");
    assert!(url.host_str().is_some(), "{of}: `{text}`");
}

#[test]
fn every_file_is_read_whole_and_named_as_its_vendor() {
    let catalog = VendorCatalog::built_in().unwrap();
    assert!(catalog.entries().count() >= LEAST_VENDORS);
    assert_eq!(
        catalog.entries().count(),
        FILES.len(),
        "two files have one name"
    );
    for (file, _) in FILES {
        let name = file.strip_suffix(".yaml").unwrap();
        assert!(
            catalog.entry(name).is_ok(),
            "`{file}` has another name inside"
        );
    }
    let titles: BTreeSet<&str> = catalog
        .entries()
        .map(|entry| entry.vendor.title.as_str())
        .collect();
    assert_eq!(titles.len(), FILES.len(), "two vendors have one title");
}

#[test]
fn every_url_of_the_catalog_is_https() {
    for entry in VendorCatalog::built_in().unwrap().entries() {
        let vendor = &entry.vendor;
        let draft = Draft::of(vendor, &examples(vendor), Secrets::Named).unwrap();
        https(&draft.service.base_url, &vendor.name);
        if vendor.health.path.contains("://") {
            https(&vendor.health.path.replace(['{', '}'], ""), &vendor.name);
        } else {
            assert!(vendor.health.path.starts_with('/'), "{}", vendor.name);
        }
        for page in &vendor.docs {
            https(page, &vendor.name);
        }
        if let Some(page) = &vendor.status_page {
            https(&page.url, &vendor.name);
        }
        assert!(
            !vendor.docs.is_empty(),
            "{} has no page of documentation",
            vendor.name
        );
    }
}

#[test]
fn every_price_list_has_its_day_its_page_and_decimals() {
    use rust_decimal::Decimal;
    let mut lists = 0;
    for entry in VendorCatalog::built_in().unwrap().entries() {
        let Some(cost) = &entry.vendor.cost else {
            continue;
        };
        lists += 1;
        let name = &entry.vendor.name;
        let text = |key: &str| cost.get(key).and_then(Value::as_str).unwrap_or_default();
        assert!(text("asOf").parse::<jiff::civil::Date>().is_ok(), "{name}");
        assert_eq!(text("currency").len(), 3, "{name}");
        https(text("source"), name);
        let prices = cost["prices"].as_array().unwrap();
        assert!(!prices.is_empty(), "{name}");
        for price in prices {
            for key in ["price", "percent", "plus"] {
                if let Some(amount) = price.get(key) {
                    let amount = amount.as_str().unwrap();
                    assert!(Decimal::from_str_exact(amount).is_ok(), "{name}: {amount}");
                }
            }
        }
    }
    assert!(lists > 0);
}

#[test]
fn every_name_of_rules_in_the_catalog_is_in_the_table() {
    for entry in VendorCatalog::built_in().unwrap().entries() {
        let rules = entry.vendor.rate_limits.as_ref();
        if let Some(vendor) = rules.and_then(|rules| rules.vendor.as_deref()) {
            assert!(
                rules_of_vendor(vendor).is_some(),
                "{}: {vendor}",
                entry.vendor.name
            );
        }
    }
}

#[test]
fn no_text_of_a_draft_has_a_parameter_left() {
    for entry in VendorCatalog::built_in().unwrap().entries() {
        let vendor = &entry.vendor;
        let draft = Draft::of(vendor, &examples(vendor), Secrets::Named).unwrap();
        let text = serde_json::to_string(&draft.service).unwrap();
        for name in vendor.parameters.keys() {
            assert!(
                !text.contains(&format!("{{{name}}}")),
                "{}: {text}",
                vendor.name
            );
        }
    }
}

#[test]
fn a_parameter_that_is_missing_or_unknown_is_said_with_what_it_is() {
    let catalog = VendorCatalog::built_in().unwrap();
    let okta = &catalog.entry("okta").unwrap().vendor;
    let failed = |parameters: &[(&str, &str)]| {
        let parameters = parameters.iter();
        let options = Options {
            parameters: parameters
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect::<BTreeMap<_, _>>(),
            ..Options::default()
        };
        Draft::of(okta, &options, Secrets::Named)
            .unwrap_err()
            .to_string()
    };
    let missing = failed(&[]);
    assert!(missing.contains("needs `--set domain=…`"), "{missing}");
    let unknown = failed(&[("domian", "x")]);
    assert!(unknown.contains("did you mean `domain`?"), "{unknown}");
    let stripe = catalog.entry("stirpe").unwrap_err().to_string();
    assert!(stripe.contains("did you mean `stripe`?"), "{stripe}");
}

#[test]
fn secrets_are_named_in_files_and_put_in_for_the_api() {
    let catalog = VendorCatalog::built_in().unwrap();
    let stripe = &catalog.entry("stripe").unwrap().vendor;
    let options = examples(stripe);
    let draft = |secrets: Secrets<'_>| {
        let draft = Draft::of(stripe, &options, secrets).unwrap();
        let ServiceSpec {
            authentication,
            webhooks,
            ..
        } = draft.service;
        (
            authentication.and_then(|one| one.token),
            webhooks.len(),
            draft.variables,
        )
    };
    let named = draft(Secrets::Named);
    assert_eq!(named.0.as_deref(), Some("${STRIPE_API_KEY}"));
    assert_eq!(named.2, ["STRIPE_API_KEY", "STRIPE_WEBHOOK_SECRET"]);
    let put_in = draft(Secrets::Values(&|name| {
        (name == "STRIPE_API_KEY").then(|| "sk_test".to_owned())
    }));
    assert_eq!(put_in.0.as_deref(), Some("sk_test"));
    assert_eq!(
        (put_in.1, put_in.2),
        (0, vec!["STRIPE_WEBHOOK_SECRET".to_owned()])
    );
}

#[test]
fn entries_of_the_operator_come_on_top_and_faults_name_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let vendors = folder.path().join("vendors");
    std::fs::create_dir(&vendors).unwrap();
    let entry = |name: &str, base: &str| {
        json!({"name": name, "title": "Ours", "baseUrl": base, "health": {"path": "/up", "expectedStatus": 200}})
            .to_string()
    };
    std::fs::write(
        vendors.join("a.yaml"),
        entry("stripe", "http://127.0.0.1:9"),
    )
    .unwrap();
    std::fs::write(vendors.join("b.yaml"), entry("crm", "http://127.0.0.1:9")).unwrap();
    let catalog = VendorCatalog::read(folder.path()).unwrap();
    let stripe = catalog.entry("stripe").unwrap();
    assert_eq!(stripe.vendor.base_url, "http://127.0.0.1:9");
    assert_eq!(
        stripe.file.as_deref(),
        Some(vendors.join("a.yaml").as_path())
    );
    assert!(catalog.entry("crm").is_ok() && catalog.entry("github").is_ok());
    for (text, wanted) in [
        (entry("No Slug", "http://a"), "has to be in lower case"),
        ("{\"name\": \"x\", \"colour\": 1}".to_owned(), "colour"),
        ("name: [".to_owned(), "c.yaml"),
    ] {
        std::fs::write(vendors.join("c.yaml"), text).unwrap();
        let error = VendorCatalog::read(folder.path()).unwrap_err().to_string();
        assert!(
            error.contains(wanted) && error.contains("c.yaml"),
            "{error}"
        );
    }
}
