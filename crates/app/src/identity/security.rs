//! What happens at the door, in the audit log of the home organisation of whoever it concerns.
//!
//! Failed tries are counted in a row for each account, address and hour, and become one entry when the hour is over:
//! an attack writes a few entries a day, not thousands. A delay is written at once, the first time in an hour; so is a
//! sign-in after failures, and one from an address that is new. An address that nobody has belongs to no organisation:
//! tries of it stand in the program's log only.

use crate::authority::{App, Change, Cx, Door, SystemCx};
use crate::failure::Failure;
use crate::throttle::{Client, Pass, Source, Try, Wait};
use access::Action;
use base::{RealmId, UserId};
use std::sync::Arc;
use store::Tx;
use store::across::KNOWN_ADDRESS_US;
use store::audit::{self, AuditEvent};
use store::known_addresses;
use store::sign_in_trouble::{self as troubles, Kind, Trouble};
use store::users::{self, User};

const HOUR_US: i64 = 3_600_000_000;
const DAY_US: i64 = 24 * HOUR_US;
/// Entries of one round.
const ROUND_MAX: i64 = 1_000;
/// Entries that somebody is shown about themselves.
const SHOWN_MAX: i64 = 100;

/// Acts that somebody is shown about their own account, by whoever did them.
const ABOUT_ME: [&str; 16] = [
    "session.begin",
    "session.end",
    "sign_in.failed",
    "sign_in.delayed",
    "sign_in.after_failures",
    "user.change_password",
    "user.reset_link",
    "user.reset",
    "user.suspend",
    "user.resume",
    "factor.add",
    "factor.remove",
    "recovery_code.use",
    "recovery_code.renew",
    "passkey.counter_fell",
    "break_glass.use",
];

fn hour_of(now_us: i64) -> i64 {
    now_us.div_euclid(HOUR_US) * HOUR_US
}

/// Whether an address is known to be one of these accounts'. Nobody is at an address that nobody can name.
pub(crate) async fn is_known(app: &Arc<App>, accounts: &[(RealmId, User)], client: &Client) -> Result<bool, Failure> {
    let (address, since_us) = (client.source().to_string(), app.now_us() - KNOWN_ADDRESS_US);
    for (realm, user) in accounts {
        let mut tx = Door::at(app, *realm).read().await?;
        if known_addresses::is_known(&mut tx, user.id, &address, since_us).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Counts a wrong password or code for every account that was meant. What cannot be written changes no answer: it was
/// wrong.
pub(crate) async fn failed(app: &Arc<App>, accounts: &[(RealmId, User)], client: &Client, kind: Kind) {
    if accounts.is_empty() {
        tracing::info!(from = %client.source(), "a try to sign in to an account that nobody has");
    }
    for (realm, user) in accounts {
        if let Err(failure) = count(app, (*realm, user), client.source(), kind).await {
            tracing::warn!(user = %user.id, %failure, "a failed try was not counted");
        }
    }
}

async fn count(app: &Arc<App>, (realm, user): (RealmId, &User), source: Source, kind: Kind) -> Result<(), Failure> {
    let door = Door::at(app, realm);
    let mut tx = door.keep(user.home_org).await?;
    let now_us = door.now_us();
    troubles::add(&mut tx, (user.id, &source.to_string()), kind, (hour_of(now_us), now_us)).await?;
    Ok(tx.commit().await?)
}

/// Lets a try through, or notes that somebody had to wait and says how long.
pub(crate) async fn admit<'a>(
    app: &'a Arc<App>,
    tried: Try,
    accounts: &[(RealmId, User)],
    client: &Client,
) -> Result<Pass<'a>, Failure> {
    let wait = match app.throttle.admit(tried, app.now_us()) {
        Ok(pass) => return Ok(pass),
        Err(wait) => wait,
    };
    delayed(app, accounts, client, wait).await;
    Err(wait.into())
}

/// Notes that somebody had to wait, if nobody was told of this delay yet.
async fn delayed(app: &Arc<App>, accounts: &[(RealmId, User)], client: &Client, wait: Wait) {
    if !wait.is_news {
        return;
    }
    for (realm, user) in accounts {
        if let Err(failure) = note_delay(app, (*realm, user), client.source(), wait).await {
            tracing::warn!(user = %user.id, %failure, "a delay was not noted");
        }
    }
}

