//! How the installation is, for the operator at the machine: metrics for Prometheus. They and the page `/system` speak
//! of all realms, so only this machine is answered, and never through a proxy.

use crate::Web;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};
use std::net::SocketAddr;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct OfPart {
    part: String,
}

/// Only the machine itself, and nobody through a proxy on it.
pub(crate) fn is_operator(web: &Web, request: &Request) -> bool {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
    peer.is_some_and(|peer| peer.is_loopback()) && !request.headers().contains_key(web.proxies.header())
}

pub(crate) fn elsewhere() -> Response {
    (StatusCode::NOT_FOUND, "not found\n").into_response()
}

/// `/metrics`: text for Prometheus. No organisation is named.
pub(crate) async fn metrics(State(web): State<Web>, request: Request) -> Response {
    if !is_operator(&web, &request) {
        return elsewhere();
    }
    let mut registry = Registry::with_prefix("meterhouse");
    let now_us = web.app.world().now_us();
    let of = |part: &str| OfPart { part: part.to_owned() };
    let seconds = |at_us: Option<i64>| at_us.map(|at_us| (now_us - at_us) / 1_000_000);
    let family = Family::<OfPart, Gauge>::default;
    let (since, failing, failures, runs) = (family(), family(), family(), family());
    for (name, part) in web.app.health().parts() {
        since.get_or_create(&of(&name)).set(seconds(part.succeeded_us).unwrap_or(-1));
        failing.get_or_create(&of(&name)).set(seconds(part.failing_us).unwrap_or(0));
        failures.get_or_create(&of(&name)).set(part.failures.into());
        runs.get_or_create(&of(&name)).set(i64::try_from(part.runs).unwrap_or(i64::MAX));
    }
    let (damaged, waiting) = (Gauge::<i64>::default(), Gauge::<i64>::default());
    damaged.set(i64::try_from(web.app.damaged().len()).unwrap_or(i64::MAX));
    waiting.set(i64::try_from(web.app.waiting_bytes()).unwrap_or(i64::MAX));
    let lag = "Time since a background part last did its work; -1 if it never did";
    registry.register_with_unit("part_lag", lag, Unit::Seconds, since);
    registry.register_with_unit("part_failing", "Since when a part fails; 0 if it does not", Unit::Seconds, failing);
    registry.register("part_failures", "Failures of a part in a row", failures);
    registry.register("part_runs", "How often a part was done since the start", runs);
    registry.register("usage_files_damaged", "Usage files that are not what was written: alert if not 0", damaged);
    registry.register_with_unit("inbox_waiting", "Events that wait to be sealed", Unit::Bytes, waiting);
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => {
            let media = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ([(header::CONTENT_TYPE, media)], text).into_response()
        }
        Err(_) => (StatusCode::INTERNAL_SERVER_ERROR, "cannot be written\n").into_response(),
    }
}
