//! Work that nobody asks for: sealing, storage hours, compaction, sweeps.

use crate::authority::{App, SystemCx};
use crate::failure::Failure;
use base::JobId;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use store::jobs::{self, Job};
use store::{accounts, across};

/// The sealer runs this often; usage is on pages at most this much later.
const SEAL_EVERY: Duration = Duration::from_secs(2);
/// Other work is looked for this often.
const LOOK_EVERY: Duration = Duration::from_secs(20);
const LEASE_US: i64 = 10 * 60_000_000;
const DAY_US: i64 = 86_400_000_000;
/// Files that compaction replaced are kept for a week: operators can travel back so far.
const RETIRED_US: i64 = 7 * DAY_US;
/// Answers to retried writes are kept for thirty days.
const ANSWERS_US: i64 = 30 * DAY_US;

/// Runs the timers until `shutdown` ends.
pub async fn run(app: Arc<App>, shutdown: impl Future<Output = ()>) {
    tokio::pin!(shutdown);
    let mut seal = tokio::time::interval(SEAL_EVERY);
    let mut look = tokio::time::interval(LOOK_EVERY);
    seal.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let result = tokio::select! {
            () = &mut shutdown => return,
            _ = seal.tick() => app.lake.seal().await.map(drop).map_err(Failure::from),
            _ = look.tick() => look_around(&app).await,
        };
        if let Err(failure) = result {
            let cause = std::error::Error::source(&failure).map(ToString::to_string).unwrap_or_default();
            tracing::error!(%failure, cause, "background work failed; it is tried again");
        }
    }
}

/// One round: storage hours, compaction, due jobs.
///
/// # Errors
/// [`Failure`] of the first part that fails; the others are done in the next round.
pub async fn look_around(app: &Arc<App>) -> Result<(), Failure> {
    app.lake.tick_storage(app.now_us()).await?;
    app.lake.compact().await?;
    app.lake.expire(app.now_us() - RETIRED_US).await?;
    across::expire(&app.store, app.now_us(), app.now_us() - ANSWERS_US).await?;
    tend_trees(app).await?;
    queue_sweeps(app).await?;
    while work_once(app).await? {}
    Ok(())
}

/// What time does to the trees: rights that end, organisations that are buried, names that are forgotten.
///
/// # Errors
/// [`Failure`].
pub async fn tend_trees(app: &Arc<App>) -> Result<(), Failure> {
    for (realm, _) in across::realms(&app.store).await? {
        let cx = SystemCx::of_timer(app, realm);
        crate::admins::watch_endings(&cx).await?;
        crate::org_life::bury_due(&cx).await?;
        crate::people::forget_names(&cx).await?;
    }
    Ok(())
}

/// A sweep for each account and day.
async fn queue_sweeps(app: &Arc<App>) -> Result<(), Failure> {
    let now_us = app.now_us();
    for (realm, _) in across::realms(&app.store).await? {
        let cx = SystemCx::of_timer(app, realm);
        let mut tx = cx.read().await?;
        let linked = accounts::below(&mut tx, realm.root()).await?;
        drop(tx);
        if linked.is_empty() {
            continue;
        }
        let mut tx = cx.keep(realm.root()).await?;
        for account in linked {
            let job = Job {
                id: JobId(app.fresh()),
                org: account.org,
                kind: "sweep_account".to_owned(),
                unique_key: format!("sweep/{}", account.id),
                payload_json: serde_json::json!({ "account": account.id }).to_string(),
                due_us: now_us + DAY_US,
            };
            jobs::enqueue(&mut tx, &job).await?;
        }
        tx.commit().await?;
    }
    Ok(())
}

/// Claims and does one due job; says whether there was one.
///
/// # Errors
/// [`Failure`] when the queue itself fails; a failing job goes back into it.
pub async fn work_once(app: &Arc<App>) -> Result<bool, Failure> {
    let Some(job) = across::claim_job(&app.store, app.now_us(), LEASE_US).await? else { return Ok(false) };
    let cx = SystemCx::of_job(app, &job);
    let payload: serde_json::Value = serde_json::from_str(&job.payload_json)?;
    let result = match (job.kind.as_str(), payload["account"].as_str().and_then(|text| text.parse().ok())) {
        ("sweep_account", Some(account)) => crate::sources::sweep_by_job(&cx, account).await.map(drop),
        (kind, _) => Err(Failure::new(crate::Kind::Internal, format!("no worker knows {kind}"))),
    };
    let mut tx = cx.keep(job.org).await?;
    match result {
        Ok(()) => jobs::finish(&mut tx, job.id).await?,
        Err(failure) => {
            tracing::warn!(job = %job.id, kind = job.kind, %failure, "a job failed; it is tried again");
            let wait_us = 60_000_000 << job.attempts.min(6);
            jobs::fail(&mut tx, job.id, &failure.text, app.now_us() + wait_us).await?;
        }
    }
    tx.commit().await?;
    Ok(true)
}

/// Seals what waits, writes storage hours up to now: for the demo and for tests that look at figures.
///
/// # Errors
/// [`Failure`].
pub async fn settle(app: &Arc<App>) -> Result<(), Failure> {
    app.lake.tick_storage(app.now_us()).await?;
    Ok(())
}
