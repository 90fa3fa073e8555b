//! Status pages: which public services are shown to people who have no token, and in which groups.

use std::sync::Arc;

use super::Service;

/// One page of the program for the public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StatusPage {
    /// Name in its address, `/status/NAME`.
    pub name: String,
    pub title: String,
    /// HTTPS URLs by their text, in the order of the page.
    pub links: Vec<(String, String)>,
    /// Groups in the order of the page; none: one of all services. Teams and tags are no headings
    /// unless somebody writes them here, since they are not for the public.
    pub groups: Vec<StatusGroup>,
    /// Whether incidents that vendors declared are shown beside ours.
    pub shows_vendors: bool,
}

/// Services under one heading. Without a selector: every public one that no group before it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StatusGroup {
    pub title: String,
    /// Slugs.
    pub services: Vec<String>,
    pub tags: Vec<String>,
    pub teams: Vec<String>,
}

impl StatusPage {
    /// Name of the page that is there without any configuration.
    pub const DEFAULT_NAME: &'static str = "services";
    /// Heading of the one group without configuration.
    const ALL_TITLE: &'static str = "Services";

    /// Returns the page of all public services.
    pub fn of_all() -> Self {
        Self {
            name: Self::DEFAULT_NAME.to_owned(),
            title: "Service status".to_owned(),
            links: Vec::new(),
            groups: Vec::new(),
            shows_vendors: false,
        }
    }

    /// Returns the public ones among the services by group, each service once; groups without any
    /// are left out.
    pub fn grouped<'s>(
        &self,
        services: impl Iterator<Item = &'s Arc<Service>>,
    ) -> Vec<(String, Vec<Arc<Service>>)> {
        let public = services.filter(|service| service.profile.public);
        if self.groups.is_empty() {
            let all: Vec<Arc<Service>> = public.cloned().collect();
            let one = (Self::ALL_TITLE.to_owned(), all);
            return Some(one)
                .filter(|(_, members)| !members.is_empty())
                .into_iter()
                .collect();
        }
        let mut groups: Vec<(String, Vec<Arc<Service>>)> = self
            .groups
            .iter()
            .map(|group| (group.title.clone(), Vec::new()))
            .collect();
        for service in public {
            if let Some(place) = self.groups.iter().position(|group| group.selects(service)) {
                groups[place].1.push(Arc::clone(service));
            }
        }
        groups.retain(|(_, members)| !members.is_empty());
        groups
    }
}

impl StatusGroup {
    fn selects(&self, service: &Service) -> bool {
        let is_rest = self.services.is_empty() && self.tags.is_empty() && self.teams.is_empty();
        let team = service.profile.team.as_ref();
        is_rest
            || self.services.contains(&service.slug)
            || self.tags.iter().any(|tag| service.tags.contains(tag))
            || team.is_some_and(|team| self.teams.contains(team))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Origin, PrivateReach, ServiceProfile};

    fn service(slug: &str, team: Option<&str>, tag: Option<&str>, public: bool) -> Arc<Service> {
        Arc::new(Service {
            slug: slug.to_owned(),
            name: slug.to_owned(),
            kind: "REST".to_owned(),
            base_url: "https://a.example".to_owned(),
            health_endpoint: None,
            tags: tag.map(str::to_owned).into_iter().collect(),
            labels: Default::default(),
            depends_on: Vec::new(),
            owner: None,
            description: None,
            profile: ServiceProfile {
                team: team.map(str::to_owned),
                public,
                ..ServiceProfile::default()
            },
            slo: None,
            rate_limits: Default::default(),
            origin: Origin::File,
            hosts: Vec::new(),
            private: PrivateReach::default(),
            credentials: Vec::new(),
            probes: Vec::new(),
            webhooks: Vec::new(),
            meters: Vec::new(),
            gateway: None,
        })
    }

    fn shown(page: &StatusPage, services: &[Arc<Service>]) -> Vec<String> {
        let groups = page.grouped(services.iter());
        let line = |(title, members): (String, Vec<Arc<Service>>)| {
            let slugs: Vec<&str> = members.iter().map(|member| member.slug.as_str()).collect();
            format!("{title}: {}", slugs.join(" "))
        };
        groups.into_iter().map(line).collect()
    }

    #[test]
    fn without_configuration_public_services_stand_in_one_group_that_names_no_team() {
        let services = [
            service("a", None, None, true),
            service("b", Some("payments"), Some("x"), true),
            service("c", None, Some("mail"), true),
            service("d", Some("payments"), None, true),
            service("e", Some("payments"), None, false),
        ];
        assert_eq!(
            shown(&StatusPage::of_all(), &services),
            ["Services: a b c d"]
        );
        assert!(shown(&StatusPage::of_all(), &services[4..]).is_empty());
    }

    #[test]
    fn each_public_service_stands_in_the_first_group_that_selects_it() {
        let group = |title: &str| StatusGroup {
            title: title.to_owned(),
            ..StatusGroup::default()
        };
        let page = StatusPage {
            groups: vec![
                StatusGroup {
                    services: vec!["a".to_owned(), "secret".to_owned()],
                    ..group("First")
                },
                StatusGroup {
                    tags: vec!["mail".to_owned()],
                    ..group("Mail")
                },
                StatusGroup {
                    teams: vec!["nobody".to_owned()],
                    ..group("Empty")
                },
                group("Rest"),
            ],
            ..StatusPage::of_all()
        };
        let services = [
            service("a", None, Some("mail"), true),
            service("b", None, Some("mail"), true),
            service("c", None, None, true),
            service("secret", None, Some("mail"), false),
        ];
        assert_eq!(shown(&page, &services), ["First: a", "Mail: b", "Rest: c"]);
    }
}
