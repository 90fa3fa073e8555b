//! Writes pages with `krilla`: texts, rules and charts, the tags that tell their structure, and the
//! metadata.

use std::num::NonZeroU16;

use krilla::Document;
use krilla::color::rgb;
use krilla::geom::{PathBuilder, Point, Rect, Size, Transform};
use krilla::metadata::Metadata;
use krilla::num::NormalizedF32;
use krilla::page::PageSettings;
use krilla::paint::{Fill, FillRule};
use krilla::surface::Surface;
use krilla::tagging::{
    Artifact, ArtifactType, ContentTag, Identifier, TableHeaderScope, Tag, TagGroup, TagTree,
};
use krilla::text::{Font, TextDirection};
use krilla_svg::{SurfaceExt, SvgSettings};
use resvg::usvg::Tree;

use super::layout::{Item, Kind, MARGIN, PAGE, Place, Shape};
use super::metrics::{printable, width};
use crate::reports::model::{Content, Report};
use crate::reports::picture::{BOLD, REGULAR};

const INK: (u8, u8, u8) = (0x1d, 0x24, 0x30);
const MUTED: (u8, u8, u8) = (0x5b, 0x66, 0x75);
const LINE: (u8, u8, u8) = (0xd5, 0xda, 0xe1);
const SMALL: f32 = 8.0;

struct Fonts {
    regular: Font,
    bold: Font,
}

type Leaf = (Place, Identifier);

pub(super) fn document(
    report: &Report,
    pages: &[Vec<Item>],
    charts: &[Tree],
) -> Result<Vec<u8>, String> {
    let font = |bytes: &'static [u8]| {
        Font::new(bytes.into(), 0).ok_or_else(|| "a font can't be read".to_owned())
    };
    let fonts = Fonts {
        regular: font(REGULAR)?,
        bold: font(BOLD)?,
    };
    let settings = PageSettings::from_wh(PAGE.0, PAGE.1);
    let settings = settings.ok_or_else(|| "a page has no size".to_owned())?;
    let mut document = Document::new();
    let mut leaves = Vec::new();
    for (index, items) in pages.iter().enumerate() {
        let mut page = document.start_page_with(settings.clone());
        let mut surface = page.surface();
        frame(&mut surface, &fonts, report, index + 1, pages.len());
        for item in items {
            draw(&mut surface, &fonts, item, charts, &mut leaves);
        }
        surface.finish();
        page.finish();
    }
    document.set_metadata(
        Metadata::new()
            .title(report.subject())
            .creator("extrack".to_owned())
            .language("en".to_owned()),
    );
    document.set_tag_tree(tree(report, &leaves));
    document
        .finish()
        .map_err(|error| format!("the PDF can't be written: {error}"))
}

/// The header and the footer of a page.
fn frame(surface: &mut Surface<'_>, fonts: &Fonts, report: &Report, number: usize, count: usize) {
    let tag = |kind| ContentTag::Artifact(Artifact::with_kind(kind));
    surface.start_tagged(tag(ArtifactType::Other));
    let title = printable(&format!("{} · {}", report.title, report.period), false);
    text(surface, &fonts.regular, &title, MARGIN, 40.0, SMALL, MUTED);
    rule(surface, MARGIN, 48.0, PAGE.0 - 2.0 * MARGIN);
    surface.end_tagged();
    surface.start_tagged(tag(ArtifactType::Other));
    let page = format!("{number} / {count}");
    let left = PAGE.0 - MARGIN - width(&page, SMALL, false);
    text(
        surface,
        &fonts.regular,
        &page,
        left,
        PAGE.1 - 36.0,
        SMALL,
        MUTED,
    );
    surface.end_tagged();
}

