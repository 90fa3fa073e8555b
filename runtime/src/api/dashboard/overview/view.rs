//! Services that the overview shows, and how: all of it is in its address.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;

use super::filter::{Fact, Filter};
use super::order::{Found, Group, Sort, ordered};
use crate::api::dashboard::standing::Standing;
use crate::api::http::deps::ApiDeps;
use crate::domain::Service;
use crate::monitoring::{FiguresBySlug, ServiceStatus};

pub(super) const PAGE_SIZE: usize = 100;
/// Lines of a wall on one page.
pub(super) const MAX_LINES: usize = 100;
pub(super) const MAX_WORDS_BYTES: usize = 200;
/// Services from which on a list is a wall, unless its address names another form.
const MAX_ROWS: usize = 300;

/// Query of the address; values that make no sense are ignored.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ViewQuery {
    q: Option<String>,
    status: Option<String>,
    group: Option<String>,
    sort: Option<String>,
    #[serde(rename = "as")]
    form: Option<String>,
    page: Option<String>,
    /// Number of the last batch that the page has seen.
    since: Option<String>,
}

impl ViewQuery {
    pub(crate) fn since(&self) -> Option<u64> {
        self.since.as_deref()?.parse().ok()
    }
}

/// Form of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ListForm {
    Rows,
    /// Rows of one line.
    Compact,
    /// A line for each group.
    Wall,
}

impl ListForm {
    pub(super) const ALL: [ListForm; 3] = [ListForm::Rows, ListForm::Compact, ListForm::Wall];

    pub(super) fn word(self) -> &'static str {
        match self {
            ListForm::Rows => "rows",
            ListForm::Compact => "compact",
            ListForm::Wall => "wall",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|form| form.word() == text)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct View {
    /// Search as it was typed.
    pub(super) text: String,
    filter: Filter,
    /// Status that was chosen beside the search.
    chosen: Option<Standing>,
    pub(super) group: Option<Group>,
    pub(super) sort: Sort,
    pub(super) form: Option<ListForm>,
    number: usize,
}

/// Services that match, in order.
pub(super) struct Matching {
    pub(super) found: Vec<Found>,
    pub(super) form: ListForm,
    pub(super) group: Group,
    pub(super) figures: Arc<FiguresBySlug>,
}

/// Part of a list.
pub(super) struct Part {
    pub(super) number: usize,
    pub(super) last: usize,
    pub(super) range: std::ops::Range<usize>,
}

/// A service on the page, as it is now.
pub(super) struct Row {
    pub(super) standing: Standing,
    pub(super) group: String,
    pub(super) service: Arc<Service>,
    pub(super) status: Option<ServiceStatus>,
}

impl View {
    pub(crate) fn new(query: ViewQuery) -> Self {
        let text = query.q.unwrap_or_default().trim().to_owned();
        let text = if text.len() > MAX_WORDS_BYTES {
            String::new()
        } else {
            text
        };
        let number: usize = query.page.and_then(|page| page.parse().ok()).unwrap_or(1);
        Self {
            filter: Filter::parse(&text),
            text,
            chosen: query.status.as_deref().and_then(Standing::parse),
            group: query.group.as_deref().and_then(Group::parse),
            sort: query
                .sort
                .as_deref()
                .and_then(Sort::parse)
                .unwrap_or(Sort::Worst),
            form: query.form.as_deref().and_then(ListForm::parse),
            number: number.max(1),
        }
    }

    pub(super) fn is_filtered(&self) -> bool {
        !self.filter.is_empty() || self.chosen.is_some()
    }

    /// Status that is shown; none: any.
    pub(super) fn standing(&self) -> Option<Standing> {
        self.filter.standing.or(self.chosen)
    }

    /// Value of `status:` that is none.
    pub(super) fn no_status(&self) -> Option<&str> {
        self.filter.no_status.as_deref()
    }

    pub(super) fn matching(&self, deps: &ApiDeps) -> Matching {
        let catalog = deps.registry.catalog();
        let wanted = self.standing();
        let services = catalog.services.values();
        let services = services
            .filter(|service| self.filter.matches(service))
            .map(|service| {
                (
                    Standing::from(deps.monitor.status(&service.slug)),
                    service.clone(),
                )
            })
            .filter(|(standing, _)| wanted.is_none_or(|wanted| wanted == *standing));
        let services: Vec<(Standing, Arc<Service>)> = services.collect();
        let by_number = if services.len() > MAX_ROWS {
            ListForm::Wall
        } else {
            ListForm::Rows
        };
        let form = self.form.unwrap_or(by_number);
        let by_form = if form == ListForm::Wall {
            Group::By(Fact::Tag)
        } else {
            Group::Nothing
        };
        let group = self.group.unwrap_or(by_form);
        let figures = deps.monitor.figures();
        Matching {
            found: ordered(services.into_iter(), group, self.sort, &figures),
            form,
            group,
            figures,
        }
    }

    /// Returns the part of a list that the page shows.
    pub(super) fn part(&self, length: usize, size: usize) -> Part {
        let last = length.div_ceil(size).max(1);
        let number = self.number.min(last);
        Part {
            number,
            last,
            range: (number - 1) * size..(number * size).min(length),
        }
    }

