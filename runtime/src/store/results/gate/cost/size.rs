//! How large a value may be, and what each function does to that.

use serde_json::Value;

/// Of one row.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Size {
    pub(super) bytes: f64,
    /// How often it holds what an aggregate collected, whose size nobody knows.
    pub(super) collected: f64,
    /// Its elements are collected themselves.
    pub(super) is_deep: bool,
    /// One value is there for many rows.
    pub(super) is_repeated: bool,
}

impl Size {
    /// A number, a moment, a truth.
    pub(super) const SMALL: Size = Size {
        bytes: 8.0,
        collected: 0.0,
        is_deep: false,
        is_repeated: false,
    };
    /// A column of ours: names, messages, a few metrics.
    pub(super) const INPUT: Size = Size {
        bytes: 128.0,
        ..Size::SMALL
    };

    pub(super) fn of_constant(value: &Value) -> Self {
        let bytes = match &value["value"] {
            Value::String(text) => 16 + text.len(),
            Value::Array(_) | Value::Object(_) => 16 + value["value"].to_string().len(),
            _ => 8,
        };
        Size {
            bytes: bytes as f64,
            ..Size::SMALL
        }
    }

    pub(super) fn collected(arguments: &[Size]) -> Self {
        let most = arguments
            .iter()
            .fold(Size::default(), |most, size| most.max(*size));
        Size {
            bytes: 0.0,
            collected: most.collected.max(1.0),
            is_deep: most.collected > 0.0,
            is_repeated: false,
        }
    }

    pub(super) fn max(self, other: Size) -> Size {
        Size {
            bytes: self.bytes.max(other.bytes),
            collected: self.collected.max(other.collected),
            is_deep: self.is_deep || other.is_deep,
            is_repeated: self.is_repeated || other.is_repeated,
        }
    }

    pub(super) fn plus(self, other: Size) -> Size {
        let (bytes, collected) = (self.bytes + other.bytes, self.collected + other.collected);
        Size {
            bytes,
            collected,
            ..self.max(other)
        }
    }

    pub(super) fn scaled(self, factor: f64) -> Size {
        Size {
            bytes: self.bytes * factor,
            collected: self.collected * factor,
            ..self
        }
    }

    /// One element of it: what was collected are values as columns have them.
    pub(super) fn element(self) -> Size {
        if self.collected > 0.0 && !self.is_deep {
            Size {
                bytes: self.bytes.max(Size::INPUT.bytes),
                collected: 0.0,
                ..self
            }
        } else {
            self
        }
    }
}

