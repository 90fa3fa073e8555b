//! A plugin of each kind, through the exports as the host calls them.

use std::time::Duration;

use crate::fake::Host;
use crate::prelude::*;
use crate::wit::description::exports::external_tracking::plugin::description::{
    Guest as Described, ProposedSettings,
};

/// Settings as the host proposes them, for a service at `https://s`.
fn proposed(settings: &str) -> ProposedSettings {
    ProposedSettings {
        settings: settings.to_owned(),
        service: Some(service()),
        attributes: Vec::new(),
    }
}

fn service() -> Service {
    Service {
        slug: "s".into(),
        name: "S".into(),
        base_url: "https://s".into(),
        attributes: Vec::new(),
    }
}

mod a_probe {
    use super::*;

    #[derive(Settings)]
    struct Settings {
        /// What to answer.
        answer: String,
    }

    #[probe(name = "echo", version = "1.2.3", summary = "Echoes", check_settings = checked, wants(host = "a.example:25", capability = "mail"))]
    fn check(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
        match settings.answer.as_str() {
            "settings" => Err(Stop::Settings("no".to_owned())),
            "internal" => Err(Stop::Internal("no".to_owned())),
            "refused" => Err(NetError::Connect("refused".to_owned()).into()),
            other => Ok(Observation::healthy()
                .metric("answer", other)
                .metric("previous", check.previous.is_some())),
        }
    }

    fn checked(settings: &Settings) -> Vec<Fault> {
        let is_wrong = settings.answer == "wrong";
        is_wrong
            .then(|| Fault::new("/answer", "is wrong"))
            .into_iter()
            .collect()
    }

    type Exported = crate::export::probes::Adapter<ExtrackPlugin>;

    #[test]
    fn a_plugin_describes_itself() {
        let info = Exported::describe();
        assert_eq!(
            (
                info.name.as_str(),
                info.version.as_str(),
                info.summary.as_str()
            ),
            ("echo", "1.2.3", "Echoes")
        );
        assert!(
            info.settings_schema.contains("What to answer."),
            "{}",
            info.settings_schema
        );
        assert_eq!(
            format!("{:?}", info.wants),
            r#"[Want::Host("a.example:25"), Want::Capability("mail")]"#
        );
    }

