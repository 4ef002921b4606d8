//! Answers about usage, prices, papers and the audit log. Quantities and amounts are decimal texts.

use app::{bills, events, rows, trace, usage};
use base::period::format_instant;
use base::{AmountMinor, Currency};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// Canonical JSON of ours as a value.
fn value_of(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_default()
}

/// What can be measured.
#[derive(Serialize, ToSchema)]
pub(super) struct Meter {
    pub(super) code: String,
    /// Singular unit of the quantity.
    pub(super) unit: String,
    /// `sum` or `max`.
    pub(super) aggregation: String,
    /// Names that usage is rolled up by.
    pub(super) dimensions: Vec<String>,
}

impl From<metering::Meter> for Meter {
    fn from(meter: metering::Meter) -> Self {
        let aggregation = match meter.aggregation {
            metering::Aggregation::Sum => "sum",
            metering::Aggregation::Max => "max",
        };
        Self { code: meter.code, unit: meter.unit, aggregation: aggregation.to_owned(), dimensions: meter.dimensions }
    }
}

/// The answer to a batch of events, item by item.
#[derive(Serialize, ToSchema)]
pub(super) struct Taken {
    /// Events that are on disk now and will be counted once.
    pub(super) accepted: u64,
    /// Events that were refused.
    pub(super) rejected: Vec<Rejected>,
}

/// A refused event.
#[derive(Serialize, ToSchema)]
pub(super) struct Rejected {
    /// Place in the batch, from 0.
    pub(super) index: usize,
    pub(super) source: String,
    /// Its `id`, as far as it could be read.
    pub(super) record_id: String,
    /// Name of the field at fault.
    pub(super) field: String,
    pub(super) value: String,
    pub(super) reason: String,
}

impl From<events::Taken> for Taken {
    fn from(taken: events::Taken) -> Self {
        let rejected = |item: events::RejectedItem| Rejected {
            index: item.index,
            source: item.reject.source,
            record_id: item.reject.record_id,
            field: item.reject.field,
            value: item.reject.value,
            reason: item.reject.reason,
        };
        Self { accepted: taken.accepted, rejected: taken.rejected.into_iter().map(rejected).collect() }
    }
}

/// A half-open span of time.
#[derive(Serialize, ToSchema)]
pub(super) struct Span {
    /// First instant.
    pub(super) start: String,
    /// First instant after.
    pub(super) end: String,
    /// Its name: `2026-10`.
    pub(super) label: String,
    /// Time zone whose calendar names it.
    pub(super) zone: String,
}

/// Usage of a month.
#[derive(Serialize, ToSchema)]
pub(super) struct UsagePage {
    pub(super) period: Span,
    /// Whose usage it is: `below` for everybody's at the organisation and below it, `part` for the parts of it that
    /// the caller may see, `own` for the caller's own.
    pub(super) scope: String,
    /// Everything up to this instant is in it.
    pub(super) through: String,
    /// Batch up to which it is counted.
    pub(super) watermark: i64,
    pub(super) data: Vec<UsageRow>,
    /// Where the next page begins; send it back as `cursor`.
    pub(super) next_cursor: Option<String>,
    pub(super) has_more: bool,
}

/// A sum of usage. What was not asked for apart is `null`.
#[derive(Serialize, ToSchema)]
pub(super) struct UsageRow {
    pub(super) org: Option<String>,
    pub(super) user: Option<String>,
    pub(super) meter: String,
    /// Names and values, if they were asked for.
    pub(super) dimensions: Option<Value>,
    /// Beginning of the day or of the month.
    pub(super) from: String,
    /// The sum, in the meter's unit.
    pub(super) quantity: String,
    /// How many records are in it.
    pub(super) records: u64,
}

impl From<rows::RolledUp> for UsageRow {
    fn from(row: rows::RolledUp) -> Self {
        Self {
            org: row.org.map(|org| org.to_string()),
            user: row.user.map(|user| user.to_string()),
            meter: row.meter,
            dimensions: (!row.dimensions.is_empty()).then(|| value_of(&row.dimensions)),
            from: format_instant(row.bucket_us),
            quantity: row.quantity.to_string(),
            records: row.records,
        }
    }
}

/// Money.
#[derive(Serialize, ToSchema)]
pub(super) struct Money {
    /// Decimal text in the major unit: `1234.50`.
    pub(super) amount: String,
    /// ISO 4217 code.
    pub(super) currency: String,
}

impl Money {
    fn minor(amount: AmountMinor, currency: Currency) -> Self {
        Self { amount: amount.to_major(currency.minor_digits()), currency: currency.to_string() }
    }
}

/// Usage that could not be counted.
#[derive(Serialize, ToSchema)]
pub(super) struct Held {
    pub(super) org: String,
    pub(super) source: String,
    pub(super) record_id: String,
    /// Name of the field at fault.
    pub(super) field: String,
    pub(super) value: String,
    pub(super) reason: String,
    pub(super) meter: String,
    pub(super) quantity: String,
    pub(super) received_at: String,
    /// What it would be worth at today's prices, if a price covers it.
    pub(super) worth: Option<Money>,
}

