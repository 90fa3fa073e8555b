//! Which services a rule is for, as an expression in CEL over the service: `'prod' in service.tags && service.type == 'REST'`.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use cel::{Context, Env, Program, Value};

use crate::domain::Service;

/// The parser is recursive and its input anybody's.
const MAX_BYTES: usize = 1_000;
const MAX_NESTING: usize = 32;

const VARIABLE: &str = "service";

static ENV: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

#[derive(Clone)]
pub(crate) struct Scope(Arc<Program>);

impl Scope {
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        if text.len() > MAX_BYTES || nesting(text) > MAX_NESTING {
            return Err(format!("is longer than {MAX_BYTES} bytes or nested deeper than {MAX_NESTING}"));
        }
        let parsed = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| ENV.compile(text)));
        let program = match parsed {
            Ok(Ok(program)) => program,
            Ok(Err(error)) => return Err(format!("does not parse: {}", error.to_string().trim())),
            Err(_) => return Err("can't be parsed".to_owned()),
        };
        let references = program.references();
        if let Some(name) = references.variables().into_iter().find(|name| !is_known(name, text)) {
            let keys = "`slug`, `name`, `type`, `baseUrl`, `tags`, `owner`, `origin`";
            return Err(format!("knows no `{name}`; there is `service` with {keys}"));
        }
        Ok(Self(Arc::new(program)))
    }

    /// The error is for people.
    pub(crate) fn selects(&self, service: &Service) -> Result<bool, String> {
        let mut context = Context::with_env(ENV.clone());
        context.add_variable_from_value(VARIABLE, value_of(service));
        let value = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.0.execute(&context)));
        match value {
            Ok(Ok(Value::Bool(is_selected))) => Ok(is_selected),
            Ok(Ok(_)) => Err("is neither true nor false".to_owned()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("can't be evaluated".to_owned()),
        }
    }
}

fn value_of(service: &Service) -> Value {
    let text = |text: &str| Value::String(Arc::new(text.to_owned()));
    let tags = service.tags.iter().map(|tag| text(tag)).collect();
    let origin = match service.origin {
        crate::domain::Origin::File => "file",
        crate::domain::Origin::Api => "api",
    };
    let map: HashMap<String, Value> = [
        ("slug", text(&service.slug)),
        ("name", text(&service.name)),
        ("type", text(&service.kind)),
        ("baseUrl", text(&service.base_url)),
        ("tags", Value::List(Arc::new(tags))),
        // Texts can be asked for their beginning, nothing can't.
        ("owner", text(service.owner.as_deref().unwrap_or_default())),
        ("origin", text(origin)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect();
    Value::Map(map.into())
}

/// What is given, and what an expression names itself: `tags.exists(tag, …)`.
fn is_known(name: &str, text: &str) -> bool {
    let own = || text.split_whitespace().collect::<String>().contains(&format!("({name},"));
    name == VARIABLE || name.starts_with('@') || own()
}

fn nesting(text: &str) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    for character in text.chars() {
        match character {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        deepest = deepest.max(depth);
    }
    deepest
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
            origin: Origin::File,
            hosts: Vec::new(),
            private: PrivateReach::Closed,
            credentials: vec![],
            probes: vec![],
            webhooks: vec![],
        }
    }

    #[test]
    fn selects_by_what_a_service_is() {
        for (text, wanted) in [
            ("'prod' in service.tags", true),
            ("'prod' in service.tags && service.type == 'TLS'", false),
            ("service.slug.startsWith('pa') || false", true),
            ("service.owner == ''", true),
            ("service.baseUrl.contains('example')", true),
            ("service.tags.exists(tag, tag == 'eu')", true),
        ] {
            assert_eq!(Scope::parse(text).unwrap().selects(&service()), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let fault = |text: &str| Scope::parse(text).err().unwrap_or_default();
        assert!(fault("'prod' in").starts_with("does not parse"), "{}", fault("'prod' in"));
        assert!(fault("tags.exists(t, true)").starts_with("knows no `tags`"));
        assert!(fault(&"(".repeat(40)).contains("nested"));
        assert!(Scope::parse("service.slug").unwrap().selects(&service()).unwrap_err().contains("neither"));
        assert!(Scope::parse("service.nothing == 1").unwrap().selects(&service()).is_err());
    }
}
