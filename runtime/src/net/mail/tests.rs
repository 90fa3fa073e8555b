mod starttls;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};

use super::*;
use crate::net::testing::{Authority, Leaf, closed_port, net, serve, serve_silence, shortly, soon};
use crate::net::{Net, NetSettings};

/// Lines that a server received.
type Heard = Arc<Mutex<Vec<String>>>;

/// A server's replies, by the beginning of the line; the first that fits. What is not in it gets
/// 250.
type Script = &'static [(&'static str, &'static str)];

const FRIENDLY: Script = &[
    ("DATA", "354 go on"),
    ("QUIT", "221 bye"),
    (".", "250 2.0.0 queued as 42"),
    ("AUTH", "235 ok"),
];

async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    script: Script,
    greeting: &str,
    heard: Heard,
) -> S {
    let mut stream = BufReader::new(stream);
    let _ = stream.write_all(greeting.as_bytes()).await;
    let mut in_data = false;
    let mut line = String::new();
    while stream
        .read_line(&mut line)
        .await
        .is_ok_and(|count| count > 0)
    {
        let text = std::mem::take(&mut line).trim_end().to_owned();
        heard.lock().unwrap().push(text.clone());
        if in_data && text != "." {
            continue;
        }
        let found = script
            .iter()
            .find(|(start, _)| text.starts_with(start))
            .map(|(_, reply)| *reply);
        let reply = found.unwrap_or("250 fine");
        in_data = text == "DATA" && reply.starts_with("354");
        let _ = stream.write_all(format!("{reply}\r\n").as_bytes()).await;
        if text == "STARTTLS" || text == "QUIT" {
            break;
        }
    }
    stream.into_inner()
}

async fn clear_server(script: Script) -> (SocketAddr, Heard) {
    let heard = Heard::default();
    let ears = heard.clone();
    let address = serve(move |stream| {
        let ears = ears.clone();
        async move { drop(talk(stream, script, "220 hi\r\n", ears).await) }
    })
    .await;
    (address, heard)
}

fn settings(address: SocketAddr, tls: SmtpTls) -> SmtpSettings {
    SmtpSettings {
        host: address.ip().to_string(),
        port: address.port(),
        username: None,
        password: None,
        from: "Watch <watch@example.org>".to_owned(),
        hello: None,
        tls,
        allow_private: true,
    }
}

fn with_password(settings: SmtpSettings) -> SmtpSettings {
    SmtpSettings {
        username: Some("me".to_owned()),
        password: Some("hush-hush".into()),
        ..settings
    }
}

fn message(to: &[&str]) -> MailMessage {
    MailMessage {
        from: None,
        to: to.iter().map(|to| (*to).to_owned()).collect(),
        subject: "shop-api is down".to_owned(),
        text: "line one\n.line two".to_owned(),
        html: None,
        id: "n-17".to_owned(),
        files: Default::default(),
    }
}

fn mailing(settings: SmtpSettings, authority: Option<&Authority>) -> Net {
    net(
        NetSettings {
            smtp: Some(settings),
            ..NetSettings::default()
        },
        authority,
    )
}

#[tokio::test]
async fn a_message_goes_through_a_whole_conversation() {
    let (address, heard) = clear_server(FRIENDLY).await;
    let net = mailing(with_password(settings(address, SmtpTls::None)), None);
    // lettre picks a mechanism only from those offered.
    let failure = net
        .mail_send(message(&["a@example.com"]), soon())
        .await
        .unwrap_err();
    assert!(
        matches!(&failure, MailError::Temporary(text) if text.contains("signing in")),
        "{failure:?}"
    );

    heard.lock().unwrap().clear();
    let net = mailing(settings(address, SmtpTls::None), None);
    let answer = net
        .mail_send(message(&["a@example.com", "B <b@example.com>"]), soon())
        .await
        .unwrap();
    assert_eq!(answer, "250 2.0.0 queued as 42");
    let heard = heard.lock().unwrap().join("\n");
    for wanted in [
        "MAIL FROM:<watch@example.org>",
        "RCPT TO:<a@example.com>\nRCPT TO:<b@example.com>\nDATA",
        "Message-ID: <n-17@example.org>",
        "Subject: shop-api is down",
        "line one\n..line two",
    ] {
        assert!(heard.contains(wanted), "{wanted:?} in {heard}");
    }
}

