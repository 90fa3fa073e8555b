//! Message templates: found faulty when they are read, rendered when a message leaves.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{EVALUATION_STEPS, EvaluationError, Evaluator, Job, Work};
use crate::domain::{Fault, Message, MessageTemplate, MessageTexts, MessageView};

/// A template is a page, not a program.
const MAX_SOURCE_BYTES: usize = 16 * 1_024;

#[derive(Serialize)]
struct Request<'a, V> {
    field: &'static str,
    source: &'a str,
    view: &'a V,
}

/// A fault of a template, as the evaluator reports it.
#[derive(Deserialize)]
struct RenderFault {
    position: Option<(usize, usize)>,
    message: String,
}

impl Evaluator {
    /// Renders for messages as they occur, so that a name that does not exist is found now. The
    /// first fault of each text.
    pub async fn template_faults(&self, template: &MessageTemplate) -> Vec<Fault> {
        let mut faults: Vec<Fault> = Vec::new();
        for (firing, resolved) in [(1, 0), (0, 1), (2, 1), (0, 2)] {
            let view = MessageView::of(&Message::sample(firing, resolved));
            for (field, source) in template.fields() {
                let pointer = format!("/{field}");
                if faults.iter().any(|fault| fault.pointer == pointer) {
                    continue;
                }
                faults.extend(self.text(field, source, &view).await.err());
            }
        }
        faults
    }

    /// The texts of a message.
    pub async fn template_render(
        &self,
        template: &MessageTemplate,
        message: &Message,
    ) -> Result<MessageTexts, Fault> {
        let view = MessageView::of(message);
        let mut texts = MessageTexts::default();
        for (field, source) in template.fields() {
            let text = self.text(field, source, &view).await?;
            match field {
                "title" => texts.title = Some(one_line(&text)),
                "text" => texts.text = Some(text),
                _ => texts.html = Some(text),
            }
        }
        Ok(texts)
    }

    /// Renders a text over values that are no message, within the same bounds.
    pub async fn text_render(&self, source: &str, values: &Value) -> Result<String, Fault> {
        self.text("text", source, values).await
    }

    async fn text(
        &self,
        field: &'static str,
        source: &str,
        view: &impl Serialize,
    ) -> Result<String, Fault> {
        let pointer = format!("/{field}");
        let fault =
            |message: String| Fault::new(pointer.clone(), format!("in the template: {message}"));
        if source.len() > MAX_SOURCE_BYTES {
            return Err(fault(format!(
                "has {} bytes, and may have {MAX_SOURCE_BYTES}",
                source.len()
            )));
        }
        let request = serde_json::to_vec(&Request {
            field,
            source,
            view,
        })
        .unwrap_or_default();
        let job = Job {
            request: [&request, &[]],
            work: Work::Render,
            steps: EVALUATION_STEPS,
            history: None,
        };
        self.evaluated(job)
            .await
            .result
            .map_err(|error| match error {
                EvaluationError::Invalid(text) => match serde_json::from_str(&text) {
                    Ok(RenderFault {
                        position: Some((line, column)),
                        message,
                    }) => Fault::new(
                        pointer.clone(),
                        format!("line {line}, column {column} of the template: {message}"),
                    ),
                    Ok(RenderFault { message, .. }) => fault(message),
                    Err(_) => fault(text),
                },
                EvaluationError::Failed(text) | EvaluationError::Limit(text) => fault(text),
            })
    }
}

/// Joins a text into one line, so that no header can be smuggled in.
fn one_line(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .collect()
}
