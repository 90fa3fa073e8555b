//! The notifier `email`: one message, as text and as HTML, through the operator's mail server.

mod letter;

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Addresses to write to.
    #[setting(mail)]
    recipients: Vec<String>,
    /// Address to write from, in place of the operator's.
    #[setting(mail)]
    from: Option<String>,
    /// Put in front of each subject.
    #[setting(default = "")]
    subject_prefix: String,
}

#[notifier(check_settings = check_settings, wants(capability = "mail"))]
fn notify(notification: &Notification, settings: &Settings) -> Result<Receipt, NotifyError> {
    let message = mail::Message {
        from: settings.from.clone(),
        to: settings.recipients.clone(),
        subject: letter::subject(notification, &settings.subject_prefix),
        text: letter::text(notification),
        html: letter::html(notification),
        id: notification.id.clone(),
        attributes: Vec::new(),
    };
    let answer = mail::send(&message)?;
    Ok(Receipt::new(answer).reference(&notification.id))
}

fn check_settings(settings: &Settings) -> Vec<Fault> {
    let mut faults = Vec::new();
    if settings.recipients.is_empty() {
        faults.push(Fault::new(
            "/recipients",
            "is empty, wanted at least one address",
        ));
    }
    let places = settings
        .recipients
        .iter()
        .enumerate()
        .map(|(index, address)| (format!("/recipients/{index}"), address));
    let from = settings
        .from
        .iter()
        .map(|address| ("/from".to_owned(), address));
    for (path, address) in places
        .chain(from)
        .filter(|(_, address)| !is_address(address))
    {
        faults.push(Fault::new(
            path,
            format!("is `{address}`, wanted an address such as `ops@example.com`"),
        ));
    }
    faults
}

/// Rough: the mail server knows better, but a line break must never get there.
fn is_address(address: &str) -> bool {
    let bare = match address.split_once('<') {
        Some((_, rest)) => rest.strip_suffix('>').unwrap_or(""),
        None => address,
    };
    let is_plain = |text: &str| {
        !text.is_empty()
            && !text.contains(|c: char| c.is_whitespace() || c.is_control() || "<>,;@".contains(c))
    };
    let parts = bare
        .split_once('@')
        .is_some_and(|(name, domain)| is_plain(name) && is_plain(domain));
    parts && !address.contains(char::is_control)
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::Host;
    use extrack_plugin::mail::MailError;

    use super::*;

    fn settings(text: &str) -> Settings {
        Settings::from_json(text).unwrap()
    }

    #[test]
    fn writes_to_the_recipients_with_the_idempotency_key_as_id() {
        let host = Host::install();
        host.answer_mail(Ok("250 2.0.0 queued as 4F".to_owned()));
        let receipt = notify(
            &letter::tests::notification(),
            &settings(r#"{"recipients": ["ops@company.com"]}"#),
        )
        .unwrap();
        assert_eq!(
            receipt,
            Receipt::new("250 2.0.0 queued as 4F").reference("n-1")
        );
        let mail = &host.mails()[0];
        assert_eq!(
            (mail.to.as_slice(), mail.id.as_str()),
            (["ops@company.com".to_owned()].as_slice(), "n-1")
        );
        assert_eq!(mail.subject, "[FIRING] Shop API: Service Down");
        assert_eq!(mail.from, None);
    }

    #[test]
    fn tells_faults_that_pass_from_those_that_stay() {
        let host = Host::install();
        let settings = settings(r#"{"recipients": ["ops@company.com"]}"#);
        for (answer, wanted) in [
            (
                MailError::Temporary("451 later".to_owned()),
                NotifyError::retryable("451 later"),
            ),
            (
                MailError::Permanent("550 no such user".to_owned()),
                NotifyError::permanent("550 no such user"),
            ),
            (
                MailError::Denied("no mail server is set".to_owned()),
                NotifyError::permanent("no mail server is set"),
            ),
        ] {
            host.answer_mail(Err(answer));
            assert_eq!(
                notify(&letter::tests::notification(), &settings),
                Err(wanted)
            );
        }
    }

    #[test]
    fn addresses_are_checked_when_settings_are_saved() {
        let parsed = settings(
            r#"{"recipients": ["a@b.example", "nobody", "a b@c", "a@b\nBcc: c@d", "Ops <o@b.example>"], "from": "me"}"#,
        );
        let paths: Vec<String> = check_settings(&parsed)
            .into_iter()
            .map(|fault| fault.path)
            .collect();
        assert_eq!(
            paths,
            ["/recipients/1", "/recipients/2", "/recipients/3", "/from"]
        );
        assert_eq!(
            check_settings(&settings(r#"{"recipients": []}"#))[0].path,
            "/recipients"
        );
    }
}
