//! What `reports.yaml` describes.

use super::*;

const CHANNELS: &str = "channels: {ops: {channel: email, recipients: [\"ops@company.com\"]}}";

#[tokio::test]
async fn reports_yaml_describes_reports_and_its_faults_have_places() {
    let folder = Folder::with("", CHANNELS);
    let path = folder.config().join(REPORTS);
    let write = |text: &str| std::fs::write(&path, text).unwrap();
    write(
        "reports:\n  - {name: cost, channels: [ops], timezone: Europe/Berlin}\n  - name: mine\n    sections: [{table: services}]\n",
    );
    let catalog = catalog(folder.load(&[]).await.unwrap()).await;
    let names: Vec<&str> = catalog.reports.keys().map(String::as_str).collect();
    assert_eq!(names, ["cost", "mine"]);
    let schedule = catalog.reports["cost"].schedule.as_ref().unwrap();
    assert_eq!(schedule.text, "0 7 1 * * Europe/Berlin");
    assert!(catalog.reports["mine"].schedule.is_none());

    write(
        "reports:\n  - name: cost\n    channels: [opps]\n    schedle: weekly\n  - name: cost\n    sections:\n      - {table: all}\n      - {text: x, table: cost}\n",
    );
    let faults = folder.load(&[]).await.unwrap_err().to_string();
    for part in [
        "config/reports.yaml:3:16: reports[0].channels[0]: there is no channel with the name `opps`; did you mean `ops`?",
        "config/reports.yaml:4:5: reports[0].schedle: is not a known key",
        "config/reports.yaml:5:11: reports[1].name: another report is named `cost`",
        "config/reports.yaml:7:17: reports[1].sections[0].table: ",
        "config/reports.yaml:8:9: reports[1].sections[1]: must have one of",
    ] {
        assert!(faults.contains(part), "{part} is not in {faults}");
    }
}
