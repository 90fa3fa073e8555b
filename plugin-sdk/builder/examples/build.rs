//! Builds the plugins of a folder: `cargo run -p extrack-plugin-builder --example build -- FOLDER [PACKAGE…]`.

use std::path::PathBuf;

use extrack_plugin_builder::{Request, build};

#[expect(clippy::print_stdout, reason = "the paths are what the caller wants")]
fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let folder = PathBuf::from(arguments.next().unwrap_or_else(|| ".".to_owned()));
    let target_dir = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(outer) => PathBuf::from(outer).join("guests"),
        None => folder.join("target"),
    };
    let mut request = Request::new(folder, std::path::absolute(target_dir)?);
    request.packages = arguments.collect();
    for plugin in build(&request)? {
        println!("{}", plugin.component_path.display());
    }
    Ok(())
}
