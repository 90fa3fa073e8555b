//! `#[derive(Settings)]`: a schema put together from constant pieces, and a reader that asks for
//! each key once.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, ExprLit, ExprUnary, Field, Fields, GenericArgument,
    Ident, Lit, LitStr, Meta, PathArguments, Result, Type, UnOp, Variant,
};

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    if !input.generics.params.is_empty() {
        return Err(Error::new(
            input.generics.span(),
            "settings can't have parameters",
        ));
    }
    let (schema, read, absent) = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => structure(&fields.named.iter().collect::<Vec<_>>())?,
            other => return Err(Error::new(other.span(), "settings need named fields")),
        },
        Data::Enum(data) => names(&data.variants.iter().collect::<Vec<_>>())?,
        Data::Union(data) => {
            return Err(Error::new(
                data.union_token.span(),
                "settings can't be a union",
            ));
        }
    };
    let name = &input.ident;
    Ok(quote! {
        impl ::extrack_plugin::settings::Setting for #name {
            fn schema() -> ::std::string::String {
                #schema
            }

            fn read(
                value: &::extrack_plugin::json::Value,
                place: &::extrack_plugin::settings::Place<'_>,
                faults: &mut ::extrack_plugin::settings::Faults,
            ) -> ::std::option::Option<Self> {
                #read
            }

            #absent
        }
    })
}

/// What `#[setting(..)]` says.
#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    /// JSON text.
    default: Option<String>,
    default_of_type: bool,
    min: Option<String>,
    max: Option<String>,
    secret: bool,
    url: bool,
    /// What stands behind `x-host`, as JSON.
    host: Option<&'static str>,
    port: bool,
    mail: bool,
}

impl Options {
    fn read(attributes: &[Attribute]) -> Result<Self> {
        let mut options = Self::default();
        for attribute in attributes
            .iter()
            .filter(|attribute| attribute.path().is_ident("setting"))
        {
            attribute.parse_nested_meta(|meta| {
                let Some(key) = meta.path.get_ident().map(Ident::to_string) else {
                    return Err(meta.error("wanted a name"));
                };
                match key.as_str() {
                    "name" => options.name = Some(meta.value()?.parse()?),
                    "secret" => options.secret = true,
                    "url" => options.url = true,
                    "host" if !meta.input.peek(syn::Token![=]) => options.host = Some("true"),
                    "host" => {
                        let form: LitStr = meta.value()?.parse()?;
                        if form.value() != "url" {
                            return Err(Error::new(form.span(), "known is `host = \"url\"`"));
                        }
                        options.host = Some("\"url\"");
                    }
                    "port" => options.port = true,
                    "mail" => options.mail = true,
                    "default" if !meta.input.peek(syn::Token![=]) => options.default_of_type = true,
                    "default" => options.default = Some(json_literal(&meta.value()?.parse()?)?),
                    "min" => options.min = Some(number(&meta.value()?.parse()?)?),
                    "max" => options.max = Some(number(&meta.value()?.parse()?)?),
                    _ => {
                        return Err(meta.error(
                            "known are `default`, `min`, `max`, `name`, `secret`, `host`, `port`, `mail` and `url`",
                        ));
                    }
                }
                Ok(())
            })?;
        }
        Ok(options)
    }
}

