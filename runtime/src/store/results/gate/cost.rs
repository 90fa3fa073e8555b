//! What a statement may take that neither the time limit nor the memory limit of the database
//! reaches: values that grow while a chunk of rows is computed, and plans that are multiplied
//! before anything runs. Estimated from the parsed statement, as if every column of ours were
//! short; what grows on the way there is followed, through subqueries and common table expressions.

mod columns;
mod lambda;
mod size;

use serde_json::Value;

use super::{MACROS, refused};
use crate::store::results::error::QueryError;
use columns::{Names, Relation, Row, merge, rename};
use size::{Effect, Size, effect};

/// Bytes that the functions of a statement make for one row. DuckDB computes 2,048 rows at once, on
/// each core.
const MADE_BYTES: f64 = 256.0 * 1024.0;
/// How often what an aggregate collected may be copied whole. The memory limit holds for what it
/// collects, and not for copies.
const COPIES: f64 = 2.0;
/// Tables that are read, after all expressions of `WITH` were put in where they are named.
const REFERENCES: f64 = 256.0;
/// `CUBE` of six columns.
const GROUPING_SETS: usize = 64;
/// `COLUMNS(…)` stands for so many columns of a table.
const COLUMNS: f64 = 32.0;

type Checked<T> = Result<T, QueryError>;

pub(super) fn check(query: &Value) -> Checked<()> {
    let mut estimate = Estimate::default();
    estimate.query(query, &Names::NONE, &Row::NONE)?;
    estimate.end()
}

#[derive(Default)]
struct Estimate {
    made: Size,
    references: f64,
    /// Rows of each row: elements of the lists that a lambda walks, columns that `COLUMNS` stands
    /// for.
    times: f64,
}

impl Estimate {
    fn end(&self) -> Checked<()> {
        if self.references > REFERENCES {
            return Err(refused(format!(
                "it reads more than {REFERENCES} tables, once each expression of `WITH` is put in where it is named; name them \
                 less often"
            )));
        }
        Ok(())
    }

    /// A value that did not exist before.
    fn make(&mut self, function: &str, size: Size) -> Checked<Size> {
        self.made = self.made.plus(size.scaled(1.0 + self.times));
        if size.is_repeated && size.collected > 0.0 {
            return Err(refused(format!(
                "`{function}` would copy what an aggregate collected for every row of a join; use it before the join, or take \
                 `left(…, 1000)` of it"
            )));
        }
        if self.made.collected > COPIES {
            return Err(refused(format!(
                "`{function}` would make more copies of what an aggregate collected than there is memory for; take \
                 `left(…, 1000)` of it first"
            )));
        }
        if self.made.bytes > MADE_BYTES {
            return Err(refused(format!(
                "`{function}` would make values that are too large to compute for many rows at once; shorten them with \
                 `left(…, 1000)`, or use fewer"
            )));
        }
        Ok(size)
    }

    fn query(&mut self, node: &Value, names: &Names<'_>, outer: &Row<'_>) -> Checked<Relation> {
        let expressions = node["cte_map"]["map"]
            .as_array()
            .map_or(&[][..], Vec::as_slice);
        self.with(expressions, node, names, outer)
    }

    fn with(
        &mut self,
        rest: &[Value],
        node: &Value,
        names: &Names<'_>,
        outer: &Row<'_>,
    ) -> Checked<Relation> {
        let Some((first, rest)) = rest.split_first() else {
            return self.body(node, names, outer);
        };
        // Counted where it is named.
        let before = self.references;
        let mut relation = self.query(&first["value"]["query"]["node"], names, outer)?;
        relation.references = (self.references - before).max(1.0);
        self.references = before;
        rename(&mut relation, &first["value"]["aliases"]);
        let name = first["key"].as_str().unwrap_or_default();
        self.with(
            rest,
            node,
            &Names {
                outer: Some(names),
                name,
                relation: Some(&relation),
            },
            outer,
        )
    }

