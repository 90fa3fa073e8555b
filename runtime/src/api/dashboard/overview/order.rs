//! Order of the services on the overview: by group, then by what they are sorted by.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use rust_decimal::Decimal;

use super::filter::Fact;
use crate::api::dashboard::fragments::sort_key;
use crate::api::dashboard::standing::{Counts, Standing};
use crate::api::dashboard::wording::percent;
use crate::domain::Service;
use crate::monitoring::{FiguresBySlug, ServiceFigures};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Group {
    Nothing,
    By(Fact),
}

impl Group {
    pub(super) fn word(self) -> &'static str {
        match self {
            Group::Nothing => "none",
            Group::By(fact) => fact.word(),
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        if text == "none" {
            return Some(Group::Nothing);
        }
        Fact::parse(text).map(Group::By)
    }

    /// Returns the group of a service, of several tags the first; empty: it is in none.
    fn of(self, service: &Service) -> &str {
        match self {
            Group::Nothing => "",
            Group::By(fact) => fact.values(service).first().copied().unwrap_or_default(),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sort {
    Worst,
    Name,
    /// Lowest first.
    Availability,
    /// Slowest first.
    P95,
    /// Dearest first, in each currency.
    Cost,
}

impl Sort {
    pub(super) const ALL: [Sort; 5] = [
        Sort::Worst,
        Sort::Name,
        Sort::Availability,
        Sort::P95,
        Sort::Cost,
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Sort::Worst => "worst",
            Sort::Name => "name",
            Sort::Availability => "availability",
            Sort::P95 => "p95",
            Sort::Cost => "cost",
        }
    }

    pub(super) fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.word() == text)
    }

    /// Services without the figure come last.
    fn rank(self, standing: Standing, figures: Option<&ServiceFigures>) -> Rank {
        let summary = figures.map(|figures| &figures.summary);
        let figure = match self {
            Sort::Worst => Some((String::new(), standing as i64)),
            Sort::Name => Some((String::new(), 0)),
            Sort::Availability => summary.and_then(|summary| {
                let counted = u128::from(summary.up) + u128::from(summary.down);
                let share = (u128::from(summary.up) * 1_000_000_000).checked_div(counted)?;
                Some((String::new(), i64::try_from(share).ok()?))
            }),
            Sort::P95 => summary
                .and_then(|summary| summary.p95_us)
                .map(|us| (String::new(), -i64::try_from(us).unwrap_or(i64::MAX))),
            Sort::Cost => {
                figures
                    .and_then(|figures| figures.costs.first())
                    .map(|(currency, amount)| {
                        let millionths = amount.saturating_mul(Decimal::from(-1_000_000)).trunc();
                        let millionths = i64::try_from(millionths).unwrap_or(i64::MIN);
                        (currency.clone(), millionths)
                    })
            }
        };
        Rank(figure.is_none(), figure.unwrap_or_default())
    }
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank(bool, (String, i64));

/// A service that matches, at its place.
pub(super) struct Found {
    pub(super) standing: Standing,
    pub(super) group: String,
    pub(super) service: Arc<Service>,
    rank: Rank,
    name: String,
}

/// Services as they are shown; groups with the worst service first, or by name.
pub(super) fn ordered(
    services: impl Iterator<Item = (Standing, Arc<Service>)>,
    group: Group,
    sort: Sort,
    figures: &FiguresBySlug,
) -> Vec<Found> {
    let found = services.map(|(standing, service)| Found {
        standing,
        group: group.of(&service).to_owned(),
        rank: sort.rank(standing, figures.get(&service.slug).map(AsRef::as_ref)),
        name: sort_key(&service.name),
        service,
    });
    let mut found: Vec<Found> = found.collect();
    let mut worst: HashMap<String, Standing> = HashMap::new();
    if sort == Sort::Worst && group != Group::Nothing {
        for one in &found {
            let known = worst.entry(one.group.clone()).or_insert(one.standing);
            *known = (*known).min(one.standing);
        }
    }
    let group_rank = |one: &Found| (worst.get(&one.group).copied(), one.group.is_empty());
    found.sort_by(|a, b| {
        let groups = group_rank(a)
            .cmp(&group_rank(b))
            .then_with(|| a.group.cmp(&b.group));
        let services =
            || (&a.rank, &a.name, &a.service.slug).cmp(&(&b.rank, &b.name, &b.service.slug));
        groups.then_with(services)
    });
    found
}

/// Services of one group, on all pages.
pub(super) struct GroupLine<'a> {
    /// Empty: they are in none.
    pub(super) name: &'a str,
    pub(super) counts: Counts,
    /// Service in the worst trouble.
    pub(super) worst: Option<&'a Found>,
    /// Runs of 30 days that found them available, of those that count.
    pub(super) availability: Option<String>,
    /// Cost of this month, by currency.
    pub(super) costs: Vec<(String, Decimal)>,
}

