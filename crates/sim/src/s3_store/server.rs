//! Accepts connections, checks each request and hands it to its operation.
//!
//! It never lets a request through before its signature is checked.

use super::bodies::{self, StoreBody};
use super::call::Call;
use super::refusal::{Answer, Refusal};
use super::{Shared, buckets, list, multipart, objects, signature, uploads};
use http::header::HeaderValue;
use http::request::Parts;
use http::{Method, Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until `stopped` resolves, then ends every connection.
pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let mut connections: JoinSet<()> = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, Arc::clone(&shared)));
                }
                Err(error) => {
                    tracing::warn!(%error, "s3 store cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    connections.shutdown().await;
}

async fn connection(stream: TcpStream, shared: Arc<Shared>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "s3 store could not set nodelay");
    }
    let service = service_fn(move |request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        async move { Ok::<Response<StoreBody>, Infallible>(answer(&shared, request).await) }
    });
    if let Err(error) = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "s3 store connection ended");
    }
}

async fn answer(shared: &Shared, request: Request<Incoming>) -> Response<StoreBody> {
    let number = shared.requests_seen.fetch_add(1, Ordering::Relaxed) + 1;
    let request_id = format!("{number:016X}");
    let (parts, mut body) = request.into_parts();
    let mut response = match respond(shared, &parts, &mut body).await {
        Ok(response) => response,
        Err(refusal) => {
            tracing::debug!(method = %parts.method, path = parts.uri.path(), code = refusal.code(), "s3 store refuses");
            bodies::drain(&parts.headers, &mut body).await;
            refusal.response(parts.uri.path(), &request_id)
        }
    };
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-amz-request-id", value);
    }
    response
}

async fn respond(shared: &Shared, parts: &Parts, body: &mut Incoming) -> Answer {
    if let Some(refusal) = shared.faults.due() {
        return Err(refusal);
    }
    let payload = signature::check(&shared.credentials, shared.world.now_us(), parts)?;
    let call = Call::new(parts, payload)?;
    match (call.bucket.is_empty(), call.key.is_empty()) {
        (true, true) if parts.method == Method::GET => Ok(buckets::list(shared)),
        (true, _) => Err(Refusal::not_implemented()),
        (false, true) => on_bucket(shared, &parts.method, &call, body).await,
        (false, false) => on_object(shared, &parts.method, &call, body).await,
    }
}

async fn on_bucket(shared: &Shared, method: &Method, call: &Call<'_>, body: &mut Incoming) -> Answer {
    match *method {
        Method::PUT => buckets::create(shared, call, body).await,
        Method::HEAD => buckets::head(shared, call),
        Method::DELETE => buckets::delete(shared, call),
        Method::GET if call.has("location") => buckets::location(shared, call),
        Method::GET if call.has("uploads") => uploads::list_uploads(shared, call),
        Method::GET => list::objects(shared, call),
        Method::POST if call.has("delete") => objects::delete_many(shared, call, body).await,
        _ => Err(Refusal::not_implemented()),
    }
}

async fn on_object(shared: &Shared, method: &Method, call: &Call<'_>, body: &mut Incoming) -> Answer {
    let of_upload = call.has("uploadId");
    if call.has("partNumber") && !(of_upload && *method == Method::PUT) {
        return Err(Refusal::not_implemented());
    }
    let is_copy = call.header("x-amz-copy-source").is_some();
    match *method {
        Method::PUT if of_upload && is_copy => multipart::copy_part(shared, call).await,
        Method::PUT if of_upload => multipart::put_part(shared, call, body).await,
        Method::PUT if is_copy => objects::copy(shared, call),
        Method::PUT => objects::put(shared, call, body).await,
        Method::GET if of_upload => uploads::list_parts(shared, call),
        Method::GET => objects::get(shared, call, true).await,
        Method::HEAD => objects::get(shared, call, false).await,
        Method::DELETE if of_upload => multipart::abort(shared, call),
        Method::DELETE => objects::delete(shared, call),
        Method::POST if call.has("uploads") => multipart::create(shared, call),
        Method::POST if of_upload => multipart::complete(shared, call, body).await,
        _ => Err(Refusal::not_implemented()),
    }
}
