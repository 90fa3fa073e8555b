//! `status-pages.yaml`: pages for people who have no token.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// `status-pages.yaml`
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusPagesFile {
    /// Pages of public services; the first one is at `/status`. Default: one page of all of them.
    #[serde(default)]
    pub status_pages: Vec<PublicPageSpec>,
}

/// One page of services that are marked `public`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublicPageSpec {
    /// Name in its address: `/status/NAME`. Lower-case letters, digits and `-`.
    pub name: String,
    /// Heading of the page.
    pub title: String,
    /// HTTPS URLs by their text, e.g. `{Support: "https://help.example.com"}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub links: BTreeMap<String, String>,
    /// Groups in the order of the page. Default: one of all public services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<PublicGroupSpec>,
    /// Incidents that the vendors declared are shown beside ours. Default: false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub vendors: bool,
}

/// Services under one heading; a service is shown in the first group that selects it. Without
/// `services`, `tags` and `teams`: all public services that no group before it selects.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PublicGroupSpec {
    /// Heading of the group.
    pub title: String,
    /// Slugs of services.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
    /// Services that have one of these tags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Services of one of these teams.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
}
