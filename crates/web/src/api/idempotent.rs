//! Changes that can be sent again: `Idempotency-Key` on every POST, PUT, PATCH and DELETE.
//!
//! The same key with the same request gives the kept answer; with another request it is refused; while
//! the first one still runs, the second one is told to wait. Only success is kept. A secret is shown once
//! and never kept: a replay has every field but that one.
//!
//! A change runs in a task of its own, so that a client that leaves cannot part the work from the keeping of
//! its answer. Only the end of the process can.

use super::request::{Refused, read_json};
use crate::Web;
use crate::auth::Caller;
use crate::problem::Problem;
use app::sessions::SignedIn;
use app::{Cx, Failure, Kind, idempotency, preview, secrets};
use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::LengthLimitError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeSet;
use std::error::Error;
use std::future::Future;
use std::sync::Mutex;
use tokio::sync::RwLock;

/// The largest body: a batch of events.
pub(super) const BODY_BYTES_MAX: usize = 16 << 20;

/// The field of an answer that holds a secret, wherever there is one.
const SECRET_FIELD: &str = "secret";

/// A change as it was sent: by whom, and what.
pub(super) struct Change {
    signed_in: SignedIn,
    key: Option<String>,
    method: Method,
    target: String,
    headers: HeaderMap,
    body: String,
}

impl FromRequest<Web> for Change {
    type Rejection = Refused;
    async fn from_request(request: Request, web: &Web) -> Result<Self, Refused> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, web).await;
        let Caller(mut signed_in) = caller.map_err(Refused::Failed)?;
        if is_preview(&parts)? {
            signed_in.cx = signed_in.cx.previewing();
        }
        let unreadable = |_| Refused::malformed("Idempotency-Key", "Idempotency-Key: must be plain ASCII");
        let key = parts.headers.get("idempotency-key").map(|value| value.to_str().map(str::to_owned));
        let key = key.transpose().map_err(unreadable)?;
        let body = read_body(body, BODY_BYTES_MAX).await?;
        let target = parts.uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        Ok(Self { signed_in, key, method: parts.method, target, headers: parts.headers, body })
    }
}

/// Whether a query asks for what a change would do. Other names are the handler's.
fn is_preview(parts: &Parts) -> Result<bool, Refused> {
    let query = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri).map(|Query(names)| names).unwrap_or_default();
    let Some((_, value)) = query.into_iter().find(|(name, _)| name == "preview") else { return Ok(false) };
    value.parse().map_err(|_| Failure::invalid("preview", &value, "is neither true nor false").into())
}

/// Reads a body of text into memory.
pub(super) async fn read_body(body: axum::body::Body, bytes_max: usize) -> Result<String, Refused> {
    let bytes = to_bytes(body, bytes_max).await.map_err(|error| {
        if error.source().is_some_and(|source| source.is::<LengthLimitError>()) {
            let text = format!("body: has more than {bytes_max} bytes");
            return Refused::plain(StatusCode::PAYLOAD_TOO_LARGE, "too_large", "", text);
        }
        if crate::server::is_no_room(&error) {
            let text = "too many large requests are being read at this moment; try again";
            return Refused::from(Failure::new(Kind::Busy, text));
        }
        Refused::malformed("", "body: broke off")
    })?;
    String::from_utf8(Vec::from(bytes)).map_err(|_| Refused::malformed("", "body: is not UTF-8"))
}

impl Change {
    /// Who asks.
    pub(super) fn cx(&self) -> &Cx {
        &self.signed_in.cx
    }

    pub(super) fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(super) fn body(&self) -> &str {
        &self.body
    }

