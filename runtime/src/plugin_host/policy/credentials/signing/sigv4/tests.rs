//! The published examples: those of the test suite of Signature Version 4, and those of S3.

use super::*;

const SUITE_MS: UnixMillis = 1_440_938_160_000;
const S3_MS: UnixMillis = 1_369_353_600_000;
const EMPTY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

fn suite() -> SigV4 {
    SigV4 {
        access_key: "AKIDEXAMPLE".to_owned(),
        secret_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
        session_token: "".into(),
        region: "us-east-1".to_owned(),
        service: "service".to_owned(),
    }
}

fn s3() -> SigV4 {
    SigV4 {
        access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".into(),
        service: S3.to_owned(),
        ..suite()
    }
}

fn request<'a>(method: &'a str, path: &'a str, query: Option<&'a str>) -> RequestToSign<'a> {
    RequestToSign {
        method,
        authority: "example.amazonaws.com",
        is_tls: true,
        path,
        query,
        headers: Vec::new(),
        payload: SignedPayload::Whole(b""),
    }
}

fn authorization_of(signing: &SigV4, request: &RequestToSign<'_>, now_ms: UnixMillis) -> String {
    let added = sign(signing, request, now_ms).unwrap();
    added
        .into_iter()
        .find(|(name, _)| name == "authorization")
        .unwrap()
        .1
}

#[test]
fn the_examples_of_the_suite_have_their_signatures() {
    const UNRESERVED: &str = "/-._~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (name, method, path, query, wanted) in [
        (
            "get-vanilla",
            "GET",
            "/",
            None,
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "post-vanilla",
            "POST",
            "/",
            None,
            "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b",
        ),
        (
            "get-vanilla-query-order-key-case",
            "GET",
            "/",
            Some("Param2=value2&Param1=value1"),
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            "get-vanilla-empty-query-key",
            "GET",
            "/",
            Some("Param1=value1"),
            "a67d582fa61cc504c4bae71f336f98b97f1ea3c7a6bfe1b6e45aec72011b9aeb",
        ),
        (
            "post-vanilla-query",
            "POST",
            "/",
            Some("Param1=value1"),
            "28038455d6de14eafc1f9222cf5aa6f1a96197d7deb8263271d420d138af7f11",
        ),
        (
            "get-vanilla-utf8-query",
            "GET",
            "/",
            Some("%E1%88%B4=bar"),
            "2cdec8eed098649ff3a119c94853b13c643bcf08f8b0a1d91e12c9027818dd04",
        ),
        (
            "get-unreserved",
            "GET",
            UNRESERVED,
            None,
            "07ef7494c76fa4850883e2b006601f940f8a34d404d0cfa977f52a65bbf5f24f",
        ),
        (
            "get-utf8",
            "GET",
            "/\u{1234}",
            None,
            "8318018e0b0f223aa2bbf98705b62bb787dc9c0e678f255a891fd03141be5d85",
        ),
        (
            "get-space",
            "GET",
            "/example space/",
            None,
            "652487583200325589f1fba4c7e578f72c47cb61beeca81406b39ddec1366741",
        ),
        (
            "get-relative",
            "GET",
            "/example/..",
            None,
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "get-slash-dot-slash",
            "GET",
            "/./",
            None,
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "get-slashes",
            "GET",
            "//example//",
            None,
            "9a624bd73a37c9a373b5312afbebe7a714a789de108f0bdfe846570885f57e84",
        ),
    ] {
        let found = authorization_of(&suite(), &request(method, path, query), SUITE_MS);
        let scope =
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request";
        assert_eq!(
            found,
            format!("{scope}, SignedHeaders=host;x-amz-date, Signature={wanted}"),
            "{name}"
        );
    }
}

#[test]
fn headers_of_the_suite_are_folded_as_its_examples_want_it() {
    let canonical = |headers: &[(&str, &str)]| {
        let fixed = [
            ("Host", "example.amazonaws.com"),
            ("X-Amz-Date", "20150830T123600Z"),
        ];
        let headers = headers.iter().copied().chain(fixed);
        Canonical::new("GET", "/", "", headers, EMPTY)
    };
    for (headers, wanted) in [
        (
            &[("My-Header1", " value1"), ("My-Header2", " \"a   b   c\"")][..],
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            &[
                ("My-Header1", "value4"),
                ("My-Header1", "value1"),
                ("My-Header1", "value3"),
                ("My-Header1", "value2"),
            ][..],
            "08c7e5a9acfcfeb3ab6b2185e75ce8b1deb5e634ec47601a50643f830c755c01",
        ),
    ] {
        let found = authorization(&suite(), "20150830T123600Z", &canonical(headers));
        assert!(found.ends_with(wanted), "{headers:?}: {found}");
    }
}

