//! Work that nobody asks for: sealing, storage hours, compaction, sweeps.
//!
//! Each part runs beside the others, with its own pace, its own time limit and its own patience after failures: none
//! can hold another, and within a part no realm and no job can hold another one.

use crate::authority::{App, SystemCx};
use crate::failure::{Failure, Kind};
use base::{JobId, RealmId};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use store::across::Claimed;
use store::jobs;
use store::{accounts, across};
use tokio::task::JoinSet;

const LEASE_US: i64 = 10 * 60_000_000;
const DAY_US: i64 = 86_400_000_000;
/// Files that compaction replaced are kept for a week: operators can travel back so far.
const RETIRED_US: i64 = 7 * DAY_US;
/// Answers to retried writes are kept for thirty days.
const ANSWERS_US: i64 = 30 * DAY_US;
/// The longest pause after failures.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Jobs that are worked on at once: one that hangs leaves room for the others.
const JOBS_MAX: usize = 8;
/// A job takes at most so long.
const JOB_MAX: Duration = Duration::from_secs(6 * 3_600);
/// A job's lease is renewed so often while it is worked on.
const RENEW_EVERY: Duration = Duration::from_secs(180);

type Work<'a> = Pin<Box<dyn Future<Output = Result<(), Failure>> + Send + 'a>>;

/// A part of the background work.
struct Part {
    name: &'static str,
    every: Duration,
    /// It takes at most so long.
    limit: Duration,
    work: for<'a> fn(&'a Arc<App>) -> Work<'a>,
}

