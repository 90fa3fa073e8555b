//! Conditions of one endpoint as settings of our probe.

use std::time::Duration;

use serde_json::{Value, json};

use super::conditions::{Condition, Operator, Subject, Wanted};
use super::statuses::Statuses;
use crate::import::monitor::Monitor;
use crate::import::text::{JsonPath, cel_text, cel_typed, duration, glob_as_regex, typed, written};

/// Looks at the certificate beside the probe that asks the service.
const TLS: &str = "tls";

#[derive(Default)]
pub(super) struct Checks {
    /// Scheme of the endpoint's URL, or `dns`.
    pub(super) scheme: String,
    statuses: Statuses,
    certificate_days: Option<u64>,
    has_code: bool,
}

/// Why a condition can't be carried over.
type Refusal = Result<(), String>;

impl Checks {
    pub(super) fn add(&mut self, text: &str, monitor: &mut Monitor) -> Refusal {
        let condition = Condition::parse(text)?;
        match condition.subject {
            Subject::Connected => return connected(&condition),
            Subject::Certificate => return self.certificate(&condition, monitor),
            Subject::Domain => {
                return Err("no probe reads until when a domain is registered".into());
            }
            Subject::Ip => return Err("no assertion looks at the address".into()),
            Subject::ResponseTime if self.scheme != "http" && self.scheme != "https" => {
                return slow(&condition, monitor);
            }
            _ => {}
        }
        match self.scheme.as_str() {
            "http" | "https" => self.http(&condition, monitor),
            "dns" => self.dns(&condition, monitor),
            "tcp" | "ws" | "wss" => expect(&condition, monitor),
            _ => Err("this probe has no setting for it".into()),
        }
    }

    /// Writes what all conditions together want. Returns the days that have to be left of the
    /// certificate, if a condition is about them.
    pub(super) fn finish(&self, monitor: &mut Monitor) -> Option<u64> {
        match self.scheme.as_str() {
            "http" | "https" => monitor.expected_status = Some(self.statuses.written()),
            "tls" => {
                let days = self.certificate_days.unwrap_or(0);
                monitor.set("warnDays", days);
                monitor.set("criticalDays", days);
            }
            "starttls" => monitor.set("warnDays", self.certificate_days.unwrap_or(0)),
            _ => {}
        }
        let days = self.certificate_days?;
        if self.scheme == "https" {
            monitor.probes.push(json!({
                "plugin": TLS, "settings": {"warnDays": days, "criticalDays": days},
            }));
        }
        Some(days)
    }

    fn certificate(&mut self, condition: &Condition, monitor: &Monitor) -> Refusal {
        if !["https", "tls", "starttls"].contains(&self.scheme.as_str()) {
            return Err(format!("`{}` has no certificate", monitor.base_url));
        }
        let wanted = text_of(&condition.wanted).and_then(duration);
        let is_least = matches!(condition.operator, Operator::Above | Operator::AtLeast);
        let Some(wanted) = wanted.filter(|_| is_least) else {
            return Err("only a time that has to be left can be wanted, such as `> 48h`".into());
        };
        let days = wanted.as_secs().div_ceil(86_400);
        self.certificate_days = Some(self.certificate_days.unwrap_or(0).max(days));
        Ok(())
    }

