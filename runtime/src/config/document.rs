//! One configuration file: its value, and where each key and value stands. Variables are replaced
//! here, on the parsed tree.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use saphyr::Scalar;
use serde_json::{Map, Number, Value};

use super::environment::Environment;
use super::interpolate::interpolate;
use super::yaml::{self, MAX_DEPTH, Mark, Node, Shape};
use crate::domain::Fault;
use crate::domain::fault::{FaultReport, child};

/// 50,000 services fit; a log file that was named by mistake does not.
pub(super) const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;
/// Values that aliases repeat: a few lines can ask for billions.
const MAX_ALIASED: usize = 100_000;

#[derive(Debug)]
pub(super) struct Document {
    /// Path as people wrote it, for faults.
    pub(super) path: String,
    pub(super) value: Value,
    /// Places of keys and values, by JSON Pointer.
    marks: HashMap<String, Marks>,
    /// Wrong, and left out of `value`. With a place of its own where the pointer would lead
    /// elsewhere.
    pub(super) faults: Vec<Fault>,
}

#[derive(Debug, Clone, Copy)]
struct Marks {
    key: Mark,
    value: Mark,
}

impl Document {
    /// A file that is empty, or of which not even the syntax is right, is an empty mapping.
    pub(super) fn parse(path: String, text: &str, environment: &Environment) -> Self {
        let mut document = Self {
            path,
            value: Value::Object(Map::new()),
            marks: HashMap::new(),
            faults: Vec::new(),
        };
        document.marks.insert(
            String::new(),
            Marks {
                key: Mark::START,
                value: Mark::START,
            },
        );
        match yaml::parse(text.strip_prefix('\u{feff}').unwrap_or(text)) {
            Err(fault) => {
                document.marks.insert(
                    String::new(),
                    Marks {
                        key: fault.at,
                        value: fault.at,
                    },
                );
                document.faults.push(Fault::new("", fault.message));
            }
            Ok(None) => {}
            Ok(Some(root)) => {
                let mut reader = Reader {
                    document: &mut document,
                    environment,
                    aliases: 0,
                    aliased: 0,
                };
                if let Some(value) = reader
                    .value(&root, "", root.at, 0)
                    .filter(|value| !value.is_null())
                {
                    document.value = value;
                }
            }
        }
        document
    }

    /// An empty document in place of a file that is not there.
    pub(super) fn absent(path: String) -> Self {
        Self {
            path,
            value: Value::Object(Map::new()),
            marks: HashMap::new(),
            faults: Vec::new(),
        }
    }

    /// Faults of the reading itself, with their places.
    pub(super) fn own_faults(&self) -> impl Iterator<Item = Fault> {
        self.faults.iter().map(|fault| self.place(fault))
    }

    /// Adds line and column of what is wrong; for something that is missing, of what it is missing
    /// from. A fault that has a place keeps it.
    pub(super) fn place(&self, fault: &Fault) -> Fault {
        if fault.place.is_some() {
            return fault.clone();
        }
        let mut pointer = fault.pointer.as_str();
        let mark = loop {
            match self.marks.get(pointer) {
                Some(marks) if fault.at_key => break Some(marks.key),
                Some(marks) => break Some(marks.value),
                None => match pointer.rfind('/') {
                    Some(end) => pointer = &pointer[..end],
                    None => break None,
                },
            }
        };
        let (line, column) = (mark.map(|mark| mark.line), mark.map(|mark| mark.column));
        fault.clone().placed(&self.path, line, column)
    }
}

struct Reader<'a> {
    document: &'a mut Document,
    environment: &'a Environment,
    /// Aliases around the current value.
    aliases: usize,
    aliased: usize,
}