#[tokio::test]
async fn refusals_are_temporary_or_permanent_by_their_code() {
    const GREYLISTED: Script = &[("RCPT", "450 4.2.0 greylisted, try later")];
    const UNKNOWN: Script = &[("RCPT", "550 5.1.1 no such user")];
    const BUSY: Script = &[("EHLO", "421 4.3.2 too busy")];
    const SENDER: Script = &[("MAIL", "553 5.7.1 not your address")];
    const SPAM: Script = &[("DATA", "354 go on"), (".", "554 5.7.1 looks like spam")];
    const FULL: Script = &[("DATA", "354 go on"), (".", "452 4.3.1 disk full")];
    const NOISE: Script = &[("MAIL", "hello?")];
    for (script, permanent, text) in [
        (
            GREYLISTED,
            false,
            "`a@example.com`: 450 4.2.0 greylisted, try later",
        ),
        (UNKNOWN, true, "`a@example.com`: 550 5.1.1 no such user"),
        (BUSY, false, "421 4.3.2 too busy"),
        (SENDER, true, "553 5.7.1 not your address"),
        (SPAM, true, "554 5.7.1 looks like spam"),
        (FULL, false, "452 4.3.1 disk full"),
        (NOISE, false, ""),
    ] {
        let (address, _) = clear_server(script).await;
        let net = mailing(settings(address, SmtpTls::None), None);
        let failure = net
            .mail_send(message(&["a@example.com"]), soon())
            .await
            .unwrap_err();
        assert_eq!(
            matches!(failure, MailError::Permanent(_)),
            permanent,
            "{failure:?}"
        );
        assert!(failure.to_string().contains(text), "{text:?} in {failure}");
    }
}

#[tokio::test]
async fn a_bad_recipient_does_not_keep_the_message_from_the_others() {
    const ONE_UNKNOWN: Script = &[
        ("RCPT TO:<b@", "550 no such user"),
        ("DATA", "354 go on"),
        (".", "250 queued"),
        ("QUIT", "221 bye"),
    ];
    const ONE_PUT_OFF: Script = &[
        ("RCPT TO:<b@", "451 later"),
        ("DATA", "354 go on"),
        (".", "250 queued"),
        ("QUIT", "221 bye"),
    ];
    let (address, _) = clear_server(ONE_UNKNOWN).await;
    let net = mailing(settings(address, SmtpTls::None), None);
    let answer = net
        .mail_send(message(&["b@example.com", "a@example.com"]), soon())
        .await
        .unwrap();
    assert_eq!(
        answer,
        "250 queued; not delivered to all: `b@example.com`: 550 no such user"
    );

    let (address, heard) = clear_server(ONE_PUT_OFF).await;
    let net = mailing(settings(address, SmtpTls::None), None);
    let failure = net
        .mail_send(message(&["b@example.com", "a@example.com"]), soon())
        .await
        .unwrap_err();
    assert!(
        matches!(&failure, MailError::Temporary(text) if text.starts_with("delivered to 1")),
        "{failure:?}"
    );
    assert!(heard.lock().unwrap().contains(&"DATA".to_owned()));
}

#[tokio::test]
async fn addresses_beyond_ascii_need_a_server_that_takes_them() {
    const MODERN: Script = &[
        ("EHLO", "250-me\r\n250-8BITMIME\r\n250 SMTPUTF8"),
        ("DATA", "354 go on"),
        (".", "250 queued"),
        ("QUIT", "221 bye"),
    ];
    let (plain, _) = clear_server(FRIENDLY).await;
    let (modern, heard) = clear_server(MODERN).await;
    let wide = MailMessage {
        text: "é — ok".to_owned(),
        ..message(&["jörg@example.com"])
    };
    let failure = mailing(settings(plain, SmtpTls::None), None)
        .mail_send(wide.clone(), soon())
        .await
        .unwrap_err();
    assert!(
        matches!(&failure, MailError::Permanent(text) if text.contains("SMTPUTF8")),
        "{failure:?}"
    );
    mailing(settings(modern, SmtpTls::None), None)
        .mail_send(wide.clone(), soon())
        .await
        .unwrap();
    assert!(
        heard
            .lock()
            .unwrap()
            .iter()
            .any(|line| line == "MAIL FROM:<watch@example.org> SMTPUTF8 BODY=8BITMIME")
    );
    // Letters beyond ASCII in the text alone need nothing.
    let text_only = MailMessage {
        to: vec!["a@example.com".to_owned()],
        ..wide
    };
    mailing(settings(plain, SmtpTls::None), None)
        .mail_send(text_only, soon())
        .await
        .unwrap();
}

