//! Messages in the operator's own words: what a template consists of and reads. The plugin host's
//! evaluator renders it.

mod view;

use std::fmt;

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

/// What is wrong with a template, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateFault {
    /// `title`, `text` or `html`.
    pub field: &'static str,
    /// Both from 1.
    pub position: Option<(usize, usize)>,
    pub message: String,
}

impl fmt::Display for TemplateFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.position {
            Some((line, column)) => write!(
                f,
                "line {line}, column {column} of the template: {}",
                self.message
            ),
            None => write!(f, "in the template: {}", self.message),
        }
    }
}

impl std::error::Error for TemplateFault {}

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
