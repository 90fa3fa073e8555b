//! What calls are read from: bodies of answers, spans of OpenTelemetry, lines of access logs.

use extrack::domain::access_log::read_line;
use extrack::domain::{CallUnits, Catalog, RouteTemplates, UnitReader, UnitRules};
use extrack::usage::{Encoding, Hosts, read_spans};

pub(crate) fn units(input: &[u8]) {
    for name in UnitRules::VENDORS {
        let rules = UnitRules::of_vendor(name).expect("it is in the list");
        for content_type in [
            "application/json",
            "text/event-stream",
            "application/x-ndjson",
        ] {
            for encoding in [None, Some("gzip")] {
                let mut whole = UnitReader::new(&rules, Some(content_type), encoding);
                whole.feed(input);
                let whole = whole.finish();
                let mut pieces = UnitReader::new(&rules, Some(content_type), encoding);
                input.chunks(7).for_each(|piece| pieces.feed(piece));
                assert_eq!(whole, pieces.finish(), "pieces make no difference");
                assert!(whole.amounts().len() <= CallUnits::MAX);
            }
        }
    }
}

pub(crate) fn spans(input: &[u8]) {
    let hosts = Hosts::of(&Catalog::default());
    for encoding in [Encoding::Protobuf, Encoding::Json] {
        if let Ok(spans) = read_spans(encoding, input) {
            assert!(
                spans.into_calls(&hosts).calls.is_empty(),
                "there are no services"
            );
        }
    }
}

pub(crate) fn logs(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut routes = RouteTemplates::default();
    for line in text.lines() {
        if let Ok(entry) = read_line(line, None) {
            let route = routes.learn(&entry.path);
            assert!(route.starts_with('/') && !route.contains('?'));
            assert_eq!(routes.learn(&entry.path), route);
        }
    }
}
