//! The walk over a parsed statement. Names of common table expressions are followed in their
//! scopes: outside of it the same name could mean one of DuckDB's own tables, or a file.

use serde_json::Value;

use super::functions::{is_macro_argument, is_scalar_allowed, is_table_allowed, scalar_names};
use super::{MACROS, VIEWS, refused, refused_at};
use crate::store::results::diagnosis::similar;
use crate::store::results::error::QueryError;

type Checked = Result<(), QueryError>;

/// Kinds of expression that only combine others.
const EXPRESSIONS: &[&str] = &[
    "BETWEEN",
    "CASE",
    "CAST",
    "COLLATE",
    "COLUMN_REF",
    "COMPARISON",
    "CONJUNCTION",
    "CONSTANT",
    "DEFAULT",
    "FUNCTION",
    "LAMBDA",
    "LAMBDA_REF",
    "OPERATOR",
    "POSITIONAL_REFERENCE",
    "STAR",
    "SUBQUERY",
    "TYPE",
    "WINDOW",
];

/// Parts of a query that have no class, and only combine others.
const PARTS: &[&str] = &[
    "SELECT_NODE",
    "SET_OPERATION_NODE",
    "SUBQUERY",
    "JOIN",
    "EXPRESSION_LIST",
    "EMPTY",
    "PIVOT",
    "LIMIT_MODIFIER",
    "LIMIT_PERCENT_MODIFIER",
    "ORDER_MODIFIER",
    "DISTINCT_MODIFIER",
    "ORDER_DEFAULT",
    "ASCENDING",
    "DESCENDING",
];

/// Names that mean something else where no common table expression of the name is in sight.
const TAKEN_PREFIXES: &[&str] = &["duckdb_", "pragma_", "sqlite_", "pg_", "information_schema"];

pub(super) fn check(query: &Value) -> Checked {
    walk(
        query,
        &Scope {
            outer: None,
            name: None,
        },
    )
}

/// The common table expressions in sight, innermost first.
#[derive(Clone, Copy)]
struct Scope<'a> {
    outer: Option<&'a Scope<'a>>,
    name: Option<&'a str>,
}

impl Scope<'_> {
    fn has(&self, wanted: &str) -> bool {
        self.name
            .is_some_and(|name| name.eq_ignore_ascii_case(wanted))
            || self.outer.is_some_and(|outer| outer.has(wanted))
    }
}

fn walk(value: &Value, scope: &Scope<'_>) -> Checked {
    match value {
        Value::Array(items) => items.iter().try_for_each(|item| walk(item, scope)),
        Value::Object(object) => {
            let kind = object.get("type").and_then(Value::as_str);
            match (object.get("class").and_then(Value::as_str), kind) {
                (Some(class), _) => expression(value, class, scope),
                (None, Some(kind)) => part(value, kind, scope),
                (None, None) => children(value, scope),
            }
        }
        _ => Ok(()),
    }
}

/// With the expressions of `WITH` added one after the other: each sees the ones before it.
fn children(value: &Value, scope: &Scope<'_>) -> Checked {
    let Value::Object(object) = value else {
        return Ok(());
    };
    let expressions = object
        .get("cte_map")
        .and_then(|map| map["map"].as_array())
        .map_or(&[][..], Vec::as_slice);
    with(expressions, scope, &|scope| {
        object
            .iter()
            .filter(|(key, _)| *key != "cte_map")
            .try_for_each(|(_, child)| walk(child, scope))
    })
}

fn with(expressions: &[Value], scope: &Scope<'_>, then: &dyn Fn(&Scope<'_>) -> Checked) -> Checked {
    let Some((first, rest)) = expressions.split_first() else {
        return then(scope);
    };
    let name = first["key"].as_str().ok_or_else(unknown_shape)?;
    name_is_plain(name)?;
    walk(&first["value"], scope)?;
    with(
        rest,
        &Scope {
            outer: Some(scope),
            name: Some(name),
        },
        then,
    )
}

fn expression(value: &Value, class: &str, scope: &Scope<'_>) -> Checked {
    if !EXPRESSIONS.contains(&class) {
        return Err(refused(format!(
            "an expression of kind `{class}` is not known here"
        )));
    }
    match class {
        "FUNCTION" | "WINDOW" => {
            let name = function_name(value)?;
            if !is_scalar_allowed(&name) {
                let reason = format!("the function `{name}` is not available here");
                return Err(refused_at(reason, value, similar(&name, scalar_names())));
            }
        }
        // Its `value` is data, whatever it looks like.
        "CONSTANT" => return Ok(()),
        _ => {}
    }
    children(value, scope)
}

fn part(value: &Value, kind: &str, scope: &Scope<'_>) -> Checked {
    match kind {
        "BASE_TABLE" => return table(value, scope),
        "TABLE_FUNCTION" => return table_function(value, scope),
        "SHOW_REF" => return show(value, scope),
        "RECURSIVE_CTE_NODE" => return recursive(value, scope),
        _ => {}
    }
    if PARTS.contains(&kind) || kind.ends_with("_TYPE_INFO") {
        children(value, scope)
    } else {
        Err(refused(format!(
            "a part of kind `{kind}` is not known here"
        )))
    }
}

