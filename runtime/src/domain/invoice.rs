//! Invoices of vendors, line by line.

use rust_decimal::{Decimal, RoundingStrategy};

use super::UnixMillis;
use super::cost::MAX_SCALE;

/// What a line is for, in the words of FOCUS. Others than these are kept as they are written.
pub const USAGE_CATEGORY: &str = "Usage";
/// Not compared: the costs of calls are without it.
pub const TAX_CATEGORY: &str = "Tax";

/// Line of an invoice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceLine {
    /// Vendor's id of the invoice.
    pub invoice: String,
    /// Number in the invoice, by which it counts once.
    pub line: i64,
    /// Slug.
    pub service: String,
    /// Vendor's name of what is billed.
    pub name: String,
    /// `Usage`, `Purchase`, `Tax`, `Credit`, `Adjustment`
    pub category: String,
    pub from_ms: UnixMillis,
    /// First moment behind the period.
    pub until_ms: UnixMillis,
    /// Below zero for credits; at most 12 digits behind the point.
    pub amount: Decimal,
    /// ISO 4217
    pub currency: String,
    pub imported_ms: UnixMillis,
}

impl InvoiceLine {
    /// Whether another line of the same number is the same, whenever it was imported.
    pub fn is_repeated_by(&self, other: &Self) -> bool {
        let imported_ms = self.imported_ms;
        *self
            == Self {
                imported_ms,
                ..other.clone()
            }
    }
}

/// Lines of an invoice for one service in one currency, added up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvoiceSum {
    pub invoice: String,
    pub service: String,
    pub currency: String,
    pub from_ms: UnixMillis,
    pub until_ms: UnixMillis,
    pub lines: i64,
    /// Without taxes.
    pub billed: Decimal,
    /// Number of invoices of the service for this period in this currency, and what they bill together.
    pub together: i64,
    pub billed_together: Decimal,
    pub tax: Decimal,
    /// When the last of the lines was imported.
    pub imported_ms: UnixMillis,
}

/// Digits of an amount before the point.
const MAX_WHOLE_DIGITS: u32 = 15;

/// Reads a decimal, also with an exponent; digits beyond the twelfth behind the point are rounded.
pub fn invoice_amount(text: &str) -> Result<Decimal, String> {
    let parsed = Decimal::from_str_exact(text).or_else(|_| Decimal::from_scientific(text));
    let fits = |amount: &Decimal| amount.abs() < Decimal::from(10_u64.pow(MAX_WHOLE_DIGITS));
    let amount = parsed.ok().filter(fits).ok_or_else(|| {
        format!("`amount` is `{text}`, and no decimal such as `12.5` with at most {MAX_WHOLE_DIGITS} digits before the point")
    })?;
    let rounded = amount.round_dp_with_strategy(MAX_SCALE, RoundingStrategy::MidpointNearestEven);
    Ok(rounded.normalize())
}
