//! E-mail over the operator's SMTP server.

use tokio::time::Instant;

use crate::domain::Capability;
use crate::net::{MailError, MailMessage};
use crate::plugin_host::bindings::imports::mail::{Host, MailError as GuestError, Message};
use crate::plugin_host::state::RunState;

impl Host for RunState {
    async fn send(&mut self, message: Message) -> wasmtime::Result<Result<String, GuestError>> {
        self.host_call()?;
        let html = message.html.as_ref().map_or(0, String::len);
        let to = message.to.iter().map(String::len).sum::<usize>();
        self.sends(message.subject.len() + message.text.len() + html + to)?;
        if let Err(failure) = self.access.allowance.capability(Capability::Mail) {
            let reason = failure.to_string();
            self.denied(&reason);
            return Ok(Err(GuestError::Denied(reason)));
        }
        let net = match &self.access.net {
            Some(access) if access.mail => access.net.clone(),
            Some(_) => {
                return Ok(Err(GuestError::Temporary(
                    "no SMTP server is configured; set `SMTP_HOST` (and `SMTP_PORT`, `SMTP_FROM`) and start again"
                        .into(),
                )));
            }
            None => return Ok(Err(GuestError::Denied("no mail in this call".into()))),
        };
        let start = Instant::now();
        let mail = MailMessage {
            from: message.from,
            to: message.to,
            subject: message.subject,
            text: message.text,
            html: message.html,
            id: message.id,
        };
        let sent = net.mail_send(mail, self.net_deadline).await;
        self.waited_since(start);
        if let Err(MailError::Denied(reason)) = &sent {
            self.denied(reason);
        }
        Ok(sent.map_err(|error| match error {
            MailError::Temporary(text) => GuestError::Temporary(text),
            MailError::Permanent(text) => GuestError::Permanent(text),
            MailError::Denied(text) => GuestError::Denied(text),
        }))
    }
}
