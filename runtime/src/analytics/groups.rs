//! Groups of sums, for people. Tags are those of services: a service with two of them
//! counts under both.

use std::collections::BTreeSet;

use crate::domain::Catalog;
use crate::store::UsageKey;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    Service,
    Consumer,
    Route,
    Tag,
    Day,
}

impl Group {
    pub const ALL: [Group; 5] = [
        Group::Service,
        Group::Consumer,
        Group::Route,
        Group::Tag,
        Group::Day,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Group::Service => "service",
            Group::Consumer => "consumer",
            Group::Route => "route",
            Group::Tag => "tag",
            Group::Day => "day",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|group| group.as_str() == text)
    }
}

/// Values of the groups that were asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupKey {
    pub service: Option<String>,
    pub consumer: Option<String>,
    pub route: Option<String>,
    pub tag: Option<String>,
    /// Days since 1970, UTC.
    pub day: Option<i64>,
}

impl GroupKey {
    pub(super) fn of_service(slug: &str) -> Self {
        Self {
            service: Some(slug.to_owned()),
            ..Self::default()
        }
    }
}

/// Returns the keys that a sum belongs to: one, or with tags one for each of them.
pub(super) fn keys_of(catalog: &Catalog, by: &BTreeSet<Group>, key: &UsageKey) -> Vec<GroupKey> {
    let found = GroupKey {
        service: by.contains(&Group::Service).then(|| key.service.clone()),
        consumer: key.consumer.clone(),
        route: key.route.clone(),
        tag: None,
        day: key.day,
    };
    let service = catalog.services.get(&key.service);
    let tags = service.map_or(&[][..], |service| service.tags.as_slice());
    if by.contains(&Group::Tag) {
        with_each_tag(&found, tags)
    } else {
        vec![found]
    }
}

/// Returns the key under each tag; the key itself where there is none.
pub(super) fn with_each_tag(found: &GroupKey, tags: &[String]) -> Vec<GroupKey> {
    if tags.is_empty() {
        return vec![found.clone()];
    }
    let tags: BTreeSet<&String> = tags.iter().collect();
    let with_tag = |tag: &String| GroupKey {
        tag: Some(tag.clone()),
        ..found.clone()
    };
    tags.into_iter().map(with_tag).collect()
}
