//! Cloud connections: an external account belongs to one organisation at a time.

use crate::cx::Cx;
use crate::failure::{Failure, Kind};
use crate::{audit, orgs};
use access::Action;
use base::{CloudLinkId, OrgId, Period};
use store::cloud_links::{self, CloudLink};
use store::{Tx, epoch};

const PROVIDERS: [&str; 6] = ["s3", "cloudstack", "aws", "azure", "gcp", "other"];

/// A new connection.
#[derive(Debug, Clone)]
pub struct NewLink {
    /// `s3`, `cloudstack`, `aws`, `azure`, `gcp` or `other`.
    pub provider: String,
    /// The account's own name at the provider.
    pub external_account: String,
    /// Name as shown.
    pub name: String,
    /// From when on; now if left out.
    pub from_us: Option<i64>,
}

/// Connections of `org` and below, past ones included.
///
/// # Errors
/// [`Failure`].
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<CloudLink>, Failure> {
    let grant = cx.allow(Action::SourceRead, org).await?;
    let mut tx = cx.app.store.read(&grant).await?;
    Ok(cloud_links::below(&mut tx, org).await?)
}

/// Connects an account to `org`.
///
/// # Errors
/// [`Kind::Conflict`] when it belongs to an organisation of the tree in that time.
pub async fn link(cx: &Cx, org: OrgId, new: NewLink) -> Result<CloudLink, Failure> {
    orgs::check_name("name", &new.name)?;
    if !PROVIDERS.contains(&new.provider.as_str()) {
        return Err(Failure::invalid("provider", &new.provider, format!("is not one of {}", PROVIDERS.join(", "))));
    }
    let account = new.external_account.trim();
    if account.is_empty() || account.len() > 256 || account.chars().any(char::is_control) {
        return Err(Failure::invalid("external_account", account, "must have 1 to 256 printable characters"));
    }
    let grant = cx.allow(Action::SourceWrite, org).await?;
    let link = CloudLink {
        id: CloudLinkId(cx.app.fresh()),
        org,
        provider: new.provider,
        external_account: account.to_owned(),
        name: new.name.trim().to_owned(),
        from_us: new.from_us.unwrap_or(cx.now_us()),
        to_us: None,
        created_us: cx.now_us(),
    };
    let mut tx = cx.app.store.write(&grant).await?;
    epoch::bump(&mut tx).await?;
    insert(&mut tx, &link).await?;
    audit::note(cx, &mut tx, org, "cloud.link", &link.id.to_string(), serde_json::to_value(&link)?).await?;
    tx.commit().await?;
    Ok(link)
}

/// Adds a row unless its time overlaps another one's of the same account. Held by the realm's epoch.
async fn insert(tx: &mut Tx, link: &CloudLink) -> Result<(), Failure> {
    let ends = |link: &CloudLink| link.to_us.unwrap_or(i64::MAX);
    let others = cloud_links::of_account(tx, &link.provider, &link.external_account).await?;
    if others.iter().any(|other| other.from_us < ends(link) && link.from_us < ends(other)) {
        let text = "external_account: belongs to an organisation of this tree in that time; hand it over instead";
        return Err(Failure::conflict(text).coded("already_linked"));
    }
    Ok(cloud_links::insert(tx, link).await?)
}

async fn find(cx: &Cx, link: CloudLinkId) -> Result<CloudLink, Failure> {
    let mut tx = cx.app.store.read(&cx.own()).await?;
    let found = cloud_links::get(&mut tx, link).await?;
    drop(tx);
    cx.allow(Action::SourceWrite, found.org).await.map_err(|failure| match failure.kind {
        Kind::NotFound | Kind::Forbidden => Failure::not_found("cloud connection"),
        _ => failure,
    })?;
    Ok(found)
}

/// Hands an account over to another organisation, from the first of a month on: the next one if none is
/// said. The old organisation keeps its history.
///
/// # Errors
/// [`Failure`].
pub async fn hand_over(cx: &Cx, link: CloudLinkId, to: OrgId, month: Option<&str>) -> Result<CloudLink, Failure> {
    let old = find(cx, link).await?;
    let grant = cx.allow(Action::SourceWrite, to).await?;
    let mut tx = cx.app.store.write(&grant).await?;
    epoch::bump(&mut tx).await?;
    let zone = store::orgs::get(&mut tx, old.org).await?.zone;
    let from_us = match month {
        Some(month) => Period::month(month, &zone).map_err(|error| Failure::unreadable("month", error))?.start_us,
        None => Period::month_of(cx.now_us(), &zone)?.end_us,
    };
    if from_us <= old.from_us || old.to_us.is_some_and(|to_us| to_us < from_us) {
        return Err(Failure::unreadable("month", "does not lie in the time of this connection"));
    }
    cloud_links::set_end(&mut tx, link, Some(from_us)).await?;
    let new = CloudLink {
        id: CloudLinkId(cx.app.fresh()),
        org: to,
        from_us,
        to_us: old.to_us,
        created_us: cx.now_us(),
        ..old.clone()
    };
    insert(&mut tx, &new).await?;
    let detail = serde_json::json!({ "from": old.org, "to": to, "from_us": from_us });
    audit::note(cx, &mut tx, to, "cloud.hand_over", &new.id.to_string(), detail.clone()).await?;
    audit::note(cx, &mut tx, old.org, "cloud.hand_over", &link.to_string(), detail).await?;
    tx.commit().await?;
    Ok(new)
}

/// Ends a connection now. Its history stays.
///
/// # Errors
/// [`Failure`].
pub async fn unlink(cx: &Cx, link: CloudLinkId) -> Result<(), Failure> {
    let old = find(cx, link).await?;
    let mut tx = cx.app.store.write(&decide(cx, old.org)).await?;
    epoch::bump(&mut tx).await?;
    if old.to_us.is_some_and(|to_us| to_us <= cx.now_us()) {
        return Err(Failure::conflict("this connection has ended already"));
    }
    cloud_links::set_end(&mut tx, link, Some(cx.now_us())).await?;
    audit::note(cx, &mut tx, old.org, "cloud.unlink", &link.to_string(), serde_json::json!({})).await?;
    Ok(tx.commit().await?)
}

fn decide(cx: &Cx, org: OrgId) -> access::Grant {
    access::decide_job(cx.realm, org)
}
