//! `#[setting(..)]` on a field, a variant or an enum.

use proc_macro2::Span;
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ExprLit, ExprUnary, Ident, Lit, LitStr, Result, Type, UnOp};

use super::text::json_text;
use super::types::last_name;

/// Contents of `#[setting(..)]`.
#[derive(Default)]
pub(super) struct Options {
    pub(super) name: Option<LitStr>,
    /// Key that names the alternative of an enum.
    pub(super) tag: Option<LitStr>,
    pub(super) pattern: Option<LitStr>,
    pub(super) min_size: Option<u64>,
    pub(super) max_size: Option<u64>,
    /// JSON text.
    pub(super) default: Option<String>,
    pub(super) default_of_type: bool,
    pub(super) min: Option<String>,
    pub(super) max: Option<String>,
    pub(super) url: bool,
    /// Value of `x-host`, as JSON.
    pub(super) host: Option<&'static str>,
    pub(super) port: bool,
    pub(super) mail: bool,
}

impl Options {
    pub(super) fn read(attributes: &[Attribute]) -> Result<Self> {
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
                    "tag" => options.tag = Some(meta.value()?.parse()?),
                    "pattern" => options.pattern = Some(meta.value()?.parse()?),
                    "min_size" => options.min_size = Some(size(&meta.value()?.parse()?)?),
                    "max_size" => options.max_size = Some(size(&meta.value()?.parse()?)?),
                    "secret" => return Err(meta.error("a secret has the type `Secret`")),
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
                            "known are `default`, `min`, `max`, `min_size`, `max_size`, `pattern`, `name`, `tag`, \
                             `host`, `port`, `mail` and `url`",
                        ));
                    }
                }
                Ok(())
            })?;
        }
        Ok(options)
    }

    /// Fails where a bound can't hold for the type of a field. Types that are not the SDK's may have
    /// any shape.
    pub(super) fn fit(&self, ty: &Type, span: Span) -> Result<()> {
        const NUMBERS: [&str; 7] = ["i32", "i64", "u8", "u16", "u32", "u64", "f64"];
        const TEXTS: [&str; 2] = ["String", "Secret"];
        const LISTS: [&str; 3] = ["Vec", "BTreeMap", "Secrets"];
        const OTHERS: [&str; 2] = ["bool", "Duration"];
        let name = last_name(ty).unwrap_or_default();
        let is_one_of = |lists: &[&[&str]]| lists.concat().contains(&name.as_str());
        let fault = if (self.min.is_some() || self.max.is_some())
            && is_one_of(&[&TEXTS, &LISTS, &OTHERS])
        {
            "`min` and `max` are for numbers"
        } else if (self.min_size.is_some() || self.max_size.is_some())
            && is_one_of(&[&NUMBERS, &OTHERS])
        {
            "`min_size` and `max_size` are for texts, lists and maps"
        } else if self.pattern.is_some() && is_one_of(&[&NUMBERS, &LISTS, &OTHERS]) {
            "`pattern` is for texts"
        } else {
            return Ok(());
        };
        Err(Error::new(span, fault))
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

fn size(expression: &Expr) -> Result<u64> {
    number(expression)?.parse().map_err(|_| {
        Error::new(
            expression.span(),
            "wanted a number of characters or entries",
        )
    })
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
