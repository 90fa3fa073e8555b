//! `valueFile`, `passwordFile`, `tokenFile`: secrets that stand in files of their own. Only configuration files may name
//! one; over the API it would read any file of the machine.

use std::path::Path;

use super::environment::read_secret;
use crate::registry::fault::{Report, child};
use crate::registry::spec::{AuthenticationSpec, ServiceSpec};

/// Puts the secrets in place. Relative paths start at the configuration folder.
pub(super) fn resolve(spec: &mut ServiceSpec, at: &str, config_dir: &Path, report: &mut Report) {
    let Some(authentication) = &mut spec.authentication else { return };
    let at = child(at, "authentication");
    let AuthenticationSpec { value, value_file, password, password_file, token, token_file, .. } = authentication;
    for (key, secret, file) in
        [("value", value, value_file), ("password", password, password_file), ("token", token, token_file)]
    {
        let Some(path) = file.take() else { continue };
        let place = child(&at, format!("{key}File"));
        if secret.is_some() {
            report.fault(place, format!("is given beside `{key}`; remove one"));
            continue;
        }
        match read_secret(&config_dir.join(&path)) {
            Ok(text) => *secret = Some(text),
            Err(reason) => report.fault(place, format!("`{path}` {reason}")),
        }
    }
}