const fn part(name: &'static str, every_s: u64, limit_s: u64, work: for<'a> fn(&'a Arc<App>) -> Work<'a>) -> Part {
    Part { name, every: Duration::from_secs(every_s), limit: Duration::from_secs(limit_s), work }
}

/// All parts but the jobs, which are taken one by one. Usage is on pages at most as late as it is sealed.
const PARTS: [Part; 8] = [
    part("seal", 2, 600, |app| Box::pin(seal(app))),
    part("heartbeat", 5, 10, |app| Box::pin(heartbeat(app))),
    part("storage_hours", 20, 600, |app| Box::pin(storage_hours(app))),
    part("compaction", 20, 3_600, |app| Box::pin(compaction(app))),
    part("expiry", 60, 300, |app| Box::pin(expiry(app))),
    part("trees", 20, 600, |app| Box::pin(tend_trees(app))),
    part("sweeps_due", 20, 60, |app| Box::pin(queue_sweeps(app))),
    part("scrub", 60, 3_600, |app| Box::pin(scrub(app))),
];

async fn seal(app: &Arc<App>) -> Result<(), Failure> {
    Ok(app.lake.seal().await.map(drop)?)
}

async fn heartbeat(app: &Arc<App>) -> Result<(), Failure> {
    Ok(across::heartbeat(&app.store, app.now_us()).await?)
}

async fn storage_hours(app: &Arc<App>) -> Result<(), Failure> {
    Ok(app.lake.tick_storage(app.now_us()).await.map(drop)?)
}

async fn compaction(app: &Arc<App>) -> Result<(), Failure> {
    Ok(app.lake.compact().await.map(drop)?)
}

async fn expiry(app: &Arc<App>) -> Result<(), Failure> {
    app.lake.expire(app.now_us() - RETIRED_US).await?;
    Ok(across::expire(&app.store, app.now_us(), app.now_us() - ANSWERS_US).await?)
}

async fn scrub(app: &Arc<App>) -> Result<(), Failure> {
    Ok(app.lake.scrub().await.map(drop)?)
}

/// Runs the parts until `shutdown` ends.
pub async fn run(app: Arc<App>, shutdown: impl Future<Output = ()>) {
    let mut running = JoinSet::new();
    for part in &PARTS {
        running.spawn(repeat(app.clone(), part));
    }
    running.spawn(work_jobs(app));
    shutdown.await;
    // What is cut off is done again: every part is repeatable.
    running.shutdown().await;
}

async fn repeat(app: Arc<App>, part: &'static Part) {
    loop {
        let failures = once(&app, part).await;
        // Twice as long after each failure, so that what is down is not hammered.
        let pause = part.every.saturating_mul(1 << failures.min(6)).min(PAUSE_MAX.max(part.every));
        tokio::time::sleep(pause).await;
    }
}

/// Does a part once, within its time; gives how often it has failed in a row.
async fn once(app: &Arc<App>, part: &'static Part) -> u32 {
    app.health.begins(part.name, app.now_us());
    let done = tokio::time::timeout(part.limit, (part.work)(app)).await;
    let failure = match done {
        Ok(Ok(())) => {
            app.health.succeeded(part.name, app.now_us());
            return 0;
        }
        Ok(Err(failure)) => failure,
        Err(_) => Failure::new(Kind::Busy, format!("did not end within {} s", part.limit.as_secs())),
    };
    let error = told(&failure);
    let failures = app.health.failed(part.name, app.now_us(), &error);
    tracing::error!(part = part.name, failures, error, "background work failed; it is tried again");
    failures
}

/// A failure with its cause, for the operator.
fn told(failure: &Failure) -> String {
    match std::error::Error::source(failure) {
        Some(cause) => format!("{failure} ({cause})"),
        None => failure.to_string(),
    }
}

/// One round of everything, for tests and the demo.
///
/// # Errors
/// [`Failure`] of the first part that failed; the others were done all the same.
pub async fn look_around(app: &Arc<App>) -> Result<(), Failure> {
    let mut first = None;
    for part in &PARTS {
        if let Err(failure) = (part.work)(app).await {
            first = first.or(Some(failure));
        }
    }
    while work_once(app).await? {}
    first.map_or(Ok(()), Err)
}

/// Does something for every realm: one that fails keeps no other waiting.
async fn for_each_realm<F, W>(app: &Arc<App>, what: &'static str, work: F) -> Result<(), Failure>
where
    F: Fn(SystemCx) -> W,
    W: Future<Output = Result<(), Failure>>,
{
    let mut first = None;
    for (realm, _) in across::realms(&app.store).await? {
        if let Err(failure) = work(SystemCx::of_timer(app, realm)).await {
            tracing::error!(%realm, what, error = told(&failure), "work for a realm failed; the others go on");
            first = first.or(Some(failure));
        }
    }
    first.map_or(Ok(()), Err)
}

/// What time does to the trees: rights that end, organisations that are buried, names that are forgotten.
///
/// # Errors
/// [`Failure`] of the first realm that failed.
pub async fn tend_trees(app: &Arc<App>) -> Result<(), Failure> {
    for_each_realm(app, "trees", |cx| async move {
        let ended = crate::admins::watch_endings(&cx).await;
        let buried = crate::org_life::bury_due(&cx).await;
        let forgotten = crate::people::forget_names(&cx).await;
        let told = crate::security::tell(&cx).await;
        ended.and(buried).and(forgotten).and(told)
    })
    .await
}

/// A sweep for each account and day.
async fn queue_sweeps(app: &Arc<App>) -> Result<(), Failure> {
    for_each_realm(app, "sweeps", |cx| async move { queue_sweeps_of(&cx).await }).await
}

async fn queue_sweeps_of(cx: &SystemCx) -> Result<(), Failure> {
    let realm: RealmId = cx.realm();
    let mut tx = cx.read().await?;
    let linked = accounts::below(&mut tx, realm.root()).await?;
    drop(tx);
    if linked.is_empty() {
        return Ok(());
    }
    let mut tx = cx.keep(realm.root()).await?;
    for account in linked {
        let id = JobId(cx.app().fresh());
        let job = crate::sweep::job_of(id, (account.id, account.org), cx.now_us() + DAY_US);
        jobs::enqueue(&mut tx, &job).await?;
    }
    Ok(tx.commit().await?)
}

/// Takes due jobs, several at once, each with its own time.
async fn work_jobs(app: Arc<App>) {
    let mut working = JoinSet::new();
    loop {
        while working.len() < JOBS_MAX {
            app.health.begins("jobs", app.now_us());
            match across::claim_job(&app.store, app.now_us(), LEASE_US).await {
                Ok(Some(job)) => {
                    let app = app.clone();
                    working.spawn(async move { work_at(&app, job).await });
                }
                Ok(None) => {
                    app.health.succeeded("jobs", app.now_us());
                    break;
                }
                Err(error) => {
                    app.health.failed("jobs", app.now_us(), &error.to_string());
                    tracing::error!(%error, "due jobs cannot be read; it is tried again");
                    break;
                }
            }
        }
        tokio::select! {
            Some(_) = working.join_next() => {}
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
        }
    }
}

/// Claims and does one due job; says whether there was one.
///
/// # Errors
/// [`Failure`] when the queue itself fails; a failing job goes back into it.
pub async fn work_once(app: &Arc<App>) -> Result<bool, Failure> {
    let Some(job) = across::claim_job(&app.store, app.now_us(), LEASE_US).await? else { return Ok(false) };
    settle_job(app, &job, do_job(app, &job).await).await?;
    Ok(true)
}

/// Works at a claimed job, and holds on to it meanwhile.
async fn work_at(app: &Arc<App>, job: Claimed) {
    let cx = SystemCx::of_job(app, &job);
    let hold = async {
        loop {
            tokio::time::sleep(RENEW_EVERY).await;
            let renewed = async {
                let mut tx = cx.keep(job.org).await?;
                jobs::renew(&mut tx, job.id, app.now_us() + LEASE_US).await?;
                Ok::<_, Failure>(tx.commit().await?)
            };
            if let Err(failure) = renewed.await {
                tracing::warn!(job = %job.id, error = told(&failure), "a job's lease cannot be renewed");
            }
        }
    };
    let done = tokio::select! {
        done = tokio::time::timeout(JOB_MAX, do_job(app, &job)) => done,
        () = hold => unreachable!("it never ends"),
    };
    let late = || Err(Failure::new(Kind::Busy, format!("did not end within {} s", JOB_MAX.as_secs())));
    if let Err(failure) = settle_job(app, &job, done.unwrap_or_else(|_| late())).await {
        // Its lease ends by itself, then it is done once more.
        tracing::error!(job = %job.id, error = told(&failure), "the end of a job cannot be noted");
    }
}

async fn do_job(app: &Arc<App>, job: &Claimed) -> Result<(), Failure> {
    let cx = SystemCx::of_job(app, job);
    let payload: serde_json::Value = serde_json::from_str(&job.payload_json)?;
    match (job.kind.as_str(), payload["account"].as_str().and_then(|text| text.parse().ok())) {
        ("sweep_account", Some(account)) => crate::sweep::sweep_by_job(&cx, account).await.map(drop),
        (kind, _) => Err(Failure::new(Kind::Internal, format!("no worker knows {kind}"))),
    }
}

async fn settle_job(app: &Arc<App>, job: &Claimed, result: Result<(), Failure>) -> Result<(), Failure> {
    let mut tx = SystemCx::of_job(app, job).keep(job.org).await?;
    match result {
        Ok(()) => jobs::finish(&mut tx, job.id).await?,
        Err(failure) => {
            tracing::warn!(job = %job.id, kind = job.kind, error = told(&failure), "a job failed; it is tried again");
            let wait_us = 60_000_000 << job.attempts.min(6);
            jobs::fail(&mut tx, job.id, &failure.text, app.now_us() + wait_us).await?;
        }
    }
    Ok(tx.commit().await?)
}

/// Seals what waits, writes storage hours up to now: for the demo and for tests that look at figures.
///
/// # Errors
/// [`Failure`].
pub async fn settle(app: &Arc<App>) -> Result<(), Failure> {
    storage_hours(app).await
}