    #[test]
    fn settings_are_checked_by_shape_and_by_the_author() {
        assert!(Exported::check_settings(proposed(r#"{"answer": "right"}"#)).is_ok());
        for (settings, message) in [
            (r#"{"answer": "wrong"}"#, "is wrong"),
            (r#"{"answer": 1}"#, "is `1`, wanted a text"),
            ("{}", "is missing"),
        ] {
            let faults = Exported::check_settings(proposed(settings)).unwrap_err();
            assert_eq!(
                (faults[0].path.as_str(), faults[0].message.as_str()),
                ("/answer", message)
            );
        }
    }

    #[test]
    fn a_probe_answers_an_observation_or_says_that_it_is_broken() {
        use crate::wit::probe::exports::external_tracking::plugin::probes::{
            Context, Guest, ProbeError,
        };
        let _host = Host::install();
        let check = |answer: &str| {
            Exported::check(Context {
                service: service(),
                settings: format!(r#"{{"answer": "{answer}"}}"#),
                timeout_ms: 1_000,
                previous: None,
                credentials: Vec::new(),
                attributes: Vec::new(),
            })
        };
        assert_eq!(check("fine").unwrap().metrics.len(), 2);
        let refused = check("refused").unwrap();
        assert_eq!(
            (refused.status, refused.failure.unwrap().kind),
            (Status::Error, ErrorKind::Connect)
        );
        assert!(matches!(check("settings"), Err(ProbeError::Settings(_))));
        assert!(matches!(check("internal"), Err(ProbeError::Internal(_))));
    }
}

mod a_probe_of_one_service {
    use super::*;

    #[probe(check_settings = checked, wants(feature = "http.request:text"))]
    fn check(_check: &Check, _settings: &NoSettings) -> Observation {
        Observation::healthy()
    }

    fn checked(_settings: &NoSettings, service: Option<&Service>) -> Vec<Fault> {
        let is_plain = service.is_some_and(|service| service.base_url.starts_with("http:"));
        is_plain
            .then(|| Fault::new("", "needs `https`"))
            .into_iter()
            .collect()
    }

    type Exported = crate::export::probes::Adapter<ExtrackPlugin>;

    #[test]
    fn settings_are_checked_for_the_service() {
        let check = |service| {
            Exported::check_settings(ProposedSettings {
                service,
                ..proposed("{}")
            })
        };
        assert_eq!(check(Some(service())), Ok(()));
        assert_eq!(check(None), Ok(()));
        let plain = Service {
            base_url: "http://s".to_owned(),
            ..service()
        };
        assert_eq!(check(Some(plain)).unwrap_err()[0].message, "needs `https`");
    }

    #[test]
    fn a_feature_that_the_plugin_needs_is_among_its_wants() {
        let wants = format!("{:?}", Exported::describe().wants);
        assert_eq!(wants, r#"[Want::Feature("http.request:text")]"#);
    }
}

mod a_rule {
    use super::*;

    #[derive(Settings)]
    struct Settings {
        window: Duration,
    }

    #[rule(look_back = look_back, over_time = true)]
    fn evaluate(evaluation: &Evaluation, _settings: &Settings) -> Verdict {
        Finding::new(format!("at {}", evaluation.now_ms))
            .value(1.0)
            .breached_if(evaluation.service == "down")
    }

    fn look_back(settings: &Settings) -> Duration {
        settings.window
    }

    type Exported = crate::export::rules::Adapter<ExtrackPlugin>;

    #[test]
    fn a_name_comes_from_the_package_where_the_attribute_says_nothing() {
        assert_eq!(Exported::describe().name, env!("CARGO_PKG_NAME"));
        assert_eq!(Exported::describe().version, env!("CARGO_PKG_VERSION"));
        let rule = Exported::describe().rule;
        assert!(rule.is_some_and(|rule| rule.evaluated_over_time));
    }

    #[test]
    fn a_rule_answers_a_verdict_and_its_look_back() {
        use crate::wit::rule::exports::external_tracking::plugin::rules::{
            Context, Guest, RuleError, Verdict as Answer,
        };
        let _host = Host::install();
        let evaluate = |service: &str, settings: &str| {
            Exported::evaluate(Context {
                service: service.to_owned(),
                settings: settings.to_owned(),
                now_ms: 7,
                attributes: Vec::new(),
            })
        };
        assert_eq!(
            Exported::look_back(r#"{"window": "2m"}"#.to_owned()).look_back_ms,
            120_000
        );
        assert!(
            matches!(evaluate("down", r#"{"window": "2m"}"#), Ok(Answer::Breached(finding)) if finding.summary == "at 7")
        );
        assert!(matches!(
            evaluate("up", r#"{"window": "2m"}"#),
            Ok(Answer::Ok(_))
        ));
        assert!(
            matches!(evaluate("up", "{}"), Err(RuleError::Settings(text)) if text == "`/window`: is missing")
        );
    }
}

mod a_notifier {
    use super::*;

    #[notifier]
    fn notify(_notification: &Notification) -> Result<Receipt, NotifyError> {
        Err(NotifyError::Retryable {
            message: "later".to_owned(),
            after: Some(Duration::from_secs(2)),
        })
    }

    type Exported = crate::export::notifiers::Adapter<ExtrackPlugin>;

    #[test]
    fn a_notifier_says_when_to_come_back() {
        use crate::wit::notifier::exports::external_tracking::plugin::notifiers::{
            Context, Guest, NotificationStatus, NotifyError as Answer,
        };
        let _host = Host::install();
        let notification = Notification {
            id: "n".to_owned(),
            status: NotificationStatus::Firing,
            group_key: String::new(),
            group_labels: Vec::new(),
            receiver: "ops".to_owned(),
            external_url: String::new(),
            alerts: Vec::new(),
            attempt: 1,
            attributes: Vec::new(),
        };
        let answer = Exported::notify(
            Context {
                settings: "{}".to_owned(),
                timeout_ms: 1_000,
                attributes: Vec::new(),
            },
            notification,
        );
        assert!(matches!(answer, Err(Answer::Retryable(retry)) if retry.after_ms == Some(2_000)));
    }
}

mod a_webhook {
    use super::*;
    use crate::wit::webhook::exports::external_tracking::plugin::webhooks as wit;

    #[derive(Settings)]
    struct Settings {
        secret: Secrets,
    }

    #[webhook]
    fn receive(delivery: &Delivery, settings: &Settings) -> Result<Option<Event>, Reject> {
        delivery.verify_header("x-key", &settings.secret)?;
        let body = delivery.json()?;
        Ok(body["kind"].as_str().map(|kind| {
            let event = Event::new(kind, "told")
                .id(body["id"].as_str().unwrap_or("1"))
                .payload(body.clone())
                .attribute("n", 1);
            event.report(Report::degraded("slow").metric("queue", 7))
        }))
    }

    type Exported = crate::export::webhooks::Adapter<ExtrackPlugin>;

    fn received(settings: &str, key: &str, body: &str) -> Result<wit::Reception, wit::Reject> {
        use wit::Guest;
        let _host = Host::install();
        let context = wit::Context {
            service: "s".to_owned(),
            settings: settings.to_owned(),
            timeout_ms: 10_000,
            attributes: Vec::new(),
        };
        let request = wit::Request {
            method: "POST".to_owned(),
            path: String::new(),
            query: String::new(),
            headers: vec![("x-key".to_owned(), key.to_owned())],
            body: body.as_bytes().to_vec(),
            received_ms: 0,
            attributes: Vec::new(),
        };
        Exported::receive(context, request)
    }

    #[test]
    fn a_webhook_answers_events_or_why_not() {
        let settings = r#"{"secret": ["new", "old"]}"#;
        let reception = received(settings, "old", r#"{"kind": "deploy"}"#).unwrap();
        let [event] = &reception.events[..] else {
            panic!("{reception:?}")
        };
        assert_eq!(
            (event.kind.as_str(), event.payload.as_str()),
            ("deploy", r#"{"kind":"deploy"}"#)
        );
        assert_eq!(
            event.report.as_ref().map(|report| report.status),
            Some(Status::Degraded)
        );
        assert!(
            received(settings, "Bearer new", "{}")
                .unwrap()
                .events
                .is_empty()
        );
        assert!(matches!(
            received(settings, "guess", "{}"),
            Err(wit::Reject::Unauthenticated(_))
        ));
        assert!(matches!(
            received(settings, "old", "{"),
            Err(wit::Reject::Malformed(_))
        ));
        let long = format!(r#"{{"kind": "deploy", "id": "{}"}}"#, "x".repeat(257));
        assert!(
            matches!(received(settings, "old", &long), Err(wit::Reject::Malformed(text)) if text.contains("256"))
        );
        assert!(
            matches!(received("{}", "old", "{}"), Err(wit::Reject::Settings(text)) if text.contains("/secret"))
        );
    }

    #[test]
    fn one_secret_or_several_never_enter_the_plugin() {
        let schema: json::Value = json::from_str(&<Settings as Setting>::schema()).unwrap();
        assert_eq!(schema["properties"]["secret"]["x-secret"], true);
        for (secrets, is_taken) in [
            (r#""a""#, true),
            (r#"["a", "b"]"#, true),
            ("[]", false),
            ("1", false),
        ] {
            let read = Settings::from_json(&format!(r#"{{"secret": {secrets}}}"#));
            assert_eq!(read.is_ok(), is_taken, "{secrets}");
            assert!(!read.is_ok_and(|settings| format!("{:?}", settings.secret) != "***"));
        }
    }
}

mod a_meter {
    use super::*;
    use crate::fake::response;
    use crate::meter::{decimal, pages};
    use crate::wit::meter::exports::external_tracking::plugin::meters::{self as wit, Guest};

    #[derive(Settings)]
    struct Settings {
        path: String,
    }

    #[meter(name = "costs", version = "1.0.0", summary = "Reads")]
    fn read(question: &Question, settings: &Settings) -> Result<Reading, ReadError> {
        let mut figures = Vec::new();
        pages(
            question.address(&settings.path)?,
            http::get,
            |_| Ok(None),
            |page| {
                figures.push(Figure {
                    from_ms: question.from_ms,
                    to_ms: question.to_ms,
                    name: "all".to_owned(),
                    quantity: Some(("3".to_owned(), "calls".to_owned())),
                    amount: decimal(&page["amount"])
                        .ok_or_else(|| ReadError::unavailable("no amount"))?,
                    currency: "EUR".to_owned(),
                });
                Ok(())
            },
        )?;
        Ok(Reading { figures })
    }

    type Exported = crate::export::meters::Adapter<ExtrackPlugin>;

    fn asked(settings: &str) -> Result<wit::Reading, wit::ReadError> {
        Exported::read(wit::Context {
            service: service(),
            settings: settings.to_owned(),
            timeout_ms: 1_000,
            from_ms: 1,
            to_ms: 2,
            credentials: Vec::new(),
            attributes: Vec::new(),
        })
    }

    #[test]
    fn a_meter_answers_figures_or_why_not() {
        let host = Host::install();
        for (status, body) in [(200, r#"{"amount": 1.10}"#), (200, "{}"), (500, "down")] {
            host.answer_http("GET https://s/costs", response(status, body));
        }
        let settings = r#"{"path": "/costs"}"#;
        let reading = asked(settings).unwrap();
        let [figure] = &reading.figures[..] else {
            panic!("{reading:?}")
        };
        assert_eq!(
            (figure.unit.as_deref(), figure.quantity.as_deref()),
            (Some("calls"), Some("3"))
        );
        assert_eq!((figure.from_ms, figure.to_ms), (1, 2));
        for wanted in ["no amount", "status 500: down"] {
            assert!(
                matches!(asked(settings), Err(wit::ReadError::Unavailable(text)) if text.contains(wanted)),
                "{wanted}"
            );
        }
        assert!(
            matches!(asked("{}"), Err(wit::ReadError::Settings(text)) if text.contains("/path"))
        );
    }
}