    fn body(&mut self, node: &Value, names: &Names<'_>, outer: &Row<'_>) -> Checked<Relation> {
        match node["type"].as_str() {
            Some("SELECT_NODE") => self.select(node, names, outer),
            Some("RECURSIVE_CTE_NODE") => self.recursive(node, names, outer),
            _ => {
                // A set operation: columns of the same place; a node of another kind has parts that
                // are queries.
                let mut relation = Relation::default();
                for part in ["left", "right", "children"] {
                    let nodes = match &node[part] {
                        Value::Array(nodes) => nodes.iter().collect(),
                        Value::Object(_) => vec![&node[part]],
                        _ => Vec::new(),
                    };
                    for part in nodes {
                        let other = self.query(part, names, outer)?;
                        merge(&mut relation, other);
                    }
                }
                let row = Row {
                    outer: Some(outer),
                    columns: relation.columns.clone(),
                };
                self.all(&node["modifiers"], names, &row)?;
                Ok(relation)
            }
        }
    }

    fn select(&mut self, node: &Value, names: &Names<'_>, outer: &Row<'_>) -> Checked<Relation> {
        if node["group_sets"]
            .as_array()
            .is_some_and(|sets| sets.len() > GROUPING_SETS)
        {
            return Err(refused(format!(
                "more than {GROUPING_SETS} grouping sets are not available here"
            )));
        }
        let columns = self.from(&node["from_table"], names, outer)?;
        let mut row = Row {
            outer: Some(outer),
            columns,
        };
        let mut relation = Relation::default();
        for item in node["select_list"].as_array().into_iter().flatten() {
            if item["class"] == "STAR" {
                self.all(item, names, &row)?;
                relation.columns.extend(row.columns.iter().cloned());
                relation.columns.push((None, Size::INPUT));
                continue;
            }
            let before = self.times;
            if has_star(item) {
                self.times = (1.0 + self.times) * COLUMNS - 1.0;
            }
            let size = self.expression(item, names, &row)?;
            self.times = before;
            let name = match item["alias"].as_str().filter(|alias| !alias.is_empty()) {
                Some(alias) => Some(alias.to_owned()),
                None => item["column_names"]
                    .as_array()
                    .and_then(|parts| Some(parts.last()?.as_str()?.to_owned())),
            };
            relation.columns.push((name, size));
        }
        // Aliases of the list may be named in what follows.
        row.columns.extend(relation.columns.iter().cloned());
        for part in [
            "where_clause",
            "group_expressions",
            "having",
            "qualify",
            "modifiers",
            "sample",
        ] {
            self.all(&node[part], names, &row)?;
        }
        Ok(relation)
    }

    /// The part that is repeated sees its own rows: it may add to them, and not multiply them.
    fn recursive(&mut self, node: &Value, names: &Names<'_>, outer: &Row<'_>) -> Checked<Relation> {
        const SEED: f64 = 1_024.0;
        let name = node["cte_name"].as_str().unwrap_or_default();
        let mut first = self.query(&node["left"], names, outer)?;
        rename(&mut first, &node["aliases"]);
        let grown = |seed: f64, estimate: &mut Self| -> Checked<Size> {
            let columns = first
                .columns
                .iter()
                .map(|(name, size)| (name.clone(), seeded(*size, seed)))
                .collect();
            let own = Relation {
                columns,
                references: 1.0,
            };
            let names = Names {
                outer: Some(names),
                name,
                relation: Some(&own),
            };
            let next = estimate.query(&node["right"], &names, outer)?;
            Ok(next
                .columns
                .iter()
                .fold(Size::default(), |most, (_, size)| most.max(*size)))
        };
        let once = grown(SEED, self)?;
        let twice = grown(
            2.0 * SEED,
            &mut Estimate {
                made: Size::default(),
                ..*self
            },
        )?;
        if twice.bytes - once.bytes > 1.5 * SEED || once.collected > 0.0 {
            return Err(refused(format!(
                "`{name}` multiplies its own values each time it is repeated; it may only add to them"
            )));
        }
        let is_longer = once.bytes > SEED;
        for (_, size) in &mut first.columns {
            // How often it is repeated is not known.
            size.collected = if is_longer {
                size.collected.max(1.0)
            } else {
                size.collected
            };
        }
        Ok(first)
    }

