use serde_json::json;

use crate::domain::cost::BudgetPeriod;
use crate::domain::fault::{Fault, FaultReport};
use crate::domain::{Catalog, PluginKind};
use crate::registry::testing::{FakePlugins, TestRegistry};
use crate::registry::{CheckedFiles, Defaults, FileEntries, check_files};

async fn checked(budgets: serde_json::Value) -> (CheckedFiles, FaultReport) {
    let specs: Vec<_> = serde_json::from_value(budgets).unwrap();
    let entries = FileEntries {
        budgets: specs.into_iter().enumerate().collect(),
        ..FileEntries::default()
    };
    let plugins = FakePlugins::bundled();
    let number = json!({"type": "number"});
    let text = json!({"type": "string"});
    plugins.add(
        PluginKind::Rule,
        "budget",
        &[],
        json!({"budget": text, "at": number, "of": text}),
    );
    check_files(
        &entries,
        Defaults::default(),
        &plugins,
        FaultReport::default(),
    )
    .await
}

async fn faults(budgets: serde_json::Value) -> Vec<String> {
    let (_, report) = checked(budgets).await;
    let text = |fault: &Fault| format!("{}: {}", fault.pointer, fault.message);
    report.faults.iter().map(text).collect()
}

async fn catalog(budgets: serde_json::Value) -> std::sync::Arc<Catalog> {
    let (files, report) = checked(budgets).await;
    assert_eq!(report.faults, []);
    TestRegistry::open(files).await.catalog()
}

#[tokio::test]
async fn a_budget_is_a_subject_with_a_rule_for_each_of_its_alerts() {
    let catalog = catalog(json!([{
        "name": "AI tokens", "amount": "500.00", "currency": "EUR", "per": "week", "tags": ["ai"],
        "routes": ["/v1/*"], "alertAt": ["100%", 50, "80.5 %", "50%"],
    }]))
    .await;
    let budget = &catalog.budgets["ai-tokens"];
    assert_eq!(
        (budget.amount.to_string(), budget.per, &budget.scope.routes),
        (
            "500".to_owned(),
            BudgetPeriod::Week,
            &vec!["/v1/*".to_owned()]
        )
    );
    let rules = &catalog.rules["budget:ai-tokens"];
    let found: Vec<_> = rules
        .iter()
        .map(|rule| format!("{} {} {}", rule.key, rule.severity.as_str(), rule.settings))
        .collect();
    assert_eq!(found.len(), 4, "{found:?}");
    for (rule, start, at) in [
        (
            &found[0],
            "budget:ai-tokens/Budget AI tokens: 50 % warning",
            r#""at":50"#,
        ),
        (
            &found[1],
            "budget:ai-tokens/Budget AI tokens: 80.5 % warning",
            r#""at":80.5"#,
        ),
        (
            &found[2],
            "budget:ai-tokens/Budget AI tokens: 100 % critical",
            r#""at":100"#,
        ),
        (
            &found[3],
            "budget:ai-tokens/Budget AI tokens: forecast warning",
            r#""of":"forecast""#,
        ),
    ] {
        assert!(rule.starts_with(start) && rule.contains(at), "{rule}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_budget_is_reported_with_its_place() {
    assert_eq!(
        faults(json!([
            {"name": "A", "amount": 0, "currency": "EUR"},
            {"name": "B", "amount": "0.1234567", "currency": "EURO"},
            {"name": "C", "amount": "-1", "currency": "EUR", "services": []},
            {"name": "D", "amount": 1, "currency": "EUR", "alertAt": ["80", "0%", "lots"]},
            {"name": "d!", "amount": 1, "currency": "EUR"},
        ]))
        .await,
        [
            "/budgets/0/amount: must be above zero",
            "/budgets/1/amount: must have at most 6 digits behind the point",
            "/budgets/1/currency: `EURO` is no currency of ISO 4217, such as `EUR`; did you mean `EUR`?",
            "/budgets/2/amount: must be a decimal number such as `0.0083`, without sign and currency",
            "/budgets/2/services: selects no service; leave it out to count all",
            "/budgets/3/alertAt/1: `0%` is no share of the amount; write e.g. `80%`, above 0 and at most 1000 %, with at most two digits behind the point",
            "/budgets/3/alertAt/2: `lots` is no share of the amount; write e.g. `80%`, above 0 and at most 1000 %, with at most two digits behind the point",
            "/budgets/4/name: budget `D` has the same id `d`; give this one another name",
        ]
    );
}
