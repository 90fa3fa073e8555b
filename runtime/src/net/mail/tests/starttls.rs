//! Encryption that begins after the greeting, and what becomes of the mail without it.

use super::*;

/// Offers STARTTLS, `early` behind its consent, and then AUTH.
async fn starttls_server(authority: &Authority, early: &'static str) -> (SocketAddr, Heard) {
    starttls_server_for(authority, &["127.0.0.1"], early).await
}

async fn starttls_server_for(
    authority: &Authority,
    names: &'static [&'static str],
    early: &'static str,
) -> (SocketAddr, Heard) {
    const CLEAR: Script = &[
        ("EHLO", "250-me\r\n250 STARTTLS"),
        ("STARTTLS", "220 go on"),
    ];
    const INJECTING: Script = &[
        ("EHLO", "250-me\r\n250 STARTTLS"),
        ("STARTTLS", "220 go on\r\n250 AUTH LOGIN PLAIN"),
    ];
    const SECURE: Script = &[
        ("EHLO", "250-me\r\n250 AUTH PLAIN"),
        ("AUTH PLAIN AG1lAGh1c2gtaHVzaA==", "235 welcome"),
        ("AUTH", "535 5.7.8 wrong password"),
        ("DATA", "354 go on"),
        (".", "250 queued"),
        ("QUIT", "221 bye"),
    ];
    let acceptor = authority.acceptor(&Leaf::of(names), &[]);
    let heard = Heard::default();
    let ears = heard.clone();
    let address = serve(move |stream| {
        let (acceptor, ears) = (acceptor.clone(), ears.clone());
        async move {
            let clear = if early.is_empty() { CLEAR } else { INJECTING };
            let stream = talk(stream, clear, "220 hi\r\n", ears.clone()).await;
            if let Ok(stream) = acceptor.accept(stream).await {
                talk(stream, SECURE, "", ears).await;
            }
        }
    })
    .await;
    (address, heard)
}

#[tokio::test]
async fn starttls_encrypts_before_the_password_is_sent() {
    let authority = Authority::new();
    for tls in [SmtpTls::Starttls, SmtpTls::Opportunistic] {
        let (address, heard) = starttls_server(&authority, "").await;
        let net = mailing(with_password(settings(address, tls)), Some(&authority));
        assert_eq!(
            net.mail_send(message(&["a@example.com"]), soon())
                .await
                .unwrap(),
            "250 queued"
        );
        let heard = heard.lock().unwrap();
        let position = |start: &str| {
            heard
                .iter()
                .position(|line| line.starts_with(start))
                .unwrap()
        };
        assert!(position("STARTTLS") < position("AUTH PLAIN"));
    }
    // A wrong password may be mended, and is not in the text.
    let (address, _) = starttls_server(&authority, "").await;
    let wrong = SmtpSettings {
        password: Some("open-sesame".into()),
        ..with_password(settings(address, SmtpTls::Starttls))
    };
    let failure = mailing(wrong, Some(&authority))
        .mail_send(message(&["a@example.com"]), soon())
        .await
        .unwrap_err();
    let MailError::Temporary(text) = &failure else {
        panic!("{failure:?}")
    };
    assert!(
        text.contains("signing in as `me` failed: 535") && !text.contains("sesame"),
        "{text}"
    );
}

#[tokio::test]
async fn what_was_said_in_clear_text_does_not_count_after_starttls() {
    let authority = Authority::new();
    let (address, heard) = starttls_server(&authority, "injected").await;
    let net = mailing(
        with_password(settings(address, SmtpTls::Starttls)),
        Some(&authority),
    );
    let failure = net
        .mail_send(message(&["a@example.com"]), soon())
        .await
        .unwrap_err();
    assert!(matches!(failure, MailError::Temporary(_)), "{failure:?}");
    assert!(
        !heard
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.starts_with("AUTH"))
    );
}

#[tokio::test]
async fn encryption_that_is_missing_or_not_trusted_stops_the_mail() {
    let authority = Authority::new();
    let (clear, _) = clear_server(FRIENDLY).await;
    let (stranger, heard) = starttls_server(&authority, "").await;
    for (settings, text) in [
        (settings(clear, SmtpTls::Starttls), "offers no STARTTLS"),
        (
            with_password(settings(clear, SmtpTls::Opportunistic)),
            "password is not sent in clear text",
        ),
        (
            with_password(settings(stranger, SmtpTls::Starttls)),
            "certificate is self-signed, or its issuer is not known",
        ),
        (
            settings(stranger, SmtpTls::Starttls),
            "`SMTP_TLS=opportunistic`",
        ),
        (
            with_password(settings(stranger, SmtpTls::Opportunistic)),
            "certificate is self-signed",
        ),
    ] {
        let failure = mailing(settings, None)
            .mail_send(message(&["a@example.com"]), soon())
            .await
            .unwrap_err();
        assert!(
            matches!(failure, MailError::Temporary(_)),
            "worth another attempt tomorrow: {failure:?}"
        );
        assert!(failure.to_string().contains(text), "{text:?} in {failure}");
    }
    assert!(
        !heard
            .lock()
            .unwrap()
            .iter()
            .any(|line| line.starts_with("AUTH"))
    );
    // Without a password, opportunistic goes on in clear text.
    let net = mailing(settings(clear, SmtpTls::Opportunistic), None);
    net.mail_send(message(&["a@example.com"]), soon())
        .await
        .unwrap();
}

