//! Budgets with what is used of them, from memory.

use axum::Json;
use axum::extract::State;
use rust_decimal::Decimal;

use crate::api::http::endpoint::Endpoint;
use crate::api::http::moment::rfc3339;
use crate::api::http::state::ApiState;
use crate::api_types::budgets::{BudgetBody, BudgetScopeBody, BudgetStateBody, BudgetsBody};
use crate::api_types::costs::ForecastBody;
use crate::api_types::scope::Scope::Read;
use crate::domain::cost::{BudgetFigures, BudgetScope, BudgetStanding, BudgetState, CostBudget};
use crate::domain::now_ms;

/// Declares the operations.
pub(crate) fn endpoints() -> Vec<Endpoint> {
    vec![
        Endpoint::get(Read, "/api/v1/budgets", list)
            .id("budgetList")
            .summary("Budgets, with what is used of them")
            .description(
                "Budgets are written in `alerts.yaml`. Figures are of the present period, from memory; \
                 after a start there are none until what was stored is read.",
            ),
    ]
}

pub(crate) async fn list(State(state): State<ApiState>) -> Json<BudgetsBody> {
    let standings = state.deps.calls.budgets().standings(now_ms());
    Json(BudgetsBody {
        budgets: standings.into_iter().map(BudgetBody::from).collect(),
    })
}

impl From<BudgetStanding> for BudgetBody {
    fn from(standing: BudgetStanding) -> Self {
        let BudgetStanding { budget, figures } = standing;
        let empty = empty(&budget);
        match figures {
            Ok(figures) => with_figures(empty, &budget, figures),
            Err(reason) => Self {
                missing: Some(reason),
                ..empty
            },
        }
    }
}

fn empty(budget: &CostBudget) -> BudgetBody {
    BudgetBody {
        id: budget.slug.clone(),
        name: budget.name.clone(),
        amount: text(budget.amount),
        currency: budget.currency.to_string(),
        per: budget.per.as_str().to_owned(),
        scope: BudgetScopeBody::from(&budget.scope),
        state: BudgetStateBody::NoData,
        from: None,
        to: None,
        used: None,
        used_at_most: None,
        fees: None,
        share: None,
        forecast: None,
        forecast_missing: None,
        used_up_at: None,
        alert_at: budget.alert_at.iter().copied().map(text).collect(),
        calls: None,
        unpriced: None,
        missing: None,
    }
}

fn with_figures(body: BudgetBody, budget: &CostBudget, figures: BudgetFigures) -> BudgetBody {
    let share = figures.share(budget);
    let share = share.round_dp_with_strategy(2, rust_decimal::RoundingStrategy::ToZero);
    let state = match figures.state(budget) {
        BudgetState::Within => BudgetStateBody::Within,
        BudgetState::AtRisk => BudgetStateBody::AtRisk,
        BudgetState::Exceeded => BudgetStateBody::Exceeded,
    };
    let (forecast, forecast_missing) = match figures.forecast {
        Ok(forecast) => (
            Some(ForecastBody {
                likely: text(forecast.likely),
                low: text(forecast.low),
                high: text(forecast.high),
                days: forecast.days,
                by_weekday: forecast.by_weekday,
            }),
            None,
        ),
        Err(reason) => (None, Some(reason.to_string())),
    };
    BudgetBody {
        state,
        from: Some(rfc3339(figures.span.from_ms)),
        to: Some(rfc3339(figures.span.until_ms)),
        used: Some(text(figures.used.low)),
        used_at_most: Some(text(figures.used.high)),
        fees: Some(text(figures.fees)),
        share: Some(text(share)),
        forecast,
        forecast_missing,
        used_up_at: figures.used_up_ms.map(rfc3339),
        calls: Some(figures.priced),
        unpriced: Some(figures.unpriced),
        ..body
    }
}

impl From<&BudgetScope> for BudgetScopeBody {
    fn from(scope: &BudgetScope) -> Self {
        Self {
            services: scope.services.clone(),
            tags: scope.tags.clone(),
            consumers: scope.consumers.clone(),
            routes: scope.routes.clone(),
        }
    }
}

/// Digits without zeros that mean nothing.
fn text(amount: Decimal) -> String {
    amount.normalize().to_string()
}
