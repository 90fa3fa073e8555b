//! What vendors report of themselves, as their interfaces answer it: Twilio's usage records, the costs
//! of OpenAI, the cost report of Anthropic. Their parts are added up by period and currency, and a
//! period is one line, so that the same days can be imported again in another file.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::Value;

use super::amount;
use crate::api_types::calls::UnitAmount;

const DAY_MS: i64 = 86_400_000;
/// Currencies of one period that have numbers of their own.
const CURRENCIES: i64 = 16;

/// Amount that a vendor bills for a period.
#[derive(Debug, PartialEq)]
pub(super) struct Period {
    pub(super) number: i64,
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
    pub(super) amount: Decimal,
    pub(super) currency: String,
}

#[derive(Deserialize)]
struct Twilio {
    usage_records: Vec<TwilioRecord>,
}

#[derive(Deserialize)]
struct TwilioRecord {
    category: String,
    /// A day, and the last day.
    start_date: String,
    end_date: String,
    price: Option<UnitAmount>,
    #[serde(default)]
    price_unit: String,
}

#[derive(Deserialize)]
struct OpenAi {
    data: Vec<OpenAiBucket>,
}

#[derive(Deserialize)]
struct OpenAiBucket {
    /// Seconds since 1970.
    start_time: i64,
    end_time: i64,
    results: Vec<OpenAiResult>,
}

#[derive(Deserialize)]
struct OpenAiResult {
    amount: OpenAiAmount,
}

#[derive(Deserialize)]
struct OpenAiAmount {
    value: UnitAmount,
    currency: String,
}

#[derive(Deserialize)]
struct Anthropic {
    data: Vec<AnthropicBucket>,
}

#[derive(Deserialize)]
struct AnthropicBucket {
    starting_at: String,
    ending_at: String,
    results: Vec<AnthropicResult>,
}

#[derive(Deserialize)]
struct AnthropicResult {
    /// Cents.
    amount: UnitAmount,
    currency: String,
}

/// Sums by period and currency.
#[derive(Default)]
struct Sums(BTreeMap<(Timestamp, Timestamp), BTreeMap<String, Decimal>>);

/// Reads the answer of a vendor. None: it is none of those that are known.
pub(super) fn periods(answer: &Value) -> Option<Result<Vec<Period>, String>> {
    if answer.get("usage_records").is_some() {
        return Some(parsed(answer).and_then(twilio));
    }
    let first = answer.get("data")?.as_array()?.first()?;
    if first.get("start_time").is_some() {
        return Some(parsed(answer).and_then(open_ai));
    }
    first.get("starting_at")?;
    Some(parsed(answer).and_then(anthropic))
}

fn parsed<T: for<'de> Deserialize<'de>>(answer: &Value) -> Result<T, String> {
    T::deserialize(answer).map_err(|error| format!("the report of the vendor is cut: {error}"))
}

fn twilio(answer: Twilio) -> Result<Vec<Period>, String> {
    let mut sums = Sums::default();
    let totals = answer.usage_records.iter();
    for record in totals.filter(|record| record.category == "totalprice") {
        let last = day(&record.end_date)?;
        let until = last.tomorrow().map_err(|error| error.to_string())?;
        let period = (midnight(day(&record.start_date)?)?, midnight(until)?);
        if let Some(price) = &record.price {
            sums.add(period, &record.price_unit, exact(price)?)?;
        }
    }
    if sums.0.is_empty() && !answer.usage_records.is_empty() {
        return Err(
            "none of the usage records is of the category `totalprice`, and the others overlap; ask with `Category=totalprice`"
                .to_owned(),
        );
    }
    sums.periods()
}

fn open_ai(answer: OpenAi) -> Result<Vec<Period>, String> {
    let mut sums = Sums::default();
    for bucket in &answer.data {
        let period = (second(bucket.start_time)?, second(bucket.end_time)?);
        for OpenAiResult { amount } in &bucket.results {
            sums.add(period, &amount.currency, exact(&amount.value)?)?;
        }
    }
    sums.periods()
}

fn anthropic(answer: Anthropic) -> Result<Vec<Period>, String> {
    let mut sums = Sums::default();
    for bucket in &answer.data {
        let period = (moment(&bucket.starting_at)?, moment(&bucket.ending_at)?);
        for result in &bucket.results {
            if !result.currency.eq_ignore_ascii_case("USD") {
                let currency = &result.currency;
                return Err(format!(
                    "the report is in `{currency}`, and only cents of USD are known"
                ));
            }
            let cents = exact(&result.amount)?;
            let amount = cents
                .checked_mul(Decimal::new(1, 2))
                .ok_or_else(too_large)?;
            sums.add(period, &result.currency, amount)?;
        }
    }
    sums.periods()
}

impl Sums {
    fn add(
        &mut self,
        period: (Timestamp, Timestamp),
        currency: &str,
        more: Decimal,
    ) -> Result<(), String> {
        let sums = self.0.entry(period).or_default();
        let sum = sums.entry(currency.to_ascii_uppercase()).or_default();
        *sum = sum.checked_add(more).ok_or_else(too_large)?;
        Ok(())
    }

    fn periods(self) -> Result<Vec<Period>, String> {
        let mut periods = Vec::new();
        for ((from, until), sums) in self.0 {
            let day = from.as_millisecond().div_euclid(DAY_MS);
            for (place, (currency, amount)) in (0..CURRENCIES).zip(sums) {
                periods.push(Period {
                    number: day * CURRENCIES + place,
                    from,
                    until,
                    amount,
                    currency,
                });
            }
        }
        Ok(periods)
    }
}

fn exact(written: &UnitAmount) -> Result<Decimal, String> {
    match written {
        UnitAmount::Number(number) => amount(&number.to_string()),
        UnitAmount::Text(text) => amount(text),
    }
}

fn too_large() -> String {
    "the amounts of the report are too large".to_owned()
}

fn day(text: &str) -> Result<Date, String> {
    let parsed = text.parse::<Date>();
    parsed.map_err(|_| format!("`{text}` is no day such as `2026-11-01`"))
}

fn midnight(day: Date) -> Result<Timestamp, String> {
    let zoned = day.to_zoned(TimeZone::UTC);
    Ok(zoned.map_err(|error| error.to_string())?.timestamp())
}

fn second(seconds: i64) -> Result<Timestamp, String> {
    Timestamp::from_second(seconds).map_err(|error| error.to_string())
}

fn moment(text: &str) -> Result<Timestamp, String> {
    let parsed = text.parse::<Timestamp>();
    parsed.map_err(|_| format!("`{text}` is no moment such as `2026-11-01T00:00:00Z`"))
}
