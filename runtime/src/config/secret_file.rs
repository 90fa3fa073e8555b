//! `valueFile`, `passwordFile`, `keyFile` and the like: secrets that stand in files of their own.
//! Only configuration files may name one; over the API it would read any file of the machine.

use std::path::Path;

use super::environment::read_secret;
use crate::domain::fault::{FaultReport, child};
use crate::spec::{AuthenticationSpec, ServiceSpec};

/// Puts the secrets in place. Relative paths start at the configuration folder.
pub(super) fn resolve(
    spec: &mut ServiceSpec,
    at: &str,
    config_dir: &Path,
    report: &mut FaultReport,
) {
    if let Some(authentication) = &mut spec.authentication {
        read(
            authentication,
            &child(at, "authentication"),
            config_dir,
            report,
        );
    }
    for (name, credential) in &mut spec.credentials {
        read(
            credential,
            &child(&child(at, "credentials"), name),
            config_dir,
            report,
        );
    }
}

fn read(spec: &mut AuthenticationSpec, at: &str, config_dir: &Path, report: &mut FaultReport) {
    for (key, secret, file) in [
        ("value", &mut spec.value, &mut spec.value_file),
        ("password", &mut spec.password, &mut spec.password_file),
        ("token", &mut spec.token, &mut spec.token_file),
        (
            "clientSecret",
            &mut spec.client_secret,
            &mut spec.client_secret_file,
        ),
        (
            "certificate",
            &mut spec.certificate,
            &mut spec.certificate_file,
        ),
        ("key", &mut spec.key, &mut spec.key_file),
    ] {
        read_one(key, secret, file, at, config_dir, report);
    }
}

/// The secret that stands in the file, in the place of `secret`.
pub(super) fn read_one(
    key: &str,
    secret: &mut Option<String>,
    file: &mut Option<String>,
    at: &str,
    config_dir: &Path,
    report: &mut FaultReport,
) {
    let Some(path) = file.take() else { return };
    let place = child(at, format!("{key}File"));
    if secret.is_some() {
        return report.fault(place, format!("is given beside `{key}`; remove one"));
    }
    match read_secret(&config_dir.join(&path)) {
        Ok(text) => *secret = Some(text),
        Err(reason) => report.fault(place, format!("`{path}` {reason}")),
    }
}
