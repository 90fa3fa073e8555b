//! Modules of the blackbox exporter: what each asks of any target.

mod http;
mod stream;

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::import::draft::Draft;
use crate::import::item::Item;
use crate::import::monitor::Monitor;
use crate::import::text::{duration, plain_text_of};

/// A module, without its target.
pub(super) struct Module<'a> {
    pub(super) item: Item<'a>,
    kind: &'static str,
    timeout: Option<Duration>,
    settings: Map<String, Value>,
    expected_status: Option<Value>,
    authentication: Option<Value>,
    /// Name that is asked for, where the target is a name server.
    name: Option<String>,
}

/// Returns a module of ours; none if no probe does it, which is noted.
pub(super) fn module<'a>(name: &str, item: &Item<'a>, draft: &mut Draft) -> Option<Module<'a>> {
    let prober = item.text_of("prober").unwrap_or_default();
    let own = item.get(&prober);
    let mut made = Monitor {
        name: name.to_owned(),
        timeout: item.text_of("timeout").and_then(|text| duration(&text)),
        ..Monitor::default()
    };
    match (prober.as_str(), &own) {
        ("http", own) => {
            made.kind = "HTTP";
            if let Some(own) = own {
                http::settings(own, &mut made, draft);
            }
        }
        ("tcp", own) => {
            made.kind = "TCP";
            if let Some(own) = own {
                stream::tcp(own, &mut made, draft);
            }
        }
        ("dns", Some(own)) => dns(own, &mut made, draft)?,
        ("grpc", own) => {
            made.kind = "gRPC";
            made.set("tls", false);
            if let Some(own) = own {
                grpc(own, &mut made, draft);
            }
        }
        ("websocket", own) => {
            made.kind = "WebSocket";
            if let Some(own) = own {
                stream::websocket(own, &mut made, draft);
            }
        }
        _ => {
            let place = item.get("prober").unwrap_or_else(|| item.clone());
            let reason = match prober.as_str() {
                "icmp" => {
                    "no probe for ICMP; one for TCP, at a port that is open, is near".to_owned()
                }
                "dns" => "asks for no name".to_owned(),
                other => format!("no probe for `{other}`"),
            };
            draft.left_out(&place, &reason);
            return None;
        }
    }
    draft.unknown_keys(item, &["prober", "timeout", prober.as_str()]);
    Some(Module {
        item: item.clone(),
        kind: made.kind,
        timeout: made.timeout,
        settings: made.settings,
        expected_status: made.expected_status,
        authentication: made.authentication,
        name: (made.kind == "DNS").then_some(made.base_url),
    })
}

impl Module<'_> {
    /// True if the target is a name server, and the module has the name to ask for.
    pub(super) fn asks_server(&self) -> bool {
        self.name.is_some()
    }

    /// Returns a service without a name and a target.
    pub(super) fn monitor(&self) -> Monitor {
        Monitor {
            kind: self.kind,
            timeout: self.timeout,
            settings: self.settings.clone(),
            expected_status: self.expected_status.clone(),
            authentication: self.authentication.clone(),
            base_url: self.name.clone().unwrap_or_default(),
            ..Monitor::default()
        }
    }

    /// The error is why it can't be asked.
    pub(super) fn set_target(
        &self,
        address: &str,
        item: &Item<'_>,
        monitor: &mut Monitor,
        draft: &mut Draft,
    ) -> Result<(), String> {
        match self.kind {
            "DNS" => monitor.set("server", address),
            "HTTP" => {
                let url = if address.contains("://") {
                    address.to_owned()
                } else {
                    format!("http://{address}")
                };
                if !monitor.set_url(&url, item, draft) {
                    return Err("is no URL".to_owned());
                }
            }
            _ => monitor.base_url = address.to_owned(),
        }
        Ok(())
    }
}

fn dns(own: &Item<'_>, made: &mut Monitor, draft: &mut Draft) -> Option<()> {
    made.kind = "DNS";
    let name = own.text_of("query_name").unwrap_or_default();
    made.base_url = name.trim_end_matches('.').to_owned();
    let record_type = own
        .text_of("query_type")
        .unwrap_or_else(|| "ANY".to_owned());
    if record_type == "ANY" {
        draft.note(
            own,
            "asks for records of any type; `A` is written in its place",
        );
    } else {
        made.set("recordType", record_type.to_uppercase());
    }
    let codes = own.texts_of("valid_rcodes");
    if let Some(code) = codes.first() {
        made.set("rcode", code.to_uppercase());
    }
    if codes.len() > 1
        && let Some(found) = own.get("valid_rcodes")
    {
        draft.note(
            &found,
            "allows several codes, of which the first one is written",
        );
    }
    if let Some(answers) = own.get("validate_answer_rrs") {
        for (key, list) in answers.members() {
            let expressions: Vec<Item<'_>> = list.items();
            for expression in expressions {
                let plain = expression.text().and_then(|text| plain_text_of(&text));
                let is_wanted =
                    key == "fail_if_none_matches_regexp" || key == "fail_if_not_matches_regexp";
                match plain.filter(|text| is_wanted && !text.contains('\t')) {
                    Some(text) if !made.settings.contains_key("contains") => {
                        made.set("contains", text);
                    }
                    _ => draft.left_out(&expression, "the probe `dns` has no setting for it"),
                }
            }
        }
    }
    let known = [
        "query_name",
        "query_type",
        "valid_rcodes",
        "validate_answer_rrs",
    ];
    draft.unknown_keys(own, &known);
    Some(())
}

fn grpc(own: &Item<'_>, made: &mut Monitor, draft: &mut Draft) {
    if let Some(service) = own.text_of("service") {
        made.set("service", service);
    }
    made.set("tls", own.is_true("tls"));
    tls(own, made, draft);
    let metadata = own.get("metadata").map(|metadata| metadata.members());
    let mut secrets = Map::new();
    for (key, values) in metadata.into_iter().flatten() {
        let values = values.items();
        if let Some(value) = values.first() {
            let text = value.text().unwrap_or_default();
            let secret = draft.secret(value, &format!("{} {key}", made.name), &text);
            secrets.insert(key.to_lowercase(), json!(secret));
        }
        for more in values.iter().skip(1) {
            draft.left_out(more, "a key of `metadata` has one value");
        }
    }
    if !secrets.is_empty() {
        made.set("metadata", secrets);
    }
    draft.unknown_keys(own, &["service", "tls", "tls_config", "metadata"]);
}

/// Carries over the keys of `tls_config` that our probes have a setting for.
fn tls(own: &Item<'_>, made: &mut Monitor, draft: &mut Draft) {
    let Some(tls) = own.get("tls_config") else {
        return;
    };
    let insecure = if made.kind == "TLS" {
        "allowUntrusted"
    } else {
        "insecure"
    };
    if tls.is_true("insecure_skip_verify") && made.kind != "TCP" {
        made.set(insecure, true);
    }
    if let Some(found) = tls.get("server_name") {
        if ["TLS", "gRPC", "WebSocket", "SMTP"].contains(&made.kind) {
            made.set("serverName", found.text().unwrap_or_default());
        } else {
            draft.left_out(&found, "this probe asks for the host's name");
        }
    }
    draft.unknown_keys(&tls, &["insecure_skip_verify", "server_name"]);
}
