//! Recordings of runs, as `extrack plugin replay` takes them.

use extrack::plugin_host::Recording;

pub(crate) fn recordings(input: &[u8]) {
    match Recording::parse(input) {
        Ok(recording) => {
            drop(serde_json::to_string(&recording.run).expect("what was read can be written"))
        }
        Err(error) => drop(error.to_string()),
    }
}
