use std::sync::LazyLock;

use serde_json::{Value, json};

use super::*;
use crate::domain::{
    Bucket, Message, MessageTemplate, MessageTexts, Observation, RateLimitReading, Selection, Span,
    Summary,
};

impl Evaluator {
    /// One for all tests of a process; its compiled code is shared by all processes.
    pub(crate) fn for_tests() -> &'static Self {
        static SHARED: LazyLock<Evaluator> = LazyLock::new(|| {
            let evaluator =
                Evaluator::new(Path::new(concat!(env!("OUT_DIR"), "/evaluator-compiled")));
            evaluator.0.machine.ready().unwrap();
            evaluator
        });
        &SHARED
    }
}

/// Runs of 100, 200, … 1,000 ms; one of ten failed.
struct TenRuns;

impl History for TenRuns {
    fn latest(&self) -> Option<Arc<Observation>> {
        None
    }

    fn samples(&self, _last: usize) -> Vec<Arc<Observation>> {
        Vec::new()
    }

    fn summary(&self, window: Duration) -> Summary {
        match window < Duration::from_secs(60) {
            true => Summary::default(),
            false => Summary {
                count: 10,
                healthy: 9,
                unhealthy: 1,
                ..Summary::default()
            },
        }
    }

    fn latency(&self, window: Duration, quantile: f64) -> Option<u64> {
        (window >= Duration::from_secs(60))
            .then_some((quantile * 10.0).ceil().max(1.0) as u64 * 100_000)
    }

    fn consecutive_failures(&self) -> u32 {
        0
    }

    fn latest_by_probe(&self) -> Vec<Arc<Observation>> {
        Vec::new()
    }

    fn buckets(&self, _span: Span) -> Vec<Bucket> {
        Vec::new()
    }

    fn rate_limits(&self) -> Vec<RateLimitReading> {
        Vec::new()
    }

    fn watched(&self) -> Duration {
        Duration::ZERO
    }

    fn select(&self, _selection: &Selection) -> Arc<dyn History> {
        Arc::new(TenRuns)
    }
}

async fn evaluate(expression: &str) -> Result<Value, EvaluationError> {
    let variables = json!({
        "status": "error", "latency_ms": 812.5, "http_status": 503, "error": null, "big": 18_446_744_073_709_551_615_u64,
        "metrics": {"certificate_days_left": 6}, "consecutive_failures": 3, "odd": 9_007_199_254_740_993_i64,
    });
    let evaluated = Evaluator::for_tests()
        .evaluate(expression, &variables.to_string(), Some(Arc::new(TenRuns)))
        .await;
    evaluated
        .result
        .map(|value| serde_json::from_str(&value).unwrap())
}

async fn fault(expression: &str) -> String {
    let variables = ["status", "latency_ms", "metrics"].map(str::to_owned);
    match Evaluator::for_tests()
        .check(expression, &variables)
        .await
        .result
    {
        Ok(_) => String::new(),
        Err(error) => error.to_string(),
    }
}

/// Each of these took the program's memory or a core of it for good.
fn bombs() -> Vec<String> {
    let doubled =
        |start: &str, times: usize| format!("[{start}]{} == []", ".map(a, a + a)".repeat(times));
    let ten = "[0,0,0,0,0,0,0,0,0,0]";
    let nested = (0..12).fold("0".to_owned(), |inner, depth| {
        format!("{ten}.map(v{depth}, {inner})")
    });
    vec![
        format!("{} == 0", vec!["1"; 1_900].join("+")),
        format!("{nested} == []"),
        doubled("'xxxxxxxxxxxxxxxx'", 35),
        doubled("'xxxxxxxxxxxxxxxx'", 40),
        doubled("[1]", 35),
        format!(
            "{ten}.all(a, {ten}.all(b, {ten}.all(c, {ten}.all(d, {ten}.all(e, {ten}.all(f, {ten}.all(g, {ten}.all(h, true))))))))"
        ),
    ]
}

