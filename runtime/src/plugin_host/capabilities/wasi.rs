//! WASI 0.2, so that components of any language can be instantiated: all of it is linked, next to
//! nothing is granted. No files, environment, arguments or sockets; clocks and random numbers are
//! real, except in rules, which have to be pure; standard output and error are the run's log; HTTP
//! is `wasi_http.rs`.

pub(in crate::plugin_host) mod context;

use wasmtime::component::Linker;
use wasmtime_wasi::{WasiCtxView, WasiView};
use wasmtime_wasi_http::{WasiHttpCtxView, WasiHttpView};

use self::context::Wasi;
use super::state::RunState;
use super::wasi_http::Requests;

/// The packages of WASI that are linked, in any version 0.2.
pub(in crate::plugin_host) const PACKAGES: [&str; 7] = [
    "wasi:cli",
    "wasi:clocks",
    "wasi:filesystem",
    "wasi:http",
    "wasi:io",
    "wasi:random",
    "wasi:sockets",
];

pub(super) fn link(linker: &mut Linker<RunState>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

impl RunState {
    fn wasi(&mut self) -> (&mut Wasi, &mut wasmtime::component::ResourceTable) {
        let wasi = self.wasi.get_or_insert_with(|| {
            let requests = Requests::new(
                &self.access,
                &self.label,
                &self.log,
                &self.cpu,
                self.net_deadline,
            );
            Wasi::new(&self.log, self.access.frozen_ms, requests)
        });
        (wasi, &mut self.table)
    }
}

impl WasiView for RunState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let (wasi, table) = self.wasi();
        WasiCtxView {
            ctx: &mut wasi.context,
            table,
        }
    }
}

impl WasiHttpView for RunState {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.settle();
        let host_calls = self.account.host_calls;
        let (wasi, table) = self.wasi();
        wasi.requests.host_calls_before = host_calls;
        WasiHttpCtxView {
            hooks: &mut wasi.requests,
            table,
            ctx: &mut wasi.http,
        }
    }
}
