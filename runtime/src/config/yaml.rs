//! YAML into a tree that remembers where everything stands. Bounded: one document, a depth, a
//! number of nodes; anchors are shared, not copied.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use saphyr::{Scalar, ScalarStyle, Tag};
use saphyr_parser::{Event, Marker, Parser, ScanError, Span, StrInput};

use super::surrogates;

/// Deeper than any configuration, shallow enough for recursion.
pub(super) const MAX_DEPTH: usize = 32;

/// 1-based, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mark {
    pub(super) line: u32,
    pub(super) column: u32,
}

impl Mark {
    pub(super) const START: Mark = Mark { line: 1, column: 1 };

    fn of(marker: &Marker) -> Self {
        let one_based = |zero_based: usize| {
            u32::try_from(zero_based)
                .unwrap_or(u32::MAX)
                .saturating_add(1)
        };
        Self {
            line: one_based(marker.line().saturating_sub(1)),
            column: one_based(marker.col()),
        }
    }
}

#[derive(Debug)]
pub(super) struct Node {
    pub(super) at: Mark,
    pub(super) shape: Shape,
}

#[derive(Debug)]
pub(super) enum Shape {
    Scalar(ScalarText),
    List(Vec<Arc<Node>>),
    Map(Vec<(Arc<Node>, Arc<Node>)>),
    /// Node that an anchor named, shared.
    Alias(Arc<Node>),
}

#[derive(Debug)]
pub(super) struct ScalarText {
    pub(super) text: String,
    style: ScalarStyle,
    tag: Option<Tag>,
}

impl ScalarText {
    /// `<<`, which takes over the keys of another mapping.
    pub(super) fn is_merge_key(&self) -> bool {
        self.text == "<<" && self.style == ScalarStyle::Plain
    }

    /// The type of an unquoted scalar follows from `text`, which may be the scalar's own or what it
    /// was replaced with. `None`: it does not fit its tag.
    pub(super) fn typed<'t>(&self, text: &'t str) -> Option<Scalar<'t>> {
        Scalar::parse_from_cow_and_metadata(
            text.into(),
            self.style,
            self.tag.clone().map(Cow::Owned).as_ref(),
        )
    }
}

#[derive(Debug, PartialEq, Eq)]
pub(super) struct SyntaxFault {
    pub(super) at: Mark,
    pub(super) message: String,
}

impl SyntaxFault {
    fn new(at: Mark, message: impl Into<String>) -> Self {
        Self {
            at,
            message: message.into(),
        }
    }
}

/// Bytes read again in all because of surrogates: each quoted text that has some costs one reading.
const MAX_REPEATED_BYTES: usize = 64 * 1024 * 1024;

/// `None` for an empty document.
pub(super) fn parse(text: &str) -> Result<Option<Arc<Node>>, SyntaxFault> {
    let mut text = Cow::Borrowed(text);
    let mut left = MAX_REPEATED_BYTES;
    loop {
        let error = match parse_once(&text) {
            Err(Trouble::Escape(error)) => error,
            Err(Trouble::Fault(fault)) => return Err(fault),
            Ok(root) => return Ok(root),
        };
        let joined = surrogates::joined(&text, error.marker().index());
        let Some((joined, rest)) =
            joined.and_then(|joined| Some((joined, left.checked_sub(text.len())?)))
        else {
            let message = "is not valid YAML: `\\u` with half of a character; write both halves (`\\ud83d\\ude80`), or the \
                           character itself";
            return Err(SyntaxFault::new(Mark::of(error.marker()), message));
        };
        (text, left) = (Cow::Owned(joined), rest);
    }
}

enum Trouble {
    /// Escape of a character that needs two.
    Escape(ScanError),
    Fault(SyntaxFault),
}

fn parse_once(text: &str) -> Result<Option<Arc<Node>>, Trouble> {
    let mut builder = Builder::default();
    let mut parser = Parser::new(StrInput::new(text));
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error)
                if error
                    .info()
                    .contains("invalid Unicode character escape code") =>
            {
                return Err(Trouble::Escape(error));
            }
            Err(error) => {
                let message = format!("is not valid YAML: {}", error.info());
                return Err(Trouble::Fault(SyntaxFault::new(
                    Mark::of(error.marker()),
                    message,
                )));
            }
        };
        builder.take(event, span).map_err(Trouble::Fault)?;
    }
    Ok(builder.root)
}

#[derive(Default)]
struct Builder {
    root: Option<Arc<Node>>,
    documents: usize,
    open: Vec<Open>,
    anchors: HashMap<usize, Arc<Node>>,
}

struct Open {
    at: Mark,
    anchor: usize,
    items: Vec<Arc<Node>>,
    is_map: bool,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), SyntaxFault> {
        let at = Mark::of(&span.start);
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(SyntaxFault::new(
                        at,
                        "a second document begins here; only one is read, remove the `---`",
                    ));
                }
            }
            Event::SequenceStart(anchor, _) => self.open(at, anchor, false)?,
            Event::MappingStart(anchor, _) => self.open(at, anchor, true)?,
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Scalar(text, style, anchor, tag) => {
                let tag = tag.map(Cow::into_owned);
                let scalar = ScalarText {
                    text: text.into_owned(),
                    style,
                    tag,
                };
                self.add(
                    Arc::new(Node {
                        at,
                        shape: Shape::Scalar(scalar),
                    }),
                    anchor,
                );
            }
            Event::Alias(anchor) => {
                let node = self.anchors.get(&anchor).cloned();
                let node = node.ok_or_else(|| {
                    SyntaxFault::new(at, "an alias can't stand inside what it names")
                })?;
                self.add(
                    Arc::new(Node {
                        at,
                        shape: Shape::Alias(node),
                    }),
                    0,
                );
            }
        }
        Ok(())
    }

    fn open(&mut self, at: Mark, anchor: usize, is_map: bool) -> Result<(), SyntaxFault> {
        if self.open.len() >= MAX_DEPTH {
            return Err(SyntaxFault::new(
                at,
                format!("is nested more than {MAX_DEPTH} levels deep"),
            ));
        }
        self.open.push(Open {
            at,
            anchor,
            items: Vec::new(),
            is_map,
        });
        Ok(())
    }

    fn close(&mut self) {
        let Some(Open {
            at,
            anchor,
            items,
            is_map,
        }) = self.open.pop()
        else {
            return;
        };
        let shape = if is_map {
            let mut pairs = Vec::with_capacity(items.len() / 2);
            let mut items = items.into_iter();
            while let (Some(key), Some(value)) = (items.next(), items.next()) {
                pairs.push((key, value));
            }
            Shape::Map(pairs)
        } else {
            Shape::List(items)
        };
        self.add(Arc::new(Node { at, shape }), anchor);
    }

    fn add(&mut self, node: Arc<Node>, anchor: usize) {
        if anchor > 0 {
            self.anchors.insert(anchor, node.clone());
        }
        match self.open.last_mut() {
            Some(open) => open.items.push(node),
            None => self.root = Some(node),
        }
    }
}
