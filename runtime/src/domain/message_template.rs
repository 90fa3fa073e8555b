//! Messages in the operator's own words: MiniJinja templates, rendered by the host before a notifier sees the message. A
//! template reads nothing but its variables, and its length, its steps and what it writes are bounded.

mod view;

use std::fmt;
use std::io::{self, Write};

use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior};

use super::Message;
use view::View;

/// A template is a page, not a program.
const MAX_SOURCE_BYTES: usize = 16 * 1_024;

/// Instructions of the template machine for one text: some milliseconds. A line for each of 1,000 alerts takes a fifth.
const FUEL: u64 = 200_000;

/// Loops and blocks inside each other.
const MAX_DEPTH: usize = 50;

/// More than any channel takes: Slack 40,000 characters, Telegram 4,096.
const MAX_TEXT_BYTES: usize = 64 * 1_024;

/// The texts of one message. What is not given, the notifier writes itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MessageTexts {
    /// One line.
    pub title: Option<String>,
    pub text: Option<String>,
    pub html: Option<String>,
}

/// Sources that were compiled and tried once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageTemplate {
    pub name: String,
    sources: MessageTexts,
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
            Some((line, column)) => write!(f, "line {line}, column {column} of the template: {}", self.message),
            None => write!(f, "in the template: {}", self.message),
        }
    }
}

impl std::error::Error for TemplateFault {}

impl MessageTemplate {
    /// Compiles the sources and renders them for messages as they occur, so that a name that does not exist is found now.
    pub fn new(name: &str, sources: MessageTexts) -> Result<Self, Vec<TemplateFault>> {
        let template = Self { name: name.to_owned(), sources };
        let mut faults: Vec<TemplateFault> = Vec::new();
        for (firing, resolved) in [(1, 0), (0, 1), (2, 1), (0, 2)] {
            let view = View::of(&Message::sample(firing, resolved));
            for (field, source) in template.fields() {
                if let Err(fault) = render(field, source, &view)
                    && !faults.iter().any(|other| other.field == fault.field)
                {
                    faults.push(fault);
                }
            }
        }
        if faults.is_empty() { Ok(template) } else { Err(faults) }
    }

    /// The texts of a message.
    pub fn render(&self, message: &Message) -> Result<MessageTexts, TemplateFault> {
        let view = View::of(message);
        let of = |field: &'static str, source: &Option<String>| {
            source.as_deref().map(|source| render(field, source, &view)).transpose()
        };
        Ok(MessageTexts {
            title: of("title", &self.sources.title)?.map(|title| one_line(&title)),
            text: of("text", &self.sources.text)?,
            html: of("html", &self.sources.html)?,
        })
    }

    fn fields(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let MessageTexts { title, text, html } = &self.sources;
        let fields = [("title", title), ("text", text), ("html", html)];
        fields.into_iter().filter_map(|(field, source)| Some((field, source.as_deref()?)))
    }
}

fn render(field: &'static str, source: &str, view: &View) -> Result<String, TemplateFault> {
    if source.len() > MAX_SOURCE_BYTES {
        let message = format!("has {} bytes, and may have {MAX_SOURCE_BYTES}", source.len());
        return Err(TemplateFault { field, position: None, message });
    }
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(MAX_DEPTH);
    environment.set_trim_blocks(true);
    environment.set_lstrip_blocks(true);
    environment.set_debug(true);
    environment.set_auto_escape_callback(|name| match name {
        "html" => AutoEscape::Html,
        _ => AutoEscape::None,
    });
    let mut written = Bounded::default();
    let rendered = environment
        .template_from_named_str(field, source)
        .and_then(|template| template.render_captured_to(view, &mut written).map(|_| ()));
    match rendered {
        _ if written.is_full => {
            let message = format!("writes more than {MAX_TEXT_BYTES} bytes");
            Err(TemplateFault { field, position: None, message })
        }
        Ok(()) => Ok(String::from_utf8_lossy(&written.bytes).trim().to_owned()),
        Err(error) => {
            Err(TemplateFault { field, position: position(&error, source), message: sentence(&error, source) })
        }
    }
}

/// What an error is about, from the beginning of the name it is in.
fn place(error: &Error, source: &str) -> Option<std::ops::Range<usize>> {
    let range = error.range()?;
    let is_outside = |c: char| !(c.is_alphanumeric() || "_.[]".contains(c));
    let start = source.get(..range.start)?.rfind(is_outside).map_or(0, |at| at + 1);
    Some(start..range.end)
}

fn position(error: &Error, source: &str) -> Option<(usize, usize)> {
    let before = source.get(..place(error, source)?.start)?;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Some((before.matches('\n').count() + 1, before[line_start..].chars().count() + 1))
}