impl From<usage::quarantine::Held> for Held {
    fn from(held: usage::quarantine::Held) -> Self {
        let money = |(amount, currency): (base::AmountPico, Currency)| Money {
            amount: amount.to_string(),
            currency: currency.to_string(),
        };
        Self {
            org: held.item.org.to_string(),
            source: held.item.reject.source,
            record_id: held.item.reject.record_id,
            field: held.item.reject.field,
            value: held.item.reject.value,
            reason: held.item.reject.reason,
            meter: held.item.meter,
            quantity: held.item.quantity.to_string(),
            received_at: format_instant(held.item.received_us),
            worth: held.worth.map(money),
        }
    }
}

/// A version of what an organisation pays its parent.
#[derive(Serialize, ToSchema)]
pub(super) struct Prices {
    pub(super) id: String,
    pub(super) seller: String,
    pub(super) buyer: String,
    /// From 1, by buyer.
    pub(super) version: i64,
    /// First instant of its first month.
    pub(super) effective_from: String,
    pub(super) created_at: String,
    pub(super) created_by: String,
    /// The price book.
    #[schema(value_type = Object)]
    pub(super) book: pricing::PriceBook,
}

impl From<rows::Agreement> for Prices {
    fn from(row: rows::Agreement) -> Self {
        Self {
            id: row.id.to_string(),
            seller: row.seller.to_string(),
            buyer: row.buyer.to_string(),
            version: row.version,
            effective_from: format_instant(row.effective_from_us),
            created_at: format_instant(row.created_us),
            created_by: row.created_by,
            book: row.book,
        }
    }
}

/// A paper in a list.
#[derive(Serialize, ToSchema)]
pub(super) struct PaperRow {
    pub(super) id: String,
    pub(super) seller: String,
    pub(super) payer: String,
    /// `statement` or `invoice`.
    pub(super) kind: String,
    /// `draft` or `issued`.
    pub(super) state: String,
    /// Gapless within the seller's series; `null` for drafts and statements.
    pub(super) number: Option<String>,
    /// The month: `2026-10`.
    pub(super) period: String,
    pub(super) total: Money,
    pub(super) issued_at: Option<String>,
}

impl From<rows::Listed> for PaperRow {
    fn from(row: rows::Listed) -> Self {
        Self {
            id: row.id.to_string(),
            seller: row.seller.to_string(),
            payer: row.payer.to_string(),
            kind: row.kind,
            state: row.state,
            number: row.number,
            period: row.period_name,
            total: Money::minor(row.total_minor, row.currency),
            issued_at: row.issued_us.map(format_instant),
        }
    }
}

/// The outcome of closing a month.
#[derive(Serialize, ToSchema)]
pub(super) struct Closed {
    /// Papers made, issued or drafted.
    pub(super) papers: Vec<PaperRow>,
    /// Papers that were issued before and stay as they are.
    pub(super) kept: Vec<PaperRow>,
    /// Usage without a price, for a person to look at.
    pub(super) unrated: Vec<String>,
    /// Edges and papers that failed, each by itself; the others stand. Nothing of them is billed.
    pub(super) failed: Vec<FailedEdge>,
    /// When the month has ended for every buyer: from then on papers can be issued.
    pub(super) ends_at: Option<String>,
}

/// An edge of a closing that failed.
#[derive(Serialize, ToSchema)]
pub(super) struct FailedEdge {
    /// Who would owe.
    pub(super) org: String,
    pub(super) name: String,
    /// Why, for a person.
    pub(super) reason: String,
}

impl From<app::rating::FailedEdge> for FailedEdge {
    fn from(edge: app::rating::FailedEdge) -> Self {
        Self { org: edge.org.to_string(), name: edge.name, reason: edge.reason }
    }
}

impl From<bills::Closed> for Closed {
    fn from(closed: bills::Closed) -> Self {
        Self {
            papers: closed.papers.into_iter().map(PaperRow::from).collect(),
            kept: closed.kept.into_iter().map(PaperRow::from).collect(),
            unrated: closed.unrated,
            failed: closed.failed.into_iter().map(FailedEdge::from).collect(),
            ends_at: closed.ends_us.map(format_instant),
        }
    }
}

/// One page of the records behind a line of a paper.
#[derive(Serialize, ToSchema)]
pub(super) struct Trace {
    pub(super) line: Line,
    pub(super) data: Vec<Record>,
    /// Where the next page begins.
    pub(super) next: Option<After>,
    pub(super) has_more: bool,
    /// How the amount came about, tier by tier; empty where the seller's prices are passed on.
    pub(super) parts: Value,
    /// Batch up to which usage was counted.
    pub(super) watermark: i64,
}

