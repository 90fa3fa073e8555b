//! Services that a page shows: a search, a status and a page number, all in its address.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;

use crate::api::dashboard::fragments;
use crate::api::dashboard::standing::Standing;
use crate::api::http::deps::ApiDeps;
use crate::domain::Service;
use crate::monitoring::ServiceStatus;

pub(super) const PAGE_SIZE: usize = 200;
pub(super) const MAX_WORDS_BYTES: usize = 200;

/// Query of the address; values that make no sense are ignored.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct ViewQuery {
    q: Option<String>,
    status: Option<String>,
    page: Option<String>,
    /// Number of the last batch that the page has seen.
    since: Option<String>,
}

impl ViewQuery {
    pub(crate) fn since(&self) -> Option<u64> {
        self.since.as_deref()?.parse().ok()
    }
}

#[derive(Debug)]
pub(crate) struct View {
    pub(super) words: String,
    pub(super) standing: Option<Standing>,
    number: usize,
}

pub(super) struct Page {
    /// Worst first, then by name.
    pub(super) rows: Vec<Row>,
    pub(super) number: usize,
    pub(super) last: usize,
    /// Services that match, on all pages.
    pub(super) matching: usize,
}

pub(super) struct Row {
    standing: Standing,
    service: Arc<Service>,
    status: Option<ServiceStatus>,
}

impl Page {
    pub(super) fn is_whole(&self) -> bool {
        self.last == 1
    }

    pub(super) fn rows_of(
        &self,
        standing: Standing,
    ) -> impl Iterator<Item = (&Service, Option<&ServiceStatus>)> {
        let rows = self.rows.iter().filter(move |row| row.standing == standing);
        rows.map(|row| (row.service.as_ref(), row.status.as_ref()))
    }
}

impl View {
    pub(crate) fn new(query: ViewQuery) -> Self {
        let words = query.q.unwrap_or_default().trim().to_lowercase();
        Self {
            words: if words.len() > MAX_WORDS_BYTES {
                String::new()
            } else {
                words
            },
            standing: query.status.as_deref().and_then(Standing::parse),
            number: query
                .page
                .and_then(|page| page.parse().ok())
                .unwrap_or(1)
                .max(1),
        }
    }

    pub(super) fn is_filtered(&self) -> bool {
        !self.words.is_empty() || self.standing.is_some()
    }

    pub(super) fn page(&self, deps: &ApiDeps) -> Page {
        let found = self.find(deps);
        let matching = found.len();
        let last = matching.div_ceil(PAGE_SIZE).max(1);
        let number = self.number.min(last);
        let rows = found
            .into_iter()
            .skip((number - 1) * PAGE_SIZE)
            .take(PAGE_SIZE);
        let rows = rows.map(|(_, _, service)| {
            let status = deps.monitor.service_status(&service.slug);
            // As the row will show it, should it have changed since the list was sorted.
            Row {
                standing: status.as_ref().and_then(|status| status.status).into(),
                service,
                status,
            }
        });
        Page {
            rows: rows.collect(),
            number,
            last,
            matching,
        }
    }

    /// Slugs that the page may show before it is loaded again; none: all.
    pub(crate) fn visible(&self, deps: &ApiDeps) -> Option<HashSet<String>> {
        if self.standing.is_some() {
            // Any service may come to stand so.
            return (!self.words.is_empty()).then(|| {
                let anyhow = View {
                    words: self.words.clone(),
                    standing: None,
                    number: 1,
                };
                anyhow
                    .find(deps)
                    .into_iter()
                    .map(|(_, _, service)| service.slug.clone())
                    .collect()
            });
        }
        let page = self.page(deps);
        (!page.is_whole() || self.is_filtered()).then(|| {
            page.rows
                .iter()
                .map(|row| row.service.slug.clone())
                .collect()
        })
    }

    fn find(&self, deps: &ApiDeps) -> Vec<(Standing, String, Arc<Service>)> {
        let catalog = deps.registry.catalog();
        let mut found: Vec<_> = catalog
            .services
            .values()
            .filter(|service| self.matches(service))
            .map(|service| {
                let standing = Standing::from(deps.monitor.status(&service.slug));
                (
                    standing,
                    fragments::sort_key(&service.name),
                    service.clone(),
                )
            })
            .filter(|(standing, ..)| self.standing.is_none_or(|wanted| wanted == *standing))
            .collect();
        found.sort_unstable_by(|a, b| (a.0, &a.1, &a.2.slug).cmp(&(b.0, &b.1, &b.2.slug)));
        found
    }

    /// Every word is in the name, the slug, the type, the address or a tag.
    fn matches(&self, service: &Service) -> bool {
        let texts = [
            &service.name,
            &service.slug,
            &service.kind,
            &service.base_url,
        ];
        let mut texts = texts
            .into_iter()
            .chain(&service.tags)
            .map(|text| text.to_lowercase());
        self.words.is_empty() || {
            let texts: Vec<String> = texts.by_ref().collect();
            self.words
                .split_whitespace()
                .all(|word| texts.iter().any(|text| text.contains(word)))
        }
    }

    pub(super) fn page_url(&self, number: usize) -> String {
        self.url("/", &[("page", &number.to_string())])
    }

    pub(super) fn events_url(&self, sequence: u64) -> String {
        self.url(
            "/events",
            &[
                ("page", &self.number.to_string()),
                ("since", &sequence.to_string()),
            ],
        )
    }

    fn url(&self, path: &str, more: &[(&str, &str)]) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if !self.words.is_empty() {
            query.append_pair("q", &self.words);
        }
        if let Some(standing) = self.standing {
            query.append_pair("status", standing.word());
        }
        format!("{path}?{}", query.extend_pairs(more).finish())
    }
}
