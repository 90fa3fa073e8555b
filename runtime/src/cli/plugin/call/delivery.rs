//! A delivery for a webhook, as its sender would make it: body, headers, query, and the vendor's
//! signature.

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use extrack_signatures::Scheme;
use secrecy::ExposeSecret;

use super::credential::secret;
use crate::domain::{WebhookRequest, now_ms};

/// Limit of a body, as the server has it.
const MAX_BYTES: usize = 1 << 20;

/// Delivery for a webhook.
#[derive(Debug, Args)]
pub(crate) struct GivenDelivery {
    /// Webhook: body of the delivery, or `@FILE` with it.
    #[arg(long, value_name = "TEXT")]
    pub(super) body: Option<String>,
    /// Webhook: a header of the delivery.
    #[arg(long, value_name = "NAME: VALUE")]
    pub(super) header: Vec<String>,
    /// Webhook: the query of the delivery, without its `?`.
    #[arg(long)]
    pub(super) query: Option<String>,
    /// Webhook: signs the delivery by a vendor's rule, `SCHEME:SECRET`; schemes: github, stripe,
    /// slack, standard-webhooks. The secret as in `--auth`.
    #[arg(long, value_name = "SCHEME:SECRET")]
    pub(super) sign: Option<String>,
    /// Webhook: takes what the plugin makes of a delivery of which it has checked no signature.
    #[arg(long)]
    pub(super) unsigned: bool,
}

impl GivenDelivery {
    pub(super) fn is_given(&self) -> bool {
        let Self {
            body,
            header,
            query,
            sign,
            unsigned,
        } = self;
        body.is_some() || !header.is_empty() || query.is_some() || sign.is_some() || *unsigned
    }

    /// Signed now.
    pub(super) fn request(&self) -> Result<WebhookRequest> {
        let Some(given) = &self.body else {
            bail!(
                "a webhook needs a delivery: `--body '{{\"type\": \"ping\"}}'` or `--body @delivery.json`, and e.g. `--sign 'github:$SECRET'`"
            );
        };
        let body = match given.strip_prefix('@') {
            Some(file) => std::fs::read(file).with_context(|| format!("reading `{file}`"))?,
            None => given.clone().into_bytes(),
        };
        if body.len() > MAX_BYTES {
            bail!(
                "the body is larger than {} MiB, and no server takes it",
                MAX_BYTES >> 20
            );
        }
        let received_ms = now_ms();
        let mut headers = self
            .header
            .iter()
            .map(|text| header(text))
            .collect::<Result<Vec<_>>>()?;
        if let Some(given) = &self.sign {
            headers.extend(signature(given, &body, received_ms.max(0) as u64)?);
        }
        let query = self.query.clone().unwrap_or_default();
        Ok(WebhookRequest {
            method: "POST".to_owned(),
            path: String::new(),
            query,
            headers,
            body,
            received_ms,
        })
    }
}

/// Neither is repeated in errors: a value may be secret.
fn header(text: &str) -> Result<(String, String)> {
    let (name, value) = text
        .split_once(':')
        .context("`--header` is not `NAME: VALUE`")?;
    Ok((name.trim().to_lowercase(), value.trim().to_owned()))
}

fn signature(given: &str, body: &[u8], now_ms: u64) -> Result<Vec<(String, String)>> {
    let schemes = Scheme::ALL.map(Scheme::as_str).join(", ");
    let wrong = || format!("`--sign` is not `SCHEME:SECRET` with one of the schemes {schemes}");
    let (scheme, text) = given.split_once(':').with_context(wrong)?;
    let scheme = Scheme::parse(scheme).with_context(wrong)?;
    let key = secret("--sign", text)?;
    extrack_signatures::sign(
        scheme,
        key.expose_secret(),
        &format!("sample-{now_ms}"),
        body,
        now_ms,
    )
    .map_err(|_| {
        anyhow!(
            "the secret of `--sign` is none for the scheme {}",
            scheme.as_str()
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(sign: &str) -> GivenDelivery {
        GivenDelivery {
            body: Some("{}".to_owned()),
            header: vec!["X-GitHub-Event: ping".to_owned()],
            query: None,
            sign: Some(sign.to_owned()),
            unsigned: false,
        }
    }

    #[test]
    fn a_delivery_is_signed_by_the_vendors_rule() {
        let request = given("github:It's a Secret").request().unwrap();
        assert_eq!(
            request.headers[0],
            ("x-github-event".to_owned(), "ping".to_owned())
        );
        let checked = extrack_signatures::verify(
            Scheme::Github,
            "It's a Secret",
            &request.headers,
            &request.body,
            request.received_ms as u64,
            extrack_signatures::TOLERANCE,
        );
        assert_eq!(checked, Ok(()));
    }

    #[test]
    fn faults_never_repeat_the_secret() {
        for sign in ["s3cret", "gitlab:s3cret", "standard-webhooks:whsec_s3cret!"] {
            let error = format!("{:#}", given(sign).request().unwrap_err());
            assert!(
                error.contains("--sign") && !error.contains("s3cret"),
                "{error}"
            );
        }
    }
}
