//! E-mail by the operator's SMTP server: the server's name under the policy, the conversation under
//! the deadline.

mod compose;
mod hello;
mod wire;

use std::sync::Arc;

use lettre::Message;
use lettre::address::Envelope;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::{
    AsyncSmtpConnection, Certificate, CertificateStore, TlsParameters,
};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::{Instant, timeout_at};
use url::Host;

pub use self::compose::mail_address;
use self::wire::Wire;
use super::connect::{Connected, connect};
use super::context::NetContext;
use super::failure::{NetError, NetSetupError, Trace};
use super::host_rule::HostRule;
use super::host_text::parse_host;
use super::policy::Permission;
use super::tls::{Handshake, Roots};
use crate::domain::MessageFile;

#[derive(Debug, Clone)]
pub struct SmtpSettings {
    pub host: String,
    pub port: u16,
    pub username: Option<String>,
    pub password: Option<SecretString>,
    /// `ops@example.com` or `Operations <ops@example.com>`.
    pub from: String,
    /// Name given to the server; none: one that servers take is looked for.
    pub hello: Option<String>,
    pub tls: SmtpTls,
    /// The server may be on a loopback or private address.
    pub allow_private: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SmtpTls {
    /// Begins in clear text, and goes on encrypted or not at all. Usual on port 587.
    Starttls,
    /// Encrypted if the server offers it and can do it, with any certificate: without encryption it
    /// would be sent all the same. A password is sent only where the certificate is proven.
    Opportunistic,
    /// Encrypted from the first byte. Usual on port 465.
    Implicit,
    /// Clear text, the password too.
    None,
}

#[derive(Debug, Clone)]
pub struct MailMessage {
    /// Sender; none: the operator's address.
    pub from: Option<String>,
    pub to: Vec<String>,
    pub subject: String,
    pub text: String,
    pub html: Option<String>,
    /// Becomes the Message-ID: a repeated attempt carries the same.
    pub id: String,
    /// Pictures of the HTML, and attachments.
    pub files: Arc<Vec<MessageFile>>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MailError {
    /// Worth another attempt.
    #[error("{0}")]
    Temporary(String),
    #[error("{0}")]
    Permanent(String),
    #[error("{0}")]
    Denied(String),
}

/// Why there is no connection on which mail can be handed over.
enum Unopened {
    /// The server offered STARTTLS, and it came to nothing.
    Starttls(MailError),
    Other(MailError),
}

impl From<MailError> for Unopened {
    fn from(error: MailError) -> Self {
        Self::Other(error)
    }
}

impl From<Unopened> for MailError {
    fn from(unopened: Unopened) -> Self {
        match unopened {
            Unopened::Starttls(error) | Unopened::Other(error) => error,
        }
    }
}

/// The settings, checked once.
pub(super) struct Mailer {
    host: Host,
    settings: SmtpSettings,
    permission: Permission,
    starttls: TlsParameters,
}

impl std::fmt::Debug for Mailer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Mailer")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}

impl Mailer {
    pub(super) fn new(settings: SmtpSettings, roots: &Roots) -> Result<Self, NetSetupError> {
        let wrong = |what: String| NetSetupError::Smtp(what);
        let host = parse_host(&settings.host).map_err(|error| wrong(error.to_string()))?;
        compose::mailbox(&settings.from).map_err(wrong)?;
        let rule = HostRule::new(&settings.host, Some(settings.port))
            .map_err(|error| wrong(error.to_string()))?;
        let permission = Permission {
            hosts: vec![rule],
            public_hosts: Vec::new(),
            allow_private: settings.allow_private.into(),
            private_remedy: Permission::OPEN_IN_FILES,
            subject: format!("the SMTP server `{}:{}`", settings.host, settings.port),
            setting: "`SMTP_HOST`".to_owned(),
        };
        let takes_any = settings.tls == SmtpTls::Opportunistic && settings.password.is_none();
        let starttls =
            parameters(&host, roots, takes_any).map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            host,
            settings,
            permission,
            starttls,
        })
    }
}