    /// The columns of what stands after `FROM`.
    fn from(
        &mut self,
        table: &Value,
        names: &Names<'_>,
        outer: &Row<'_>,
    ) -> Checked<Vec<(Option<String>, Size)>> {
        let mut relation = match table["type"].as_str() {
            Some("BASE_TABLE") => {
                let name = table["table_name"].as_str().unwrap_or_default();
                let found = names.find(name).cloned();
                let references = found
                    .as_ref()
                    .map_or_else(|| tables_of(name), |found| found.references);
                self.references += references;
                found.unwrap_or_else(|| Relation {
                    columns: vec![(None, Size::INPUT)],
                    references,
                })
            }
            Some("SUBQUERY") => self.query(&table["subquery"]["node"], names, outer)?,
            Some("TABLE_FUNCTION") => {
                let size = self.arguments(&table["function"]["children"], names, outer)?;
                let size = size.into_iter().fold(Size::INPUT, Size::max).element();
                let name = table["function"]["function_name"].as_str();
                if name.is_some_and(|name| is_named(MACROS, name)) {
                    self.references += tables_of("availability_30d");
                }
                Relation {
                    columns: vec![(None, size)],
                    references: 1.0,
                }
            }
            Some("JOIN") => Relation {
                columns: self.join(table, names, outer)?,
                references: 1.0,
            },
            _ => {
                let columns = match table.get("source") {
                    Some(source) => self.from(source, names, outer)?,
                    None => Vec::new(),
                };
                let row = Row {
                    outer: Some(outer),
                    columns,
                };
                let largest = self.all(table, names, &row)?.max(row.largest());
                Relation {
                    columns: vec![(None, largest)],
                    references: 1.0,
                }
            }
        };
        rename(&mut relation, &table["column_name_alias"]);
        Ok(relation.columns)
    }

    fn join(
        &mut self,
        table: &Value,
        names: &Names<'_>,
        outer: &Row<'_>,
    ) -> Checked<Vec<(Option<String>, Size)>> {
        let columns = self.from(&table["left"], names, outer)?;
        // A lateral part sees what stands before it.
        let before = Row {
            outer: Some(outer),
            columns,
        };
        let right = self.from(&table["right"], names, &before)?;
        let mut columns = before.columns;
        columns.extend(right);
        for (_, size) in &mut columns {
            size.is_repeated = true;
        }
        let row = Row {
            outer: Some(outer),
            columns,
        };
        self.all(&table["condition"], names, &row)?;
        Ok(row.columns)
    }

    /// Whatever expressions there are inside; the largest of them.
    fn all(&mut self, value: &Value, names: &Names<'_>, row: &Row<'_>) -> Checked<Size> {
        let mut largest = Size::default();
        match value {
            Value::Array(items) => {
                for item in items {
                    largest = largest.max(self.part(item, names, row)?);
                }
            }
            Value::Object(object) => {
                for (_, child) in object
                    .iter()
                    .filter(|(key, _)| *key != "cte_map" && *key != "source")
                {
                    largest = largest.max(self.part(child, names, row)?);
                }
            }
            _ => {}
        }
        Ok(largest)
    }

    fn part(&mut self, value: &Value, names: &Names<'_>, row: &Row<'_>) -> Checked<Size> {
        let Value::Object(object) = value else {
            return self.all(value, names, row);
        };
        if object.contains_key("class") {
            return self.expression(value, names, row);
        }
        match object.get("type").and_then(Value::as_str) {
            Some("SELECT_NODE" | "SET_OPERATION_NODE" | "RECURSIVE_CTE_NODE") => {
                let relation = self.query(value, names, row)?;
                Ok(relation
                    .columns
                    .iter()
                    .fold(Size::default(), |most, (_, size)| most.max(*size)))
            }
            Some("BASE_TABLE" | "JOIN" | "TABLE_FUNCTION" | "SHOW_REF") => {
                let columns = self.from(value, names, row)?;
                Ok(columns
                    .iter()
                    .fold(Size::default(), |most, (_, size)| most.max(*size)))
            }
            _ => self.all(value, names, row),
        }
    }

    fn arguments(&mut self, list: &Value, names: &Names<'_>, row: &Row<'_>) -> Checked<Vec<Size>> {
        list.as_array()
            .into_iter()
            .flatten()
            .map(|item| self.expression(item, names, row))
            .collect()
    }

