//! The calls that other parts of the program make to plugins.

use std::sync::Arc;

use serde_json::Value;

use crate::domain::{
    History, MeterSpan, Service, UnixMillis, VendorMeter, Webhook, WebhookRequest,
};

/// One evaluation of a rule.
pub struct RuleCall<'a> {
    pub plugin: &'a str,
    pub service: &'a str,
    pub settings: &'a Value,
    pub now_ms: UnixMillis,
    pub history: Arc<dyn History>,
}

/// One delivery for a webhook.
pub struct WebhookCall<'a> {
    pub service: &'a Service,
    pub webhook: &'a Webhook,
    pub request: WebhookRequest,
    /// It is played again, and a signature of it was right when it came.
    pub is_proven: bool,
}

/// One reading of what a vendor bills.
pub struct MeterCall<'a> {
    pub service: &'a Service,
    pub meter: &'a VendorMeter,
    pub span: &'a MeterSpan,
}
