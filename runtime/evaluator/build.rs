//! Asks for a stack that parsers need: they recurse. It is part of the linear memory, apart from
//! the one of the machine.

fn main() {
    println!("cargo::rustc-link-arg=-zstack-size=1048576");
    println!("cargo::rerun-if-changed=build.rs");
}
