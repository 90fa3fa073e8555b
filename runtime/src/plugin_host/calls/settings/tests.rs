use serde_json::json;

use super::*;

#[test]
fn a_percentage_for_a_share_is_a_fault_that_names_the_share() {
    let schema =
        json!({"type": "object", "properties": {"share": {"type": "number", "maximum": 1}}});
    let validator = jsonschema::validator_for(&schema).unwrap();
    for value in [json!(95), json!("95%")] {
        let faults = faults_of(&validator, &schema, &json!({"share": value}));
        assert!(
            faults.len() == 1 && faults[0].message.ends_with("; write `0.95`"),
            "{value}: {faults:?}"
        );
    }
}