#[tokio::test]
async fn expressions_that_grow_without_end_are_stopped_when_they_are_checked_and_evaluated() {
    for bomb in bombs() {
        let found = evaluate(&bomb).await;
        let is_long_sum = bomb.starts_with("1+");
        match found {
            Err(EvaluationError::Limit(_)) => {
                let found = fault(&bomb).await;
                assert!(
                    found.contains("make it simpler"),
                    "{found}: {}",
                    &bomb[..60]
                );
            }
            // It has a value, if there is room for it.
            Ok(value) if is_long_sum => assert_eq!(value, json!(false)),
            other => panic!("{other:?}: {}", &bomb[..60]),
        }
        // What the bomb left behind is of no use to anybody, and harms nobody.
        assert_eq!(evaluate("http_status == 503").await, Ok(json!(true)));
    }
}

#[tokio::test]
async fn the_same_steps_are_taken_whenever_an_expression_is_evaluated() {
    let evaluator = Evaluator::for_tests().apart();
    let bomb = &bombs()[5];
    let mut taken = Vec::new();
    for _ in 0..3 {
        let evaluated = evaluator.evaluate(bomb, "{}", None).await;
        assert_eq!(
            evaluated.result,
            Err(EvaluationError::Limit(
                "takes more steps than an evaluation may; make it simpler".into()
            ))
        );
        taken.push(evaluated.cpu);
    }
    assert!(
        taken
            .iter()
            .all(|cpu| *cpu == taken[0] && *cpu >= Duration::from_millis(100)),
        "{taken:?}"
    );
}

#[tokio::test]
async fn others_have_their_turn_while_an_expression_takes_long() {
    let bomb = bombs().remove(5);
    let running = tokio::spawn(async move {
        Evaluator::for_tests()
            .evaluate(&bomb, "{}", None)
            .await
            .result
    });
    // One thread serves both: without giving way the bomb would be over before this is asked.
    let mut turns = 0;
    while !running.is_finished() {
        turns += 1;
        tokio::task::yield_now().await;
    }
    assert!(turns > 50, "{turns} turns");
    assert!(matches!(
        running.await.unwrap(),
        Err(EvaluationError::Limit(_))
    ));
}

#[tokio::test]
async fn conditions_compare_what_looks_alike() {
    for (expression, wanted) in [
        ("status == 'error'", json!(true)),
        ("status in ['unhealthy', 'error']", json!(true)),
        ("latency_ms > 500", json!(true)),
        ("latency_ms > 500.5", json!(true)),
        ("http_status >= 500 && http_status != 501", json!(true)),
        ("metrics.certificate_days_left < 7", json!(true)),
        ("consecutive_failures == 3", json!(true)),
        ("error == null", json!(true)),
        ("has(metrics.queue) && metrics.queue > 5", json!(false)),
        ("availability('5s') == null", json!(true)),
        ("availability('5m')", json!(90.0)),
        ("error_rate('5m') > 9", json!(true)),
        ("runs('5m') + failures('5m')", json!(11)),
        ("big == 18446744073709551615u", json!(true)),
        (
            "odd == 9007199254740993 && odd != 9007199254740992",
            json!(true),
        ),
        ("odd", json!(9_007_199_254_740_993_i64)),
        ("'a-b'.matches('^[a-z]-') && size('abc') == 3", json!(true)),
        ("duration('1h') > duration('5m')", json!(true)),
        (
            "[1, 2, 3].map(x, x * 2).filter(x, x > 2) == [4, 6]",
            json!(true),
        ),
        ("optional.of(1).hasValue()", json!(true)),
    ] {
        assert_eq!(evaluate(expression).await, Ok(wanted), "{expression}");
    }
}

