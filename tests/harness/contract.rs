//! Compares two texts of the contract: which changes break a plugin that is already built? The
//! rules are those of `wit/README.md`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use wit_parser::{
    Handle, InterfaceId, Resolve, Type, TypeDefKind, TypeId, TypeOwner, WorldItem, WorldKey,
};

/// All the WIT in a folder, as one text.
pub fn read(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder)
        .unwrap_or_else(|error| panic!("reading `{}`: {error}", folder.display()));
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the folder is readable").path())
        .collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "wit"));
    paths.sort();
    let mut text = String::new();
    for path in paths {
        let file = std::fs::read_to_string(path).expect("the contract is text");
        // Each file names the package, and one text may do so once.
        let is_first = text.is_empty();
        for line in file
            .lines()
            .filter(|line| is_first || !line.starts_with("package "))
        {
            text.push_str(line);
            text.push('\n');
        }
    }
    text
}

/// Returns what a plugin built for `old` misses in `new`, or finds changed; empty if it runs as
/// before.
pub fn breaks(old: &str, new: &str) -> Vec<String> {
    let (old, new) = (Contract::parse(old), Contract::parse(new));
    let mut breaks = Vec::new();
    for (name, shape) in &old.items {
        match new.items.get(name) {
            None => breaks.push(format!("{name} is gone")),
            Some(now) if now != shape => breaks.push(format!("{name} was `{shape}`, is `{now}`")),
            Some(_) => {}
        }
    }
    for asked in new.asked.difference(&old.asked) {
        let interface = asked.split('/').next().unwrap_or_default();
        if old.exported.contains(interface) {
            breaks.push(format!("{asked} is asked of plugins that do not have it"));
        }
    }
    breaks
}

/// The contract as names with their shapes.
struct Contract {
    items: BTreeMap<String, String>,
    /// Functions of interfaces that plugins export, as `INTERFACE/FUNCTION`.
    asked: BTreeSet<String>,
    /// Interfaces that plugins export.
    exported: BTreeSet<String>,
}

impl Contract {
    fn parse(text: &str) -> Self {
        let mut resolve = Resolve::default();
        let package = resolve
            .push_str("contract.wit", text)
            .unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        let package = &resolve.packages[package];
        let name = format!("package {}:{}", package.name.namespace, package.name.name);
        let version = package
            .name
            .version
            .as_ref()
            .map(|version| format!("{}.{}", version.major, version.minor));
        let mut items = BTreeMap::from([(name, version.unwrap_or_default())]);
        for (name, id) in &package.interfaces {
            items.insert(format!("interface {name}"), String::new());
            let interface = &resolve.interfaces[*id];
            for (type_name, id) in &interface.types {
                items.insert(
                    format!("type {name}/{type_name}"),
                    definition(&resolve, *id),
                );
            }
            for (function, signature) in &interface.functions {
                let of = |kind: &Type| shape(&resolve, kind);
                let params = signature
                    .params
                    .iter()
                    .map(|param| format!("{}: {}", param.name, of(&param.ty)));
                let result = signature.result.as_ref().map_or("nothing".to_owned(), of);
                let text = format!("({}) -> {result}", params.collect::<Vec<_>>().join(", "));
                items.insert(format!("function {name}/{function}"), text);
            }
        }
        let (mut asked, mut exported) = (BTreeSet::new(), BTreeSet::new());
        for (name, id) in &package.worlds {
            let world = &resolve.worlds[*id];
            items.insert(format!("world {name}"), String::new());
            for key in world.imports.keys() {
                items.insert(
                    format!("import {} of world {name}", key_name(&resolve, key)),
                    String::new(),
                );
            }
            let mut exports = Vec::new();
            for (key, item) in &world.exports {
                exports.push(key_name(&resolve, key));
                if let (WorldKey::Interface(_), WorldItem::Interface { id, .. }) = (key, item) {
                    let interface = interface_name(&resolve, *id);
                    let functions = resolve.interfaces[*id].functions.keys();
                    asked.extend(functions.map(|function| format!("{interface}/{function}")));
                    exported.insert(interface);
                }
            }
            exports.sort();
            items.insert(format!("exports of world {name}"), exports.join(", "));
        }
        Self {
            items,
            asked,
            exported,
        }
    }
}

/// Returns the name without the version, whose last number may rise.
fn key_name(resolve: &Resolve, key: &WorldKey) -> String {
    match key {
        WorldKey::Interface(id) => interface_name(resolve, *id),
        WorldKey::Name(name) => name.clone(),
    }
}

fn interface_name(resolve: &Resolve, id: InterfaceId) -> String {
    resolve.interfaces[id].name.clone().unwrap_or_default()
}

/// Returns the definition behind a name, one level deep: the names in it have definitions of their
/// own.
fn definition(resolve: &Resolve, id: TypeId) -> String {
    let of = |kind: &Type| shape(resolve, kind);
    match &resolve.types[id].kind {
        TypeDefKind::Record(record) => {
            let fields = record
                .fields
                .iter()
                .map(|field| format!("{}: {}", field.name, of(&field.ty)));
            format!("record {}", fields.collect::<Vec<_>>().join(", "))
        }
        TypeDefKind::Variant(variant) => {
            let cases = variant.cases.iter().map(|case| match &case.ty {
                Some(kind) => format!("{}({})", case.name, of(kind)),
                None => case.name.clone(),
            });
            format!("variant {}", cases.collect::<Vec<_>>().join(", "))
        }
        TypeDefKind::Enum(cases) => {
            format!(
                "enum {}",
                cases
                    .cases
                    .iter()
                    .map(|case| case.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        TypeDefKind::Flags(flags) => {
            format!(
                "flags {}",
                flags
                    .flags
                    .iter()
                    .map(|flag| flag.name.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            )
        }
        TypeDefKind::Tuple(tuple) => format!(
            "tuple<{}>",
            tuple.types.iter().map(of).collect::<Vec<_>>().join(", ")
        ),
        TypeDefKind::Option(kind) => format!("option<{}>", of(kind)),
        TypeDefKind::List(kind) => format!("list<{}>", of(kind)),
        TypeDefKind::Result(result) => {
            let part = |kind: &Option<Type>| kind.as_ref().map_or("_".to_owned(), of);
            format!("result<{}, {}>", part(&result.ok), part(&result.err))
        }
        TypeDefKind::Handle(Handle::Own(id)) => format!("own<{}>", shape(resolve, &Type::Id(*id))),
        TypeDefKind::Handle(Handle::Borrow(id)) => {
            format!("borrow<{}>", shape(resolve, &Type::Id(*id)))
        }
        TypeDefKind::Type(kind) => of(kind),
        other => format!("{other:?}"),
    }
}

/// A type where it is used: by its name if it has one, spelled out if it has none.
fn shape(resolve: &Resolve, kind: &Type) -> String {
    let Type::Id(id) = kind else {
        return format!("{kind:?}").to_lowercase();
    };
    let found = &resolve.types[*id];
    match (&found.name, &found.kind, found.owner) {
        // From another interface by `use`.
        (Some(_), TypeDefKind::Type(used), _) => shape(resolve, used),
        (Some(name), _, TypeOwner::Interface(interface)) => {
            format!("{}/{name}", interface_name(resolve, interface))
        }
        (Some(name), ..) => name.clone(),
        (None, ..) => definition(resolve, *id),
    }
}
