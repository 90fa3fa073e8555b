//! The guard before SQL of people.

use std::sync::OnceLock;

use extrack::store::{ResultSettings, ResultStore};

use super::text;
use crate::stage::folder;

pub(crate) fn guard(input: &[u8]) {
    static STORE: OnceLock<ResultStore> = OnceLock::new();
    let open = || {
        ResultStore::open(&folder("fuzz-results"), ResultSettings::default())
            .expect("the store is good")
            .0
    };
    let store = STORE.get_or_init(open);
    let sql = text(input);
    if store.query_check(&sql).is_ok() {
        let lower = sql.to_lowercase();
        let reaches = [
            "read_csv",
            "read_text",
            "read_blob",
            "glob(",
            "copy ",
            "attach ",
            "install ",
        ];
        // Inside of quotes they are only letters.
        let is_quoted = sql.contains(['\'', '"', '$', '-', '/']);
        assert!(
            is_quoted || !reaches.iter().any(|word| lower.contains(word)),
            "{sql:?} is let through"
        );
    }
}
