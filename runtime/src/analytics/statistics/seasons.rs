//! Seasons of a day and of a week (STL: Cleveland, Cleveland, McRae and Terpenning, 1990).

use stlrs::{Mstl, Stl};

use super::Series;

/// Hours of the seasons that are looked for.
const PERIODS: [usize; 2] = [24, 168];

/// Chance alone makes a season of a few cycles look strong.
const MIN_CYCLES: usize = 4;

/// Strength from which a season is taken out before change points are looked for.
const MIN_STRENGTH: f64 = 0.4;

/// Share of the slots with a value below which no season is looked for.
const MIN_MEASURED: f64 = 0.5;

/// Cycles that a season is smoothed over: so many that a step does not become part of it.
const SMOOTHED: usize = 35;

/// Seasons of a series. The strength of one is 1 − var(rest) / var(season + rest), from 0 to 1.
#[derive(Debug, Clone, PartialEq)]
pub struct Seasons {
    /// Strength; none below four days.
    pub daily: Option<f64>,
    /// Strength; none below four weeks.
    pub weekly: Option<f64>,
    /// The series without its strong seasons.
    pub rest: Series,
}

pub fn seasons(series: &Series) -> Seasons {
    let none = Seasons {
        daily: None,
        weekly: None,
        rest: series.clone(),
    };
    let length = series.values.len();
    let measured = series.measured() as f64;
    let periods: Vec<usize> = PERIODS
        .into_iter()
        .filter(|period| length >= period * MIN_CYCLES)
        .collect();
    let Some(filled) = series.filled() else {
        return none;
    };
    if periods.is_empty() || measured < MIN_MEASURED * length as f64 {
        return none;
    }
    if is_constant(&filled) {
        // What is left of rounding would be the season.
        let strength = |place| periods.get(place).map(|_| 0.0);
        return Seasons {
            daily: strength(0),
            weekly: strength(1),
            ..none
        };
    }
    let mut loess = Stl::params();
    loess.robust(true).inner_loops(1).outer_loops(2);
    let fitted = Mstl::params()
        .stl_params(loess)
        .seasonal_lengths(&vec![SMOOTHED; periods.len()])
        .fit(&filled, &periods);
    let Ok(fitted) = fitted else {
        return none;
    };
    let strengths: Vec<f64> = fitted
        .seasonal_strength()
        .into_iter()
        .map(|strength: f64| if strength.is_finite() { strength } else { 0.0 })
        .collect();
    let mut rest = series.clone();
    for (season, strength) in fitted.seasonal().iter().zip(&strengths) {
        if *strength >= MIN_STRENGTH {
            for (value, part) in rest.values.iter_mut().zip(season) {
                *value = value.map(|value| value - part);
            }
        }
    }
    Seasons {
        daily: strengths.first().copied(),
        weekly: strengths.get(1).copied(),
        rest,
    }
}

fn is_constant(values: &[f64]) -> bool {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    most - least <= 1e-9 * most.abs().max(least.abs())
}
