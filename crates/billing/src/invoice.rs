//! From charges to a paper.

use base::{AmountMinor, AmountPico, Currency, DecimalError, InvoiceId, OrgId, Period, QuantityNano, Rounding, Zone};
use serde::{Deserialize, Serialize};

/// What a paper is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceKind {
    /// Shown to a department: no money moves, no number is taken, nothing is posted.
    Statement,
    /// A numbered paper to a customer.
    Invoice,
}

/// Where a paper stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvoiceState {
    /// May be made again; has no number.
    Draft,
    /// Frozen.
    Issued,
}

/// Name and address as printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Party {
    /// The organisation.
    pub org: OrgId,
    /// Its name at that time.
    pub name: String,
    /// Address lines.
    pub address: Vec<String>,
}

/// Who bills whom, in which money and calendar, and how cents are settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Invoice or statement.
    pub kind: InvoiceKind,
    /// Who charges.
    pub seller: Party,
    /// Who owes.
    pub payer: Party,
    /// Money of the paper.
    pub currency: Currency,
    /// Calendar of the paper.
    pub zone: Zone,
    /// Rounding of each line, recorded on the paper.
    pub rounding: Rounding,
}

/// What a line is made from, before rounding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LineSource {
    /// Price item.
    pub item_code: String,
    /// Words of the price item.
    pub description: String,
    /// Who used it.
    pub group: OrgId,
    /// Name of who used it.
    pub group_name: String,
    /// Quantity in priced units, cut to nine decimals.
    pub quantity: QuantityNano,
    /// Word for the priced unit.
    pub unit: String,
    /// Price for one unit, or how it came about when tiers were crossed.
    pub unit_price: String,
    /// Exact amount.
    pub amount: AmountPico,
    /// How the amount came about where quantity and price do not say it: `3 of 30 days`. Empty on older papers.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// A difference for a month whose paper was already issued: it keeps the month it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adjustment {
    /// The month that was rated again.
    pub period: Period,
    /// Its name: `2026-09`.
    pub period_name: String,
    /// The paper whose figures are corrected; none when the month had no paper.
    pub corrects: Option<InvoiceId>,
    /// Item, group and difference. The amount may be negative.
    pub source: LineSource,
}

/// One line as printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvoiceLine {
    /// From 1.
    pub line_no: u32,
    /// Where the figure comes from.
    #[serde(flatten)]
    pub source: LineSource,
    /// The amount, rounded once.
    pub amount_minor: AmountMinor,
    /// For an adjustment, the month it belongs to.
    pub original_period: Option<Period>,
    /// For an adjustment, the paper it corrects.
    pub corrects: Option<InvoiceId>,
}

/// A paper without number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Who, whom, how.
    pub profile: Profile,
    /// Which month.
    pub period: Period,
    /// The month's name.
    pub period_name: String,
    /// The lines.
    pub lines: Vec<InvoiceLine>,
    /// Sum of the printed line amounts.
    pub total_minor: AmountMinor,
    /// Usage up to this lake watermark is in it.
    pub watermark: i64,
}

/// A frozen paper.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invoice {
    /// Its id.
    pub id: InvoiceId,
    /// Gapless within the seller's series; `None` for a statement.
    pub number: Option<String>,
    /// When it was frozen.
    pub issued_us: i64,
    /// What it says.
    #[serde(flatten)]
    pub draft: Draft,
}

/// What cannot be billed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BillError {
    /// There is nothing to put on paper: the draft is dropped.
    #[error("there is nothing to bill in {period}")]
    Empty {
        /// The month.
        period: String,
    },
    /// A sum left its type.
    #[error(transparent)]
    Decimal(#[from] DecimalError),
    /// An invoice needs a number, a statement must not take one.
    #[error("an invoice needs a number, and a statement must not take one")]
    Number,
}

/// Puts charges on paper, one line for each, sorted by group name, then in the given order. Each line
/// rounds once; the total is the sum of the printed lines.
///
/// # Errors
/// [`BillError::Empty`] when there is no line, [`BillError::Decimal`] on overflow.
pub fn draft(
    profile: Profile,
    period: Period,
    sources: Vec<LineSource>,
    adjustments: Vec<Adjustment>,
    watermark: i64,
) -> Result<Draft, BillError> {
    let period_name = period.month_name(&profile.zone);
    let mut plain: Vec<_> = sources.into_iter().map(|source| (source, None, None)).collect();
    plain.sort_by(|a, b| (&a.0.group_name, a.0.group).cmp(&(&b.0.group_name, b.0.group)));
    let late = adjustments.into_iter().map(|late| (late.source, Some(late.period), late.corrects));
    let minor_digits = profile.currency.minor_digits();
    let mut lines: Vec<InvoiceLine> = Vec::new();
    let mut total_minor = AmountMinor(0);
    for (line_no, (source, original_period, corrects)) in (1..).zip(plain.into_iter().chain(late)) {
        let amount_minor = source.amount.to_minor(minor_digits, profile.rounding)?;
        total_minor = total_minor.plus(amount_minor)?;
        lines.push(InvoiceLine { line_no, source, amount_minor, original_period, corrects });
    }
    if lines.is_empty() {
        return Err(BillError::Empty { period: period_name });
    }
    Ok(Draft { profile, period, period_name, lines, total_minor, watermark })
}

/// Freezes a draft. The number must have been taken in the transaction that stores the result.
///
/// # Errors
/// [`BillError::Number`].
pub fn finalise(draft: Draft, id: InvoiceId, number: Option<String>, now_us: i64) -> Result<Invoice, BillError> {
    if number.is_some() != (draft.profile.kind == InvoiceKind::Invoice) {
        return Err(BillError::Number);
    }
    assert_eq!(
        draft.lines.iter().map(|line| i128::from(line.amount_minor.0)).sum::<i128>(),
        i128::from(draft.total_minor.0),
        "the total is the sum of the lines"
    );
    Ok(Invoice { id, number, issued_us: now_us, draft })
}

impl Draft {
    /// Sums of the printed lines by group, in the order of the paper.
    ///
    /// # Errors
    /// [`DecimalError::Overflow`].
    pub fn subtotals(&self) -> Result<Vec<(String, AmountMinor)>, DecimalError> {
        let mut sums: Vec<(String, AmountMinor)> = Vec::new();
        for line in &self.lines {
            match sums.iter_mut().find(|(name, _)| *name == line.source.group_name) {
                Some((_, sum)) => *sum = sum.plus(line.amount_minor)?,
                None => sums.push((line.source.group_name.clone(), line.amount_minor)),
            }
        }
        Ok(sums)
    }
}