fn structure(fields: &[&Field]) -> Result<(TokenStream, TokenStream, TokenStream)> {
    let mut pieces = Vec::new();
    let mut reads = Vec::new();
    let mut bindings = Vec::new();
    let mut required = Vec::new();
    for (index, field) in fields.iter().enumerate() {
        let Some(ident) = &field.ident else {
            return Err(Error::new(field.span(), "settings need named fields"));
        };
        let mut options = Options::read(&field.attrs)?;
        let inner = inner_of_option(&field.ty).unwrap_or(&field.ty);
        options.min = options
            .min
            .or_else(|| is_unsigned(inner).then(|| "0".to_owned()));
        options.max = options.max.or_else(|| largest(inner).map(str::to_owned));
        let key = options
            .name
            .as_ref()
            .map_or_else(|| camel_case(&ident.to_string()), LitStr::value);
        let is_optional = inner_of_option(&field.ty).is_some()
            || options.default.is_some()
            || options.default_of_type;
        if !is_optional {
            required.push(json_text(&key));
        }
        let comma = if index == 0 { "" } else { "," };
        let head = format!("{comma}{}:", json_text(&key));
        let keywords = keywords(&options, &description(&field.attrs));
        let ty = &field.ty;
        pieces.push(quote! {
            schema.push_str(#head);
            ::extrack_plugin::settings::push_schema(
                &mut schema, #keywords, &<#ty as ::extrack_plugin::settings::Setting>::schema(),
            );
        });
        reads.push(read_field(ident, &key, ty, &options)?);
        bindings.push(ident);
    }
    let tail = format!(
        "}},\"required\":[{}],\"additionalProperties\":false}}",
        required.join(",")
    );
    let schema = quote! {
        let mut schema = ::std::string::String::from("{\"type\":\"object\",\"properties\":{");
        #(#pieces)*
        schema.push_str(#tail);
        schema
    };
    let read = quote! {
        let mut object = ::extrack_plugin::settings::Object::open(value, place, faults)?;
        #(#reads)*
        object.close(faults);
        ::std::option::Option::Some(Self { #(#bindings: #bindings?),* })
    };
    Ok((schema, read, quote!()))
}

fn read_field(ident: &Ident, key: &str, ty: &Type, options: &Options) -> Result<TokenStream> {
    let limit = |limit: &Option<String>| -> Result<TokenStream> {
        match limit {
            Some(text) => {
                let number: f64 = text
                    .parse()
                    .map_err(|_| Error::new(ident.span(), "limits are numbers"))?;
                Ok(quote!(::std::option::Option::Some(#number)))
            }
            None => Ok(quote!(::std::option::Option::None)),
        }
    };
    let (min, max) = (limit(&options.min)?, limit(&options.max)?);
    let limits = quote!(::extrack_plugin::settings::Limits { min: #min, max: #max });
    let default = match &options.default {
        Some(text) => quote!(::std::option::Option::Some(#text)),
        None => quote!(::std::option::Option::None),
    };
    Ok(if options.default_of_type {
        quote! {
            let #ident = object
                .field::<::std::option::Option<#ty>>(#key, ::std::option::Option::None, #limits, faults)
                .map(::std::option::Option::unwrap_or_default);
        }
    } else {
        quote!(let #ident = object.field::<#ty>(#key, #default, #limits, faults);)
    })
}

/// The keywords that a field adds to its type's schema: JSON members, each with a comma behind it.
fn keywords(options: &Options, description: &str) -> String {
    let mut keywords = String::new();
    let mut push = |name: &str, value: &str| keywords.push_str(&format!("\"{name}\":{value},"));
    if !description.is_empty() {
        push("description", &json_text(description));
    }
    if let Some(default) = &options.default {
        push("default", default);
    }
    if let Some(min) = &options.min {
        push("minimum", min);
    }
    if let Some(max) = &options.max {
        push("maximum", max);
    }
    if options.url {
        push("format", "\"uri\"");
    }
    if let Some(form) = options.host {
        push("x-host", form);
    }
    if options.port {
        push("x-port", "true");
    }
    if options.mail {
        push("x-mail", "true");
    }
    if options.secret {
        push("x-secret", "true");
    }
    keywords
}

fn names(variants: &[&Variant]) -> Result<(TokenStream, TokenStream, TokenStream)> {
    let mut texts = Vec::new();
    let mut paths = Vec::new();
    for variant in variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new(
                variant.span(),
                "an enum of settings has bare names; write `Setting` by hand for others",
            ));
        }
        let options = Options::read(&variant.attrs)?;
        texts.push(options.name.map_or_else(
            || lower_camel_case(&variant.ident.to_string()),
            |name| name.value(),
        ));
        paths.push(&variant.ident);
    }
    let listed: Vec<String> = texts.iter().map(|text| json_text(text)).collect();
    let schema = format!("{{\"type\":\"string\",\"enum\":[{}]}}", listed.join(","));
    let wanted = format!("one of `{}`", texts.join("`, `"));
    let read = quote! {
        let found = match value.as_str() {
            #(::std::option::Option::Some(#texts) => ::std::option::Option::Some(Self::#paths),)*
            _ => ::std::option::Option::None,
        };
        faults.expect(found, value, place, #wanted)
    };
    Ok((quote!(::std::string::String::from(#schema)), read, quote!()))
}

/// The doc comment as one paragraph.
fn description(attributes: &[Attribute]) -> String {
    let mut lines = Vec::new();
    for attribute in attributes {
        if let Meta::NameValue(pair) = &attribute.meta
            && pair.path.is_ident("doc")
            && let Expr::Lit(ExprLit {
                lit: Lit::Str(text),
                ..
            }) = &pair.value
        {
            lines.push(text.value().trim().to_owned());
        }
    }
    lines.join(" ").trim().to_owned()
}

fn inner_of_option(ty: &Type) -> Option<&Type> {
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

fn type_name(ty: &Type) -> Option<String> {
    let Type::Path(path) = ty else { return None };
    path.path.get_ident().map(Ident::to_string)
}

fn is_unsigned(ty: &Type) -> bool {
    type_name(ty).is_some_and(|name| ["u8", "u16", "u32", "u64"].contains(&name.as_str()))
}

fn largest(ty: &Type) -> Option<&'static str> {
    match type_name(ty)?.as_str() {
        "u8" => Some("255"),
        "u16" => Some("65535"),
        "u32" => Some("4294967295"),
        _ => None,
    }
}

fn json_literal(expression: &Expr) -> Result<String> {
    match expression {
        Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) => Ok(json_text(&text.value())),
        Expr::Lit(ExprLit {
            lit: Lit::Bool(flag),
            ..
        }) => Ok(flag.value.to_string()),
        other => number(other),
    }
}

fn number(expression: &Expr) -> Result<String> {
    match expression {
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) => Ok(number.base10_digits().to_owned()),
        Expr::Lit(ExprLit {
            lit: Lit::Float(number),
            ..
        }) => Ok(number.base10_digits().to_owned()),
        Expr::Unary(ExprUnary {
            op: UnOp::Neg(_),
            expr,
            ..
        }) => Ok(format!("-{}", number(expr)?)),
        other => Err(Error::new(other.span(), "wanted a literal")),
    }
}

/// A text as JSON.
fn json_text(text: &str) -> String {
    let mut json = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            control if u32::from(control) < 0x20 => {
                json.push_str(&format!("\\u{:04x}", u32::from(control)))
            }
            other => json.push(other),
        }
    }
    json.push('"');
    json
}

/// `warn_below` as `warnBelow`.
fn camel_case(name: &str) -> String {
    let mut camel = String::new();
    let mut is_start_of_word = false;
    for character in name.trim_start_matches("r#").chars() {
        match character {
            '_' => is_start_of_word = true,
            _ if is_start_of_word => {
                camel.extend(character.to_uppercase());
                is_start_of_word = false;
            }
            _ => camel.push(character),
        }
    }
    camel
}

/// `TooLarge` as `tooLarge`.
fn lower_camel_case(name: &str) -> String {
    let mut characters = name.chars();
    characters.next().map_or_else(String::new, |first| {
        first.to_lowercase().chain(characters).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_names_as_json_has_them() {
        for (name, wanted) in [
            ("path", "path"),
            ("warn_below", "warnBelow"),
            ("r#type", "type"),
            ("max_body_bytes", "maxBodyBytes"),
        ] {
            assert_eq!(camel_case(name), wanted);
        }
        assert_eq!(lower_camel_case("TooLarge"), "tooLarge");
    }

    #[test]
    fn escapes_text() {
        assert_eq!(json_text("a \"b\" \\ \n"), r#""a \"b\" \\ \u000a""#);
    }

    #[test]
    fn says_what_is_wrong_with_a_struct() {
        for (item, wanted) in [
            (
                quote!(
                    struct S(u8);
                ),
                "named fields",
            ),
            (
                quote!(
                    enum E {
                        A(u8),
                    }
                ),
                "bare names",
            ),
            (
                quote!(
                    struct S<T> {
                        t: T,
                    }
                ),
                "parameters",
            ),
            (
                quote!(
                    struct S {
                        #[setting(lowest = 1)]
                        a: u8,
                    }
                ),
                "known are",
            ),
            (
                quote!(
                    struct S {
                        #[setting(default = f())]
                        a: u8,
                    }
                ),
                "literal",
            ),
        ] {
            let error = expand(item).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
