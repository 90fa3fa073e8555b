//! `services`: one row a service of now, without secrets.

use serde_json::Value;

use super::ColumnType::{Boolean, F64, I64, Json, Text};
use super::{Cell, Column, Record, column, nullable};
use crate::domain::{Criticality, ServiceProfile, Slo};

/// One service as SQL users see it. `base` is the address without user information and query.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceRow {
    pub slug: String,
    pub name: String,
    /// Type as in the configuration, e.g. `REST`.
    pub kind: String,
    pub base: String,
    pub tags: Vec<String>,
    pub owner: Option<String>,
    pub slo: Option<Slo>,
    pub profile: ServiceProfile,
    /// Slugs of services that it can't work without.
    pub depends_on: Vec<String>,
}

impl ServiceRow {
    pub fn of(service: &crate::domain::Service) -> Self {
        Self {
            slug: service.slug.clone(),
            name: service.name.clone(),
            kind: service.kind.clone(),
            base: without_secrets(&service.base_url),
            tags: service.tags.clone(),
            owner: service.owner.clone(),
            slo: service.slo,
            profile: service.profile.clone(),
            depends_on: service.depends_on.clone(),
        }
    }
}

/// Returns scheme, host, port and path; nothing of a text that is no URL.
fn without_secrets(base_url: &str) -> String {
    let Ok(mut url) = url::Url::parse(base_url) else {
        return String::new();
    };
    url.set_query(None);
    url.set_fragment(None);
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

impl Record for ServiceRow {
    const TABLE: &'static str = "services";

    fn columns() -> Vec<Column<Self>> {
        vec![
            column("slug", Text, "slug of the service", |row| {
                Cell::text(&row.slug)
            }),
            column("name", Text, "its name", |row| Cell::text(&row.name)),
            column("type", Text, "type as configured", |row| {
                Cell::text(&row.kind)
            }),
            column("base", Text, "base URL without secrets", |row| {
                Cell::text(&row.base)
            }),
            column("tags", Json, "tags, a list", |row| {
                Cell::json(row.tags.clone().into())
            }),
            nullable("owner", Text, "owner", |row| {
                Cell::optional(row.owner.as_deref(), Cell::text)
            }),
            nullable(
                "slo_target",
                F64,
                "availability that is wanted, in percent",
                |row| Cell::optional(row.slo, |slo| Cell::Float(slo.target)),
            ),
            nullable("slo_days", I64, "days over which it is wanted", |row| {
                Cell::optional(row.slo, |slo| Cell::Signed(slo.days.into()))
            }),
            nullable("team", Text, "team that answers for it", |row| {
                Cell::optional(row.profile.team.as_deref(), Cell::text)
            }),
            nullable(
                "criticality",
                Text,
                "`low`, `medium`, `high` or `critical`",
                |row| {
                    let criticality = row.profile.criticality.map(Criticality::as_str);
                    Cell::optional(criticality, Cell::text)
                },
            ),
            nullable(
                "environment",
                Text,
                "where it is used, e.g. `production`",
                |row| Cell::optional(row.profile.environment.as_deref(), Cell::text),
            ),
            nullable("links", Json, "HTTPS URLs by name, an object", |row| {
                let links = &row.profile.links;
                let links = links
                    .iter()
                    .map(|(name, url)| (name.clone(), url.clone().into()));
                Cell::json(Value::Object(links.collect()))
            }),
            nullable(
                "depends_on",
                Json,
                "slugs of services it can't work without, a list",
                |row| Cell::json(row.depends_on.clone().into()),
            ),
            nullable(
                "sla",
                F64,
                "percent of a month that its vendor has promised",
                |row| {
                    let sla = row.profile.contract.and_then(|contract| contract.sla);
                    Cell::optional(sla, Cell::Float)
                },
            ),
            nullable(
                "claim_days",
                I64,
                "days after a month within which a credit has to be claimed",
                |row| {
                    let days = row
                        .profile
                        .contract
                        .and_then(|contract| contract.claim_days);
                    Cell::optional(days, |days| Cell::Signed(days.into()))
                },
            ),
            nullable(
                "public",
                Boolean,
                "may be shown to people without a token",
                |row| Cell::Boolean(row.profile.public),
            ),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_base_of_a_service_holds_no_secret() {
        for (url, base) in [
            (
                "https://user:pass@api.example.com:8443/v1?key=1#x",
                "https://api.example.com:8443/v1",
            ),
            ("tcp://10.0.0.1:5432", "tcp://10.0.0.1:5432"),
            ("not a url with a token", ""),
        ] {
            assert_eq!(without_secrets(url), base);
        }
    }
}
