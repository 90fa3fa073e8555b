use super::*;

fn headers(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

const SLACK_BODY: &str = "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&\
                          channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&\
                          response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F\
                          96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";

/// Scheme, secret, headers, body, seconds.
type Published = (
    Scheme,
    &'static str,
    Vec<(String, String)>,
    &'static str,
    u64,
);

/// The values that the vendors publish for testing. For Stripe, who publish none, from
/// `openssl dgst -sha256 -hmac`.
fn published() -> Vec<Published> {
    vec![
        (
            Scheme::Github,
            "It's a Secret to Everybody",
            headers(&[(
                "X-Hub-Signature-256",
                "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
            )]),
            "Hello, World!",
            0,
        ),
        (
            Scheme::Slack,
            "8f742231b10e8888abcd99yyyzzz85a5",
            headers(&[
                ("x-slack-request-timestamp", "1531420618"),
                (
                    "x-slack-signature",
                    "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
                ),
            ]),
            SLACK_BODY,
            1_531_420_618,
        ),
        (
            Scheme::StandardWebhooks,
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            headers(&[
                ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
                ("webhook-timestamp", "1614265330"),
                (
                    "webhook-signature",
                    "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
                ),
            ]),
            r#"{"test": 2432232314}"#,
            1_614_265_330,
        ),
        (
            Scheme::Stripe,
            "whsec_test_secret",
            headers(&[(
                "Stripe-Signature",
                "t=1492774577,v1=654b43d3508ecadb3f8cefc4bc7d3d2bdc5ba9e03bf2c89b2d0657a8e24e4543,v0=6ffbb59b2300aae63f272406069a9788598b792a944a07aba816edb039989a39",
            )]),
            r#"{"id":"evt_1","object":"event"}"#,
            1_492_774_577,
        ),
    ]
}

#[test]
fn agrees_with_the_values_that_vendors_publish() {
    for (scheme, secret, headers, body, seconds) in published() {
        let check = |secret: &str, body: &str| {
            verify(
                scheme,
                secret,
                &headers,
                body.as_bytes(),
                seconds * 1_000 + 999,
                TOLERANCE,
            )
        };
        assert_eq!(check(secret, body), Ok(()), "{scheme:?}");
        assert_eq!(
            check(secret, &format!("{body} ")),
            Err(SignatureError::Mismatch),
            "{scheme:?}"
        );
        let other = if scheme == Scheme::StandardWebhooks {
            "whsec_b3RoZXI="
        } else {
            "other"
        };
        assert_eq!(
            check(other, body),
            Err(SignatureError::Mismatch),
            "{scheme:?}"
        );
    }
}

#[test]
fn a_signed_moment_counts_for_a_while_only() {
    for (scheme, secret, headers, body, seconds) in published() {
        for (away, is_taken) in [
            (-301, false),
            (-300, true),
            (0, true),
            (300, true),
            (301, false),
        ] {
            let now_ms = (seconds as i64 + away) * 1_000;
            if scheme == Scheme::Github {
                continue;
            }
            let checked = verify(
                scheme,
                secret,
                &headers,
                body.as_bytes(),
                now_ms as u64,
                TOLERANCE,
            );
            assert_eq!(checked.is_ok(), is_taken, "{scheme:?} {away}");
            assert_eq!(
                matches!(checked, Err(SignatureError::Expired(_))),
                !is_taken,
                "{scheme:?} {away}"
            );
        }
    }
}

#[test]
fn a_forged_moment_is_a_mismatch_not_an_old_signature() {
    let (scheme, secret, mut headers, body, seconds) = published().swap_remove(1);
    headers[0].1 = (seconds + 10_000).to_string();
    let checked = verify(
        scheme,
        secret,
        &headers,
        body.as_bytes(),
        (seconds + 10_000) * 1_000,
        TOLERANCE,
    );
    assert_eq!(checked, Err(SignatureError::Mismatch));
}

#[test]
fn what_is_missing_or_of_another_form_is_malformed() {
    let github = |value: &str| headers(&[("x-hub-signature-256", value)]);
    let twice = [github("sha256=00"), github("sha256=00")].concat();
    for (scheme, headers) in [
        (Scheme::Github, headers(&[])),
        (Scheme::Github, headers(&[("x-hub-signature", "sha1=00")])),
        (Scheme::Github, github("")),
        (Scheme::Github, github("sha256=")),
        (Scheme::Github, github("sha256=zz")),
        (Scheme::Github, github("md5=00")),
        (Scheme::Github, twice),
        (Scheme::Stripe, headers(&[("stripe-signature", "v1=00")])),
        (
            Scheme::Stripe,
            headers(&[("stripe-signature", "t=1,v0=00")]),
        ),
        (
            Scheme::Stripe,
            headers(&[("stripe-signature", "t=+1,v1=00")]),
        ),
        (Scheme::Slack, headers(&[("x-slack-signature", "v0=00")])),
        (
            Scheme::Slack,
            headers(&[
                ("x-slack-request-timestamp", "99999999999999999999"),
                ("x-slack-signature", "v0=00"),
            ]),
        ),
        (
            Scheme::StandardWebhooks,
            headers(&[("webhook-id", "a"), ("webhook-timestamp", "1")]),
        ),
        (
            Scheme::StandardWebhooks,
            headers(&[
                ("webhook-id", "a"),
                ("webhook-timestamp", "1"),
                ("webhook-signature", "v1a,AAAA"),
            ]),
        ),
    ] {
        let checked = verify(scheme, "c2VjcmV0", &headers, b"{}", 1_000, TOLERANCE);
        // An empty signature is of the right form, and matches nothing.
        let is_refused = matches!(
            checked,
            Err(SignatureError::Malformed(_) | SignatureError::Mismatch)
        );
        assert!(is_refused, "{scheme:?} {headers:?}: {checked:?}");
    }
}

#[test]
fn one_good_signature_among_several_will_do() {
    let good = &published()[2];
    for value in [
        "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        "v1a,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v1,!",
    ] {
        let mut headers = good.2.clone();
        headers[2].1 = value.to_owned();
        assert_eq!(
            verify(
                good.0,
                good.1,
                &headers,
                good.3.as_bytes(),
                good.4 * 1_000,
                TOLERANCE
            ),
            Ok(()),
            "{value}"
        );
    }
}

#[test]
fn svix_names_do_as_well() {
    let (scheme, secret, headers, body, seconds) = published().swap_remove(2);
    let headers: Vec<_> = headers
        .into_iter()
        .map(|(name, value)| (name.replace("webhook", "svix"), value))
        .collect();
    assert_eq!(
        verify(
            scheme,
            secret,
            &headers,
            body.as_bytes(),
            seconds * 1_000,
            TOLERANCE
        ),
        Ok(())
    );
}

#[test]
fn what_is_signed_here_is_taken_here() {
    for scheme in Scheme::ALL {
        let headers = sign(scheme, "c2VjcmV0", "msg_1", b"body", 1_767_225_600_123).unwrap();
        assert_eq!(
            verify(
                scheme,
                "c2VjcmV0",
                &headers,
                b"body",
                1_767_225_600_123,
                TOLERANCE
            ),
            Ok(()),
            "{scheme:?}"
        );
        assert_eq!(Scheme::parse(scheme.as_str()), Some(scheme));
    }
    assert!(matches!(
        sign(Scheme::StandardWebhooks, "whsec_???", "", b"", 0),
        Err(SignatureError::NoSecret(text)) if !text.contains("???")
    ));
}

/// RFC 2202 and RFC 4231, test case 2.
#[test]
fn plain_codes_agree_with_the_standards() {
    let message = b"what do ya want for nothing?";
    for (algorithm, wanted) in [
        (
            Algorithm::HmacSha1,
            "effcdf6ae5eb2fa2d27416d5f184df9c259a7c79",
        ),
        (
            Algorithm::HmacSha256,
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            Algorithm::HmacSha512,
            "164b7a7bfcf819e2e395fbe73b56e0a387bd64222e831fd610270cd7ea2505549758bf75c05a994a6d034f65f8f0e6fdcaeab1a34d4a6b4b636e070a38bce737",
        ),
    ] {
        let signature = hex::decode(wanted).unwrap();
        assert_eq!(
            verify_mac(algorithm, b"Jefe", message, &signature),
            Ok(()),
            "{algorithm:?}"
        );
        assert_eq!(
            verify_mac(algorithm, b"Jefe", message, &signature[1..]),
            Err(SignatureError::Mismatch)
        );
        assert_eq!(Algorithm::parse(algorithm.as_str()), Some(algorithm));
    }
}
