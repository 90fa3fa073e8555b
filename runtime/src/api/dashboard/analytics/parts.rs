//! Parts that the views of analytics share: the state of the page, links, figures.

use maud::{Markup, html};
use serde::Deserialize;

use crate::api::dashboard::wording::latency;

/// Services that a statement lists.
const MAX_LISTED: usize = 20;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum View {
    #[default]
    Trends,
    Slo,
    Noise,
    Honesty,
    Comparison,
}

impl View {
    pub(super) const ALL: [View; 5] = [
        View::Trends,
        View::Slo,
        View::Noise,
        View::Honesty,
        View::Comparison,
    ];

    /// The word in `?view=`; another word stands for trends.
    pub(super) fn parse(text: Option<&str>) -> Self {
        Self::ALL
            .into_iter()
            .find(|view| Some(view.word()) == text)
            .unwrap_or_default()
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            View::Trends => "trends",
            View::Slo => "slo",
            View::Noise => "noise",
            View::Honesty => "honesty",
            View::Comparison => "comparison",
        }
    }

    pub(super) fn title(self) -> &'static str {
        match self {
            View::Trends => "Trends",
            View::Slo => "Objectives",
            View::Noise => "Noise",
            View::Honesty => "Vendor honesty",
            View::Comparison => "Comparison",
        }
    }

    pub(super) fn question(self) -> &'static str {
        match self {
            View::Trends => "What changed, what repeats by day and week, and what rises steadily.",
            View::Slo => "What objectives leave to miss, and how months ended.",
            View::Noise => {
                "Which alerts were not acted on, and what a backtest says about their options."
            }
            View::Honesty => "What vendors declared beside what our probes measured.",
            View::Comparison => "Services side by side; one alone beside the span before.",
        }
    }
}

/// State of the page: all of it is in the address.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct AnalyticsQuery {
    pub(super) view: Option<String>,
    pub(super) service: Option<String>,
    pub(super) services: Option<String>,
    pub(super) from: Option<String>,
    pub(super) to: Option<String>,
    pub(super) cursor: Option<String>,
    /// Key of a rule.
    pub(super) advise: Option<String>,
}

impl AnalyticsQuery {
    /// Texts of fields that are empty were not given.
    pub(super) fn given(self) -> Self {
        let given = |text: Option<String>| text.filter(|text| !text.trim().is_empty());
        Self {
            view: given(self.view),
            service: given(self.service),
            services: given(self.services),
            from: given(self.from),
            to: given(self.to),
            cursor: given(self.cursor),
            advise: given(self.advise),
        }
    }

    /// Address of the page with other parameters, and those of the span as they are.
    pub(super) fn address(&self, view: View, more: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        query.append_pair("view", view.word());
        for (name, value) in [("from", &self.from), ("to", &self.to)] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        query.extend_pairs(more);
        format!("/analytics?{}", query.finish())
    }
}

/// Opens the console with a query, or downloads its answer.
pub(super) fn links(query: &str) -> Markup {
    let query: String = url::form_urlencoded::byte_serialize(query.as_bytes()).collect();
    html! {
        a href={ "/sql/download?format=csv&q=" (query) } { "CSV" } " · " a href={ "/sql?q=" (query) } { "SQL" }
    }
}

/// Condition of rows of these services, which are in order: a long list would not fit into an
/// address. Slugs have no quotes.
pub(super) fn is_of(slugs: &[&str]) -> String {
    match slugs {
        [first, .., last] if slugs.len() > MAX_LISTED => {
            format!("service BETWEEN '{first}' AND '{last}'")
        }
        _ => format!("service IN ('{}')", slugs.join("', '")),
    }
}

/// Leads to the next page, where there is one.
pub(super) fn more(query: &AnalyticsQuery, view: View, next: Option<&str>) -> Markup {
    let kept = [
        ("cursor", next),
        ("service", query.service.as_deref()),
        ("services", query.services.as_deref()),
    ];
    let kept: Vec<(&str, &str)> = kept
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    html! { @if next.is_some() { p { a.button href=(query.address(view, &kept)) { "More" } } } }
}

/// Form of the span, and of further fields.
pub(super) fn span_form(query: &AnalyticsQuery, view: View, fields: &Markup) -> Markup {
    html! {
        form.analytics-span method="get" action="/analytics" {
            input type="hidden" name="view" value=(view.word());
            (fields)
            label { "From " input name="from" value=(query.from.as_deref().unwrap_or("")) placeholder="2026-11-01T00:00:00Z" size="24"; }
            label { "To " input name="to" value=(query.to.as_deref().unwrap_or("")) placeholder="now" size="24"; }
            button type="submit" { "Show" }
        }
    }
}

/// A figure, or a dash where there is none.
pub(super) fn or_dash(text: Option<String>) -> Markup {
    html! { @match text { Some(text) => { (text) } None => { "–" } } }
}

/// Percent with the three digits that they are rounded down to.
pub(super) fn percent(value: Option<f64>) -> Markup {
    or_dash(value.map(|value| format!("{value:.3} %")))
}

pub(super) fn milliseconds(value: Option<f64>) -> Markup {
    or_dash(value.map(|value| latency((value * 1_000.0) as u64)))
}

pub(super) fn to_service(slug: &str) -> Markup {
    html! { a href={ "/services/" (slug) } { (slug) } }
}

/// Moment of the API in milliseconds.
pub(super) fn ms_of(moment: &str) -> i64 {
    let parsed = moment.parse::<jiff::Timestamp>();
    parsed.map_or(0, jiff::Timestamp::as_millisecond)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_hold_the_view_and_the_span() {
        let query = AnalyticsQuery {
            from: Some("2026-11-01T00:00:00+01:00".to_owned()),
            to: Some(" ".to_owned()),
            ..AnalyticsQuery::default()
        };
        assert_eq!(
            query
                .given()
                .address(View::Noise, &[("advise", "shop/Service Down")]),
            "/analytics?view=noise&from=2026-11-01T00%3A00%3A00%2B01%3A00&advise=shop%2FService+Down"
        );
        for view in View::ALL {
            assert_eq!(View::parse(Some(view.word())), view);
        }
        assert_eq!(View::parse(Some("else")), View::Trends);
    }

    #[test]
    fn statements_name_the_services_of_the_page() {
        assert_eq!(is_of(&["mail", "shop"]), "service IN ('mail', 'shop')");
        let many: Vec<String> = (10..40).map(|number| format!("s{number}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(is_of(&many), "service BETWEEN 's10' AND 's39'");
    }
}
