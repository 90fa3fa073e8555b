//! Compiles the budgets of `alerts.yaml`: what they are for, and a rule for each of their alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use rust_decimal::Decimal;
use serde_json::{Map, Value, json};

use super::cost::{amount_of, currency_of};
use super::{Compiler, SharedRule};
use crate::domain::cost::{BudgetPeriod, BudgetScope, CostBudget};
use crate::domain::fault::child;
use crate::domain::{Severity, slug};
use crate::spec::{
    AlertSpec, AmountSpec, BudgetPeriodSpec, CostBudgetSpec, LifecycleSpec, PluginSettings,
    TemplateUseSpec,
};

/// The rule plugin of their alerts.
const RULE: &str = "budget";

/// Every batch of calls is compared with each of them.
const MAX_BUDGETS: usize = 200;
const MAX_THRESHOLDS: usize = 16;
const MAX_NAMES: usize = 256;
/// Percent; more is a mistake.
const MAX_PERCENT: u32 = 1_000;
/// Digits of amounts: rules see millionths.
const MAX_DIGITS: u32 = 6;

/// A budget with the rules of its alerts.
pub(crate) struct CompiledBudget {
    pub(crate) budget: Arc<CostBudget>,
    pub(crate) rules: Vec<SharedRule>,
}

impl Compiler<'_> {
    /// Compiles budgets, each given with its index in its list.
    pub(crate) async fn budgets(
        &mut self,
        specs: &[(usize, CostBudgetSpec)],
    ) -> Vec<CompiledBudget> {
        let at = "/budgets";
        if specs.len() > MAX_BUDGETS {
            let message = format!("must have at most {MAX_BUDGETS} entries");
            self.report.fault(at, message);
        }
        let mut names: BTreeMap<String, &str> = BTreeMap::new();
        let mut budgets = Vec::new();
        for (index, spec) in specs.iter().take(MAX_BUDGETS) {
            let at = child(at, index);
            let Some(budget) = self.budget(spec, &at) else {
                continue;
            };
            if let Some(other) = names.insert(budget.slug.clone(), &spec.name) {
                let message = format!(
                    "budget `{other}` has the same id `{}`; give this one another name",
                    budget.slug
                );
                self.report.fault(child(&at, "name"), message);
                continue;
            }
            let rules = self.budget_rules(spec, &budget, &at).await;
            let budget = Arc::new(budget);
            budgets.push(CompiledBudget { budget, rules });
        }
        budgets
    }

    fn budget(&mut self, spec: &CostBudgetSpec, at: &str) -> Option<CostBudget> {
        self.name_check(&spec.name, &child(at, "name"));
        let slug = slug(&spec.name);
        if slug.is_empty() && !spec.name.trim().is_empty() {
            let message = "has no letter or digit to make an id of";
            self.report.fault(child(at, "name"), message);
        }
        let amount = self.budget_amount(&spec.amount, &child(at, "amount"));
        let currency = currency_of(&spec.currency, &child(at, "currency"), &mut self.report);
        let alert_at = self.thresholds(spec.alert_at.as_deref(), &child(at, "alertAt"));
        let scope = BudgetScope {
            services: self.names_of(spec.services.as_deref(), "service", &child(at, "services")),
            tags: self.names_of(spec.tags.as_deref(), "tag", &child(at, "tags")),
            consumers: self.names_of(
                spec.consumers.as_deref(),
                "consumer",
                &child(at, "consumers"),
            ),
            routes: self.names_of(spec.routes.as_deref(), "route", &child(at, "routes")),
        };
        let (amount, currency) = (amount?, currency?);
        if slug.is_empty() {
            return None;
        }
        Some(CostBudget {
            slug,
            name: spec.name.clone(),
            amount,
            currency,
            per: match spec.per {
                Some(BudgetPeriodSpec::Month) | None => BudgetPeriod::Month,
                Some(BudgetPeriodSpec::Week) => BudgetPeriod::Week,
                Some(BudgetPeriodSpec::Day) => BudgetPeriod::Day,
            },
            scope,
            alert_at,
            alerts_on_forecast: spec.forecast.unwrap_or(true),
        })
    }

    fn budget_amount(&mut self, spec: &AmountSpec, at: &str) -> Option<Decimal> {
        let amount = amount_of(spec, at, &mut self.report)?;
        let message = if amount.is_zero() {
            "must be above zero".to_owned()
        } else if amount.normalize().scale() > MAX_DIGITS {
            format!("must have at most {MAX_DIGITS} digits behind the point")
        } else {
            return Some(amount);
        };
        self.report.fault(at, message);
        None
    }

    /// Returns percentages, the least first, each once.
    fn thresholds(&mut self, specs: Option<&[AmountSpec]>, at: &str) -> Vec<Decimal> {
        let Some(specs) = specs else {
            return vec![Decimal::from(80), Decimal::ONE_HUNDRED];
        };
        if specs.len() > MAX_THRESHOLDS {
            let message = format!("must have at most {MAX_THRESHOLDS} entries");
            self.report.fault(at, message);
        }
        let mut found = Vec::new();
        for (index, spec) in specs.iter().take(MAX_THRESHOLDS).enumerate() {
            let text = spec.text();
            let digits = text.trim().trim_end_matches('%').trim_end();
            let percent = crate::domain::cost::parse_amount(digits).ok();
            let sound = percent.filter(|percent| {
                !percent.is_zero() && *percent <= MAX_PERCENT.into() && percent.scale() <= 2
            });
            match sound {
                Some(percent) => found.push(percent),
                None => {
                    let message = format!(
                        "`{text}` is no share of the amount; write e.g. `80%`, above 0 and at most {MAX_PERCENT} %, with at most two digits behind the point"
                    );
                    self.report.fault(child(at, index), message);
                }
            }
        }
        found.sort_unstable();
        found.dedup();
        found
    }

    fn names_of(&mut self, names: Option<&[String]>, noun: &str, at: &str) -> Vec<String> {
        let Some(names) = names else {
            return Vec::new();
        };
        if names.is_empty() {
            let message = format!("selects no {noun}; leave it out to count all");
            self.report.fault(at, message);
        }
        if names.len() > MAX_NAMES {
            let message = format!("must have at most {MAX_NAMES} entries");
            self.report.fault(at, message);
        }
        for (index, name) in names.iter().take(MAX_NAMES).enumerate() {
            self.name_check(name, &child(at, index));
        }
        names.to_vec()
    }

    /// Compiles a rule for each threshold, and one for the forecast, as entries of `alerts` would be.
    async fn budget_rules(
        &mut self,
        spec: &CostBudgetSpec,
        budget: &CostBudget,
        at: &str,
    ) -> Vec<SharedRule> {
        let mut alerts = Vec::new();
        for percent in &budget.alert_at {
            let settings = json!({"budget": budget.slug, "at": number(*percent)});
            let severity = if *percent < Decimal::ONE_HUNDRED {
                Severity::Warning
            } else {
                Severity::Critical
            };
            let name = format!("Budget {}: {} %", budget.name, percent.normalize());
            alerts.push(alert(spec, name, severity, settings));
        }
        if budget.alerts_on_forecast {
            let settings = json!({"budget": budget.slug, "at": 100, "of": "forecast"});
            let name = format!("Budget {}: forecast", budget.name);
            alerts.push(alert(spec, name, Severity::Warning, settings));
        }
        let mut rules = Vec::new();
        for alert in alerts {
            rules.extend(self.shared_rule(&alert, at).await);
        }
        rules
    }
}

fn alert(spec: &CostBudgetSpec, name: String, severity: Severity, settings: Value) -> AlertSpec {
    let settings = match settings {
        Value::Object(settings) => settings,
        _ => Map::new(),
    };
    AlertSpec {
        name,
        plugin: Some(RULE.to_owned()),
        severity: Some(severity),
        duration: None,
        lifecycle: LifecycleSpec::default(),
        template: TemplateUseSpec::default(),
        services: None,
        tags: None,
        types: None,
        filter: None,
        probes: None,
        notifications: spec.notifications.clone(),
        disabled: false,
        settings: PluginSettings(settings),
    }
}

/// A whole number without a point.
fn number(percent: Decimal) -> Value {
    let text = percent.normalize().to_string();
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

#[cfg(test)]
mod tests;
