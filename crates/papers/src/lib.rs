//! Papers: a statement or an invoice as PDF, CSV and JSON.
//!
//! A [`Paper`] is frozen: every figure is already a decimal text, and the bytes of each form are a
//! function of it alone. This crate never calculates an amount, never reads a clock, a file or the
//! network, and never evaluates a text it was given.

mod csv;
mod model;
#[cfg(feature = "pdf")]
mod pdf;

pub use csv::{csv, text_cell};
pub use model::{Paper, PaperKind, PaperLine, PaperPeriod, Party, TaxLine};

/// The lines a PDF may have; about two seconds and half a gigabyte. CSV and JSON have no such limit.
pub const PDF_LINES_MAX: usize = 5_000;

/// Why a paper could not be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaperError {
    /// The binary was built without the feature `pdf`.
    #[error("this build writes no PDF, take the CSV or the JSON, or build with the feature pdf")]
    PdfNotBuilt,
    /// A date of the paper is not a calendar date.
    #[error("{field} {text:?} is not a calendar date of the form 2026-10-31")]
    BadDate {
        /// Which date.
        field: &'static str,
        /// What was given.
        text: String,
    },
    /// More lines than [`PDF_LINES_MAX`].
    #[error("{lines} lines are too many for a PDF of at most {lines_max}, take the CSV")]
    TooLong {
        /// Lines of the paper.
        lines: usize,
        /// Lines a PDF may have.
        lines_max: usize,
    },
    /// The template refused the paper, or the document could not be exported.
    #[error("the paper could not be typeset: {reason}")]
    NotTypeset {
        /// What the typesetter said.
        reason: String,
    },
}

/// Writes the paper as an A4 PDF. Same paper, same bytes.
///
/// Takes some 15 ms of CPU for 30 lines in a release build: call it where blocking is allowed.
///
/// # Errors
/// [`PaperError`]; without the feature `pdf` always [`PaperError::PdfNotBuilt`].
pub fn pdf(paper: &Paper) -> Result<Vec<u8>, PaperError> {
    #[cfg(feature = "pdf")]
    {
        pdf::render(paper)
    }
    #[cfg(not(feature = "pdf"))]
    {
        let _ = paper;
        Err(PaperError::PdfNotBuilt)
    }
}

/// Writes the paper as indented JSON with the fields in the order of [`Paper`] and a final newline.
#[must_use]
pub fn json(paper: &Paper) -> String {
    let mut text = serde_json::to_string_pretty(paper).expect("a paper holds only texts and whole numbers");
    text.push('\n');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_round_trips() {
        let paper = Paper::sample(3);
        let text = json(&paper);
        assert_eq!(serde_json::from_str::<Paper>(&text).unwrap(), paper);
        assert_eq!(json(&paper), text);
    }

    #[test]
    fn json_keeps_figures_as_texts_in_a_stable_order() {
        let text = json(&Paper::sample(1));
        assert!(text.starts_with("{\n  \"kind\": \"invoice\",\n  \"number\": \"2026-000123\",\n"), "{text}");
        assert!(text.contains("\"unit_price\": \"0.0000166667\""), "{text}");
        assert!(text.ends_with("\n}\n"), "{text}");
    }

    #[cfg(not(feature = "pdf"))]
    #[test]
    fn says_when_pdf_is_not_built() {
        assert_eq!(pdf(&Paper::sample(1)), Err(PaperError::PdfNotBuilt));
    }
}
