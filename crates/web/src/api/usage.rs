//! Meters, events from outside, usage and what could not be counted.

use super::bodies::NewMeter;
use super::figures::{Held, Meter, Span, Taken, UsagePage, UsageRow};
use super::idempotent::Change;
use super::models::List;
use super::request::{Answer, Asked, ListAsked, Refused, id, page, parsed};
use crate::auth::Caller;
use app::usage::Question;
use app::{Cx, Failure, Kind, events, orgs, usage};
use axum::Json;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use base::OrgId;
use base::period::format_instant;
use percent_encoding::percent_decode_str;
use serde::Deserialize;
use std::borrow::Cow;

/// What a body of events may be.
const CONTENT_TYPES: [&str; 4] =
    ["application/cloudevents+json", "application/cloudevents-batch+json", "application/x-ndjson", "application/json"];

/// Lists the gateway's meters and the realm's own.
#[utoipa::path(get, path = "/v1/meters", params(ListAsked), responses((status = 200, body = List<Meter>)))]
pub(super) async fn list_meters(Caller(me): Caller, Asked(asked): Asked<ListAsked>) -> Answer<List<Meter>> {
    let rows = events::meters(&me.cx).await?.into_iter().map(Meter::from).collect();
    Ok(Json(page(rows, &asked, |meter| meter.code.clone())?))
}

/// Defines a meter for one's own events. Defining the same meter again changes nothing.
#[utoipa::path(post, path = "/v1/meters", request_body = NewMeter, responses((status = 201, body = Meter)))]
pub(super) async fn define_meter(change: Change) -> Result<Response, Refused> {
    let NewMeter { code, unit, aggregation, dimensions } = change.json()?;
    let meter = metering::Meter { code, unit, aggregation, dimensions };
    let work = async {
        events::define_meter(change.cx(), meter.clone()).await?;
        Ok(Meter::from(meter))
    };
    change.once(StatusCode::CREATED, work).await
}

/// Takes usage as CloudEvents for the caller's highest organisation and those below it.
///
/// One event, a batch or lines of events, or one event in binary mode with `ce-` headers. The answer says
/// how many are on disk now, and which were refused and why: the others stand.
#[utoipa::path(
    post,
    path = "/v1/events",
    request_body(
        description = "CloudEvents 1.0: `type` is the meter, `subject` the organisation, `data.quantity` a decimal string",
        content(
            ("application/cloudevents+json"),
            ("application/cloudevents-batch+json"),
            ("application/x-ndjson"),
            ("application/json")
        )
    ),
    responses((status = 202, body = Taken))
)]
pub(super) async fn send_events(change: Change) -> Result<Response, Refused> {
    let org = highest_org(change.cx()).await?;
    take(&change, org).await
}

/// Takes usage as CloudEvents for an organisation and those below it.
#[utoipa::path(
    post,
    path = "/v1/orgs/{org}/events",
    request_body(
        description = "As for /v1/events",
        content(
            ("application/cloudevents+json"),
            ("application/cloudevents-batch+json"),
            ("application/x-ndjson"),
            ("application/json")
        )
    ),
    responses((status = 202, body = Taken))
)]
pub(super) async fn send_events_to(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org: OrgId = id(&org, "organisation")?;
    take(&change, org).await
}

async fn highest_org(cx: &Cx) -> Result<OrgId, Failure> {
    let mine = orgs::mine(cx).await?;
    let none = || Failure::new(Kind::Forbidden, "you have no role at any organisation");
    mine.first().map(|mine| mine.org.id).ok_or_else(none)
}

async fn take(change: &Change, org: OrgId) -> Result<Response, Refused> {
    let (media, body) = events_of(change.headers(), change.body())?;
    let work = async { Ok(Taken::from(events::ingest(change.cx(), org, &media, &body).await?)) };
    change.once(StatusCode::ACCEPTED, work).await
}

/// Content type and body as the event reader wants them.
fn events_of<'a>(headers: &HeaderMap, body: &'a str) -> Result<(String, Cow<'a, str>), Refused> {
    if headers.contains_key("ce-specversion") {
        return Ok((CONTENT_TYPES[0].to_owned(), Cow::Owned(structured(headers, body)?)));
    }
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if CONTENT_TYPES.contains(&media.as_str()) {
        return Ok((media, Cow::Borrowed(body)));
    }
    let text = format!("Content-Type: {media:?} is not one of {}", CONTENT_TYPES.join(", "));
    Err(Refused::plain(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "Content-Type", text))
}

/// An event in binary mode, attributes in headers and data in the body, as one JSON text.
fn structured(headers: &HeaderMap, body: &str) -> Result<String, Refused> {
    let data: serde_json::Value =
        serde_json::from_str(body).map_err(|error| Refused::malformed("data", format!("data: {error}")))?;
    let mut event = serde_json::Map::new();
    for (name, value) in headers {
        let Some(attribute) = name.as_str().strip_prefix("ce-") else { continue };
        let text = value.to_str().ok().and_then(|text| percent_decode_str(text).decode_utf8().ok());
        let Some(text) = text else {
            return Err(Refused::malformed(name.as_str(), format!("{name}: is not percent-encoded UTF-8")));
        };
        event.insert(attribute.to_owned(), serde_json::Value::from(text.into_owned()));
    }
    event.insert("data".to_owned(), data);
    Ok(serde_json::Value::Object(event).to_string())
}

