//! Questions about the catalog in PostgreSQL's words, made such as our tables of it answer. Never
//! applied to SQL about results.

use super::tokens::{Kind, Token};

/// Functions and words of a session, which DuckDB would answer about itself.
const SESSION: &[&str] = &[
    "col_description",
    "current_catalog",
    "current_database",
    "current_role",
    "current_schema",
    "current_schemas",
    "current_setting",
    "current_user",
    "format_type",
    "has_any_column_privilege",
    "has_column_privilege",
    "has_database_privilege",
    "has_schema_privilege",
    "has_table_privilege",
    "inet_client_addr",
    "inet_client_port",
    "inet_server_addr",
    "inet_server_port",
    "obj_description",
    "parse_ident",
    "quote_ident",
    "session_user",
    "set_config",
    "shobj_description",
    "to_regclass",
    "to_regtype",
    "txid_current",
    "version",
];

/// Types whose values are names and numbers at once.
const REGISTERED: &[&str] = &["regclass", "regnamespace", "regproc", "regrole", "regtype"];

/// Functions that stand for rows after `FROM`; their alias names the column too.
const ROWS: &[&str] = &["generate_series", "string_to_array", "unnest"];

/// Reports whether a statement asks about the catalog or the session, and not about results.
pub(super) fn is_catalog(words: &[Token<'_>], views: &[String]) -> bool {
    let mut is_of_session = false;
    let mut names_view = false;
    for (at, token) in words.iter().enumerate() {
        let Some(name) = token.name() else {
            continue;
        };
        if name.starts_with("pg_") || name == "information_schema" {
            return true;
        }
        let follows_cast = at > 0 && words[at - 1].is_sign("::");
        is_of_session |=
            SESSION.contains(&name.as_str()) || follows_cast && REGISTERED.contains(&name.as_str());
        names_view |= views.contains(&name);
    }
    is_of_session && !names_view
}

/// Returns the statement for our tables.
pub(super) fn rewrite(sql: &str) -> String {
    rewrite_words(&without_qualifiers(sql))
}

fn rewrite_words(words: &[Token<'_>]) -> String {
    let mut out = Output::default();
    let mut rest = words;
    while let Some((token, after)) = rest.split_first() {
        rest = match token.name().as_deref() {
            Some("operator") if after.first().is_some_and(|next| next.is_sign("(")) => {
                let end = after.iter().position(|token| token.is_sign(")"));
                let (operator, after) = after.split_at(end.map_or(after.len(), |end| end + 1));
                for sign in operator {
                    if !sign.is_sign("(") && !sign.is_sign(")") {
                        out.push(*sign);
                    }
                }
                after
            }
            Some("collate") if !after.is_empty() => &after[1..],
            Some("as") if out.recast(after) => &after[1..],
            Some("any") if out.is_equal_to_list(after) => out.list_contains(after),
            Some("array") if out.adds_toast_options(after) => &after[bracket_end(after)..],
            Some("json_build_object") => {
                out.words.push("json_object".to_owned());
                after
            }
            _ if token.is_sign("::") => out.cast(after),
            Some(name) if ROWS.contains(&name) && out.is_after_from() => out.rows(rest),
            _ => {
                out.push(*token);
                after
            }
        };
    }
    out.text()
}

/// Drops comments and `pg_catalog.`; the names of `information_schema` live in a schema of ours.
fn without_qualifiers(sql: &str) -> Vec<Token<'_>> {
    let words: Vec<Token<'_>> = super::tokens::words(sql);
    let mut found = Vec::with_capacity(words.len());
    let mut at = 0;
    while let Some(token) = words.get(at) {
        let qualifies = words.get(at + 1).is_some_and(|next| next.is_sign("."));
        match token.name().as_deref() {
            Some("pg_catalog") if qualifies => at += 2,
            Some("information_schema") if qualifies => {
                found.push(Token {
                    kind: Kind::Word,
                    text: "isc",
                    start: token.start,
                });
                at += 1;
            }
            _ => {
                found.push(*token);
                at += 1;
            }
        }
    }
    found
}

/// Words that were written so far.
#[derive(Default)]
struct Output {
    words: Vec<String>,
    /// Where the last one ended in the statement, when it is a sign: operators are several.
    sign_end: Option<usize>,
    /// The clause of each open parenthesis: whether `FROM` came after its `SELECT`.
    clauses: Vec<bool>,
    is_from: bool,
}

impl Output {
    /// Writes a token without looking at what it means.
    fn write(&mut self, token: Token<'_>) {
        let is_sign = token.kind == Kind::Sign;
        match self.words.last_mut() {
            Some(last) if is_sign && self.sign_end == Some(token.start) => {
                last.push_str(token.text);
            }
            _ => self.words.push(token.text.to_owned()),
        }
        let is_bracket = ["(", ")", ",", ".", "[", "]"].contains(&token.text);
        self.sign_end = (is_sign && !is_bracket).then(|| token.end());
    }

    fn push(&mut self, token: Token<'_>) {
        match token.text {
            "(" => {
                self.clauses.push(self.is_from);
                self.is_from = false;
            }
            ")" => self.is_from = self.clauses.pop().unwrap_or(false),
            _ => {
                let name = token.name();
                match name.as_deref() {
                    Some("from" | "join") => self.is_from = true,
                    Some("select" | "where" | "on" | "group" | "order" | "having" | "limit") => {
                        self.is_from = false;
                    }
                    _ => {}
                }
            }
        }
        self.write(token);
    }

    /// The next word is one of what is read from.
    fn is_after_from(&self) -> bool {
        let last = self.words.last().map(|word| word.to_ascii_lowercase());
        self.is_from
            && last.is_some_and(|last| ["from", "join", ",", "lateral"].contains(&last.as_str()))
    }

    /// Writes a call with an alias that names the column too. Returns what follows.
    fn rows<'a, 'b>(&mut self, words: &'b [Token<'a>]) -> &'b [Token<'a>] {
        let (call, after) = words.split_at(bracket_end(words));
        // Calls inside are written as they are: they are not read from.
        for token in call {
            self.write(*token);
        }
        let (alias, after) = match after {
            [as_word, alias, after @ ..] if as_word.is_word("as") => (Some(alias), after),
            [alias, after @ ..] if alias.name().is_some() && !is_keyword(alias) => {
                (Some(alias), after)
            }
            after => (None, after),
        };
        if let Some(alias) = alias {
            self.words.push(format!("AS {}", alias.text));
            if !after.first().is_some_and(|next| next.is_sign("(")) {
                self.words.push(format!("({})", alias.text));
            }
        }
        after
    }

    /// Writes a cast: those to names of things are calls of ours.
    fn cast<'a, 'b>(&mut self, after: &'b [Token<'a>]) -> &'b [Token<'a>] {
        let Some((kind, rest)) = after.split_first() else {
            return after;
        };
        let name = kind.name().unwrap_or_default();
        if let ([_, open, close, rest @ ..], Some(items)) = (after, self.last_array())
            && open.is_sign("[")
            && close.is_sign("]")
        {
            self.words.pop();
            self.words.push(format!("string_split('{items}', ',')"));
            return rest;
        }
        if !REGISTERED.contains(&name.as_str()) {
            self.words.push("::".to_owned());
            return after;
        }
        let operand = self.operand();
        let is_name = operand.starts_with(['\'', 'E', 'e', '$']) && !operand.ends_with(')');
        let direction = if is_name { "of" } else { "name" };
        self.words.push(format!("{name}_{direction}({operand})"));
        rest
    }

    /// Makes `CAST(x AS regclass)`, up to its `AS`, a call of ours. False: it is something else.
    fn recast(&mut self, after: &[Token<'_>]) -> bool {
        let kind = match after {
            [kind, close, ..] if close.is_sign(")") => kind.name().unwrap_or_default(),
            _ => return false,
        };
        let mut depth = 0_usize;
        let open = self.words.iter().rposition(|word| match word.as_str() {
            ")" => {
                depth += 1;
                false
            }
            "(" if depth > 0 => {
                depth -= 1;
                false
            }
            word => word == "(",
        });
        let Some(cast) = open.and_then(|open| open.checked_sub(1)) else {
            return false;
        };
        let is_ours =
            REGISTERED.contains(&kind.as_str()) && self.words[cast].eq_ignore_ascii_case("cast");
        if is_ours {
            self.words[cast] = format!("{kind}_of");
        }
        is_ours
    }

    /// What psql adds to the options of a table, of which there are none. Takes back the operator.
    fn adds_toast_options(&mut self, after: &[Token<'_>]) -> bool {
        let adds = self.words.last().is_some_and(|last| last == "||");
        let list = &after[..bracket_end(after)];
        let is_toast = adds && list.iter().any(|token| token.text == "'toast.'");
        if is_toast {
            self.words.pop();
        }
        is_toast
    }

    /// The words before are `x =`, and those after are a list.
    fn is_equal_to_list(&self, after: &[Token<'_>]) -> bool {
        let is_list = match after {
            [open, first, ..] => open.is_sign("(") && !first.is_word("select"),
            _ => false,
        };
        is_list && self.words.last().is_some_and(|last| last == "=")
    }

    /// Writes `x = ANY (list)` as a call: DuckDB takes the former for a subquery, which a join can't
    /// have.
    fn list_contains<'a, 'b>(&mut self, after: &'b [Token<'a>]) -> &'b [Token<'a>] {
        self.words.pop();
        let value = self.operand();
        let (list, rest) = after.split_at(bracket_end(after));
        let list = rewrite_words(list);
        self.words.push(format!("list_contains({list}, {value})"));
        rest
    }

    /// Returns the items of the text before, if it is one such as `'{a,b}'`.
    fn last_array(&self) -> Option<String> {
        let items = self.words.last()?.strip_prefix("'{")?.strip_suffix("}'")?;
        Some(items.to_owned())
    }

    /// Takes back the expression that a cast binds to: a value, a name, a call or parentheses.
    fn operand(&mut self) -> String {
        let mut start = self.words.len().saturating_sub(1);
        if self.words.last().is_some_and(|last| last == ")") {
            let mut depth = 0_usize;
            for (at, word) in self.words.iter().enumerate().rev() {
                match word.as_str() {
                    ")" => depth += 1,
                    "(" => depth -= 1,
                    _ => {}
                }
                if depth == 0 {
                    start = at;
                    break;
                }
            }
            // The name of a call.
            if start > 0 && is_name(&self.words[start - 1]) {
                start -= 1;
            }
        }
        while start > 1 && self.words[start - 1] == "." {
            start -= 2;
        }
        let words: Vec<String> = self.words.drain(start..).collect();
        let operand = Self {
            words,
            ..Self::default()
        };
        operand.text()
    }

    fn text(self) -> String {
        let mut text = String::new();
        for word in self.words {
            let is_glued = word == "." || text.ends_with('.') || text.is_empty();
            if !is_glued {
                text.push(' ');
            }
            text.push_str(&word);
        }
        text
    }
}

