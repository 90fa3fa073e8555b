//! `extrack plugin test [DIR]`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::{Value, json};

use super::build::{build, find, told};
use super::call::load;
use super::replay;
use crate::cli::outcome::Outcome;
use crate::cli::print::{cell, line, note};
use crate::domain::RunOutcome;
use crate::plugin_host::{LocalPlugin, Recording, Replayed};

/// Ends the name of a file with settings that have to be refused.
const REFUSED: &str = ".refused.json";

/// Tests a plugin project: its own tests, a build, the component in the engine the server has with
/// all steps of an installation, the settings in `tests/*.json`, which it has to accept
/// (`tests/*.refused.json`: refuse), and the recordings in `recordings/*.json`, which it has to
/// replay to the same answer.
///
/// Examples:
///   extrack plugin test
///   extrack plugin test quota --component-only
///   extrack plugin test --accept                  recordings take over what the plugin answers now
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Test {
    /// Folder of the project.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Leaves out the project's own tests.
    #[arg(long)]
    component_only: bool,
    /// Writes what the plugin answers now into the recordings that it answers differently: after a
    /// mend, or other words.
    #[arg(long)]
    accept: bool,
}

/// How the steps went.
#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

impl Test {
    pub(super) async fn run(self) -> Outcome {
        let project = find(&self.dir)?;
        let mut tally = Tally::default();
        if !self.component_only {
            let own = project.clone();
            let tested = tokio::task::spawn_blocking(move || own.test(note)).await?;
            tally.step(
                "the project's own tests",
                tested.map_err(|error| format!("{error:#}")),
            );
        }
        let folder = project.folder().to_owned();
        for component in build(project).await? {
            match load(&component).await {
                Ok(mut plugin) => {
                    tally.step(&told(&component, plugin.entry()), Ok(()));
                    settings(&mut plugin, &folder, &mut tally).await?;
                    recordings(&plugin, &folder, self.accept, &mut tally).await?;
                }
                Err(error) => tally.step(
                    &component.display().to_string(),
                    Err(format!("{:#}", error.root_cause())),
                ),
            }
        }
        match tally {
            Tally { passed, failed: 0 } => line(&format!("{passed} of {passed} passed")),
            Tally { passed, failed } => bail!("{failed} of {} failed", passed + failed),
        }
        Ok(ExitCode::SUCCESS)
    }
}

impl Tally {
    fn step(&mut self, what: &str, result: Result<(), String>) {
        match result {
            Ok(()) => {
                self.passed += 1;
                line(&format!("ok    {what}"));
            }
            Err(why) => {
                self.failed += 1;
                line(&format!("FAIL  {what}"));
                why.lines()
                    .for_each(|reason| line(&format!("        {}", cell(&Value::from(reason)))));
            }
        }
    }
}

/// Verdict of a plugin on settings.
enum Checked {
    Accepted,
    Refused(String),
    /// The plugin trapped, or never answered.
    Broken(String),
}

async fn settings(plugin: &mut LocalPlugin, folder: &Path, tally: &mut Tally) -> Result<()> {
    let examples = examples(&folder.join("tests"))?;
    if examples.is_empty() {
        match check(plugin, &json!({})).await {
            Checked::Accepted => tally.step("settings `{}` are accepted", Ok(())),
            Checked::Broken(why) => tally.step("settings `{}`", Err(why)),
            Checked::Refused(_) => line(
                "note  it needs settings; put an example into `tests/example.json` to have it tried",
            ),
        }
    }
    for (path, settings) in examples {
        let name = path
            .strip_prefix(folder)
            .unwrap_or(&path)
            .display()
            .to_string();
        let has_to_be_refused = name.ends_with(REFUSED);
        match check(plugin, &settings).await {
            Checked::Broken(why) => tally.step(&name, Err(why)),
            Checked::Accepted if has_to_be_refused => {
                tally.step(&name, Err("is accepted, and has to be refused".to_owned()));
            }
            Checked::Accepted => tally.step(&format!("{name} is accepted"), Ok(())),
            Checked::Refused(why) if has_to_be_refused => {
                tally.step(&format!("{name} is refused: {why}"), Ok(()))
            }
            Checked::Refused(why) => tally.step(&name, Err(why)),
        }
    }
    Ok(())
}

