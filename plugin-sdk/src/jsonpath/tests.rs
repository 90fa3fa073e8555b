use serde_json::json;

use super::*;

#[test]
fn selects() {
    let document = json!({
        "status": "up", "o": {"j": 1, "k k": 2}, "a": [5, 3, {"j": 4}, {"k": 6}],
        // members in alphabetical order: a map that sorts them and one that keeps them agree
        "store": {"bicycle": {"price": 399}, "book": [{"price": 8}, {"price": 12}]},
    });
    for (path, wanted) in [
        ("$.status", json!(["up"])),
        ("$['status']", json!(["up"])),
        ("$.o['k k']", json!([2])),
        ("$.o[\"j\", 'k k']", json!([1, 2])),
        ("$.a[0]", json!([5])),
        ("$.a[-1].k", json!([6])),
        ("$.a[9]", json!([])),
        ("$.a[0:2]", json!([5, 3])),
        ("$.a[:2:1]", json!([5, 3])),
        ("$.a[1::-1]", json!([3, 5])),
        ("$.a[::0]", json!([])),
        ("$.store.book[*].price", json!([8, 12])),
        ("$..price", json!([399, 8, 12])),
        ("$.o.*", json!([1, 2])),
        ("$.missing.name", json!([])),
    ] {
        let found: Vec<Value> = select(&document, path)
            .unwrap()
            .into_iter()
            .cloned()
            .collect();
        assert_eq!(Value::Array(found), wanted, "{path}");
    }
    assert_eq!(select(&document, "$").unwrap(), [&document]);
}

#[test]
fn says_where_a_path_goes_wrong() {
    for (path, wanted) in [
        ("", "`$` at character 1"),
        ("status", "`$` at character 1"),
        ("$.", "a name or `*` at character 3"),
        ("$.content-type", "`['content-type']`"),
        ("$.a ", "`.` or `[` at character 5"),
        ("$['\\u12']", "an escape"),
        ("$['\\ud83d']", "an escape"),
        ("$[01]", "whole number"),
        ("$[-0]", "whole number"),
        ("$.1", "a name or `*`"),
        ("$[\"\\'\"]", "an escape"),
        ("$status", "`.` or `[` at character 2"),
        ("$['open", "closing quote"),
        ("$[1", "`,` or `]` at character 4"),
        ("$[?@.a]", "CEL"),
        ("$[99999999999999999999]", "whole number"),
        ("$[--1]", "whole number"),
        ("$[]", "an index"),
    ] {
        let error = JsonPath::parse(path).unwrap_err().to_string();
        assert!(error.contains(wanted), "{path}: {error}");
    }
}

/// One test of the compliance suite.
#[derive(serde::Deserialize)]
struct Test {
    name: String,
    selector: String,
    #[serde(default)]
    document: Value,
    result: Option<Vec<Value>>,
    /// Any of these, where the order is not fixed.
    #[serde(default)]
    results: Vec<Vec<Value>>,
    #[serde(default)]
    invalid_selector: bool,
}

#[test]
fn agrees_with_the_compliance_suite_of_rfc_9535_but_for_filters() {
    #[derive(serde::Deserialize)]
    struct Suite {
        tests: Vec<Test>,
    }
    let suite: Suite =
        serde_json::from_str(include_str!("../../../tests/fixtures/jsonpath/cts.json")).unwrap();
    let (mut agreed, mut filters) = (0, 0);
    for test in suite.tests {
        let Test {
            name,
            selector,
            document,
            result,
            mut results,
            invalid_selector,
        } = test;
        let selected = select(&document, &selector);
        if selector.contains('?') && !selector.contains("'?'") {
            filters += 1;
            assert!(selected.is_err(), "{name}: {selector}");
            continue;
        }
        agreed += 1;
        if invalid_selector {
            assert!(selected.is_err(), "{name}: {selector:?} is taken");
            continue;
        }
        results.extend(result);
        let selected = selected.unwrap_or_else(|error| panic!("{name}: {error}"));
        let selected: Vec<Value> = selected.into_iter().cloned().collect();
        assert!(
            results.contains(&selected),
            "{name}: {selector:?} selects {selected:?}, wanted {results:?}"
        );
    }
    assert!(agreed > 300 && filters > 300, "{agreed} {filters}");
}

#[test]
fn paths_of_the_standard_that_people_write_are_taken() {
    let document =
        json!({"\u{263a}": 1, "\u{1f600}": 2, "\u{8}": 3, "\u{c}": 4, "a": {"b": 5}, "'\"\\/": 6});
    for (path, wanted) in [
        (r#"$["\u263a"]"#, json!(1)),
        (r"$['\uD83D\uDE00']", json!(2)),
        (r#"$["\b"]"#, json!(3)),
        (r#"$["\f"]"#, json!(4)),
        (r#"$["'\"\\\/"]"#, json!(6)),
        ("$ ['a']", json!({"b": 5})),
        ("$['a'] ['b']", json!(5)),
        ("$ .a", json!({"b": 5})),
        ("$\n.a\t.b", json!(5)),
        ("$\r\n[\t'a'\n]", json!({"b": 5})),
        ("$.\u{263a}", json!(1)),
    ] {
        assert_eq!(select(&document, path).unwrap(), [&wanted], "{path}");
    }
}
