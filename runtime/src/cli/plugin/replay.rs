//! `extrack plugin replay RUN_ID|FILE`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use clap::Args;
use serde_json::{Value, json};

use super::call::note_compiling;
use crate::cli::client::Server;
use crate::cli::outcome::{self, Outcome};
use crate::cli::print::{json as print_json, line};
use crate::local;
use crate::plugin_host::{self, Asked, Difference, GivenAnswer, Recording, Replayed};

/// Runs a recorded run again, offline, against the version of the plugin that was recorded or
/// against another.
///
/// Host calls are answered from the recording: nothing is sent, and the service may be down. Shows
/// whether the plugin asked and answered the same, and where it first did not. The exit code is 0
/// if all was the same, 1 if not, 2 if it can't be replayed.
///
/// Examples:
///   extrack plugin replay 4711                                    the recorded version, from the
/// server   extrack plugin replay 4711 --plugin dist/shop-probe.wasm
///   extrack plugin replay recording-4711.json                     without a server
///   extrack plugin replay 4711 --plugin dist/shop-probe.wasm --answer 'GET https://shop.example/v2/health=health.json'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Replay {
    /// A run's id, or a recording that was downloaded.
    recording: String,
    /// A component to take the place of the recorded version.
    #[arg(long, value_name = "FILE")]
    plugin: Option<PathBuf>,
    /// Answer of the service to a request that was not recorded: status 200 with the content of
    /// FILE.
    #[arg(long, value_name = "METHOD URL=FILE")]
    answer: Vec<String>,
    /// JSON instead of text.
    #[arg(long)]
    json: bool,
}

/// Exit code when the replayed run differs from the recorded one.
const DIFFERENT: u8 = 1;
/// Exit code when the recording can't be replayed.
const IMPOSSIBLE: u8 = 2;

impl Replay {
    pub(super) async fn run(self, server: &Server) -> Outcome {
        match self.replayed(server).await {
            Ok((recording, replayed)) => {
                if self.json {
                    print_json(&as_json(&recording, &replayed));
                } else {
                    print(&recording, &replayed);
                }
                Ok(if replayed.same(&recording) {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::from(DIFFERENT)
                })
            }
            Err(error) => {
                outcome::failed(&error);
                Ok(ExitCode::from(IMPOSSIBLE))
            }
        }
    }

    async fn replayed(&self, server: &Server) -> Result<(Recording, Replayed)> {
        let file = self.file(server).await?;
        let mut recording =
            Recording::parse(&file).map_err(|error| anyhow!("`{}` {error}", self.recording))?;
        recording.answers = self
            .answer
            .iter()
            .map(|text| given_answer(text))
            .collect::<Result<_>>()?;
        let component = self.component(&recording, server).await?;
        let plugin = local::load_plugin(component, note_compiling).await?;
        let replayed = plugin
            .host()
            .replay(&plugin.entry().name, &recording)
            .await?;
        Ok((recording, replayed))
    }

    async fn file(&self, server: &Server) -> Result<Vec<u8>> {
        let path = Path::new(&self.recording);
        match self.recording.parse::<i64>() {
            Ok(run_id) if !path.exists() => {
                server
                    .connect()?
                    .get_bytes(&format!("/recordings/{run_id}"))
                    .await
            }
            _ => std::fs::read(path).with_context(|| format!("reading `{}`", self.recording)),
        }
    }

    /// The one that was named, or the recorded version: part of this program, or from the server.
    async fn component(&self, recording: &Recording, server: &Server) -> Result<Bytes> {
        if let Some(path) = &self.plugin {
            let bytes =
                std::fs::read(path).with_context(|| format!("reading `{}`", path.display()))?;
            return Ok(bytes.into());
        }
        let run = &recording.run;
        if let Some(bundled) = plugin_host::bundled_component(&run.digest) {
            return Ok(bundled);
        }
        let path = format!("/plugins/{}/versions/{}/component", run.plugin, run.digest);
        let fetched = match server.connect() {
            Ok(client) => client.get_bytes(&path).await,
            Err(error) => Err(error),
        };
        fetched.map(Bytes::from).with_context(|| {
            format!(
                "version {} of plugin `{}` is not part of this program, and the server does not give it; \
                 `--plugin FILE` names its component",
                run.version, run.plugin
            )
        })
    }
}

