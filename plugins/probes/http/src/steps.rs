//! Several requests, one after the other: cookies go along, values of earlier answers are written
//! into later requests, and the first step that fails ends the run and is named.

use std::collections::{BTreeMap, BTreeSet};

use extrack_answers::{Answer, Assertion, ExpectedStatus, Headers, credential, is_header_name};
use extrack_plugin::prelude::*;

use crate::extract::Extract;
use crate::variables::{Place, Variables, is_name, names, place_of_body};
use crate::wanted::Wanted;
use crate::{Settings, assertion_faults, hops, in_the_manner_of, method_fault, noted, unless_slow};

#[derive(Settings)]
pub(crate) struct Step {
    /// Name of the step in messages and metrics. Default: its number.
    name: Option<String>,
    /// Path behind the base URL, or a whole URL. Values are percent-encoded, except where the path
    /// is one variable alone.
    #[setting(host = "url")]
    path: String,
    /// Method of the request.
    #[setting(default = "GET")]
    method: String,
    /// Further headers of the request, without variables.
    #[setting(default)]
    headers: Headers,
    /// Headers with variables in them, such as `Authorization: "Bearer {{token}}"`. These are not
    /// secret: what is, belongs into `headers`.
    #[setting(default)]
    variable_headers: BTreeMap<String, String>,
    /// Body of the request; values are escaped where it is JSON or a form.
    body: Option<String>,
    /// Status wanted, in place of the probe's.
    expected_status: Option<ExpectedStatus>,
    /// Text that the body has to contain.
    body_contains: Option<String>,
    /// Further things that have to be true of the answer.
    #[setting(default)]
    assertions: Vec<Assertion>,
    /// Variables that the steps behind this one may use, by name.
    #[setting(default, max_size = 50)]
    extract: BTreeMap<String, Extract>,
    /// Credential in place of the probe's; `none` for none.
    auth: Option<String>,
}

/// What is known of a run after some steps.
struct Progress {
    jar: http::CookieJar,
    variables: Variables,
    took: Duration,
    redirects: u32,
    done: usize,
}

pub(crate) fn run(check: &Check, settings: &Settings) -> Result<Observation, Stop> {
    let mut progress = Progress {
        jar: http::CookieJar::default(),
        variables: Variables::default(),
        took: Duration::ZERO,
        redirects: 0,
        done: 0,
    };
    let mut last = None;
    for (index, step) in settings.steps.iter().enumerate() {
        let title = step.title(index);
        let failed = |observation: Observation, progress: &Progress| {
            observation
                .metric("steps", progress.done)
                .metric("failed_step", title.as_str())
        };
        let request = match step.request(check, settings, &progress.variables) {
            Ok(request) => request,
            Err(fault) => {
                let found = Observation::unhealthy(step.said(index, &fault));
                return Ok(failed(found, &progress));
            }
        };
        let response = match request.send_with(&mut progress.jar) {
            Ok(response) => response,
            Err(error) => {
                let text = step.said(index, &error.to_string());
                let found = Observation::failed(Status::Error, error.kind(), text);
                return Ok(failed(found, &progress));
            }
        };
        progress.took += response.latency();
        progress.redirects = progress.redirects.saturating_add(response.redirects);
        if let Some(fault) = step.judge(settings, &response, &mut progress.variables)? {
            let found = Observation::unhealthy(step.said(index, &fault));
            return Ok(noted(
                failed(found, &progress),
                &response,
                progress.redirects,
            ));
        }
        progress.done += 1;
        last = Some(response);
    }
    let found = unless_slow(settings, progress.took).metric("steps", progress.done);
    Ok(match &last {
        Some(response) => noted(found, response, progress.redirects),
        None => found,
    })
}

impl Step {
    fn title(&self, index: usize) -> String {
        self.name.clone().unwrap_or_else(|| (index + 1).to_string())
    }

    fn said(&self, index: usize, fault: &str) -> String {
        match &self.name {
            Some(name) => format!("step {} `{name}`: {fault}", index + 1),
            None => format!("step {}: {fault}", index + 1),
        }
    }

    fn wanted<'a>(&'a self, settings: &'a Settings) -> Wanted<'a> {
        Wanted {
            status: self
                .expected_status
                .as_ref()
                .unwrap_or(&settings.expected_status),
            body_contains: self.body_contains.as_deref(),
            assertions: &self.assertions,
            is_private: !self.extract.is_empty(),
        }
    }

