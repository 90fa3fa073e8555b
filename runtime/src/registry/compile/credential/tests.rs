//! Each form of a credential, and what is reported about it.

use secrecy::ExposeSecret;
use serde_json::{Value, json};

use super::*;

fn compiled(spec: Value) -> (String, Vec<String>) {
    let mut report = FaultReport::default();
    let credential = credential(
        &serde_json::from_value(spec).unwrap(),
        "default",
        "",
        &mut report,
    );
    let text = match credential.map(|credential| credential.kind) {
        None => "none".to_owned(),
        Some(CredentialKind::Header { header, value }) => {
            format!("{header}: {}", value.expose_secret())
        }
        Some(CredentialKind::Bearer { token }) => format!("Bearer {}", token.expose_secret()),
        Some(CredentialKind::Basic { username, password }) => {
            format!("{username}:{}", password.expose_secret())
        }
        Some(CredentialKind::Query { parameter, value }) => {
            format!("?{parameter}={}", value.expose_secret())
        }
        Some(CredentialKind::OAuth2(oauth)) => format!(
            "{} {}:{} {:?} {} {:?}",
            oauth.token_url,
            oauth.client_id,
            oauth.client_secret.expose_secret(),
            oauth.client_auth,
            oauth.scopes.join("+"),
            oauth.audience
        ),
        Some(CredentialKind::Mtls { .. }) => "mtls".to_owned(),
        Some(CredentialKind::Hmac(signing)) => format!(
            "{} {}: {:?}",
            signing.header,
            signing.secret.expose_secret(),
            signing.algorithm
        ),
        Some(CredentialKind::SigV4(signing)) => format!(
            "{}:{} {}/{}",
            signing.access_key,
            signing.secret_key.expose_secret(),
            signing.region,
            signing.service
        ),
    };
    let texts = report.faults.iter().chain(&report.warnings);
    (
        text,
        texts
            .map(|fault| format!("{}: {}", fault.pointer, fault.message))
            .collect(),
    )
}

#[test]
fn reads_each_form() {
    for (spec, wanted) in [
        (json!({"type": "none"}), "none"),
        (
            json!({"type": "api_key", "value": "k3y-k3y"}),
            "X-API-Key: k3y-k3y",
        ),
        (
            json!({"type": "api_key", "header": "X-K", "value": "k3y-k3y"}),
            "X-K: k3y-k3y",
        ),
        (
            json!({"type": "api_key", "parameter": "key", "value": "k3y-k3y"}),
            "?key=k3y-k3y",
        ),
        (
            json!({"type": "api_key", "in": "query", "parameter": "key", "value": "k3y-k3y"}),
            "?key=k3y-k3y",
        ),
        (
            json!({"type": "query", "parameter": "key", "value": "k3y-k3y"}),
            "?key=k3y-k3y",
        ),
        (
            json!({"type": "bearer", "token": "t0ken!"}),
            "Bearer t0ken!",
        ),
        (
            json!({"type": "basic", "username": "u", "password": "passwd"}),
            "u:passwd",
        ),
        (
            json!({"type": "basic", "username": "u", "password": ""}),
            "u:",
        ),
        (
            json!({"type": "oauth2", "tokenUrl": "https://l/t", "clientId": "i", "clientSecret": "s3cret"}),
            "https://l/t i:s3cret Basic  None",
        ),
        (
            json!({
                "type": "oauth2", "tokenUrl": "https://l/t", "clientId": "i", "clientSecret": "s3cret",
                "scopes": ["a", "b:c"], "audience": "u", "clientAuth": "post",
            }),
            "https://l/t i:s3cret Post a+b:c Some(\"u\")",
        ),
        (
            json!({"type": "oauth2", "tokenUrl": "https://l/t", "clientId": "i", "refreshToken": "r3fresh"}),
            "https://l/t i: Basic  None",
        ),
        (
            json!({"type": "hmac", "secret": "s3cret", "sign": "{method}{target}{body}"}),
            "X-Signature s3cret: Sha256",
        ),
        (
            json!({
                "type": "hmac", "secret": "c2VjcmV0", "secretEncoding": "base64", "algorithm": "sha512", "keyId": "k",
                "sign": "{timestamp}{body}", "header": "Authorization", "format": "HMAC {keyId}:{signature}",
                "encoding": "base64", "timestamp": "iso8601", "timestampHeader": "X-Time",
            }),
            "Authorization c2VjcmV0: Sha512",
        ),
        (
            json!({"type": "aws_sigv4", "accessKey": "AKID", "secretKey": "s3cret", "region": "eu-central-1", "service": "s3"}),
            "AKID:s3cret eu-central-1/s3",
        ),
    ] {
        assert_eq!(
            compiled(spec.clone()),
            (wanted.to_owned(), vec![]),
            "{spec}"
        );
    }
}

