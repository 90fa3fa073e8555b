//! Why something has no price.

/// Reason for which an amount could not be computed. Nothing was counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CostError {
    #[error("an amount has more digits than can be kept exactly")]
    TooLarge,
    #[error("`{unit}` is negative, or has more than 15 digits before or 12 behind the point")]
    Quantity { unit: String },
    #[error("the moment lies outside of the years 1970 to 2200")]
    Moment,
    #[error("the call belongs to a cycle that ended before the {kept} that are kept open")]
    Closed { kept: usize },
}
