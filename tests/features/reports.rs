//! Reports arrive by mail with everything they consist of, once, and hold the figures of SQL.

use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use extrack_tests::{Mailbox, PATIENCE, TestRuntime, Vendor, WallClock, wait_for};
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

const WEEK_S: i64 = 7 * 86_400;
/// A report asks a question for each of its figures, each in a process of its own.
const MADE_WITHIN: Duration = Duration::from_secs(120);

const ALERTS: &str = r#"
channels:
  leads: {channel: email, recipients: ["leads@company.com"]}
"#;

fn services(vendor: &Vendor) -> String {
    let service = |name: &str, path: &str| {
        let url = vendor.url();
        format!(
            "  - {{name: \"{name}\", baseUrl: \"{url}\", healthEndpoint: \"{path}\", monitoring: {{interval: 1}}}}\n"
        )
    };
    let all = [("Größe API", "/a"), ("Payments", "/b"), ("Search", "/c")];
    let all = all.map(|(name, path)| service(name, path)).concat();
    format!("services:\n{all}")
}

async fn program(mailbox: &Mailbox, vendor: &Vendor, clock: &WallClock) -> TestRuntime {
    let builder = TestRuntime::builder()
        .services(services(vendor))
        .alerts(ALERTS)
        .env("SMTP_HOST", "127.0.0.1")
        .env("SMTP_PORT", mailbox.port().to_string())
        .env("SMTP_TLS", "none")
        .env("SMTP_FROM", "extrack@company.com");
    clock.of(builder).start().await
}