#[tokio::test]
async fn numbers_with_a_fraction_are_reckoned_with_whole_ones() {
    for (expression, wanted) in [
        ("latency('1m', 0.5) > latency('5m', 0.5) * 2", json!(false)),
        ("latency('5m', 0.5) * 2", json!(1_000.0)),
        ("2 * latency('5m', 0.5) - 1", json!(999.0)),
        ("latency_ms / 2 + 1", json!(407.25)),
        ("7 / 2", json!(3)),
        ("'a' + status", json!("aerror")),
        ("[1] + [2]", json!([1, 2])),
    ] {
        assert_eq!(evaluate(expression).await, Ok(wanted), "{expression}");
    }
}

#[tokio::test]
async fn a_quantile_is_a_share_of_one() {
    assert_eq!(evaluate("latency('5m', 1) > 100.0").await, Ok(json!(true)));
    assert_eq!(evaluate("latency('5m', 1)").await, Ok(json!(1_000.0)));
    assert_eq!(evaluate("latency('5m', 0)").await, Ok(json!(100.0)));
    for text in ["95", "95.0", "-1", "100.5"] {
        let found = fault(&format!("latency('5m', {text}) > 100.0")).await;
        assert!(found.contains("lies between 0 and 1"), "{text}: {found}");
    }
    assert!(
        fault("latency('5m', 95) > 1")
            .await
            .contains("write `0.95`")
    );
    assert!(
        fault("latency('5m', 99.9) > 1.0")
            .await
            .contains("write `0.999`")
    );
    assert!(
        fault("latency('5m') > 1")
            .await
            .contains("`latency('5m', 0.95)`")
    );
    assert_eq!(fault("latency('5m', 1) > 100.0").await, "");
}

#[tokio::test]
async fn what_can_not_be_answered_fails_and_does_not_lie() {
    for expression in [
        "availability('5s') < 99",
        "latency('never', 0.5) == null",
        "metrics.queue > 5",
    ] {
        assert!(
            matches!(evaluate(expression).await, Err(EvaluationError::Failed(_))),
            "{expression}"
        );
    }
}

#[tokio::test]
async fn faults_are_found_when_an_expression_is_saved() {
    for (expression, wanted) in [
        ("stats == 'x'", "did you mean `status`?"),
        ("availabilty('5m') < 99", "unknown function `availabilty`"),
        (
            "latency_ms > 1 || availabilty('5m') < 99",
            "unknown function `availabilty`",
        ),
        ("[1].exists(x, y > 1)", "unknown variable `y`"),
        (
            "availability('5m') < '99'",
            "a number is never compared with a text by `<`",
        ),
        (
            "latency('5m', 0.5) == '100'",
            "a number is never equal to a text",
        ),
        (
            "status && 'x'",
            "`&&` takes true or false, and is given a text",
        ),
        (
            "runs('5m') + 'x' == 'y'",
            "`+` can't be used with a number and a text",
        ),
        ("status ==", "ERROR"),
    ] {
        let found = fault(expression).await;
        assert!(found.contains(wanted), "{expression}: {found}");
    }
    for deep in [
        "(".repeat(4_000),
        format!("{}true", "!".repeat(500)),
        format!("{}1 > 0", "- ".repeat(500)),
    ] {
        assert!(!fault(&deep).await.is_empty(), "{}", &deep[..20]);
    }
    for sound in [
        "availability('5m') < 99.5 || latency_ms > 100",
        "['a', 'b'].exists(item, item == status)",
        "status.startsWith('un') && !(status in ['x'])",
        "type(metrics.n) == int || metrics.n == null",
        "optional.of(status).orValue('x') == 'y'",
        "metrics.map(name, metrics[name] > 1).size() > 2",
    ] {
        assert_eq!(fault(sound).await, "", "{sound}");
    }
}

#[tokio::test]
async fn signs_in_a_text_are_no_nesting() {
    let hyphens = "-".repeat(65);
    assert_eq!(fault(&format!("status == '{hyphens}'")).await, "");
    assert_eq!(
        fault(&format!("status == \"{}\"", "(".repeat(65))).await,
        ""
    );
    let negatives: Vec<String> = (0..65)
        .map(|number| format!("latency_ms > -{number}"))
        .collect();
    assert_eq!(fault(&negatives.join(" || ")).await, "");
}