/// What a function answers with.
pub(super) enum Effect {
    Small,
    /// One of its arguments.
    Passes,
    /// An element of its first argument.
    Element,
    /// As much as there are rows.
    Collects,
    /// A new value.
    Makes(Size),
    TooMuch(&'static str),
}

const SMALL: &str = "+ - * / // % ** ^ & | << >> @ ~~ !~~ ~~* !~~* ~~~ @> <@ ^@ && <-> <=> ! approx_count_distinct avg \
    bit_and bit_or bit_xor bool_and bool_or corr count count_if count_star countif covar_pop covar_samp entropy favg fsum geomean \
    geometric_mean grouping grouping_id kahan_sum kurtosis kurtosis_pop mad mean product regr_avgx regr_avgy regr_count \
    regr_intercept regr_r2 regr_slope regr_sxx regr_sxy regr_syy sem skewness stddev stddev_pop stddev_samp sum sum_no_overflow \
    sumkahan var_pop var_samp variance wavg weighted_avg cume_dist dense_rank ntile percent_rank rank rank_dense row_number age ago \
    century current_date current_localtime current_localtimestamp date_add date_diff date_part date_sub date_trunc datediff \
    datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear days_in_month decade epoch epoch_ms epoch_ns epoch_us era \
    get_current_time get_current_timestamp hour isfinite isodow isoyear julian last_day make_date make_time make_timestamp \
    make_timestamp_ms make_timestamp_ns make_timestamptz microsecond millennium millisecond minute month monthname nanosecond \
    normalized_interval now quarter second strptime time_bucket timezone timezone_hour timezone_minute to_centuries to_days \
    to_decades to_hours to_microseconds to_millennia to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp \
    to_weeks to_years today transaction_timestamp try_strptime utc_now week weekday weekofyear year yearweek abs acos acosh add asin \
    asinh atan atan2 atanh bit_count cbrt ceil ceiling cos cosh cot degrees divide even exp fdiv floor fmod gcd \
    greatest_common_divisor isinf isnan lcm least_common_multiple ln log log10 log2 mod multiply nextafter pi pow power radians random \
    round round_even roundbankers sign signbit sin sinh sqrt subtract tan tanh trunc xor ascii bit_length char_length \
    character_length chr contains ends_with formatreadabledecimalsize formatreadablesize format_bytes hash instr jaccard \
    jaro_similarity jaro_winkler_similarity len length length_grapheme like_escape ilike_escape md5 not_ilike_escape \
    not_like_escape octet_length ord position prefix regexp_full_match regexp_matches sha1 sha256 starts_with strlen strpos suffix \
    unicode array_contains array_has array_has_all array_has_any array_indexof array_length array_position array_unique cardinality \
    list_approx_count_distinct list_avg list_bit_and list_bit_or list_bit_xor list_bool_and list_bool_or list_contains list_count \
    list_entropy list_has list_has_all list_has_any list_indexof list_kurtosis list_kurtosis_pop list_mad list_median list_position \
    list_product list_sem list_skewness list_stddev_pop list_stddev_samp list_sum list_unique list_var_pop list_var_samp map_contains \
    map_contains_entry map_contains_value struct_contains struct_has struct_indexof struct_position json_array_length json_contains \
    json_exists json_type json_valid gen_random_uuid is_histogram_other_bin typeof uuid uuidv4 uuidv7 enum_code";

const PASSES: &str = "any_value arbitrary arg_max arg_max_null arg_min arg_min_null argmax argmin first last max_by median min_by \
    mode quantile quantile_cont quantile_disc approx_quantile first_value last_value lag lead nth_value fill max min coalesce if \
    ifnull nullif greatest least alias";

const ELEMENTS: &str = "unnest list_extract array_extract element_at list_element list_first list_last list_any_value list_min \
    list_max list_mode map_extract_value struct_extract struct_extract_at union_extract union_value array_pop_back_value";

const COLLECTS: &str = "string_agg group_concat listagg list array_agg histogram histogram_exact json_group_array \
    json_group_object json_group_structure";

/// Their texts become lists of 16 bytes a piece.
const SPLITS: &str = "split str_split string_split string_to_array str_split_regex string_split_regex regexp_split_to_array \
    regexp_extract_all grade_up list_grade_up";

/// What they write of each byte.
const ENCODES: &[(&str, f64)] = &[
    ("hex", 2.0),
    ("to_hex", 2.0),
    ("url_encode", 3.0),
    ("to_base64", 1.4),
    ("regexp_escape", 2.0),
    ("nfc_normalize", 3.0),
    ("json_quote", 6.0),
    ("to_json", 6.0),
    ("array_to_json", 6.0),
    ("row_to_json", 6.0),
    ("json_object", 6.0),
    ("json_array", 6.0),
];

fn is_in(names: &str, name: &str) -> bool {
    names.split_whitespace().any(|known| known == name)
}

/// Value of an argument that is written out, by its index.
type Constant<'a, 'b> = &'b dyn Fn(usize) -> Option<&'a Value>;

pub(super) fn effect(name: &str, sizes: &[Size], constant: Constant<'_, '_>) -> Effect {
    let all = sizes
        .iter()
        .fold(Size::default(), |all, size| all.plus(*size));
    bounded(name, sizes, constant)
        .or_else(|| of_text(name, all, sizes, constant))
        .unwrap_or_else(|| of_list(name, all))
}

/// Effect of functions that take up to so many values, or answer with up to so many.
fn bounded(name: &str, sizes: &[Size], constant: Constant<'_, '_>) -> Option<Effect> {
    let number = |index: usize| constant(index).and_then(Value::as_f64);
    Some(match name {
        // With one argument more they answer with the first few.
        "max" | "min" if sizes.len() > 1 => Effect::Collects,
        "arg_max" | "arg_min" | "argmax" | "argmin" | "max_by" | "min_by" if sizes.len() > 2 => {
            Effect::Collects
        }
        "approx_top_k" => Effect::Collects,
        "reservoir_quantile" => {
            let is_small = sizes.len() < 3 || number(2).is_some_and(|samples| samples <= 1e6);
            if is_small {
                Effect::Small
            } else {
                Effect::TooMuch("takes at most 1,000,000 samples here, written as a number")
            }
        }
        "equi_width_bins" => match number(2) {
            Some(bins) if bins <= 1_000.0 => Effect::Makes(Size {
                bytes: 16.0 * bins,
                ..Size::SMALL
            }),
            _ => Effect::TooMuch("takes at most 1,000 bins here, written as a number"),
        },
        _ => return None,
    })
}

/// Effect of functions of texts, and of lists that become texts.
fn of_text(name: &str, all: Size, sizes: &[Size], constant: Constant<'_, '_>) -> Option<Effect> {
    let size = |index: usize| sizes.get(index).copied().unwrap_or_default();
    let number = |index: usize| constant(index).and_then(Value::as_f64);
    let multiplied = |by: Size, factor: f64| multiplied(size(0), by, factor);
    Some(match name {
        "left" | "right" | "left_grapheme" | "right_grapheme" => cut(all, size(0), number(1)),
        "substring" | "substr" | "substring_grapheme" => cut(all, size(0), number(2)),
        "replace" => {
            let from = constant(1)
                .and_then(Value::as_str)
                .map_or(1, str::len)
                .max(1);
            // The sixteen bytes of a constant are not part of its text.
            let to = constant(2)
                .and_then(Value::as_str)
                .map_or(size(2).bytes, |text| text.len() as f64);
            multiplied(size(2), to / from as f64)
        }
        "regexp_replace" => {
            let to = constant(2).and_then(Value::as_str);
            // Each `\1` may stand for all that was found.
            let references = to.map_or(size(2).bytes / 2.0, |text| {
                text.matches('\\').count() as f64
            });
            let to = to.map_or(size(2).bytes, |text| text.len() as f64);
            multiplied(size(2), 1.0 + to + references)
        }
        "translate" => multiplied(size(2), 4.0),
        "concat_ws" => Effect::Makes(all.plus(size(0).scaled(sizes.len() as f64))),
        "array_to_string" | "list_string_agg" => multiplied(size(1), 1.0 + size(1).bytes / 8.0),
        "list_aggregate" | "list_aggr" | "array_aggregate" | "array_aggr" | "aggregate" => {
            multiplied(size(2), 1.0 + size(2).bytes / 8.0)
        }
        // Lines are indented by their depth.
        "json_pretty" => multiplied(Size::default(), 8.0 + size(0).bytes / 16.0),
        "strftime" => Effect::Makes(Size {
            bytes: 16.0 + 16.0 * all.bytes,
            ..all
        }),
        _ => return None,
    })
}

/// Effect of all others, by the lists of names.
fn of_list(name: &str, all: Size) -> Effect {
    if is_in(SPLITS, name) {
        return Effect::Makes(all.scaled(17.0));
    }
    if is_in(SMALL, name) {
        return Effect::Small;
    }
    if is_in(PASSES, name) {
        return Effect::Passes;
    }
    if is_in(ELEMENTS, name) {
        return Effect::Element;
    }
    if is_in(COLLECTS, name) {
        return Effect::Collects;
    }
    let factor = ENCODES
        .iter()
        .find(|(known, _)| *known == name)
        .map_or(1.0, |(_, factor)| *factor);
    Effect::Makes(all.scaled(factor).plus(Size::SMALL))
}

/// A text of which parts become another argument.
fn multiplied(text: Size, by: Size, factor: f64) -> Effect {
    if by.collected > 0.0 {
        return Effect::TooMuch(
            "would multiply one value by what an aggregate collected; take `left(…, 1000)` of that first",
        );
    }
    Effect::Makes(text.scaled(factor.max(1.0)).plus(by))
}

/// At most so many characters of it.
fn cut(all: Size, text: Size, characters: Option<f64>) -> Effect {
    match characters {
        Some(most) if (0.0..=65_536.0).contains(&most) => {
            let bytes = if text.collected > 0.0 {
                4.0 * most
            } else {
                text.bytes.min(4.0 * most)
            };
            Effect::Makes(Size {
                bytes: bytes + 8.0,
                ..Size::SMALL
            })
        }
        _ => Effect::Makes(all),
    }
}