    fn request(
        &self,
        check: &Check,
        settings: &Settings,
        variables: &Variables,
    ) -> Result<http::Request, String> {
        let path = variables.fill(&self.path, Place::Url)?;
        let method = self.method.to_ascii_uppercase();
        let mut request = http::Request::new(method, check.service.url(&path));
        request = settings.headers.add_to(request);
        request = self.headers.add_to(request);
        for (name, text) in &self.variable_headers {
            request = request.header(name, variables.fill(text, Place::Header)?);
        }
        if let Some(body) = &self.body {
            let place = place_of_body(body, self.content_type(settings));
            request = request.body(variables.fill(body, place)?);
        }
        let auth = self.auth.as_deref().or(settings.auth.as_deref());
        if let Some(credential) = credential(check, auth) {
            request = request.auth(credential);
        }
        let wanted = self.wanted(settings);
        if wanted.reads_the_body() || self.extract.values().any(Extract::reads_the_body) {
            request = request.text();
        }
        let hops = hops(settings, wanted.status);
        Ok(in_the_manner_of(settings, request).follow_redirects(hops))
    }

    fn content_type<'a>(&'a self, settings: &'a Settings) -> Option<&'a str> {
        let is_it = |name: &str| name.eq_ignore_ascii_case("content-type");
        let plain = |headers: &'a Headers| {
            let found = headers.0.iter().find(|(name, _)| is_it(name));
            found.and_then(|(_, value)| value.plain())
        };
        plain(&self.headers).or_else(|| plain(&settings.headers))
    }

    /// Finds what is wrong with the answer, and takes the variables out of one that is right.
    fn judge(
        &self,
        settings: &Settings,
        response: &http::Response,
        variables: &mut Variables,
    ) -> Result<Option<String>, Stop> {
        let answer = Answer::new(response).private(true);
        // First, as recordings have no value of an answer that is wrong either.
        let found: Vec<_> = self
            .extract
            .iter()
            .map(|(name, extract)| (name, extract.value(&answer)))
            .collect();
        if let Some(fault) = self.wanted(settings).fault(response)? {
            return Ok(Some(fault));
        }
        for (name, value) in found {
            match value {
                Ok(value) => variables.set(name, value),
                Err(fault) => return Ok(Some(format!("no value for `{name}`: {fault}"))),
            }
        }
        Ok(None)
    }

    /// Texts in which variables may stand, with their places in the settings.
    fn texts(&self) -> impl Iterator<Item = (String, &str)> {
        let headers = self.variable_headers.iter().map(|(name, text)| {
            let place = format!("/variableHeaders/{}", pointer(name));
            (place, text.as_str())
        });
        let body = self
            .body
            .iter()
            .map(|body| ("/body".to_owned(), body.as_str()));
        [("/path".to_owned(), self.path.as_str())]
            .into_iter()
            .chain(headers)
            .chain(body)
    }

    fn faults(&self, place: &str, known: &BTreeSet<&str>) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut fault = |below: String, message: String| {
            faults.push(Fault::new(format!("{place}{below}"), message));
        };
        for (below, text) in self.texts() {
            for name in names(text).into_iter().filter(|name| !known.contains(name)) {
                let message = format!("uses `{{{{{name}}}}}`, which no step before extracts");
                fault(below.clone(), message);
            }
        }
        for (name, text) in &self.variable_headers {
            let below = format!("/variableHeaders/{}", pointer(name));
            if !is_header_name(name) {
                fault(below, "is no name of a header".to_owned());
            } else if names(text).is_empty() {
                fault(
                    below,
                    "has no variable; without one it belongs into `headers`".to_owned(),
                );
            }
        }
        for (name, extract) in &self.extract {
            let below = format!("/extract/{}", pointer(name));
            if !is_name(name) {
                let message = "is no name of a variable: letters, digits and `_`";
                fault(below, message.to_owned());
            } else if let Err(message) = extract.check() {
                fault(below, message);
            }
        }
        faults.extend(method_fault(&self.method, &format!("{place}/method")));
        faults.extend(self.headers.faults(&format!("{place}/headers")));
        faults.extend(assertion_faults(
            &self.assertions,
            &format!("{place}/assertions"),
        ));
        faults
    }
}

/// Finds faults of the steps, and settings of the one request that steps take the place of.
pub(crate) fn faults(settings: &Settings) -> Vec<Fault> {
    if settings.steps.is_empty() {
        return Vec::new();
    }
    let mut faults = Vec::new();
    for (name, is_set) in [
        ("path", settings.path.is_some()),
        ("method", settings.method != "GET"),
        ("body", settings.body.is_some()),
        ("bodyContains", settings.body_contains.is_some()),
        ("assertions", !settings.assertions.is_empty()),
    ] {
        if is_set {
            let message = "stands beside `steps`; put it into the step that it is for";
            faults.push(Fault::new(format!("/{name}"), message));
        }
    }
    let mut known = BTreeSet::new();
    for (index, step) in settings.steps.iter().enumerate() {
        faults.extend(step.faults(&format!("/steps/{index}"), &known));
        known.extend(step.extract.keys().map(String::as_str));
    }
    faults
}

/// A key in a JSON Pointer.
fn pointer(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