/// Returns how many words the first parentheses end after.
fn bracket_end(words: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    let end = words.iter().position(|token| {
        match token.text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && token.is_sign(")")
    });
    end.map_or(words.len(), |end| end + 1)
}

fn is_name(word: &str) -> bool {
    let is_keyword = [
        "in", "and", "or", "not", "select", "where", "on", "when", "then", "else",
    ]
    .iter()
    .any(|keyword| word.eq_ignore_ascii_case(keyword));
    !is_keyword && word.starts_with(|c: char| c.is_alphabetic() || c == '_' || c == '"')
}

fn is_keyword(token: &Token<'_>) -> bool {
    [
        "cross", "full", "group", "having", "inner", "join", "left", "limit", "natural", "on",
        "order", "right", "union", "where", "with",
    ]
    .iter()
    .any(|word| token.is_word(word))
}

#[cfg(test)]
mod tests {
    use super::super::tokens::words;
    use super::*;

    #[test]
    fn postgresql_s_own_words_become_calls_of_ours() {
        for (sql, wanted) in [
            (
                "SELECT c.oid::pg_catalog.regclass FROM pg_catalog.pg_class c -- x",
                "SELECT regclass_name( c.oid ) FROM pg_class c",
            ),
            (
                "WHERE c.oid = 'pg_class'::regclass::oid",
                "WHERE c.oid = regclass_of( 'pg_class' ) :: oid",
            ),
            (
                "n !~ '^pg_' AND c.relname OPERATOR(pg_catalog.~) '^(a)$' COLLATE pg_catalog.default AND x >= 1",
                "n !~ '^pg_' AND c.relname ~ '^(a)$' AND x >= 1",
            ),
            (
                "FROM generate_series(1, 2) as i, string_to_array('a . b', ',') s where s[i] = unnest(x) as y",
                "FROM generate_series ( 1 , 2 ) AS i (i) , string_to_array ( 'a . b' , ',' ) AS s (s) where s [ i ] = unnest ( x ) as y",
            ),
            (
                "select pg_catalog.format_type(a.x, b)::regtype, a in (b)::regclass, information_schema.tables.c",
                "select regtype_name( format_type ( a.x , b ) ) , a in regclass_name( ( b ) ) , isc.tables.c",
            ),
            (
                "ON a.n = ANY(x.k) AND CAST(f(a) AS regclass) = 1 AND CAST(b AS int) = ANY (select 1)",
                "ON list_contains((x.k), a.n) AND regclass_of (f (a)) = 1 AND CAST (b AS int) = ANY (select 1)",
            ),
            (
                "array_to_string(c.o || array(select 'toast.' || x from unnest(t.o) x), ', ') COLLATE \"C\"",
                "array_to_string (c.o , ', ')",
            ),
            (
                "word <> ALL ('{a,b}'::text[])",
                "word <> ALL (string_split('a,b', ','))",
            ),
        ] {
            assert_eq!(
                rewrite(sql).replace("( ", "(").replace(" )", ")"),
                wanted.replace("( ", "(").replace(" )", ")"),
                "{sql}"
            );
        }
    }

    #[test]
    fn only_the_catalog_is_answered_by_the_catalog() {
        let views = ["services".to_owned()];
        for (sql, wanted) in [
            ("select * from pg_class", true),
            ("select current_schema(), 1", true),
            ("select version()", true),
            ("select 'a'::regclass", true),
            (
                "select table_name from information_schema.tables where table_name = 'services'",
                true,
            ),
            ("select slug, current_user from services", false),
            ("select 'pg_class', \"a\" from services", false),
            ("select 1", false),
        ] {
            assert_eq!(is_catalog(&words(sql), &views), wanted, "{sql}");
        }
    }
}
