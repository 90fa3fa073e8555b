//! Lists: `{"items": […], "next": cursor or null}`.

use schemars::JsonSchema;
use serde::Serialize;

use super::error::ApiError;

/// One page of a list. `next` is the `cursor` of the following page, null on the last one.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
}

pub(super) const DEFAULT_LIMIT: u32 = 100;
pub(super) const MAX_LIMIT: u32 = 1000;

impl<T> Page<T> {
    /// From one row more than was asked for: its presence says that there is a next page.
    pub(super) fn from_rows<R>(
        mut rows: Vec<R>,
        limit: u32,
        cursor: impl Fn(&R) -> String,
        shape: impl FnMut(R) -> T,
    ) -> Self {
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = more.then(|| rows.last().map(cursor)).flatten();
        Self { items: rows.into_iter().map(shape).collect(), next }
    }

    /// A list that is always short.
    pub(super) fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}

pub(super) fn limit(wanted: Option<u32>) -> Result<u32, ApiError> {
    match wanted {
        None => Ok(DEFAULT_LIMIT),
        Some(limit @ 1..=MAX_LIMIT) => Ok(limit),
        Some(limit) => {
            Err(ApiError::bad_parameter("limit", format!("`limit` is {limit}; it can be from 1 to {MAX_LIMIT}")))
        }
    }
}

/// A cursor over rows that are numbered.
pub(super) fn id_cursor(cursor: Option<&str>) -> Result<Option<i64>, ApiError> {
    cursor
        .map(|text| {
            text.parse().map_err(|_| {
                ApiError::bad_parameter(
                    "cursor",
                    format!("`{text}` is not a cursor; take it from `next` of the page before"),
                )
            })
        })
        .transpose()
}

/// A parameter that is one of a few words.
pub(super) fn word<T>(
    name: &'static str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
    words: &[&str],
) -> Result<Option<T>, ApiError> {
    text.map(|text| {
        parse(text).ok_or_else(|| {
            ApiError::bad_parameter(name, format!("`{text}` is not a `{name}`; it can be `{}`", words.join("`, `")))
        })
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_cursor_is_the_last_row_shown() {
        for (rows, limit, items, next) in
            [(vec![9, 8, 7], 2, vec![9, 8], Some("8")), (vec![9, 8], 2, vec![9, 8], None), (vec![], 2, vec![], None)]
        {
            let page = Page::from_rows(rows, limit, |row| row.to_string(), |row| row);
            assert_eq!((page.items, page.next.as_deref()), (items, next));
        }
    }

    #[test]
    fn limits_are_bounded() {
        assert_eq!(limit(None).ok(), Some(100));
        assert_eq!(limit(Some(1000)).ok(), Some(1000));
        assert!(limit(Some(0)).is_err());
        assert!(limit(Some(1001)).is_err());
    }
}
