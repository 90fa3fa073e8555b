//! `#[derive(Settings)]`: a schema put together from constant pieces, and a reader that asks for
//! each key once.

mod options;
mod text;
mod types;

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned;
use syn::{
    Attribute, Data, DeriveInput, Error, Expr, ExprLit, Field, Fields, Ident, Lit, LitStr, Meta,
    Result, Type, Variant,
};

use options::Options;
use text::{camel_case, json_text, lower_camel_case};
use types::{inner_of_option, is_unsigned, largest, last_name};

pub(crate) fn expand(item: TokenStream) -> Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    if !input.generics.params.is_empty() {
        return Err(Error::new(
            input.generics.span(),
            "settings can't have parameters",
        ));
    }
    let Parts { schema, read } = match &input.data {
        Data::Struct(data) => match &data.fields {
            Fields::Named(fields) => structure(&fields.named.iter().collect::<Vec<_>>())?,
            other => return Err(Error::new(other.span(), "settings need named fields")),
        },
        Data::Enum(data) => {
            let variants = data.variants.iter().collect::<Vec<_>>();
            match Options::read(&input.attrs)?.tag {
                Some(tag) => alternatives(&tag.value(), &variants)?,
                None => names(&variants)?,
            }
        }
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
        }
    })
}

/// Bodies of the two functions of `Setting`.
struct Parts {
    schema: TokenStream,
    read: TokenStream,
}

