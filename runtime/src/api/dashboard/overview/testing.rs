//! Services for the tests of the overview.

use crate::domain::{Origin, PrivateReach, Service, ServiceProfile};

pub(crate) fn service(slug: &str, tags: &[&str]) -> Service {
    Service {
        slug: slug.to_owned(),
        name: slug.to_uppercase(),
        kind: "REST".to_owned(),
        base_url: format!("https://{slug}.example:8443"),
        health_endpoint: None,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        labels: Default::default(),
        depends_on: vec![],
        owner: Some("Anna Meier".to_owned()),
        description: None,
        profile: ServiceProfile {
            environment: Some("production".to_owned()),
            ..ServiceProfile::default()
        },
        slo: None,
        rate_limits: Default::default(),
        origin: Origin::File,
        hosts: Vec::new(),
        private: PrivateReach::Closed,
        credentials: vec![],
        probes: vec![],
        webhooks: vec![],
        meters: Vec::new(),
        gateway: None,
    }
}
