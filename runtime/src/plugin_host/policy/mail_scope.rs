//! Addresses that one run may write mail to, and from.

use serde_json::Value;

use super::grants::EffectiveGrants;
use super::secrets::written_mail;
use crate::net::{NetFailure, mail_address};

/// Addresses in settings whose property has `"x-mail": true`: the operator wrote them.
#[derive(Debug, Default)]
pub(in crate::plugin_host) struct MailScope {
    written: Vec<String>,
}

impl MailScope {
    pub(in crate::plugin_host) fn of(settings: &Value, schema: &Value) -> Self {
        Self {
            written: written_mail(settings, schema)
                .iter()
                .filter_map(|text| mail_address(text))
                .collect(),
        }
    }

    /// Every recipient, and the sender if it is not the operator's, is written in the settings or
    /// granted. What is no address is refused where it is sent.
    pub(in crate::plugin_host) fn check<'a>(
        &self,
        grants: &EffectiveGrants,
        addresses: impl IntoIterator<Item = &'a String>,
    ) -> Result<(), NetFailure> {
        for text in addresses {
            let Some(address) = mail_address(text) else {
                continue;
            };
            if !self.written.contains(&address) {
                grants.mail(&address)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::domain::{Grants, PluginPolicy};
    use crate::plugin_host::policy::grants::{Policy, PolicyOrigin};

    #[test]
    fn mail_goes_where_the_settings_or_the_grants_say_and_nowhere_else() {
        let schema = json!({"properties": {"recipients": {"x-mail": true, "items": {}}, "from": {"x-mail": true}}});
        let settings = json!({
            "recipients": ["Ops <ops@Shop.example>", "b@shop.example"], "from": "monitor@shop.example",
            "title": "c@shop.example",
        });
        let scope = MailScope::of(&settings, &schema);
        let check = |granted: &[&str], address: &str| {
            let grants = Grants {
                mail: granted.iter().map(|one| (*one).to_owned()).collect(),
                ..Grants::default()
            };
            let policy = Policy::new(
                PolicyOrigin::File,
                PluginPolicy {
                    grants,
                    ..PluginPolicy::default()
                },
            );
            let grants = EffectiveGrants::new("mailer".into(), Arc::default(), Arc::new(policy));
            scope
                .check(&grants, [&address.to_owned()])
                .map_err(|failure| failure.to_string())
        };
        for (granted, address, wanted) in [
            (&[][..], "ops@shop.example", true),
            (&[], "Another Name <OPS@shop.example>", true),
            (&[], "monitor@shop.example", true),
            (&[], "c@shop.example", false),
            (&[], "anybody@evil.example", false),
            (&[], "\"ops@shop.example\" <anybody@evil.example>", false),
            (&["evil.example"], "anybody@EVIL.example", true),
            (&["evil.example"], "anybody@sub.evil.example", false),
            (&["evil.example"], "anybody@notevil.example", false),
            (&["one@evil.example"], "one@evil.example", true),
            (&["one@evil.example"], "two@evil.example", false),
            (&["*"], "anybody@evil.example", true),
        ] {
            assert_eq!(
                check(granted, address).is_ok(),
                wanted,
                "{granted:?} {address}"
            );
        }
        assert_eq!(
            check(&[], "anybody@evil.example").unwrap_err(),
            "plugin `mailer` may not write mail to or from `anybody@evil.example`; to allow it, write the address in its \
             settings, or name it or `evil.example` in `plugins.mailer.grants.mail` in plugins.yaml"
        );
    }
}
