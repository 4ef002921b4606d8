//! `/system`: how the background parts and the usage files are, for the operator at the machine.

use super::frame::{Answer, Page, show};
use crate::Web;
use crate::metrics::{elsewhere, is_operator};
use askama::Template;
use axum::extract::{Request, State};
use base::Zone;

#[derive(Template)]
#[template(path = "console/system.html")]
struct SystemPage {
    page: Page,
    parts: Vec<PartRow>,
    damaged: Vec<DamagedRow>,
    waiting_bytes: u64,
}

struct PartRow {
    name: String,
    is_failing: bool,
    succeeded: String,
    failed: String,
    error: String,
}

struct DamagedRow {
    path: String,
    reason: String,
    records: i64,
}

pub(crate) async fn system(State(web): State<Web>, request: Request) -> Answer {
    if !is_operator(&web, &request) {
        return Ok(elsewhere());
    }
    let instant = |at_us: Option<i64>| at_us.map(|at_us| Zone::utc().time_of(at_us)).unwrap_or_default();
    let parts = web.app.health().parts().into_iter().map(|(name, part)| PartRow {
        name: name.replace('_', " "),
        is_failing: part.failing_us.is_some(),
        succeeded: instant(part.succeeded_us),
        failed: instant(part.failed_us),
        error: part.error,
    });
    let damaged = web.app.damaged().into_iter();
    show(&SystemPage {
        page: Page::bare("System"),
        parts: parts.collect(),
        damaged: damaged
            .map(|file| DamagedRow { path: file.path, reason: file.reason, records: file.records })
            .collect(),
        waiting_bytes: web.app.waiting_bytes(),
    })
}
