//! `#[probe]`, `#[rule]`, `#[notifier]`, `#[webhook]` and `#[meter]`: the function stays as it is; beside it a
//! type implements the kind's trait, and on WebAssembly is exported.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::parse::{Parse, ParseStream};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::{
    Error, Expr, FnArg, Ident, ItemFn, LitBool, LitStr, Path, Result, Token, Type, parenthesized,
};

#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Probe,
    Rule,
    Notifier,
    Webhook,
    Meter,
}

impl Kind {
    fn parameter(self) -> &'static str {
        match self {
            Kind::Probe => "&Check",
            Kind::Rule => "&Evaluation",
            Kind::Notifier => "&Notification",
            Kind::Webhook => "&Delivery",
            Kind::Meter => "&Question",
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
    over_time: Option<LitBool>,
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
                    "over_time" => arguments.over_time = Some(input.parse()?),
                    other => {
                        let known = "`name`, `version`, `summary`, `check_settings`, `look_back`, `over_time`, `wants(..)`";
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
            "feature" => "Feature",
            _ => {
                return Err(Error::new(
                    key.span(),
                    "wants are `host`, `credential`, `capability` or `feature`",
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

impl Arguments {
    /// Fails where an argument is given that only rules have.
    fn check(&self, kind: Kind) -> Result<()> {
        if kind == Kind::Rule {
            return Ok(());
        }
        if let Some(path) = &self.look_back {
            return Err(Error::new(path.span(), "only a rule looks back"));
        }
        match &self.over_time {
            Some(flag) => Err(Error::new(
                flag.span(),
                "only a rule is evaluated over time",
            )),
            None => Ok(()),
        }
    }
}

pub(crate) fn expand(kind: Kind, arguments: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let arguments: Arguments = syn::parse2(arguments)?;
    let function: ItemFn = syn::parse2(item)?;
    arguments.check(kind)?;
    let settings = settings_type(kind, &function)?;
    let about = about(&arguments);
    let check_settings = match &arguments.check_settings {
        Some(path) => {
            quote!(::extrack_plugin::export::SettingsCheck::check(#path, settings, service))
        }
        None => quote!(::std::vec::Vec::new()),
    };
    let implementation = implementation(kind, &function.sig.ident, settings.is_some(), &arguments);
    let settings = settings.map_or_else(
        || quote!(::extrack_plugin::settings::NoSettings),
        |settings| quote!(#settings),
    );
    let exports = exports(kind);
    Ok(quote! {
        #function

        #[doc(hidden)]
        #[allow(dead_code)]
        struct ExtrackPlugin;

        impl ::extrack_plugin::export::Plugin for ExtrackPlugin {
            type Settings = #settings;
            const ABOUT: ::extrack_plugin::export::About = #about;

            fn check_settings(
                settings: &Self::Settings,
                service: ::std::option::Option<&::extrack_plugin::probe::Service>,
            ) -> ::std::vec::Vec<::extrack_plugin::settings::Fault> {
                let _ = (settings, service);
                #check_settings
            }
        }

        #implementation

        // Off WebAssembly nothing calls the plugin; its functions are used all the same.
        const _: fn() -> ::extrack_plugin::wit::types::PluginInfo = ::extrack_plugin::export::describe::<ExtrackPlugin>;

        #exports
    })
}

/// Exports of the plugin on WebAssembly.
fn exports(kind: Kind) -> TokenStream {
    let (interface, world) = match kind {
        Kind::Probe => ("probes", "probe"),
        Kind::Rule => ("rules", "rule"),
        Kind::Notifier => ("notifiers", "notifier"),
        Kind::Webhook => ("webhooks", "webhook"),
        Kind::Meter => ("meters", "meter"),
    };
    let (interface, world) = (format_ident!("{interface}"), format_ident!("{world}"));
    let export = format_ident!("export_{world}");
    quote! {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Exported = ::extrack_plugin::export::#interface::Adapter<ExtrackPlugin>;
            ::extrack_plugin::wit::description::export_description!(Exported with_types_in ::extrack_plugin::wit::description);
            ::extrack_plugin::wit::#world::#export!(Exported with_types_in ::extrack_plugin::wit::#world);
        };
    }
}

/// Description of the plugin, for `describe`.
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
    let over_time = arguments.over_time.as_ref().is_some_and(|flag| flag.value);
    quote! {
        ::extrack_plugin::export::About {
            name: #name,
            version: #version,
            summary: #summary,
            wants: || ::std::vec![#(#wants),*],
            over_time: #over_time,
        }
    }
}

/// Implements the kind's own trait by a call of the author's function.
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
    let (module, trait_name, method, subject, answer, error) = match kind {
        Kind::Probe => ("probe", "Probe", "check", "Check", "Observation", "Stop"),
        Kind::Rule => (
            "rule",
            "Rule",
            "evaluate",
            "Evaluation",
            "Verdict",
            "RuleError",
        ),
        Kind::Notifier => (
            "notifier",
            "Notifier",
            "notify",
            "Notification",
            "Receipt",
            "NotifyError",
        ),
        Kind::Webhook => (
            "webhook",
            "Webhook",
            "receive",
            "Delivery",
            "Reception",
            "Reject",
        ),
        Kind::Meter => ("meter", "Meter", "read", "Question", "Reading", "ReadError"),
    };
    let [module, trait_name, method, subject, answer, error] =
        [module, trait_name, method, subject, answer, error].map(|name| format_ident!("{name}"));
    let body = match kind {
        Kind::Notifier | Kind::Meter => call,
        _ => quote!(::extrack_plugin::#module::Outcome::into_result(#call)),
    };
    let look_back = (kind == Kind::Rule).then(|| look_back(arguments));
    quote! {
        impl ::extrack_plugin::export::#trait_name for ExtrackPlugin {
            #look_back

            fn #method(
                subject: &::extrack_plugin::#module::#subject,
                settings: &<Self as ::extrack_plugin::export::Plugin>::Settings,
            ) -> ::std::result::Result<::extrack_plugin::#module::#answer, ::extrack_plugin::#module::#error> {
                let _ = settings;
                #body
            }
        }
    }
}

fn look_back(arguments: &Arguments) -> TokenStream {
    let look_back = match &arguments.look_back {
        Some(path) => quote!(#path(settings)),
        None => quote!(::std::time::Duration::ZERO),
    };
    quote! {
        fn look_back(settings: &<Self as ::extrack_plugin::export::Plugin>::Settings) -> ::std::time::Duration {
            let _ = settings;
            #look_back
        }
    }
}

/// Returns the type behind the reference in the second parameter; none without one.
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
