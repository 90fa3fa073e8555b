//! Who changed what over the API, in the audit log.

use serde_json::json;

use super::auth::Principal;
use super::state::ApiState;

/// A change that could not be written down is still a change, so this does not fail; the log has it.
pub(super) async fn note(state: &ApiState, principal: &Principal, action: &str, subject: &str) {
    let actor = principal.name.as_str();
    if let Err(error) = state.parts.control.audit_append(actor, action, subject, &json!({})).await {
        let error = format!("{:#}", anyhow::Error::from(error));
        tracing::error!(error, actor, action, subject, "a change could not be written to the audit log");
    }
}
