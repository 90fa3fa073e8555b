//! `valueFile`, `passwordCommand` and the like: secrets that stand in files of their own, or that a
//! program writes. Only configuration files may name one; over the API it would read any file of the
//! machine, and run any program.

use std::path::Path;

use super::environment::read_secret;
use super::secret_command::{self, SecretCommands};
use crate::domain::fault::{FaultReport, child};
use crate::spec::{AuthenticationSpec, SecretCommandSpec, ServiceSpec};

/// Where secrets come from: folder of relative paths, and the file that names them.
#[derive(Clone, Copy)]
pub(super) struct Sources<'a> {
    pub(super) folder: &'a Path,
    pub(super) file: &'a str,
    /// None: commands are refused, because who wrote the text is not known.
    pub(super) commands: Option<&'a SecretCommands>,
}

/// A secret in a file of configuration: itself, or where it comes from.
pub(super) struct Slot<'a> {
    pub(super) key: &'static str,
    pub(super) secret: &'a mut Option<String>,
    pub(super) file: &'a mut Option<String>,
    pub(super) command: &'a mut Option<SecretCommandSpec>,
}

/// Puts the secrets of services in place.
pub(super) fn resolve(
    services: &mut [(usize, ServiceSpec)],
    sources: Sources<'_>,
    report: &mut FaultReport,
) {
    let mut credentials: Vec<(String, &mut AuthenticationSpec)> = Vec::new();
    for (index, spec) in services {
        let at = child("/services", *index);
        if let Some(authentication) = &mut spec.authentication {
            credentials.push((child(&at, "authentication"), authentication));
        }
        let at = child(&at, "credentials");
        for (name, credential) in &mut spec.credentials {
            credentials.push((child(&at, name), credential));
        }
    }
    let mut slots: Vec<(String, Slot<'_>)> = credentials
        .into_iter()
        .flat_map(|(at, spec)| slots(spec).map(move |slot| (at.clone(), slot)))
        .filter(|(_, slot)| slot.file.is_some() || slot.command.is_some())
        .collect();
    let commands = slots
        .iter()
        .filter_map(|(_, slot)| (*slot.command).as_ref());
    secret_command::run_all(commands, sources);
    for (at, slot) in &mut slots {
        resolve_one(slot, at, sources, report);
    }
}

/// Puts the secret that stands in a file, or that a command writes, in its place.
pub(super) fn resolve_one(
    slot: &mut Slot<'_>,
    at: &str,
    sources: Sources<'_>,
    report: &mut FaultReport,
) {
    let (file, command) = (slot.file.take(), slot.command.take());
    let key = slot.key;
    let (place, found) = match (file, command) {
        (None, None) => return,
        (Some(_), Some(_)) => {
            let message = format!("is given beside `{key}File`; remove one");
            return report.fault(child(at, format!("{key}Command")), message);
        }
        (Some(path), None) => {
            let text = read_secret(&sources.folder.join(&path));
            let text = text.map_err(|reason| format!("`{path}` {reason}"));
            (child(at, format!("{key}File")), text)
        }
        (None, Some(command)) => {
            let place = child(at, format!("{key}Command"));
            let text = secret_command::value(&command, sources, |kept| {
                report.warn(&place, kept);
            });
            (place, text)
        }
    };
    if slot.secret.is_some() {
        return report.fault(place, format!("is given beside `{key}`; remove one"));
    }
    match found {
        Ok(text) => *slot.secret = Some(text),
        Err(reason) => report.fault(place, reason),
    }
}

fn slots(spec: &mut AuthenticationSpec) -> impl Iterator<Item = Slot<'_>> {
    macro_rules! slot {
        ($key:literal, $secret:ident, $file:ident, $command:ident) => {
            Slot {
                key: $key,
                secret: &mut spec.$secret,
                file: &mut spec.$file,
                command: &mut spec.$command,
            }
        };
    }
    [
        slot!("value", value, value_file, value_command),
        slot!("password", password, password_file, password_command),
        slot!("token", token, token_file, token_command),
        slot!(
            "refreshToken",
            refresh_token,
            refresh_token_file,
            refresh_token_command
        ),
        slot!(
            "clientSecret",
            client_secret,
            client_secret_file,
            client_secret_command
        ),
        slot!(
            "certificate",
            certificate,
            certificate_file,
            certificate_command
        ),
        slot!("key", key, key_file, key_command),
        slot!("secret", secret, secret_file, secret_command),
        slot!("secretKey", secret_key, secret_key_file, secret_key_command),
        slot!(
            "sessionToken",
            session_token,
            session_token_file,
            session_token_command
        ),
    ]
    .into_iter()
}