/// The place after a record; send both back.
#[derive(Serialize, ToSchema)]
pub(super) struct After {
    pub(super) after_us: i64,
    pub(super) after_id: String,
}

/// A line of a paper.
#[derive(Serialize, ToSchema)]
pub(super) struct Line {
    pub(super) no: u32,
    /// Code of the price item.
    pub(super) item: String,
    pub(super) description: String,
    /// Who used it.
    pub(super) org: String,
    pub(super) org_name: String,
    pub(super) quantity: String,
    pub(super) unit: String,
    pub(super) unit_price: String,
    /// Which share of a flat fee was charged, such as `3 of 30 days`; empty for the whole.
    pub(super) note: String,
    /// Before the one rounding.
    pub(super) amount_exact: String,
    pub(super) amount: Money,
    /// For late usage, the paper it corrects.
    pub(super) corrects: Option<String>,
}

/// A usage record.
#[derive(Serialize, ToSchema)]
pub(super) struct Record {
    pub(super) source: String,
    pub(super) record_id: String,
    pub(super) org: String,
    /// Empty when unknown.
    pub(super) user: String,
    pub(super) meter: String,
    pub(super) resource: String,
    pub(super) dimensions: Value,
    pub(super) quantity: String,
    pub(super) start: String,
    pub(super) end: String,
    /// `usage` or `correction`.
    pub(super) kind: String,
    pub(super) batch: i64,
    /// What else is known.
    pub(super) attributes: Value,
}

impl From<rows::StoredRecord> for Record {
    fn from(row: rows::StoredRecord) -> Self {
        Self {
            source: row.source,
            record_id: row.record_id,
            org: row.org_id,
            user: row.user_id,
            meter: row.meter,
            resource: row.resource,
            dimensions: value_of(&row.dimensions),
            quantity: row.quantity.to_string(),
            start: format_instant(row.start_us),
            end: format_instant(row.end_us),
            kind: if row.kind == 0 { "usage" } else { "correction" }.to_owned(),
            batch: row.batch_no,
            attributes: value_of(&row.attributes),
        }
    }
}

impl Trace {
    pub(super) fn new(trace: trace::Trace, currency: Currency) -> Self {
        let source = trace.line.source;
        let line = Line {
            no: trace.line.line_no,
            item: source.item_code,
            description: source.description,
            org: source.group.to_string(),
            org_name: source.group_name,
            quantity: source.quantity.to_string(),
            unit: source.unit,
            unit_price: source.unit_price,
            note: source.note,
            amount_exact: source.amount.to_string(),
            amount: Money::minor(trace.line.amount_minor, currency),
            corrects: trace.line.corrects.map(|paper| paper.to_string()),
        };
        Self {
            line,
            data: trace.records.into_iter().map(Record::from).collect(),
            has_more: trace.next.is_some(),
            next: trace.next.map(|(after_us, after_id)| After { after_us, after_id }),
            parts: trace.parts,
            watermark: trace.watermark,
        }
    }
}

/// The balance of one account of the books.
#[derive(Serialize, ToSchema)]
pub(super) struct Balance {
    pub(super) account: String,
    pub(super) balance: Money,
}

impl Balance {
    pub(super) fn new(account: String, amount: AmountMinor, currency: Currency) -> Self {
        Self { account, balance: Money::minor(amount, currency) }
    }
}

/// An entry of the audit log.
#[derive(Serialize, ToSchema)]
pub(super) struct AuditEntry {
    /// Its place in the chain, from 1.
    pub(super) seq: i64,
    pub(super) at: String,
    /// A user id, or `system`.
    pub(super) actor: String,
    pub(super) org: String,
    pub(super) action: String,
    pub(super) target: String,
    /// `allow` or `deny`.
    pub(super) outcome: String,
    /// Why it was refused.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) reason: String,
    pub(super) detail: Value,
    /// Address, client, session or token.
    pub(super) context: Value,
    /// Hash of the entry before.
    pub(super) prev_hash: String,
    /// Hash over the entry and the one before.
    pub(super) hash: String,
}

impl From<rows::AuditEvent> for AuditEntry {
    fn from(row: rows::AuditEvent) -> Self {
        Self {
            seq: row.seq,
            at: format_instant(row.at_us),
            actor: row.actor,
            org: row.org.to_string(),
            action: row.action,
            target: row.target,
            outcome: row.outcome,
            reason: row.reason,
            detail: value_of(&row.detail_json),
            context: value_of(&row.context_json),
            prev_hash: row.prev_hash,
            hash: row.hash,
        }
    }
}

/// Whether the audit log is whole.
#[derive(Serialize, ToSchema)]
pub(super) struct Verified {
    pub(super) sound: bool,
    /// Entries that are sound.
    pub(super) entries: Option<u64>,
    /// The first entry that is not.
    pub(super) first_bad: Option<i64>,
}
