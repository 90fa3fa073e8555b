//! Composes the text that is sent from a message.

use lettre::Message;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Attachment, Mailbox, MultiPart, SinglePart};

use super::MailMessage;
use crate::domain::MessageFile;

/// Recipients that a server must take (RFC 5321, 4.5.3.1.8).
const MAX_RECIPIENTS: usize = 100;
/// Longer subjects are cut.
const MAX_SUBJECT_CHARACTERS: usize = 500;

pub(super) fn mailbox(text: &str) -> Result<Mailbox, String> {
    text.parse()
        .map_err(|error| format!("`{text}` is not a mail address: {error}"))
}

/// The bare address of `Operations <ops@example.com>`, in lower case.
pub fn mail_address(text: &str) -> Option<String> {
    mailbox(text)
        .ok()
        .map(|mailbox| mailbox.email.to_string().to_lowercase())
}

/// Plain text, or both forms when there is HTML. An error is permanent.
pub(super) fn compose(message: &MailMessage, operator: &str) -> Result<Message, String> {
    let from = mailbox(message.from.as_deref().unwrap_or(operator))?;
    if message.to.is_empty() {
        return Err("the message has no recipient".to_owned());
    }
    if message.to.len() > MAX_RECIPIENTS {
        return Err(format!(
            "the message has {} recipients; at most {MAX_RECIPIENTS} are possible",
            message.to.len()
        ));
    }
    let automatic = HeaderValue::new(
        HeaderName::new_from_ascii_str("Auto-Submitted"),
        "auto-generated".to_owned(),
    );
    let mut builder = Message::builder()
        .message_id(Some(format!(
            "<{}@{}>",
            id_text(&message.id),
            from.email.domain()
        )))
        .date_now()
        .subject(line(&message.subject))
        .raw_header(automatic)
        .from(from);
    for to in &message.to {
        builder = builder.to(mailbox(to)?);
    }
    let built = match (&message.html, message.files.is_empty()) {
        (Some(html), true) => builder.multipart(MultiPart::alternative_plain_html(
            message.text.clone(),
            html.clone(),
        )),
        (None, true) => builder.singlepart(SinglePart::plain(message.text.clone())),
        (_, false) => builder.multipart(with_files(message)?),
    };
    built.map_err(|error| format!("the message can't be written: {error}"))
}

/// Both forms, the HTML with its pictures, and the attachments behind them.
fn with_files(message: &MailMessage) -> Result<MultiPart, String> {
    let is_picture = |file: &&MessageFile| file.content_id.is_some() && message.html.is_some();
    let mut body = MultiPart::alternative().singlepart(SinglePart::plain(message.text.clone()));
    if let Some(html) = &message.html {
        let mut page = MultiPart::related().singlepart(SinglePart::html(html.clone()));
        for file in message.files.iter().filter(is_picture) {
            page = page.singlepart(part(file)?);
        }
        body = body.multipart(page);
    }
    let mut whole = MultiPart::mixed().multipart(body);
    for file in message.files.iter().filter(|file| !is_picture(file)) {
        whole = whole.singlepart(part(file)?);
    }
    Ok(whole)
}

fn part(file: &MessageFile) -> Result<SinglePart, String> {
    let kind = ContentType::parse(&file.media_type)
        .map_err(|error| format!("`{}` is no media type: {error}", file.media_type))?;
    let name = file.name.clone();
    let attachment = match &file.content_id {
        Some(id) => Attachment::new_inline_with_name(id.clone(), name),
        None => Attachment::new(name),
    };
    Ok(attachment.body(file.content.clone(), kind))
}

/// One line: a subject can't add headers.
fn line(text: &str) -> String {
    let clean = text.chars().map(|character| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    });
    clean.take(MAX_SUBJECT_CHARACTERS).collect()
}

