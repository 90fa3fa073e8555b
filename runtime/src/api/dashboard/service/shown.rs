//! Address of a service's page: the span, the picture and the runs that it asks for.

use serde::Deserialize;

use crate::api::dashboard::range::Range;

/// Values that make no sense are ignored.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ServiceQuery {
    range: Option<String>,
    view: Option<String>,
    runs: Option<String>,
    run: Option<String>,
}

/// Picture of the latency.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum View {
    #[default]
    Quantiles,
    Phases,
    Heat,
}

impl View {
    pub(super) const ALL: [View; 3] = [View::Quantiles, View::Phases, View::Heat];

    pub(super) fn word(self) -> &'static str {
        match self {
            View::Quantiles => "quantiles",
            View::Phases => "phases",
            View::Heat => "heat",
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Shown {
    pub(super) range: Range,
    pub(super) view: View,
    pub(super) is_failed_only: bool,
    /// A run to show by itself.
    pub(super) run: Option<i64>,
}

impl Shown {
    pub(super) fn of(query: &ServiceQuery) -> Self {
        let view = View::ALL
            .into_iter()
            .find(|view| Some(view.word()) == query.view.as_deref());
        Self {
            range: Range::parse(query.range.as_deref()),
            view: view.unwrap_or_default(),
            is_failed_only: query.runs.as_deref() == Some("failed"),
            run: query.run.as_deref().and_then(|run| run.parse().ok()),
        }
    }

    /// Address of the page, without what is so anyway.
    pub(super) fn url(self, slug: &str) -> String {
        let mut url = format!("/services/{slug}?range={}", self.range.word());
        if self.view != View::default() {
            url.push_str(&format!("&view={}", self.view.word()));
        }
        if self.is_failed_only {
            url.push_str("&runs=failed");
        }
        if let Some(run) = self.run {
            url.push_str(&format!("&run={run}"));
        }
        url
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_the_whole_state() {
        let query = ServiceQuery {
            range: Some("7d".to_owned()),
            view: Some("heat".to_owned()),
            runs: Some("failed".to_owned()),
            run: Some("12".to_owned()),
        };
        let url = Shown::of(&query).url("shop");
        assert_eq!(url, "/services/shop?range=7d&view=heat&runs=failed&run=12");
        let nonsense = ServiceQuery {
            view: Some("pie".to_owned()),
            run: Some("x".to_owned()),
            ..ServiceQuery::default()
        };
        assert_eq!(Shown::of(&nonsense).url("shop"), "/services/shop?range=24h");
    }
}
