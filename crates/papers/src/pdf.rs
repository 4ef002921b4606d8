//! The paper as PDF: one template, one data file, no outside.
//!
//! The typesetter's world knows two files, the fonts of the crate `typst-assets` and no clock. The
//! paper reaches the template as JSON and stays text there. Library, fonts and parsed template are
//! made once in a process and shared; the virtual paths are constants, because typst keeps every
//! path it ever saw.

use std::sync::LazyLock;

use base::period::parse_instant;
use typst::diag::{FileError, FileResult, SourceDiagnostic};
use typst::foundations::{Bytes, Datetime, Duration, Smart};
use typst::syntax::{FileId, RootedPath, Source, VirtualPath, VirtualRoot};
use typst::text::{Font, FontBook};
use typst::utils::LazyHash;
use typst::{Library, LibraryExt, World};
use typst_layout::PagedDocument;
use typst_pdf::PdfOptions;

use crate::model::Paper;
use crate::{PDF_LINES_MAX, PaperError};

const TEMPLATE: &str = include_str!("../templates/paper.typ");

static SHELF: LazyLock<Shelf> = LazyLock::new(Shelf::stock);

/// Sets and writes the paper, then drops what the typesetter remembers of it (3.7 MB each).
pub(crate) fn render(paper: &Paper) -> Result<Vec<u8>, PaperError> {
    check(paper)?;
    let written = typeset(paper).and_then(|document| export(paper, &document));
    comemo::evict(0); // Also after a failure, or the memory of the process grows without end.
    written
}

/// Refuses what the template cannot show, with words of ours instead of the typesetter's.
fn check(paper: &Paper) -> Result<(), PaperError> {
    let (lines, lines_max) = (paper.lines.len(), PDF_LINES_MAX);
    if lines > lines_max {
        return Err(PaperError::TooLong { lines, lines_max });
    }
    check_date("issued_on", paper.issued_on.as_deref())?;
    check_date("due_on", paper.due_on.as_deref())
}

fn check_date(field: &'static str, date: Option<&str>) -> Result<(), PaperError> {
    let Some(text) = date else { return Ok(()) };
    let bytes = text.as_bytes();
    let shaped = bytes.len() == 10
        && bytes.iter().enumerate().all(|(at, byte)| match at {
            4 | 7 => *byte == b'-',
            _ => byte.is_ascii_digit(),
        });
    let real = shaped && parse_instant(&format!("{text}T00:00:00Z")).is_ok();
    if real { Ok(()) } else { Err(PaperError::BadDate { field, text: text.to_owned() }) }
}

fn typeset(paper: &Paper) -> Result<PagedDocument, PaperError> {
    let world = PaperWorld { paper: Bytes::from_string(crate::json(paper)) };
    typst::compile::<PagedDocument>(&world).output.map_err(|complaints| not_typeset(&complaints))
}

fn export(paper: &Paper, document: &PagedDocument) -> Result<Vec<u8>, PaperError> {
    let options = PdfOptions {
        ident: Smart::Custom(ident(paper)),
        creator: Smart::Custom(Some("Meterhouse".to_owned())),
        ..PdfOptions::default()
    };
    typst_pdf::pdf(document, &options).map_err(|complaints| not_typeset(&complaints))
}

/// Names the document for good: a new rendering of the same paper has the same identity.
fn ident(paper: &Paper) -> String {
    let number = paper.number.as_deref().unwrap_or("");
    let key = (paper.kind.word(), number, &paper.supplier.name, &paper.customer.name, &paper.period.label);
    format!("meterhouse paper {key:?}")
}

fn not_typeset(complaints: &[SourceDiagnostic]) -> PaperError {
    let reasons: Vec<&str> = complaints.iter().map(|complaint| complaint.message.as_str()).collect();
    PaperError::NotTypeset { reason: reasons.join("; ") }
}

/// What all papers of the process share.
struct Shelf {
    library: LazyHash<Library>,
    book: LazyHash<FontBook>,
    fonts: Vec<Font>,
    template: Source,
    paper_id: FileId,
}

impl Shelf {
    fn stock() -> Self {
        let fonts: Vec<Font> = typst_assets::fonts().flat_map(|file| Font::iter(Bytes::new(file))).collect();
        assert!(!fonts.is_empty(), "typst-assets is built with its fonts");
        Self {
            library: LazyHash::new(Library::builder().build()),
            book: LazyHash::new(FontBook::from_fonts(&fonts)),
            fonts,
            template: Source::new(file_id("/main.typ"), TEMPLATE.to_owned()),
            paper_id: file_id("/data/paper.json"),
        }
    }
}

fn file_id(path: &'static str) -> FileId {
    let path = VirtualPath::new(path).expect("a constant path without dots and backslashes");
    RootedPath::new(VirtualRoot::Project, path).intern()
}

/// The shelf and one paper as JSON: all that a template can reach.
struct PaperWorld {
    paper: Bytes,
}

impl World for PaperWorld {
    fn library(&self) -> &LazyHash<Library> {
        &SHELF.library
    }

    fn book(&self) -> &LazyHash<FontBook> {
        &SHELF.book
    }

