//! `#[probe]`, `#[rule]`, `#[notifier]` and `#[webhook]`: the function stays as it is; beside it a
//! type implements the kind's trait, and on WebAssembly is exported.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{Error, Expr, FnArg, Ident, ItemFn, LitStr, Path, Result, Token, Type, parenthesized};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Probe,
    Rule,
    Notifier,
    Webhook,
}

impl Kind {
    fn parameter(self) -> &'static str {
        match self {
            Kind::Probe => "&Check",
            Kind::Rule => "&Evaluation",
            Kind::Notifier => "&Notification",
            Kind::Webhook => "&Delivery",
        }
    }
}

#[derive(Default)]
struct Arguments {
    name: Option<Expr>,
    version: Option<Expr>,
    summary: Option<Expr>,
    check_settings: Option<Path>,
    look_back: Option<Path>,
    wants: Vec<(Ident, LitStr)>,
}

impl Parse for Arguments {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let mut arguments = Self::default();
        while !input.is_empty() {
            let key: Ident = input.parse()?;
            if key == "wants" {
                let content;
                parenthesized!(content in input);
                let wants = Punctuated::<Want, Token![,]>::parse_terminated(&content)?;
                arguments
                    .wants
                    .extend(wants.into_iter().map(|want| (want.kind, want.name)));
            } else {
                input.parse::<Token![=]>()?;
                match key.to_string().as_str() {
                    "name" => arguments.name = Some(input.parse()?),
                    "version" => arguments.version = Some(input.parse()?),
                    "summary" => arguments.summary = Some(input.parse()?),
                    "check_settings" => arguments.check_settings = Some(input.parse()?),
                    "look_back" => arguments.look_back = Some(input.parse()?),
                    other => {
                        let known = "`name`, `version`, `summary`, `check_settings`, `look_back`, `wants(..)`";
                        return Err(Error::new(
                            key.span(),
                            format!("`{other}` is not known here; known are {known}"),
                        ));
                    }
                }
            }
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(arguments)
    }
}

struct Want {
    kind: Ident,
    name: LitStr,
}

impl Parse for Want {
    fn parse(input: ParseStream<'_>) -> Result<Self> {
        let key: Ident = input.parse()?;
        let kind = match key.to_string().as_str() {
            "host" => "Host",
            "credential" => "Credential",
            "capability" => "Capability",
            _ => {
                return Err(Error::new(
                    key.span(),
                    "wants are `host`, `credential` or `capability`",
                ));
            }
        };
        input.parse::<Token![=]>()?;
        Ok(Self {
            kind: Ident::new(kind, key.span()),
            name: input.parse()?,
        })
    }
}

