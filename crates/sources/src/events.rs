//! CloudEvents 1.0 (JSON) as usage: single, batch and NDJSON.
//!
//! `type` is the meter, `subject` the organisation, `data.quantity` a decimal string; `data.dimensions`
//! holds the meter's dimensions, `data.user`, `data.resource`, `data.end` are optional. Numbers are
//! accepted for whole quantities only: a JSON number with a point has been rounded by somebody already.

use base::{OrgId, QuantityNano, RealmId, UserId, period};
use metering::{RecordKind, Reject, UsageRecord};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The most events of one request.
pub const EVENTS_MAX: usize = 10_000;

#[derive(Deserialize)]
struct CloudEvent {
    specversion: String,
    id: String,
    source: String,
    #[serde(rename = "type")]
    meter: String,
    #[serde(default)]
    subject: String,
    #[serde(default)]
    time: String,
    data: Data,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Data {
    quantity: Quantity,
    #[serde(default)]
    dimensions: BTreeMap<String, String>,
    #[serde(default)]
    user: Option<UserId>,
    #[serde(default)]
    resource: String,
    #[serde(default)]
    end: Option<String>,
    #[serde(default)]
    kind: Option<RecordKind>,
    #[serde(default)]
    attributes: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Quantity {
    Text(String),
    Whole(i64),
    Other(serde_json::Value),
}

/// Splits a request body into its events. `content_type` decides: `application/cloudevents+json`
/// (one), `application/cloudevents-batch+json` or a JSON array (many), `application/x-ndjson` (lines).
///
/// # Errors
/// What is wrong with the body as a whole.
pub fn split<'a>(content_type: &str, body: &'a str) -> Result<Vec<&'a serde_json::value::RawValue>, String> {
    let media = content_type.split(';').next().unwrap_or_default().trim();
    let events: Vec<&serde_json::value::RawValue> = if media == "application/x-ndjson" {
        body.lines()
            .filter(|line| !line.trim().is_empty())
            .enumerate()
            .map(|(no, line)| serde_json::from_str(line).map_err(|error| format!("line {}: {error}", no + 1)))
            .collect::<Result<_, _>>()?
    } else if body.trim_start().starts_with('[') {
        serde_json::from_str(body).map_err(|error| error.to_string())?
    } else {
        vec![serde_json::from_str(body).map_err(|error| error.to_string())?]
    };
    if events.len() > EVENTS_MAX {
        return Err(format!("{} events in one request; at most {EVENTS_MAX} are taken", events.len()));
    }
    Ok(events)
}

/// Reads one event. The organisation's place in the tree is filled in by the caller, who also decides
/// whether the sender may speak for it.
///
/// # Errors
/// A [`Reject`] naming the field.
pub fn parse(raw: &str, realm: RealmId, default_org: OrgId, now_us: i64) -> Result<UsageRecord, Reject> {
    let event: CloudEvent = serde_path_to_error::deserialize(&mut serde_json::Deserializer::from_str(raw))
        .map_err(|error| malformed(raw, &error))?;
    let reject = |field: &str, value: &str, reason: &str| Reject::new(&event.source, &event.id, field, value, reason);
    if event.specversion != "1.0" {
        return Err(reject("specversion", &event.specversion, "is not 1.0"));
    }
    let org = match event.subject.as_str() {
        "" => default_org,
        text => text.parse().map_err(|_| reject("subject", text, "is not an organisation id such as org_..."))?,
    };
    let instant =
        |field: &str, text: &str| period::parse_instant(text).map_err(|error| reject(field, text, &format!("{error}")));
    let attributes = event.data.attributes.as_ref().map(|map| serde_json::Value::Object(map.clone()));
    let attributes = attributes.map_or_else(|| "{}".to_owned(), |value| value.to_string());
    for (field, text) in [
        ("id", &*event.id),
        ("source", &event.source),
        ("type", &event.meter),
        ("subject", &event.subject),
        ("data.resource", &event.data.resource),
    ]
    .into_iter()
    .chain(
        event
            .data
            .dimensions
            .iter()
            .flat_map(|(name, value)| [("data.dimensions", &**name), ("data.dimensions", value)]),
    ) {
        if text.chars().any(char::is_control) {
            return Err(reject(field, text, "has control characters"));
        }
    }
    if event.data.attributes.as_ref().is_some_and(has_control) {
        return Err(reject("data.attributes", &attributes, "has control characters"));
    }
    if event.time.is_empty() {
        // Without it a repeated delivery would be another event.
        return Err(reject("time", "", "is missing; send when it happened, as 2026-10-01T00:00:00Z"));
    }
    if event.source.is_empty() || event.source.len() > 200 {
        return Err(reject("source", &event.source, "must have 1 to 200 characters"));
    }
    if event.source.starts_with("org_") {
        return Err(reject("source", &event.source, "begins with org_, which is kept for the senders below the root"));
    }
    if event.source.starts_with("s3-") {
        return Err(reject("source", &event.source, "begins with s3-, which is kept for the gateway's own records"));
    }
    let start_us = instant("time", &event.time)?;
    let end_us = event.data.end.as_deref().map_or(Ok(start_us), |text| instant("data.end", text))?;
    let quantity = match &event.data.quantity {
        Quantity::Text(text) => text.parse().map_err(|error| reject("data.quantity", text, &format!("{error}")))?,
        Quantity::Whole(count) => QuantityNano::units(*count),
        Quantity::Other(other) => {
            let reason = "must be a decimal string such as \"12.5\", or a whole number";
            return Err(reject("data.quantity", &other.to_string(), reason));
        }
    };
    let record = UsageRecord {
        source: event.source.clone(),
        record_id: event.id.clone(),
        realm,
        org,
        org_path: String::new(),
        user: event.data.user,
        meter: event.meter,
        resource: event.data.resource,
        dimensions: event.data.dimensions,
        quantity,
        start_us,
        end_us,
        kind: event.data.kind.unwrap_or(RecordKind::Usage),
        attributes,
    };
    metering::record::check(&record, now_us)?;
    let long = record.dimensions.iter().find(|(name, value)| name.len() > 64 || value.len() > 256);
    if let Some((name, value)) = long {
        let reason = "has a name over 64 or a value over 256 bytes";
        return Err(Reject::new(&record.source, &record.record_id, &format!("data.dimensions.{name}"), value, reason));
    }
    Ok(record)
}