#[test]
fn a_credential_that_can_t_sign_is_refused_with_the_key_that_is_wrong() {
    let hmac = |changes: Value| {
        let mut spec = json!({"type": "hmac", "secret": "s3cret", "sign": "{body}"});
        let (all, changes) = (spec.as_object_mut().unwrap(), changes);
        all.extend(changes.as_object().unwrap().clone());
        spec
    };
    for (spec, wanted) in [
        (
            hmac(json!({"sign": "{nonce}"})),
            "/sign: has no field `{nonce}`",
        ),
        (
            hmac(json!({"sign": "{signature}"})),
            "/sign: can't hold its own `{signature}`",
        ),
        (
            hmac(json!({"sign": "{timestamp}"})),
            "/sign: has a `{timestamp}` exactly if it is sent",
        ),
        (
            hmac(json!({"timestampHeader": "X-T"})),
            "/sign: has a `{timestamp}` exactly if it is sent",
        ),
        (
            hmac(json!({"format": "none"})),
            "/format: has no `{signature}`",
        ),
        (
            hmac(json!({"format": "{signature}{body}"})),
            "/format: is the value of a header",
        ),
        (
            hmac(json!({"format": "{keyId}:{signature}"})),
            "/keyId: is missing",
        ),
        (
            hmac(json!({"secretEncoding": "hex"})),
            "/secret: is not written as `secretEncoding`",
        ),
        (
            hmac(json!({"header": "host"})),
            "/header: `host` can't carry a credential",
        ),
        (
            hmac(json!({"keyId": "k", "keyHeader": "x-signature"})),
            "/header: carries more than one of",
        ),
        (
            hmac(json!({"region": "x"})),
            "/region: has no meaning with this `type`",
        ),
        (
            json!({"type": "aws_sigv4", "accessKey": "A K", "secretKey": "s3cret", "region": "r", "service": "s3"}),
            "/accessKey: must be a word such as",
        ),
        (
            json!({"type": "aws_sigv4", "accessKey": "AKID", "secretKey": "s3cret", "service": "s3"}),
            "/region: is missing (region)",
        ),
        (
            json!({"type": "oauth2", "tokenUrl": "https://l/t", "grant": "jwt_bearer", "issuer": "i", "key": "no-pem"}),
            "/key: there is no `BEGIN PRIVATE KEY`",
        ),
        (
            json!({"type": "oauth2", "tokenUrl": "https://l/t", "clientId": "i", "clientSecret": "s3cret", "issuer": "i"}),
            "/issuer: has no meaning with this `grant`",
        ),
        (
            json!({"type": "oauth2", "tokenUrl": "https://l/t", "grant": "refresh_token", "clientId": "i", "refreshTokenFile": "x"}),
            "/refreshTokenFile: is read in configuration files only",
        ),
    ] {
        let (_, texts) = compiled(spec.clone());
        assert!(
            texts.iter().any(|text| text.starts_with(wanted)),
            "{spec}: {texts:?}"
        );
        assert!(!texts.concat().contains("s3cret"), "{texts:?}");
    }
}