async fn note_delay(
    app: &Arc<App>,
    (realm, user): (RealmId, &User),
    source: Source,
    wait: Wait,
) -> Result<(), Failure> {
    let door = Door::at(app, realm);
    let (now_us, address) = (door.now_us(), source.to_string());
    let mut tx = door.keep(user.home_org).await?;
    let is_first = !troubles::is_delayed(&mut tx, user.id, hour_of(now_us)).await?;
    troubles::add(&mut tx, (user.id, &address), Kind::Delay, (hour_of(now_us), now_us)).await?;
    tx.commit().await?;
    if !is_first {
        return Ok(()); // It stands in the entry of its hour.
    }
    let detail = serde_json::json!({ "address": address, "seconds": wait.seconds });
    let mut tx = door.record(user.home_org).await?;
    tx.note_denied(user.home_org, ("sign_in.delayed", &user.id.to_string()), "too many wrong tries", detail).await?;
    tx.commit().await
}

/// What a sign-in is told in its own entry, and the entry of its own that failures before it get. Notes the address.
pub(crate) async fn succeeded(tx: &mut Change, user: &User, client: &Client) -> Result<bool, Failure> {
    let (now_us, address) = (tx.now_us(), client.source().to_string());
    let is_new = known_addresses::has_any(tx, user.id).await?
        && !known_addresses::is_known(tx, user.id, &address, now_us - KNOWN_ADDRESS_US).await?;
    known_addresses::touch(tx, user.id, &address, now_us).await?;
    let before = troubles::answer(tx, user.id, now_us - DAY_US).await?;
    if !before.is_empty() {
        let sum = |of: fn(&Trouble) -> i64| before.iter().map(of).sum::<i64>();
        let from: Vec<&str> = before.iter().take(10).map(|row| row.address.as_str()).collect();
        let detail = serde_json::json!({
            "passwords": sum(|row| row.passwords),
            "codes": sum(|row| row.codes),
            "addresses": before.len(),
            "from": from,
        });
        tx.note(user.home_org, "sign_in.after_failures", &user.id.to_string(), detail).await?;
    }
    Ok(is_new)
}

/// Writes the hours that are over into the audit log: one entry for each account, address and hour.
pub(crate) async fn tell(cx: &SystemCx) -> Result<(), Failure> {
    let hour_us = hour_of(cx.now_us()) - HOUR_US;
    let mut tx = cx.read().await?;
    let rows = troubles::unnoted(&mut tx, hour_us, ROUND_MAX).await?;
    drop(tx);
    for row in rows {
        tell_one(cx, &row).await?;
    }
    Ok(())
}

async fn tell_one(cx: &SystemCx, row: &Trouble) -> Result<(), Failure> {
    let mut tx = cx.read().await?;
    let home = users::get(&mut tx, row.user).await?.home_org;
    drop(tx);
    let mut tx = cx.record(home).await?;
    if troubles::set_noted(&mut tx, row).await? == 0 {
        return Ok(()); // Another process was faster.
    }
    let instant = base::period::format_instant;
    let detail = serde_json::json!({
        "address": row.address,
        "passwords": row.passwords,
        "codes": row.codes,
        "delays": row.delays,
        "first": instant(row.first_us),
        "last": instant(row.last_us),
    });
    tx.note_denied(home, ("sign_in.failed", &row.user.to_string()), "wrong password or code", detail).await?;
    tx.commit().await
}

/// What happened to one's own account.
#[derive(Debug, Clone)]
pub struct Mine {
    /// Failed tries of the last two days, those of this hour included, the newest first.
    pub troubles: Vec<Trouble>,
    /// Entries of the audit log about one's account, the newest first.
    pub events: Vec<AuditEvent>,
}

/// What happened to one's own account: for its owner, who needs no right to the audit log for it.
///
/// # Errors
/// [`Failure`].
pub async fn mine(cx: &Cx, before: i64) -> Result<Mine, Failure> {
    let mut tx = cx.own(Action::SelfRead).await?;
    let before = if before > 0 { before } else { i64::MAX };
    Ok(Mine {
        troubles: troubles::of_user(&mut tx, cx.user(), cx.now_us() - 2 * DAY_US).await?,
        events: own_events(&mut tx, cx.user(), before).await?,
    })
}

async fn own_events(tx: &mut Tx, user: UserId, before: i64) -> Result<Vec<AuditEvent>, Failure> {
    // Few acts of many are about the account itself: pages are read until enough are found.
    let (mut found, mut before, mut pages) = (Vec::new(), before, 0);
    while found.len() < usize::try_from(SHOWN_MAX).expect("a hundred is small") && pages < 10 {
        let page = audit::of_person(tx, user, before, 500).await?;
        let Some(last) = page.last() else { break };
        (before, pages) = (last.seq, pages + 1);
        found.extend(page.into_iter().filter(|event| ABOUT_ME.contains(&event.action.as_str())));
    }
    found.truncate(usize::try_from(SHOWN_MAX).expect("a hundred is small"));
    Ok(found)
}