fn template(text: &str) -> MessageTemplate {
    let sources = MessageTexts {
        text: Some(text.to_owned()),
        ..MessageTexts::default()
    };
    MessageTemplate {
        name: "t".to_owned(),
        sources,
    }
}

/// Each of these killed the program, or took a core of it for long.
const TEMPLATE_BOMBS: [&str; 9] = [
    "{% set ns=namespace(a=[1]) %}{% for i in range(34) %}{% set ns.a=ns.a+ns.a %}{% endfor %}{{ ns.a|length }}",
    "{% set ns=namespace(a=[1]) %}{% for i in range(20000) %}{% set ns.a=[ns.a] %}{% endfor %}{{ ns.a }}",
    "{% set ns=namespace(a='xxxxxxxxxxxxxxxx') %}{% for i in range(40) %}{% set ns.a=ns.a~ns.a %}{% endfor %}{{ ns.a|length }}",
    "{{ 'x'|replace('','y'*100000)|replace('y','z'*100000)|length }}",
    "{{ ('a'*10000)|replace('a','b'*10000)|replace('b','c'*1000)|length }}",
    "{{ 'a\n'|indent(2000000000,true,true)|length }}",
    "{{ [1]|batch(1000000000,'x')|list|length }}",
    "{{ [1]|slice(1000000000,'x')|list|length }}",
    "{{ '%2000000000d'|format(1) }}",
];

#[tokio::test]
async fn templates_that_grow_without_end_are_stopped_when_they_are_read_and_rendered() {
    let evaluator = Evaluator::for_tests();
    let message = Message::sample(1, 0);
    for bomb in TEMPLATE_BOMBS.into_iter().chain(["{{ 10**400000 }}"]) {
        let template = template(bomb);
        let faults = evaluator.template_faults(&template).await;
        assert_eq!(faults.len(), 1, "{bomb}: {faults:?}");
        assert!(
            evaluator
                .template_render(&template, &message)
                .await
                .is_err(),
            "{bomb}"
        );
        let sound = MessageTemplate {
            name: "s".into(),
            sources: MessageTexts {
                title: Some("{{ status }}".into()),
                ..Default::default()
            },
        };
        assert_eq!(
            evaluator
                .template_render(&sound, &message)
                .await
                .unwrap()
                .title
                .as_deref(),
            Some("firing")
        );
    }
}

#[tokio::test]
async fn a_template_for_a_thousand_alerts_has_room() {
    let message = Message::sample(900, 100);
    let template =
        template("{% for alert in alerts %}{{ loop.index }}. {{ alert.name }}\n{% endfor %}");
    let texts = Evaluator::for_tests()
        .template_render(&template, &message)
        .await
        .unwrap();
    assert_eq!(texts.text.unwrap().lines().count(), 1_000);
}

mod templates {
    use super::*;

    async fn rendered(source: &str, message: &Message) -> String {
        let template = template(source);
        let evaluator = Evaluator::for_tests();
        assert_eq!(evaluator.template_faults(&template).await, []);
        evaluator
            .template_render(&template, message)
            .await
            .unwrap()
            .text
            .unwrap()
    }

    #[tokio::test]
    async fn show_what_the_message_holds() {
        let message = Message::sample(2, 1);
        let found = rendered(
            "{{ counts.firing }} of {{ counts.total }} ({{ severity }})\n\
             {% for alert in firing %}\n{{ loop.index }}. {{ alert.serviceName }}: {{ alert.summary }}\n{% endfor %}\n\
             {% for alert in resolved %}\nok: {{ alert.name }} after {{ alert.lasted }}\n{% endfor %}",
            &message,
        )
        .await;
        assert_eq!(
            found,
            "2 of 3 (critical)\n1. Sample Service 1: status is 503, wanted 200\n\
             2. Sample Service 2: status is 503, wanted 200\nok: Service Down after 5m"
        );
    }