#[test]
fn missing_and_meaningless_keys_are_reported() {
    for (spec, wanted) in [
        (
            json!({"type": "api_key", "header": "X-K"}),
            ": there is no API key, so requests go without it; set `value: \"${VARIABLE}\"` or `valueFile: PATH`",
        ),
        (
            json!({"type": "bearer", "token": "abc"}),
            "/token: is shorter than 6 characters: easily guessed, and not taken out of answers and logs",
        ),
        (
            json!({"type": "bearer", "token": "t0ken!", "hosts": ["a b"]}),
            "/hosts/0: `a b` is not a host name or address: invalid international domain name",
        ),
        (
            json!({"type": "oauth2", "tokenUrl": "ftp://l/t", "clientId": "i", "clientSecret": "s3cret"}),
            "/tokenUrl: must be a URL such as `https://login.example.com/oauth2/token`",
        ),
        (
            json!({"type": "oauth2", "tokenUrl": "http://l/t", "clientId": "i", "clientSecret": "s3cret"}),
            "/tokenUrl: is no `https` URL, so the client secret can be read on its way",
        ),
        (
            json!({
                "type": "oauth2", "tokenUrl": "https://l/t", "clientId": "i", "clientSecret": "s3cret",
                "scopes": ["a b"],
            }),
            "/scopes: must be at most 32 words, one entry each",
        ),
        (
            json!({"type": "mtls", "key": "k"}),
            "/certificate: is missing (client certificate)",
        ),
        (
            json!({"type": "mtls", "certificate": "c", "key": "k"}),
            ": there is no `BEGIN CERTIFICATE` in the certificate",
        ),
        (
            json!({"type": "query", "value": "k3y-k3y"}),
            "/parameter: is missing (name of the query parameter)",
        ),
        (
            json!({"type": "basic", "password": "passwd"}),
            "/username: is missing (user name)",
        ),
        (
            json!({"type": "bearer", "token": "a\nb"}),
            "/token: holds characters that a header can't carry, such as a line break",
        ),
        (
            json!({"type": "bearer", "token": "t0ken!", "value": "k3y-k3y"}),
            "/value: has no meaning with this `type`, which uses `token`, `hosts`",
        ),
        (
            json!({"type": "api_key", "header": "Host", "value": "k3y-k3y"}),
            "/header: `Host` can't carry a credential",
        ),
        (
            json!({"type": "api_key", "header": "a b", "value": "k3y-k3y"}),
            "/header: `a b` is not the name of a header",
        ),
        (
            json!({"type": "bearer", "token": "***"}),
            "/token: `***` stands for a secret that is kept, but there is none to keep; write it out",
        ),
    ] {
        assert_eq!(compiled(spec.clone()).1, [wanted], "{spec}");
    }
}

#[test]
fn reads_a_client_certificate() {
    let made = rcgen::generate_simple_self_signed(["client".to_owned()]).unwrap();
    let spec = json!({
        "type": "mtls", "certificate": made.cert.pem(), "key": made.signing_key.serialize_pem(),
    });
    assert_eq!(compiled(spec), ("mtls".to_owned(), vec![]));
}

#[test]
fn names_are_words_and_each_is_taken_once() {
    let bearer =
        json!({"type": "bearer", "token": "t0ken!", "hosts": ["B.example:8443", "c.example"]});
    let spec = json!({
        "name": "a", "baseUrl": "https://a", "authentication": bearer.clone(),
        "credentials": {"ops_2": bearer.clone(), "none": bearer.clone(), "default": bearer.clone(), "a b": bearer, "x": {"type": "none"}},
    });
    let mut report = FaultReport::default();
    let found = credentials(&serde_json::from_value(spec).unwrap(), "", &mut report);
    let names: Vec<&str> = found
        .iter()
        .map(|credential| credential.name.as_str())
        .collect();
    assert_eq!(names, ["default", "ops_2"]);
    assert_eq!(found[1].hosts, ["b.example:8443", "c.example"]);
    let places: Vec<&str> = report
        .faults
        .iter()
        .map(|fault| fault.pointer.as_str())
        .collect();
    assert_eq!(
        places,
        [
            "/credentials/a b",
            "/credentials/default",
            "/credentials/none",
            "/credentials/x/type"
        ]
    );
}

#[test]
fn reads_no_file_for_the_api() {
    let (_, texts) = compiled(json!({"type": "bearer", "tokenFile": "/etc/passwd"}));
    assert!(
        texts[0].starts_with("/tokenFile: is read in configuration files only"),
        "{texts:?}"
    );
}