    /// Slugs that the page may show before it is loaded again; none: all.
    pub(crate) fn visible(&self, deps: &ApiDeps) -> Option<HashSet<String>> {
        let matching = self.matching(deps);
        let slugs = |found: &[Found]| {
            let slugs = found.iter().map(|one| one.service.slug.clone());
            Some(slugs.collect())
        };
        if matching.form == ListForm::Wall {
            return slugs(&[]);
        }
        if self.standing().is_some() {
            // Any service may come to stand so.
            let anyhow = View {
                filter: self.filter.without_status(),
                chosen: None,
                ..self.clone()
            };
            return anyhow
                .is_filtered()
                .then(|| anyhow.matching(deps).found)
                .and_then(|found| slugs(&found));
        }
        let part = self.part(matching.found.len(), PAGE_SIZE);
        if part.last == 1 && !self.is_filtered() {
            return None;
        }
        slugs(&matching.found[part.range])
    }

    /// Returns the address of a page.
    pub(super) fn page_url(&self, number: usize) -> String {
        self.url("/", &[("page", &number.to_string())])
    }

    /// Returns the address of this page.
    pub(super) fn address(&self) -> String {
        match self.number {
            1 => self.url("/", &[]),
            number => self.page_url(number),
        }
    }

    /// Returns the address of the first page of another view of the services.
    pub(super) fn link(&self, change: impl FnOnce(&mut View)) -> String {
        let mut view = self.clone();
        change(&mut view);
        view.url("/", &[])
    }

    /// Returns the address of the services of one group; none where no term finds them.
    pub(super) fn group_url(&self, group: Group, value: &str) -> Option<String> {
        let Group::By(fact) = group else {
            return Some(self.link(|view| view.form = Some(ListForm::Rows)));
        };
        let term = fact.term(value)?;
        let text = format!("{} {term}", self.text);
        let text = text.trim();
        (text.len() <= MAX_WORDS_BYTES).then(|| {
            self.link(|view| {
                view.text = text.to_owned();
                view.filter = Filter::parse(text);
                view.group = None;
                view.form = Some(ListForm::Rows);
            })
        })
    }

    /// Returns the address of live changes: of rows, or of a wall signs that it has to be loaded
    /// again.
    pub(super) fn events_url(&self, sequence: u64, form: ListForm) -> String {
        let sequence = sequence.to_string();
        if form == ListForm::Wall {
            return self.url("/events", &[("watch", ""), ("since", &sequence)]);
        }
        let number = self.number.to_string();
        self.url("/events", &[("page", &number), ("since", &sequence)])
    }

    fn url(&self, path: &str, more: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        let standing = self.chosen.filter(|_| self.filter.standing.is_none());
        let sort = (self.sort != Sort::Worst).then(|| self.sort.word());
        for (name, value) in [
            (
                "q",
                Some(self.text.as_str()).filter(|text| !text.is_empty()),
            ),
            ("status", standing.map(Standing::word)),
            ("group", self.group.map(Group::word)),
            ("sort", sort),
            ("as", self.form.map(ListForm::word)),
        ] {
            if let Some(value) = value {
                query.append_pair(name, value);
            }
        }
        let query = query.extend_pairs(more).finish();
        if query.is_empty() {
            path.to_owned()
        } else {
            format!("{path}?{query}")
        }
    }
}

impl Matching {
    /// Services of a part, as the rows show them, should one have changed since they were sorted.
    pub(super) fn rows(&self, deps: &ApiDeps, part: &Part) -> Vec<Row> {
        let found = self.found[part.range.clone()].iter();
        let rows = found.map(|one| {
            let status = deps.monitor.service_status(&one.service.slug);
            Row {
                standing: status.as_ref().and_then(|status| status.status).into(),
                group: one.group.clone(),
                service: one.service.clone(),
                status,
            }
        });
        rows.collect()
    }

    /// Reports whether rows are where their status and their name put them.
    pub(super) fn is_plain(&self, sort: Sort) -> bool {
        sort == Sort::Worst && self.group == Group::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(query: &[(&str, &str)]) -> View {
        let query: serde_json::Map<String, serde_json::Value> = query
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).into()))
            .collect();
        View::new(serde_json::from_value(query.into()).unwrap())
    }

    #[test]
    fn the_address_is_the_whole_state() {
        let all = [
            ("q", "pay tag:a"),
            ("status", "error"),
            ("group", "team"),
            ("sort", "p95"),
            ("as", "compact"),
        ];
        let shown = view(&all);
        let address = "/?q=pay+tag%3Aa&status=error&group=team&sort=p95&as=compact";
        assert_eq!(shown.address(), address);
        assert_eq!(
            view(&[("q", "status:degraded"), ("status", "error"), ("page", "3")]).address(),
            "/?q=status%3Adegraded&page=3",
            "what was written prevails"
        );
        assert_eq!(
            view(&[("sort", "x"), ("group", "y"), ("as", "z")]).address(),
            "/"
        );
    }

    #[test]
    fn parts_cover_a_list_and_end_with_it() {
        let part = |page, length| view(&[("page", page)]).part(length, 100).range;
        assert_eq!(part("1", 0), 0..0);
        assert_eq!(part("2", 250), 100..200);
        assert_eq!(part("3", 250), 200..250);
        assert_eq!(part("99", 250), 200..250);
        assert_eq!(part("0", 5), 0..5);
    }

    #[test]
    fn a_group_opens_as_rows() {
        let shown = view(&[("q", "pay"), ("as", "wall")]);
        assert_eq!(
            shown
                .group_url(Group::By(Fact::Team), "Core Team")
                .as_deref(),
            Some("/?q=pay+team%3A%22Core+Team%22&as=rows")
        );
        assert_eq!(
            shown.group_url(Group::Nothing, "").as_deref(),
            Some("/?q=pay&as=rows")
        );
        assert_eq!(shown.group_url(Group::By(Fact::Tag), "\""), None);
    }
}
