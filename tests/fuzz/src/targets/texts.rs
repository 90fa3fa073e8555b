//! Small languages: what is read of them is written and read again.

use std::time::Duration;

use extrack::domain::duration::{format_duration, parse_duration};
use extrack::domain::size::{format_size, parse_size};
use extrack::domain::{Labels, Matcher, Message, MessageTemplate, MessageTexts, Severity};
use extrack_plugin::jsonpath::JsonPath;

use super::text;
use crate::stage::{host, wait_for};

pub(crate) fn matchers(input: &[u8]) {
    let text = text(input);
    let Ok(matcher) = Matcher::parse(&text) else {
        return;
    };
    let mut labels = Labels::of("Down", "shop-api", Severity::Critical, None);
    labels.add(&matcher.label, &matcher.value);
    let _ = matcher.matches(&labels);
    let written = matcher.to_string();
    let again = Matcher::parse(&written);
    assert_eq!(
        again.as_ref(),
        Ok(&matcher),
        "{text:?} is written as {written:?}"
    );
}

pub(crate) fn durations(input: &[u8]) {
    let text = text(input);
    if let Ok(duration) = parse_duration(&text) {
        // Milliseconds that no clock counts to are written as they are read.
        if duration < Duration::from_millis(i64::MAX as u64) {
            assert_eq!(
                parse_duration(&format_duration(duration)),
                Ok(duration),
                "{text:?}"
            );
        }
    }
    if let Ok(bytes) = parse_size(&text) {
        assert_eq!(
            parse_size(&format_size(bytes)).ok(),
            Some(bytes),
            "{text:?}"
        );
    }
    let _ = extrack_plugin::time::parse_rfc3339(&text);
}

/// The path is the first line, the document the rest.
pub(crate) fn jsonpath(input: &[u8]) {
    let text = text(input);
    let (path, document) = text
        .split_once('\n')
        .unwrap_or((&text, "{\"a\":[1,{\"b\":null}],\"c\":\"d\"}"));
    let Ok(path) = JsonPath::parse(path) else {
        return;
    };
    if let Ok(document) = serde_json::from_str(document) {
        let _ = path.select(&document);
    }
}

pub(crate) fn templates(input: &[u8]) {
    let source = Some(text(input).into_owned());
    let sources = MessageTexts {
        title: source.clone(),
        text: source,
        html: None,
    };
    let template = MessageTemplate {
        name: "fuzz".to_owned(),
        sources,
    };
    let evaluator = host().evaluator();
    wait_for(async {
        let faults = evaluator.template_faults(&template).await;
        if faults.is_empty() {
            drop(
                evaluator
                    .template_render(&template, &Message::sample(3, 1))
                    .await,
            );
        }
        faults.iter().for_each(|fault| drop(fault.to_string()));
    });
}
