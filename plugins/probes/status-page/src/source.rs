//! Where a page is read from, and in which format.

use std::fmt;

use extrack_plugin::json::Value;
use extrack_plugin::prelude::*;

use crate::page::Page;
use crate::{Format, Settings, better_stack, feed, instatus, statuspage};

/// Pages of large vendors have some hundred components, and feeds long texts.
const MAX_BODY_BYTES: u64 = 4 << 20;
const MOST_REDIRECTS: u32 = 5;

/// Formats that are tried, one after the other, where none is known.
const GUESSES: [Format; 4] = [
    Format::Statuspage,
    Format::Instatus,
    Format::BetterStack,
    Format::Feed,
];

pub(crate) struct Source {
    pub(crate) page: Page,
    pub(crate) format: Format,
    pub(crate) http_status: u16,
}

/// Why a page could not be read.
pub(crate) enum Unread {
    Net(NetError),
    Answer(String),
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::Net(error) => error.fmt(f),
            Unread::Answer(text) => f.write_str(text),
        }
    }
}

/// Reads a page: in the format of the settings, else in the one that the run before recognised, else
/// in whichever fits.
pub(crate) fn read(
    address: &str,
    settings: &Settings,
    known: Option<Format>,
) -> Result<Source, Unread> {
    if let Some(format) = settings.format {
        let url = document(address, format);
        let response = get(&url)?;
        return recognised(&response, &[format], address, settings)?
            .ok_or_else(|| Unread::Answer(wrong_format(&url, &response, format)));
    }
    if is_document(address) {
        let response = get(address)?;
        return recognised(&response, &GUESSES, address, settings)?
            .ok_or_else(|| Unread::Answer(no_format(&[address.to_owned()])));
    }
    let mut formats: Vec<Format> = known.into_iter().collect();
    let others = GUESSES.into_iter().filter(|format| known != Some(*format));
    formats.extend(others);
    let mut tried = Vec::new();
    for format in formats {
        let url = document(address, format);
        // The other documents are of the same host.
        let response = get(&url)?;
        if let Some(source) = recognised(&response, &[format], address, settings)? {
            return Ok(source);
        }
        tried.push(format!("{url} ({})", response.status));
    }
    Err(Unread::Answer(no_format(&tried)))
}

fn get(url: &str) -> Result<http::Response, Unread> {
    http::get(url)
        .header(
            "accept",
            "application/json, application/rss+xml, application/atom+xml, */*;q=0.1",
        )
        .decompress()
        .text()
        .max_body_bytes(MAX_BODY_BYTES)
        .follow_redirects(MOST_REDIRECTS)
        .send()
        .map_err(Unread::Net)
}

/// Reads an answer in the first format that fits. The credentials of the service never come along.
fn recognised(
    response: &http::Response,
    formats: &[Format],
    address: &str,
    settings: &Settings,
) -> Result<Option<Source>, Unread> {
    if !response.is_success() {
        return Ok(None);
    }
    if response.truncated {
        let url = &response.url;
        return Err(Unread::Answer(format!(
            "{url} is longer than {MAX_BODY_BYTES} bytes"
        )));
    }
    let json = response.json().ok();
    for format in formats {
        let of_json = |read: fn(&Value) -> Option<Page>| json.as_ref().and_then(read);
        let page = match format {
            Format::Statuspage | Format::IncidentIo => of_json(statuspage::read),
            Format::Instatus => of_json(instatus::read),
            Format::BetterStack => of_json(better_stack::read),
            Format::Feed => feed::read(&response.text(), settings),
        };
        let Some(mut page) = page else { continue };
        if *format == Format::Instatus && !settings.components.is_empty() {
            page.components = components_of_instatus(address)?;
        }
        return Ok(Some(Source {
            page,
            format: *format,
            http_status: response.status,
        }));
    }
    Ok(None)
}

fn components_of_instatus(address: &str) -> Result<Vec<crate::page::Component>, Unread> {
    let base = address.strip_suffix(instatus::PATH).unwrap_or(address);
    let url = extrack_plugin::url::join(base, instatus::COMPONENTS);
    let response = get(&url)?;
    let document = response.json().ok().filter(|_| response.is_success());
    document
        .and_then(|document| instatus::components(&document))
        .ok_or_else(|| {
            let status = response.status;
            Unread::Answer(format!("{url} answered {status} without `components`"))
        })
}

/// The URL at which a page has its state in a format.
fn document(address: &str, format: Format) -> String {
    let path = match format {
        Format::Statuspage | Format::IncidentIo => statuspage::PATH,
        Format::Instatus => instatus::PATH,
        Format::BetterStack => better_stack::PATH,
        Format::Feed => "",
    };
    if is_document(address) {
        address.to_owned()
    } else {
        extrack_plugin::url::join(address, path)
    }
}

/// Whether a URL leads to a file, and not to a page.
fn is_document(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    [".json", ".xml", ".rss", ".atom"]
        .iter()
        .any(|ending| path.ends_with(ending))
}

fn wrong_format(url: &str, response: &http::Response, format: Format) -> String {
    if response.is_success() {
        format!("{url} is not of the format `{}`", format.as_str())
    } else {
        format!("{url} answered {}, wanted 200", response.status)
    }
}

fn no_format(tried: &[String]) -> String {
    format!(
        "no format that is known fits; asked were {}; set `format`, or the URL of a feed as `page`",
        tried.join(", ")
    )
}
