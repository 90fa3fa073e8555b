//! Modules that ask by HTTP.

use serde_json::{Value, json};

use crate::import::draft::Draft;
use crate::import::item::Item;
use crate::import::monitor::Monitor;
use crate::import::text::cel_text;

pub(super) fn settings(own: &Item<'_>, made: &mut Monitor, draft: &mut Draft) {
    if let Some(method) = own.text_of("method").filter(|method| method != "GET") {
        made.set("method", method);
    }
    let statuses: Vec<Value> = own
        .list("valid_status_codes")
        .iter()
        .map(|item| item.value.clone())
        .collect();
    match statuses.len() {
        0 => {}
        1 => made.expected_status = statuses.into_iter().next(),
        _ => made.expected_status = Some(Value::Array(statuses)),
    }
    if let Some(body) = own.text_of("body") {
        made.set("body", body);
    }
    if own.is_false("follow_redirects") || own.is_true("no_follow_redirects") {
        made.set("followRedirects", 0);
    }
    super::tls(own, made, draft);
    credentials(own, made, draft);
    headers(own, made, draft);
    body_assertions(own, made, draft);
    header_assertions(own, made, draft);
    if let Some(found) = own.get("body_size_limit") {
        match found.text().and_then(|text| bytes(&text)) {
            Some(bytes) => made.set("maxBodyBytes", bytes),
            None => draft.left_out(&found, "is no number of bytes"),
        }
    }
    draft.unknown_keys(
        own,
        &[
            "method",
            "valid_status_codes",
            "body",
            "follow_redirects",
            "no_follow_redirects",
            "tls_config",
            "headers",
            "http_headers",
            "basic_auth",
            "authorization",
            "bearer_token",
            "bearer_token_file",
            "oauth2",
            "fail_if_body_matches_regexp",
            "fail_if_body_not_matches_regexp",
            "fail_if_body_json_matches_cel",
            "fail_if_body_json_not_matches_cel",
            "fail_if_header_matches",
            "fail_if_header_not_matches",
            "body_size_limit",
            // Answers are unpacked whether it was asked for or not.
            "compression",
            // What is wanted by it is clear from the scheme of a target, if it holds; see below.
            "fail_if_ssl",
            "fail_if_not_ssl",
        ],
    );
    for key in ["fail_if_ssl", "fail_if_not_ssl"] {
        if let Some(found) = own.get(key).filter(|_| own.is_true(key)) {
            draft.left_out(
                &found,
                "no assertion looks at the scheme; write it in the base URL",
            );
        }
    }
}

pub(super) fn credentials(own: &Item<'_>, made: &mut Monitor, draft: &mut Draft) {
    let name = made.name.clone();
    if let Some(basic) = own.get("basic_auth") {
        let user = basic.text_of("username").unwrap_or_default();
        let password = draft.secret_of(&basic, "password", &format!("{name} password"));
        made.authentication = Some(json!({
            "type": "basic", "username": user, "password": password.unwrap_or_default(),
        }));
        draft.without_counterpart(&basic, &["username_file"]);
    }
    if let Some(authorization) = own.get("authorization") {
        let scheme = authorization
            .text_of("type")
            .unwrap_or_else(|| "Bearer".to_owned());
        let secret = draft.secret_of(&authorization, "credentials", &format!("{name} token"));
        let secret = secret.unwrap_or_default();
        made.authentication = Some(if scheme.eq_ignore_ascii_case("bearer") {
            json!({"type": "bearer", "token": secret})
        } else {
            json!({"type": "api_key", "header": "Authorization", "value": format!("{scheme} {secret}")})
        });
    }
    if let Some(token) = draft.secret_of(own, "bearer_token", &format!("{name} token")) {
        made.authentication = Some(json!({"type": "bearer", "token": token}));
    }
    if let Some(oauth2) = own.get("oauth2") {
        let secret = draft.secret_of(&oauth2, "client_secret", &format!("{name} client secret"));
        let text = |key: &str| oauth2.text_of(key).unwrap_or_default();
        let scopes = oauth2.texts_of("scopes");
        let (url, id) = (text("token_url"), text("client_id"));
        made.oauth2(url, id, secret.unwrap_or_default(), &scopes);
        let known = [
            "client_id",
            "client_secret",
            "client_secret_file",
            "token_url",
            "scopes",
        ];
        draft.unknown_keys(&oauth2, &known);
    }
}

