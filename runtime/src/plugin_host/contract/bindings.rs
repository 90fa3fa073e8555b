//! Types and traits generated from `wit/`. They stop at this module's parent: `convert.rs` turns
//! them into domain types, and recordings hold them as JSON.

use wasmtime::component::bindgen;

/// Prefix of the names of the contract's interfaces.
pub(in crate::plugin_host) const PACKAGE: &str = "external-tracking:plugin/";

/// The version of the contract that this program has.
pub(in crate::plugin_host) const CONTRACT: &str = "0.2.0";

/// Imports of all kinds of plugins.
pub(in crate::plugin_host) mod host {
    use super::bindgen;

    bindgen!({
        path: "../wit",
        inline: "
            package extrack:host;
            world host {
                import external-tracking:plugin/host@0.2.0;
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
        imports: {
            "external-tracking:plugin/stream": async | trappable,
            "external-tracking:plugin/dns": async | trappable,
            "external-tracking:plugin/udp": async | trappable,
            "external-tracking:plugin/icmp": async | trappable,
            "external-tracking:plugin/programs": async | trappable,
            "external-tracking:plugin/mail": async | trappable,
            "external-tracking:plugin/cel": async | trappable,
            default: trappable,
        },
        with: {
            "external-tracking:plugin/secrets": super::handles::external_tracking::plugin::secrets,
            "external-tracking:plugin/stream.connection": crate::plugin_host::capabilities::stream::connection::Connection,
            "external-tracking:plugin/udp.socket": crate::plugin_host::capabilities::udp::socket::Socket,
        },
        additional_derives: [serde::Serialize, serde::Deserialize],
    });
}

pub(in crate::plugin_host) use host::external_tracking::plugin as imports;

/// Requests and pieces of texts hold handles, which have no JSON: `capabilities/http/request.rs` and
/// `capabilities/text.rs` have their shapes in recordings.
pub(in crate::plugin_host) mod handles {
    use super::bindgen;

    bindgen!({
        path: "../wit",
        inline: "
            package extrack:host;
            world handles {
                import external-tracking:plugin/secrets@0.2.0;
                import external-tracking:plugin/http@0.2.0;
            }
        ",
        imports: {
            "external-tracking:plugin/secrets": trappable,
            default: async | trappable,
        },
        with: {
            "external-tracking:plugin/types": super::imports::types,
            "external-tracking:plugin/net": super::imports::net,
            "external-tracking:plugin/secrets.secret": crate::plugin_host::contract::secret_handle::Handle,
        },
    });
}

pub(in crate::plugin_host) use handles::external_tracking::plugin::{http, secrets};

// One world for each exported interface; what a kind may import is checked by the loader.

pub(in crate::plugin_host) mod describe {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package extrack:host; world describe { export external-tracking:plugin/description@0.2.0; }",
        exports: { default: async },
        with: { "external-tracking:plugin/types": super::imports::types },
    });
}

pub(in crate::plugin_host) mod probe {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package extrack:host; world probe { export external-tracking:plugin/probes@0.2.0; }",
        exports: { default: async },
        with: { "external-tracking:plugin/types": super::imports::types },
        additional_derives: [serde::Serialize, serde::Deserialize],
    });
}

pub(in crate::plugin_host) mod rule {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package extrack:host; world rule { export external-tracking:plugin/rules@0.2.0; }",
        exports: { default: async },
        with: { "external-tracking:plugin/types": super::imports::types },
        additional_derives: [serde::Serialize, serde::Deserialize],
    });
}

pub(in crate::plugin_host) mod notifier {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package extrack:host; world notifier { export external-tracking:plugin/notifiers@0.2.0; }",
        exports: { default: async },
        with: { "external-tracking:plugin/types": super::imports::types },
        additional_derives: [serde::Serialize, serde::Deserialize],
    });
}

pub(in crate::plugin_host) mod webhook {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package extrack:host; world webhook { export external-tracking:plugin/webhooks@0.2.0; }",
        exports: { default: async },
        with: { "external-tracking:plugin/types": super::imports::types },
        additional_derives: [serde::Serialize, serde::Deserialize],
    });
}

pub(in crate::plugin_host) mod meter {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "package extrack:host; world meter { export external-tracking:plugin/meters@0.2.0; }",
        exports: { default: async },
        with: { "external-tracking:plugin/types": super::imports::types },
        additional_derives: [serde::Serialize, serde::Deserialize],
    });
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_version_of_the_contract_is_that_of_its_text() {
        let text =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../wit/types.wit"))
                .unwrap();
        let first = text
            .lines()
            .find(|line| line.starts_with("package "))
            .unwrap();
        assert_eq!(
            first,
            format!("package external-tracking:plugin@{};", super::CONTRACT)
        );
    }
}
