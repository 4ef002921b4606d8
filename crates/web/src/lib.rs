//! Faces for people and programs: the server-rendered console and the JSON API. They translate requests
//! into use cases of `app` and answers into pages or JSON; they decide nothing.

pub mod api;
mod auth;
pub mod charts;
pub mod console;
mod metrics;
mod problem;
pub mod scim;
mod server;
mod units;

use app::{App, Failure, Kind};
use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
pub use server::serve;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

/// What pages and answers need to know of the installation.
#[derive(Clone)]
pub struct Web {
    /// The application.
    pub app: Arc<App>,
    /// Reverse proxies that say whom they speak for.
    pub proxies: app::Proxies,
    /// Address of the S3 gateway as clients use it: `http://127.0.0.1:9000`.
    pub s3_url: String,
    /// Whether the console is reached by https: then cookies demand it.
    pub https: bool,
    /// Address of the console as people use it; empty: as each request names it.
    pub console_url: String,
}

/// The console at `/`, the API at `/v1`, SCIM at `/scim/v2`, health at `/livez` and `/readyz`.
pub fn router(web: Web) -> Router {
    Router::new()
        .merge(console::router().layer(middleware::from_fn_with_state(web.clone(), console::tried)))
        .merge(api::router())
        .merge(scim::router())
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/assets/meterhouse.css", get(style_sheet))
        .route("/assets/passkeys.js", get(passkey_script))
        .route("/docs/errors", get(errors_page))
        .route("/metrics", get(metrics::metrics))
        .route("/system", get(console::system))
        .fallback(unknown)
        .layer(middleware::from_fn_with_state(web.clone(), guard))
        .layer(middleware::from_fn_with_state(web.clone(), note_client))
        .with_state(web)
}

/// The page that a form's path belongs to: `/o/{org}/{page}`, with the one thing that the page is about if it
/// has one; the path itself outside of organisations.
fn page_of(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    let about_one = matches!(parts.get(3), Some(&("people" | "groups" | "policies")))
        && parts.get(4).is_some_and(|part| part.contains('_'));
    let parts = &parts[..parts.len().min(if about_one { 5 } else { 4 })];
    match path {
        _ if path.starts_with("/o/") => parts.join("/"),
        _ if path.starts_with("/me/factors") => "/me/factors".to_owned(),
        _ => path.to_owned(),
    }
}

/// An address as the value of a query.
fn encoded(address: &str) -> String {
    percent_encoding::utf8_percent_encode(address, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// An address that nothing answers to.
async fn unknown(uri: Uri) -> Response {
    let text = "There is nothing at this address. It may be mistyped, or what was here is gone.";
    let failure = Failure::new(Kind::NotFound, text);
    match uri.path().starts_with("/v1/") || uri.path().starts_with("/scim/") {
        true => problem::Problem(failure).into_response(),
        false => problem::PageFailure(failure).into_response(),
    }
}

async fn ready(State(web): State<Web>) -> Response {
    match web.app.ready().await {
        Ok(()) => "ready\n".into_response(),
        Err(failure) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {failure}\n")).into_response(),
    }
}

/// What each code of a problem means: where the `type` of an answer points.
async fn errors_page() -> impl IntoResponse {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], include_str!("../../../docs/errors.md"))
}

async fn style_sheet() -> impl IntoResponse {
    let headers = [(header::CONTENT_TYPE, "text/css; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("../assets/meterhouse.css"))
}

async fn passkey_script() -> impl IntoResponse {
    let headers =
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8"), (header::CACHE_CONTROL, "public, max-age=3600")];
    (headers, include_str!("../assets/passkeys.js"))
}

/// What pages may load. Only those that ask the browser for a passkey may run a script, and only ours.
const POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
const POLICY_WITH_SCRIPT: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Marks an answer whose page asks the browser for a passkey.
#[derive(Clone, Copy)]
pub(crate) struct WantsScript;

/// Browsers drop tabs from addresses: a `/`, a tab and `/host` would lead to another site.
fn is_crooked(location: &HeaderValue) -> bool {
    location.as_bytes().iter().any(u8::is_ascii_control)
}

/// The client's address, worked out once for each request.
#[derive(Clone, Copy)]
pub(crate) struct ClientAddress(pub(crate) Option<IpAddr>);

async fn note_client(State(web): State<Web>, mut request: Request<Body>, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let lines = request.headers().get_all(web.proxies.header()).iter();
    let address = peer.map(|peer| web.proxies.client(peer, lines.map(|line| line.to_str().unwrap_or("?"))));
    request.extensions_mut().insert(ClientAddress(address));
    next.run(request).await
}

/// Headers of every answer, and the check that a change comes from our own pages.
async fn guard(State(web): State<Web>, request: Request<Body>, next: Next) -> Response {
    let is_change = !matches!(*request.method(), axum::http::Method::GET | axum::http::Method::HEAD);
    let from_elsewhere =
        request.headers().get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    if is_change && from_elsewhere {
        return (StatusCode::FORBIDDEN, "a change must come from this site\n").into_response();
    }
    let is_asset = request.uri().path().starts_with("/assets/");
    let page = match request.uri().path_and_query() {
        Some(whole) if !is_change => encoded(whole.as_str()),
        _ => page_of(request.uri().path()),
    };
    let back = if is_change { encoded(&page) } else { page.clone() };
    let (parts, body) = request.into_parts();
    let asked = parts.clone();
    let mut response = next.run(Request::from_parts(parts, body)).await;
    if let Some(failed) = response.extensions_mut().remove::<problem::Failed>() {
        response = console::failed_page(&web, asked, response.status(), failed).await;
    } else if response.extensions().get::<problem::WantsSignIn>().is_some()
        && back != encoded("/")
        && let Some(value) = console::next_cookie(&web, &back)
    {
        response.headers_mut().append(header::SET_COOKIE, value);
    }
    if response.extensions().get::<problem::WantsProof>().is_some()
        && let Ok(value) = HeaderValue::from_str(&format!("/prove?next={page}"))
    {
        response.headers_mut().insert(header::LOCATION, value);
    }
    if response.headers().get(header::LOCATION).is_some_and(is_crooked) {
        response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/"));
    }
    let policy = if response.extensions().get::<WantsScript>().is_some() { POLICY_WITH_SCRIPT } else { POLICY };
    let headers = response.headers_mut();
    let fixed = [
        ("content-security-policy", policy),
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if web.https {
        // Two years, as browsers' preload lists want it.
        headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=63072000"));
    }
    if !is_asset && !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::page_of;

    #[test]
    fn a_form_belongs_to_a_page() {
        for (path, page) in [
            ("/o/org_1/people/usr_2/policies", "/o/org_1/people/usr_2"),
            ("/o/org_1/people/invite", "/o/org_1/people"),
            ("/o/org_1/settings/products", "/o/org_1/settings"),
            ("/o/org_1/sources/acc_1/test", "/o/org_1/sources"),
            ("/me/password", "/me/password"),
        ] {
            assert_eq!(page_of(path), page);
        }
    }
}
