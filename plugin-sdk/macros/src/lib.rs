//! The macros of `extrack-plugin`: one attribute for each kind of plugin, and the derive for
//! settings. They write calls into that crate's `export` and `settings` modules and nothing else;
//! use them through it.

mod plugin;
mod settings;

use proc_macro::TokenStream;

use crate::plugin::Kind;

/// Makes a probe of a function `fn(&Check, &Settings) -> impl probe::Outcome`; without settings,
/// `fn(&Check)` will do.
///
/// Name, version and summary come from the package, unless `name = ".."`, `version = ".."` or
/// `summary = ".."` is given. `check_settings = function` adds a `fn(&Settings) -> Vec<Fault>`, or a
/// `fn(&Settings, Option<&Service>) -> Vec<Fault>`, to the checks of the schema. `wants(host = "..",
/// credential = "..", capability = "..", feature = "..")` asks the operator for more than the
/// service itself, and the host for a feature that the plugin can't work without.
#[proc_macro_attribute]
pub fn probe(arguments: TokenStream, item: TokenStream) -> TokenStream {
    plugin::expand(Kind::Probe, arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a rule of a function `fn(&Evaluation, &Settings) -> impl rule::Outcome`. `look_back =
/// function` names a `fn(&Settings) -> Duration` that returns how much history the rule needs;
/// without it, only the latest observation. `over_time = true` is for a rule that depends on the
/// time that has passed: it is evaluated although no observation arrives. The rest is as for
/// [`macro@probe`].
#[proc_macro_attribute]
pub fn rule(arguments: TokenStream, item: TokenStream) -> TokenStream {
    plugin::expand(Kind::Rule, arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a notifier of a function `fn(&Notification, &Settings) -> Result<Receipt, NotifyError>`.
/// The rest is as for [`macro@probe`].
#[proc_macro_attribute]
pub fn notifier(arguments: TokenStream, item: TokenStream) -> TokenStream {
    plugin::expand(Kind::Notifier, arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a webhook of a function `fn(&Delivery, &Settings) -> impl webhook::Outcome`. The rest is
/// as for [`macro@probe`].
#[proc_macro_attribute]
pub fn webhook(arguments: TokenStream, item: TokenStream) -> TokenStream {
    plugin::expand(Kind::Webhook, arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Makes a meter of a function `fn(&Question, &Settings) -> Result<Reading, ReadError>`. The rest is
/// as for [`macro@probe`].
#[proc_macro_attribute]
pub fn meter(arguments: TokenStream, item: TokenStream) -> TokenStream {
    plugin::expand(Kind::Meter, arguments.into(), item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}

/// Reads a struct with named fields or an enum from settings, and writes its JSON Schema.
///
/// A doc comment is a description. Names become `camelCase`. An enum of bare names is a text; one
/// whose variants have fields, marked `#[setting(tag = "type")]`, is an object whose key `type` names
/// the variant. Fields may be of any type that implements `Setting`: other structs and enums, `Vec`,
/// `BTreeMap<String, _>`, `Option`.
///
/// On a field, `#[setting(..)]` takes `default = LITERAL` (read as if the settings had it),
/// `default` alone (the type's own), `min` and `max` of a number, `min_size` and `max_size` of a
/// text, list or map, `pattern = ".."` (a regular expression, which the host checks), `name = ".."`,
/// `secret`, `url` (a text that is no URL is a fault when it is saved, of a secret too), `host` (the
/// plugin may reach the named host), `port` and `mail`.
#[proc_macro_derive(Settings, attributes(setting))]
pub fn settings(item: TokenStream) -> TokenStream {
    settings::expand(item.into())
        .unwrap_or_else(syn::Error::into_compile_error)
        .into()
}