    fn main(&self) -> FileId {
        SHELF.template.id()
    }

    fn source(&self, id: FileId) -> FileResult<Source> {
        if id == SHELF.template.id() { Ok(SHELF.template.clone()) } else { Err(unknown(id)) }
    }

    fn file(&self, id: FileId) -> FileResult<Bytes> {
        if id == SHELF.paper_id { Ok(self.paper.clone()) } else { Err(unknown(id)) }
    }

    fn font(&self, index: usize) -> Option<Font> {
        SHELF.fonts.get(index).cloned()
    }

    fn today(&self, _offset: Option<Duration>) -> Option<Datetime> {
        None
    }
}

fn unknown(id: FileId) -> FileError {
    FileError::NotFound(id.vpath().get_with_slash().into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::PaperKind;
    use typst::layout::{Frame, FrameItem};

    /// The text of each page without white space and break marks.
    fn page_texts(paper: &Paper) -> Vec<String> {
        let document = typeset(paper).unwrap();
        document.pages().iter().map(|page| bare(&frame_text(&page.frame))).collect()
    }

    fn frame_text(frame: &Frame) -> String {
        let item_text = |item: &FrameItem| match item {
            FrameItem::Group(group) => frame_text(&group.frame),
            FrameItem::Text(text) => text.text.to_string(),
            _ => String::new(),
        };
        frame.items().map(|(_, item)| item_text(item)).collect()
    }

    fn bare(text: &str) -> String {
        text.chars().filter(|sign| !sign.is_whitespace() && *sign != '\u{200b}').collect()
    }

    #[test]
    fn same_paper_same_bytes() {
        let paper = Paper::sample(4);
        let first = render(&paper).unwrap();
        assert!(first.starts_with(b"%PDF"));
        assert!(render(&paper).unwrap() == first);

        let mut other = paper;
        other.total = "71400.01".to_owned();
        assert!(render(&other).unwrap() != first);
    }

    #[test]
    fn hostile_texts_are_only_shown() {
        let hostile = [
            "#panic(\"x\")",
            "#read(\"/etc/passwd\")",
            "$x^2$ \"q\" 'q' <b> @ref *b* _i_ `raw`",
            "#import \"/m.typ\"",
            "\\ #{ // /* = - + ~ -- ... ]) } https://x.y/",
            "\u{202e}turned",
            "",
        ];
        for name in hostile {
            let mut paper = Paper::sample(1);
            paper.customer.name = name.to_owned();
            paper.customer.lines = vec![name.to_owned()];
            paper.lines[0].group = name.to_owned();
            paper.lines[0].description = name.to_owned();
            paper.lines[0].quantity = name.to_owned();
            paper.title = name.to_owned();
            paper.notes = vec![name.to_owned()];
            let shown = bare(name).replace('\u{202e}', "");
            assert!(page_texts(&paper).concat().matches(&shown).count() >= 7, "{name:?}");
            render(&paper).unwrap();
        }
    }

    #[test]
    fn long_papers_repeat_their_heads() {
        let pages = page_texts(&Paper::sample(300));
        assert!(pages.len() > 4);
        for (at, page) in pages.iter().enumerate() {
            assert!(page.contains(&format!("page{}of{}", at + 1, pages.len())), "{page}");
        }
        for page in &pages[..pages.len() - 1] {
            assert!(page.contains("UnitpriceAmountEUR"), "{page}");
        }
        let all = pages.concat();
        assert!(all.contains("SubtotalGenomics60000.00"), "{all}");
        assert!(all.contains("TaxS19%on60000.0011400.00"), "{all}");
        assert!(all.contains("TotalEUR71400.00"), "{all}");
    }

    #[test]
    fn a_bare_statement_is_a_paper_too() {
        let mut paper = Paper::sample(0);
        paper.kind = PaperKind::Statement;
        paper.title = "Statement".to_owned();
        (paper.number, paper.issued_on, paper.due_on, paper.usage_received_by) = (None, None, None, None);
        (paper.status, paper.supplier.lines, paper.customer.lines) = (String::new(), vec![], vec![]);
        (paper.subtotals, paper.tax, paper.notes) = (vec![], vec![], vec![]);
        let text = page_texts(&paper).concat();
        assert!(text.contains("StatementforInstitute"), "{text}");
        assert!(text.contains("Nochargesinthisperiod."), "{text}");
        assert!(render(&paper).is_ok());
    }

    #[test]
    fn refuses_what_it_cannot_show() {
        for text in ["", "2026-02-31", "2026-2-3", "03.11.2026", "2026-11-03T00:00:00Z", "#panic(\"\")"] {
            let paper = Paper { issued_on: Some(text.to_owned()), ..Paper::sample(1) };
            assert_eq!(render(&paper), Err(PaperError::BadDate { field: "issued_on", text: text.to_owned() }));
        }
        let (lines, lines_max) = (PDF_LINES_MAX + 1, PDF_LINES_MAX);
        let paper = Paper::sample(u32::try_from(lines).unwrap());
        assert_eq!(render(&paper), Err(PaperError::TooLong { lines, lines_max }));
    }
}