impl Reader<'_> {
    /// `None` when it is wrong, which has been noted.
    fn value(&mut self, node: &Node, pointer: &str, key: Mark, depth: usize) -> Option<Value> {
        self.document.marks.insert(
            pointer.to_owned(),
            Marks {
                key,
                value: node.at,
            },
        );
        if !self.is_within_bounds(pointer, depth) {
            return None;
        }
        match &node.shape {
            Shape::Scalar(_) => self.scalar(node, pointer),
            Shape::List(items) => {
                let items = items.iter().enumerate().map(|(index, item)| {
                    // A gap, so that those after it keep their index.
                    self.value(item, &child(pointer, index), item.at, depth + 1)
                        .unwrap_or(Value::Null)
                });
                Some(Value::Array(items.collect()))
            }
            Shape::Map(pairs) => Some(Value::Object(self.map(pairs, pointer, depth))),
            Shape::Alias(named) => {
                self.aliases += 1;
                let value = self.value(named, pointer, key, depth + 1);
                self.aliases -= 1;
                // Faults inside are reported where the anchor stands, the whole where it is used.
                self.document.marks.insert(
                    pointer.to_owned(),
                    Marks {
                        key,
                        value: node.at,
                    },
                );
                value
            }
        }
    }

    fn map(
        &mut self,
        pairs: &[(Arc<Node>, Arc<Node>)],
        pointer: &str,
        depth: usize,
    ) -> Map<String, Value> {
        let mut members = Map::new();
        self.fill(pairs, pointer, depth, &mut members, &mut HashSet::new());
        members
    }

    /// Reads the keys that are not taken by a mapping that wins over this one, and then those that
    /// this one takes over.
    fn fill<'n>(
        &mut self,
        pairs: &'n [(Arc<Node>, Arc<Node>)],
        pointer: &str,
        depth: usize,
        members: &mut Map<String, Value>,
        taken: &mut HashSet<&'n str>,
    ) {
        let mut seen: HashMap<&str, Mark> = HashMap::new();
        let mut sources = Vec::new();
        for (key, value) in pairs {
            let Shape::Scalar(scalar) = &key.shape else {
                self.fault_at(pointer, key.at, "a key has to be text");
                continue;
            };
            let name = scalar.text.as_str();
            let place = child(pointer, name);
            if let Some(first) = seen.insert(name, key.at) {
                let message = format!("is given twice; the first time in line {}", first.line);
                self.fault_at(&place, key.at, message);
            } else if scalar.is_merge_key() {
                self.merge_sources(value, &place, &mut sources);
            } else if !taken.contains(name)
                && let Some(value) = self.value(value, &place, key.at, depth + 1)
            {
                members.insert(name.to_owned(), value);
            }
        }
        taken.extend(seen.into_keys());
        for source in sources {
            self.aliases += 1;
            if self.is_within_bounds(pointer, depth + 1) {
                self.fill(source, pointer, depth + 1, members, taken);
            }
            self.aliases -= 1;
        }
    }

    /// Counts one value more.
    fn is_within_bounds(&mut self, pointer: &str, depth: usize) -> bool {
        self.aliased = self.aliased.saturating_add(usize::from(self.aliases > 0));
        if self.aliased <= MAX_ALIASED && depth <= MAX_DEPTH {
            return true;
        }
        // Reported once: what comes after is cut off for the same reason.
        if self.aliased != usize::MAX {
            self.aliased = usize::MAX;
            self.fault(
                pointer,
                "repeats too much by `*alias`, or nests it too deeply",
            );
        }
        false
    }

    /// Collects what `<<` names: a mapping, or several, of which the earlier one wins.
    fn merge_sources<'n>(
        &mut self,
        node: &'n Node,
        place: &str,
        sources: &mut Vec<&'n [(Arc<Node>, Arc<Node>)]>,
    ) {
        let named = |node: &'n Node| match &node.shape {
            Shape::Alias(named) => &**named,
            _ => node,
        };
        let node_named = named(node);
        let items: Vec<&Node> = match &node_named.shape {
            Shape::List(items) => items.iter().map(|item| named(item)).collect(),
            _ => vec![node_named],
        };
        for item in items {
            match &item.shape {
                Shape::Map(pairs) => sources.push(pairs),
                _ => self.fault_at(
                    place,
                    node.at,
                    "takes over keys, so it wants a mapping such as `*common`, or a list of them",
                ),
            }
        }
    }

    fn scalar(&mut self, node: &Node, pointer: &str) -> Option<Value> {
        let Shape::Scalar(scalar) = &node.shape else {
            return None;
        };
        let replaced = match interpolate(&scalar.text, |name| self.environment.get(name)) {
            Ok(replaced) => replaced,
            Err(fault) => {
                self.fault(pointer, fault.to_string());
                return None;
            }
        };
        let value = match scalar.typed(replaced.as_deref().unwrap_or(&scalar.text)) {
            Some(Scalar::Null) => Some(Value::Null),
            Some(Scalar::Boolean(value)) => Some(Value::Bool(value)),
            Some(Scalar::Integer(value)) => Some(Value::from(value)),
            Some(Scalar::FloatingPoint(value)) => {
                Number::from_f64(value.into_inner()).map(Value::Number)
            }
            Some(Scalar::String(text)) => Some(Value::String(text.into_owned())),
            None => None,
        };
        if value.is_none() {
            self.fault(
                pointer,
                "is not a value of its kind: no finite number, or not what its `!!` tag says",
            );
        }
        value
    }

    fn fault(&mut self, pointer: &str, message: impl Into<String>) {
        self.push(Fault::new(pointer, message));
    }

    fn fault_at(&mut self, pointer: &str, at: Mark, message: impl Into<String>) {
        let fault = Fault::new(pointer, message);
        self.push(fault.placed(&self.document.path, Some(at.line), Some(at.column)));
    }

    fn push(&mut self, fault: Fault) {
        if self.document.faults.len() < FaultReport::MAX_FAULTS {
            self.document.faults.push(fault);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn document(text: &str) -> Document {
        let environment = Environment::of([("A", "1"), ("TEXT", "true: [x]"), ("EMPTY", "")]);
        Document::parse("f.yaml".to_owned(), text, &environment)
    }

    fn texts(document: &Document) -> Vec<String> {
        document
            .own_faults()
            .map(|fault| fault.to_string())
            .collect()
    }

    #[test]
    fn reads_values_with_their_types() {
        for (text, wanted) in [
            ("", json!({})),
            ("# only a comment", json!({})),
            ("---\na: 1", json!({"a": 1})),
            (
                "a: 1\nb: 1.5\nc: true\nd: '1'\ne:\nf: text",
                json!({"a": 1, "b": 1.5, "c": true, "d": "1", "e": null, "f": "text"}),
            ),
            ("a: !!str 1", json!({"a": "1"})),
            ("- a\n- [b, {c: d}]", json!(["a", ["b", {"c": "d"}]])),
            ("a: &x {b: 1}\nc: *x", json!({"a": {"b": 1}, "c": {"b": 1}})),
            ("1: a", json!({"1": "a"})),
            ("a: no", json!({"a": "no"})),
            (
                "\u{feff}a: 1\r\nb: yes\r\nc: 监控\r\nd: '🚀'\r\n",
                json!({"a": 1, "b": "yes", "c": "监控", "d": "🚀"}),
            ),
        ] {
            let document = document(text);
            assert_eq!(document.value, wanted, "{text}");
            assert_eq!(texts(&document), [""; 0], "{text}");
        }
    }

    #[test]
    fn merge_keys_take_over_what_is_not_written() {
        for (text, wanted) in [
            (
                "x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}",
                json!({"a": 1, "b": 3}),
            ),
            (
                "x: &x {a: 1, b: 2}\ny: {b: 3, <<: *x}",
                json!({"a": 1, "b": 3}),
            ),
            (
                "x: &x {a: 1}\nz: &z {a: 2, b: 2}\ny: {<<: [*x, *z], c: 3}",
                json!({"a": 1, "b": 2, "c": 3}),
            ),
            (
                "x: &x {a: 1}\nz: &z {<<: *x, b: 2}\ny: {<<: *z}",
                json!({"a": 1, "b": 2}),
            ),
            (
                "x: &x {a: {b: 1}}\ny: {<<: *x, a: {c: 1}}",
                json!({"a": {"c": 1}}),
            ),
            ("y: {<<: {a: 1}}", json!({"a": 1})),
            ("y: {\"<<\": {a: 1}}", json!({"<<": {"a": 1}})),
        ] {
            let document = document(text);
            assert_eq!(texts(&document), [""; 0], "{text}");
            assert_eq!(document.value["y"], wanted, "{text}");
        }
        // A fault in what was taken over is reported where it stands.
        let document = document("x: &x\n  a: 1\ny:\n  <<: *x");
        assert!(
            document
                .place(&Fault::new("/y/a", "m"))
                .to_string()
                .starts_with("f.yaml:2:6: y.a")
        );
    }

    #[test]
    fn pairs_of_surrogates_are_one_character_as_in_json() {
        for (text, wanted) in [
            ("a: \"Shop \\ud83d\\ude80\"", json!({"a": "Shop 🚀"})),
            (
                "a: \"\\ud83d\\ude80\"\nb: [\"\\uD83D\\uDE80!\", \"\\u00e9\"]",
                json!({"a": "🚀", "b": ["🚀!", "é"]}),
            ),
            (
                "{\"a\": \"\\ud83d\\ude80\", \"b\": \"\\ud83d\\ude80\"}",
                json!({"a": "🚀", "b": "🚀"}),
            ),
            ("a: '\\ud83d\\ude80'", json!({"a": "\\ud83d\\ude80"})),
        ] {
            let document = document(text);
            assert_eq!(texts(&document), [""; 0], "{text}");
            assert_eq!(document.value, wanted, "{text}");
        }
    }

    #[test]
    fn types_an_unquoted_scalar_after_replacing() {
        for (text, wanted) in [
            ("a: ${A}", json!({"a": 1})),
            ("a: '${A}'", json!({"a": "1"})),
            ("a: ${A}0", json!({"a": 10})),
            ("a: ${B:-true}", json!({"a": true})),
            ("a: ${EMPTY}", json!({"a": null})),
            ("a: \"${EMPTY}\"", json!({"a": ""})),
            ("a: ${TEXT}", json!({"a": "true: [x]"})),
            ("a: $${A}", json!({"a": "${A}"})),
            ("${A}: a", json!({"${A}": "a"})),
        ] {
            assert_eq!(document(text).value, wanted, "{text}");
        }
    }

    #[test]
    fn every_fault_has_its_place() {
        for (text, wanted) in [
            ("a: [", "f.yaml:2:1: is not valid YAML"),
            (
                "a: 1\nb: ${B}",
                "f.yaml:2:4: b: the variable `B` is not set",
            ),
            (
                "a: 1\n  \nb:\n  - c: x\n    c: y",
                "f.yaml:5:5: b[0].c: is given twice; the first time in line 4",
            ),
            (
                "a: 1\n---\nb: 2",
                "f.yaml:2:1: a second document begins here",
            ),
            ("[a]: 1", "f.yaml:1:1: a key has to be text"),
            (
                "a: &x [*x]",
                "f.yaml:1:8: an alias can't stand inside what it names",
            ),
            ("a:\n\tb: 1", "f.yaml:2:"),
            ("a: .inf", "f.yaml:1:4: a: is not a value of its kind"),
            ("a: !!int x", "f.yaml:1:4: a: is not a value of its kind"),
            ("a: *x", "f.yaml:1:4: is not valid YAML"),
            (
                "b:\n  <<: 1",
                "f.yaml:2:7: b[\"<<\"]: takes over keys, so it wants a mapping",
            ),
            (
                "b:\n  <<: {a: 1}\n  <<: {c: 1}",
                "f.yaml:3:3: b[\"<<\"]: is given twice",
            ),
            (
                "a: \"x\"\nb: \"\\ud83d\"",
                "f.yaml:2:4: is not valid YAML: `\\u` with half of a character; write both",
            ),
        ] {
            let texts = texts(&document(text));
            assert!(
                texts.len() == 1 && texts[0].starts_with(wanted),
                "{text}: {texts:?}"
            );
        }
        assert_eq!(texts(&document("a: ${B}\nb: ${C}\na: 1")).len(), 3);
    }

    #[test]
    fn is_bounded() {
        let deep = "[".repeat(200) + &"]".repeat(200);
        assert!(texts(&document(&deep))[0].contains("levels deep"));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for level in 1..12 {
            let previous = level - 1;
            bomb += &format!(
                "a{level}: &a{level} [{}]\n",
                vec![format!("*a{previous}"); 10].join(", ")
            );
        }
        assert!(texts(&document(&bomb))[0].contains("repeats too much"));
        let mut bomb = "a0: &a0 {x: 1}\n".to_owned();
        for level in 1..32 {
            let previous = level - 1;
            bomb += &format!(
                "a{level}: &a{level} {{<<: [{}]}}\n",
                vec![format!("*a{previous}"); 10].join(", ")
            );
        }
        assert!(texts(&document(&bomb))[0].contains("repeats too much"));
    }

    #[test]
    fn points_to_keys_values_and_what_something_is_missing_from() {
        let document = document("services:\n  - name: x\n    monitoring:\n      interval: 5");
        for (fault, wanted) in [
            (
                Fault::new("/services/0/monitoring/interval", "m"),
                "f.yaml:4:17: services[0].monitoring.interval: m",
            ),
            (
                Fault::at_key("/services/0/monitoring/interval", "m"),
                "f.yaml:4:7: services[0].monitoring.interval: m",
            ),
            (
                Fault::new("/services/0/monitoring/probe", "m"),
                "f.yaml:4:7: services[0].monitoring.probe: m",
            ),
            (
                Fault::new("/services/0/baseUrl", "m"),
                "f.yaml:2:5: services[0].baseUrl: m",
            ),
            (Fault::new("", "m"), "f.yaml:1:1: m"),
        ] {
            assert_eq!(document.place(&fault).to_string(), wanted);
        }
    }
}