/// The URL may hold a `=`, a file's name rarely does.
fn given_answer(text: &str) -> Result<GivenAnswer> {
    let parts = text
        .split_once(' ')
        .and_then(|(method, rest)| Some((method, rest.rsplit_once('=')?)));
    let (method, (url, file)) = parts.with_context(|| {
        format!("`--answer {text}` is not `METHOD URL=FILE`, e.g. `GET https://a.example/=a.json`")
    })?;
    let body = std::fs::read(file)
        .with_context(|| format!("reading `{file}`, the answer to `{method} {url}`"))?;
    Ok(GivenAnswer {
        method: method.to_uppercase(),
        url: url.to_owned(),
        body,
    })
}

fn as_json(recording: &Recording, replayed: &Replayed) -> Value {
    json!({
        "same": replayed.same(recording),
        "difference": replayed.difference,
        "recorded": {
            "runId": recording.run.run_id,
            "version": recording.run.version,
            "digest": recording.run.digest,
            "outcome": recording.run.outcome,
            "error": recording.run.error,
            "calls": recording.calls.len(),
            "result": recording.result,
            "truncated": recording.run.truncated,
        },
        "replayed": {
            "version": replayed.version,
            "digest": replayed.digest,
            "outcome": replayed.outcome,
            "error": replayed.error,
            "calls": replayed.calls,
            "result": replayed.result,
            "log": replayed.log,
        },
    })
}

fn print(recording: &Recording, replayed: &Replayed) {
    let run = &recording.run;
    let what = match (&run.subject.service, &run.subject.channel) {
        (Some(service), _) => format!("service `{service}`"),
        (None, channel) => format!("channel `{}`", channel.as_deref().unwrap_or_default()),
    };
    line(&format!(
        "run {} of `{}` {} for {what}: `{}`",
        run.run_id, run.plugin, run.version, run.function
    ));
    if let Some(truncated) = &run.truncated {
        line(&format!("the recording is not whole: it lacks {truncated}"));
    }
    match (&replayed.difference, replayed.same_result(recording)) {
        (None, true) => line(&format!(
            "same: {} host calls and what came out of them",
            replayed.calls
        )),
        (None, false) => line(&format!(
            "different: the same {} host calls, but another answer",
            replayed.calls
        )),
        (Some(_), true) => line("different: other host calls, but the same answer"),
        (Some(_), false) => line("different: other host calls, and another answer"),
    }
    if let Some(difference) = &replayed.difference {
        print_difference(difference);
    }
    if replayed.same_result(recording) {
        line(&format!(
            "answered by {}: {}",
            replayed.version,
            replayed.outcome.as_str()
        ));
        if let Some(error) = &replayed.error {
            line(&format!("  {}", plain(error)));
        }
        if !replayed.result.is_null() {
            print_indented(&replayed.result);
        }
    } else {
        line(&format!(
            "recorded by {}, replayed by {}:",
            run.version, replayed.version
        ));
        for difference in answer_differences(recording, replayed) {
            line(&format!("  {}", plain(&difference)));
        }
    }
    for log in &replayed.log {
        line(&format!(
            "log {}: {}",
            log.level.as_str(),
            plain(&log.message)
        ));
    }
}

fn print_difference(difference: &Difference) {
    line(&format!(
        "first difference, at host call {}:",
        difference.position
    ));
    let fields = match (&difference.recorded, &difference.replayed) {
        (Some(recorded), Some(replayed)) if recorded.function == replayed.function => {
            differing(&recorded.request, &replayed.request)
        }
        _ => Vec::new(),
    };
    if fields.is_empty() {
        line(&format!(
            "  recorded: {}",
            asked(difference.recorded.as_ref())
        ));
        line(&format!(
            "  replayed: {}",
            asked(difference.replayed.as_ref())
        ));
        return;
    }
    if let Some(recorded) = &difference.recorded {
        line(&format!("  {}", recorded.function));
    }
    for (pointer, recorded, replayed) in fields {
        line(&format!("  {pointer}"));
        line(&format!("    recorded: {}", short(recorded)));
        line(&format!("    replayed: {}", short(replayed)));
    }
}

