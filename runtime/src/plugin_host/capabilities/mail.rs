//! E-mail over the operator's SMTP server.

use tokio::time::Instant;

use super::bounds;
use crate::domain::{Capability, ErrorKind, Failure};
use crate::net::{MailError, MailMessage};
use crate::plugin_host::capabilities::host_call::begin;
use crate::plugin_host::capabilities::state::RunState;
use crate::plugin_host::contract::bindings::imports::mail::{
    Host, MailError as GuestError, Message,
};

/// Memory of a message while it is sent, as a multiple of its size: its texts, their encoded form of
/// up to three times as much, and the whole of it in one piece.
const COPIES: usize = 7;

impl Host for RunState {
    async fn send(&mut self, message: Message) -> wasmtime::Result<Result<String, GuestError>> {
        let html = message.html.as_ref().map_or(0, String::len);
        let to = message.to.iter().map(String::len).sum::<usize>();
        let files: usize = self
            .access
            .files
            .iter()
            .map(|file| file.content.len())
            .sum();
        let size = message.subject.len() + message.text.len() + html + to + files;
        let call = begin!(self, "mail.send", &message);
        self.sends(size)?;
        let start = Instant::now();
        let answer = match self.access.holds(size.saturating_mul(COPIES)) {
            Ok(_composed) => self.send_mail(message).await,
            Err(failure) => Err(GuestError::Temporary(failure.to_string())),
        };
        self.waited_since(start);
        if let Err(GuestError::Denied(reason)) = &answer {
            self.denied(reason);
        }
        Ok(self.answered(call, answer.map_err(cut)))
    }
}

impl RunState {
    async fn send_mail(&mut self, message: Message) -> Result<String, GuestError> {
        bounds::message(&message).map_err(GuestError::Permanent)?;
        let granted = self.access.grants.capability(Capability::Mail);
        granted.map_err(|failure| GuestError::Denied(failure.to_string()))?;
        let Some(access) = &self.access.net else {
            return Err(GuestError::Denied("no mail in this call".into()));
        };
        let Some(scope) = &access.mail else {
            return Err(GuestError::Temporary(
                "no SMTP server is configured; set `SMTP_HOST` (and `SMTP_PORT`, `SMTP_FROM`) and start again".into(),
            ));
        };
        scope
            .check(&self.access.grants, message.to.iter().chain(&message.from))
            .map_err(|failure| GuestError::Denied(failure.to_string()))?;
        let net = access.net.clone();
        let mail = MailMessage {
            from: message.from,
            to: message.to,
            subject: message.subject,
            text: message.text,
            html: message.html,
            id: message.id,
            files: self.access.files.clone(),
        };
        let sent = net.mail_send(mail, self.net_deadline).await;
        sent.map_err(|error| match error {
            MailError::Temporary(text) => GuestError::Temporary(text),
            MailError::Permanent(text) => GuestError::Permanent(text),
            MailError::Denied(text) => GuestError::Denied(text),
        })
    }
}

/// A mail server's answer may be as long as it likes.
fn cut(error: GuestError) -> GuestError {
    let cut = |text: String| Failure::new(ErrorKind::Plugin, text).message;
    match error {
        GuestError::Temporary(text) => GuestError::Temporary(cut(text)),
        GuestError::Permanent(text) => GuestError::Permanent(cut(text)),
        GuestError::Denied(text) => GuestError::Denied(cut(text)),
        GuestError::Other(text) => GuestError::Other(cut(text)),
    }
}
