//! The frozen document: what a paper shows, all of it text. Nothing here is computed.

use serde::{Deserialize, Serialize};

/// A statement or an invoice, ready to be written.
///
/// Figures are plain decimal texts such as `-1234.50`, already rounded; grouping of digits is left
/// to the form that is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paper {
    /// What kind of paper it is.
    pub kind: PaperKind,
    /// The number; none before an invoice is finalised.
    pub number: Option<String>,
    /// The heading, such as `Invoice`.
    pub title: String,
    /// The state in words for the reader, such as `draft`; may be empty.
    pub status: String,
    /// Calendar date of issue, `2026-11-03`; also the date in the PDF's metadata.
    pub issued_on: Option<String>,
    /// Calendar date by which payment is due.
    pub due_on: Option<String>,
    /// The span of time that is billed.
    pub period: PaperPeriod,
    /// ISO 4217 code of every amount.
    pub currency: String,
    /// Who bills.
    pub supplier: Party,
    /// Who is billed or shown their use.
    pub customer: Party,
    /// The charges. A PDF shows them by group, groups in order of first appearance.
    pub lines: Vec<PaperLine>,
    /// Group and its amount. A group without lines is not shown in a PDF.
    pub subtotals: Vec<(String, String)>,
    /// Sum of the lines.
    pub net: String,
    /// Tax by category and rate; empty on a statement.
    pub tax: Vec<TaxLine>,
    /// Net and tax.
    pub total: String,
    /// Sentences below the totals: rounding policy, how far the data reach, that no money moves.
    pub notes: Vec<String>,
    /// RFC 3339 instant, in the zone of the paper, by which usage had to be received to be in it.
    pub usage_received_by: Option<String>,
}

/// Whether money moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PaperKind {
    /// Shows a department what it used; no money moves.
    Statement,
    /// Asks a customer for money.
    Invoice,
}

impl PaperKind {
    /// The word used in JSON, CSV and file names.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Statement => "statement",
            Self::Invoice => "invoice",
        }
    }
}

/// A half-open span of time and its name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaperPeriod {
    /// First instant, RFC 3339 in the zone: `2026-10-01T00:00:00+02:00`.
    pub start: String,
    /// First instant after, likewise.
    pub end: String,
    /// The last day that is billed: `2026-10-31`.
    pub last_day: String,
    /// Name of the period, such as `2026-10`.
    pub label: String,
    /// IANA zone whose calendar names the period.
    pub zone: String,
}

/// A supplier or a customer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// Name.
    pub name: String,
    /// Address, tax number and the like, one line each.
    pub lines: Vec<String>,
}

/// One charge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaperLine {
    /// Number of the line on the paper, from 1.
    pub no: u32,
    /// The department it is shown under; empty for none.
    pub group: String,
    /// What was used.
    pub description: String,
    /// How much, decimal.
    pub quantity: String,
    /// Of what unit.
    pub unit: String,
    /// Price of one unit in the currency's major unit, decimal.
    pub unit_price: String,
    /// Amount in the currency's major unit, decimal, rounded.
    pub amount: String,
    /// Small print below the description; empty for none.
    pub note: String,
}

/// Tax of one category and rate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaxLine {
    /// Category, such as `S` or `VAT`.
    pub category: String,
    /// Rate as it is shown, with its percent sign: `19 %`.
    pub rate: String,
    /// Amount that is taxed, decimal.
    pub base: String,
    /// Tax, decimal.
    pub amount: String,
}

#[cfg(test)]
impl Paper {
    /// An invoice of `count` lines in two groups.
    pub(crate) fn sample(count: u32) -> Self {
        let party = |name: &str, line: &str| Party { name: name.to_owned(), lines: vec![line.to_owned()] };
        Self {
            kind: PaperKind::Invoice,
            number: Some("2026-000123".to_owned()),
            title: "Invoice".to_owned(),
            status: "issued".to_owned(),
            issued_on: Some("2026-11-03".to_owned()),
            due_on: Some("2026-12-03".to_owned()),
            period: PaperPeriod {
                start: "2026-10-01T00:00:00+02:00".to_owned(),
                end: "2026-11-01T00:00:00+01:00".to_owned(),
                last_day: "2026-10-31".to_owned(),
                label: "2026-10".to_owned(),
                zone: "Europe/Berlin".to_owned(),
            },
            currency: "EUR".to_owned(),
            supplier: party("Nordwind GmbH", "20457 Hamburg"),
            customer: party("Institute", "52062 Aachen"),
            lines: (1..=count).map(|no| PaperLine::sample(no, count)).collect(),
            subtotals: vec![("Genomics".to_owned(), "60000.00".to_owned())],
            net: "60000.00".to_owned(),
            tax: vec![TaxLine {
                category: "S".to_owned(),
                rate: "19 %".to_owned(),
                base: "60000.00".to_owned(),
                amount: "11400.00".to_owned(),
            }],
            total: "71400.00".to_owned(),
            notes: vec!["Each line is rounded once.".to_owned()],
            usage_received_by: Some("2026-11-03T09:14:00+01:00".to_owned()),
        }
    }
}

#[cfg(test)]
impl PaperLine {
    fn sample(no: u32, count: u32) -> Self {
        Self {
            no,
            group: if no * 2 <= count { "Physics" } else { "Genomics" }.to_owned(),
            description: "Object storage, standard".to_owned(),
            quantity: "1234.5".to_owned(),
            unit: "GB-month".to_owned(),
            unit_price: "0.0000166667".to_owned(),
            amount: "-200.00".to_owned(),
            note: String::new(),
        }
    }
}