/// The machine's roots for the client that upgrades by STARTTLS; `takes_any`: no certificate is
/// refused.
fn parameters(
    host: &Host,
    roots: &Roots,
    takes_any: bool,
) -> Result<TlsParameters, lettre::transport::smtp::Error> {
    let name = match host {
        Host::Ipv6(address) => address.to_string(),
        host => host.to_string(),
    };
    let mut builder = TlsParameters::builder(name)
        .dangerous_accept_invalid_certs(takes_any)
        .dangerous_accept_invalid_hostnames(takes_any);
    builder = builder.certificate_store(if roots.native.is_empty() {
        CertificateStore::WebpkiRoots
    } else {
        CertificateStore::None
    });
    for root in roots.native.iter() {
        builder = builder.add_root_certificate(Certificate::from_der(root.to_vec())?);
    }
    builder.build_rustls()
}

/// Answers what the server said to the message.
pub(super) async fn send(
    context: &NetContext,
    mailer: Option<&Mailer>,
    message: MailMessage,
    deadline: Instant,
) -> Result<String, MailError> {
    let Some(mailer) = mailer else {
        return Err(MailError::Denied(
            "no SMTP server is configured; set `SMTP_HOST` and `SMTP_FROM`".to_owned(),
        ));
    };
    let message =
        compose::compose(&message, &mailer.settings.from).map_err(MailError::Permanent)?;
    let mut trace = Trace::new(deadline);
    let mut connection = mailer.connect(context, &mut trace).await?;
    let target = format!("`{}:{}`", mailer.settings.host, mailer.settings.port);
    let deliver = async { Ok(mailer.deliver(&mut connection, &message).await) };
    let answer = trace
        .until(|| format!("handing the message to {target}"), deliver)
        .await
        .map_err(temporary)?;
    // The message is the server's now; its good-bye changes nothing, and gets no more than the
    // deadline.
    let _ = trace
        .until(String::new, async { Ok(connection.quit().await) })
        .await;
    answer
}

impl Mailer {
    /// A name that leads to an address of no use today, as resolvers answer in an outage, may lead
    /// elsewhere tomorrow.
    fn setup_fault(&self, error: NetError) -> MailError {
        match (error, &self.host) {
            (NetError::Denied(text), Host::Ipv4(_) | Host::Ipv6(_)) => MailError::Denied(text),
            (other, _) => temporary(other),
        }
    }

    /// Opens a connection on which mail can be handed over: encrypted and authenticated as the settings
    /// want it. Where mail goes in clear text too, a server that offers STARTTLS and can't do it
    /// gets a second connection without it.
    async fn connect(
        &self,
        context: &NetContext,
        trace: &mut Trace,
    ) -> Result<AsyncSmtpConnection, MailError> {
        let reason = match self.open(context, trace, self.settings.tls).await {
            Ok(connection) => return Ok(connection),
            Err(Unopened::Starttls(reason)) if self.takes_clear_text() => reason,
            Err(unopened) => return Err(unopened.into()),
        };
        tracing::warn!(
            host = self.settings.host,
            port = self.settings.port,
            %reason,
            "the SMTP server offers STARTTLS and can't do it; the mail goes in clear text"
        );
        let opened = self.open(context, trace, SmtpTls::None).await;
        opened.map_err(MailError::from)
    }

    /// True if mail goes in clear text rather than not at all; a password never does.
    fn takes_clear_text(&self) -> bool {
        self.settings.tls == SmtpTls::Opportunistic && self.settings.password.is_none()
    }

    /// Where mail goes in clear text too, a handshake that hangs leaves half of the time for that.
    fn starttls_deadline(&self, deadline: Instant) -> Instant {
        if !self.takes_clear_text() {
            return deadline;
        }
        let now = Instant::now();
        now + deadline.saturating_duration_since(now) / 2
    }