pub(super) fn groups<'a>(found: &'a [Found], figures: &FiguresBySlug) -> Vec<GroupLine<'a>> {
    let groups = found.chunk_by(|a, b| a.group == b.group);
    groups.map(|services| line(services, figures)).collect()
}

fn line<'a>(services: &'a [Found], figures: &FiguresBySlug) -> GroupLine<'a> {
    let (mut counts, mut up, mut down) = (Counts::default(), 0, 0);
    let mut costs: BTreeMap<&str, Decimal> = BTreeMap::new();
    for one in services {
        counts.add(one.standing);
        if let Some(figures) = figures.get(&one.service.slug) {
            up += figures.summary.up;
            down += figures.summary.down;
            for (currency, amount) in &figures.costs {
                let sum = costs.entry(currency).or_default();
                *sum = sum.saturating_add(*amount);
            }
        }
    }
    let worst = services.iter().min_by_key(|one| one.standing);
    let costs = costs.into_iter();
    GroupLine {
        name: services.first().map_or("", |one| one.group.as_str()),
        counts,
        worst: worst.filter(|one| one.standing.is_trouble()),
        availability: percent(up, up + down),
        costs: costs
            .map(|(currency, sum)| (currency.to_owned(), sum))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::service;
    use super::*;
    use crate::store::ServiceSummary;

    fn figures(
        up: u64,
        down: u64,
        p95_us: Option<u64>,
        cost: Option<(&str, i64)>,
    ) -> Arc<ServiceFigures> {
        let cost = cost.map(|(currency, amount)| (currency.to_owned(), amount.into()));
        Arc::new(ServiceFigures {
            summary: ServiceSummary {
                up,
                down,
                p95_us,
                ..ServiceSummary::default()
            },
            costs: cost.into_iter().collect(),
        })
    }

    fn slugs(group: Group, sort: Sort) -> Vec<String> {
        let services = [
            (Standing::Healthy, service("a", &["web"])),
            (Standing::Error, service("b", &["mail", "web"])),
            (Standing::Degraded, service("c", &["web"])),
            (Standing::Healthy, service("d", &[])),
        ];
        let services = services.map(|(standing, service)| (standing, Arc::new(service)));
        let known = [
            ("a", figures(99, 1, Some(90), Some(("EUR", 5)))),
            ("b", figures(9, 1, Some(500), Some(("EUR", 70)))),
            ("c", figures(0, 0, None, Some(("CHF", 1)))),
        ];
        let known = known.map(|(slug, figures)| (slug.to_owned(), figures));
        let found = ordered(services.into_iter(), group, sort, &known.into());
        found.iter().map(|one| one.service.slug.clone()).collect()
    }

    #[test]
    fn what_is_worst_comes_first_and_what_is_unknown_last() {
        for (sort, wanted) in [
            (Sort::Worst, ["b", "c", "a", "d"]),
            (Sort::Name, ["a", "b", "c", "d"]),
            (Sort::Availability, ["b", "a", "c", "d"]),
            (Sort::P95, ["b", "a", "c", "d"]),
            (Sort::Cost, ["c", "b", "a", "d"]),
        ] {
            assert_eq!(slugs(Group::Nothing, sort), wanted, "{sort:?}");
            assert_eq!(Sort::parse(sort.word()), Some(sort));
        }
    }

    #[test]
    fn a_group_is_together_and_the_one_with_the_worst_service_comes_first() {
        let by_tag = Group::By(Fact::Tag);
        assert_eq!(slugs(by_tag, Sort::Worst), ["b", "c", "a", "d"]);
        assert_eq!(slugs(by_tag, Sort::Availability), ["b", "a", "c", "d"]);
        assert_eq!(slugs(by_tag, Sort::Name), ["b", "a", "c", "d"]);
    }

    #[test]
    fn a_line_of_a_group_counts_its_services_and_their_runs() {
        let services = [
            (Standing::Healthy, Arc::new(service("a", &["web"]))),
            (Standing::Error, Arc::new(service("b", &["web"]))),
            (Standing::Healthy, Arc::new(service("d", &[]))),
        ];
        let known: FiguresBySlug = [
            ("a".to_owned(), figures(99, 1, None, Some(("EUR", 3)))),
            ("b".to_owned(), figures(9, 1, None, Some(("EUR", 4)))),
        ]
        .into();
        let found = ordered(
            services.into_iter(),
            Group::By(Fact::Tag),
            Sort::Worst,
            &known,
        );
        let lines = groups(&found, &known);
        let shown: Vec<_> = lines
            .iter()
            .map(|line| {
                let worst = line.worst.map(|one| one.service.slug.as_str());
                (
                    line.name,
                    line.counts.total(),
                    worst,
                    line.availability.as_deref(),
                )
            })
            .collect();
        assert_eq!(
            shown,
            [("web", 2, Some("b"), Some("98.18 %")), ("", 1, None, None)]
        );
        assert_eq!(lines[0].costs, [("EUR".to_owned(), Decimal::from(7))]);
    }
}