/// A question about usage.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct UsageAsked {
    /// `2026-10`; the current month if left out.
    month: Option<String>,
    /// Only this meter.
    meter: Option<String>,
    /// Only this user.
    user: Option<String>,
    /// What is kept apart, joined by commas: `org`, `user`, `dimensions`.
    by: Option<String>,
    /// Whether the month is cut into local days.
    #[serde(default)]
    daily: bool,
    /// Rows of a page: 50 if left out, 1,000 at most.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

fn question_of(asked: &UsageAsked) -> Result<Question, Failure> {
    let mut question = Question {
        month: asked.month.clone(),
        user: asked.user.as_deref().map(|text| parsed("user", text)).transpose()?,
        meter: asked.meter.clone(),
        by: Default::default(),
        daily: asked.daily,
    };
    for word in asked.by.iter().flat_map(|words| words.split(',')).filter(|word| !word.is_empty()) {
        match word {
            "org" => question.by.org = true,
            "user" => question.by.user = true,
            "dimensions" => question.by.dimensions = true,
            other => return Err(Failure::invalid("by", other, "is not one of org, user, dimensions")),
        }
    }
    Ok(question)
}

/// Gives the usage of an organisation and everything below it.
///
/// Who may see only their own usage gets their own, with `scope` `own`; 403 for somebody else's.
#[utoipa::path(get, path = "/v1/orgs/{org}/usage", params(UsageAsked), responses((status = 200, body = UsagePage)))]
pub(super) async fn ask_usage(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<UsageAsked>,
) -> Answer<UsagePage> {
    let found = usage::ask(&me.cx, id(&org, "organisation")?, question_of(&asked)?).await?;
    let rows = found.rows.into_iter().map(UsageRow::from).collect();
    let part = ListAsked { limit: asked.limit, cursor: asked.cursor };
    let List { data, next_cursor, has_more } = page(rows, &part, |row: &UsageRow| {
        let dimensions = row.dimensions.as_ref().map(ToString::to_string);
        format!("{:?} {:?} {} {dimensions:?} {}", row.org, row.user, row.meter, row.from)
    })?;
    let period = Span {
        start: format_instant(found.period.start_us),
        end: format_instant(found.period.end_us),
        label: found.period_name,
        zone: found.zone.name().to_owned(),
    };
    let through = format_instant(found.through_us);
    let scope = found.scope.code().to_owned();
    Ok(Json(UsagePage { period, scope, through, watermark: found.watermark, data, next_cursor, has_more }))
}

/// Lists usage of an organisation and below that could not be counted, newest first.
#[utoipa::path(
    get,
    path = "/v1/orgs/{org}/quarantine",
    params(ListAsked),
    responses((status = 200, body = List<Held>))
)]
pub(super) async fn list_quarantine(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<Held>> {
    let rows = usage::quarantine::list(&me.cx, id(&org, "organisation")?).await?.into_iter().map(Held::from).collect();
    let key = |held: &Held| format!("{} {} {} {}", held.received_at, held.source, held.record_id, held.value);
    Ok(Json(page(rows, &asked, key)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|&(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn binary_mode_becomes_one_text() {
        let sent = headers(&[
            ("content-type", "application/json"),
            ("ce-specversion", "1.0"),
            ("ce-id", "e%201"),
            ("ce-source", "/vm"),
            ("ce-type", "vm.hours"),
        ]);
        let Ok((media, body)) = events_of(&sent, r#"{"quantity":"1.5"}"#) else { panic!("a good event") };
        assert_eq!(media, "application/cloudevents+json");
        let event: serde_json::Value = serde_json::from_str(&body).unwrap();
        let want = serde_json::json!({
            "specversion": "1.0", "id": "e 1", "source": "/vm", "type": "vm.hours", "data": { "quantity": "1.5" }
        });
        assert_eq!(event, want);
        assert!(events_of(&sent, "1.5 hours").is_err());
    }

    #[test]
    fn only_events_are_taken() {
        let check = |media: &'static str| events_of(&headers(&[("content-type", media)]), "{}").is_ok();
        assert!(check("application/cloudevents+json; charset=UTF-8"));
        assert!(check("application/x-ndjson"));
        assert!(!check("application/x-www-form-urlencoded"));
        assert!(!check(""));
    }

    #[test]
    fn what_is_kept_apart_is_named() {
        let asked = |by: &str| UsageAsked {
            month: None,
            meter: None,
            user: None,
            by: Some(by.to_owned()),
            daily: false,
            limit: None,
            cursor: None,
        };
        let question = question_of(&asked("org,dimensions")).unwrap();
        assert!(question.by.org && question.by.dimensions && !question.by.user);
        assert_eq!(question_of(&asked("team")).unwrap_err().field, "by");
    }
}
