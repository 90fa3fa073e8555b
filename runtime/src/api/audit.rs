//! Who changed what over the API, in the audit log.

use serde_json::{Value, json};

use super::auth::Principal;
use super::state::ApiState;

/// A change that could not be written down is still a change, so this does not fail; the log has it.
pub(super) async fn note(state: &ApiState, principal: &Principal, action: &str, subject: &str) {
    note_with(state, principal, action, subject, &json!({})).await;
}

/// With what it was changed to, which must hold no secret.
pub(super) async fn note_with(state: &ApiState, principal: &Principal, action: &str, subject: &str, detail: &Value) {
    let actor = principal.name.as_str();
    if let Err(error) = state.parts.control.audit_append(actor, action, subject, detail).await {
        let error = format!("{:#}", anyhow::Error::from(error));
        tracing::error!(error, actor, action, subject, "a change could not be written to the audit log");
    }
}