    async fn open(
        &self,
        context: &NetContext,
        trace: &mut Trace,
        tls: SmtpTls,
    ) -> Result<AsyncSmtpConnection, Unopened> {
        let connected = connect(
            context,
            trace,
            &self.permission,
            &self.host,
            self.settings.port,
        )
        .await;
        let connected = connected.map_err(|error| self.setup_fault(error))?;
        let Connected { peer, .. } = connected;
        let greet = format!("greeting `{}:{}`", self.settings.host, self.settings.port);
        let hello = hello::client_id(&self.settings, connected.stream.local_addr().ok());
        let wire: Box<dyn lettre::transport::smtp::client::AsyncTokioStream> = match tls {
            SmtpTls::Implicit => {
                let secured = context
                    .tls
                    .handshake(trace, connected, &self.host, Handshake::default())
                    .await;
                Box::new(Wire::new(secured.map_err(temporary)?.stream, peer))
            }
            _ => Box::new(Wire::new(connected.stream, peer)),
        };
        let until = self.starttls_deadline(trace.deadline);
        let greeting = async {
            let mut connection = AsyncSmtpConnection::connect_with_transport(wire, &hello)
                .await
                .map_err(smtp_fault)?;
            self.secure(&mut connection, tls, &hello, until).await?;
            self.authenticate(&mut connection).await?;
            Ok(connection)
        };
        trace
            .until(|| greet, async { Ok(greeting.await) })
            .await
            .map_err(temporary)?
    }

    async fn secure(
        &self,
        connection: &mut AsyncSmtpConnection,
        tls: SmtpTls,
        hello: &ClientId,
        until: Instant,
    ) -> Result<(), Unopened> {
        let offered = connection.can_starttls();
        let missing = match tls {
            SmtpTls::Implicit | SmtpTls::None => return Ok(()),
            SmtpTls::Starttls | SmtpTls::Opportunistic if offered => {
                let secured = connection.starttls(self.starttls.clone(), hello);
                let secured = match timeout_at(until, secured).await {
                    Ok(secured) => secured.map_err(smtp_fault),
                    Err(_) => Err(MailError::Temporary(
                        "the TLS handshake after STARTTLS did not end in time".to_owned(),
                    )),
                };
                return secured.map_err(Unopened::Starttls);
            }
            SmtpTls::Opportunistic if self.takes_clear_text() => return Ok(()),
            SmtpTls::Opportunistic => {
                "the SMTP server offers no STARTTLS, and the password is not sent in clear text; \
                 set `SMTP_TLS=none` to send it all the same"
            }
            SmtpTls::Starttls => {
                "the SMTP server offers no STARTTLS; set `SMTP_TLS=implicit` (port 465), \
                 or `SMTP_TLS=none` to send in clear text"
            }
        };
        // A server that is being set up, or something in between, may offer it again later.
        Err(MailError::Temporary(missing.to_owned()).into())
    }

    async fn authenticate(&self, connection: &mut AsyncSmtpConnection) -> Result<(), MailError> {
        let (Some(username), Some(password)) = (&self.settings.username, &self.settings.password)
        else {
            return Ok(());
        };
        let credentials = Credentials::new(username.clone(), password.expose_secret().to_owned());
        let answer = connection
            .auth(&[Mechanism::Plain, Mechanism::Login], &credentials)
            .await;
        // A directory that is down, a password that is being changed: no reason to give a message
        // up.
        answer.map(drop).map_err(|error| {
            MailError::Temporary(format!(
                "signing in as `{username}` failed: {}",
                smtp_fault(error)
            ))
        })
    }

