//! JWT assertions by which we ask for access tokens (RFC 7523, 2.1 and 3).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use secrecy::ExposeSecret;
use serde_json::json;

use crate::domain::{JwtBearer, UnixMillis};
use crate::net::SigningKey;

/// Lifetime of an assertion, which is used at once; some endpoints take no more than five minutes.
const LASTS_S: i64 = 300;
/// Part of it that lies before now, for endpoints whose clocks are behind.
const EARLIER_S: i64 = 30;

/// Returns a signed assertion. The error repeats nothing of the key.
pub(super) fn assertion(
    bearer: &JwtBearer,
    scopes: &[String],
    now_ms: UnixMillis,
) -> Result<String, String> {
    let key = SigningKey::from_pem(bearer.key.expose_secret())?;
    let mut header = json!({"alg": key.algorithm(), "typ": "JWT"});
    if let Some(id) = &bearer.key_id {
        header["kid"] = id.as_str().into();
    }
    let issued = now_ms.div_euclid(1_000) - EARLIER_S;
    let mut claims = json!({
        "iss": bearer.issuer,
        "sub": bearer.subject,
        "aud": bearer.audience,
        "iat": issued,
        "exp": issued + LASTS_S,
        "jti": format!("{:032x}", rand::random::<u128>()),
    });
    if !scopes.is_empty() {
        // Some endpoints read them here, others in the form.
        claims["scope"] = scopes.join(" ").into();
    }
    let coded = |part: serde_json::Value| URL_SAFE_NO_PAD.encode(part.to_string());
    let text = format!("{}.{}", coded(header), coded(claims));
    let signature = key.sign(text.as_bytes())?;
    Ok(format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn an_assertion_names_who_asks_whom_and_until_when() {
        let pair = rcgen::KeyPair::generate().unwrap();
        let bearer = JwtBearer {
            key: pair.serialize_pem().into(),
            key_id: Some("k1".to_owned()),
            issuer: "robot@example".to_owned(),
            subject: "user@example".to_owned(),
            audience: "https://login.example/token".to_owned(),
        };
        let text = assertion(
            &bearer,
            &["a".to_owned(), "b".to_owned()],
            1_700_000_000_999,
        )
        .unwrap();
        let parts: Vec<Vec<u8>> = text
            .split('.')
            .map(|part| URL_SAFE_NO_PAD.decode(part).unwrap())
            .collect();
        let header: Value = serde_json::from_slice(&parts[0]).unwrap();
        assert_eq!(header, json!({"alg": "ES256", "typ": "JWT", "kid": "k1"}));
        let mut claims: Value = serde_json::from_slice(&parts[1]).unwrap();
        assert_eq!(claims["jti"].take().as_str().unwrap().len(), 32);
        let wanted = json!({
            "iss": "robot@example", "sub": "user@example", "aud": "https://login.example/token",
            "iat": 1_699_999_970, "exp": 1_700_000_270, "jti": null, "scope": "a b",
        });
        assert_eq!(claims, wanted);
        assert_eq!((parts.len(), parts[2].len()), (3, 64));
    }
}