/// Runs a tool on a file that it reads from its standard input, and returns what it prints.
async fn piped(tool: &str, arguments: &[&str], input: &[u8]) -> String {
    let mut child = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{tool}: {error}; `runtime/setup.sh test` installs it"));
    let mut stdin = child.stdin.take().expect("it is piped");
    stdin
        .write_all(input)
        .await
        .expect("the tool reads its input");
    drop(stdin);
    let output = child.wait_with_output().await.expect("the tool ends");
    assert!(output.status.success(), "{tool}: {output:?}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Decodes the part of a mail whose head has a text.
fn part(mail: &str, head: &str) -> Vec<u8> {
    let at = mail.find(head).unwrap_or_else(|| panic!("{head}: {mail}"));
    let (_, body) = mail[at..]
        .split_once("\r\n\r\n")
        .expect("a head has an end");
    let body = body.split("\r\n--").next().unwrap_or_default();
    STANDARD
        .decode(body.replace("\r\n", ""))
        .expect("a file is in base64")
}

async fn mails(mailbox: &Mailbox, count: usize) {
    wait_for(
        &format!("{count} mails"),
        MADE_WITHIN,
        async || match mailbox.mails().len() {
            found if found == count => Ok(()),
            found => Err(format!("{found}")),
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_weekly_report_arrives_as_text_html_and_pdf_with_the_figures_of_sql() {
    let (mailbox, vendor, clock) = (
        Mailbox::start().await,
        Vendor::start().await,
        WallClock::new(),
    );
    clock.set(-WEEK_S);
    let mut runtime = program(&mailbox, &vendor, &clock).await;
    wait_for("checks of last week", PATIENCE, async || {
        let counts = ["/a", "/b", "/c"].map(|path| vendor.hits(path));
        if counts.iter().all(|count| *count >= 3) {
            Ok(())
        } else {
            Err(format!("{counts:?}"))
        }
    })
    .await;
    runtime.stop().await;
    clock.set(0);
    let reports = r#"
reports:
  - {name: weekly-vendors, channels: [leads], timezone: UTC}
"#;
    std::fs::write(runtime.config().join("reports.yaml"), reports).unwrap();
    runtime.start().await;
    let api = runtime.api();
    let listed = api.list("/api/v1/reports").await;
    assert_eq!(listed[0]["origin"], "file", "{listed:?}");
    let body = json!({});
    let run = api.post("/api/v1/reports/weekly-vendors/run", &body).await;
    let run = run.expect(202);
    mails(&mailbox, 1).await;

    let mail = mailbox.mails().remove(0).data;
    for wanted in [
        "multipart/mixed",
        "multipart/alternative",
        "text/plain",
        "text/html",
        "Content-ID: <chart-0>",
    ] {
        assert!(mail.contains(wanted), "{wanted}: {mail}");
    }
    let pdf = part(&mail, "Content-Type: application/pdf");
    let fonts = piped("pdffonts", &["-"], &pdf).await;
    let embedded = fonts.lines().skip(2).collect::<Vec<_>>();
    assert!(
        embedded.len() >= 2
            && embedded
                .iter()
                .all(|line| line.contains("DejaVuSans") && line.contains(" yes yes yes ")),
        "embedded, subsetted, with their letters: {fonts}"
    );
    let text = piped("pdftotext", &["-layout", "-", "-"], &pdf).await;
    for name in ["Größe API", "Payments", "Search", "Weekly vendors"] {
        assert!(text.contains(name), "{name}: {text}");
    }
    let letters = text.split_whitespace().collect::<String>();
    assert!(letters.ends_with("1/1"), "{text}");

    // The same figures as SQL has, of the same period.
    let path = format!("/api/v1/reports/weekly-vendors/runs/{}.json", run["id"]);
    let report: Value = api.get(&path).await.expect(200);
    let sections = report["sections"].as_array().unwrap();
    let of = |title: &str| {
        let found = sections.iter().find(|section| section["title"] == title);
        found.unwrap_or_else(|| panic!("{title}: {report}"))
    };
    let rows = &of("Services, the worst first")["content"]["table"]["rows"];
    let (from, to) = (report["from"].as_str(), report["to"].as_str());
    let sql = format!(
        "SELECT s.name, a.availability FROM availability_between(NULL, '{}', '{}') AS a
         JOIN services AS s ON s.slug = a.service ORDER BY a.availability, s.name",
        from.unwrap(),
        to.unwrap()
    );
    let counted = api.sql(&sql).await;
    assert_eq!(rows.as_array().unwrap().len(), 3, "{report}");
    assert_eq!(counted.len(), 3, "{counted:?}");
    for (row, counted) in rows.as_array().unwrap().iter().zip(&counted) {
        assert_eq!((&row[0], &row[1]), (&counted[0], &counted[1]), "{report}");
    }
    for format in ["html", "pdf", "csv", "parquet"] {
        let path = format!("/api/v1/reports/weekly-vendors/runs/{}.{format}", run["id"]);
        assert_eq!(api.get(&path).await.status, 200, "{format}");
    }
    let page = api.get("/reports/weekly-vendors").await;
    assert!(page.expect_text(200).contains("Resend"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_that_is_cut_off_after_its_row_arrives_once_and_says_what_failed() {
    let (mailbox, vendor, clock) = (
        Mailbox::start().await,
        Vendor::start().await,
        WallClock::new(),
    );
    let mut runtime = program(&mailbox, &vendor, &clock).await;
    let api = runtime.api();
    let spec = json!({
        "name": "mine", "title": "Mine", "channels": ["leads"], "formats": ["html"],
        "sections": [
            {"title": "Names", "sql": "SELECT name FROM services ORDER BY name"},
            {"title": "Broken", "query": "not-there"},
            {"text": "About **{{ period.text }}**"},
        ],
    });
    api.post("/api/v1/reports", &spec).await.expect(201);
    api.post("/api/v1/reports", &spec).await.expect_problem(409);
    let wrong = json!({"name": "other", "sections": [{"sql": "DROP TABLE x"}]});
    let refused = api.post("/api/v1/reports", &wrong).await;
    let refused = refused.expect_problem(422);
    assert_eq!(refused["faults"][0]["pointer"], "/sections/0/sql");
    let wrong = json!({"name": "other", "sections": [
        {"sql": "SELECT name FROM services WHERE utc_now() <> $from"},
        {"sql": "SELECT nope FROM services"},
    ]});
    let refused = api.post("/api/v1/reports", &wrong).await;
    let refused = refused.expect_problem(422);
    assert_eq!(refused["faults"].as_array().unwrap().len(), 1, "{refused}");
    assert_eq!(refused["faults"][0]["pointer"], "/sections/1/sql");

    // Wherever it is when it is cut off: the row is there, and the mail server takes nothing yet.
    mailbox.set_busy(true);
    let body = json!({});
    let run = api.post("/api/v1/reports/mine/run", &body).await;
    let run = run.expect(202);
    runtime.kill().await;
    mailbox.set_busy(false);
    assert_eq!(mailbox.mails().len(), 0);
    runtime.start().await;
    let api = runtime.api();
    let delivered = async || {
        let runs = api.list("/api/v1/reports/mine/runs").await;
        match (runs.as_slice(), &runs[0]["messages"][0]["state"]) {
            ([one], Value::String(state)) if state == "delivered" => Ok(one.clone()),
            _ => Err(format!("{runs:?}")),
        }
    };
    let made = wait_for("a delivered run", MADE_WITHIN, delivered).await;
    assert_eq!(
        (&made["id"], &made["state"]),
        (&run["id"], &json!("incomplete"))
    );
    let mails = mailbox.mails();
    assert_eq!(mails.len(), 1, "{mails:?}");
    let mail = &mails[0];
    let subject = mail.header("Subject").unwrap();
    assert!(subject.contains("[incomplete] Mine"), "{subject}");
    for wanted in ["Payments", "there is no saved query `not-there`", "About "] {
        let path = format!("/api/v1/reports/mine/runs/{}.html", run["id"]);
        let page = api.get(&path).await.expect_text(200);
        assert!(page.contains(wanted), "{wanted}: {page}");
    }

    let path = format!("/api/v1/reports/mine/runs/{}/resend", run["id"]);
    api.post(&path, &body).await.expect_text(204);
    self::mails(&mailbox, 2).await;
}
