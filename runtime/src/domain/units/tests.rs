use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::json;

use super::*;

const JSON: Option<&str> = Some("application/json; charset=utf-8");
const EVENTS: Option<&str> = Some("text/event-stream");

fn read(rules: &UnitRules, content_type: Option<&str>, body: &[u8], piece: usize) -> CallUnits {
    let mut reader = UnitReader::new(rules, content_type, None);
    body.chunks(piece.max(1))
        .for_each(|piece| reader.feed(piece));
    reader.finish()
}

fn amounts(units: &[(&str, i64)]) -> BTreeMap<String, Decimal> {
    let units = units.iter();
    units
        .map(|(unit, amount)| ((*unit).to_owned(), Decimal::from(*amount)))
        .collect()
}

fn known(units: &[(&str, i64)]) -> CallUnits {
    CallUnits::Known(amounts(units))
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

fn events(events: &[serde_json::Value], end: &str) -> String {
    let events = events
        .iter()
        .map(|event| format!("event: x\r\ndata: {event}\r\n\r\n"));
    events.collect::<String>() + end
}

#[test]
fn documents_of_each_vendor_are_read() {
    let openai = json!({"id": "c", "usage": {"prompt_tokens": 100, "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 64}}});
    let responses = json!({"object": "response", "usage": {"input_tokens": 9, "output_tokens": 3,
        "input_tokens_details": {"cached_tokens": 0}}});
    let anthropic = json!({"usage": {"input_tokens": 10, "cache_creation_input_tokens": 200,
        "cache_read_input_tokens": 3_000, "output_tokens": 5}});
    let gemini = json!([
        {"usageMetadata": {"promptTokenCount": 10, "candidatesTokenCount": 1}},
        {"usageMetadata": {"promptTokenCount": 10, "cachedContentTokenCount": 4, "candidatesTokenCount": 7, "thoughtsTokenCount": 3}},
    ]);
    let twilio = json!({"sid": "SM1", "num_segments": "3", "price": null});
    let paths = UnitRules::Paths(vec![UnitPath::new("points", "$.cost.points").unwrap()]);
    for (rules, document, wanted) in [
        (
            UnitRules::OpenAi,
            openai,
            known(&[
                ("input_tokens", 36),
                ("cached_tokens", 64),
                ("output_tokens", 20),
            ]),
        ),
        (
            UnitRules::OpenAi,
            responses,
            known(&[("input_tokens", 9), ("output_tokens", 3)]),
        ),
        (UnitRules::OpenAi, json!({"data": []}), known(&[])),
        (
            UnitRules::Anthropic,
            anthropic,
            known(&[
                ("input_tokens", 10),
                ("cache_write_tokens", 200),
                ("cached_tokens", 3_000),
                ("output_tokens", 5),
            ]),
        ),
        (
            UnitRules::Gemini,
            gemini,
            known(&[
                ("input_tokens", 6),
                ("cached_tokens", 4),
                ("output_tokens", 10),
            ]),
        ),
        (
            UnitRules::Twilio,
            twilio,
            known(&[("messages", 1), ("segments", 3)]),
        ),
        (
            UnitRules::Twilio,
            json!({"messages": [{"sid": "SM1", "num_segments": "3"}]}),
            known(&[]),
        ),
        (
            paths,
            json!({"cost": {"points": 12}}),
            known(&[("points", 12)]),
        ),
    ] {
        let body = document.to_string();
        for piece in [1, 7, body.len()] {
            assert_eq!(
                read(&rules, JSON, body.as_bytes(), piece),
                wanted,
                "{document}"
            );
        }
        let mut reader = UnitReader::new(&rules, JSON, Some("gzip"));
        gzip(body.as_bytes())
            .chunks(5)
            .for_each(|piece| reader.feed(piece));
        assert_eq!(reader.finish(), wanted, "{document}");
    }
}

#[test]
fn streams_are_merged_and_the_last_value_of_a_field_counts() {
    let openai = events(
        &[
            json!({"choices": [{"delta": {"content": "usage"}}], "usage": null}),
            json!({"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 1}}),
            json!({"choices": [], "usage": {"prompt_tokens": 8, "completion_tokens": 4, "prompt_tokens_details": {"cached_tokens": 2}}}),
        ],
        "data: [DONE]\n\n",
    );
    let responses = events(
        &[
            json!({"type": "response.created", "response": {"usage": null}}),
            json!({"type": "response.completed", "response": {"usage": {"input_tokens": 5, "output_tokens": 6}}}),
        ],
        "",
    );
    let anthropic = events(
        &[
            json!({"type": "message_start", "message": {"usage": {"input_tokens": 25, "cache_read_input_tokens": 7, "output_tokens": 1}}}),
            json!({"type": "content_block_delta", "delta": {"text": "hello"}}),
            json!({"type": "message_delta", "usage": {"output_tokens": 15}}),
            json!({"type": "message_stop"}),
        ],
        "",
    );
    let gemini = events(
        &[
            json!({"candidates": [{}], "usageMetadata": {"promptTokenCount": 3}}),
            json!({"candidates": [{"finishReason": "STOP"}], "usageMetadata": {"promptTokenCount": 3, "candidatesTokenCount": 9}}),
        ],
        "",
    );
    for (rules, body, wanted) in [
        (
            UnitRules::OpenAi,
            openai,
            known(&[
                ("input_tokens", 6),
                ("cached_tokens", 2),
                ("output_tokens", 4),
            ]),
        ),
        (
            UnitRules::OpenAi,
            responses,
            known(&[("input_tokens", 5), ("output_tokens", 6)]),
        ),
        (
            UnitRules::Anthropic,
            anthropic,
            known(&[
                ("input_tokens", 25),
                ("cached_tokens", 7),
                ("output_tokens", 15),
            ]),
        ),
        (
            UnitRules::Gemini,
            gemini,
            known(&[("input_tokens", 3), ("output_tokens", 9)]),
        ),
    ] {
        for piece in [1, 13, body.len()] {
            assert_eq!(
                read(&rules, EVENTS, body.as_bytes(), piece),
                wanted,
                "{body}"
            );
        }
    }
}

#[test]
fn what_breaks_off_or_can_not_be_followed_is_at_least() {
    let start = events(
        &[
            json!({"type": "message_start", "message": {"usage": {"input_tokens": 25, "output_tokens": 1}}}),
        ],
        "data: {\"type\": \"mess",
    );
    let least = CallUnits::AtLeast(amounts(&[("input_tokens", 25), ("output_tokens", 1)]));
    assert_eq!(
        read(&UnitRules::Anthropic, EVENTS, start.as_bytes(), 9),
        least
    );
    // A stream without usage, as OpenAI's is unless one asks for it.
    let silent = "data: {\"choices\": []}\n\ndata: [DONE]\n\n";
    let nothing = CallUnits::AtLeast(BTreeMap::new());
    assert_eq!(
        read(&UnitRules::OpenAi, EVENTS, silent.as_bytes(), 9),
        nothing
    );
    // A long event may have had usage.
    let long = format!("data: \"{}\"\n\n", "x".repeat(300 << 10));
    let body = long
        + &events(
            &[json!({"usage": {"prompt_tokens": 2}})],
            "data: [DONE]\n\n",
        );
    let wanted = CallUnits::AtLeast(amounts(&[("input_tokens", 2)]));
    assert_eq!(
        read(&UnitRules::OpenAi, EVENTS, body.as_bytes(), 4_096),
        wanted
    );
    for (content_type, encoding, body) in [
        (JSON, None, "{\"usage\": {\"prompt_tok"),
        (JSON, Some("br"), "{}"),
        (JSON, Some("gzip"), "{}"),
        (Some("image/png"), None, "{}"),
        (None, None, "{}"),
    ] {
        let mut reader = UnitReader::new(&UnitRules::OpenAi, content_type, encoding);
        reader.feed(body.as_bytes());
        assert_eq!(
            reader.finish(),
            nothing,
            "{content_type:?} {encoding:?} {body}"
        );
    }
    // More is cached than there is: the figures are not believed.
    let odd = json!({"usage": {"prompt_tokens": 1, "prompt_tokens_details": {"cached_tokens": 9}}});
    let odd = read(&UnitRules::OpenAi, JSON, odd.to_string().as_bytes(), 9);
    assert_eq!(
        odd,
        CallUnits::AtLeast(amounts(&[("input_tokens", 0), ("cached_tokens", 9)]))
    );
    assert_eq!(read(&UnitRules::OpenAi, JSON, b"", 1), known(&[]));
    assert_eq!(read(&UnitRules::None, None, b"x", 1), known(&[]));
}

#[test]
fn an_answer_made_to_grow_is_given_up_in_bounds() {
    let zeros = vec![b'0'; 128 << 20];
    let bomb = gzip(&zeros);
    drop(zeros);
    assert!(bomb.len() < 1 << 20);
    for content_type in [JSON, EVENTS] {
        let mut reader = UnitReader::new(&UnitRules::OpenAi, content_type, Some("gzip"));
        reader.feed(&bomb);
        let Decoded::GivenUp(least) = &reader.0 else {
            panic!("it goes on with {content_type:?}");
        };
        assert!(least.is_empty());
        assert_eq!(reader.finish(), CallUnits::AtLeast(BTreeMap::new()));
    }
}

#[test]
fn amounts_are_exact_and_bounded() {
    for (text, amount) in [
        ("0.1", Some("0.1")),
        ("1e3", Some("1000")),
        ("007", Some("7")),
        ("-0", Some("0")),
        ("-1", None),
        ("1e16", None),
        ("1e400", None),
        ("NaN", None),
        ("", None),
        ("1,000", None),
    ] {
        let found = parse_amount(text).map(|amount| amount.abs().to_string());
        assert_eq!(found.as_deref(), amount, "{text}");
    }
}

fn rules() -> impl Strategy<Value = UnitRules> {
    prop_oneof![
        Just(UnitRules::OpenAi),
        Just(UnitRules::Anthropic),
        Just(UnitRules::Gemini),
        Just(UnitRules::Twilio),
        Just(UnitRules::Paths(vec![
            UnitPath::new("n", "$.usage.n").unwrap()
        ])),
    ]
}

proptest! {
    #[test]
    fn hostile_bytes_never_break_a_reader(
        rules in rules(),
        content_type in prop_oneof![Just(JSON), Just(EVENTS), Just(Some("application/x-ndjson")), Just(None)],
        encoding in prop_oneof![Just(None), Just(Some("gzip")), Just(Some("identity")), Just(Some("zstd"))],
        is_packed in any::<bool>(),
        pieces in prop::collection::vec(prop_oneof![
            prop::collection::vec(any::<u8>(), 0..200),
            Just(b"data: {\"usage\":{\"prompt_tokens\":-1,\"output_tokens\":1e99}}\n\n".to_vec()),
            Just(b"data: {\"usage\":[[[[[{\"usage\":".to_vec()),
            Just(b"\ndata:\r\n\r\n".to_vec()),
            Just(vec![b'['; 5_000]),
        ], 0..20),
    ) {
        let pieces = if is_packed { vec![gzip(&pieces.concat())] } else { pieces };
        let mut reader = UnitReader::new(&rules, content_type, encoding);
        for piece in &pieces {
            reader.feed(piece);
        }
        let units = reader.finish();
        prop_assert!(units.amounts().len() <= CallUnits::MAX);
        let is_real = |amount: &Decimal| !amount.is_sign_negative() || amount.is_zero();
        prop_assert!(units.amounts().values().all(is_real));
    }

    #[test]
    fn pieces_make_no_difference(cuts in prop::collection::vec(1_usize..40, 1..200)) {
        let body = events(
            &[
                json!({"type": "message_start", "message": {"usage": {"input_tokens": 25}}}),
                json!({"type": "message_delta", "usage": {"output_tokens": 15}}),
                json!({"type": "message_stop"}),
            ],
            "",
        );
        let mut reader = UnitReader::new(&UnitRules::Anthropic, EVENTS, None);
        let (mut rest, mut cuts) = (body.as_bytes(), cuts.into_iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            reader.feed(piece);
            rest = after;
        }
        prop_assert_eq!(reader.finish(), known(&[("input_tokens", 25), ("output_tokens", 15)]));
    }
}