/// Recordings of this plugin: a project may hold several.
async fn recordings(
    plugin: &LocalPlugin,
    folder: &Path,
    accept: bool,
    tally: &mut Tally,
) -> Result<()> {
    for path in json_files(&folder.join("recordings")) {
        let name = path
            .strip_prefix(folder)
            .unwrap_or(&path)
            .display()
            .to_string();
        let file = std::fs::read(&path).with_context(|| format!("reading `{}`", path.display()))?;
        let recording = match Recording::parse(&file) {
            Ok(recording) if recording.run.plugin != plugin.entry().name => continue,
            Ok(recording) => recording,
            Err(error) => {
                tally.step(&name, Err(error.to_string()));
                continue;
            }
        };
        let step = format!("{name} replays to the same answer");
        match plugin.host().replay(&plugin.entry().name, &recording).await {
            Ok(replayed) if replayed.same_result(&recording) => tally.step(&step, Ok(())),
            Ok(replayed) if accept => {
                let renewed = Recording::renewed(&file, &replayed)
                    .with_context(|| format!("renewing `{name}`"))?;
                std::fs::write(&path, renewed)
                    .with_context(|| format!("writing `{}`", path.display()))?;
                tally.step(
                    &format!("{name} has the new answer: {}", outcome_text(&replayed)),
                    Ok(()),
                );
            }
            Ok(replayed) => tally.step(&step, Err(different(&name, &recording, &replayed))),
            Err(error) => tally.step(&step, Err(error.to_string())),
        }
    }
    Ok(())
}

/// Fields that differ, and what to do about them.
fn different(name: &str, recording: &Recording, replayed: &Replayed) -> String {
    let mut text = replay::answer_differences(recording, replayed).join("\n");
    text.push_str(&format!(
        "\nmeant so? `extrack plugin test --accept` writes the new answer into it; \
         `extrack plugin replay {name} --plugin FILE` shows more"
    ));
    text
}

fn outcome_text(replayed: &Replayed) -> String {
    let status = replayed.result["status"].as_str();
    replayed
        .error
        .clone()
        .unwrap_or_else(|| status.unwrap_or(replayed.outcome.as_str()).to_owned())
}

async fn check(plugin: &mut LocalPlugin, settings: &Value) -> Checked {
    let entry = plugin.entry();
    let checked = plugin
        .host()
        .check_settings(entry.kind, &entry.name, settings, None)
        .await;
    let outcome = std::iter::from_fn(|| plugin.account())
        .last()
        .map(|account| account.outcome);
    match checked {
        Ok(()) => Checked::Accepted,
        Err(faults) => {
            let why = faults
                .iter()
                .map(ToString::to_string)
                .collect::<Vec<_>>()
                .join(", ");
            // Without an account the schema alone has refused them.
            let is_answer = matches!(outcome, None | Some(RunOutcome::Ok));
            if is_answer {
                Checked::Refused(why)
            } else {
                Checked::Broken(why)
            }
        }
    }
}

/// Returns the files in the order of their names; none where there is no such folder.
fn json_files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .collect();
    paths.sort();
    paths
}

/// Files in the order of their names.
fn examples(folder: &Path) -> Result<Vec<(PathBuf, Value)>> {
    let read = |path: PathBuf| {
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("reading `{}`", path.display()))?;
        let settings = serde_json::from_str(&text)
            .with_context(|| format!("`{}` is not JSON", path.display()))?;
        Ok((path, settings))
    };
    json_files(folder).into_iter().map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn examples_are_read_in_order_and_faults_name_the_file() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [
            ("b.json", "{}"),
            ("a.refused.json", r#"{"x": 1}"#),
            ("notes.txt", "no JSON"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let names: Vec<_> = examples(folder.path())
            .unwrap()
            .into_iter()
            .map(|(path, _)| path.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["a.refused.json", "b.json"]);
        std::fs::write(folder.path().join("c.json"), "{").unwrap();
        assert!(format!("{:#}", examples(folder.path()).unwrap_err()).contains("c.json"));
        assert!(examples(&folder.path().join("missing")).unwrap().is_empty());
    }
}
