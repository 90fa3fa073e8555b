//! Figures of a meter: what the guest answers becomes what an invoice is made of, within bounds.

use super::bindings::meter::exports::external_tracking::plugin::meters;
use super::convert::cut;
use crate::domain::cost::Currency;
use crate::domain::{MeterFigure, invoice_amount};
use crate::plugin_host::engine::limits;
use crate::plugin_host::policy::secrets::SealedSettings;

/// Converts the figures of a reading of this time, from and until; a figure that is none fails all
/// of them, since the sum would be wrong without it.
pub(in crate::plugin_host) fn figures(
    reading: meters::Reading,
    asked: (u64, u64),
    secrets: &SealedSettings,
) -> Result<Vec<MeterFigure>, String> {
    let (count, most) = (reading.figures.len(), limits::FIGURES);
    if count > most {
        return Err(format!(
            "answered {count} figures, at the most {most} are taken"
        ));
    }
    let figures = reading.figures.into_iter();
    figures
        .map(|figure| meter_figure(figure, asked, secrets))
        .collect()
}

fn meter_figure(
    figure: meters::Figure,
    (from_ms, until_ms): (u64, u64),
    secrets: &SealedSettings,
) -> Result<MeterFigure, String> {
    let line = |text: String| {
        let text = secrets.redact(&text).replace(char::is_control, " ");
        cut(text, limits::METRIC_BYTES)
    };
    let name = line(figure.name);
    let is_within =
        from_ms <= figure.from_ms && figure.from_ms < figure.to_ms && figure.to_ms <= until_ms;
    if !is_within {
        return Err(format!(
            "answered a figure `{name}` of another time than was asked for"
        ));
    }
    let decimal = |text: &str| {
        invoice_amount(text).map_err(|reason| format!("answered a figure `{name}`: {reason}"))
    };
    let currency = Currency::parse(&figure.currency).ok_or_else(|| {
        let code = cut(figure.currency.clone(), 16);
        format!("answered a figure `{name}` in `{code}`, which is no currency of ISO 4217")
    })?;
    Ok(MeterFigure {
        quantity: figure.quantity.as_deref().map(decimal).transpose()?,
        unit: line(figure.unit.unwrap_or_default()),
        amount: decimal(&figure.amount)?,
        currency: currency.code().as_ref().to_owned(),
        name,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_is_none_fails_the_reading_with_its_reason() {
        let figure = |name: &str, from_ms: u64, amount: &str, currency: &str| meters::Figure {
            from_ms,
            to_ms: from_ms + 10,
            name: name.to_owned(),
            quantity: Some("2".to_owned()),
            unit: None,
            amount: amount.to_owned(),
            currency: currency.to_owned(),
            attributes: None,
        };
        let read = |list: Vec<meters::Figure>| {
            let reading = meters::Reading {
                figures: list,
                attributes: Vec::new(),
            };
            figures(reading, (100, 120), &SealedSettings::default())
        };
        let long = "n\n".repeat(200);
        let good = read(vec![
            figure(&long, 100, "-1.50", "EUR"),
            figure("b", 110, "1e-3", "USD"),
        ]);
        let good = good.unwrap();
        assert!(good[0].name.len() <= limits::METRIC_BYTES && !good[0].name.contains('\n'));
        let amounts: Vec<String> = good.iter().map(|one| one.amount.to_string()).collect();
        assert_eq!(amounts, ["-1.5", "0.001"]);
        for (bad, reason) in [
            (figure("early", 99, "1", "EUR"), "of another time"),
            (figure("late", 111, "1", "EUR"), "of another time"),
            (figure("word", 100, "much", "EUR"), "no decimal"),
            (figure("coin", 100, "1", "BTC"), "no currency"),
        ] {
            let name = bad.name.clone();
            let error = read(vec![bad]).unwrap_err();
            assert!(error.contains(reason) && error.contains(&name), "{error}");
        }
        let many = vec![figure("a", 100, "1", "EUR"); limits::FIGURES + 1];
        assert!(read(many).unwrap_err().contains("at the most 10000"));
    }
}