    /// The body as a type.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        read_json(&self.body)
    }

    /// Refuses a change of money that could not be sent again.
    pub(super) fn require_key(&self) -> Result<(), Refused> {
        if self.key.is_some() {
            return Ok(());
        }
        let text = "Idempotency-Key: is required here, so that a retry does nothing twice";
        Err(Refused::plain(StatusCode::BAD_REQUEST, "idempotency_key_required", "Idempotency-Key", text))
    }

    /// Does `work` unless its answer is known already; with `?preview=true` it is only tried, and the answer says whom it
    /// would give or take what.
    pub(super) async fn once<T: Serialize>(
        &self,
        status: StatusCode,
        work: impl Future<Output = Result<T, Refused>>,
    ) -> Result<Response, Refused> {
        if self.cx().preview.is_on() {
            let result = match work.await {
                Ok(_) => Ok(()),
                Err(Refused::Failed(problem)) => Err(problem.0),
                Err(refused) => return Err(refused),
            };
            let tried = preview::outcome(self.cx(), result).await?;
            return Ok(answer(StatusCode::OK, serde_json::to_string(&tried)?));
        }
        let Some(key) = &self.key else {
            return Ok(answer(status, serde_json::to_string(&work.await?)?));
        };
        let _running = Running::begin(format!("{} {key}", self.cx().user()))?;
        let request_hash = self.request_hash();
        if let Some((status, body)) = idempotency::replay(self.cx(), key, &request_hash).await? {
            let mut response = answer(StatusCode::from_u16(status).unwrap_or(StatusCode::OK), body);
            response.headers_mut().insert("idempotent-replayed", HeaderValue::from_static("true"));
            return Ok(response);
        }
        let found = work.await?;
        let body = serde_json::to_string(&found)?;
        let kept = without_secret(serde_json::to_value(&found)?).to_string();
        if let Err(failure) = idempotency::keep(self.cx(), key, &request_hash, status.as_u16(), &kept).await {
            // The work is done: saying that it failed would be wrong.
            tracing::error!(%failure, "an answer could not be kept for its Idempotency-Key");
        }
        Ok(answer(status, body))
    }

    fn request_hash(&self) -> String {
        let mut text = format!("{} {}\n", self.method, self.target);
        for (name, value) in &self.headers {
            if name == header::CONTENT_TYPE || name.as_str().starts_with("ce-") {
                text.push_str(&format!("{name}: {}\n", String::from_utf8_lossy(value.as_bytes())));
            }
        }
        text.push('\n');
        text.push_str(&self.body);
        secrets::hash(&text)
    }
}

fn without_secret(mut value: serde_json::Value) -> serde_json::Value {
    if let Some(fields) = value.as_object_mut() {
        fields.remove(SECRET_FIELD);
    }
    value
}

fn answer(status: StatusCode, body: String) -> Response {
    if status == StatusCode::NO_CONTENT {
        return status.into_response();
    }
    (status, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}

/// Changes that are not at their end yet hold it for reading.
static UNFINISHED: RwLock<()> = RwLock::const_new(());

/// Brings a change to its end, also when the client goes away and its connection is dropped.
pub(super) async fn to_the_end(request: Request, next: Next) -> Response {
    if request.method().is_safe() {
        return next.run(request).await;
    }
    let running = tokio::spawn(async move {
        let _unfinished = UNFINISHED.read().await;
        next.run(request).await
    });
    running.await.unwrap_or_else(|error| Problem::from(error).into_response())
}

/// Waits until every change that began is at its end.
pub(super) async fn all_at_their_end() {
    drop(UNFINISHED.write().await);
}

/// Keys whose requests run in this process.
static RUNNING: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());

/// Holds a key as long as its request runs.
struct Running(String);

impl Running {
    fn begin(name: String) -> Result<Self, Refused> {
        let taken = RUNNING.lock().is_ok_and(|mut running| running.insert(name.clone()));
        if taken {
            return Ok(Self(name));
        }
        let text = "a request with this Idempotency-Key still runs; ask again in a moment";
        Err(Refused::plain(StatusCode::CONFLICT, "still_running", "Idempotency-Key", text))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(mut running) = RUNNING.lock() {
            running.remove(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_not_kept() {
        let kept = without_secret(serde_json::json!({ "key_id": "MH1", "secret": "s3cr3t" }));
        assert_eq!(kept, serde_json::json!({ "key_id": "MH1" }));
    }

    #[test]
    fn a_key_runs_once_at_a_time() {
        let first = Running::begin("usr_1 test-a".to_owned());
        assert!(first.is_ok());
        assert!(Running::begin("usr_1 test-a".to_owned()).is_err());
        assert!(Running::begin("usr_2 test-a".to_owned()).is_ok());
        drop(first);
        assert!(Running::begin("usr_1 test-a".to_owned()).is_ok());
    }
}
