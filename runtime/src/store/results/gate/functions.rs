//! Functions that compute from what they are given, and nothing else. Left out on purpose: whatever
//! reads files, settings, variables, the environment or the catalogue; whatever runs text as SQL;
//! whatever sleeps or logs; and the few that make a huge value in one step, where neither the time
//! limit nor the memory limit reaches (`repeat`, `lpad`, `range` as a scalar, `format` with a
//! width, …).

use std::collections::HashSet;
use std::sync::LazyLock;

/// Rows from arguments, one chunk at a time.
const TABLE: &[&str] = &["range", "generate_series", "unnest", "json_each"];

const OPERATORS: &str =
    "+ - * / // % ** ^ & && | || ~ ~~ !~~ ~~* !~~* ~~~ << >> @ @> <@ ^@ -> ->> <-> <=> !__postfix";

const AGGREGATES: &str = "any_value approx_count_distinct approx_quantile approx_top_k arbitrary arg_max arg_max_null arg_min \
    arg_min_null argmax argmin array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count count_if count_star countif \
    covar_pop covar_samp entropy favg first fsum geomean geometric_mean group_concat grouping grouping_id histogram \
    histogram_exact kahan_sum kurtosis kurtosis_pop last list listagg mad max max_by mean median min min_by mode product \
    quantile quantile_cont quantile_disc regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy \
    regr_syy reservoir_quantile sem skewness stddev stddev_pop stddev_samp string_agg sum sum_no_overflow sumkahan var_pop \
    var_samp variance wavg weighted_avg";

const WINDOWS: &str = "cume_dist dense_rank fill first_value lag last_value lead nth_value ntile percent_rank rank rank_dense \
    row_number";

const MOMENTS: &str = "age ago century current_date current_localtime current_localtimestamp date_add date_diff date_part \
    date_sub date_trunc datediff datepart datesub datetrunc day dayname dayofmonth dayofweek dayofyear days_in_month decade \
    epoch epoch_ms epoch_ns epoch_us era get_current_time get_current_timestamp hour isfinite isodow isoyear julian last_day \
    make_date make_time make_timestamp make_timestamp_ms make_timestamp_ns make_timestamptz microsecond millennium \
    millisecond minute month monthname nanosecond normalized_interval now quarter second strftime strptime time_bucket \
    timezone timezone_hour timezone_minute to_centuries to_days to_decades to_hours to_microseconds to_millennia \
    to_milliseconds to_minutes to_months to_quarters to_seconds to_timestamp to_weeks to_years today transaction_timestamp \
    try_strptime utc_now week weekday weekofyear year yearweek";

const NUMBERS: &str = "abs acos acosh add asin asinh atan atan2 atanh bit_count cbrt ceil ceiling cos cosh cot degrees divide \
    even exp fdiv floor fmod gcd greatest greatest_common_divisor isinf isnan lcm least least_common_multiple ln log log10 \
    log2 mod multiply nextafter pi pow power radians random round round_even roundbankers sign signbit sin sinh sqrt subtract \
    tan tanh trunc xor";

const TEXTS: &str = "ascii bit_length char_length character_length chr concat concat_ws contains ends_with \
    formatreadabledecimalsize formatreadablesize format_bytes from_base64 hash hex instr jaccard jaro_similarity \
    jaro_winkler_similarity lcase left left_grapheme len length length_grapheme like_escape ilike_escape lower ltrim md5 \
    nfc_normalize not_ilike_escape not_like_escape octet_length ord parse_filename position prefix regexp_escape \
    regexp_extract regexp_extract_all regexp_full_match regexp_matches regexp_replace regexp_split_to_array replace reverse \
    right right_grapheme rtrim sha1 sha256 split split_part starts_with str_split str_split_regex string_split \
    string_split_regex string_to_array strip_accents strlen strpos substr substring substring_grapheme suffix to_base64 \
    to_hex translate trim ucase unhex unicode upper url_decode url_encode";

const LISTS: &str = "aggregate apply array_aggr array_aggregate array_append array_apply array_cat array_concat \
    array_contains array_distinct array_extract array_filter array_has array_has_all array_has_any array_indexof \
    array_intersect array_length array_pop_back array_pop_front array_position array_prepend array_push_back \
    array_push_front array_reduce array_reverse array_reverse_sort array_select array_slice array_sort array_to_string \
    array_transform array_unique array_value array_where array_zip cardinality element_at filter flatten grade_up \
    list_aggr list_aggregate list_any_value list_append list_apply list_approx_count_distinct list_avg list_bit_and \
    list_bit_or list_bit_xor list_bool_and list_bool_or list_cat list_concat list_contains list_count list_distinct \
    list_element list_entropy list_extract list_filter list_first list_grade_up list_has list_has_all list_has_any \
    list_histogram list_indexof list_intersect list_kurtosis list_kurtosis_pop list_last list_mad list_max list_median \
    list_min list_mode list_pack list_position list_prepend list_product list_reduce list_reverse list_reverse_sort \
    list_select list_sem list_skewness list_slice list_sort list_stddev_pop list_stddev_samp list_string_agg list_sum \
    list_transform list_unique list_value list_var_pop list_var_samp list_where list_zip map map_concat map_contains \
    map_contains_entry map_contains_value map_entries map_extract map_extract_value map_from_entries map_keys map_values \
    reduce row struct_concat struct_contains struct_extract struct_extract_at struct_has struct_indexof struct_insert \
    struct_keys struct_pack struct_position struct_update struct_values union_extract union_tag union_value unnest unpivot_list";

const JSON: &str = "array_to_json from_json from_json_strict json json_array json_array_length json_contains json_exists \
    json_extract json_extract_path json_extract_path_text json_extract_string json_group_array json_group_object \
    json_group_structure json_keys json_merge_patch json_object json_pretty json_quote json_structure json_transform \
    json_transform_strict json_type json_valid json_value row_to_json to_json";

const OTHERS: &str = "alias coalesce enum_code equi_width_bins gen_random_uuid if ifnull is_histogram_other_bin nullif typeof \
    uuid uuidv4 uuidv7";

static SCALAR: LazyLock<HashSet<&str>> = LazyLock::new(|| {
    [
        OPERATORS, AGGREGATES, WINDOWS, MOMENTS, NUMBERS, TEXTS, LISTS, JSON, OTHERS,
    ]
    .iter()
    .flat_map(|names| names.split_whitespace())
    .collect()
});

/// Functions of arguments of our table macros: an interval is written by them.
const MACRO_ARGUMENTS: &[&str] = &[
    "to_days",
    "to_hours",
    "to_minutes",
    "to_months",
    "to_seconds",
    "to_weeks",
    "to_years",
    "trunc",
];

/// In an argument of a table macro.
pub(super) fn is_macro_argument(name: &str) -> bool {
    MACRO_ARGUMENTS.contains(&name)
}

/// In an expression. Names in lower case.
pub(super) fn is_scalar_allowed(name: &str) -> bool {
    SCALAR.contains(name)
}

/// Returns the names of all that may be in an expression.
pub(super) fn scalar_names() -> impl Iterator<Item = &'static str> {
    SCALAR.iter().copied()
}

/// After `FROM`.
pub(super) fn is_table_allowed(name: &str) -> bool {
    TABLE.contains(&name)
}
