//! What `wit-bindgen` makes of the contract in `wit/`. One set of types serves all three kinds of plugin; only the exports
//! are made for each. Authors see the rest of this crate, not this module.
#![allow(unsafe_code, unreachable_pub, missing_docs, clippy::all, reason = "generated")]

/// Everything a plugin may import.
pub mod host {
    wit_bindgen::generate!({
        path: "../wit",
        inline: "
            package external-tracking:sdk;
            world host {
                import external-tracking:plugin/types@0.1.0;
                import external-tracking:plugin/net@0.1.0;
                import external-tracking:plugin/http@0.1.0;
                import external-tracking:plugin/tcp@0.1.0;
                import external-tracking:plugin/dns@0.1.0;
                import external-tracking:plugin/tls@0.1.0;
                import external-tracking:plugin/mail@0.1.0;
                import external-tracking:plugin/history@0.1.0;
                import external-tracking:plugin/cel@0.1.0;
                import external-tracking:plugin/log@0.1.0;
                import external-tracking:plugin/clock@0.1.0;
                import external-tracking:plugin/random@0.1.0;
            }
        ",
        world: "host",
        generate_all,
    });
}

pub use host::external_tracking::plugin::{cel, clock, dns, history, http, log, mail, net, random, tcp, tls, types};

pub mod probe {
    wit_bindgen::generate!({
        path: "../wit",
        world: "probe",
        with: {
            "external-tracking:plugin/types@0.1.0": super::types,
            "external-tracking:plugin/net@0.1.0": super::net,
            "external-tracking:plugin/http@0.1.0": super::http,
            "external-tracking:plugin/tcp@0.1.0": super::tcp,
            "external-tracking:plugin/dns@0.1.0": super::dns,
            "external-tracking:plugin/tls@0.1.0": super::tls,
            "external-tracking:plugin/cel@0.1.0": super::cel,
            "external-tracking:plugin/log@0.1.0": super::log,
            "external-tracking:plugin/clock@0.1.0": super::clock,
            "external-tracking:plugin/random@0.1.0": super::random,
        },
        pub_export_macro: true,
        export_macro_name: "export_probe",
    });
}

pub mod rule {
    wit_bindgen::generate!({
        path: "../wit",
        world: "rule",
        with: {
            "external-tracking:plugin/types@0.1.0": super::types,
            "external-tracking:plugin/history@0.1.0": super::history,
            "external-tracking:plugin/cel@0.1.0": super::cel,
            "external-tracking:plugin/log@0.1.0": super::log,
        },
        pub_export_macro: true,
        export_macro_name: "export_rule",
    });
}

pub mod notifier {
    wit_bindgen::generate!({
        path: "../wit",
        world: "notifier",
        with: {
            "external-tracking:plugin/types@0.1.0": super::types,
            "external-tracking:plugin/net@0.1.0": super::net,
            "external-tracking:plugin/http@0.1.0": super::http,
            "external-tracking:plugin/mail@0.1.0": super::mail,
            "external-tracking:plugin/log@0.1.0": super::log,
            "external-tracking:plugin/clock@0.1.0": super::clock,
            "external-tracking:plugin/random@0.1.0": super::random,
        },
        pub_export_macro: true,
        export_macro_name: "export_notifier",
    });
}