/// In lower case, with the words it is about.
fn sentence(error: &Error, source: &str) -> String {
    use minijinja::ErrorKind;
    let words = place(error, source).and_then(|range| source.get(range)).unwrap_or_default().trim();
    match (error.kind(), error.detail()) {
        (ErrorKind::UndefinedError, None) if !words.is_empty() => format!("there is no `{words}`"),
        (ErrorKind::OutOfFuel, _) => format!("takes more than {FUEL} steps"),
        (kind, Some(detail)) => format!("{kind}: {detail}"),
        (kind, None) => kind.to_string(),
    }
}

/// Whatever is in the names: no header can be smuggled in.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().filter(|c| !c.is_control()).collect()
}

#[derive(Default)]
struct Bounded {
    bytes: Vec<u8>,
    is_full: bool,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.bytes.len() + bytes.len() > MAX_TEXT_BYTES {
            self.is_full = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(source: &str) -> MessageTexts {
        MessageTexts { text: Some(source.to_owned()), ..MessageTexts::default() }
    }

    fn rendered(source: &str, message: &Message) -> String {
        MessageTemplate::new("t", text(source)).unwrap().render(message).unwrap().text.unwrap()
    }

    #[test]
    fn shows_what_the_message_holds() {
        let message = Message::sample(2, 1);
        let found = rendered(
            "{{ counts.firing }} of {{ counts.total }} ({{ severity }})\n\
             {% for alert in firing %}\n{{ loop.index }}. {{ alert.serviceName }}: {{ alert.summary }}\n{% endfor %}\n\
             {% for alert in resolved %}\nok: {{ alert.name }} after {{ alert.lasted }}\n{% endfor %}",
            &message,
        );
        assert_eq!(
            found,
            "2 of 3 (critical)\n1. Sample Service 1: status is 503, wanted 200\n\
             2. Sample Service 2: status is 503, wanted 200\nok: Service Down after 5m"
        );
    }

    #[test]
    fn labels_that_are_missing_are_empty() {
        let found = rendered("[{{ groupLabels.team }}{{ alerts[0].labels.service }}]", &Message::sample(1, 0));
        assert_eq!(found, "[sample-service-1]");
    }

    #[test]
    fn html_is_escaped_and_text_is_not() {
        let mut message = Message::sample(1, 0);
        message.alerts[0].0.summary = "<script>&".to_owned();
        let sources =
            MessageTexts { html: Some("<b>{{ alerts[0].summary }}</b>".to_owned()), ..text("{{ alerts[0].summary }}") };
        let texts = MessageTemplate::new("t", sources).unwrap().render(&message).unwrap();
        assert_eq!(texts.html.as_deref(), Some("<b>&lt;script&gt;&amp;</b>"));
        assert_eq!(texts.text.as_deref(), Some("<script>&"));
    }

    #[test]
    fn a_title_is_one_line_whatever_is_in_it() {
        let sources =
            MessageTexts { title: Some("{{ title }}\r\nBcc: x@example.com".to_owned()), ..Default::default() };
        let texts = MessageTemplate::new("t", sources).unwrap().render(&Message::sample(1, 0)).unwrap();
        assert_eq!(texts.title.as_deref(), Some("[FIRING] Sample Service 1: Service Down Bcc: x@example.com"));
    }

    #[test]
    fn faults_say_where_and_what() {
        for (source, wanted) in [
            ("one\n  {{ alert.sumary }}", "line 2, column 6 of the template: there is no `alert.sumary`"),
            ("{% for alert in alerts %}{{ alert.sumary }}{% endfor %}", "there is no `alert.sumary`"),
            ("{% if status == 'resolved' %}{{ no }}{% endif %}", "there is no `no`"),
            ("{{ status", "line 1, column"),
            ("{{ status|shout }}", "unknown filter"),
            ("{% include 'other' %}", "of the template"),
        ] {
            let faults = MessageTemplate::new("t", text(source)).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].to_string().contains(wanted), "{source}: {}", faults[0]);
        }
    }

    #[test]
    fn length_steps_and_output_are_bounded() {
        let long = "x".repeat(MAX_SOURCE_BYTES + 1);
        for (source, wanted) in [
            (long.as_str(), "may have 16384"),
            (
                "{% for a in range(90000) %}{% for b in range(90000) %}{% endfor %}{% endfor %}",
                "more than 200000 steps",
            ),
            ("{{ 'x' * 70000 }}", "writes more than 65536 bytes"),
        ] {
            let faults = MessageTemplate::new("t", text(source)).unwrap_err();
            assert!(faults[0].to_string().contains(wanted), "{}", faults[0]);
        }
    }
}
