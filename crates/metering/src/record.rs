//! The normal form of usage, its checks, and its compact form for the inbox.

use base::{OrgId, QuantityNano, RealmId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Plain usage, or a later change of it. Records are never edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RecordKind {
    /// Usage as it happened.
    Usage,
    /// A difference to what was recorded before.
    Correction,
}

impl RecordKind {
    /// The number stored in the lake.
    #[must_use]
    pub fn code(self) -> i16 {
        match self {
            Self::Usage => 0,
            Self::Correction => 1,
        }
    }
}

/// One record of usage. Identity: (realm, source, record id).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageRecord {
    /// Where it comes from: `s3-gateway`, or the `source` of a CloudEvent.
    pub source: String,
    /// The source's own id.
    pub record_id: String,
    /// The realm.
    pub realm: RealmId,
    /// Who is charged.
    pub org: OrgId,
    /// The organisation's place when it happened: `/org_a/org_b/`.
    pub org_path: String,
    /// Who used it, if known.
    pub user: Option<UserId>,
    /// Meter code.
    pub meter: String,
    /// The thing used: bucket and key, a server's id.
    pub resource: String,
    /// Values of the meter's dimensions.
    pub dimensions: BTreeMap<String, String>,
    /// How much.
    pub quantity: QuantityNano,
    /// First instant.
    pub start_us: i64,
    /// First instant after; equals `start_us` for a point in time.
    pub end_us: i64,
    /// Usage or correction.
    pub kind: RecordKind,
    /// What else is known, for the person who asks "why this cent?". JSON object text.
    pub attributes: String,
}

/// A raw item that did not become usage: kept, shown, and settled by a person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reject {
    /// Source of the item.
    pub source: String,
    /// Its id, as far as it could be read.
    pub record_id: String,
    /// Name of the field at fault.
    pub field: String,
    /// Value of that field, cut to 200 characters.
    pub value: String,
    /// Why it was refused.
    pub reason: String,
}

impl Reject {
    /// A reject of `field`.
    #[must_use]
    pub fn new(source: &str, record_id: &str, field: &str, value: &str, reason: &str) -> Self {
        let cut = |text: &str| text.chars().take(200).collect::<String>();
        Self {
            source: cut(source),
            record_id: cut(record_id),
            field: field.to_owned(),
            value: cut(value),
            reason: reason.to_owned(),
        }
    }
}

/// The largest believable quantity of one record: 10^18 units (an exabyte).
pub const QUANTITY_MAX: QuantityNano = QuantityNano(1_000_000_000_000_000_000 * base::decimal::NANO);

/// The longest source, the organisation that may stand in front of what a sender says included.
pub const SOURCE_LEN_MAX: usize = 240;

/// How far back a record may start: 400 days.
pub const AGE_US_MAX: i64 = 400 * 86_400_000_000;

/// How far ahead of us a source's clock may be: one hour.
pub const AHEAD_US_MAX: i64 = 3_600_000_000;

/// Checks what every source must keep, when it is taken in.
///
/// # Errors
/// A [`Reject`] that names field, value and reason.
pub fn check(record: &UsageRecord, now_us: i64) -> Result<(), Reject> {
    let reject = |field: &str, value: i64, reason: &str| {
        let value = base::period::format_instant(value);
        Err(Reject::new(&record.source, &record.record_id, field, &value, reason))
    };
    if record.start_us > now_us + AHEAD_US_MAX {
        return reject("time", record.start_us, "lies more than one hour in the future");
    }
    if record.start_us < now_us - AGE_US_MAX {
        return reject("time", record.start_us, "lies more than 400 days in the past");
    }
    check_content(record)?;
    if record.end_us > now_us + AHEAD_US_MAX {
        return reject("end", record.end_us, "lies more than one hour in the future");
    }
    Ok(())
}

