//! The answer as a table, or as it came: on standard output or in a file.

use std::fs::File;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use dialoguer::console::Term;
use http_body_util::BodyExt;
use reqwest::Response;

use crate::api_types::sql::{SqlAnswer, SqlFormat};
use crate::cli::print::{cell, line, note, table_text};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
    Ndjson,
    Csv,
    Arrow,
    Parquet,
}

/// Where an answer goes, and in which form.
pub(super) struct Output {
    format: Format,
    file: Option<PathBuf>,
}

impl Output {
    pub(super) fn new(format: Option<Format>, file: Option<PathBuf>) -> Result<Self> {
        let by_name = file.as_deref().and_then(format_of);
        let format = format.or(by_name).unwrap_or(Format::Table);
        let is_binary = matches!(format, Format::Arrow | Format::Parquet);
        if is_binary && file.is_none() && std::io::stdout().is_terminal() {
            bail!("this format is not for a terminal; write it to a file with `-o FILE`");
        }
        Ok(Self { format, file })
    }

    /// Format that the server is asked for.
    pub(super) fn format(&self) -> SqlFormat {
        match self.format {
            Format::Table | Format::Json => SqlFormat::Json,
            Format::Ndjson => SqlFormat::Ndjson,
            Format::Csv => SqlFormat::Csv,
            Format::Arrow => SqlFormat::Arrow,
            Format::Parquet => SqlFormat::Parquet,
        }
    }

    pub(super) async fn take(&self, response: Response) -> Result<()> {
        match (self.format, &self.file) {
            (Format::Table, None) => show(&table(response.json().await?)),
            (Format::Table, Some(file)) => {
                let text = table(response.json().await?);
                whole_file(file, |target| Ok(target.write_all(text.as_bytes())?))
            }
            (Format::Json, None) => {
                let answer: serde_json::Value = response.json().await?;
                line(&serde_json::to_string_pretty(&answer)?);
                Ok(())
            }
            (_, None) => copy(response, &mut std::io::stdout()).await,
            (_, Some(file)) => {
                let mut part = part_of(file)?;
                copy(response, part.as_file_mut()).await?;
                keep(part, file)
            }
        }
    }
}

fn format_of(file: &Path) -> Option<Format> {
    Some(match file.extension()?.to_str()? {
        "json" => Format::Json,
        "ndjson" | "jsonl" => Format::Ndjson,
        "csv" => Format::Csv,
        "arrow" | "arrows" => Format::Arrow,
        "parquet" => Format::Parquet,
        _ => return None,
    })
}

fn table(answer: SqlAnswer) -> String {
    let SqlAnswer {
        columns,
        rows,
        truncated,
        missing,
        ..
    } = answer;
    let names: Vec<String> = columns.iter().map(|column| cell(&column.name)).collect();
    let rows: Vec<Vec<String>> = rows
        .iter()
        .map(|row| row.iter().map(cell).collect())
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut text = table_text(&names, &rows);
    if truncated {
        text.push_str("… cut off: there are more rows; add LIMIT or a narrower WHERE\n");
    }
    if !missing.is_empty() {
        text.push_str(&lacking(&missing.join(", ")));
        text.push('\n');
    }
    text
}

fn lacking(days: &str) -> String {
    format!(
        "without {}: damaged files of the archive",
        super::super::print::plain(days)
    )
}

/// Prints a text, through the pager where it is longer than the terminal.
fn show(text: &str) -> Result<()> {
    let (height, _) = Term::stdout().size();
    if !std::io::stdout().is_terminal() || text.lines().count() < usize::from(height) {
        line(text.trim_end());
        return Ok(());
    }
    let pager = std::env::var("PAGER")
        .ok()
        .filter(|pager| !pager.is_empty());
    let pager = pager.unwrap_or_else(|| "less -S".to_owned());
    let started = Command::new("sh")
        .arg("-c")
        .arg(&pager)
        .stdin(Stdio::piped())
        .spawn();
    let Ok(mut child) = started else {
        line(text.trim_end());
        return Ok(());
    };
    if let Some(mut input) = child.stdin.take() {
        // A pager that is left early reads no more.
        let _ = input.write_all(text.as_bytes());
    }
    let ended = child.wait()?;
    // The shell's code for a command that is not there.
    if ended.code() == Some(127) {
        line(text.trim_end());
    }
    Ok(())
}

/// Copies the body as it comes, and reports a cut.
async fn copy(response: Response, target: &mut impl Write) -> Result<()> {
    const TRUNCATED: &str = "extrack-truncated";
    let mut is_truncated = response.headers().get(TRUNCATED).cloned();
    let missing = response.headers().get("extrack-missing").cloned();
    let mut body = reqwest::Body::from(response);
    while let Some(frame) = body.frame().await {
        let frame = frame.context("the answer broke off: what came of it is not whole")?;
        let trailer = frame
            .trailers_ref()
            .and_then(|trailers| trailers.get(TRUNCATED));
        is_truncated = trailer.cloned().or(is_truncated);
        if let Ok(data) = frame.into_data() {
            match target.write_all(&data) {
                // As `head` does.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
                written => written.context("could not write the answer")?,
            }
        }
    }
    match target.flush() {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(()),
        flushed => flushed.context("could not write the answer")?,
    }
    if is_truncated.is_some_and(|value| value == "true") {
        note("cut off: there are more rows; add a narrower WHERE");
    }
    if let Some(days) = missing.as_ref().and_then(|days| days.to_str().ok()) {
        note(&lacking(days));
    }
    Ok(())
}

fn part_of(file: &Path) -> Result<tempfile::NamedTempFile> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    tempfile::NamedTempFile::new_in(folder)
        .with_context(|| format!("could not write in `{}`", folder.display()))
}

fn keep(part: tempfile::NamedTempFile, file: &Path) -> Result<()> {
    part.persist(file)
        .with_context(|| format!("could not write `{}`", file.display()))?;
    Ok(())
}

fn whole_file(file: &Path, write: impl FnOnce(&mut File) -> Result<()>) -> Result<()> {
    let mut part = part_of(file)?;
    write(part.as_file_mut())?;
    keep(part, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_file_chooses_the_format() {
        for (name, wanted) in [
            ("a.parquet", SqlFormat::Parquet),
            ("a.jsonl", SqlFormat::Ndjson),
            ("a.csv", SqlFormat::Csv),
            ("a.arrow", SqlFormat::Arrow),
            ("a.txt", SqlFormat::Json),
        ] {
            let output = Output::new(None, Some(PathBuf::from(name))).unwrap();
            assert_eq!(output.format(), wanted, "{name}");
        }
        let output = Output::new(Some(Format::Csv), Some(PathBuf::from("a.json"))).unwrap();
        assert_eq!(output.format(), SqlFormat::Csv);
    }
}
