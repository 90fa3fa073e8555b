//! Types of monitors, and what our probes make of them.

use serde_json::{Value, json};

use super::statuses;
use crate::import::draft::Draft;
use crate::import::item::Item;
use crate::import::monitor::Monitor;
use crate::import::text::{JsonPath, cel_text, cel_typed, typed};

/// Place of what no probe does, and why.
type Refusal<'a> = (Item<'a>, String);

pub(super) fn target<'a>(
    kind: &str,
    item: &Item<'a>,
    made: &mut Monitor,
    draft: &mut Draft,
) -> Result<(), Refusal<'a>> {
    match kind {
        "http" | "keyword" | "json-query" => {
            http(item, made, draft)?;
            match kind {
                "keyword" => keyword(item, made),
                "json-query" => json_query(item, made)?,
                _ => {}
            }
        }
        "port" => {
            made.kind = "TCP";
            made.base_url = host_and_port(item)?;
        }
        "dns" => dns(item, made, draft)?,
        "grpc-keyword" => grpc(item, made, draft)?,
        "redis" => redis(item, made, draft)?,
        "smtp" => {
            made.kind = "SMTP";
            made.base_url = host_and_port(item)?;
            match item.text_of("smtpSecurity").as_deref() {
                Some("secure") => made.set("tls", "implicit"),
                Some("nostarttls") => made.set("tls", "none"),
                _ => {}
            }
        }
        "websocket-upgrade" => {
            made.kind = "WebSocket";
            made.base_url = required(item, "url")?;
            let protocols = item.texts_of("wsSubprotocol");
            if !protocols.is_empty() {
                made.set("protocols", json!(protocols));
            }
        }
        other => {
            return Err((
                item.get("type").unwrap_or_else(|| item.clone()),
                reason(other),
            ));
        }
    }
    if item.is_true("ignoreTls") && ["HTTP", "gRPC", "WebSocket", "SMTP"].contains(&made.kind) {
        made.set("insecure", true);
    }
    Ok(())
}

fn reason(kind: &str) -> String {
    match kind {
        "push" => "reports by itself: make a heartbeat of the service it is about".to_owned(),
        "ping" => "no probe for ICMP; one for TCP, at a port that is open, is near".to_owned(),
        "docker" => "no probe asks Docker; ask what the container offers".to_owned(),
        "manual" => "has its status set by hand".to_owned(),
        "" => "has no `type`".to_owned(),
        other => format!("no probe for `{other}`"),
    }
}

fn required<'a>(item: &Item<'a>, key: &str) -> Result<String, Refusal<'a>> {
    let text = item.text_of(key).map(|text| text.trim().to_owned());
    text.ok_or_else(|| (item.clone(), format!("has no `{key}`")))
}

fn host_and_port<'a>(item: &Item<'a>) -> Result<String, Refusal<'a>> {
    let host = required(item, "hostname")?;
    let host = if host.contains(':') {
        format!("[{host}]")
    } else {
        host
    };
    Ok(format!("{host}:{}", required(item, "port")?))
}

fn http<'a>(item: &Item<'a>, made: &mut Monitor, draft: &mut Draft) -> Result<(), Refusal<'a>> {
    made.kind = "HTTP";
    let url = required(item, "url")?;
    let place = item.get("url").unwrap_or_else(|| item.clone());
    if !made.set_url(&url, &place, draft) {
        return Err((place, "is no URL".to_owned()));
    }
    if let Some(method) = item.text_of("method").filter(|method| method != "GET") {
        made.set("method", method);
    }
    made.expected_status = statuses(item);
    if let Some(redirects) = item.number_of("maxredirects") {
        made.set("followRedirects", (redirects.max(0.0) as u64).min(20));
    }
    if let Some(body) = item.text_of("body") {
        made.set("body", body);
        let content_type = match item.text_of("httpBodyEncoding").as_deref() {
            Some("form") => "application/x-www-form-urlencoded",
            Some("xml") => "text/xml; charset=utf-8",
            _ => "application/json",
        };
        made.plain_header("Content-Type", content_type);
    }
    authentication(item, made, draft);
    headers(item, made, draft);
    Ok(())
}

fn authentication(item: &Item<'_>, made: &mut Monitor, draft: &mut Draft) {
    let text = |key: &str| item.text_of(key).unwrap_or_default();
    let Some(method) = item.get("authMethod") else {
        // Backups of before had no method.
        if let (Some(user), Some(place)) =
            (item.text_of("basic_auth_user"), item.get("basic_auth_pass"))
        {
            made.basic(&user, &place.text().unwrap_or_default(), &place, draft);
        }
        return;
    };
    let place = |key: &str| item.get(key).unwrap_or_else(|| item.clone());
    match method.text().as_deref() {
        Some("basic") => {
            let (user, password) = (text("basic_auth_user"), text("basic_auth_pass"));
            made.basic(&user, &password, &place("basic_auth_pass"), draft);
        }
        Some("bearer") => made.bearer(&text("bearer_token"), &place("bearer_token"), draft),
        Some("oauth2-cc") => {
            let name = format!("{} client secret", made.name);
            let secret = draft.secret_of(item, "oauth_client_secret", &name);
            let scopes: Vec<String> = text("oauth_scopes")
                .split_whitespace()
                .map(str::to_owned)
                .collect();
            let (url, id) = (text("oauth_token_url"), text("oauth_client_id"));
            made.oauth2(url, id, secret.unwrap_or_default(), &scopes);
        }
        Some("mtls") => draft.note(
            &method,
            "is not carried over; write `authentication: {type: mtls, certificateFile: …, keyFile: …}`",
        ),
        _ => draft.left_out(&method, "is a way to log in that no probe knows"),
    }
}

