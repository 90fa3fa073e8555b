//! What has to be true of one answer.

use extrack_answers::{Answer, Assertion, ExpectedStatus};
use extrack_plugin::prelude::*;

pub(crate) struct Wanted<'a> {
    pub(crate) status: &'a ExpectedStatus,
    pub(crate) body_contains: Option<&'a str>,
    pub(crate) assertions: &'a [Assertion],
    /// Whether messages leave the body out.
    pub(crate) is_private: bool,
}

impl Wanted<'_> {
    /// A page that is not looked into may be as large and as odd as it likes.
    pub(crate) fn reads_the_body(&self) -> bool {
        self.body_contains.is_some() || self.assertions.iter().any(Assertion::reads_the_body)
    }

    /// The first thing that is wrong decides.
    pub(crate) fn fault(&self, response: &http::Response) -> Result<Option<String>, Stop> {
        if !self.status.accepts(response.status) {
            let found = response.status;
            return Ok(Some(format!("status is {found}, wanted {}", self.status)));
        }
        let answer = Answer::new(response).private(self.is_private);
        if let Some(wanted) = self.body_contains
            && !answer.text().is_ok_and(|text| text.contains(wanted))
        {
            return Ok(Some(format!(
                "body is {}, wanted one with `{wanted}` in it",
                answer.shown()
            )));
        }
        for assertion in self.assertions {
            if let Some(fault) = assertion.fault(&answer)? {
                return Ok(Some(fault));
            }
        }
        Ok(None)
    }
}