    fn http(&mut self, condition: &Condition, monitor: &mut Monitor) -> Refusal {
        let Condition {
            subject,
            operator,
            wanted,
        } = condition;
        let sign = operator.as_str();
        match (subject, wanted) {
            (Subject::Status, wanted) => {
                let mut kept = Vec::new();
                for status in 100..=999 {
                    kept.push(fits(&f64::from(status).to_string(), *operator, wanted)?);
                }
                self.statuses.keep(|status| kept[usize::from(status - 100)]);
                if self.statuses.is_empty() {
                    self.statuses = Statuses::default();
                    return Err("no status fulfils it beside the other conditions".into());
                }
            }
            (Subject::ResponseTime, Wanted::Text(text)) => {
                let ms = milliseconds(text)?;
                monitor.assert(json!({"cel": format!("latency_ms {sign} {ms:.1}")}));
            }
            (Subject::Has(path), Wanted::Text(text)) => {
                let is_wanted = (text == "true") == (*operator == Operator::Equal);
                monitor.assert(match path {
                    Some(path) => json!({"jsonpath": path.in_rfc_form(), "exists": is_wanted}),
                    None if is_wanted => json!({"cel": "size(body) > 0"}),
                    None => json!({"cel": "size(body) == 0"}),
                });
            }
            (Subject::Length(path), Wanted::Text(text)) => {
                let number: i64 = text.parse().map_err(|_| not_a_number(text))?;
                let value = path.as_ref().map_or("body".to_owned(), JsonPath::in_cel);
                monitor.assert(json!({"cel": format!("size({value}) {sign} {number}")}));
            }
            (Subject::Body(path), wanted) => body(path.as_ref(), *operator, wanted, monitor)?,
            _ => return Err("this probe has no setting for it".into()),
        }
        Ok(())
    }

    fn dns(&mut self, condition: &Condition, monitor: &mut Monitor) -> Refusal {
        let is_equal = condition.operator == Operator::Equal;
        match (&condition.subject, &condition.wanted) {
            (Subject::ResponseCode, Wanted::Text(code)) if is_equal && !self.has_code => {
                self.has_code = true;
                monitor.set("rcode", code.as_str());
            }
            (Subject::Body(None), Wanted::Text(text)) if is_equal => {
                monitor.set("expected", json!([text.trim_end_matches('.')]));
            }
            (Subject::Body(None), Wanted::Pattern(pattern)) if is_equal => {
                // Any record at all is what the probe wants by itself.
                let is_any = pattern.chars().all(|c| "*.?:".contains(c));
                if !is_any {
                    let part = part_of(pattern).ok_or("only a text in an answer can be wanted")?;
                    monitor.set("contains", part.trim_end_matches('.'));
                }
            }
            _ => return Err("the probe `dns` has no setting for it".into()),
        }
        Ok(())
    }
}

fn connected(condition: &Condition) -> Refusal {
    let is_true = condition.wanted == Wanted::Text("true".to_owned());
    if is_true == (condition.operator == Operator::Equal) {
        return Ok(());
    }
    Err("no probe is content without a connection".into())
}

/// A time that is too long is `degraded`, which the rules of the import count as failed.
fn slow(condition: &Condition, monitor: &mut Monitor) -> Refusal {
    let is_limit = matches!(condition.operator, Operator::Below | Operator::AtMost);
    let text = text_of(&condition.wanted).filter(|_| is_limit && monitor.kind != "TLS");
    let text = text.ok_or("only a longest time can be wanted, and of no certificate")?;
    let ms = milliseconds(text)?;
    monitor.set("degradedOver", written(Duration::from_millis(ms as u64)));
    Ok(())
}

/// A text that comes back over a connection.
fn expect(condition: &Condition, monitor: &mut Monitor) -> Refusal {
    let text = match (&condition.subject, &condition.wanted) {
        (Subject::Body(None), Wanted::Text(text)) => Some(text.clone()),
        (Subject::Body(None), Wanted::Pattern(pattern)) => part_of(pattern),
        _ => None,
    };
    let text = text.filter(|_| condition.operator == Operator::Equal);
    monitor.set(
        "expect",
        text.ok_or("only a text in the answer can be wanted")?,
    );
    Ok(())
}

