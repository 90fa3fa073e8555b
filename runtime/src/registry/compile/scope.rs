//! Selection of a rule's services, as an expression in CEL over the service: `'prod' in
//! service.tags && service.type == 'REST'`.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::domain::{Criticality, Origin, Service};
use crate::plugin_host::Evaluator;

const MAX_BYTES: usize = 1_000;

const VARIABLE: &str = "service";

#[derive(Clone)]
pub(crate) struct Scope {
    text: Arc<str>,
    evaluator: Evaluator,
}

impl Scope {
    pub(crate) async fn parse(text: &str, evaluator: &Evaluator) -> Result<Self, String> {
        if text.len() > MAX_BYTES {
            return Err(format!("is longer than {MAX_BYTES} bytes"));
        }
        if let Err(error) = evaluator
            .selector_check(text, &[VARIABLE.to_owned()])
            .await
            .map_err(|error| error.to_string())
        {
            let keys = "`slug`, `name`, `type`, `baseUrl`, `tags`, `owner`, `origin`";
            return Err(if error.starts_with("ERROR") {
                format!("does not parse: {error}")
            } else {
                format!("can't be evaluated: {error}; there is `service` with {keys}")
            });
        }
        Ok(Self {
            text: text.into(),
            evaluator: evaluator.clone(),
        })
    }

    /// The error is for people.
    pub(crate) async fn selects(&self, service: &Service) -> Result<bool, String> {
        let selects = self
            .evaluator
            .selects(&self.text, &variables(service))
            .await;
        selects.map_err(|error| error.to_string())
    }

    /// The same at once.
    pub(crate) fn selects_now(&self, service: &Service) -> Result<bool, String> {
        self.evaluator
            .selects_now(&self.text, &variables(service))
            .map_err(|error| error.to_string())
    }
}

fn variables(service: &Service) -> Value {
    let origin = match service.origin {
        Origin::File => "file",
        Origin::Api => "api",
    };
    json!({VARIABLE: {
        "slug": service.slug,
        "name": service.name,
        "type": service.kind,
        "baseUrl": service.base_url,
        "tags": service.tags,
        // Texts can be asked for their beginning, nothing can't.
        "owner": service.owner.as_deref().unwrap_or_default(),
        "team": service.profile.team.as_deref().unwrap_or_default(),
        "criticality": service
            .profile
            .criticality
            .map(Criticality::as_str)
            .unwrap_or_default(),
        "environment": service.profile.environment.as_deref().unwrap_or_default(),
        "origin": origin,
    }})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Origin, PrivateReach};

    fn service() -> Service {
        Service {
            slug: "pay".to_owned(),
            name: "Payments".to_owned(),
            kind: "REST".to_owned(),
            base_url: "https://pay.example".to_owned(),
            health_endpoint: None,
            tags: vec!["prod".to_owned(), "eu".to_owned()],
            labels: Default::default(),
            depends_on: vec![],
            owner: None,
            description: None,
            profile: Default::default(),
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

    async fn scope(text: &str) -> Result<Scope, String> {
        Scope::parse(text, Evaluator::for_tests()).await
    }

    #[tokio::test]
    async fn selects_by_what_a_service_is() {
        for (text, wanted) in [
            ("'prod' in service.tags", true),
            ("'prod' in service.tags && service.type == 'TLS'", false),
            ("service.slug.startsWith('pa') || false", true),
            ("service.owner == ''", true),
            ("service.team == '' && service.criticality == ''", true),
            ("service.environment.startsWith('prod')", false),
            ("service.baseUrl.contains('example')", true),
            ("service.tags.exists(tag, tag == 'eu')", true),
        ] {
            let scope = scope(text).await.unwrap();
            assert_eq!(scope.selects(&service()).await, Ok(wanted), "{text}");
            assert_eq!(scope.selects_now(&service()), Ok(wanted), "{text}");
        }
    }

    #[tokio::test]
    async fn faults_explain_what_is_wrong() {
        let fault = async |text: &str| scope(text).await.err().unwrap_or_default();
        assert!(
            fault("'prod' in").await.starts_with("does not parse"),
            "{}",
            fault("'prod' in").await
        );
        assert!(
            fault("tags.exists(t, true)")
                .await
                .contains("unknown variable `tags`; did you mean `service`?")
        );
        assert!(fault(&"(".repeat(80)).await.contains("nested"));
        assert!(
            scope("service.slug")
                .await
                .unwrap()
                .selects(&service())
                .await
                .unwrap_err()
                .contains("neither")
        );
        assert!(
            scope("service.nothing == 1")
                .await
                .unwrap()
                .selects(&service())
                .await
                .is_err()
        );
    }

    #[tokio::test]
    async fn a_slow_expression_selects_nothing_and_delays_no_other() {
        let many = "service.tags.exists(a, service.tags.exists(b, service.tags.exists(c, a + b + c == 'x')))";
        let scope = scope(many).await.unwrap();
        let tags = (0..500).map(|tag| format!("tag-{tag}")).collect();
        let wide = Service { tags, ..service() };
        assert!(
            scope
                .selects(&wide)
                .await
                .unwrap_err()
                .contains("more steps than")
        );
        assert!(
            scope
                .selects_now(&wide)
                .unwrap_err()
                .contains("more steps than")
        );
        assert_eq!(scope.selects(&service()).await, Ok(false));
    }
}
