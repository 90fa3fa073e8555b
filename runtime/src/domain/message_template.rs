//! Messages in the operator's own words: what a template consists of and reads. The plugin host's
//! evaluator renders it.

mod view;

pub use view::MessageView;

/// The texts of one message. What is not given, the notifier writes itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageTexts {
    /// One line.
    pub title: Option<String>,
    pub text: Option<String>,
    pub html: Option<String>,
}

/// Sources as they were written; the evaluator finds their faults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageTemplate {
    pub name: String,
    pub sources: MessageTexts,
}

impl MessageTemplate {
    /// Name and source of each text that it writes.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let MessageTexts { title, text, html } = &self.sources;
        let fields = [("title", title), ("text", text), ("html", html)];
        fields
            .into_iter()
            .filter_map(|(field, source)| Some((field, source.as_deref()?)))
    }
}