fn headers(own: &Item<'_>, made: &mut Monitor, draft: &mut Draft) {
    let headers = own.get("headers").map(|headers| headers.members());
    for (name, value) in headers.into_iter().flatten() {
        made.header(name, &value.text().unwrap_or_default(), &value, draft);
    }
    let more = own.get("http_headers").map(|headers| headers.members());
    for (name, sources) in more.into_iter().flatten() {
        if let Some(value) = sources.list("values").pop() {
            made.header(name, &value.text().unwrap_or_default(), &value, draft);
        }
        if let Some(value) = sources.list("secrets").pop() {
            let text = value.text().unwrap_or_default();
            let secret = draft.secret(&value, &format!("{} {name}", made.name), &text);
            made.header(name, &secret, &value, draft);
        }
        for file in sources.list("files") {
            draft.left_out(
                &file,
                "a header has no file; write it as a credential with `valueFile`",
            );
        }
    }
}

fn body_assertions(own: &Item<'_>, made: &mut Monitor, draft: &mut Draft) {
    for (key, not) in [
        ("fail_if_body_matches_regexp", "!"),
        ("fail_if_body_not_matches_regexp", ""),
    ] {
        for item in own.list(key) {
            let expression = cel_text(&item.text().unwrap_or_default());
            made.assert(json!({"cel": format!("{not}body.matches({expression})")}));
        }
    }
    for (key, is_wrong) in [
        ("fail_if_body_json_matches_cel", true),
        ("fail_if_body_json_not_matches_cel", false),
    ] {
        let Some(found) = own.get(key) else {
            continue;
        };
        let expression = with_json(&found.text().unwrap_or_default());
        let expression = if is_wrong {
            format!("!({expression})")
        } else {
            expression
        };
        made.assert(json!({"cel": expression}));
        draft.note(
            &found,
            "is CEL of another program; see that it means the same here",
        );
    }
}

fn header_assertions(own: &Item<'_>, made: &mut Monitor, draft: &mut Draft) {
    for (key, is_wrong) in [
        ("fail_if_header_matches", true),
        ("fail_if_header_not_matches", false),
    ] {
        for item in own.list(key) {
            let Some(name) = item.text_of("header") else {
                draft.left_out(&item, "has no `header`");
                continue;
            };
            let name = cel_text(&name.to_lowercase());
            let expression = cel_text(&item.text_of("regexp").unwrap_or_default());
            let not = if is_wrong { "!" } else { "" };
            let matches = format!("{not}headers[{name}].matches({expression})");
            let condition = if item.is_true("allow_missing") {
                format!("!({name} in headers) || {matches}")
            } else {
                format!("{name} in headers && {matches}")
            };
            made.assert(json!({"cel": condition}));
        }
    }
}

/// Gives the variable `body`, which is the JSON there, the name it has here.
fn with_json(expression: &str) -> String {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let mut ours = String::new();
    let mut rest = expression;
    while let Some(next) = rest.chars().next() {
        let length = match next {
            '"' | '\'' => {
                let end = closing(&rest[1..], next);
                end.map_or(rest.len(), |end| end + 2)
            }
            c if is_part(c) => rest.find(|c| !is_part(c)).unwrap_or(rest.len()),
            c => c.len_utf8(),
        };
        let (token, behind) = rest.split_at(length);
        let is_field = ours.trim_end().ends_with('.');
        ours.push_str(if token == "body" && !is_field {
            "json"
        } else {
            token
        });
        rest = behind;
    }
    ours
}

/// Returns where the quotation mark is that ends a text.
fn closing(text: &str, quote: char) -> Option<usize> {
    let mut is_escaped = false;
    text.char_indices()
        .find(|(_, character)| {
            let is_end = *character == quote && !is_escaped;
            is_escaped = *character == '\\' && !is_escaped;
            is_end
        })
        .map(|(at, _)| at)
}

/// Reads `10MB`, in which units are powers of 1,024.
fn bytes(text: &str) -> Option<u64> {
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let factor: u64 = match unit.trim().trim_end_matches("iB").trim_end_matches('B') {
        "" => 1,
        "K" => 1 << 10,
        "M" => 1 << 20,
        "G" => 1 << 30,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_json_of_a_body_has_our_name_outside_of_texts_and_fields() {
        for (theirs, ours) in [
            (
                "body.foo == 'body' && x.body",
                "json.foo == 'body' && x.body",
            ),
            ("size(body) > 0", "size(json) > 0"),
            (
                "\"a \\\" body\" == body . body",
                "\"a \\\" body\" == json . body",
            ),
            ("'open body", "'open body"),
        ] {
            assert_eq!(with_json(theirs), ours);
        }
    }

    #[test]
    fn sizes_have_units() {
        for (text, wanted) in [
            ("1MB", Some(1 << 20)),
            ("10", Some(10)),
            ("2KiB", Some(2048)),
            ("x", None),
        ] {
            assert_eq!(bytes(text), wanted, "{text}");
        }
    }
}