    #[tokio::test]
    async fn have_an_empty_text_for_labels_that_are_missing() {
        let source = "[{{ groupLabels.team }}{{ alerts[0].labels.service }}]";
        assert_eq!(
            rendered(source, &Message::sample(1, 0)).await,
            "[sample-service-1]"
        );
    }

    #[tokio::test]
    async fn escape_html_and_leave_text_as_it_is() {
        let mut message = Message::sample(1, 0);
        message.alerts[0].0.summary = "<script>&".to_owned();
        let mut template = template("{{ alerts[0].summary }}");
        template.sources.html = Some("<b>{{ alerts[0].summary }}</b>".to_owned());
        let texts = Evaluator::for_tests()
            .template_render(&template, &message)
            .await
            .unwrap();
        assert_eq!(texts.html.as_deref(), Some("<b>&lt;script&gt;&amp;</b>"));
        assert_eq!(texts.text.as_deref(), Some("<script>&"));
    }

    #[tokio::test]
    async fn write_a_title_in_one_line_whatever_is_in_it() {
        let title = Some("{{ title }}\r\nBcc: x@example.com".to_owned());
        let template = MessageTemplate {
            name: "t".to_owned(),
            sources: MessageTexts {
                title,
                ..Default::default()
            },
        };
        let texts = Evaluator::for_tests()
            .template_render(&template, &Message::sample(1, 0))
            .await
            .unwrap();
        assert_eq!(
            texts.title.as_deref(),
            Some("[FIRING] Sample Service 1: Service Down Bcc: x@example.com")
        );
    }

    #[tokio::test]
    async fn have_faults_that_say_where_and_what() {
        for (source, wanted) in [
            (
                "one\n  {{ alert.sumary }}",
                "line 2, column 6 of the template: there is no `alert.sumary`",
            ),
            (
                "{% for alert in alerts %}{{ alert.sumary }}{% endfor %}",
                "there is no `alert.sumary`",
            ),
            (
                "{% if status == 'resolved' %}{{ no }}{% endif %}",
                "there is no `no`",
            ),
            ("{{ status", "line 1, column"),
            ("{{ status|shout }}", "unknown filter"),
            ("{% include 'other' %}", "of the template"),
        ] {
            let faults = Evaluator::for_tests()
                .template_faults(&template(source))
                .await;
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(
                faults[0].to_string().contains(wanted),
                "{source}: {}",
                faults[0]
            );
        }
    }

    #[tokio::test]
    async fn are_bounded_in_length_steps_and_output() {
        let long = "x".repeat(16 * 1_024 + 1);
        for (source, wanted) in [
            (long.as_str(), "may have 16384"),
            (
                "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
                "more than 200000 steps",
            ),
            ("{{ 'x' * 70000 }}", "writes more than 65536 bytes"),
        ] {
            let faults = Evaluator::for_tests()
                .template_faults(&template(source))
                .await;
            assert!(faults[0].to_string().contains(wanted), "{}", faults[0]);
        }
    }
}

mod whatever_is_written {
    use futures::executor::block_on;
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn is_answered_and_leaves_the_next_one_alone(
            expression in r#"[a-c0-9'"\[\](){}.,+*/%!|&<>=?:\\ -]{0,160}"#,
            source in r#"(\{\{ |\{% |%\}|\}\}|[a-c0-9'"|~+*()\[\]=. -]|if |for |in |set |endfor|endif){0,60}"#,
        ) {
            let evaluator = Evaluator::for_tests();
            let checked = block_on(evaluator.check(&expression, &["a".to_owned()]));
            prop_assert!(checked.cpu <= Duration::from_millis(200));
            let sound = block_on(evaluator.check("a == 1", &["a".to_owned()]));
            prop_assert_eq!(sound.result, Ok(String::new()));
            let faults = block_on(evaluator.template_faults(&template(&source)));
            prop_assert!(faults.len() <= 1);
        }
    }
}
