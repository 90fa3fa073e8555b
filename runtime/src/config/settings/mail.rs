//! The operator's mail server.

use secrecy::SecretString;

use super::SettingsReader;
use crate::net::{SmtpSettings, SmtpTls};

impl SettingsReader<'_> {
    pub(super) fn smtp(&mut self) -> Option<SmtpSettings> {
        let port = self.parsed("SMTP_PORT", |text| match text.parse::<u16>() {
            Ok(port) if port > 0 => Ok(port),
            _ => Err("must be a port between 1 and 65535".to_owned()),
        });
        let tls = self.parsed("SMTP_TLS", |text| match text {
            "starttls" => Ok(SmtpTls::Starttls),
            "implicit" => Ok(SmtpTls::Implicit),
            "opportunistic" => Ok(SmtpTls::Opportunistic),
            "none" => Ok(SmtpTls::None),
            _ => Err("must be one of `starttls`, `implicit`, `opportunistic`, `none`".to_owned()),
        });
        let from = self.parsed("SMTP_FROM", |text| {
            if text.contains('@') {
                Ok(text.to_owned())
            } else {
                Err("must be an e-mail address".to_owned())
            }
        });
        let hello = self.smtp_hello();
        let (username, password) = (self.text("SMTP_USERNAME"), self.text("SMTP_PASSWORD"));
        self.smtp_login_check(username.is_some(), password.is_some());
        let host = self.parsed("SMTP_HOST", |text| {
            if text.contains("://") || text.contains(|c: char| c.is_whitespace() || c == '/') {
                return Err(
                    "must be a host name or an address; the port goes into `SMTP_PORT`".to_owned(),
                );
            }
            Ok(text.to_owned())
        })?;
        let port = port.unwrap_or(587);
        let tls = tls.unwrap_or(match port {
            465 => SmtpTls::Implicit,
            25 => SmtpTls::Opportunistic,
            _ => SmtpTls::Starttls,
        });
        if username.is_some() && tls == SmtpTls::None {
            self.warn(
                "SMTP_PASSWORD",
                "is sent unencrypted; set `SMTP_TLS=starttls` or `SMTP_TLS=implicit`",
            );
        }
        let address = username.clone().filter(|name| name.contains('@'));
        let from = from
            .or(address)
            .unwrap_or_else(|| "extrack@localhost".to_owned());
        Some(SmtpSettings {
            host,
            port,
            username,
            password: password.map(SecretString::from),
            from,
            hello,
            tls,
            // The operator wrote the address.
            allow_private: true,
        })
    }

    fn smtp_hello(&mut self) -> Option<String> {
        self.parsed("SMTP_HELLO", |text| {
            let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-.:[]".contains(&byte));
            if is_name && text.len() <= 255 {
                Ok(text.to_owned())
            } else {
                Err("must be a host name such as `monitor.example.com`, or an address such as `[192.0.2.7]`"
                    .to_owned())
            }
        })
    }

    fn smtp_login_check(&mut self, has_username: bool, has_password: bool) {
        if has_username != has_password {
            let name = if has_username {
                "SMTP_USERNAME"
            } else {
                "SMTP_PASSWORD"
            };
            self.fault(
                name,
                "`SMTP_USERNAME` and `SMTP_PASSWORD` belong together; set both or neither",
            );
        }
    }
}
