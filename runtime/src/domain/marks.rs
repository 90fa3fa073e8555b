//! Marks in a settings schema, such as `x-secret`: which values of the settings they cover. One
//! walk serves everything that depends on a mark, and a schema with a mark that the walk can't
//! follow is refused ([`mark_faults`]).

mod follow;

use serde_json::Value;

use follow::Schemas;

/// A keyword of a settings schema by which a property means something to the host. It covers
/// everything below the property.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// The value never enters the plugin.
    Secret,
    /// The value names a host that may be reached; `"url"`: only where it is a whole URL.
    Host,
    /// The value is a port of the service's own host that may be reached.
    Port,
    /// The value is an address that mail may be written to or from.
    Mail,
}

impl Mark {
    pub const ALL: [Mark; 4] = [Mark::Secret, Mark::Host, Mark::Port, Mark::Mail];

    pub fn keyword(self) -> &'static str {
        match self {
            Mark::Secret => "x-secret",
            Mark::Host => "x-host",
            Mark::Port => "x-port",
            Mark::Mail => "x-mail",
        }
    }

    /// The mark's own value, where a schema has it.
    fn of(self, schema: &Value) -> Option<&Value> {
        let value = schema.get(self.keyword())?;
        self.is_valid(value).then_some(value)
    }

    fn is_valid(self, value: &Value) -> bool {
        value == &Value::Bool(true) || (self == Mark::Host && value == "url")
    }
}

/// A value that a mark covers, neither an object, nor a list, nor null.
pub struct Marked<'a> {
    /// JSON pointer into the settings.
    pub pointer: &'a str,
    pub value: &'a mut Value,
    /// Value of the mark's keyword: `true`, or `"url"` of a host.
    pub form: &'a Value,
}

/// Calls `found` for every value of the settings that the mark covers. Every branch of a schema
/// counts, whether the settings fit it or not: a secret too many does less harm than one too few.
pub fn visit_marked(
    settings: &mut Value,
    schema: &Value,
    mark: Mark,
    mut found: impl FnMut(Marked<'_>),
) {
    let walk = Walk {
        schemas: Schemas::new(schema),
        mark,
    };
    walk.visit(settings, &[schema], None, &mut String::new(), &mut found);
}

struct Walk<'a> {
    schemas: Schemas<'a>,
    mark: Mark,
}

impl<'a> Walk<'a> {
    fn visit(
        &self,
        value: &mut Value,
        schemas: &[&'a Value],
        inherited: Option<&'a Value>,
        pointer: &mut String,
        found: &mut impl FnMut(Marked<'_>),
    ) {
        let schemas = self.schemas.applicable(schemas);
        let form = inherited.or_else(|| schemas.iter().find_map(|schema| self.mark.of(schema)));
        if schemas.is_empty() && form.is_none() {
            return;
        }
        let length = pointer.len();
        match value {
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let inner: Vec<&Value> = schemas
                        .iter()
                        .flat_map(|schema| follow::of_item(schema, index))
                        .collect();
                    pointer.push_str(&format!("/{index}"));
                    self.visit(item, &inner, form, pointer, found);
                    pointer.truncate(length);
                }
            }
            Value::Object(properties) => {
                for (name, property) in properties {
                    let inner: Vec<&Value> = schemas
                        .iter()
                        .flat_map(|schema| follow::of_property(schema, name))
                        .collect();
                    pointer.push('/');
                    pointer.push_str(&escaped(name));
                    self.visit(property, &inner, form, pointer, found);
                    pointer.truncate(length);
                }
            }
            Value::Null => {}
            value => {
                if let Some(form) = form {
                    found(Marked {
                        pointer,
                        value,
                        form,
                    });
                }
            }
        }
    }
}

fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// Why the host can't keep to the marks of a schema; empty when it can.
pub fn mark_faults(schema: &Value) -> Vec<String> {
    let schemas = Schemas::new(schema);
    let reached = schemas.reached();
    let mut faults = Vec::new();
    let mut has_mark = false;
    follow::every_node(schema, &mut String::new(), &mut |pointer, node| {
        for mark in Mark::ALL {
            let keyword = mark.keyword();
            match node.get(keyword) {
                // A property of that name.
                None | Some(Value::Object(_) | Value::Bool(false)) => continue,
                Some(value) if !mark.is_valid(value) => {
                    let known = if mark == Mark::Host {
                        "`true` or `\"url\"`"
                    } else {
                        "`true`"
                    };
                    faults.push(format!("`{keyword}` at `{pointer}` has to be {known}"));
                    continue;
                }
                Some(_) => has_mark = true,
            }
            if !reached.contains(&std::ptr::from_ref(node)) {
                faults.push(format!(
                    "`{keyword}` at `{pointer}` is where the host does not look: nothing under `properties`, `items`, `$ref` \
                     and the like leads there; put the mark on the property itself"
                ));
            }
            if mark == Mark::Secret && is_number(node) {
                faults.push(format!(
                    "`x-secret` at `{pointer}` marks a number, and a plugin gets a text in its place; make it a string"
                ));
            }
        }
    });
    if has_mark {
        faults.extend(schemas.unfollowed());
    }
    faults
}

fn is_number(schema: &Value) -> bool {
    let number = |name: &Value| matches!(name.as_str(), Some("number" | "integer" | "boolean"));
    match schema.get("type") {
        Some(Value::Array(names)) => names.iter().any(number),
        Some(name) => number(name),
        None => false,
    }
}

#[cfg(test)]
mod tests;