    /// Texts are always sent as ASCII; only an address can be beyond it.
    fn parameters(
        &self,
        connection: &AsyncSmtpConnection,
        envelope: &Envelope,
        content: &[u8],
    ) -> Result<Vec<MailParameter>, MailError> {
        let mut addresses = envelope.to().iter().chain(envelope.from());
        if content.is_ascii() && addresses.all(|address| AsRef::<str>::as_ref(address).is_ascii()) {
            return Ok(Vec::new());
        }
        if !connection
            .server_info()
            .supports_feature(Extension::SmtpUtfEight)
        {
            return Err(MailError::Permanent(
                "a mail address has letters beyond ASCII, and the SMTP server does not take those (SMTPUTF8)"
                    .to_owned(),
            ));
        }
        Ok(vec![
            MailParameter::SmtpUtfEight,
            MailParameter::Body(MailBodyParameter::EightBitMime),
        ])
    }

    /// One bad recipient must not keep an alert from the others: the message goes to all that are
    /// accepted. If one was put off (4xx), the whole is worth another attempt under the same
    /// Message-ID.
    async fn deliver(
        &self,
        connection: &mut AsyncSmtpConnection,
        message: &Message,
    ) -> Result<String, MailError> {
        let (envelope, content) = (message.envelope(), message.formatted());
        let parameters = self.parameters(connection, envelope, &content)?;
        connection
            .command(Mail::new(envelope.from().cloned(), parameters))
            .await
            .map_err(smtp_fault)?;
        let mut accepted = 0;
        let mut put_off = Vec::new();
        let mut refused = Vec::new();
        for address in envelope.to() {
            let Err(error) = connection
                .command(Rcpt::new(address.clone(), Vec::new()))
                .await
            else {
                accepted += 1;
                continue;
            };
            let (answered, permanent) = (error.status().is_some(), error.is_permanent());
            let fault = smtp_fault(error);
            match (answered, permanent) {
                (true, true) => refused.push(format!("`{address}`: {fault}")),
                (true, false) => put_off.push(format!("`{address}`: {fault}")),
                (false, _) => return Err(fault),
            }
        }
        let faults = [put_off.as_slice(), refused.as_slice()].concat().join("; ");
        if accepted == 0 {
            return Err(if put_off.is_empty() {
                MailError::Permanent(faults)
            } else {
                MailError::Temporary(faults)
            });
        }
        connection.command(Data).await.map_err(smtp_fault)?;
        let answer = connection.message(&content).await.map_err(smtp_fault)?;
        let answer = answer_text(&answer);
        match (put_off.is_empty(), refused.is_empty()) {
            (true, true) => Ok(answer),
            (true, false) => Ok(format!("{answer}; not delivered to all: {faults}")),
            (false, _) => Err(MailError::Temporary(format!(
                "delivered to {accepted}, not to all: {faults}"
            ))),
        }
    }
}

/// Most text of a server that is passed on.
const MAX_ANSWER_CHARACTERS: usize = 500;

fn answer_text(response: &Response) -> String {
    let lines: Vec<&str> = response.message().collect();
    format!("{} {}", response.code(), lines.join(" "))
        .chars()
        .take(MAX_ANSWER_CHARACTERS)
        .collect()
}

fn temporary(error: NetError) -> MailError {
    MailError::Temporary(error.to_string())
}

/// Wanted is a password or encryption (RFC 4954, RFC 3207): a matter between the server and us, not
/// of the message.
const ABOUT_SIGNING_IN: [u16; 4] = [530, 534, 535, 538];

/// 4xx is temporary, 5xx permanent; what broke on the way is temporary, what we can't do with this
/// server permanent.
fn smtp_fault(error: lettre::transport::smtp::Error) -> MailError {
    let text: String = match error.status() {
        Some(code) => {
            let said = std::error::Error::source(&error)
                .map(ToString::to_string)
                .unwrap_or_default();
            format!("{code} {said}")
        }
        None => wire::fault_text(&error),
    };
    let text = text.trim().chars().take(MAX_ANSWER_CHARACTERS).collect();
    let is_about_signing_in = error
        .status()
        .is_some_and(|code| ABOUT_SIGNING_IN.contains(&u16::from(code)));
    if (error.is_permanent() || error.is_client()) && !is_about_signing_in {
        MailError::Permanent(text)
    } else {
        MailError::Temporary(text)
    }
}

#[cfg(test)]
mod tests;
