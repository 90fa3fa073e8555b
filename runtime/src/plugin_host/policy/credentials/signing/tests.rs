//! Signatures by HMAC, and requests of plugins that get one.

use std::time::Duration;

use tokio::time::Instant;

use super::*;
use crate::domain::{
    SecretEncoding, SignatureEncoding, SigningAlgorithm, SigningTemplate, TimestampForm,
};

const NOW_MS: UnixMillis = 1_700_000_000_123;

fn template(text: &str) -> SigningTemplate {
    SigningTemplate::parse(text).unwrap()
}

fn signing(sign: &str) -> HmacSigning {
    HmacSigning {
        secret: "Jefe".into(),
        secret_encoding: SecretEncoding::Text,
        algorithm: SigningAlgorithm::Sha256,
        sign: template(sign),
        header: "X-Signature".to_owned(),
        format: template("{signature}"),
        encoding: SignatureEncoding::Hex,
        timestamp: TimestampForm::Seconds,
        timestamp_header: None,
        key_id: None,
        key_header: None,
    }
}

fn signed(signing: HmacSigning, body: &[u8]) -> Vec<(String, String)> {
    let request = RequestToSign {
        method: "POST",
        authority: "api.example:8443",
        is_tls: true,
        path: "/v1/orders",
        query: Some("a=1"),
        headers: Vec::new(),
        payload: SignedPayload::Whole(body),
    };
    RequestSigner(Arc::new(Signing::Hmac(signing)))
        .sign(&request, NOW_MS)
        .unwrap()
}

/// RFC 4231, test case 2.
#[test]
fn the_known_text_has_the_known_code() {
    const TEXT: &[u8] = b"what do ya want for nothing?";
    let value = |signing| signed(signing, TEXT).remove(0).1;
    let sha256 = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
    assert_eq!(value(signing("{body}")), sha256);
    let sha512 = HmacSigning {
        algorithm: SigningAlgorithm::Sha512,
        secret: "4a656665".into(),
        secret_encoding: SecretEncoding::Hex,
        ..signing("{body}")
    };
    assert!(value(sha512).starts_with("164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd6"));
    let sha1 = HmacSigning {
        algorithm: SigningAlgorithm::Sha1,
        secret: "SmVmZQ==".into(),
        secret_encoding: SecretEncoding::Base64,
        encoding: SignatureEncoding::Base64,
        format: template("sha1={signature}"),
        ..signing("{body}")
    };
    assert_eq!(value(sha1), "sha1=7/zfauXrL6LSdBbV8YTfnCWafHk=");
}

#[test]
fn every_part_of_a_request_can_be_signed() {
    let fields = "{method} {host} {path} {query} {target} {timestamp} {keyId} {body} {bodyHash}";
    let hash = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let text = format!(
        "POST api.example:8443 /v1/orders a=1 /v1/orders?a=1 2023-11-14T22:13:20.123Z id abc {hash}"
    );
    let whole = HmacSigning {
        key_id: Some("id".to_owned()),
        key_header: Some("X-Key".to_owned()),
        timestamp: TimestampForm::Iso8601,
        timestamp_header: Some("X-Time".to_owned()),
        format: template("HMAC {keyId}:{signature}"),
        ..signing(fields)
    };
    let headers = signed(whole, b"abc");
    let wanted = signed(signing("{body}"), text.as_bytes()).remove(0).1;
    assert_eq!(
        headers,
        [
            ("X-Signature".to_owned(), format!("HMAC id:{wanted}")),
            ("X-Time".to_owned(), "2023-11-14T22:13:20.123Z".to_owned()),
            ("X-Key".to_owned(), "id".to_owned()),
        ]
    );
}

#[test]
fn only_a_template_with_the_body_needs_the_body() {
    for (sign, wanted) in [
        ("{method}{target}", PayloadUse::None),
        ("{body}", PayloadUse::Whole),
        ("{bodyHash}", PayloadUse::Whole),
    ] {
        let signer = RequestSigner(Arc::new(Signing::Hmac(signing(sign))));
        assert_eq!(signer.payload_use(None, true), Ok(wanted), "{sign}");
    }
}

#[test]
fn a_plugin_neither_chooses_the_signature_nor_sees_it() {
    let signer = RequestSigner(Arc::new(Signing::Hmac(HmacSigning {
        secret: "s3cret-of-many".into(),
        ..signing("{target}")
    })));
    let secrets = SealedSettings::default();
    let call = || {
        let deadline = Instant::now() + Duration::from_secs(1);
        HttpRequest::new("GET", "https://api.example/v1?a=b+c", deadline)
    };
    let mut good = call();
    sign_request(&mut good, "default", &signer, &secrets).unwrap();
    assert_eq!(good.url, "https://api.example/v1?a=b+c");
    let (name, value) = good.headers[0].clone();
    assert_eq!(name, "X-Signature");
    for hidden in [value.as_str(), "s3cret-of-many"] {
        let mut seen = format!("got {hidden}");
        secrets.redact_all(std::iter::once(&mut seen));
        assert_eq!(seen, "got ***");
    }
    let mut forged = call();
    forged
        .headers
        .push(("x-signature".to_owned(), "mine".to_owned()));
    let refused = sign_request(&mut forged, "default", &signer, &secrets).unwrap_err();
    assert!(matches!(refused.error, NetError::Denied(_)), "{refused:?}");
}