fn draw(
    surface: &mut Surface<'_>,
    fonts: &Fonts,
    item: &Item,
    charts: &[Tree],
    leaves: &mut Vec<Leaf>,
) {
    let is_artifact = item.place.kind == Kind::Artifact;
    let tag = if is_artifact {
        ContentTag::Artifact(Artifact::with_kind(ArtifactType::Other))
    } else {
        ContentTag::Other
    };
    let leaf = surface.start_tagged(tag);
    match &item.shape {
        Shape::Text {
            text: letters,
            size,
            is_bold,
            is_muted,
        } => {
            let font = if *is_bold {
                &fonts.bold
            } else {
                &fonts.regular
            };
            let ink = if *is_muted { MUTED } else { INK };
            text(surface, font, letters, item.x, item.y, *size, ink);
        }
        Shape::Rule { width } => rule(surface, item.x, item.y, *width),
        Shape::Picture { nth, width, height } => {
            if let (Some(chart), Some(size)) = (charts.get(*nth), Size::from_wh(*width, *height)) {
                surface.push_transform(&Transform::from_translate(item.x, item.y));
                // None: nothing in it can be drawn, which its alternative text makes up for.
                let _ = surface.draw_svg(chart, size, SvgSettings::default());
                surface.pop();
            }
        }
    }
    surface.end_tagged();
    if !is_artifact {
        leaves.push((item.place, leaf));
    }
}

fn text(
    surface: &mut Surface<'_>,
    font: &Font,
    text: &str,
    x: f32,
    y: f32,
    size: f32,
    ink: (u8, u8, u8),
) {
    if text.is_empty() {
        return;
    }
    surface.set_stroke(None);
    surface.set_fill(Some(fill(ink)));
    let start = Point::from_xy(x, y);
    surface.draw_text(
        start,
        font.clone(),
        size,
        text,
        false,
        TextDirection::LeftToRight,
    );
}

fn rule(surface: &mut Surface<'_>, x: f32, y: f32, width: f32) {
    let mut path = PathBuilder::new();
    if let Some(rect) = Rect::from_xywh(x, y, width, 0.5) {
        path.push_rect(rect);
    }
    if let Some(path) = path.finish() {
        surface.set_stroke(None);
        surface.set_fill(Some(fill(LINE)));
        surface.draw_path(&path);
    }
}

fn fill((red, green, blue): (u8, u8, u8)) -> Fill {
    Fill {
        paint: rgb::Color::new(red, green, blue).into(),
        opacity: NormalizedF32::ONE,
        rule: FillRule::default(),
    }
}

/// The structure of the document: what was drawn, in reading order, by its blocks.
fn tree(report: &Report, leaves: &[Leaf]) -> TagTree {
    let mut tree = TagTree::new().with_lang(Some("en".to_owned()));
    let charts = report.sections.iter();
    let mut names = charts
        .filter(|section| matches!(section.content, Content::Chart(_)))
        .map(|section| section.title.clone());
    for block in leaves.chunk_by(|one, next| one.0.block == next.0.block) {
        let Some((first, _)) = block.first() else {
            continue;
        };
        let mut group = match first.kind {
            Kind::Title => TagGroup::new(Tag::Hn(NonZeroU16::MIN, Some(report.title.clone()))),
            Kind::Heading => TagGroup::new(Tag::Hn(level_two(), None)),
            Kind::Figure => TagGroup::new(Tag::Figure(names.next())),
            Kind::HeadCell | Kind::Cell => {
                tree.push(table(block));
                continue;
            }
            Kind::Paragraph | Kind::Artifact => TagGroup::new(Tag::P),
        };
        for (_, leaf) in block {
            group.push(*leaf);
        }
        tree.push(group);
    }
    tree
}

fn level_two() -> NonZeroU16 {
    NonZeroU16::MIN.saturating_add(1)
}

fn table(leaves: &[Leaf]) -> TagGroup {
    let mut table = TagGroup::new(Tag::Table);
    for row in leaves.chunk_by(|one, next| one.0.row == next.0.row) {
        let mut group = TagGroup::new(Tag::TR);
        for cell in row.chunk_by(|one, next| one.0.column == next.0.column) {
            let is_head = cell
                .first()
                .is_some_and(|(place, _)| place.kind == Kind::HeadCell);
            let mut tagged = if is_head {
                TagGroup::new(Tag::TH(TableHeaderScope::Column))
            } else {
                TagGroup::new(Tag::TD)
            };
            for (_, leaf) in cell {
                tagged.push(*leaf);
            }
            group.push(tagged);
        }
        table.push(group);
    }
    table
}