/// Headers are JSON in a text.
fn headers(item: &Item<'_>, made: &mut Monitor, draft: &mut Draft) {
    let Some(found) = item.get("headers") else {
        return;
    };
    let text = found.text().unwrap_or_default();
    match serde_json::from_str::<Value>(&text) {
        Ok(Value::Object(headers)) => {
            for (name, value) in &headers {
                let value = value
                    .as_str()
                    .map_or_else(|| value.to_string(), str::to_owned);
                made.header(name, &value, &found, draft);
            }
        }
        _ => draft.left_out(&found, "are not the JSON of a mapping"),
    }
}

fn keyword(item: &Item<'_>, made: &mut Monitor) {
    let word = item.text_of("keyword").unwrap_or_default();
    if item.is_true("invertKeyword") {
        made.assert(json!({"cel": format!("!body.contains({})", cel_text(&word))}));
    } else {
        made.set("bodyContains", word);
    }
}

fn json_query<'a>(item: &Item<'a>, made: &mut Monitor) -> Result<(), Refusal<'a>> {
    let query = item.text_of("jsonPath").unwrap_or_default();
    let place = item.get("jsonPath").unwrap_or_else(|| item.clone());
    let Some(path) = JsonPath::parse(query.trim()) else {
        return Err((
            place,
            "is more than a path, and no probe evaluates JSONata".to_owned(),
        ));
    };
    let wanted = item.text_of("expectedValue").unwrap_or_default();
    let (rfc, cel) = (path.in_rfc_form(), path.in_cel());
    let operator = item.text_of("jsonPathOperator");
    let number = wanted.trim().parse::<f64>();
    made.assert(match (operator.as_deref().unwrap_or("=="), number) {
        ("==", _) => json!({"jsonpath": rfc, "equals": typed(&wanted)}),
        ("contains", _) => json!({"jsonpath": rfc, "contains": wanted}),
        ("!=", _) => json!({"cel": format!("{cel} != {}", cel_typed(&wanted))}),
        (">", Ok(number)) => json!({"jsonpath": rfc, "above": number}),
        ("<", Ok(number)) => json!({"jsonpath": rfc, "below": number}),
        (sign @ (">=" | "<="), Ok(_)) => json!({"cel": format!("{cel} {sign} {}", wanted.trim())}),
        (sign, _) => {
            return Err((
                place,
                format!("can't be compared by `{sign}` with `{wanted}`"),
            ));
        }
    });
    Ok(())
}

fn dns<'a>(item: &Item<'a>, made: &mut Monitor, draft: &mut Draft) -> Result<(), Refusal<'a>> {
    made.kind = "DNS";
    made.base_url = required(item, "hostname")?.trim_end_matches('.').to_owned();
    made.set(
        "recordType",
        item.text_of("dns_resolve_type").unwrap_or("A".to_owned()),
    );
    let servers = item.texts_of("dns_resolve_server");
    if servers.len() > 1
        && let Some(found) = item.get("dns_resolve_server")
    {
        draft.note(
            &found,
            "names several servers, of which the first one is asked",
        );
    }
    if let Some(server) = servers.first() {
        let port = item.text_of("port").filter(|port| port != "53");
        made.set(
            "server",
            port.map_or(server.clone(), |port| format!("{server}:{port}")),
        );
    }
    for condition in item.list("conditions") {
        let operator = condition.text_of("operator").unwrap_or_default();
        let value = condition.text_of("value").unwrap_or_default();
        match operator.as_str() {
            "contains" => made.set("contains", value),
            "equals" => made.set("expected", json!([value])),
            _ => draft.left_out(&condition, "the probe `dns` has no setting for it"),
        }
    }
    Ok(())
}

/// Carries over a call of the standard health service, which is all that our probe calls.
fn grpc<'a>(item: &Item<'a>, made: &mut Monitor, draft: &mut Draft) -> Result<(), Refusal<'a>> {
    let service = item.text_of("grpcServiceName").unwrap_or_default();
    let method = item.text_of("grpcMethod").unwrap_or_default();
    let is_health = service.ends_with("Health") && method.eq_ignore_ascii_case("check");
    if !is_health {
        let place = item.get("grpcServiceName").unwrap_or_else(|| item.clone());
        return Err((
            place,
            "the probe `grpc` calls the standard health service only".to_owned(),
        ));
    }
    made.kind = "gRPC";
    made.base_url = required(item, "grpcUrl")?;
    made.set("tls", item.is_true("grpcEnableTls"));
    draft.without_counterpart(item, &["grpcMetadata"]);
    Ok(())
}

fn redis<'a>(item: &Item<'a>, made: &mut Monitor, draft: &mut Draft) -> Result<(), Refusal<'a>> {
    made.kind = "Redis";
    let url = required(item, "databaseConnectionString")?;
    let place = item
        .get("databaseConnectionString")
        .unwrap_or_else(|| item.clone());
    if !made.set_url(&url, &place, draft) {
        return Err((place, "is no URL".to_owned()));
    }
    made.health_endpoint = None;
    // Credentials of Redis are settings of its probe.
    if let Some(credential) = made.authentication.take() {
        for key in ["password", "username"] {
            if let Some(text) = credential[key].as_str().filter(|text| !text.is_empty()) {
                made.set(key, text);
            }
        }
    }
    Ok(())
}
