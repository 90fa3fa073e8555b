//! Lists: `{"items": […], "next": cursor or null}`.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use schemars::JsonSchema;
use serde::Deserialize;

use super::error::ApiError;
pub(crate) use crate::api_types::page::Page;

pub(crate) const DEFAULT_LIMIT: u32 = 100;
pub(crate) const MAX_LIMIT: u32 = 1000;

impl<T> Page<T> {
    /// Makes a page from one row more than was asked for: the extra row proves that there is a next
    /// page.
    pub(crate) fn from_rows<R>(
        mut rows: Vec<R>,
        limit: u32,
        cursor: impl Fn(&R) -> String,
        shape: impl FnMut(R) -> T,
    ) -> Self {
        let more = rows.len() > limit as usize;
        rows.truncate(limit as usize);
        let next = more.then(|| rows.last().map(cursor)).flatten();
        Self {
            items: rows.into_iter().map(shape).collect(),
            next,
        }
    }

    /// Makes a page from all items of a list that is sorted by its keys, which are unique.
    pub(crate) fn of_sorted(
        items: impl IntoIterator<Item = T>,
        query: &PageQuery,
        key: impl Fn(&T) -> String,
    ) -> Result<Self, ApiError> {
        let limit = limit(query.limit)?;
        let after = query.cursor.as_deref().map(text_of_cursor).transpose()?;
        let rest = items
            .into_iter()
            .filter(|item| after.as_ref().is_none_or(|after| key(item) > *after));
        let rows: Vec<T> = rest.take(limit as usize + 1).collect();
        Ok(Self::from_rows(
            rows,
            limit,
            |item| cursor_of_text(&key(item)),
            |item| item,
        ))
    }

    /// Makes a page from all items of a short list that has an order of its own.
    pub(crate) fn of_listed(
        items: Vec<T>,
        query: &PageQuery,
        key: impl Fn(&T) -> String,
    ) -> Result<Self, ApiError> {
        let limit = limit(query.limit)?;
        let start = match query.cursor.as_deref() {
            None => 0,
            Some(cursor) => {
                let after = text_of_cursor(cursor)?;
                items
                    .iter()
                    .position(|item| key(item) == after)
                    .ok_or_else(|| not_a_cursor(cursor))?
                    + 1
            }
        };
        let rows: Vec<T> = items
            .into_iter()
            .skip(start)
            .take(limit as usize + 1)
            .collect();
        Ok(Self::from_rows(
            rows,
            limit,
            |item| cursor_of_text(&key(item)),
            |item| item,
        ))
    }
}

/// Query of lists without other parameters.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PageQuery {
    /// `next` of the page before.
    #[schemars(regex(pattern = "^YWZ0ZXI6[A-Za-z0-9_-]*$"))]
    cursor: Option<String>,
    /// 1 to 1000; 100 if not given.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
}

pub(crate) fn limit(wanted: Option<u32>) -> Result<u32, ApiError> {
    match wanted {
        None => Ok(DEFAULT_LIMIT),
        Some(limit @ 1..=MAX_LIMIT) => Ok(limit),
        Some(limit) => Err(ApiError::bad_parameter(
            "limit",
            format!("`limit` is {limit}; it can be from 1 to {MAX_LIMIT}"),
        )),
    }
}

/// A cursor over rows that are numbered.
pub(crate) fn id_cursor(cursor: Option<&str>) -> Result<Option<i64>, ApiError> {
    cursor
        .map(|text| text.parse().map_err(|_| not_a_cursor(text)))
        .transpose()
}

/// A cursor that is a text of ours, such as a slug.
pub(crate) fn key_cursor(
    cursor: Option<&str>,
    is_key: impl Fn(&str) -> bool,
) -> Result<Option<&str>, ApiError> {
    match cursor {
        Some(text) if !is_key(text) => Err(not_a_cursor(text)),
        cursor => Ok(cursor),
    }
}

/// Marks texts that were made by [`cursor_of_text`].
const MARK: &str = "after:";

fn cursor_of_text(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{MARK}{key}"))
}

fn text_of_cursor(cursor: &str) -> Result<String, ApiError> {
    let text = URL_SAFE_NO_PAD
        .decode(cursor)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok());
    let key = text
        .as_deref()
        .and_then(|text| text.strip_prefix(MARK))
        .map(str::to_owned);
    key.ok_or_else(|| not_a_cursor(cursor))
}

fn not_a_cursor(text: &str) -> ApiError {
    ApiError::bad_parameter(
        "cursor",
        format!("`{text}` is not a cursor; take it from `next` of the page before"),
    )
}

/// A parameter that is one of a few words.
pub(crate) fn word<T>(
    name: &'static str,
    text: Option<&str>,
    parse: impl Fn(&str) -> Option<T>,
    words: &[&str],
) -> Result<Option<T>, ApiError> {
    text.map(|text| {
        parse(text).ok_or_else(|| {
            ApiError::bad_parameter(
                name,
                format!(
                    "`{text}` is not a `{name}`; it can be `{}`",
                    words.join("`, `")
                ),
            )
        })
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_cursor_is_the_last_row_shown() {
        for (rows, limit, items, next) in [
            (vec![9, 8, 7], 2, vec![9, 8], Some("8")),
            (vec![9, 8], 2, vec![9, 8], None),
            (vec![], 2, vec![], None),
        ] {
            let page = Page::from_rows(rows, limit, |row| row.to_string(), |row| row);
            assert_eq!((page.items, page.next.as_deref()), (items, next));
        }
    }

    #[test]
    fn lists_in_memory_go_on_where_the_page_before_ended() {
        let names = || ["alpha", "beta", "gamma"].map(str::to_owned);
        let query = |cursor: Option<String>| PageQuery {
            cursor,
            limit: Some(2),
        };
        let key = |name: &String| name.clone();
        let first = Page::of_sorted(names(), &query(None), key).unwrap();
        assert_eq!(first.items, ["alpha", "beta"]);
        let rest = Page::of_sorted(names(), &query(first.next), key).unwrap();
        assert_eq!((rest.items, rest.next), (vec!["gamma".to_owned()], None));
        // What the cursor names may be gone meanwhile.
        let gone = Page::of_sorted(names(), &query(Some(cursor_of_text("azure"))), key).unwrap();
        assert_eq!(gone.items, ["beta", "gamma"]);

        let listed = || ["gamma", "alpha", "beta"].map(str::to_owned).to_vec();
        let first = Page::of_listed(listed(), &query(None), key).unwrap();
        assert_eq!(first.items, ["gamma", "alpha"]);
        assert_eq!(
            Page::of_listed(listed(), &query(first.next), key)
                .unwrap()
                .items,
            ["beta"]
        );
        for cursor in ["\0", "AAAA", "alpha", ""] {
            assert!(
                Page::of_sorted(names(), &query(Some(cursor.to_owned())), key).is_err(),
                "{cursor:?}"
            );
            assert!(
                Page::of_listed(listed(), &query(Some(cursor.to_owned())), key).is_err(),
                "{cursor:?}"
            );
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
