//! The text of the contract may grow only where plugins that are already built keep working.

use extrack_tests::contract;

/// A small contract with one of each thing that can change.
const SAMPLE: &str = r"
package external-tracking:plugin@0.2.0;

interface types {
  record entry { key: string, value: string }
  record fault { path: string, message: string }
  enum error-kind { dns, tls, timeout }
  variant net-error { connect(string), too-large(string), }
}

interface history {
  record sample { ts-ms: u64, latency-us: option<u64>, http-status: option<u16> }
  latest: func() -> option<sample>;
}

interface clock {
  now-ms: func() -> u64;
  monotonic-us: func() -> u64;
}

interface random {
  /// Random bytes, at most 4,096.
  bytes: func(count: u32) -> list<u8>;
}

interface tcp {
  use types.{net-error};
  resource connection {
    read: func(max: u32) -> result<list<u8>, net-error>;
  }
}

interface probes {
  use types.{entry, error-kind, fault};
  record context { settings: string, timeout-ms: u64, attributes: list<entry> }
  variant probe-error { settings(fault), failed(error-kind) }
  check: func(ctx: context) -> result<_, probe-error>;
}

world probe {
  import tcp;
  import clock;
  import random;
  export probes;
}

world rule {
  import history;
  import clock;
  export probes;
}
";

/// A name, a text, its replacement, and the break that is reported, if any.
type Change = (
    &'static str,
    &'static str,
    &'static str,
    Option<&'static str>,
);

#[test]
fn changes_that_break_plugins_are_noticed_and_others_are_not() {
    let old = SAMPLE;
    let changes: [Change; 19] = [
        (
            "a field more",
            " key: string,",
            " key: string, unit: string,",
            Some("type types/entry was"),
        ),
        (
            "a field less",
            "latency-us: option<u64>, http-status",
            "http-status",
            Some("type history/sample was"),
        ),
        (
            "fields in another order",
            "path: string, message: string",
            "message: string, path: string",
            Some("types/fault"),
        ),
        (
            "a field of another type",
            "timeout-ms: u64",
            "timeout-ms: u32",
            Some("type probes/context was"),
        ),
        (
            "a case more",
            "too-large(string),",
            "too-large(string), throttled,",
            Some("type types/net-error was"),
        ),
        (
            "a case less",
            "tls, timeout",
            "timeout",
            Some("type types/error-kind was"),
        ),
        (
            "a type by another name",
            "net-error",
            "net-fault",
            Some("type types/net-error is gone"),
        ),
        (
            "a function gone",
            "now-ms: func() -> u64;",
            "",
            Some("function clock/now-ms is gone"),
        ),
        (
            "another result",
            "monotonic-us: func() -> u64",
            "monotonic-us: func() -> s64",
            Some("clock/monotonic-us was"),
        ),
        (
            "another parameter",
            "bytes: func(count: u32)",
            "bytes: func(count: u64)",
            Some("function random/bytes was"),
        ),
        (
            "a method's parameter",
            "read: func(max: u32)",
            "read: func(max: u64)",
            Some("[method]connection.read was"),
        ),
        (
            "an import gone",
            "  import history;\n",
            "",
            Some("import history of world rule is gone"),
        ),
        (
            "an export more",
            "export probes;",
            "export probes; export extras;",
            Some("exports of world probe was"),
        ),
        (
            "a function more to export",
            "check: func(ctx: context)",
            "warm-up: func(); check: func(ctx: context)",
            Some("probes/warm-up is asked of plugins"),
        ),
        (
            "another package",
            "package external-tracking:plugin@0.2.0",
            "package external-tracking:plugin@0.3.0",
            Some("package"),
        ),
        (
            "a later patch of the package",
            "plugin@0.2.0",
            "plugin@0.2.7",
            None,
        ),
        (
            "a function more to import",
            "now-ms: func() -> u64;",
            "now-ms: func() -> u64; zone: func() -> string;",
            None,
        ),
        (
            "an import more",
            "world rule {",
            "world rule { import extras;",
            None,
        ),
        (
            "other words",
            "/// Random bytes, at most 4,096.",
            "/// At most 4,096 bytes.",
            None,
        ),
    ];
    for (what, from, to, wanted) in changes {
        assert!(
            old.contains(from),
            "{what}: `{from}` is not in the contract"
        );
        let new = format!(
            "{}\ninterface extras {{ more: func(); }}\n",
            old.replace(from, to)
        );
        let breaks = contract::breaks(old, &new);
        match wanted {
            Some(wanted) => assert!(
                breaks.iter().any(|found| found.contains(wanted)),
                "{what}: {breaks:?}"
            ),
            None => assert!(breaks.is_empty(), "{what}: {breaks:?}"),
        }
    }
}
