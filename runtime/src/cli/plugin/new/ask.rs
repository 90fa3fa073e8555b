//! Questions at a terminal.

use std::io::IsTerminal;

use anyhow::{Context, Result};
use dialoguer::theme::ColorfulTheme;
use dialoguer::{Input, Select};

/// Reports whether a person can answer.
pub(super) fn can_ask() -> bool {
    std::io::stdin().is_terminal() && std::io::stderr().is_terminal()
}

/// Asks again until it is good.
pub(super) fn name(check: fn(&str) -> Result<()>) -> Result<String> {
    Input::with_theme(&ColorfulTheme::default())
        .with_prompt("Name of the plugin")
        .validate_with(move |name: &String| check(name).map_err(|error| error.to_string()))
        .interact_text()
        .context("asking for the name")
}

/// The first one stands selected.
pub(super) fn one_of(prompt: &str, choices: &[&str]) -> Result<String> {
    let chosen = Select::with_theme(&ColorfulTheme::default())
        .with_prompt(prompt)
        .items(choices)
        .default(0)
        .interact()
        .with_context(|| format!("asking for the {}", prompt.to_lowercase()))?;
    Ok(choices[chosen].to_owned())
}
