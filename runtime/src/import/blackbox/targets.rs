//! Jobs of Prometheus that go through the blackbox exporter, and their targets.

use std::time::Duration;

use crate::import::draft::Draft;
use crate::import::item::Item;
use crate::import::text::duration;

/// Names that labels of our services can't have, and those that Prometheus keeps for itself.
const OTHER_LABELS: [&str; 6] = ["alertname", "service", "severity", "type", "owner", "tag"];

/// One target of a job.
pub(super) struct Target<'a> {
    pub(super) item: Item<'a>,
    pub(super) module: String,
    pub(super) job: String,
    /// The target as it was written, which is also the label `instance`.
    pub(super) name: String,
    pub(super) address: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) interval: Option<Duration>,
    pub(super) timeout: Option<Duration>,
}

pub(super) fn targets<'a>(root: &Item<'a>, draft: &mut Draft) -> Vec<Target<'a>> {
    let global = root.get("global");
    let mut targets = Vec::new();
    for job in root.list("scrape_configs") {
        let params = job.get("params");
        let module = params
            .as_ref()
            .and_then(|params| params.texts_of("module").first().cloned());
        let path = job.text_of("metrics_path").unwrap_or_default();
        if module.is_none() && !path.ends_with("/probe") {
            draft.left_out(&job, "is no job of the blackbox exporter");
            continue;
        }
        let setting = |key: &str| {
            let own = job.text_of(key);
            own.or_else(|| global.as_ref()?.text_of(key))
                .and_then(|text| duration(&text))
        };
        let module = module.unwrap_or_else(|| "http_2xx".to_owned());
        let name = job.text_of("job_name").unwrap_or_default();
        for group in job.list("static_configs") {
            let (labels, own_module) = labels(&group, draft);
            for item in group.list("targets") {
                let Some(address) = item.text() else {
                    continue;
                };
                targets.push(Target {
                    module: own_module.clone().unwrap_or_else(|| module.clone()),
                    job: name.clone(),
                    name: address.clone(),
                    address,
                    labels: labels.clone(),
                    interval: Some(setting("scrape_interval").unwrap_or(Duration::from_secs(60))),
                    timeout: Some(setting("scrape_timeout").unwrap_or(Duration::from_secs(10))),
                    item,
                });
            }
        }
        for (key, found) in job.members() {
            if key.ends_with("_sd_configs") {
                draft.left_out(&found, "no targets are discovered");
            }
        }
    }
    targets
}

/// Returns the labels of a group of targets, and the module if a label names it.
fn labels(group: &Item<'_>, draft: &mut Draft) -> (Vec<(String, String)>, Option<String>) {
    let mut labels = Vec::new();
    let mut module = None;
    let members = group.get("labels").map(|labels| labels.members());
    for (name, value) in members.into_iter().flatten() {
        let text = value.text().unwrap_or_default();
        if ["module", "__param_module"].contains(&name) {
            module = Some(text);
        } else if OTHER_LABELS.contains(&name) || name.starts_with("__") || text.is_empty() {
            draft.left_out(&value, "is no label that a service can have");
        } else {
            labels.push((name.to_owned(), text));
        }
    }
    (labels, module)
}
