//! The last look for secrets before a recording leaves memory. A guest never had them, so they are there only if the service
//! said them back and nobody took them out on the way.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::domain::{Credential, CredentialKind};
use crate::plugin_host::secrets::SealedSettings;

/// Shorter ones stand in too many texts by chance, and are guessed at once anyway.
const LEAST_BYTES: usize = 6;

/// Of one run. Empty for most.
#[derive(Clone, Default)]
pub(in crate::plugin_host) struct Secrets(Vec<SecretString>);

impl Secrets {
    pub(in crate::plugin_host) fn of(settings: &SealedSettings, credentials: &[Credential]) -> Self {
        let mut secrets: Vec<SecretString> = settings.secrets().cloned().collect();
        for credential in credentials {
            match &credential.kind {
                CredentialKind::Header { value, .. } | CredentialKind::Query { value, .. } => {
                    secrets.push(value.clone());
                }
                CredentialKind::Bearer { token } => secrets.push(token.clone()),
                CredentialKind::Basic { username, password } => {
                    secrets.push(password.clone());
                    let pair = format!("{username}:{}", password.expose_secret());
                    secrets.push(STANDARD.encode(pair).into());
                }
            }
        }
        secrets.retain(|secret| secret.expose_secret().len() >= LEAST_BYTES);
        Self(secrets)
    }

    /// The JSON text with `***` in the place of secrets. Names of fields stay.
    pub(super) fn taken_out(&self, json: Vec<u8>) -> serde_json::Result<Vec<u8>> {
        let found = |text: &str| {
            self.0.iter().any(|secret| {
                let secret = secret.expose_secret();
                let quoted = Value::from(secret).to_string();
                text.contains(secret) || text.contains(&quoted[1..quoted.len() - 1])
            })
        };
        match std::str::from_utf8(&json) {
            Ok(text) if found(text) => {}
            _ => return Ok(json),
        }
        let mut value: Value = serde_json::from_slice(&json)?;
        // Each line as it was: the first is read on its own.
        let Value::Object(fields) = &mut value else { return Ok(json) };
        let mut out = Vec::with_capacity(json.len());
        for (index, (name, field)) in fields.iter_mut().enumerate() {
            self.take_out(field);
            out.extend_from_slice(match index {
                0 => b"{",
                1 => b",",
                _ => b",\n",
            });
            serde_json::to_writer(&mut out, name)?;
            out.push(b':');
            serde_json::to_writer(&mut out, field)?;
        }
        out.extend_from_slice(b"}\n");
        Ok(out)
    }

    fn take_out(&self, value: &mut Value) {
        match value {
            Value::String(text) => {
                for secret in &self.0 {
                    if text.contains(secret.expose_secret()) {
                        *text = text.replace(secret.expose_secret(), "***");
                    }
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| self.take_out(item)),
            Value::Object(fields) => fields.values_mut().for_each(|field| self.take_out(field)),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secrets(texts: &[&str]) -> Secrets {
        Secrets(texts.iter().map(|text| SecretString::from(*text)).collect())
    }

    #[test]
    fn nothing_but_the_secrets_goes() {
        let json = "{\"format\":1,\"run\":{\"a\":\"x\"},\n\"status\":[\"key=s3cr\\\"et!\",\"status\",{\"b\":\"s3cr\\\"et!\"}]}\n";
        let taken_out = secrets(&["s3cr\"et!", "status"]).taken_out(json.into()).unwrap();
        assert_eq!(
            String::from_utf8(taken_out).unwrap(),
            "{\"format\":1,\"run\":{\"a\":\"x\"},\n\"status\":[\"key=***\",\"***\",{\"b\":\"***\"}]}\n"
        );
        assert_eq!(secrets(&["another"]).taken_out(json.into()).unwrap(), json.as_bytes());
    }
}