fn table(value: &Value, scope: &Scope<'_>) -> Checked {
    let name = value["table_name"].as_str().ok_or_else(unknown_shape)?;
    let schema = text(value, "schema_name");
    if !text(value, "catalog_name").is_empty() {
        return Err(refused(format!(
            "`{name}` is named with a database; leave that away"
        )));
    }
    let known = match schema.to_ascii_lowercase().as_str() {
        "" => scope.has(name) || is_view(name),
        "main" => is_view(name),
        // The rows so far of a recursive expression.
        "recurring" => scope.has(name),
        _ => false,
    };
    if !known {
        let reason = format!(
            "there is no table `{name}` here; there are {}",
            listed(VIEWS)
        );
        let candidates = similar(name, VIEWS.iter().copied());
        return Err(refused_at(reason, value, candidates));
    }
    match value.get("at_clause") {
        None | Some(Value::Null) => children(value, scope),
        Some(_) => Err(refused("`AT` is not available here".to_owned())),
    }
}

fn table_function(value: &Value, scope: &Scope<'_>) -> Checked {
    let function = &value["function"];
    let name = function_name(function)?;
    if MACROS.contains(&name.as_str()) {
        macro_arguments(&name, &function["children"])?;
    } else if !is_table_allowed(&name) {
        let reason = format!("the table function `{name}` is not available here");
        return Err(refused_at(reason, function, Vec::new()));
    }
    // The call itself was judged; what remains is what it is given.
    children(function, scope)?;
    let Value::Object(object) = value else {
        return Err(unknown_shape());
    };
    object
        .iter()
        .filter(|(key, _)| *key != "function")
        .try_for_each(|(_, child)| walk(child, scope))
}

/// Values alone: whatever stands there is put in at several places of the macro.
fn macro_arguments(name: &str, value: &Value) -> Checked {
    let is_value = match (value["class"].as_str(), value) {
        (_, Value::Array(items)) => {
            return items
                .iter()
                .try_for_each(|item| macro_arguments(name, item));
        }
        (Some("CONSTANT" | "PARAMETER"), _) => true,
        (Some("CAST"), _) => return macro_arguments(name, &value["child"]),
        (Some("FUNCTION"), _) if is_macro_argument(&function_name(value)?) => {
            return macro_arguments(name, &value["children"]);
        }
        _ => false,
    };
    if is_value {
        return Ok(());
    }
    let (what, example) = match name {
        "availability_between" => (
            "two moments",
            "'2026-11-01T00:00:00+01:00', '2026-12-01T00:00:00+01:00'",
        ),
        _ => ("an interval", "INTERVAL 7 DAY"),
    };
    Err(refused(format!(
        "`{name}` takes the slug of a service, or NULL for all, and {what}, written as values: `{name}('shop', {example})`"
    )))
}

/// `DESCRIBE` and `SUMMARIZE` of a query, and `SHOW TABLES`.
fn show(value: &Value, scope: &Scope<'_>) -> Checked {
    let name = text(value, "table_name").trim_matches('"');
    let query = value.get("query").filter(|query| !query.is_null());
    match (text(value, "show_type"), query) {
        ("DESCRIBE" | "SUMMARY", Some(query)) => walk(query, scope),
        ("SHOW_UNQUALIFIED", None) if name.eq_ignore_ascii_case("tables") => Ok(()),
        _ => Err(refused(format!(
            "`SHOW {name}` is not available here; there is `SHOW TABLES`"
        ))),
    }
}

/// The first part does not see the expression itself; the repeated part does.
fn recursive(value: &Value, scope: &Scope<'_>) -> Checked {
    let name = value["cte_name"].as_str().ok_or_else(unknown_shape)?;
    name_is_plain(name)?;
    let Value::Object(object) = value else {
        return Err(unknown_shape());
    };
    let inner = Scope {
        outer: Some(scope),
        name: Some(name),
    };
    object
        .iter()
        .try_for_each(|(key, child)| walk(child, if key == "right" { &inner } else { scope }))
}

/// In lower case. A function of another schema or database could be anything.
fn function_name(value: &Value) -> Result<String, QueryError> {
    let name = value["function_name"]
        .as_str()
        .ok_or_else(unknown_shape)?
        .to_ascii_lowercase();
    if !text(value, "catalog").is_empty() || !matches!(text(value, "schema"), "" | "main") {
        return Err(refused(format!(
            "the function `{name}` is named with a schema or a column; leave that away"
        )));
    }
    Ok(name)
}

fn name_is_plain(name: &str) -> Checked {
    let lower = name.to_ascii_lowercase();
    let plain = lower
        .chars()
        .all(|c| c.is_alphanumeric() || c == '_' || c == ' ' || c == '-')
        && !TAKEN_PREFIXES
            .iter()
            .any(|prefix| lower.starts_with(prefix));
    if plain {
        Ok(())
    } else {
        Err(refused(format!(
            "`{name}` is no name for a common table expression here"
        )))
    }
}

fn is_view(name: &str) -> bool {
    VIEWS.iter().any(|view| view.eq_ignore_ascii_case(name))
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn listed(names: &[&str]) -> String {
    names
        .iter()
        .map(|name| format!("`{name}`"))
        .collect::<Vec<_>>()
        .join(", ")
}

fn unknown_shape() -> QueryError {
    refused("the statement has a shape that is not known here".to_owned())
}
