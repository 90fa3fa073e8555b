//! The page of the editor: the text, and beside it what is wrong with it or what it would change.

use maud::{Markup, html};
use serde_json::Value;

use crate::api::dashboard::layout;
use crate::api::dashboard::overview::service_url;
use crate::api::dashboard::wording::{count, prose};
use crate::api_types::services::{ServiceAction, ServiceOperationBody};
use crate::config::Faults;
use crate::domain::Fault;
use crate::domain::fault::key_path;

/// What is shown of one value of a difference.
const MAX_CHARS: usize = 200;

pub(super) struct Editor<'a> {
    /// Service that is edited; none: a new one.
    pub(super) slug: Option<&'a str>,
    pub(super) text: &'a str,
    /// Revision that the text is meant to replace.
    pub(super) revision: Option<i64>,
    pub(super) is_of_file: bool,
    pub(super) outcome: Option<Outcome>,
}

pub(super) enum Outcome {
    Faults(Faults),
    Refused(String),
    Preview(ServiceOperationBody),
    /// Text of the service as somebody else saved it.
    Changed(String),
}

impl<'a> Editor<'a> {
    pub(super) fn new(slug: Option<&'a str>, text: &'a str) -> Self {
        Self {
            slug,
            text,
            revision: None,
            is_of_file: false,
            outcome: None,
        }
    }

    pub(super) fn with(self, outcome: Outcome) -> Self {
        Self {
            outcome: Some(outcome),
            ..self
        }
    }

    pub(super) fn page(&self) -> Markup {
        let title = match self.slug {
            Some(slug) => format!("Edit {slug}"),
            None => "Describe a service".to_owned(),
        };
        layout::room(layout::Room {
            title: &title,
            path: "/",
            events: None,
            body: html! {
                @match self.slug {
                    Some(slug) => { p.back { a href=(service_url(slug)) { (slug) } } }
                    None => { p.back { a href="/" { "Services" } } }
                }
                h1 { (title) }
                div.editor {
                    @if self.is_of_file { (self.read_only()) } @else { (self.form()) }
                    @if let Some(outcome) = &self.outcome { (self.beside(outcome)) }
                }
            },
        })
    }

    fn read_only(&self) -> Markup {
        html! {
            section.card.panel aria-label="Description" {
                p role="status" { "It comes from " code { "services.yaml" } " of the configuration: change it there; the program reads it again by itself." }
                label.hidden for="text" { "Description in YAML" }
                textarea #text rows=(self.rows()) readonly spellcheck="false" { (self.text) }
                p.muted { "As the program read it: variables are put in, secrets are " code { "***" } "." }
            }
        }
    }

    fn form(&self) -> Markup {
        let action = match self.slug {
            Some(slug) => format!("{}/edit", service_url(slug)),
            None => "/new/yaml".to_owned(),
        };
        let is_wrong = matches!(self.outcome, Some(Outcome::Faults(_) | Outcome::Refused(_)));
        html! {
            form.card.panel method="post" action=(action) {
                @if let Some(revision) = self.revision { input type="hidden" name="revision" value=(revision); }
                label.hidden for="text" { "Description in YAML" }
                textarea #text name="text" rows=(self.rows()) spellcheck="false" autocapitalize="off" autocomplete="off" required
                    aria-invalid=[is_wrong.then_some("true")] aria-describedby=[self.outcome.as_ref().map(|_| "outcome")] { (self.text) }
                div.actions {
                    button type="submit" { "Save" }
                    button.quiet type="submit" name="preview" value="yes" { "Preview" }
                    @if let (Some(slug), Some(_)) = (self.slug, self.revision) { a href={ (service_url(slug)) "/delete" } { "Delete the service" } }
                }
                p.muted {
                    code { "***" } " stands for a secret that is stored and stays as it is; write the value to set another one. Variables and files of the server are not read here."
                }
            }
        }
    }

    fn rows(&self) -> usize {
        (self.text.lines().count() + 2).clamp(16, 40)
    }

    fn beside(&self, outcome: &Outcome) -> Markup {
        html! {
            section #outcome.card.panel aria-label="Outcome" {
                @match outcome {
                    Outcome::Faults(faults) => { (self.faults(faults)) }
                    Outcome::Refused(detail) => { p.fault role="alert" { (prose(detail)) } }
                    Outcome::Preview(found) => { (difference(found)) }
                    Outcome::Changed(stored) => {
                        p.fault role="alert" { "The service was changed meanwhile. Your text is kept; this is what is stored now. Take over what you need: saving again replaces it." }
                        label.hidden for="stored" { "What is stored now" }
                        textarea #stored rows=(self.rows()) readonly spellcheck="false" { (stored) }
                    }
                }
            }
        }
    }

    fn faults(&self, faults: &Faults) -> Markup {
        html! {
            h2 role="alert" { "Nothing was saved: " (count(faults.faults.len() + faults.left_out, "fault")) }
            ol.faults { @for fault in &faults.faults { li { (self.fault(fault)) } } }
            @if faults.left_out > 0 { p.muted { "and " (faults.left_out) " more" } }
        }
    }

    fn fault(&self, fault: &Fault) -> Markup {
        let key = key_path(&fault.pointer);
        let line = fault.place.as_ref().and_then(|place| place.line);
        let column = fault.place.as_ref().and_then(|place| place.column);
        let written = line
            .and_then(|line| self.text.lines().nth((line as usize).checked_sub(1)?))
            .filter(|written| !written.trim().is_empty());
        html! {
            p {
                @if let Some(line) = line {
                    b { "Line " (line) @if let Some(column) = column { ", column " (column) } }
                    ": "
                }
                @if !key.is_empty() { code { (key) } " " }
                (prose(&fault.message))
            }
            @if let Some(written) = written { pre { code { (cut(written)) } } }
        }
    }
}

/// Shows what `extrack apply --dry-run` prints.
fn difference(found: &ServiceOperationBody) -> Markup {
    let is_same = found.action == ServiceAction::Unchanged || found.changes.is_empty();
    html! {
        h2 role="status" {
            @match found.action {
                ServiceAction::Created => { "Would be added as " code { (found.slug) } }
                _ if is_same => { "Nothing differs from what is stored" }
                _ => { (count(found.changes.len() + found.changes_left_out, "field")) " would change" }
            }
        }
        @if !is_same {
            div.wide { table.list {
                thead { tr { th scope="col" { "Key" } th scope="col" { "Before" } th scope="col" { "After" } } }
                tbody { @for change in &found.changes {
                    tr { td { code { (key_path(&change.field)) } } td { (value(&change.before)) } td { (value(&change.after)) } }
                } }
            } }
        }
        @if found.changes_left_out > 0 { p.muted { "and " (found.changes_left_out) " more" } }
        p.muted { "Nothing is saved yet." }
    }
}

fn value(value: &Value) -> Markup {
    match value {
        Value::Null => html! { span.muted { "–" } },
        Value::String(text) => html! { (cut(text)) },
        other => html! { (cut(&other.to_string())) },
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
