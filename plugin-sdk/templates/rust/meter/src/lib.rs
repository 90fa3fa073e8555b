//! Reads what a vendor bills, from an interface that answers in JSON.

use extrack_plugin::meter::{decimal, pages};
use extrack_plugin::prelude::*;

#[derive(Settings)]
struct Settings {
    /// Path of the costs on the vendor's host.
    #[setting(default = "/v1/costs")]
    path: String,
}

#[meter(summary = "Reads costs that are answered in JSON")]
fn read(question: &Question, settings: &Settings) -> Result<Reading, ReadError> {
    let first = format!("{}?from={}&to={}", settings.path, question.from_ms, question.to_ms);
    let credential = question.credential(None);
    let mut figures = Vec::new();
    pages(
        question.address(&first)?,
        |address| match &credential {
            Some(credential) => http::get(address).auth(credential.as_str()),
            None => http::get(address),
        },
        // The address of the next page; none behind the last.
        |page| page["next"].as_str().map(|path| question.address(path)).transpose(),
        |page| {
            for cost in page["costs"].as_array().into_iter().flatten() {
                let text = |key: &str| cost[key].as_str().unwrap_or_default().to_owned();
                figures.push(Figure {
                    from_ms: question.from_ms,
                    to_ms: question.to_ms,
                    name: text("name"),
                    quantity: None,
                    // As it is written: a float would not be exact.
                    amount: decimal(&cost["amount"]).ok_or_else(|| ReadError::unavailable("a cost has no `amount`"))?,
                    currency: text("currency"),
                });
            }
            Ok(())
        },
    )?;
    Ok(Reading { figures })
}

#[cfg(test)]
mod tests {
    use extrack_plugin::fake::{Host, response};

    use super::*;

    fn question() -> Question {
        Question::of("https://api.example.com", 0, 86_400_000)
    }

    #[test]
    fn all_pages_are_read() {
        let host = Host::install();
        host.answer_http(
            "GET https://api.example.com/v1/costs?from=0&to=86400000",
            response(200, r#"{"costs": [{"name": "calls", "amount": "1.25", "currency": "EUR"}], "next": "/v1/costs?page=2"}"#),
        );
        host.answer_http(
            "GET https://api.example.com/v1/costs?page=2",
            response(200, r#"{"costs": [{"name": "storage", "amount": "3", "currency": "EUR"}]}"#),
        );
        let reading = read(&question(), &Settings::from_json("{}").unwrap()).unwrap();
        let amounts: Vec<&str> = reading.figures.iter().map(|figure| figure.amount.as_str()).collect();
        assert_eq!(amounts, ["1.25", "3"]);
    }

    #[test]
    fn a_refusal_is_no_reading() {
        let host = Host::install();
        host.answer_http("GET https://api.example.com/v1/costs?from=0&to=86400000", response(403, "no"));
        let refused = read(&question(), &Settings::from_json("{}").unwrap());
        assert!(matches!(refused, Err(ReadError::Unavailable(_))));
    }
}
