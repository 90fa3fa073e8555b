//! Meters: the time that is asked for, and what the vendor bills for it.

use std::time::Duration;

use serde_json::Value;

use crate::http::{NotJson, Request, Response};
use crate::net::NetError;
use crate::probe::Service;
use crate::url;
use crate::value::Entry;
use crate::wit::meter::exports::external_tracking::plugin::meters as wit;

/// Pages of one reading.
const MAX_PAGES: usize = 100;
/// Longest part of an answer that goes into an error.
const ANSWER_CHARS: usize = 200;

/// Input of one reading, beside the settings.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    pub service: Service,
    /// Time until this run is cut off, counted from its start.
    pub timeout: Duration,
    /// Milliseconds since 1970: whole days of UTC within one month.
    pub from_ms: u64,
    /// The first moment behind the time that is asked for.
    pub to_ms: u64,
    /// Names of the service's credentials; `default` is the one in its `authentication`.
    pub credentials: Vec<String>,
    pub attributes: Vec<Entry>,
}

impl Question {
    /// Builds a question about a service at a base URL, for tests.
    pub fn of(base_url: impl Into<String>, from_ms: u64, to_ms: u64) -> Self {
        let service = Service {
            slug: "test".to_owned(),
            name: "Test".to_owned(),
            base_url: base_url.into(),
            attributes: Vec::new(),
        };
        Self {
            service,
            timeout: Duration::from_secs(120),
            from_ms,
            to_ms,
            credentials: Vec::new(),
            attributes: Vec::new(),
        }
    }

    /// Returns the credential to use: the wanted one, else the one the service is normally used with.
    pub fn credential(&self, wanted: Option<&str>) -> Option<String> {
        let mut names = self.credentials.iter();
        let default = names.find(|name| *name == "default");
        wanted.map(str::to_owned).or_else(|| default.cloned())
    }

    /// Returns the address of a path on the service's host, whatever the path of its base URL.
    pub fn address(&self, path: &str) -> Result<String, ReadError> {
        Ok(url::resolve(&self.service.base_url, path)?)
    }
}

/// An amount that the vendor bills for a time. Figures of one name and currency are added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Figure {
    /// Milliseconds since 1970, within the time that is asked for.
    pub from_ms: u64,
    /// The first moment behind it.
    pub to_ms: u64,
    /// The vendor's name of what is billed.
    pub name: String,
    /// A decimal with its unit, e.g. `("12", "messages")`.
    pub quantity: Option<(String, String)>,
    /// A decimal as the vendor writes it; below zero for credits.
    pub amount: String,
    /// ISO 4217, in upper case.
    pub currency: String,
}

/// What the vendor bills for the time. Empty: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reading {
    pub figures: Vec<Figure>,
}

/// Why there are no figures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ReadError {
    /// Settings that can't work, found too late for `check_settings`.
    Settings(String),
    /// The vendor did not answer, or not with figures.
    Unavailable(String),
    /// The plugin can't go on.
    Internal(String),
}

impl ReadError {
    pub fn unavailable(message: impl Into<String>) -> Self {
        ReadError::Unavailable(message.into())
    }
}

/// Asks page by page, JSON with status 2xx: `ask` makes the request of an address, `take` reads an
/// answer, and `next` returns the address behind it. More than 100 pages are an error.
pub fn pages(
    first: String,
    ask: impl Fn(String) -> Request,
    next: impl Fn(&Value) -> Result<Option<String>, ReadError>,
    mut take: impl FnMut(&Value) -> Result<(), ReadError>,
) -> Result<(), ReadError> {
    let mut address = Some(first);
    for _ in 0..MAX_PAGES {
        let Some(here) = address else {
            return Ok(());
        };
        let page = answer(&ask(here).send()?)?;
        take(&page)?;
        address = next(&page)?;
    }
    match address {
        Some(_) => Err(ReadError::Unavailable(format!(
            "the vendor has more than {MAX_PAGES} pages"
        ))),
        None => Ok(()),
    }
}

fn answer(response: &Response) -> Result<Value, ReadError> {
    if (200..300).contains(&response.status) {
        return Ok(response.json()?);
    }
    let text: String = response.text().trim().chars().take(ANSWER_CHARS).collect();
    Err(ReadError::Unavailable(format!(
        "the vendor answered with status {}: {text}",
        response.status
    )))
}

/// Returns a number as it was written, or a text, for [`Figure::amount`].
pub fn decimal(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

impl From<NetError> for ReadError {
    fn from(error: NetError) -> Self {
        ReadError::Unavailable(error.to_string())
    }
}

impl From<NotJson> for ReadError {
    fn from(error: NotJson) -> Self {
        ReadError::Unavailable(error.0)
    }
}

impl From<wit::Context> for Question {
    fn from(context: wit::Context) -> Self {
        Self {
            service: context.service,
            timeout: Duration::from_millis(context.timeout_ms),
            from_ms: context.from_ms,
            to_ms: context.to_ms,
            credentials: context.credentials,
            attributes: context.attributes,
        }
    }
}

impl From<Figure> for wit::Figure {
    fn from(figure: Figure) -> Self {
        let (quantity, unit) = figure.quantity.unzip();
        Self {
            from_ms: figure.from_ms,
            to_ms: figure.to_ms,
            name: figure.name,
            quantity,
            unit,
            amount: figure.amount,
            currency: figure.currency,
            attributes: None,
        }
    }
}

impl From<Reading> for wit::Reading {
    fn from(reading: Reading) -> Self {
        Self {
            figures: reading.figures.into_iter().map(wit::Figure::from).collect(),
            attributes: Vec::new(),
        }
    }
}

impl From<ReadError> for wit::ReadError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Settings(text) => wit::ReadError::Settings(text),
            ReadError::Unavailable(text) => wit::ReadError::Unavailable(text),
            ReadError::Internal(text) => wit::ReadError::Internal(text),
        }
    }
}
