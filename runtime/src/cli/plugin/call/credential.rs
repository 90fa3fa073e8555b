//! Credentials on the command line: `[NAME=]KIND:VALUE`, where the secret may stand in a variable
//! or a file.

use anyhow::{Context, Result, bail};
use secrecy::SecretString;

use crate::domain::{Credential, CredentialKind};

const OPTION: &str = "--auth";
const SHAPES: &str = "`[NAME=]bearer:TOKEN`, `[NAME=]basic:USER:PASSWORD`, `[NAME=]header:HEADER:VALUE` or `[NAME=]query:PARAMETER:VALUE`";

/// Errors never repeat the text: it may hold the secret.
pub(super) fn parse(text: &str) -> Result<Credential> {
    let wrong = || format!("`--auth` is not {SHAPES}");
    let (head, rest) = text.split_once(':').with_context(wrong)?;
    let (name, kind) = head.split_once('=').unwrap_or(("default", head));
    let pair = || rest.split_once(':').with_context(wrong);
    let kind = match kind {
        "bearer" => CredentialKind::Bearer {
            token: secret(OPTION, rest)?,
        },
        "basic" => {
            let (username, password) = pair()?;
            CredentialKind::Basic {
                username: username.to_owned(),
                password: secret(OPTION, password)?,
            }
        }
        "header" => {
            let (header, value) = pair()?;
            CredentialKind::Header {
                header: header.to_owned(),
                value: secret(OPTION, value)?,
            }
        }
        "query" => {
            let (parameter, value) = pair()?;
            CredentialKind::Query {
                parameter: parameter.to_owned(),
                value: secret(OPTION, value)?,
            }
        }
        _ => bail!(wrong()),
    };
    Ok(Credential {
        name: name.to_owned(),
        kind,
        hosts: Vec::new(),
        expiry: None,
    })
}

/// `$VARIABLE`, `@FILE`, or the secret itself.
pub(super) fn secret(option: &str, text: &str) -> Result<SecretString> {
    let value = match (text.strip_prefix('$'), text.strip_prefix('@')) {
        (Some(variable), _) => std::env::var(variable).with_context(|| {
            format!("`{option}` names the variable `{variable}`, which is not set")
        })?,
        (_, Some(file)) => {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("`{option}` names the file `{file}`"))?;
            text.trim_end_matches(['\r', '\n']).to_owned()
        }
        _ => text.to_owned(),
    };
    if value.is_empty() {
        bail!(
            "the secret of `{option}` is empty; a `$VARIABLE` that the shell should not replace stands in single quotes"
        );
    }
    Ok(value.into())
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    /// Name, kind and secret.
    fn parsed(text: &str) -> (String, String, String) {
        let credential = parse(text).unwrap();
        let (kind, secret) = match &credential.kind {
            CredentialKind::Bearer { token } => ("bearer".to_owned(), token),
            CredentialKind::Basic { username, password } => (format!("basic {username}"), password),
            CredentialKind::Header { header, value } => (format!("header {header}"), value),
            CredentialKind::Query { parameter, value } => (format!("query {parameter}"), value),
            other => panic!("`--auth` makes no {other:?}"),
        };
        (credential.name, kind, secret.expose_secret().to_owned())
    }

    #[test]
    fn every_kind_has_its_shape() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "from a file\n").unwrap();
        let of_file = format!("header:x-api-key:@{}", file.display());
        for (text, wanted) in [
            ("bearer:t0ken", ("default", "bearer", "t0ken")),
            ("other=bearer:a:b", ("other", "bearer", "a:b")),
            ("basic:me:pa:ss", ("default", "basic me", "pa:ss")),
            ("query:key:a=b", ("default", "query key", "a=b")),
            (
                of_file.as_str(),
                ("default", "header x-api-key", "from a file"),
            ),
            (
                "bearer:$CARGO_PKG_NAME",
                ("default", "bearer", env!("CARGO_PKG_NAME")),
            ),
        ] {
            let (name, kind, secret) = parsed(text);
            assert_eq!(
                (name.as_str(), kind.as_str(), secret.as_str()),
                wanted,
                "{text}"
            );
        }
    }

    #[test]
    fn errors_never_repeat_the_secret() {
        for text in ["s3cret", "carrier:s3cret", "basic:s3cret", "header:s3cret"] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(
                !error.contains("s3cret") && error.contains("bearer:TOKEN"),
                "{error}"
            );
        }
        for (text, wanted) in [
            ("bearer:", "empty"),
            ("bearer:$EXTRACK_NOT_SET", "not set"),
            ("bearer:@/nowhere", "/nowhere"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(wanted), "{error}");
        }
    }
}
