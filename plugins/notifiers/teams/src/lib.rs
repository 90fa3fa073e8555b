//! The notifier `teams`: an Adaptive Card to a workflow that posts it to a channel or chat.

mod card;

use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// URL of the workflow `Post to a channel when a webhook request is received`.
    #[setting(url)]
    webhook: Secret,
}

#[notifier]
fn notify(notification: &Notification, settings: &Settings) -> Result<Receipt, NotifyError> {
    Receipt::from_response(
        &http::post(&settings.webhook)
            .json(&card::message(notification))
            .send()?,
    )
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, notification, response};

    use super::*;

    const WORKFLOW: &str =
        "POST https://prod.logic.azure.example/workflows/1/triggers/manual?sig=x";

    fn settings() -> Settings {
        Settings::from_json(
            r#"{"webhook": "https://prod.logic.azure.example/workflows/1/triggers/manual?sig=x"}"#,
        )
        .unwrap()
    }

    #[test]
    fn posts_a_card() {
        let host = Host::install();
        host.answer_http(WORKFLOW, response(202, ""));
        assert_eq!(notify(&notification(1), &settings()).unwrap().answer, "202");
        let body: json::Value =
            json::from_slice(host.http_requests()[0].body.as_ref().unwrap()).unwrap();
        assert_eq!(
            body["attachments"][0]["contentType"],
            "application/vnd.microsoft.card.adaptive"
        );
    }

    #[test]
    fn a_workflow_that_is_gone_is_permanent() {
        let host = Host::install();
        host.answer_http(WORKFLOW, response(404, "WorkflowTriggerNotFound"));
        assert!(matches!(
            notify(&notification(1), &settings()),
            Err(NotifyError::Permanent(_))
        ));
    }
}
