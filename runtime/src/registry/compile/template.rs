//! Puts the keys of a template under those of an alert that uses it. A fault in a key is reported
//! where the key stands.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Compiler;
use crate::domain::fault::{Fault, FaultReport, child, list, segments, suggest};
use crate::spec::{AlertTemplateSpec, Schema, TemplateUseSpec, prune_and_parse};

/// More is a mistake.
const MAX_TEMPLATES: usize = 200;
const MAX_PARAMETERS: usize = 50;
/// Values are part of each use.
const MAX_VALUE_BYTES: usize = 10_000;

/// Templates by name.
pub(crate) type Templates = BTreeMap<String, AlertTemplateSpec>;

/// Where the keys of an alert come from.
pub(super) struct TemplateOrigin {
    /// Pointer of the alert.
    at: String,
    template: String,
    keys: BTreeSet<String>,
}

impl Compiler<'_> {
    /// Checks templates without their uses.
    pub(crate) fn templates_check(&mut self, templates: &Templates, at: &str) {
        if templates.len() > MAX_TEMPLATES {
            self.report
                .fault(at, format!("must have at most {MAX_TEMPLATES} entries"));
        }
        for (name, template) in templates {
            let at = child(at, name);
            self.name_check(name, &at);
            if template.params.len() > MAX_PARAMETERS {
                self.report.fault(
                    child(&at, "params"),
                    format!("must have at most {MAX_PARAMETERS} entries"),
                );
            }
            for key in TemplateUseSpec::keys()
                .iter()
                .filter(|key| template.alert.0.contains_key(*key))
            {
                self.report.fault(
                    child(&at, key),
                    "can't be in a template: templates don't build on each other",
                );
            }
            let mut used = BTreeSet::new();
            for (key, value) in &template.alert.0 {
                placeholders(value, &mut |parameter| {
                    if !template.params.contains_key(parameter) {
                        let known = suggest(parameter, template.params.keys().map(String::as_str));
                        let message =
                            format!("uses `{{{{{parameter}}}}}`, which is none of `params`{known}");
                        self.report.fault(child(&at, key), message);
                    }
                    used.insert(parameter.to_owned());
                });
            }
            for parameter in template
                .params
                .keys()
                .filter(|parameter| !used.contains(*parameter))
            {
                let place = child(&child(&at, "params"), parameter);
                self.report.warn(place, "is not used by the template");
            }
        }
    }

    /// Returns the alert with all its keys. None: too little of it can be made; then the report has
    /// the reason.
    pub(super) fn instantiate<T: Serialize + DeserializeOwned + JsonSchema>(
        &mut self,
        spec: &T,
        usage: &TemplateUseSpec,
        at: &str,
    ) -> Option<(T, TemplateOrigin)> {
        let name = usage.template.as_ref()?;
        let Some(template) = self.templates.get(name).cloned() else {
            let known = suggest(name, self.templates.keys().map(String::as_str));
            self.report.fault(
                child(at, "template"),
                format!("there is no alert template `{name}`{known}"),
            );
            return None;
        };
        let values = self.values(name, &template, usage.with.as_ref(), at)?;
        let Ok(Value::Object(mut alert)) = serde_json::to_value(spec) else {
            return None;
        };
        TemplateUseSpec::keys()
            .iter()
            .for_each(|key| drop(alert.remove(key)));
        let mut keys = BTreeSet::new();
        for (key, value) in template.alert.0 {
            // Two words for one thing.
            let other = match key.as_str() {
                "for" => "duration",
                "duration" => "for",
                _ => key.as_str(),
            };
            if !alert.contains_key(&key) && !alert.contains_key(other) {
                alert.insert(key.clone(), fill(value, &values));
                keys.insert(key);
            }
        }
        alert
            .entry("name")
            .or_insert_with(|| Value::from(name.as_str()));
        let origin = TemplateOrigin {
            at: at.to_owned(),
            template: name.clone(),
            keys,
        };
        let alert = Value::Object(alert);
        let mut report = FaultReport::default();
        Schema::of::<T>().check(&alert, at, &[], &mut report);
        let parsed = prune_and_parse(alert, at, &mut report);
        let is_sound = report.faults.is_empty();
        origin.report(report, &mut self.report);
        parsed.filter(|_| is_sound).map(|spec| (spec, origin))
    }

    /// Returns the value of each parameter. None: some have no value.
    fn values(
        &mut self,
        name: &str,
        template: &AlertTemplateSpec,
        given: Option<&Map<String, Value>>,
        at: &str,
    ) -> Option<BTreeMap<String, Value>> {
        let with_at = child(at, "with");
        let mut is_sound = true;
        for (parameter, value) in given.into_iter().flatten() {
            if !template.params.contains_key(parameter) {
                let known = suggest(parameter, template.params.keys().map(String::as_str));
                let message =
                    format!("alert template `{name}` has no parameter `{parameter}`{known}");
                self.report
                    .add(Fault::at_key(child(&with_at, parameter), message));
                is_sound = false;
            } else if value.to_string().len() > MAX_VALUE_BYTES {
                self.report.fault(
                    child(&with_at, parameter),
                    format!("is larger than {MAX_VALUE_BYTES} bytes"),
                );
                is_sound = false;
            }
        }
        let mut values = BTreeMap::new();
        let mut missing = Vec::new();
        for (parameter, spec) in &template.params {
            let value = given
                .and_then(|given| given.get(parameter))
                .or(spec.default.as_ref());
            match value {
                Some(value) => drop(values.insert(parameter.clone(), value.clone())),
                None => missing.push(parameter.as_str()),
            }
        }
        if !missing.is_empty() {
            let place = if given.is_some() {
                with_at
            } else {
                child(at, "template")
            };
            let message = format!(
                "alert template `{name}` needs `with` values for {}",
                list(missing)
            );
            self.report.fault(place, message);
            return None;
        }
        is_sound.then_some(values)
    }
}

