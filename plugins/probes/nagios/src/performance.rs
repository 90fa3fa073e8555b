//! Performance data of a program: `'label'=value[unit];[warning];[critical];[least];[most]`, behind a
//! `|` in the first line, and behind another one in the lines after it.

/// Figures of one run that are kept.
const MOST: usize = 50;
const LABEL_CHARACTERS: usize = 60;

/// Returns the figures in basic units, with the unit in the name. What is no number is left out.
pub(crate) fn figures(output: &str) -> Vec<(String, f64)> {
    let mut figures: Vec<(String, f64)> = Vec::new();
    let (first, rest) = output.split_once('\n').unwrap_or((output, ""));
    let parts = [first, rest].map(|part| part.split_once('|').map_or("", |(_, data)| data));
    for (label, value) in parts.into_iter().flat_map(entries) {
        let Some((name, value)) = figure(&label, value) else {
            continue;
        };
        if figures.len() < MOST && figures.iter().all(|(known, _)| *known != name) {
            figures.push((name, value));
        }
    }
    figures
}

/// Splits into labels and what is behind their `=`.
fn entries(data: &str) -> Vec<(String, &str)> {
    let mut entries = Vec::new();
    let mut rest = data.trim_start();
    while !rest.is_empty() {
        let Some((label, behind)) = label(rest) else {
            // Up to the next blank: what is there is no entry.
            rest = rest
                .split_once(char::is_whitespace)
                .map_or("", |(_, rest)| rest);
            rest = rest.trim_start();
            continue;
        };
        let end = behind.find(char::is_whitespace).unwrap_or(behind.len());
        entries.push((label, &behind[..end]));
        rest = behind[end..].trim_start();
    }
    entries
}

/// Reads a label, in quotes or not, and its `=`. In quotes two of them are one.
fn label(text: &str) -> Option<(String, &str)> {
    let Some(mut rest) = text.strip_prefix('\'') else {
        let (label, behind) = text.split_once('=')?;
        let is_one = !label.is_empty() && !label.contains(char::is_whitespace);
        return is_one.then(|| (label.to_owned(), behind));
    };
    let mut label = String::new();
    loop {
        let (part, behind) = rest.split_once('\'')?;
        label.push_str(part);
        if let Some(behind) = behind.strip_prefix('=') {
            return Some((label, behind));
        }
        rest = behind.strip_prefix('\'')?;
        label.push('\'');
    }
}

fn figure(label: &str, entry: &str) -> Option<(String, f64)> {
    let value = entry.split(';').next()?;
    let is_digit = |c: char| c.is_ascii_digit() || "+-.".contains(c);
    let end = value.find(|c| !is_digit(c)).unwrap_or(value.len());
    let number: f64 = value[..end].parse().ok()?;
    let (unit, number) = match &value[end..] {
        "s" => ("_s", number),
        "ms" => ("_s", number / 1e3),
        "us" => ("_s", number / 1e6),
        "%" => ("_percent", number),
        "B" => ("_bytes", number),
        "KB" => ("_bytes", number * 1024.0),
        "MB" => ("_bytes", number * 1024.0_f64.powi(2)),
        "GB" => ("_bytes", number * 1024.0_f64.powi(3)),
        "TB" => ("_bytes", number * 1024.0_f64.powi(4)),
        _ => ("", number),
    };
    let name = name(label);
    (number.is_finite() && !name.is_empty()).then(|| (format!("{name}{unit}"), number))
}

/// Returns a label as a name in SQL: letters, digits and `_`.
fn name(label: &str) -> String {
    if label == "/" {
        return "root".to_owned();
    }
    let plain = label
        .chars()
        .map(|c| if c.is_alphanumeric() { c } else { '_' });
    let plain: String = plain.take(LABEL_CHARACTERS).collect();
    plain.trim_matches('_').to_owned()
}
