//! The meter `anthropic-costs`: the cost report of an organization by day and description, as
//! Anthropic's administration API has it. It needs an admin key.

use extrack_plugin::json::Value;
use extrack_plugin::meter::{decimal, pages};
use extrack_plugin::prelude::*;
use extrack_plugin::url::form_encode;

const PATH: &str = "/v1/organizations/cost_report";
const VERSION: &str = "2023-06-01";

#[derive(Settings)]
struct Settings {
    /// Credential of the service to use: an admin key. Default: the one in `authentication`.
    auth: Option<String>,
}

#[meter]
fn read(question: &Question, settings: &Settings) -> Result<Reading, ReadError> {
    let first = format!(
        "{PATH}?starting_at={}&ending_at={}&bucket_width=1d&limit=31&group_by[]=description",
        moment(question.from_ms),
        moment(question.to_ms)
    );
    let first = question.address(&first)?;
    let credential = question.credential(settings.auth.as_deref());
    let mut figures = Vec::new();
    pages(
        first.clone(),
        |address| {
            let request = http::get(address).header("anthropic-version", VERSION);
            match &credential {
                Some(credential) => request.auth(credential.as_str()),
                None => request,
            }
        },
        |page| next(page, &first),
        |page| take(page, &mut figures),
    )?;
    Ok(Reading { figures })
}

/// Returns a moment to the second, as a part of a query.
fn moment(ms: u64) -> String {
    let text = time::rfc3339(ms);
    let second = text.split('.').next().unwrap_or_default();
    form_encode(&format!("{second}Z"))
}

fn next(page: &Value, first: &str) -> Result<Option<String>, ReadError> {
    if page["has_more"] != true {
        return Ok(None);
    }
    let cursor = page["next_page"].as_str().ok_or_else(unknown)?;
    Ok(Some(format!("{first}&page={}", form_encode(cursor))))
}

fn take(page: &Value, figures: &mut Vec<Figure>) -> Result<(), ReadError> {
    for bucket in page["data"].as_array().ok_or_else(unknown)? {
        let moment = |key: &str| {
            let text = bucket[key].as_str();
            text.and_then(time::parse_rfc3339).ok_or_else(unknown)
        };
        let (from_ms, to_ms) = (moment("starting_at")?, moment("ending_at")?);
        for result in bucket["results"].as_array().ok_or_else(unknown)? {
            let currency = result["currency"].as_str().ok_or_else(unknown)?;
            if currency != "USD" {
                return Err(ReadError::unavailable(format!(
                    "the report is in `{currency}`, and only cents of USD are known"
                )));
            }
            let cents = decimal(&result["amount"]).ok_or_else(unknown)?;
            figures.push(Figure {
                from_ms,
                to_ms,
                name: result["description"].as_str().unwrap_or("other").to_owned(),
                quantity: None,
                amount: hundredth(&cents).ok_or_else(unknown)?,
                currency: currency.to_owned(),
            });
        }
    }
    Ok(())
}

/// Returns a hundredth of a plain decimal, by its digits: `-1234.5` becomes `-12.345`.
fn hundredth(text: &str) -> Option<String> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => ("-", digits),
        None => ("", text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !is_number(whole) || !is_number(part) {
        return None;
    }
    let whole = format!("{whole:0>3}");
    let (units, cents) = whole.split_at(whole.len() - 2);
    Some(format!("{sign}{units}.{cents}{part}"))
}

fn unknown() -> ReadError {
    ReadError::unavailable("the answer has not the form of Anthropic's cost report")
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, response};

    use super::*;

    const FROM_MS: u64 = 1_793_491_200_000;
    const DAY_MS: u64 = 86_400_000;
    const FIRST: &str = "https://api.anthropic.com/v1/organizations/cost_report?starting_at=2026-11-01T00%3A00%3A00Z\
                         &ending_at=2026-11-03T00%3A00%3A00Z&bucket_width=1d&limit=31&group_by[]=description";

    fn question() -> Question {
        Question::of("https://api.anthropic.com", FROM_MS, FROM_MS + 2 * DAY_MS)
    }

    #[test]
    fn pages_are_followed_and_cents_become_dollars() {
        let host = Host::install();
        host.answer_http(
            &format!("GET {FIRST}"),
            response(
                200,
                r#"{"data": [{"starting_at": "2026-11-01T00:00:00Z", "ending_at": "2026-11-02T00:00:00Z", "results": [
                    {"currency": "USD", "amount": "123.78912", "description": "Claude Sonnet 4 Usage - Input Tokens"},
                    {"currency": "USD", "amount": "5", "description": null}
                ]}], "has_more": true, "next_page": "page_B"}"#,
            ),
        );
        host.answer_http(
            &format!("GET {FIRST}&page=page_B"),
            response(200, r#"{"data": [], "has_more": false, "next_page": null}"#),
        );
        let reading = read(&question(), &Settings::from_json("{}").unwrap()).unwrap();
        let figures: Vec<(&str, &str, u64)> = reading
            .figures
            .iter()
            .map(|figure| (figure.name.as_str(), figure.amount.as_str(), figure.to_ms))
            .collect();
        let to_ms = FROM_MS + DAY_MS;
        assert_eq!(
            figures,
            [
                ("Claude Sonnet 4 Usage - Input Tokens", "1.2378912", to_ms),
                ("other", "0.05", to_ms)
            ]
        );
        let asked = &host.http_requests()[0];
        assert_eq!(asked.header("anthropic-version"), Some(VERSION));
        assert_eq!(asked.auth, None);
    }

    #[test]
    fn a_hundredth_is_exact_or_none() {
        for (cents, wanted) in [
            ("0", Some("0.00")),
            ("7", Some("0.07")),
            ("-1234.5", Some("-12.345")),
            ("100", Some("1.00")),
            ("1e3", None),
            (".5", None),
            ("", None),
        ] {
            assert_eq!(hundredth(cents).as_deref(), wanted, "{cents}");
        }
    }

    #[test]
    fn another_currency_is_refused() {
        let host = Host::install();
        host.answer_http(
            &format!("GET {FIRST}"),
            response(
                200,
                r#"{"data": [{"starting_at": "2026-11-01T00:00:00Z", "ending_at": "2026-11-02T00:00:00Z",
                    "results": [{"currency": "EUR", "amount": "1"}]}], "has_more": false}"#,
            ),
        );
        let error = read(&question(), &Settings::from_json("{}").unwrap()).unwrap_err();
        assert!(
            matches!(&error, ReadError::Unavailable(text) if text.contains("`EUR`")),
            "{error:?}"
        );
    }
}