fn asked(asked: Option<&Asked>) -> String {
    asked.map_or_else(
        || "no more calls".to_owned(),
        |asked| format!("{} {}", asked.function, short(&asked.request)),
    )
}

/// Each field of the answer that is not as recorded, on a line: `failure.message: "recorded" →
/// "replayed"`.
pub(super) fn answer_differences(recording: &Recording, replayed: &Replayed) -> Vec<String> {
    let run = &recording.run;
    let mut lines = Vec::new();
    if run.outcome != replayed.outcome {
        lines.push(format!(
            "outcome: {} → {}",
            run.outcome.as_str(),
            replayed.outcome.as_str()
        ));
    }
    let text = |error: &Option<String>| error.clone().unwrap_or_else(|| "none".to_owned());
    if run.error != replayed.error {
        lines.push(format!(
            "error: {} → {}",
            text(&run.error),
            text(&replayed.error)
        ));
    }
    for (pointer, recorded, replayed) in differing(&recording.result, &replayed.result) {
        let field = pointer.trim_start_matches('/').replace('/', ".");
        // The version is on the line above.
        if field == "pluginVersion" {
            continue;
        }
        let field = if field.is_empty() {
            "answer".to_owned()
        } else {
            field
        };
        lines.push(format!(
            "{field}: {} → {}",
            short(recorded),
            short(replayed)
        ));
    }
    lines
}

/// Places at which two values differ, as JSON Pointers; a few. A field that is missing is null.
fn differing<'a>(recorded: &'a Value, replayed: &'a Value) -> Vec<(String, &'a Value, &'a Value)> {
    const MAX: usize = 12;
    fn walk<'a>(
        pointer: &str,
        a: &'a Value,
        b: &'a Value,
        found: &mut Vec<(String, &'a Value, &'a Value)>,
    ) {
        match (a, b) {
            (a, b) if a == b || found.len() >= MAX => {}
            (Value::Object(fields), Value::Object(others)) => {
                let added = others.keys().filter(|name| !fields.contains_key(*name));
                for name in fields.keys().chain(added) {
                    let field = |fields: &'a serde_json::Map<String, Value>| {
                        fields.get(name).unwrap_or(&Value::Null)
                    };
                    walk(
                        &format!("{pointer}/{name}"),
                        field(fields),
                        field(others),
                        found,
                    );
                }
            }
            (Value::Array(items), Value::Array(others)) if items.len() == others.len() => {
                for (index, (item, other)) in items.iter().zip(others).enumerate() {
                    walk(&format!("{pointer}/{index}"), item, other, found);
                }
            }
            (a, b) => found.push((pointer.to_owned(), a, b)),
        }
    }
    let mut found = Vec::new();
    walk("", recorded, replayed, &mut found);
    found
}

/// A request on one line, cut where it gets long.
fn short(value: &Value) -> String {
    const MAX: usize = 300;
    let text = value.to_string();
    match text.char_indices().nth(MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

fn print_indented(value: &Value) {
    let text = serde_json::to_string_pretty(value).unwrap_or_else(|_| value.to_string());
    for text in text.lines() {
        line(&format!("  {text}"));
    }
}

/// Control characters could move the cursor.
fn plain(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() && c != '\n' { '?' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_the_fields_that_differ() {
        let recorded = json!({"method": "GET", "url": "https://a/v1", "headers": [["accept", "x"]], "body": null});
        let replayed = json!({"method": "GET", "url": "https://a/v2", "headers": [["accept", "y"]], "body": null});
        let found = differing(&recorded, &replayed);
        let found: Vec<_> = found
            .iter()
            .map(|(pointer, a, b)| (pointer.as_str(), a.as_str(), b.as_str()))
            .collect();
        assert_eq!(
            found,
            [
                ("/url", Some("https://a/v1"), Some("https://a/v2")),
                ("/headers/0/1", Some("x"), Some("y"))
            ]
        );
        assert_eq!(
            differing(&json!({"a": 1}), &json!({"a": 1, "b": 2})).len(),
            1
        );
    }
}