fn body(
    path: Option<&JsonPath>,
    operator: Operator,
    wanted: &Wanted,
    monitor: &mut Monitor,
) -> Refusal {
    let sign = operator.as_str();
    let is_equal = operator == Operator::Equal;
    let is_exact = is_equal || operator == Operator::NotEqual;
    let not = if is_equal { "" } else { "!" };
    let value = path.map_or("body".to_owned(), JsonPath::in_cel);
    let assertion = match (wanted, path) {
        (Wanted::Pattern(pattern), _) if is_exact => {
            let part = part_of(pattern);
            match (part, path) {
                (Some(part), None)
                    if is_equal && !monitor.settings.contains_key("bodyContains") =>
                {
                    monitor.set("bodyContains", part);
                    return Ok(());
                }
                (Some(part), _) => {
                    json!({"cel": format!("{not}{value}.contains({})", cel_text(&part))})
                }
                (None, _) => {
                    let expression = glob_as_regex(pattern).ok_or("its pattern has classes")?;
                    json!({"cel": format!("{not}{value}.matches({})", cel_text(&expression))})
                }
            }
        }
        (Wanted::AnyOf(options), Some(_)) if is_exact => {
            let options: Vec<String> = options.iter().map(|option| cel_typed(option)).collect();
            let list = format!("{value} in [{}]", options.join(", "));
            let list = if is_equal { list } else { format!("!({list})") };
            json!({"cel": list})
        }
        (Wanted::AnyOf(options), None) if is_exact => {
            let options: Vec<String> = options.iter().map(|option| regex::escape(option)).collect();
            whole_body(not, &options.join("|"))
        }
        (Wanted::Text(text), None) if is_exact => whole_body(not, &regex::escape(text)),
        (Wanted::Text(text), Some(path)) if is_equal => {
            json!({"jsonpath": path.in_rfc_form(), "equals": typed(text)})
        }
        (Wanted::Text(text), Some(_)) if is_exact => {
            json!({"cel": format!("{value} {sign} {}", cel_typed(text))})
        }
        (Wanted::Text(text), Some(path)) => {
            let number: f64 = text.parse().map_err(|_| not_a_number(text))?;
            match operator {
                Operator::Above => json!({"jsonpath": path.in_rfc_form(), "above": number}),
                Operator::Below => json!({"jsonpath": path.in_rfc_form(), "below": number}),
                _ => json!({"cel": format!("{value} {sign} {text}")}),
            }
        }
        (Wanted::Subject(Subject::Body(Some(other))), Some(_)) => {
            json!({"cel": format!("{value} {sign} {}", other.in_cel())})
        }
        _ => return Err("this probe has no setting for it".into()),
    };
    monitor.assert(assertion);
    Ok(())
}

/// The body as a whole, without the space around it.
fn whole_body(not: &str, expression: &str) -> Value {
    let expression = cel_text(&format!("^\\s*(?:{expression})\\s*$"));
    json!({"cel": format!("{not}body.matches({expression})")})
}

/// Returns the text of a pattern that wants it somewhere: `*text*`.
fn part_of(pattern: &str) -> Option<String> {
    let part = pattern.strip_prefix('*')?.strip_suffix('*')?;
    let is_plain = !part.is_empty() && !part.contains(['*', '?', '[', '\\']);
    is_plain.then(|| part.to_owned())
}

/// Whether a value fulfils a comparison, as gatus decides it.
fn fits(found: &str, operator: Operator, wanted: &Wanted) -> Result<bool, String> {
    let is_equal = match (operator, wanted) {
        (Operator::Equal | Operator::NotEqual, Wanted::Pattern(pattern)) => {
            let expression = glob_as_regex(pattern).ok_or("its pattern has classes")?;
            let expression = regex::Regex::new(&expression).map_err(|error| error.to_string())?;
            expression.is_match(found)
        }
        (Operator::Equal | Operator::NotEqual, Wanted::AnyOf(options)) => {
            options.iter().any(|option| option == found)
        }
        (operator, Wanted::Text(text)) => {
            let number: f64 = text.parse().map_err(|_| not_a_number(text))?;
            let value = found.parse().unwrap_or_default();
            return Ok(operator.holds(value, number));
        }
        _ => return Err("compares a status with no number".into()),
    };
    Ok(is_equal == (operator == Operator::Equal))
}

fn text_of(wanted: &Wanted) -> Option<&str> {
    match wanted {
        Wanted::Text(text) => Some(text),
        _ => None,
    }
}

/// Reads milliseconds, or a duration with its unit.
fn milliseconds(text: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok();
    let unit = || duration(text).map(|duration| duration.as_millis() as f64);
    number.or_else(unit).ok_or_else(|| not_a_number(text))
}

fn not_a_number(text: &str) -> String {
    format!("`{text}` is not a number")
}
