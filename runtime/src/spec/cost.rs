//! `cost` of a service: the price list of its vendor. The catalog of vendors has the same form.

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use crate::domain::cost::{RoundAt, RoundMode};

/// Price list of a service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CostSpec {
    /// ISO 4217, e.g. `EUR`.
    pub currency: String,
    /// Day on which these prices were true, e.g. `2026-11-01`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
    /// Address of the page that they are from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// When the vendor begins to count anew. Default: on the first of a month, in UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cycle: Option<CycleSpec>,
    /// Where and how amounts are rounded. Default: the total, half up, to the digits of the currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub round: Option<RoundSpec>,
    /// First day of the contract: no fee is due before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract_from: Option<String>,
    /// The fee of a part of a cycle is shared by whole days. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prorate: Option<bool>,
    /// Prices of units. Of the prices of one unit, the first that is for a call is taken.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prices: Vec<PriceSpec>,
    /// Fee of a cycle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<AmountSpec>,
    /// Percent off the fee.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_discount: Option<AmountSpec>,
    /// Money up to which the usage of each cycle is free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit: Option<AmountSpec>,
    /// Money that is owed even if less was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<CommitmentSpec>,
    /// Prices that come later, in the order of their days. A cycle that is over keeps its prices.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<PriceChangeSpec>,
}

/// Days from which a vendor counts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CycleSpec {
    /// First day, 1 to 31; in a shorter month its last. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 31))]
    pub day: Option<u8>,
    /// Zone of the IANA whose midnight counts, e.g. `America/Los_Angeles`. Default: `UTC`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
}

/// Rounding of amounts.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoundSpec {
    /// `call`, `line`, `total` or `none`. Default: `total`.
    #[serde(default)]
    pub at: RoundAt,
    /// `half-up`, `half-even`, `up` or `down`. Default: `half-up`.
    #[serde(default)]
    pub mode: RoundMode,
    /// Digits behind the point, 0 to 12. Default: those of the currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 12))]
    pub digits: Option<u32>,
}

/// Price of one unit.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceSpec {
    /// Line of the bill. Default: the unit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `call`, `bytes_in`, `bytes_out`, or a unit that calls report, e.g. `input_tokens`. Default:
    /// `call`; with `percent`, `amount`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<String>,
    /// Price of `per` units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price: Option<AmountSpec>,
    /// Units that the price is for, e.g. 1000000. Default: 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub per: Option<AmountSpec>,
    /// A block of `per` units that was begun is billed as a whole. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_blocks: Option<bool>,
    /// Prices by quantity, in the place of `price`; the last without `upTo`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tiers: Vec<TierSpec>,
    /// Meaning of the tiers. `graduated`: each part of the quantity costs its tier's price.
    /// `volume`: all of it costs the price of the tier that it lands in. Default: `graduated`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<TierModeSpec>,
    /// Units of each cycle that are free.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<AmountSpec>,
    /// `before`: the tiers begin to count behind the allowance. `inside`: it uses them up.
    /// Default: `before`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance_counts: Option<AllowanceCountsSpec>,
    /// Percent of the unit, which is an amount of money, in the place of `price`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percent: Option<AmountSpec>,
    /// Money that each call costs beside the percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plus: Option<AmountSpec>,
    /// The least that a call costs, with `percent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub minimum: Option<AmountSpec>,
    /// The most that a call costs, with `percent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maximum: Option<AmountSpec>,
    /// Answers that are billed, e.g. `[2xx, 404]`; all others are free. Default: every answer below
    /// 500 is billed except 429; of the others it is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub status: Vec<StatusSpec>,
    /// Methods that it is for. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<String>,
    /// Routes that it is for, with `*` for any characters. Default: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<String>,
    /// Tags of calls that it is for, e.g. `{model: gpt-4o*}`. Default: all.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tags: BTreeMap<String, String>,
    /// The most of the unit that one call can use, for calls that were cut. Default: as much as the
    /// largest call of the cycle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub most_per_call: Option<AmountSpec>,
}

/// Price of a part of the quantity.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TierSpec {
    /// Last quantity of the tier. Left out in the last tier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up_to: Option<AmountSpec>,
    /// Price of `per` units.
    pub price: AmountSpec,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum TierModeSpec {
    Graduated,
    Volume,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AllowanceCountsSpec {
    Before,
    Inside,
}

/// Money that is owed even if less was used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommitmentSpec {
    pub amount: AmountSpec,
    /// First day of a year of the commitment: what is missing is owed in the year's last cycle.
    /// Default: the commitment is one of each cycle.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub year_from: Option<String>,
    /// Price of `per` units above the commitment, for a list with one price without tiers. Default:
    /// the usual price.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overage: Option<AmountSpec>,
}

/// Prices from one day on. What is left out stays as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PriceChangeSpec {
    /// First day, e.g. `2026-04-01`.
    pub from: String,
    /// All prices from that day on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prices: Option<Vec<PriceSpec>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly: Option<AmountSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monthly_discount: Option<AmountSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credit: Option<AmountSpec>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<CommitmentSpec>,
}

/// Decimal number, or text with one, which keeps every digit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AmountSpec {
    Number(Number),
    Text(String),
}

impl AmountSpec {
    /// Returns the digits as they were written.
    pub fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl JsonSchema for AmountSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Amount".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["number", "string"] })
    }
}

/// HTTP status, class or range: `404`, `2xx`, `200-204`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum StatusSpec {
    Number(u16),
    Text(String),
}

impl StatusSpec {
    pub fn text(&self) -> String {
        match self {
            Self::Number(status) => status.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl JsonSchema for StatusSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "BilledStatus".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": ["integer", "string"] })
    }
}
