//! Compiles the price list of a service.

use std::collections::BTreeSet;
use std::str::FromStr;

use chrono::NaiveDate;
use chrono_tz::Tz;
use rust_decimal::Decimal;

use crate::domain::cost::{
    Allowance, AllowancePlace, Charge, Commitment, CommitmentPeriod, Currency, Cycle, Fee, Guard,
    Percent, Price, PriceList, PriceVersion, Rounding, StatusSet, Tier, TierMode, Tiers,
    parse_amount,
};
use crate::domain::fault::{FaultReport, child, suggest};
use crate::spec::{
    AllowanceCountsSpec, AmountSpec, CommitmentSpec, CostSpec, CycleSpec, PriceSpec, TierModeSpec,
    TierSpec,
};

/// More is a mistake, and each call is compared with all of them.
const MAX_PRICES: usize = 64;
const MAX_TIERS: usize = 32;
const MAX_CHANGES: usize = 64;
const MAX_GUARDS: usize = 64;

/// Returns the price list; without a sound currency none, and the fault is in the report.
pub(in crate::registry) fn price_list(
    spec: &CostSpec,
    at: &str,
    report: &mut FaultReport,
) -> Option<PriceList> {
    let mut compiler = CostCompiler { report };
    let currency = compiler.currency(spec, at);
    compiler.day(spec.as_of.as_deref(), &child(at, "asOf"));
    let cycle = compiler.cycle(spec.cycle.as_ref(), &child(at, "cycle"));
    let round = spec.round.clone().unwrap_or_default();
    let most_digits = crate::domain::cost::MAX_SCALE;
    if round.digits.is_some_and(|digits| digits > most_digits) {
        let message = format!("must be at most {most_digits}");
        compiler
            .report
            .fault(child(&child(at, "round"), "digits"), message);
    }
    let contract_from = compiler.day(spec.contract_from.as_deref(), &child(at, "contractFrom"));
    let versions = compiler.versions(spec, at);
    let currency = currency?;
    Some(PriceList {
        rounding: Rounding {
            at: round.at,
            mode: round.mode,
            digits: round.digits.unwrap_or(currency.digits()).min(most_digits),
        },
        currency,
        cycle,
        contract_from,
        prorates: spec.prorate.unwrap_or_default(),
        versions,
    })
}

/// Reads the code of a currency; none: the fault is in the report.
pub(super) fn currency_of(code: &str, at: &str, report: &mut FaultReport) -> Option<Currency> {
    let currency = Currency::parse(code);
    if currency.is_none() {
        let nearest = suggest(code, Currency::codes());
        let nearest = nearest.split("; known").next().unwrap_or_default();
        let message = format!("`{code}` is no currency of ISO 4217, such as `EUR`{nearest}");
        report.fault(at, message);
    }
    currency
}

/// Reads a decimal; none: the fault is in the report.
pub(super) fn amount_of(spec: &AmountSpec, at: &str, report: &mut FaultReport) -> Option<Decimal> {
    match parse_amount(&spec.text()) {
        Ok(amount) => Some(amount),
        Err(mut message) => {
            if matches!(spec, AmountSpec::Number(_)) {
                message.push_str("; with many digits write it in quotes");
            }
            report.fault(at, message);
            None
        }
    }
}

struct CostCompiler<'a> {
    report: &'a mut FaultReport,
}

