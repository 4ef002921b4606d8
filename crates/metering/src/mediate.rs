//! Mediation: one raw event becomes usage records with ids that never change.

use crate::meter::{S3_BYTES_IN, S3_BYTES_OUT, S3_REQUESTS};
use crate::record::{RecordKind, Reject, UsageRecord, check_content};
use crate::s3::{RequestClass, S3Request};
use base::QuantityNano;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What waits in the inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RawEvent {
    /// A request of the S3 gateway.
    S3 {
        /// The organisation's place in the tree at that moment.
        org_path: String,
        /// The request.
        request: Box<S3Request>,
    },
    /// Usage that arrived in normal form (events API, storage ticks).
    Usage(Box<UsageRecord>),
}

/// The source name of gateway records.
pub const S3_SOURCE: &str = "s3-gateway";

/// Turns one raw event that was taken in into its records, or says which field is at fault.
///
/// # Errors
/// A [`Reject`] for the whole event: half of an event is never used.
pub fn mediate(event: RawEvent) -> Result<Vec<UsageRecord>, Reject> {
    match event {
        RawEvent::S3 { org_path, request } => mediate_request(&org_path, &request),
        RawEvent::Usage(record) => {
            check_content(&record)?;
            Ok(vec![*record])
        }
    }
}

/// As [`mediate`], for a request of the S3 gateway.
///
/// # Errors
/// As [`mediate`].
pub fn mediate_request(org_path: &str, request: &S3Request) -> Result<Vec<UsageRecord>, Reject> {
    let records = s3_records(org_path, request);
    for record in &records {
        check_content(record)?;
    }
    Ok(records)
}

/// Whether the default plan bills a request with this status: 2xx, 3xx and 4xx except refusals
/// (401, 403, 429) and requests that the client cut before an answer (499); 5xx never.
#[must_use]
pub fn is_billed(status: u16, class: RequestClass) -> bool {
    class != RequestClass::Free && (200..500).contains(&status) && ![401, 403, 429, 499].contains(&status)
}

fn s3_records(org_path: &str, request: &S3Request) -> Vec<UsageRecord> {
    let billed = if is_billed(request.status, request.class) { "yes" } else { "no" };
    let with_bucket = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        let bucket = [("bucket", request.bucket.as_str())];
        bucket.iter().chain(pairs).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let record = |suffix: &str, meter: &str, count: u64, dimensions, attributes: String| UsageRecord {
        source: S3_SOURCE.to_owned(),
        record_id: format!("{}{suffix}", request.request_id),
        realm: request.realm,
        org: request.org,
        org_path: org_path.to_owned(),
        user: Some(request.user),
        meter: meter.to_owned(),
        resource: format!("{}/{}", request.bucket, request.key),
        dimensions,
        quantity: QuantityNano(i128::from(count) * base::decimal::NANO),
        start_us: request.at_us,
        end_us: request.at_us,
        kind: RecordKind::Usage,
        attributes,
    };
    let by_class =
        with_bucket(&[("billed", billed), ("class", request.class.code()), ("operation", &request.operation)]);
    let mut records = vec![record("", S3_REQUESTS, 1, by_class, attributes(request))];
    for (suffix, meter, bytes) in [(".in", S3_BYTES_IN, request.bytes_in), (".out", S3_BYTES_OUT, request.bytes_out)] {
        if bytes > 0 {
            records.push(record(suffix, meter, bytes, with_bucket(&[]), "{}".to_owned()));
        }
    }
    records
}

fn attributes(request: &S3Request) -> String {
    serde_json::json!({
        "access_key": request.access_key,
        "auth": request.auth,
        "account": request.account,
        "status": request.status,
        "error": request.error_code,
        "aborted": request.aborted,
        "bytes_in_wire": request.bytes_in_wire,
        "bytes_in": request.bytes_in,
        "bytes_out": request.bytes_out,
        "upstream_requests": request.upstream_requests,
        "duration_us": request.duration_us,
        "source_ip": request.source_ip,
        "user_agent": request.user_agent,
    })
    .to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::s3::AuthKind;
    use base::{OrgId, RealmId, RequestId, UserId};

    fn request() -> S3Request {
        S3Request {
            request_id: RequestId(9),
            at_us: 1_000_000_000_000_000,
            realm: RealmId(1),
            org: OrgId(2),
            user: UserId(3),
            access_key: "MHKEY".into(),
            auth: AuthKind::Header,
            account: None,
            mapping: None,
            bucket: "photos".into(),
            key: "a/b.jpg".into(),
            operation: "PutObject".into(),
            class: RequestClass::A,
            status: 200,
            error_code: String::new(),
            aborted: false,
            bytes_in_wire: 120,
            bytes_in: 100,
            bytes_out: 0,
            upstream_requests: 1,
            duration_us: 5,
            source_ip: "127.0.0.1".into(),
            user_agent: "aws-cli".into(),
            changes: vec![],
        }
    }

    fn mediated(request: S3Request) -> Vec<UsageRecord> {
        let raw = RawEvent::S3 { org_path: "/a/b/".into(), request: Box::new(request) };
        mediate(raw).unwrap()
    }

    #[test]
    fn a_put_gives_a_request_and_its_object_bytes() {
        let records = mediated(request());
        let meters: Vec<_> = records.iter().map(|r| (r.meter.as_str(), r.quantity.to_string())).collect();
        assert_eq!(meters, [("s3.requests", "1".to_owned()), ("s3.bytes_in", "100".to_owned())]);
        assert_eq!(
            records[0].dimensions_json(),
            r#"{"billed":"yes","bucket":"photos","class":"A","operation":"PutObject"}"#
        );
        assert_eq!(mediated(request()), records, "replay gives the same records");
    }

    #[test]
    fn refusals_and_server_errors_are_free() {
        for (status, billed) in [
            (200, true),
            (206, true),
            (304, true),
            (404, true),
            (412, true),
            (401, false),
            (403, false),
            (429, false),
            (499, false),
            (500, false),
            (503, false),
        ] {
            assert_eq!(is_billed(status, RequestClass::B), billed, "{status}");
        }
        assert!(!is_billed(204, RequestClass::Free));
    }

    #[test]
    fn bad_usage_names_the_field() {
        let good = mediated(request()).remove(0);
        let now = good.start_us;
        let check_field = |change: &dyn Fn(&mut UsageRecord), field: &str| {
            let mut record = good.clone();
            change(&mut record);
            assert_eq!(crate::record::check(&record, now).unwrap_err().field, field);
        };
        check_field(&|r| r.quantity.0 = -1, "quantity");
        check_field(&|r| r.quantity.0 = i128::MAX, "quantity");
        check_field(&|r| r.record_id.clear(), "id");
        check_field(&|r| r.source = "x".repeat(crate::record::SOURCE_LEN_MAX + 1), "source");
        check_field(&|r| r.meter = "S3 requests".into(), "type");
        check_field(&|r| r.start_us += 2 * AHEAD, "time");
        check_field(&|r| r.start_us = 0, "time");
        check_field(&|r| r.end_us -= 1, "end");
    }
    const AHEAD: i64 = crate::record::AHEAD_US_MAX;

    #[test]
    fn compact_form_round_trips_and_detects_damage() {
        for record in mediated(request()) {
            let mut bytes = Vec::new();
            record.write_compact(&mut bytes);
            assert_eq!(UsageRecord::read_compact(&bytes), Some(record));
            for length in 0..bytes.len() {
                assert_eq!(UsageRecord::read_compact(&bytes[..length]), None);
            }
        }
    }
}
