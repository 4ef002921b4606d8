//! Cloud connections: an external account belongs to one organisation at a time.

use crate::authority::Cx;
use crate::failure::Failure;
use crate::orgs;
use access::{Action, Ask, Grant, Product};
use base::{CloudLinkId, OrgId, Period};
use store::Tx;
use store::cloud_links::{self, CloudLink};

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

/// Connections of `org` and below, past ones included, of the products that `org` has.
///
/// # Errors
/// [`Failure`].
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<CloudLink>, Failure> {
    if !cx.may(Action::SourceRead, org).await {
        let named = named(cx, org).await?;
        if !named.is_empty() {
            return Ok(named);
        }
    }
    let (grant, span) = cx.span(Action::SourceRead, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let mut found = cloud_links::below(&mut tx, org).await?;
    let products = cx.place(org).await?.products;
    found.retain(|row| span.has(row.org) && products.has(product_of(&row.provider)));
    Ok(found)
}

/// The connections that a right names one by one.
async fn named(cx: &Cx, org: OrgId) -> Result<Vec<CloudLink>, Failure> {
    if !cx.belongs_on_the_way_to(&*cx.place(org).await?) {
        return Ok(Vec::new()); // A stranger there is told what every stranger is told.
    }
    let mut tx = cx.look_around().await?;
    let rows = cloud_links::below(&mut tx, org).await?;
    drop(tx);
    let mut found = Vec::new();
    for row in rows {
        let resource = format!("source:{}", row.id);
        let ask = Ask::of(Action::SourceRead).on(&resource).within(product_of(&row.provider));
        if cx.may_ask(ask, row.org).await {
            found.push(row);
        }
    }
    Ok(found)
}

/// Connects an account to `org`.
///
/// # Errors
/// [`crate::Kind::Conflict`] when it belongs to an organisation of the tree in that time.
pub async fn link(cx: &Cx, org: OrgId, new: NewLink) -> Result<CloudLink, Failure> {
    orgs::check_name("name", &new.name)?;
    if !PROVIDERS.contains(&new.provider.as_str()) {
        return Err(Failure::invalid("provider", &new.provider, format!("is not one of {}", PROVIDERS.join(", "))));
    }
    let account = new.external_account.trim();
    if account.is_empty() || account.len() > 256 || account.chars().any(char::is_control) {
        return Err(Failure::invalid("external_account", account, "must have 1 to 256 printable characters"));
    }
    let ask = Ask::of(Action::SourceWrite).within(product_of(&new.provider));
    let grant = cx.allow_ask(ask, org).await?;
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
    let mut tx = cx.change_with(&grant).await?;
    insert(&mut tx, &link).await?;
    tx.done(org, "cloud.link", &link.id.to_string(), serde_json::to_value(&link)?).await?;
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

/// The product that a provider's accounts belong to.
fn product_of(provider: &str) -> Product {
    match provider {
        "s3" => Product::S3,
        "cloudstack" => Product::CloudStack,
        _ => Product::CloudBills,
    }
}

/// The connection, and the right to change it: for whoever may change sources there, or just this one, while the
/// organisation has the product.
async fn find(cx: &Cx, link: CloudLinkId) -> Result<(Grant, CloudLink), Failure> {
    let resource = format!("source:{link}");
    let ask = Ask::of(Action::SourceWrite).on(&resource);
    let (_, found) = cx.find::<CloudLink>(link, ask).await?;
    let grant = cx.allow_ask(ask.within(product_of(&found.provider)), found.org).await?;
    Ok((grant, found))
}

/// Hands an account over to another organisation, from the first of a month on: the next one if none is
/// said. The old organisation keeps its history.
///
/// # Errors
/// [`Failure`].
pub async fn hand_over(cx: &Cx, link: CloudLinkId, to: OrgId, month: Option<&str>) -> Result<CloudLink, Failure> {
    let (_, old) = find(cx, link).await?;
    let ask = Ask::of(Action::SourceWrite).within(product_of(&old.provider));
    let mut tx = cx.change_ask(ask, to).await?;
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
    // Neither end learns who the other is: that is for those above both.
    let detail = serde_json::json!({ "from": old.org, "to": to, "from_us": from_us });
    tx.note(cx.realm.root(), "cloud.hand_over", &link.to_string(), detail).await?;
    let detail = serde_json::json!({ "from_us": from_us });
    tx.note(to, "cloud.hand_over", &new.id.to_string(), detail.clone()).await?;
    tx.done(old.org, "cloud.hand_over", &link.to_string(), detail).await?;
    Ok(new)
}

/// Ends a connection now. Its history stays.
///
/// # Errors
/// [`Failure`].
pub async fn unlink(cx: &Cx, link: CloudLinkId) -> Result<(), Failure> {
    let (grant, old) = find(cx, link).await?;
    let mut tx = cx.change_with(&grant).await?;
    if old.to_us.is_some_and(|to_us| to_us <= cx.now_us()) {
        return Err(Failure::conflict("this connection has ended already"));
    }
    cloud_links::set_end(&mut tx, link, Some(cx.now_us())).await?;
    tx.done(old.org, "cloud.unlink", &link.to_string(), serde_json::json!({})).await
}
