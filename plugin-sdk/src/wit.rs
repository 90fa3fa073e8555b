//! Bindings that `wit-bindgen` makes of the contract in `wit/`. One set of types serves every kind of
//! plugin; the exports are made piece by piece, because each export macro can exist only once in a
//! crate and all worlds export `description`. A plugin exports `description` and the interface of
//! its kind, which together are its world. Authors see the rest of this crate, not this module.
#![allow(
    unsafe_code,
    unreachable_pub,
    missing_docs,
    clippy::all,
    reason = "generated"
)]

/// All imports of all kinds. The encoder drops those that a plugin does not use.
pub mod host {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package external-tracking:sdk;
            world host {
                import external-tracking:plugin/types@0.2.0;
                import external-tracking:plugin/host@0.2.0;
                import external-tracking:plugin/net@0.2.0;
                import external-tracking:plugin/secrets@0.2.0;
                import external-tracking:plugin/http@0.2.0;
                import external-tracking:plugin/%stream@0.2.0;
                import external-tracking:plugin/udp@0.2.0;
                import external-tracking:plugin/icmp@0.2.0;
                import external-tracking:plugin/programs@0.2.0;
                import external-tracking:plugin/dns@0.2.0;
                import external-tracking:plugin/mail@0.2.0;
                import external-tracking:plugin/history@0.2.0;
                import external-tracking:plugin/cel@0.2.0;
                import external-tracking:plugin/log@0.2.0;
                import external-tracking:plugin/clock@0.2.0;
                import external-tracking:plugin/random@0.2.0;
                import external-tracking:plugin/signatures@0.2.0;
            }
        ",
        world: "host",
        generate_all,
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        // These hold handles.
        additional_derives_ignore: [
            "chunk", "piece", "content", "part", "body", "basic-auth", "standard-webhooks", "hmac", "signature",
            "request", "secret",
        ],
    });
}

pub use host::external_tracking::plugin::{
    cel, clock, dns, history, host as program, http, icmp, log, mail, net, programs, random,
    secrets, signatures, stream, types, udp,
};

macro_rules! export {
    ($module:ident, $macro_name:literal, $inline:literal) => {
        pub mod $module {
            wit_bindgen::generate!({
                path: "../wit",
                inline: $inline,
                with: { "external-tracking:plugin/types@0.2.0": super::types },
                additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
                pub_export_macro: true,
                export_macro_name: $macro_name,
            });
        }
    };
}

export!(
    description,
    "export_description",
    "package external-tracking:sdk; world described { export external-tracking:plugin/description@0.2.0; }"
);
export!(
    probe,
    "export_probe",
    "package external-tracking:sdk; world probing { export external-tracking:plugin/probes@0.2.0; }"
);
export!(
    rule,
    "export_rule",
    "package external-tracking:sdk; world ruling { export external-tracking:plugin/rules@0.2.0; }"
);
export!(
    notifier,
    "export_notifier",
    "package external-tracking:sdk; world notifying { export external-tracking:plugin/notifiers@0.2.0; }"
);
export!(
    webhook,
    "export_webhook",
    "package external-tracking:sdk; world receiving { export external-tracking:plugin/webhooks@0.2.0; }"
);
export!(
    meter,
    "export_meter",
    "package external-tracking:sdk; world metering { export external-tracking:plugin/meters@0.2.0; }"
);
