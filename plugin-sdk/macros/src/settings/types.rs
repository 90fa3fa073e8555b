//! Types of fields, by their names.

use syn::{GenericArgument, Ident, PathArguments, Type};

pub(super) fn inner_of_option(ty: &Type) -> Option<&Type> {
    let Type::Path(path) = ty else { return None };
    let last = path
        .path
        .segments
        .last()
        .filter(|segment| segment.ident == "Option")?;
    let PathArguments::AngleBracketed(arguments) = &last.arguments else {
        return None;
    };
    match arguments.args.first()? {
        GenericArgument::Type(inner) => Some(inner),
        _ => None,
    }
}

/// Last part of a type's path: `Vec` of `std::vec::Vec<u8>`.
pub(super) fn last_name(ty: &Type) -> Option<String> {
    let Type::Path(path) = ty else { return None };
    path.path
        .segments
        .last()
        .map(|segment| segment.ident.to_string())
}

pub(super) fn type_name(ty: &Type) -> Option<String> {
    let Type::Path(path) = ty else { return None };
    path.path.get_ident().map(Ident::to_string)
}

pub(super) fn is_unsigned(ty: &Type) -> bool {
    type_name(ty).is_some_and(|name| ["u8", "u16", "u32", "u64"].contains(&name.as_str()))
}

pub(super) fn largest(ty: &Type) -> Option<&'static str> {
    match type_name(ty)?.as_str() {
        "u8" => Some("255"),
        "u16" => Some("65535"),
        "u32" => Some("4294967295"),
        _ => None,
    }
}
