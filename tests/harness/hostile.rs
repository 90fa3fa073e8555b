//! Probes written by hand in WebAssembly text: what no compiler would make of any language. Each is
//! a good probe but for the one piece that is replaced.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Pieces of a core module; the default is a probe that answers `healthy`.
#[derive(Debug, Clone)]
pub struct Hostile {
    /// Letters only; its summary and version are fixed.
    pub name: &'static str,
    /// Further imports, and other fields of the module; `$log` is `log.write`.
    pub fields: &'static str,
    /// `(memory …)` without its name.
    pub memory: &'static str,
    /// Answers an address of a `plugin-info`; `$info` is the good one.
    pub describe: &'static str,
    /// Answers an address of a `result<_, list<fault>>`; `$settings` is a good one.
    pub check_settings: &'static str,
    /// Answers an address of a `result<observation, probe-error>`; `$healthy` and `$unhealthy` are
    /// good ones.
    pub check: &'static str,
    /// `(func (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result
    /// i32)`
    pub realloc: &'static str,
    /// Pause after an answer was read.
    pub post_return: &'static str,
}

impl Hostile {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            fields: "",
            memory: "1",
            describe: "global.get $info",
            check_settings: "global.get $settings",
            check: "global.get $healthy",
            realloc: "call $give",
            post_return: "",
        }
    }

    /// The component.
    pub fn component(&self) -> Vec<u8> {
        let mut module =
            wat::parse_str(self.text()).unwrap_or_else(|error| panic!("{}: {error}", self.name));
        let mut resolve = Resolve::default();
        let wit = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");
        let (package, _) = resolve.push_path(wit).expect("our own contract is good");
        let world = resolve
            .select_world(&[package], Some("probe"))
            .expect("there are probes");
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8, false)
            .expect("it is a probe");
        let mut encoder = ComponentEncoder::default();
        encoder
            .module(&module)
            .expect("it says of which world it is");
        encoder
            .encode()
            .unwrap_or_else(|error| panic!("{} is no component: {error:?}", self.name))
    }

    fn text(&self) -> String {
        let Self {
            name,
            fields,
            memory,
            describe,
            check_settings,
            check,
            realloc,
            post_return,
        } = self;
        let length = name.len();
        // Layouts follow the canonical ABI of the component model: offsets and alignments of the
        // contract's records.
        format!(
            r#"(module
  (import "external-tracking:plugin/log@0.2.0" "write" (func $log (param i32 i32 i32)))
  (memory (export "memory") {memory})
  (table $table 1 funcref)
  (global $info i32 (i32.const 64))
  (global $settings i32 (i32.const 256))
  (global $healthy i32 (i32.const 512))
  (global $unhealthy i32 (i32.const 640))
  (global $free (mut i32) (i32.const 4096))
  (data (i32.const 16) "1.0.0")
  (data (i32.const 32) "{{}}")
  (data (i32.const 40) "{name}")
  ;; plugin-info: name, version, summary, settings-schema; then wants, rule and attributes, of which there are none
  (data (i32.const 64) "\28\00\00\00\{length:02x}\00\00\00\10\00\00\00\05\00\00\00\28\00\00\00\{length:02x}\00\00\00\20\00\00\00\02\00\00\00\00\00\00\00\00\00\00\00")
  ;; ok(observation) that is unhealthy for a reason: status at 8, failure at 12, its kind at 16, its text at 28
  (data (i32.const 648) "\02")
  (data (i32.const 652) "\01\00\00\00\05\00\00\00\00\00\00\00\00\00\00\00\28\00\00\00\{length:02x}\00\00\00")
  {fields}
  (func $give (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    (local $at i32)
    (local.set $at (i32.and (i32.add (global.get $free) (i32.const 7)) (i32.const -8)))
    (global.set $free (i32.add (local.get $at) (local.get $size)))
    (local.get $at))
  (func (export "cabi_realloc") (param $old i32) (param $old_size i32) (param $align i32) (param $size i32) (result i32)
    local.get $old
    local.get $old_size
    local.get $align
    local.get $size
    {realloc})
  (func (export "external-tracking:plugin/description@0.2.0#describe") (result i32) {describe})
  (func (export "external-tracking:plugin/description@0.2.0#check-settings")
    (param i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
    {check_settings})
  (func (export "external-tracking:plugin/probes@0.2.0#check") (param i32) (result i32) {check})
  (func (export "cabi_post_external-tracking:plugin/probes@0.2.0#check") (param i32) {post_return})
)"#
        )
    }
}
