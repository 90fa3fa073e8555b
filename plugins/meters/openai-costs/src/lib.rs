//! The meter `openai-costs`: the costs of an organization by day and line item, as OpenAI's
//! administration API has them. It needs an admin key.

use extrack_plugin::json::Value;
use extrack_plugin::meter::{decimal, pages};
use extrack_plugin::prelude::*;
use extrack_plugin::url::form_encode;

const PATH: &str = "/v1/organization/costs";
/// The most that one page has: more days than a month.
const PAGE: u32 = 180;

#[derive(Settings)]
struct Settings {
    /// Only costs of these projects, by their ids. Default: all of the organization.
    #[setting(default, max_size = 50)]
    projects: Vec<String>,
    /// Credential of the service to use: an admin key. Default: the one in `authentication`.
    auth: Option<String>,
}

#[meter]
fn read(question: &Question, settings: &Settings) -> Result<Reading, ReadError> {
    let mut first = format!(
        "{PATH}?start_time={}&end_time={}&bucket_width=1d&limit={PAGE}&group_by=line_item",
        question.from_ms / 1_000,
        question.to_ms / 1_000
    );
    for project in &settings.projects {
        first.push_str(&format!("&project_ids={}", form_encode(project)));
    }
    let first = question.address(&first)?;
    let credential = question.credential(settings.auth.as_deref());
    let mut figures = Vec::new();
    pages(
        first.clone(),
        |address| {
            let request = http::get(address);
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

fn next(page: &Value, first: &str) -> Result<Option<String>, ReadError> {
    if page["has_more"] != true {
        return Ok(None);
    }
    let cursor = page["next_page"].as_str().ok_or_else(unknown)?;
    Ok(Some(format!("{first}&page={}", form_encode(cursor))))
}

fn take(page: &Value, figures: &mut Vec<Figure>) -> Result<(), ReadError> {
    for bucket in page["data"].as_array().ok_or_else(unknown)? {
        let second = |key: &str| bucket[key].as_u64().ok_or_else(unknown);
        let (from, to) = (second("start_time")?, second("end_time")?);
        for result in bucket["results"].as_array().ok_or_else(unknown)? {
            let amount = &result["amount"];
            let currency = amount["currency"].as_str().ok_or_else(unknown)?;
            figures.push(Figure {
                from_ms: from * 1_000,
                to_ms: to * 1_000,
                name: result["line_item"].as_str().unwrap_or("other").to_owned(),
                quantity: None,
                amount: decimal(&amount["value"]).ok_or_else(unknown)?,
                currency: currency.to_ascii_uppercase(),
            });
        }
    }
    Ok(())
}

fn unknown() -> ReadError {
    ReadError::unavailable("the answer has not the form of OpenAI's costs")
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, response};

    use super::*;

    const FROM_MS: u64 = 1_793_491_200_000;
    const DAY_MS: u64 = 86_400_000;
    const FIRST: &str = "https://api.openai.com/v1/organization/costs?start_time=1793491200&end_time=1793664000\
                         &bucket_width=1d&limit=180&group_by=line_item";

    fn question() -> Question {
        let to_ms = FROM_MS + 2 * DAY_MS;
        let mut question = Question::of("https://api.openai.com/v1", FROM_MS, to_ms);
        question.credentials = vec!["default".to_owned(), "admin".to_owned()];
        question
    }

    fn settings(text: &str) -> Settings {
        Settings::from_json(text).unwrap()
    }

    #[test]
    fn pages_are_followed_and_amounts_stay_exact() {
        let host = Host::install();
        host.answer_http(
            &format!("GET {FIRST}"),
            response(
                200,
                r#"{"object": "page", "data": [{"object": "bucket", "start_time": 1793491200, "end_time": 1793577600, "results": [
                    {"object": "organization.costs.result", "amount": {"value": 0.10000000000000000001, "currency": "usd"},
                     "line_item": "gpt-5, input", "project_id": null},
                    {"object": "organization.costs.result", "amount": {"value": "12.5", "currency": "usd"}, "line_item": null}
                ]}], "has_more": true, "next_page": "page_A=="}"#,
            ),
        );
        host.answer_http(
            &format!("GET {FIRST}&page=page_A%3D%3D"),
            response(
                200,
                r#"{"object": "page", "data": [{"object": "bucket", "start_time": 1793577600, "end_time": 1793664000, "results": []}],
                    "has_more": false, "next_page": null}"#,
            ),
        );
        let reading = read(&question(), &settings(r#"{"auth": "admin"}"#)).unwrap();
        let figure = |name: &str, amount: &str| Figure {
            from_ms: FROM_MS,
            to_ms: FROM_MS + DAY_MS,
            name: name.to_owned(),
            quantity: None,
            amount: amount.to_owned(),
            currency: "USD".to_owned(),
        };
        assert_eq!(
            reading.figures,
            [
                figure("gpt-5, input", "0.10000000000000000001"),
                figure("other", "12.5")
            ]
        );
        let asked = host.http_requests();
        assert_eq!(asked.len(), 2);
        assert!(asked.iter().all(|one| one.auth.as_deref() == Some("admin")));
    }

    #[test]
    fn a_refusal_is_reported_with_its_status() {
        let host = Host::install();
        host.answer_http(
            &format!("GET {FIRST}"),
            response(401, r#"{"error": "not an admin key"}"#),
        );
        let error = read(&question(), &settings("{}")).unwrap_err();
        let ReadError::Unavailable(text) = &error else {
            panic!("{error:?}");
        };
        assert!(
            text.contains("401") && text.contains("not an admin key"),
            "{text}"
        );
        assert_eq!(host.http_requests()[0].auth.as_deref(), Some("default"));
    }

    #[test]
    fn a_vendor_that_has_ever_more_pages_is_not_followed_for_ever() {
        let host = Host::install();
        let endless = r#"{"data": [], "has_more": true, "next_page": "p"}"#;
        host.answer_http(&format!("GET {FIRST}"), response(200, endless));
        for _ in 0..150 {
            host.answer_http(&format!("GET {FIRST}&page=p"), response(200, endless));
        }
        let error = read(&question(), &settings("{}")).unwrap_err();
        assert!(
            matches!(&error, ReadError::Unavailable(text) if text.contains("more than 100 pages")),
            "{error:?}"
        );
    }
}