/// Whether a name or a text somewhere in it has control characters other than line breaks and tabs.
fn has_control(map: &serde_json::Map<String, serde_json::Value>) -> bool {
    let is_odd = |text: &str| text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\r' | '\t'));
    fn within(value: &serde_json::Value, is_odd: &dyn Fn(&str) -> bool) -> bool {
        match value {
            serde_json::Value::String(text) => is_odd(text),
            serde_json::Value::Array(items) => items.iter().any(|item| within(item, is_odd)),
            serde_json::Value::Object(map) => map.iter().any(|(name, item)| is_odd(name) || within(item, is_odd)),
            _ => false,
        }
    }
    map.iter().any(|(name, value)| is_odd(name) || within(value, &is_odd))
}

/// What can still be said of something that is not an event.
fn malformed(raw: &str, error: &serde_path_to_error::Error<serde_json::Error>) -> Reject {
    let value: serde_json::Value = serde_json::from_str(raw).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(|found| found.as_str()).unwrap_or_default().to_owned();
    let (path, reason) = (error.path().to_string(), error.inner().to_string());
    // A missing or unknown field is named by the reason, at the place where the path ends.
    let named = reason.split('`').nth(1).filter(|_| reason.contains("field `"));
    let is_plain = |name: &&str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let field = match (path.as_str(), named.filter(is_plain)) {
        ("." | "?", named) => named.unwrap_or("event").to_owned(),
        (path, Some(named)) if !path.ends_with(named) => format!("{path}.{named}"),
        (path, _) => path.chars().filter(|c| !c.is_control()).take(100).collect(),
    };
    Reject::new(&text("source"), &text("id"), &field, raw, &reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW_US: i64 = 1_790_812_800_000_000;

    fn event(change: &str) -> Result<UsageRecord, Reject> {
        let mut event: serde_json::Value = serde_json::json!({
            "specversion": "1.0", "id": "e1", "source": "/vm", "type": "vm.hours",
            "time": "2026-09-30T23:00:00Z", "data": { "quantity": "1.5", "dimensions": { "zone": "a" } }
        });
        if let Some((path, value)) = change.split_once('=') {
            let value = serde_json::from_str(value).unwrap();
            match path.split_once('.') {
                Some((outer, inner)) => event[outer][inner] = value,
                None => event[path] = value,
            }
        }
        parse(&event.to_string(), RealmId(1), OrgId(2), NOW_US)
    }

    #[test]
    fn a_good_event_is_usage() {
        let record = event("").unwrap();
        assert_eq!(
            (record.org, record.quantity.to_string().as_str(), record.meter.as_str()),
            (OrgId(2), "1.5", "vm.hours")
        );
        assert_eq!(event("data.quantity=7").unwrap().quantity, QuantityNano::units(7));
    }

    #[test]
    fn bad_events_name_the_field() {
        for (change, field) in [
            ("specversion=\"0.3\"", "specversion"),
            ("id=\"\"", "id"),
            ("type=\"VM Hours\"", "type"),
            ("subject=\"acme\"", "subject"),
            ("time=\"\"", "time"),
            ("source=\"s3-storage\"", "source"),
            ("source=\"org_1:/a\"", "source"),
            ("time=\"yesterday\"", "time"),
            ("time=\"2030-01-01T00:00:00Z\"", "time"),
            ("time=\"2020-01-01T00:00:00Z\"", "time"),
            ("data.quantity=1.5", "data.quantity"),
            ("data.quantity=\"1,5\"", "data.quantity"),
            ("data.quantity=\"NaN\"", "data.quantity"),
            ("data.quantity=\"-1\"", "quantity"),
            ("data.quantity=\"1000000000000000001\"", "quantity"),
            ("data.quantity=null", "data.quantity"),
            ("data.end=\"2026-09-30T22:00:00Z\"", "end"),
            ("data.colour=\"red\"", "data.colour"),
            ("data.user=\"a\\u0000b\"", "data.user"),
            ("id=\"a\\u0000b\"", "id"),
            ("source=\"a\\u001bb\"", "source"),
            ("data.resource=\"a\\u0000b\"", "data.resource"),
            ("data.dimensions={\"a\":\"\\u007f\"}", "data.dimensions"),
            ("data.attributes={\"a\":[\"\\u0000\"]}", "data.attributes"),
            ("data.attributes={\"\\u0000\":1}", "data.attributes"),
            ("data.kind=\"a\\u0000b\"", "data.kind"),
        ] {
            assert_eq!(event(change).unwrap_err().field, field, "{change}");
        }
    }

    #[test]
    fn bodies_split_by_their_kind() {
        assert_eq!(split("application/cloudevents-batch+json", "[{},{}]").unwrap().len(), 2);
        assert_eq!(split("application/x-ndjson", "{}\n\n{}\n{}").unwrap().len(), 3);
        assert_eq!(split("application/cloudevents+json; charset=utf-8", "{}").unwrap().len(), 1);
        assert!(split("application/x-ndjson", "{}\n{").unwrap_err().contains("line 2"));
        assert!(split("application/json", "").is_err());
    }
}