pub(crate) fn expand(kind: Kind, arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments: Arguments = syn::parse2(arguments)?;
    let function: ItemFn = syn::parse2(item)?;
    if let (Some(path), false) = (&arguments.look_back, kind == Kind::Rule) {
        return Err(Error::new(path.span(), "only a rule looks back"));
    }
    let settings = settings_type(kind, &function)?;
    let about = about(&arguments);
    let check_settings = match &arguments.check_settings {
        Some(path) => quote!(#path(settings)),
        None => quote!(::std::vec::Vec::new()),
    };
    let implementation = implementation(kind, &function.sig.ident, settings.is_some(), &arguments);
    let settings = settings.map_or_else(
        || quote!(::extrack_plugin::settings::NoSettings),
        |settings| quote!(#settings),
    );
    let (exports, export) = match kind {
        Kind::Probe => ("probes", "probe::export_probe"),
        Kind::Rule => ("rules", "rule::export_rule"),
        Kind::Notifier => ("notifiers", "notifier::export_notifier"),
        Kind::Webhook => ("webhooks", "webhook::export_webhook"),
    };
    let exports = format_ident!("{exports}");
    let export: Path = syn::parse_str(&format!("::extrack_plugin::wit::{export}"))?;
    let world: Path = syn::parse_str(&format!(
        "::extrack_plugin::wit::{}",
        match kind {
            Kind::Probe => "probe",
            Kind::Rule => "rule",
            Kind::Notifier => "notifier",
            Kind::Webhook => "webhook",
        }
    ))?;
    Ok(quote! {
        #function

        #[doc(hidden)]
        #[allow(dead_code)]
        struct ExtrackPlugin;

        impl ::extrack_plugin::export::Plugin for ExtrackPlugin {
            type Settings = #settings;
            const ABOUT: ::extrack_plugin::export::About = #about;

            fn check_settings(settings: &Self::Settings) -> ::std::vec::Vec<::extrack_plugin::settings::Fault> {
                let _ = settings;
                #check_settings
            }
        }

        #implementation

        // Off WebAssembly nothing calls the plugin; its functions are used all the same.
        const _: fn() -> ::extrack_plugin::wit::types::PluginInfo = ::extrack_plugin::export::describe::<ExtrackPlugin>;

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = ::extrack_plugin::export::#exports::Adapter<ExtrackPlugin>;
            ::extrack_plugin::wit::description::export_description!(Exported with_types_in ::extrack_plugin::wit::description);
            #export!(Exported with_types_in #world);
        };
    })
}

/// What `describe` will say.
fn about(arguments: &Arguments) -> TokenStream {
    let or_package = |given: &Option<Expr>, variable: &str| match given {
        Some(given) => quote!(#given),
        None => quote!(::std::env!(#variable)),
    };
    let name = or_package(&arguments.name, "CARGO_PKG_NAME");
    let version = or_package(&arguments.version, "CARGO_PKG_VERSION");
    let summary = or_package(&arguments.summary, "CARGO_PKG_DESCRIPTION");
    let wants = arguments
        .wants
        .iter()
        .map(|(kind, name)| quote!(::extrack_plugin::export::Want::#kind(::std::string::String::from(#name))));
    quote! {
        ::extrack_plugin::export::About {
            name: #name,
            version: #version,
            summary: #summary,
            wants: || ::std::vec![#(#wants),*],
        }
    }
}

/// The kind's own trait, calling the author's function.
fn implementation(
    kind: Kind,
    function: &Ident,
    has_settings: bool,
    arguments: &Arguments,
) -> TokenStream {
    let call = if has_settings {
        quote!(#function(subject, settings))
    } else {
        quote!(#function(subject))
    };
    match kind {
        Kind::Probe => quote! {
            impl ::extrack_plugin::export::Probe for ExtrackPlugin {
                fn check(
                    subject: &::extrack_plugin::probe::Check,
                    settings: &<Self as ::extrack_plugin::export::Plugin>::Settings,
                ) -> ::std::result::Result<::extrack_plugin::probe::Observation, ::extrack_plugin::probe::Stop> {
                    let _ = settings;
                    ::extrack_plugin::probe::Outcome::into_result(#call)
                }
            }
        },
        Kind::Rule => {
            let look_back = match &arguments.look_back {
                Some(path) => quote!(#path(settings)),
                None => quote!(::std::time::Duration::ZERO),
            };
            quote! {
                impl ::extrack_plugin::export::Rule for ExtrackPlugin {
                    fn look_back(settings: &<Self as ::extrack_plugin::export::Plugin>::Settings) -> ::std::time::Duration {
                        let _ = settings;
                        #look_back
                    }

                    fn evaluate(
                        subject: &::extrack_plugin::rule::Evaluation,
                        settings: &<Self as ::extrack_plugin::export::Plugin>::Settings,
                    ) -> ::std::result::Result<::extrack_plugin::rule::Verdict, ::extrack_plugin::rule::RuleError> {
                        let _ = settings;
                        ::extrack_plugin::rule::Outcome::into_result(#call)
                    }
                }
            }
        }
        Kind::Webhook => quote! {
            impl ::extrack_plugin::export::Webhook for ExtrackPlugin {
                fn receive(
                    subject: &::extrack_plugin::webhook::Delivery,
                    settings: &<Self as ::extrack_plugin::export::Plugin>::Settings,
                ) -> ::std::result::Result<::extrack_plugin::webhook::Reception, ::extrack_plugin::webhook::Reject> {
                    let _ = settings;
                    ::extrack_plugin::webhook::Outcome::into_result(#call)
                }
            }
        },
        Kind::Notifier => quote! {
            impl ::extrack_plugin::export::Notifier for ExtrackPlugin {
                fn notify(
                    subject: &::extrack_plugin::notifier::Notification,
                    settings: &<Self as ::extrack_plugin::export::Plugin>::Settings,
                ) -> ::std::result::Result<::extrack_plugin::notifier::Receipt, ::extrack_plugin::notifier::NotifyError> {
                    let _ = settings;
                    #call
                }
            }
        },
    }
}

/// The type behind the reference in the second parameter; none without one.
fn settings_type(kind: Kind, function: &ItemFn) -> Result<Option<Type>> {
    let wanted = format!(
        "a plugin's function takes `{}`, and `&Settings` if it has settings",
        kind.parameter()
    );
    let inputs = &function.sig.inputs;
    if inputs.is_empty() || inputs.len() > 2 {
        return Err(Error::new(function.sig.span(), wanted));
    }
    match inputs.iter().nth(1) {
        None => Ok(None),
        Some(FnArg::Typed(parameter)) => match &*parameter.ty {
            Type::Reference(reference) => Ok(Some((*reference.elem).clone())),
            other => Err(Error::new(other.span(), wanted)),
        },
        Some(receiver) => Err(Error::new(receiver.span(), wanted)),
    }
}
