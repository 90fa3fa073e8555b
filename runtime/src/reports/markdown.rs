//! The subset of Markdown that text sections are written in: headings, paragraphs, lists, `**bold**`,
//! code in backticks, and links. Everything else is text; HTML is not passed on.

/// A paragraph and the like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Block {
    Heading(Vec<Span>),
    Paragraph(Vec<Span>),
    Item(Vec<Span>),
    /// Item of a numbered list, with its number.
    Step(u32, Vec<Span>),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Span {
    Plain(String),
    Bold(String),
    Code(String),
    Link { text: String, url: String },
}

impl Span {
    pub(crate) fn text(&self) -> &str {
        match self {
            Span::Plain(text) | Span::Bold(text) | Span::Code(text) | Span::Link { text, .. } => {
                text
            }
        }
    }
}

/// Reads blocks; lines that follow each other are one paragraph.
pub(crate) fn blocks(source: &str) -> Vec<Block> {
    let mut blocks = Vec::new();
    let mut paragraph = String::new();
    for line in source.lines().map(str::trim) {
        let heading = line
            .strip_prefix('#')
            .map(|rest| rest.trim_start_matches('#').trim());
        let item = line.strip_prefix("- ").or_else(|| line.strip_prefix("* "));
        // As in Markdown elsewhere, only a list that begins with 1 ends a paragraph: `On 12. May` may
        // be broken before its number.
        let step = step(line).filter(|(number, _)| paragraph.is_empty() || *number == 1);
        if heading.is_none() && item.is_none() && step.is_none() && !line.is_empty() {
            if !paragraph.is_empty() {
                paragraph.push(' ');
            }
            paragraph.push_str(line);
            continue;
        }
        end(&mut paragraph, &mut blocks);
        blocks.extend(heading.map(|text| Block::Heading(spans(text))));
        blocks.extend(item.map(|text| Block::Item(spans(text))));
        blocks.extend(step.map(|(number, text)| Block::Step(number, spans(text))));
    }
    end(&mut paragraph, &mut blocks);
    blocks
}

/// Reads `1. text` and `1) text`, with a number of at most three digits: `2026. A year` is text.
fn step(line: &str) -> Option<(u32, &str)> {
    let (number, text) = line.split_once(['.', ')'])?;
    let is_number = (1..=3).contains(&number.len()) && number.bytes().all(|b| b.is_ascii_digit());
    let text = text.strip_prefix(' ').filter(|_| is_number)?;
    Some((number.parse().ok()?, text))
}

fn end(paragraph: &mut String, blocks: &mut Vec<Block>) {
    if !paragraph.is_empty() {
        blocks.push(Block::Paragraph(spans(&std::mem::take(paragraph))));
    }
}

fn spans(text: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut plain = String::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match marked(rest) {
            Some((span, behind)) => {
                if !plain.is_empty() {
                    spans.push(Span::Plain(std::mem::take(&mut plain)));
                }
                spans.push(span);
                rest = behind;
            }
            None => {
                plain.push(first);
                rest = &rest[first.len_utf8()..];
            }
        }
    }
    if !plain.is_empty() {
        spans.push(Span::Plain(plain));
    }
    spans
}

/// Returns the marked span that a text begins with, and what is behind it.
fn marked(text: &str) -> Option<(Span, &str)> {
    if let Some(rest) = text.strip_prefix("**") {
        let (bold, behind) = rest.split_once("**")?;
        return Some((Span::Bold(bold.to_owned()), behind));
    }
    if let Some(rest) = text.strip_prefix('`') {
        let (code, behind) = rest.split_once('`')?;
        return Some((Span::Code(code.to_owned()), behind));
    }
    let (name, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (url, behind) = rest.split_once(')')?;
    let is_web = ["https://", "http://"]
        .iter()
        .any(|scheme| url.starts_with(scheme));
    if !is_web || url.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return None;
    }
    let (text, url) = (name.to_owned(), url.to_owned());
    Some((Span::Link { text, url }, behind))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: &str) -> Span {
        Span::Plain(text.to_owned())
    }

    #[test]
    fn reads_blocks_and_spans() {
        let found =
            blocks("# Why\nOne line\nand **two**.\n\n- `a < b`\n* [x](https://x.example/a)\n");
        let wanted = [
            Block::Heading(vec![plain("Why")]),
            Block::Paragraph(vec![
                plain("One line and "),
                Span::Bold("two".to_owned()),
                plain("."),
            ]),
            Block::Item(vec![Span::Code("a < b".to_owned())]),
            Block::Item(vec![Span::Link {
                text: "x".to_owned(),
                url: "https://x.example/a".to_owned(),
            }]),
        ];
        assert_eq!(found, wanted);
    }

    #[test]
    fn a_numbered_list_has_an_item_for_each_line() {
        let found = blocks("First:\n1. look\n2. **call**\n10) wait");
        let wanted = [
            Block::Paragraph(vec![plain("First:")]),
            Block::Step(1, vec![plain("look")]),
            Block::Step(2, vec![Span::Bold("call".to_owned())]),
            Block::Step(10, vec![plain("wait")]),
        ];
        assert_eq!(found, wanted);
        let broken = blocks("On\n12. May");
        assert_eq!(broken, [Block::Paragraph(vec![plain("On 12. May")])]);
        for text in ["1.5 s", "2026. A year", "1.", "a. b"] {
            assert_eq!(blocks(text), [Block::Paragraph(vec![plain(text)])]);
        }
    }

    #[test]
    fn what_is_not_closed_and_links_that_run_something_are_text() {
        for text in ["**a", "`a", "[a](b", "[a](javascript:x)", "<b>x</b>"] {
            assert_eq!(blocks(text), [Block::Paragraph(vec![plain(text)])]);
        }
    }
}
