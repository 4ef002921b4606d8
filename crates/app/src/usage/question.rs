//! Usage as people look at it, and the way from a figure to its records.

use crate::authority::{Cx, Span};
use crate::failure::{Failure, Kind};
use access::Action;
use base::{OrgId, Period, UserId};
use lake::{Buckets, GroupBy, RollUp, RolledUp};
use std::collections::BTreeSet;
use store::orgs;

/// A question about usage.
#[derive(Debug, Clone)]
pub struct Question {
    /// `2026-10`; the current month if left out.
    pub month: Option<String>,
    /// Only this user.
    pub user: Option<UserId>,
    /// Only this meter.
    pub meter: Option<String>,
    /// Keep organisations, users, dimensions apart.
    pub by: GroupBy,
    /// Cut into local days.
    pub daily: bool,
}

/// Whose usage an answer holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's, at the organisation and everything below it.
    Below,
    /// Everybody's, at those of these organisations that the caller may see; there are others.
    Part,
    /// The caller's own.
    Own,
}

impl Scope {
    /// The word sent.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Below => "below",
            Self::Part => "part",
            Self::Own => "own",
        }
    }
}

/// Usage with the month it belongs to and how far the data reach.
#[derive(Debug, Clone)]
pub struct Usage {
    /// Whose it is.
    pub scope: Scope,
    /// The month.
    pub period: Period,
    /// Its name.
    pub period_name: String,
    /// Calendar of it.
    pub zone: base::Zone,
    /// Everything up to this instant is in it.
    pub through_us: i64,
    /// Batch up to which it is counted.
    pub watermark: i64,
    /// The rows.
    pub rows: Vec<RolledUp>,
}

/// Usage of `org` and everything below it. Who may see only their own usage gets their own, and the answer says so:
/// what may not be seen is never a zero.
///
/// # Errors
/// [`Failure`]; [`Kind::Forbidden`] for the usage of somebody else that may not be seen.
pub async fn ask(cx: &Cx, org: OrgId, mut question: Question) -> Result<Usage, Failure> {
    let only_own = !cx.may(Action::UsageRead, org).await && cx.may(Action::UsageReadOwn, org).await;
    let (grant, span) = if only_own {
        (cx.allow(Action::UsageReadOwn, org).await?, Span::Below)
    } else {
        cx.span(Action::UsageRead, org).await?
    };
    if only_own && question.user.is_some_and(|user| user != cx.user()) {
        return Err(Failure::new(Kind::Forbidden, "you may see only your own usage here"));
    }
    if only_own {
        question.user = Some(cx.user());
    }
    let scope = match (only_own, &span) {
        (true, _) => Scope::Own,
        (false, Span::Below) => Scope::Below,
        (false, Span::Only(_)) => Scope::Part,
    };
    let mut tx = cx.read_with(&grant).await?;
    let home = orgs::get(&mut tx, org).await?;
    let mut below: BTreeSet<OrgId> = orgs::subtree(&mut tx, org).await?.into_iter().map(|org| org.id).collect();
    below.retain(|org| span.has(*org));
    drop(tx);
    let period = match &question.month {
        Some(month) => Period::month(month, &home.zone).map_err(|error| Failure::unreadable("month", error))?,
        None => Period::month_of(cx.now_us(), &home.zone)?,
    };
    let buckets = if question.daily {
        Buckets::At(period.days(&home.zone)?.iter().map(|day| day.start_us).collect())
    } else {
        Buckets::Whole
    };
    let through_us = cx.now_us().min(period.end_us);
    cx.app.lake.seal().await?;
    let watermark = cx.app.lake.watermark().await?;
    let rows = cx
        .app
        .lake
        .roll_up(RollUp {
            realm: cx.realm,
            orgs: Some(below),
            user: question.user,
            meters: question.meter.into_iter().collect(),
            period,
            as_of: Some(watermark),
            by: question.by,
            buckets,
        })
        .await?;
    let period_name = period.month_name(&home.zone);
    Ok(Usage { scope, period, period_name, zone: home.zone, through_us, watermark, rows })
}