/// The part of [`check`] that no clock has a say in: what was taken in once is not judged again by a clock that was set
/// meanwhile, or after a long outage.
///
/// # Errors
/// As [`check`].
pub fn check_content(record: &UsageRecord) -> Result<(), Reject> {
    let reject = |field: &str, value: &str, reason: &str| {
        Err(Reject::new(&record.source, &record.record_id, field, value, reason))
    };
    if record.record_id.is_empty() || record.record_id.len() > 200 {
        return reject("id", &record.record_id, "must have 1 to 200 characters");
    }
    if record.source.is_empty() || record.source.len() > SOURCE_LEN_MAX {
        return reject("source", &record.source, "must have 1 to 240 characters");
    }
    if !crate::meter::is_meter_code(&record.meter) {
        return reject("type", &record.meter, "is not a meter code such as s3.bytes_out");
    }
    if record.quantity.0 < 0 && record.kind == RecordKind::Usage {
        return reject("quantity", &record.quantity.to_string(), "is negative; send a correction instead");
    }
    if record.quantity.0.abs() > QUANTITY_MAX.0 {
        return reject("quantity", &record.quantity.to_string(), "is larger than 10^18 units");
    }
    if record.end_us < record.start_us {
        return reject("end", &base::period::format_instant(record.end_us), "lies before the start");
    }
    if record.dimensions.len() > 16 || record.attributes.len() > 16_384 {
        return reject("data", "", "has more than 16 dimensions or 16 KiB of attributes");
    }
    Ok(())
}

impl UsageRecord {
    /// The dimensions as canonical JSON: keys sorted, no white space.
    #[must_use]
    pub fn dimensions_json(&self) -> String {
        serde_json::to_string(&self.dimensions).expect("a map of texts is JSON")
    }

    /// Everything that makes two deliveries of one id the same or a conflict, in one line of bytes.
    pub fn write_content(&self, out: &mut Vec<u8>) {
        for text in [&*self.meter, &*self.resource, &*self.attributes] {
            put_text(out, text);
        }
        for (name, value) in &self.dimensions {
            put_text(out, name);
            put_text(out, value);
        }
        out.extend_from_slice(&self.org.0.to_le_bytes());
        out.extend_from_slice(&self.user.map_or(0, |user| user.0).to_le_bytes());
        out.extend_from_slice(&self.quantity.0.to_le_bytes());
        out.extend_from_slice(&self.start_us.to_le_bytes());
        out.extend_from_slice(&self.end_us.to_le_bytes());
        out.push(self.kind.code() as u8);
    }

    /// Appends the compact form that waits in the inbox.
    pub fn write_compact(&self, out: &mut Vec<u8>) {
        for text in [&*self.source, &*self.record_id, &*self.org_path] {
            put_text(out, text);
        }
        out.extend_from_slice(&self.realm.0.to_le_bytes());
        out.push(self.dimensions.len() as u8);
        self.write_content(out);
    }

    /// Reads the compact form back; `None` when it is damaged.
    #[must_use]
    pub fn read_compact(bytes: &[u8]) -> Option<Self> {
        let mut rest = bytes;
        let rest = &mut rest;
        let (source, record_id, org_path) = (take_text(rest)?, take_text(rest)?, take_text(rest)?);
        let realm = RealmId(u128::from_le_bytes(take(rest)?));
        let count = take::<1>(rest)?[0];
        let (meter, resource, attributes) = (take_text(rest)?, take_text(rest)?, take_text(rest)?);
        let mut dimensions = BTreeMap::new();
        for _ in 0..count {
            dimensions.insert(take_text(rest)?, take_text(rest)?);
        }
        let org = OrgId(u128::from_le_bytes(take(rest)?));
        let user = u128::from_le_bytes(take(rest)?);
        let quantity = QuantityNano(i128::from_le_bytes(take(rest)?));
        let start_us = i64::from_le_bytes(take(rest)?);
        let end_us = i64::from_le_bytes(take(rest)?);
        let kind = match take::<1>(rest)?[0] {
            0 => RecordKind::Usage,
            1 => RecordKind::Correction,
            _ => return None,
        };
        rest.is_empty().then_some(Self {
            source,
            record_id,
            realm,
            org,
            org_path,
            user: (user != 0).then_some(UserId(user)),
            meter,
            resource,
            dimensions,
            quantity,
            start_us,
            end_us,
            kind,
            attributes,
        })
    }
}

pub(crate) fn put_text(out: &mut Vec<u8>, text: &str) {
    let length = u32::try_from(text.len()).expect("texts are checked to be short");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(text.as_bytes());
}

pub(crate) fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (head, tail) = rest.split_first_chunk::<N>()?;
    *rest = tail;
    Some(*head)
}

pub(crate) fn take_text(rest: &mut &[u8]) -> Option<String> {
    let length = u32::from_le_bytes(take(rest)?) as usize;
    let head = rest.get(..length)?;
    *rest = &rest[length..];
    String::from_utf8(head.to_vec()).ok()
}