impl CostCompiler<'_> {
    fn currency(&mut self, spec: &CostSpec, at: &str) -> Option<Currency> {
        currency_of(&spec.currency, &child(at, "currency"), self.report)
    }

    fn day(&mut self, text: Option<&str>, at: &str) -> Option<NaiveDate> {
        let text = text?;
        let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        if day.is_none() {
            let message = format!("`{text}` is no day; write e.g. `2026-04-01`");
            self.report.fault(at, message);
        }
        day
    }

    fn cycle(&mut self, spec: Option<&CycleSpec>, at: &str) -> Cycle {
        let mut cycle = Cycle::default();
        let Some(spec) = spec else {
            return cycle;
        };
        match spec.day {
            None => {}
            Some(day @ 1..=31) => cycle.day = day,
            Some(_) => self.report.fault(child(at, "day"), "must be from 1 to 31"),
        }
        if let Some(name) = &spec.time_zone {
            match Tz::from_str(name) {
                Ok(zone) => cycle.zone = zone,
                Err(_) => {
                    let message = format!(
                        "there is no time zone `{name}`; write one of the IANA, e.g. `Europe/Berlin`"
                    );
                    self.report.fault(child(at, "timeZone"), message);
                }
            }
        }
        cycle
    }

    fn versions(&mut self, spec: &CostSpec, at: &str) -> Vec<PriceVersion> {
        let prices = self.prices(&spec.prices, &child(at, "prices"));
        let commitment = self.commitment(spec.commitment.as_ref(), &prices, at);
        let first = PriceVersion {
            from: None,
            fee: self.fee(spec.monthly.as_ref(), spec.monthly_discount.as_ref(), at),
            credit: self.amount(spec.credit.as_ref(), &child(at, "credit")),
            commitment,
            prices,
        };
        let mut versions = vec![first];
        let changes_at = child(at, "changes");
        if spec.changes.len() > MAX_CHANGES {
            let message = format!("must have at most {MAX_CHANGES} entries");
            self.report.fault(&changes_at, message);
        }
        for (index, change) in spec.changes.iter().take(MAX_CHANGES).enumerate() {
            let at = child(&changes_at, index);
            let from_at = child(&at, "from");
            let Some(from) = self.day(Some(&change.from), &from_at) else {
                continue;
            };
            let Some(mut next) = versions.last().cloned() else {
                continue;
            };
            if next.from.is_some_and(|before| before >= from) {
                let message = "must be later than the change before it";
                self.report.fault(from_at, message);
                continue;
            }
            next.from = Some(from);
            if let Some(prices) = &change.prices {
                next.prices = self.prices(prices, &child(&at, "prices"));
            }
            if change.monthly.is_some() {
                let discount = change.monthly_discount.as_ref();
                next.fee = self.fee(change.monthly.as_ref(), discount, &at);
            }
            if change.credit.is_some() {
                next.credit = self.amount(change.credit.as_ref(), &child(&at, "credit"));
            }
            if change.commitment.is_some() {
                next.commitment = self.commitment(change.commitment.as_ref(), &next.prices, &at);
            }
            versions.push(next);
        }
        versions
    }

    fn amount(&mut self, spec: Option<&AmountSpec>, at: &str) -> Option<Decimal> {
        amount_of(spec?, at, self.report)
    }

    fn fee(
        &mut self,
        monthly: Option<&AmountSpec>,
        discount: Option<&AmountSpec>,
        at: &str,
    ) -> Option<Fee> {
        let amount = self.amount(monthly, &child(at, "monthly"));
        let discount_at = child(at, "monthlyDiscount");
        let percent = self.amount(discount, &discount_at).unwrap_or_default();
        if percent > Decimal::ONE_HUNDRED {
            self.report
                .fault(discount_at, "must be at most 100 percent");
        }
        amount.map(|amount| Fee {
            amount,
            discount: percent.min(Decimal::ONE_HUNDRED),
        })
    }

    fn commitment(
        &mut self,
        spec: Option<&CommitmentSpec>,
        prices: &[Price],
        at: &str,
    ) -> Option<Commitment> {
        let spec = spec?;
        let at = child(at, "commitment");
        let amount = self.amount(Some(&spec.amount), &child(&at, "amount"));
        let year = self.day(spec.year_from.as_deref(), &child(&at, "yearFrom"));
        let overage_at = child(&at, "overage");
        let overage = self.amount(spec.overage.as_ref(), &overage_at);
        let usual = match prices {
            [only] => match &only.charge {
                Charge::Tiers(tiers) => tiers.flat_price(),
                Charge::Percent(_) => None,
            },
            _ => None,
        };
        let ratio = match (overage, usual) {
            (None, _) => None,
            (Some(_), _) if spec.year_from.is_some() => {
                let message = "is for a commitment of each cycle; leave it or `yearFrom` out";
                self.report.fault(overage_at, message);
                None
            }
            (Some(overage), Some((usual, _))) if !usual.is_zero() => Some((overage, usual)),
            (Some(_), _) => {
                let message =
                    "needs a list with one `price` above zero, without tiers and allowance";
                self.report.fault(overage_at, message);
                None
            }
        };
        Some(Commitment {
            amount: amount?,
            period: match year {
                Some(from) => CommitmentPeriod::Year { from },
                None => CommitmentPeriod::Cycle,
            },
            overage: ratio,
        })
    }

    fn prices(&mut self, specs: &[PriceSpec], at: &str) -> Vec<Price> {
        if specs.len() > MAX_PRICES {
            let message = format!("must have at most {MAX_PRICES} entries");
            self.report.fault(at, message);
        }
        let mut prices: Vec<Price> = Vec::new();
        let mut names = BTreeSet::new();
        for (index, spec) in specs.iter().take(MAX_PRICES).enumerate() {
            let at = child(at, index);
            let Some(mut price) = self.price(spec, &at) else {
                continue;
            };
            let hides = |before: &&Price| before.unit == price.unit && before.guard.is_empty();
            if let Some(before) = prices.iter().find(hides) {
                let message = format!(
                    "is never taken: `{}` before it is for every call that has `{}`; move this one up",
                    before.name, price.unit
                );
                self.report.fault(&at, message);
            }
            if names.contains(&price.name) {
                if spec.name.is_some() {
                    let message = "another price of this list has that name";
                    self.report.fault(child(&at, "name"), message);
                }
                price.name = format!("{} {}", price.name, index + 1);
            }
            names.insert(price.name.clone());
            prices.push(price);
        }
        prices
    }

    fn price(&mut self, spec: &PriceSpec, at: &str) -> Option<Price> {
        let usual = if spec.percent.is_some() {
            "amount"
        } else {
            Price::CALL
        };
        let unit = spec.unit.clone().unwrap_or_else(|| usual.to_owned());
        for (key, text) in [("unit", Some(&unit)), ("name", spec.name.as_ref())] {
            if text.is_some_and(|text| !is_name(text)) {
                let message = "must be one line of 1 to 100 characters";
                self.report.fault(child(at, key), message);
            }
        }
        let guard = self.guard(spec, at);
        let charge = if spec.percent.is_some() {
            self.percent(spec, at).map(Charge::Percent)
        } else {
            self.tiers(spec, at).map(Charge::Tiers)
        };
        let most = self.amount(spec.most_per_call.as_ref(), &child(at, "mostPerCall"));
        Some(Price {
            name: spec.name.clone().unwrap_or_else(|| unit.clone()),
            unit,
            guard,
            charge: charge?,
            most_per_call: most,
        })
    }

    fn guard(&mut self, spec: &PriceSpec, at: &str) -> Guard {
        for (key, count) in [
            ("status", spec.status.len()),
            ("methods", spec.methods.len()),
            ("routes", spec.routes.len()),
            ("tags", spec.tags.len()),
        ] {
            if count > MAX_GUARDS {
                let message = format!("must have at most {MAX_GUARDS} entries");
                self.report.fault(child(at, key), message);
            }
        }
        let texts: Vec<String> = spec.status.iter().map(|status| status.text()).collect();
        let status = match StatusSet::parse(texts.iter().map(String::as_str)) {
            Ok(set) => (!texts.is_empty()).then_some(set),
            Err(message) => {
                self.report.fault(child(at, "status"), message);
                None
            }
        };
        Guard {
            status,
            methods: spec.methods.clone(),
            routes: spec.routes.clone(),
            tags: spec.tags.clone(),
        }
    }

    fn percent(&mut self, spec: &PriceSpec, at: &str) -> Option<Percent> {
        for (key, is_given) in [
            ("price", spec.price.is_some()),
            ("per", spec.per.is_some()),
            ("wholeBlocks", spec.whole_blocks.is_some()),
            ("tiers", !spec.tiers.is_empty()),
            ("mode", spec.mode.is_some()),
            ("allowance", spec.allowance.is_some()),
            ("allowanceCounts", spec.allowance_counts.is_some()),
        ] {
            if is_given {
                let message =
                    "is not for a `percent`; write one price with `percent` and another one";
                self.report.fault(child(at, key), message);
            }
        }
        let percent = self.amount(spec.percent.as_ref(), &child(at, "percent"));
        let plus = self.amount(spec.plus.as_ref(), &child(at, "plus"));
        let minimum = self.amount(spec.minimum.as_ref(), &child(at, "minimum"));
        let maximum = self.amount(spec.maximum.as_ref(), &child(at, "maximum"));
        if minimum
            .zip(maximum)
            .is_some_and(|(least, most)| least > most)
        {
            let message = "must not be below `minimum`";
            self.report.fault(child(at, "maximum"), message);
        }
        Some(Percent {
            percent: percent?,
            plus: plus.unwrap_or_default(),
            minimum,
            maximum,
        })
    }

    fn tiers(&mut self, spec: &PriceSpec, at: &str) -> Option<Tiers> {
        for (key, is_given) in [
            ("plus", spec.plus.is_some()),
            ("minimum", spec.minimum.is_some()),
            ("maximum", spec.maximum.is_some()),
        ] {
            if is_given {
                self.report.fault(child(at, key), "is for a `percent`");
            }
        }
        let price = self.amount(spec.price.as_ref(), &child(at, "price"));
        let tiers = match (price, spec.tiers.as_slice()) {
            (Some(price), []) => vec![Tier { up_to: None, price }],
            (None, []) if spec.price.is_none() => {
                let message = "has no price; give `price`, `tiers` or `percent`";
                self.report.fault(at, message);
                return None;
            }
            (None, []) => return None,
            (_, _) if spec.price.is_some() => {
                let message = "is given beside `tiers`; remove one";
                self.report.fault(child(at, "price"), message);
                return None;
            }
            (_, tiers) => self.tier_list(tiers, &child(at, "tiers"))?,
        };
        let per_at = child(at, "per");
        let per = self.amount(spec.per.as_ref(), &per_at);
        if per.is_some_and(|per| per.is_zero()) {
            self.report.fault(per_at, "must be above zero");
        }
        let allowance = self.amount(spec.allowance.as_ref(), &child(at, "allowance"));
        let place = match spec.allowance_counts {
            Some(AllowanceCountsSpec::Inside) => AllowancePlace::InsideTiers,
            Some(AllowanceCountsSpec::Before) | None => AllowancePlace::BeforeTiers,
        };
        Some(Tiers {
            mode: match spec.mode {
                Some(TierModeSpec::Volume) => TierMode::Volume,
                Some(TierModeSpec::Graduated) | None => TierMode::Graduated,
            },
            per: per.filter(|per| !per.is_zero()).unwrap_or(Decimal::ONE),
            whole_blocks: spec.whole_blocks.unwrap_or_default(),
            allowance: allowance.map(|quantity| Allowance { quantity, place }),
            tiers,
        })
    }

    fn tier_list(&mut self, specs: &[TierSpec], at: &str) -> Option<Vec<Tier>> {
        if specs.len() > MAX_TIERS {
            let message = format!("must have at most {MAX_TIERS} entries");
            self.report.fault(at, message);
            return None;
        }
        let mut tiers: Vec<Tier> = Vec::new();
        for (index, spec) in specs.iter().enumerate() {
            let at = child(at, index);
            let end_at = child(&at, "upTo");
            let up_to = self.amount(spec.up_to.as_ref(), &end_at);
            let price = self.amount(Some(&spec.price), &child(&at, "price"));
            let before = tiers.last().and_then(|tier| tier.up_to).unwrap_or_default();
            let is_last = index + 1 == specs.len();
            let message = match (&spec.up_to, up_to) {
                (None, _) if !is_last => Some("is missing; only the last tier has no end"),
                (Some(_), _) if is_last => {
                    Some("must be left out in the last tier, which has no end")
                }
                (_, Some(end)) if end <= before => Some("must be above the end of the tier before"),
                _ => None,
            };
            if let Some(message) = message {
                let place = if spec.up_to.is_some() { end_at } else { at };
                self.report.fault(place, message);
            }
            tiers.push(Tier {
                up_to,
                price: price.unwrap_or_default(),
            });
        }
        Some(tiers)
    }
}

fn is_name(text: &str) -> bool {
    let count = text.chars().count();
    (1..=100).contains(&count) && !text.chars().any(char::is_control) && !text.trim().is_empty()
}

#[cfg(test)]
mod tests;
