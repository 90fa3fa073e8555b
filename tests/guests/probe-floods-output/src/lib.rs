//! Writes lines to standard output without end, as many at once as it may.

use extrack_plugin::prelude::*;

mod wasi {
    wit_bindgen::generate!({
        inline: "
            package extrack:floods;
            world floods { import wasi:cli/stdout@0.2.0; }
            package wasi:io@0.2.0 {
                interface error { resource error; }
                interface streams {
                    use error.{error};
                    variant stream-error { last-operation-failed(error), closed }
                    resource output-stream {
                        check-write: func() -> result<u64, stream-error>;
                        write: func(contents: list<u8>) -> result<_, stream-error>;
                    }
                }
            }
            package wasi:cli@0.2.0 {
                interface stdout {
                    use wasi:io/streams@0.2.0.{output-stream};
                    get-stdout: func() -> output-stream;
                }
            }
        ",
        world: "extrack:floods/floods",
        generate_all,
    });
}

#[probe]
fn check(_check: &Check) -> Observation {
    let output = wasi::wasi::cli::stdout::get_stdout();
    loop {
        let permitted = output.check_write().unwrap_or_default() as usize;
        let _ = output.write(&b"x\n".repeat(permitted / 2));
    }
}