    fn expression(&mut self, value: &Value, names: &Names<'_>, row: &Row<'_>) -> Checked<Size> {
        match value["class"].as_str().unwrap_or_default() {
            "CONSTANT" => Ok(Size::of_constant(&value["value"])),
            "COLUMN_REF" | "LAMBDA_REF" => {
                let parts = value["column_names"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter_map(Value::as_str);
                let parts: Vec<&str> = parts.collect();
                Ok(row
                    .named(&parts)
                    .or_else(|| row.unnamed())
                    .unwrap_or_else(|| row.largest()))
            }
            "FUNCTION" | "WINDOW" => self.function(value, names, row),
            "CAST" => {
                let child = self.expression(&value["child"], names, row)?;
                match value["cast_type"]["id"].as_str() {
                    Some("VARCHAR") => {
                        let text = Size {
                            bytes: child.bytes * 3.0 + 16.0,
                            ..child
                        };
                        self.make("CAST", text)
                    }
                    _ => Ok(child),
                }
            }
            "COMPARISON" | "CONJUNCTION" | "BETWEEN" => {
                self.all(value, names, row).map(|_| Size::SMALL)
            }
            "SUBQUERY" => {
                let size = self.all(value, names, row)?;
                Ok(if value["subquery_type"] == "SCALAR" {
                    size
                } else {
                    Size::SMALL
                })
            }
            "OPERATOR" if value["type"] == "ARRAY_CONSTRUCTOR" => {
                let items = self.arguments(&value["children"], names, row)?;
                self.make("[…]", items.into_iter().fold(Size::SMALL, Size::plus))
            }
            _ => self.all(value, names, row),
        }
    }

    fn function(&mut self, call: &Value, names: &Names<'_>, row: &Row<'_>) -> Checked<Size> {
        let name = call["function_name"]
            .as_str()
            .unwrap_or_default()
            .to_ascii_lowercase();
        let arguments = call["children"].as_array().map_or(&[][..], Vec::as_slice);
        if let [list, lambda] | [list, lambda, _] = arguments
            && lambda["class"] == "LAMBDA"
        {
            return self.lambda(&name, list, lambda, arguments.get(2), names, row);
        }
        let sizes = self.arguments(&call["children"], names, row)?;
        for part in [
            "filter",
            "order_bys",
            "partitions",
            "orders",
            "start_expr",
            "end_expr",
            "offset_expr",
            "default_expr",
        ] {
            self.part(&call[part], names, row)?;
        }
        let constant = |index: usize| -> Option<&Value> {
            let argument = arguments
                .get(index)
                .filter(|argument| argument["class"] == "CONSTANT")?;
            Some(&argument["value"]["value"])
        };
        match effect(&name, &sizes, &constant) {
            Effect::Small => Ok(Size::SMALL),
            Effect::Passes => Ok(sizes.into_iter().fold(Size::SMALL, Size::max)),
            Effect::Element => Ok(sizes.first().copied().unwrap_or(Size::INPUT).element()),
            Effect::Collects if call["class"] == "WINDOW" => Err(refused(format!(
                "`{name}` as a window function would collect anew for every row; use it with `GROUP BY`"
            ))),
            Effect::Collects => Ok(Size::collected(&sizes)),
            Effect::Makes(size) => self.make(&name, size),
            Effect::TooMuch(why) => Err(refused(format!("`{name}` {why}"))),
        }
    }
}

/// Tables that one of ours reads: tiers read the finer ones for what is not counted yet.
fn tables_of(name: &str) -> f64 {
    match name.to_ascii_lowercase().as_str() {
        "roll_5m" | "hist_5m" => 2.0,
        "roll_1h" | "hist_1h" => 3.0,
        "roll_1d" | "hist_1d" => 4.0,
        "availability_30d" => 9.0,
        _ => 1.0,
    }
}

fn is_named(names: &[&str], name: &str) -> bool {
    names.iter().any(|other| other.eq_ignore_ascii_case(name))
}

/// Numbers do not grow.
fn seeded(size: Size, seed: f64) -> Size {
    Size {
        bytes: if size.bytes > Size::SMALL.bytes {
            seed
        } else {
            size.bytes
        },
        ..size
    }
}

fn has_star(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.iter().any(has_star),
        Value::Object(object) => {
            object.get("class").is_some_and(|class| class == "STAR")
                || object.values().any(has_star)
        }
        _ => false,
    }
}
