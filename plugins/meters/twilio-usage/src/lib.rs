//! The meter `twilio-usage`: what an account has used and what it costs, as Twilio's usage records
//! have it.

use extrack_plugin::json::Value;
use extrack_plugin::meter::{decimal, pages};
use extrack_plugin::prelude::*;
use extrack_plugin::url::form_encode;

const DAY_MS: u64 = 86_400_000;
/// The most that one page has.
const PAGE: u32 = 1_000;
/// The sum of all categories.
const TOTAL: &str = "totalprice";

#[derive(Settings)]
struct Settings {
    /// Id of the account, `AC` and 32 digits.
    #[setting(pattern = "^AC[0-9a-fA-F]{32}$")]
    account_sid: String,
    /// Categories of usage that are read, such as `sms` and `calls`. They must not be part of each
    /// other, or amounts count twice. Default: `totalprice`, the sum of all.
    #[setting(default, max_size = 20)]
    categories: Vec<String>,
    /// Credential of the service to use. Default: the one in `authentication`.
    auth: Option<String>,
}

#[meter]
fn read(question: &Question, settings: &Settings) -> Result<Reading, ReadError> {
    let credential = question.credential(settings.auth.as_deref());
    let total = [TOTAL.to_owned()];
    let categories = match settings.categories.as_slice() {
        [] => &total[..],
        named => named,
    };
    let mut figures = Vec::new();
    for category in categories {
        let first = format!(
            "/2010-04-01/Accounts/{}/Usage/Records.json?Category={}&StartDate={}&EndDate={}&PageSize={PAGE}",
            settings.account_sid,
            form_encode(category),
            day(question.from_ms),
            day(question.to_ms.saturating_sub(DAY_MS))
        );
        pages(
            question.address(&first)?,
            |address| {
                let request = http::get(address);
                match &credential {
                    Some(credential) => request.auth(credential.as_str()),
                    None => request,
                }
            },
            |page| match page["next_page_uri"].as_str() {
                Some(path) => question.address(path).map(Some),
                None => Ok(None),
            },
            |page| take(page, &mut figures),
        )?;
    }
    Ok(Reading { figures })
}

/// Returns a day such as `2026-11-01`.
fn day(ms: u64) -> String {
    time::rfc3339(ms).chars().take(10).collect()
}

fn take(page: &Value, figures: &mut Vec<Figure>) -> Result<(), ReadError> {
    for record in page["usage_records"].as_array().ok_or_else(unknown)? {
        let midnight = |key: &str| {
            let day = record[key].as_str().ok_or_else(unknown)?;
            time::parse_rfc3339(&format!("{day}T00:00:00Z")).ok_or_else(unknown)
        };
        // Categories without a price have none.
        let Some(amount) = decimal(&record["price"]) else {
            continue;
        };
        let text = |key: &str| record[key].as_str().unwrap_or_default();
        figures.push(Figure {
            from_ms: midnight("start_date")?,
            // The last day is within.
            to_ms: midnight("end_date")? + DAY_MS,
            name: record["category"].as_str().ok_or_else(unknown)?.to_owned(),
            quantity: decimal(&record["usage"])
                .filter(|_| text("category") != TOTAL)
                .map(|usage| (usage, text("usage_unit").to_owned())),
            amount,
            currency: text("price_unit").to_ascii_uppercase(),
        });
    }
    Ok(())
}

fn unknown() -> ReadError {
    ReadError::unavailable("the answer has not the form of Twilio's usage records")
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, response};

    use super::*;

    const FROM_MS: u64 = 1_793_491_200_000;
    const ACCOUNT: &str = "AC0123456789abcdef0123456789abcdef";

    fn question() -> Question {
        let mut question = Question::of("https://api.twilio.com", FROM_MS, FROM_MS + 30 * DAY_MS);
        question.credentials = vec!["default".to_owned()];
        question
    }

    fn first(category: &str) -> String {
        format!(
            "GET https://api.twilio.com/2010-04-01/Accounts/{ACCOUNT}/Usage/Records.json?Category={category}\
             &StartDate=2026-11-01&EndDate=2026-11-30&PageSize=1000"
        )
    }

    #[test]
    fn the_total_is_read_where_no_categories_are_named() {
        let host = Host::install();
        host.answer_http(
            &first("totalprice"),
            response(
                200,
                r#"{"usage_records": [{"category": "totalprice", "start_date": "2026-11-01", "end_date": "2026-11-30",
                    "usage": "41.27", "usage_unit": "usd", "price": "41.27000", "price_unit": "usd"}], "next_page_uri": null}"#,
            ),
        );
        let settings = Settings::from_json(&format!(r#"{{"accountSid": "{ACCOUNT}"}}"#)).unwrap();
        let reading = read(&question(), &settings).unwrap();
        assert_eq!(
            reading.figures,
            [Figure {
                from_ms: FROM_MS,
                to_ms: FROM_MS + 30 * DAY_MS,
                name: "totalprice".to_owned(),
                quantity: None,
                amount: "41.27000".to_owned(),
                currency: "USD".to_owned(),
            }]
        );
        assert_eq!(host.http_requests()[0].auth.as_deref(), Some("default"));
    }

    #[test]
    fn each_category_is_read_with_its_pages_and_its_usage() {
        let host = Host::install();
        let record = |category: &str, price: &str| {
            format!(
                r#"{{"category": "{category}", "start_date": "2026-11-01", "end_date": "2026-11-30",
                    "usage": "12", "usage_unit": "messages", "price": {price}, "price_unit": "usd"}}"#
            )
        };
        let next = format!("/2010-04-01/Accounts/{ACCOUNT}/Usage/Records.json?Page=1&PageToken=x");
        let page = |records: &str, next: &str| {
            format!(r#"{{"usage_records": [{records}], "next_page_uri": {next}}}"#)
        };
        host.answer_http(
            &first("sms"),
            response(200, page(&record("sms", "0.0079"), &format!("{next:?}"))),
        );
        host.answer_http(
            &format!("GET https://api.twilio.com{next}"),
            response(200, page(&record("sms", "null"), "null")),
        );
        host.answer_http(&first("calls"), response(200, page("", "null")));
        let settings = Settings::from_json(&format!(
            r#"{{"accountSid": "{ACCOUNT}", "categories": ["sms", "calls"]}}"#
        ))
        .unwrap();
        let reading = read(&question(), &settings).unwrap();
        let [figure] = &reading.figures[..] else {
            panic!("{reading:?}");
        };
        assert_eq!(
            (figure.name.as_str(), figure.amount.as_str()),
            ("sms", "0.0079")
        );
        let usage = ("12".to_owned(), "messages".to_owned());
        assert_eq!(figure.quantity, Some(usage));
        assert_eq!(host.http_requests().len(), 3);
    }
}