#[tokio::test]
async fn the_server_is_greeted_with_a_full_name() {
    const STRICT: Script = &[
        ("EHLO monitor.example.com", "250 me"),
        (
            "EHLO",
            "504 5.5.2 Helo command rejected: need fully-qualified hostname",
        ),
        ("DATA", "354 go on"),
        (".", "250 queued"),
    ];
    let (address, _) = clear_server(STRICT).await;
    let named = SmtpSettings {
        hello: Some("monitor.example.com".to_owned()),
        ..settings(address, SmtpTls::None)
    };
    mailing(named, None)
        .mail_send(message(&["a@example.com"]), soon())
        .await
        .unwrap();
    let (address, heard) = clear_server(FRIENDLY).await;
    mailing(settings(address, SmtpTls::None), None)
        .mail_send(message(&["a@example.com"]), soon())
        .await
        .unwrap();
    let hello = heard.lock().unwrap()[0].clone();
    assert!(hello.starts_with("EHLO ") && hello.contains('.'), "{hello}");
}

#[tokio::test]
async fn implicit_tls_is_encrypted_from_the_first_byte() {
    let authority = Authority::new();
    let heard = Heard::default();
    let ears = heard.clone();
    let address = authority
        .serve(&Leaf::of(&["127.0.0.1"]), &[], move |stream| {
            let ears = ears.clone();
            async move { drop(talk(stream, FRIENDLY, "220 hi\r\n", ears).await) }
        })
        .await;
    let trusting = mailing(settings(address, SmtpTls::Implicit), Some(&authority));
    assert_eq!(
        trusting
            .mail_send(message(&["a@example.com"]), soon())
            .await
            .unwrap(),
        "250 2.0.0 queued as 42"
    );
    let stranger = mailing(settings(address, SmtpTls::Implicit), None);
    let failure = stranger
        .mail_send(message(&["a@example.com"]), soon())
        .await
        .unwrap_err();
    assert!(
        matches!(&failure, MailError::Temporary(text) if text.contains("is unknown")),
        "{failure:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_away_silent_or_endless_is_temporary() {
    let closed = closed_port().await;
    let silent = serve_silence().await;
    let endless =
        serve(|mut stream| async move { while stream.write_all(&[b'2'; 4096]).await.is_ok() {} })
            .await;
    for (address, deadline, text) in [
        (closed, soon(), "connection refused"),
        (silent, shortly(), "timed out after"),
        (endless, soon(), "says too much"),
    ] {
        let started = Instant::now();
        let net = mailing(settings(address, SmtpTls::None), None);
        let failure = net
            .mail_send(message(&["a@example.com"]), deadline)
            .await
            .unwrap_err();
        assert!(
            matches!(&failure, MailError::Temporary(found) if found.contains(text)),
            "{failure:?}"
        );
        assert!(started.elapsed() < Duration::from_secs(10));
    }
}

#[tokio::test]
async fn the_policy_holds_for_mail_too() {
    let (address, heard) = clear_server(FRIENDLY).await;
    let private = SmtpSettings {
        allow_private: false,
        ..settings(address, SmtpTls::None)
    };
    let metadata = SmtpSettings {
        host: "169.254.169.254".to_owned(),
        ..settings(address, SmtpTls::None)
    };
    for settings in [private, metadata] {
        let failure = mailing(settings, None)
            .mail_send(message(&["a@example.com"]), soon())
            .await
            .unwrap_err();
        assert!(matches!(failure, MailError::Denied(_)), "{failure:?}");
    }
    let none = net(NetSettings::default(), None)
        .mail_send(message(&["a@example.com"]), soon())
        .await
        .unwrap_err();
    assert!(
        matches!(&none, MailError::Denied(text) if text.contains("SMTP_HOST")),
        "{none:?}"
    );
    assert!(heard.lock().unwrap().is_empty());
}

#[test]
fn wrong_settings_are_found_at_the_start() {
    let good = settings("127.0.0.1:25".parse().unwrap(), SmtpTls::None);
    for wrong in [
        SmtpSettings {
            from: "nobody".to_owned(),
            ..good.clone()
        },
        SmtpSettings {
            host: "a b".to_owned(),
            ..good.clone()
        },
        SmtpSettings {
            host: String::new(),
            ..good.clone()
        },
    ] {
        let settings = NetSettings {
            smtp: Some(wrong),
            ..NetSettings::default()
        };
        assert!(matches!(
            Net::with_roots(settings, &Roots::new(Vec::new())),
            Err(NetSetupError::Smtp(_))
        ));
    }
    let secret = with_password(good);
    assert!(!format!("{secret:?}").contains("hush"));
}