/// Returns a text that needs no quotes left of the `@` in a Message-ID (RFC 5322).
fn id_text(id: &str) -> String {
    let id: String = id
        .chars()
        .take(200)
        .map(|c| {
            if c.is_ascii_alphanumeric() || "-_+=".contains(c) {
                c
            } else {
                '-'
            }
        })
        .collect();
    if id.is_empty() {
        "message".to_owned()
    } else {
        id
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn message() -> MailMessage {
        MailMessage {
            from: None,
            to: vec![
                "Ops <ops@example.com>".to_owned(),
                "b@example.com".to_owned(),
            ],
            subject: "[FIRING] shop-api".to_owned(),
            text: "down".to_owned(),
            html: None,
            id: "alert-1.fire@x".to_owned(),
            files: Arc::default(),
        }
    }

    fn formatted(message: &MailMessage) -> String {
        String::from_utf8(
            compose(message, "Watch <watch@example.org>")
                .unwrap()
                .formatted(),
        )
        .unwrap()
    }

    #[test]
    fn carries_the_given_id_and_says_it_is_automatic() {
        let text = formatted(&message());
        for wanted in [
            "Message-ID: <alert-1-fire-x@example.org>\r\n",
            "Auto-Submitted: auto-generated\r\n",
            "Subject: [FIRING] shop-api\r\n",
            "Content-Type: text/plain; charset=utf-8\r\n",
            "\r\n\r\ndown",
        ] {
            assert!(text.contains(wanted), "{wanted:?} in {text}");
        }
        assert_eq!(formatted(&message()).lines().next(), text.lines().next());
    }

    #[test]
    fn sends_both_forms_when_there_is_html() {
        let text = formatted(&MailMessage {
            html: Some("<b>down</b>".to_owned()),
            ..message()
        });
        for wanted in [
            "multipart/alternative",
            "text/plain",
            "text/html",
            "<b>down</b>",
        ] {
            assert!(text.contains(wanted), "{wanted:?} in {text}");
        }
    }

    #[test]
    fn pictures_go_beside_the_html_and_attachments_behind_it() {
        let file = |name: &str, media_type: &str, id: Option<&str>| MessageFile {
            name: name.to_owned(),
            media_type: media_type.to_owned(),
            content_id: id.map(str::to_owned),
            content: vec![0x25; 2_000],
        };
        let text = formatted(&MailMessage {
            html: Some("<img src=\"cid:chart-0\">".to_owned()),
            files: Arc::new(vec![
                file("weekly.pdf", "application/pdf", None),
                file("chart-0.png", "image/png", Some("chart-0")),
            ]),
            ..message()
        });
        let places: Vec<usize> = [
            "multipart/mixed",
            "multipart/alternative",
            "text/plain",
            "multipart/related",
            "text/html",
            "Content-ID: <chart-0>",
            "filename=\"weekly.pdf\"",
        ]
        .iter()
        .map(|part| text.find(part).unwrap_or_else(|| panic!("{part}: {text}")))
        .collect();
        assert!(places.is_sorted(), "{places:?} in {text}");
        assert!(text.split("\r\n").all(|line| line.len() <= 998));
    }

    #[test]
    fn lines_stay_inside_of_rfc_5322_whatever_is_in_them() {
        let odd = "👩\u{200d}🚒 e\u{301} \"x\" <b> \0 \r\nBcc: evil@example.com ";
        let long = odd.repeat(200);
        for (subject, body) in [
            (long.clone(), long.clone()),
            ("x".repeat(5_000), "y".repeat(5_000)),
        ] {
            let text = formatted(&MailMessage {
                subject,
                text: body.clone(),
                html: Some(format!("<p>{body}</p>")),
                ..message()
            });
            assert!(
                text.is_ascii() && text.split("\r\n").all(|line| line.len() <= 998),
                "{text}"
            );
            let head = text.split("\r\n\r\n").next().unwrap();
            assert!(!head.lines().any(|line| line.starts_with("Bcc")), "{head}");
            assert!(!text.contains('\0'));
        }
    }

    #[test]
    fn a_subject_or_an_id_can_not_add_headers() {
        let text = formatted(&MailMessage {
            subject: "a\r\nBcc: evil@example.com".to_owned(),
            id: "x>\r\nBcc: evil@example.com".to_owned(),
            ..message()
        });
        assert!(!text.lines().any(|line| line.starts_with("Bcc")), "{text}");
    }

    #[test]
    fn wrong_addresses_are_named() {
        for (from, to) in [
            (Some("nobody"), vec!["a@example.com"]),
            (None, vec!["a b"]),
            (None, vec![]),
        ] {
            let message = MailMessage {
                from: from.map(str::to_owned),
                to: to.into_iter().map(str::to_owned).collect(),
                ..message()
            };
            assert!(
                compose(&message, "watch@example.org").is_err(),
                "{message:?}"
            );
        }
    }
}
