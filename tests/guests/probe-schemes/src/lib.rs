//! Does one deed of a hostile plugin, which its settings name, and reports how it ended: expressions
//! without end, settings with secrets in odd places, texts that look like secrets, look-ups of
//! strangers' names.

use extrack_plugin::json::{Value, json};
use extrack_plugin::prelude::*;
use extrack_plugin::settings::{Faults, Place};

/// The settings as the host hands them over.
struct Settings(Value);

impl Setting for Settings {
    /// A secret in every place in which tools write one.
    fn schema() -> String {
        json!({
            "type": "object",
            "$defs": {
                "text": {"type": "string"},
                "alias": {"$ref": "#/$defs/hidden"},
                "hidden": {"type": "string", "x-secret": true},
            },
            "properties": {
                "deed": {"type": "string"},
                "expressions": {"type": "array", "items": {"type": "string"}},
                "names": {"type": "array", "items": {"type": "string"}},
                "path": {"type": "string", "x-host": "url"},
                "key": {"type": "string", "x-secret": true},
                "beside": {"$ref": "#/$defs/text", "x-secret": true},
                "twice": {"$ref": "#/$defs/alias"},
                "one": {"oneOf": [
                    {"type": "object", "properties": {"token": {"type": "string", "x-secret": true}}, "required": ["token"]},
                    {"type": "null"},
                ]},
                "any": {"anyOf": [{"type": "integer"}, {"type": "string", "x-secret": true}]},
                "all": {"allOf": [{"properties": {"token": {"x-secret": true}}}]},
                "listed": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "string", "x-secret": true}]},
                "named": {"type": "object", "patternProperties": {"^key": {"type": "string", "x-secret": true}}},
                "chosen": {
                    "if": {"properties": {"kind": {"const": "basic"}}},
                    "then": {"properties": {"password": {"x-secret": true}}},
                },
            },
        })
        .to_string()
    }

    fn read(value: &Value, _place: &Place<'_>, _faults: &mut Faults) -> Option<Self> {
        Some(Self(value.clone()))
    }
}

#[probe(wants(host = "*"))]
fn check(check: &Check, settings: &Settings) -> Observation {
    match settings.0["deed"].as_str() {
        Some("evaluate") => evaluate(settings),
        Some("show") => show(settings),
        Some("write") => write(check),
        Some("look-up") => look_up(settings),
        Some("reach") => reach(settings),
        other => Observation::unhealthy(format!("no deed {other:?}")),
    }
}

fn texts<'a>(settings: &'a Settings, name: &str) -> impl Iterator<Item = &'a str> {
    let texts = settings.0[name].as_array().into_iter().flatten();
    texts.filter_map(Value::as_str)
}

/// D1. Checks and evaluates each expression.
fn evaluate(settings: &Settings) -> Observation {
    let mut observation = Observation::healthy();
    for (index, expression) in texts(settings, "expressions").enumerate() {
        let ended = match cel::check(expression, &[])
            .and_then(|()| cel::evaluate(expression, &json!({})))
        {
            Ok(value) => value.to_string(),
            Err(error) => format!("refused: {error}"),
        };
        observation = observation.metric(format!("expression_{index}"), ended);
    }
    observation
}

/// D4. Reports all that it knows of its settings, and writes it to the log.
fn show(settings: &Settings) -> Observation {
    log::info(settings.0.to_string());
    let fields = settings.0.as_object().into_iter().flatten();
    fields.fold(Observation::healthy(), |observation, (name, value)| {
        observation.metric(name.as_str(), value.to_string())
    })
}

/// D6. Writes what may pass for a secret into every part of a request.
fn write(check: &Check) -> Observation {
    const TEXTS: [&str; 5] = [
        "{{secret:/key}}",
        "{{secret:key}}",
        "{\"$secret\":\"/key\"}",
        "***",
        "${key}",
    ];
    let mut observation = Observation::healthy();
    for (index, text) in TEXTS.into_iter().enumerate() {
        let url = check.service.url("/written");
        let sent = [
            http::get(format!("{url}?q={text}")),
            http::get(url.as_str()).header("x-text", text),
            http::post(url.as_str()).body(text),
            http::post(url.as_str()).json(&json!({"text": text})),
            http::post(url.as_str()).json(&json::from_str(text).unwrap_or(Value::Null)),
            http::post(url.as_str()).form([("text", text)]),
            http::get(url.as_str()).basic_auth(text, text),
        ];
        let statuses: Vec<String> = http::send_all(sent)
            .into_iter()
            .map(|answer| {
                answer.map_or_else(
                    |error| error.to_string(),
                    |answer| answer.status.to_string(),
                )
            })
            .collect();
        observation = observation.metric(format!("text_{index}"), statuses.join(" "));
    }
    observation
}

/// D11. Asks for names, which carry data out.
fn look_up(settings: &Settings) -> Observation {
    let mut observation = Observation::healthy();
    for name in texts(settings, "names") {
        let ended = match dns::query(name, "A").timeout(Duration::from_secs(2)).send() {
            Ok(_) => "answered".to_owned(),
            Err(NetError::Denied(reason)) => format!("denied: {reason}"),
            Err(error) => format!("{}: {error}", error.kind().as_str()),
        };
        observation = observation.metric(name.replace('.', "_"), ended);
    }
    observation
}

/// D11. Takes its path for a host.
fn reach(settings: &Settings) -> Observation {
    let path = settings.0["path"].as_str().unwrap_or_default();
    let ended = match http::get(format!("http://{path}/"))
        .timeout(Duration::from_secs(2))
        .send()
    {
        Ok(answer) => answer.status.to_string(),
        Err(NetError::Denied(reason)) => format!("denied: {reason}"),
        Err(error) => format!("{}: {error}", error.kind().as_str()),
    };
    Observation::healthy().metric("ended", ended)
}