#[tokio::test]
async fn a_relay_next_door_is_written_to_whatever_its_certificate_says_as_long_as_there_is_no_password()
 {
    let authority = Authority::new();
    let (address, heard) = starttls_server_for(&authority, &["mailhost"], "").await;
    let net = mailing(settings(address, SmtpTls::Opportunistic), None);
    assert_eq!(
        net.mail_send(message(&["a@example.com"]), soon())
            .await
            .unwrap(),
        "250 queued"
    );
    assert!(heard.lock().unwrap().contains(&"STARTTLS".to_owned()));
}

/// Offers STARTTLS and can't do it: `talk` hangs up behind its answer.
const BROKEN_STARTTLS: Script = &[
    ("EHLO", "250-me\r\n250-AUTH PLAIN\r\n250 STARTTLS"),
    ("STARTTLS", "220 go on"),
    ("AUTH", "235 ok"),
    ("DATA", "354 go on"),
    (".", "250 queued"),
    ("QUIT", "221 bye"),
];

#[tokio::test]
async fn a_server_that_fails_at_starttls_gets_the_mail_in_clear_text_where_that_is_allowed() {
    const REFUSING: Script = &[
        ("EHLO", "250-me\r\n250 STARTTLS"),
        ("STARTTLS", "454 4.7.0 TLS not available"),
        ("DATA", "354 go on"),
        (".", "250 queued"),
    ];
    const NOISY: Script = &[
        ("EHLO", "250-me\r\n250 STARTTLS"),
        ("STARTTLS", "220 go on\r\n220 and no handshake follows"),
        ("DATA", "354 go on"),
        (".", "250 queued"),
    ];
    for script in [BROKEN_STARTTLS, REFUSING, NOISY] {
        let (address, heard) = clear_server(script).await;
        let net = mailing(settings(address, SmtpTls::Opportunistic), None);
        let answer = net.mail_send(message(&["a@example.com"]), soon()).await;
        assert_eq!(answer.as_deref(), Ok("250 queued"), "{script:?}");
        let heard = heard.lock().unwrap();
        let times = |wanted: &str| heard.iter().filter(|line| *line == wanted).count();
        assert_eq!(
            (times("STARTTLS"), times("DATA")),
            (1, 1),
            "it is tried once, on a connection of its own: {heard:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_fails_at_starttls_gets_nothing_where_encryption_is_wanted_or_a_password_is_set()
 {
    let (address, heard) = clear_server(BROKEN_STARTTLS).await;
    for settings in [
        settings(address, SmtpTls::Starttls),
        with_password(settings(address, SmtpTls::Starttls)),
        with_password(settings(address, SmtpTls::Opportunistic)),
    ] {
        let failure = mailing(settings, None)
            .mail_send(message(&["a@example.com"]), soon())
            .await
            .unwrap_err();
        assert!(matches!(failure, MailError::Temporary(_)), "{failure:?}");
    }
    let heard = heard.lock().unwrap();
    assert_eq!(
        heard.iter().filter(|line| *line == "STARTTLS").count(),
        3,
        "one connection each: {heard:?}"
    );
    assert!(
        !heard
            .iter()
            .any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")),
        "{heard:?}"
    );
}

/// Agrees to STARTTLS and is silent from then on; what comes in clear text is taken.
async fn hanging_starttls_server() -> (SocketAddr, Heard) {
    let heard = Heard::default();
    let ears = heard.clone();
    let address = serve(move |stream| {
        let ears = ears.clone();
        async move {
            // `talk` ends at STARTTLS and at QUIT; the connection stays open, beside the next one.
            tokio::spawn(async move {
                let _open = talk(stream, BROKEN_STARTTLS, "220 hi\r\n", ears).await;
                std::future::pending::<()>().await;
            });
        }
    })
    .await;
    (address, heard)
}

#[tokio::test]
async fn a_handshake_that_hangs_leaves_time_for_clear_text_where_that_is_allowed() {
    let (address, heard) = hanging_starttls_server().await;
    let deadline = Instant::now() + std::time::Duration::from_secs(10);
    let net = mailing(settings(address, SmtpTls::Opportunistic), None);
    let answer = net.mail_send(message(&["a@example.com"]), deadline).await;
    assert_eq!(answer.as_deref(), Ok("250 queued"));
    assert!(heard.lock().unwrap().contains(&"DATA".to_owned()));

    let net = mailing(settings(address, SmtpTls::Starttls), None);
    let failure = net
        .mail_send(message(&["a@example.com"]), shortly())
        .await
        .unwrap_err();
    assert!(matches!(failure, MailError::Temporary(_)), "{failure:?}");
}