#[test]
fn the_body_its_type_and_a_session_token_are_signed() {
    let mut form = request("POST", "/", None);
    form.headers = vec![
        ("content-type", "application/x-www-form-urlencoded"),
        ("user-agent", "not signed"),
    ];
    form.payload = SignedPayload::Whole(b"Param1=value1");
    let found = authorization_of(&suite(), &form, SUITE_MS);
    assert!(
        found.ends_with(
            "SignedHeaders=content-type;host;x-amz-date, \
             Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
        ),
        "{found}"
    );
    let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
    let temporary = SigV4 {
        session_token: token.into(),
        ..suite()
    };
    let found = authorization_of(&temporary, &request("POST", "/", None), SUITE_MS);
    assert!(
        found.ends_with(
            "SignedHeaders=host;x-amz-date;x-amz-security-token, \
             Signature=85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead"
        ),
        "{found}"
    );
}

#[test]
fn the_examples_of_s3_have_their_signatures() {
    let of_bucket = |path, query| RequestToSign {
        authority: "examplebucket.s3.amazonaws.com",
        ..request("GET", path, query)
    };
    for (query, wanted) in [
        (
            "lifecycle",
            "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543",
        ),
        (
            "max-keys=2&prefix=J",
            "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7",
        ),
    ] {
        let found = authorization_of(&s3(), &of_bucket("/", Some(query)), S3_MS);
        assert!(found.ends_with(wanted), "{query}: {found}");
    }
    // That example signs `date` as well.
    let hash = hex::encode(Sha256::digest("Welcome to Amazon S3."));
    let headers = [
        ("date", "Fri, 24 May 2013 00:00:00 GMT"),
        ("host", "examplebucket.s3.amazonaws.com"),
        ("x-amz-content-sha256", hash.as_str()),
        ("x-amz-date", "20130524T000000Z"),
        ("x-amz-storage-class", "REDUCED_REDUNDANCY"),
    ];
    let path = encode(&decode("/test$file.text"), true);
    let canonical = Canonical::new("PUT", &path, "", headers.into_iter(), &hash);
    let found = authorization(&s3(), "20130524T000000Z", &canonical);
    assert!(
        found.ends_with("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd"),
        "{found}"
    );
}

#[test]
fn a_body_that_passes_is_hashed_by_the_client_or_goes_unsigned_to_s3_over_tls() {
    for (service, is_tls, sent, wanted) in [
        (S3, true, None, Ok(PayloadUse::None)),
        (S3, true, Some(UNSIGNED), Ok(PayloadUse::None)),
        (S3, true, Some(UNSIGNED_CHUNKS), Ok(PayloadUse::None)),
        (S3, false, None, Ok(PayloadUse::Whole)),
        (S3, false, Some(UNSIGNED), Ok(PayloadUse::Whole)),
        ("sqs", true, None, Ok(PayloadUse::Whole)),
        ("sqs", true, Some(EMPTY), Ok(PayloadUse::None)),
        ("sqs", true, Some(UNSIGNED_CHUNKS), Err(())),
        (
            S3,
            true,
            Some("STREAMING-AWS4-HMAC-SHA256-PAYLOAD"),
            Err(()),
        ),
    ] {
        let signing = SigV4 {
            service: service.to_owned(),
            ..suite()
        };
        let found = payload_use(&signing, sent, is_tls).map_err(|_| ());
        assert_eq!(found, wanted, "{service} {is_tls} {sent:?}");
    }
    let hash_of = |sent: Option<&'static str>| {
        let mut put = request("PUT", "/key", None);
        put.headers = sent.map(|hash| (CONTENT_HASH, hash)).into_iter().collect();
        put.payload = SignedPayload::Passing;
        let added = sign(&s3(), &put, S3_MS).unwrap();
        let hash = added.into_iter().find(|(name, _)| name == CONTENT_HASH);
        hash.unwrap().1
    };
    assert_eq!(hash_of(None), UNSIGNED);
    assert_eq!(hash_of(Some(EMPTY)), EMPTY);
    assert_eq!(hash_of(Some(UNSIGNED_CHUNKS)), UNSIGNED_CHUNKS);
}

#[test]
fn a_url_that_is_signed_already_is_not_signed_again() {
    let signed = request("GET", "/", Some("X-Amz-Signature=00"));
    assert!(sign(&suite(), &signed, SUITE_MS).is_err());
}
