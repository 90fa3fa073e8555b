//! Invoices of vendors. Amounts are decimals in text, so that no digit is lost.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::calls::{RefusedLine, UnitAmount};

/// Body of `POST /api/v1/invoices` as JSON.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InvoiceImport {
    /// Vendor's id of the invoice.
    pub invoice: String,
    pub lines: Vec<InvoiceImportLine>,
}

/// Line of an invoice.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InvoiceImportLine {
    /// Number by which it counts once. Default: its place, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<i64>,
    /// Begin of the period: RFC 3339, or a day in UTC.
    pub from: String,
    /// First moment behind it.
    pub to: String,
    /// Slug or name of the service.
    pub service: String,
    /// Amount, below zero for credits; a number, or text with one.
    pub amount: UnitAmount,
    /// ISO 4217
    pub currency: String,
    /// Vendor's name of what is billed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `Usage`, `Purchase`, `Tax`, `Credit`, `Adjustment`. Default: `Usage`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
}

/// Result for the lines. Those that were taken are kept for good.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceImported {
    pub taken: usize,
    /// Imported before; they count once.
    pub duplicates: usize,
    pub refused: Vec<RefusedLine>,
}

/// Reason that may explain a difference.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DriftReasonBody {
    /// `noPriceList`, `unpriced`, `otherCurrency`, `countedSince`, `noCalls`, `uncertain`, `noFees` or `lost`
    pub kind: String,
    /// Text for people.
    pub detail: String,
}

/// Invoice of one service in one currency, beside what we counted for the same period.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceBody {
    /// Vendor's id.
    pub invoice: String,
    /// Slug.
    pub service: String,
    /// ISO 4217
    pub currency: String,
    /// Begin of its first period, RFC 3339.
    pub from: String,
    /// First moment behind its last period.
    pub to: String,
    pub lines: i64,
    /// Sum without taxes.
    pub billed: String,
    pub tax: String,
    /// Cost of the calls of the period at least, with fees where it is a billing cycle.
    pub counted: String,
    pub counted_at_most: String,
    /// Distance of `billed` from what we counted; above zero: more is billed.
    pub drift: String,
    /// Percent of what is billed; null where nothing is.
    pub drift_percent: Option<String>,
    pub reasons: Vec<DriftReasonBody>,
    /// When the last of its lines was imported.
    pub imported_at: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvoicesBody {
    /// The latest periods first, at most 200.
    pub invoices: Vec<InvoiceBody>,
}

/// Line as it is kept.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceLineBody {
    pub line: i64,
    pub service: String,
    pub name: String,
    pub category: String,
    pub from: String,
    pub to: String,
    pub amount: String,
    pub currency: String,
}

#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct InvoiceLinesBody {
    /// Lines by their numbers, at most 1,000.
    pub lines: Vec<InvoiceLineBody>,
    /// Number to go on behind; null: these are the last.
    pub after: Option<i64>,
}