fn structure(fields: &[&Field]) -> Result<Parts> {
    let Object {
        schema,
        reads,
        bindings,
    } = object(fields, None)?;
    Ok(Parts {
        schema: quote! {
            let mut schema = ::std::string::String::new();
            #schema
            schema
        },
        read: quote! {
            let mut object = ::extrack_plugin::settings::Object::open(value, place, faults)?;
            #(#reads)*
            object.close(faults);
            ::std::option::Option::Some(Self { #(#bindings: #bindings?),* })
        },
    })
}

/// An object with a key for each field.
struct Object {
    /// Statements that append to `schema`.
    schema: TokenStream,
    /// Statements that read each field from `object` into a variable of its name.
    reads: Vec<TokenStream>,
    bindings: Vec<Ident>,
}

/// `tag` is a key with its only value.
fn object(fields: &[&Field], tag: Option<(&str, &str)>) -> Result<Object> {
    let mut pieces = Vec::new();
    let mut reads = Vec::new();
    let mut bindings = Vec::new();
    let mut required = Vec::new();
    let mut start = String::from("{\"type\":\"object\",\"properties\":{");
    if let Some((key, value)) = tag {
        let key = json_text(key);
        start.push_str(&format!("{key}:{{\"const\":{}}}", json_text(value)));
        required.push(key);
    }
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
        let comma = if index == 0 && tag.is_none() { "" } else { "," };
        let head = format!("{comma}{}:", json_text(&key));
        options.fit(inner, field.span())?;
        let (names, values) = keywords(&options, &description(&field.attrs), inner);
        let ty = &field.ty;
        pieces.push(quote! {
            schema.push_str(#head);
            ::extrack_plugin::settings::push_schema(
                &mut schema, &[#((#names, #values)),*], &<#ty as ::extrack_plugin::settings::Setting>::schema(),
            );
        });
        reads.push(read_field(ident, &key, ty, &options)?);
        bindings.push(ident.clone());
    }
    let tail = format!(
        "}},\"required\":[{}],\"additionalProperties\":false}}",
        required.join(",")
    );
    Ok(Object {
        schema: quote! {
            schema.push_str(#start);
            #(#pieces)*
            schema.push_str(#tail);
        },
        reads,
        bindings,
    })
}

/// An enum whose variants have fields: an object whose key `tag` names the variant.
fn alternatives(tag: &str, variants: &[&Variant]) -> Result<Parts> {
    let mut schemas = Vec::new();
    let mut arms = Vec::new();
    let mut names = Vec::new();
    for (index, variant) in variants.iter().enumerate() {
        let fields: Vec<&Field> = match &variant.fields {
            Fields::Named(fields) => fields.named.iter().collect(),
            Fields::Unit => Vec::new(),
            Fields::Unnamed(fields) => {
                return Err(Error::new(fields.span(), "settings need named fields"));
            }
        };
        let name = variant_name(variant)?;
        let Object {
            schema,
            reads,
            bindings,
        } = object(&fields, Some((tag, &name)))?;
        let comma = if index == 0 { "" } else { "," };
        schemas.push(quote! {
            schema.push_str(#comma);
            #schema
        });
        let ident = &variant.ident;
        arms.push(quote! {
            ::std::option::Option::Some(#name) => {
                #(#reads)*
                object.close(faults);
                ::std::option::Option::Some(Self::#ident { #(#bindings: #bindings?),* })
            }
        });
        names.push(name);
    }
    let wanted = format!("one of `{}`", names.join("`, `"));
    Ok(Parts {
        schema: quote! {
            let mut schema = ::std::string::String::from("{\"oneOf\":[");
            #(#schemas)*
            schema.push_str("]}");
            schema
        },
        read: quote! {
            let mut object = ::extrack_plugin::settings::Object::open(value, place, faults)?;
            match object.tag(#tag) {
                #(#arms)*
                _ => {
                    object.wrong_tag(#tag, #wanted, faults);
                    ::std::option::Option::None
                }
            }
        },
    })
}

fn read_field(ident: &Ident, key: &str, ty: &Type, options: &Options) -> Result<TokenStream> {
    let limit = |limit: &Option<String>| -> Result<TokenStream> {
        match limit {
            Some(text) => {
                let number: f64 = text
                    .parse()
                    .map_err(|_| Error::new(ident.span(), "limits are numbers"))?;
                Ok(quote!(::std::option::Option::Some((#number, #text))))
            }
            None => Ok(quote!(::std::option::Option::None)),
        }
    };
    let (min, max) = (limit(&options.min)?, limit(&options.max)?);
    let (min_size, max_size) = (optional(options.min_size), optional(options.max_size));
    let limits = quote!(::extrack_plugin::settings::Limits {
        min: #min,
        max: #max,
        min_size: #min_size,
        max_size: #max_size,
    });
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

fn optional(size: Option<u64>) -> TokenStream {
    match size {
        Some(size) => quote!(::std::option::Option::Some(#size)),
        None => quote!(::std::option::Option::None),
    }
}

/// Names of the keywords that a field adds to its type's schema, and their values as JSON.
fn keywords(options: &Options, description: &str, ty: &Type) -> (Vec<String>, Vec<String>) {
    let mut keywords = Vec::new();
    let mut push = |name: &str, value: &str| keywords.push((name.to_owned(), value.to_owned()));
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
    let counted = match last_name(ty).as_deref() {
        Some("Vec" | "Secrets") => "Items",
        Some("BTreeMap") => "Properties",
        _ => "Length",
    };
    if let Some(size) = options.min_size {
        push(&format!("min{counted}"), &size.to_string());
    }
    if let Some(size) = options.max_size {
        push(&format!("max{counted}"), &size.to_string());
    }
    if let Some(pattern) = &options.pattern {
        push("pattern", &json_text(&pattern.value()));
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
    keywords.into_iter().unzip()
}

fn names(variants: &[&Variant]) -> Result<Parts> {
    let mut texts = Vec::new();
    let mut paths = Vec::new();
    for variant in variants {
        if !matches!(variant.fields, Fields::Unit) {
            return Err(Error::new(
                variant.span(),
                "an enum of settings has bare names; with fields, name the key that tells its variants apart: \
                 `#[setting(tag = \"type\")]`",
            ));
        }
        texts.push(variant_name(variant)?);
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
    Ok(Parts {
        schema: quote!(::std::string::String::from(#schema)),
        read,
    })
}

fn variant_name(variant: &Variant) -> Result<String> {
    let options = Options::read(&variant.attrs)?;
    Ok(options.name.map_or_else(
        || lower_camel_case(&variant.ident.to_string()),
        |name| name.value(),
    ))
}

/// Joins a doc comment to one paragraph.
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

#[cfg(test)]
mod tests {
    use super::*;

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
                    #[setting(tag = "type")]
                    enum E {
                        A(u8),
                    }
                ),
                "named fields",
            ),
            (
                quote!(
                    struct S {
                        #[setting(min_size = "x")]
                        a: String,
                    }
                ),
                "literal",
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
            (
                quote!(
                    struct S {
                        #[setting(min = 1)]
                        a: Option<Duration>,
                    }
                ),
                "`min` and `max` are for numbers",
            ),
            (
                quote!(
                    struct S {
                        #[setting(max_size = 1)]
                        a: u8,
                    }
                ),
                "`min_size` and `max_size` are for texts, lists and maps",
            ),
            (
                quote!(
                    struct S {
                        #[setting(pattern = "a")]
                        a: Vec<String>,
                    }
                ),
                "`pattern` is for texts",
            ),
        ] {
            let error = expand(item).unwrap_err().to_string();
            assert!(error.contains(wanted), "{error}");
        }
    }
}