impl TemplateOrigin {
    /// Takes over what was found in the alert, each in the place where its key stands.
    pub(super) fn report(&self, found: FaultReport, report: &mut FaultReport) {
        for fault in found.faults {
            let place = self.place(&fault.pointer);
            let message = if place == fault.pointer {
                fault.message
            } else {
                format!("{} (as `{}` uses it)", fault.message, self.at)
            };
            report.add(Fault {
                pointer: place,
                message,
                ..fault
            });
        }
        for warning in found.warnings {
            report.warn(self.place(&warning.pointer), warning.message);
        }
        report.left_out += found.left_out;
    }

    fn place(&self, pointer: &str) -> String {
        let rest = pointer.strip_prefix(&self.at).unwrap_or_default();
        match segments(rest).first() {
            Some(key) if self.keys.contains(key) => {
                format!("{}{rest}", child("/alertTemplates", &self.template))
            }
            _ => pointer.to_owned(),
        }
    }
}

/// Calls with the name of each `{{parameter}}`.
fn placeholders(value: &Value, found: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => pieces(text).for_each(|piece| {
            if let Piece::Parameter(name) = piece {
                found(name);
            }
        }),
        Value::Array(items) => items.iter().for_each(|item| placeholders(item, found)),
        Value::Object(members) => members
            .values()
            .for_each(|member| placeholders(member, found)),
        _ => {}
    }
}

/// A text that is one parameter becomes its value, of whatever type; within a text it becomes text.
fn fill(value: Value, values: &BTreeMap<String, Value>) -> Value {
    match value {
        Value::String(text) => {
            let all: Vec<Piece<'_>> = pieces(&text).collect();
            if let [Piece::Parameter(name)] = all.as_slice() {
                return values.get(*name).cloned().unwrap_or_default();
            }
            let filled = all.into_iter().map(|piece| match piece {
                Piece::Text(text) => text.to_owned(),
                Piece::Parameter(name) => match values.get(name) {
                    Some(Value::String(text)) => text.clone(),
                    Some(value) => value.to_string(),
                    None => String::new(),
                },
            });
            Value::String(filled.collect())
        }
        Value::Array(items) => items.into_iter().map(|item| fill(item, values)).collect(),
        Value::Object(members) => members
            .into_iter()
            .map(|(key, member)| (key, fill(member, values)))
            .collect(),
        other => other,
    }
}

enum Piece<'t> {
    Text(&'t str),
    Parameter(&'t str),
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let open = rest.find("{{");
        if open == Some(0)
            && let Some(close) = rest.find("}}")
        {
            let name = rest[2..close].trim();
            rest = &rest[close + 2..];
            return Some(Piece::Parameter(name));
        }
        let end = match open {
            Some(0) | None => rest.len(),
            Some(open) => open,
        };
        let (piece, behind) = rest.split_at(end);
        rest = behind;
        Some(Piece::Text(piece))
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parameters_keep_their_type_and_become_text_within_text() {
        let values = BTreeMap::from([
            ("limit".to_owned(), json!(99.5)),
            ("words".to_owned(), json!(["a", "b"])),
            ("who".to_owned(), json!("ops")),
        ]);
        for (value, wanted) in [
            (json!("{{limit}}"), json!(99.5)),
            (json!("{{ words }}"), json!(["a", "b"])),
            (
                json!("latency('5m') > {{limit}} for {{who}}"),
                json!("latency('5m') > 99.5 for ops"),
            ),
            (
                json!({"deep": ["{{who}}", 1, true, "{who}"]}),
                json!({"deep": ["ops", 1, true, "{who}"]}),
            ),
            (json!("open {{who"), json!("open {{who")),
            (json!(""), json!("")),
        ] {
            assert_eq!(fill(value, &values), wanted);
        }
    }
}
