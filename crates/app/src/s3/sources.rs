//! Linked S3 accounts.

use crate::authority::{App, Cx};
use crate::failure::{Failure, Kind};
use crate::orgs;
use access::{Action, Ask, Product};
use base::{AccountId, OrgId};
use s3::{Style, Upstream};
use store::accounts::{self, Account};

/// Accounts and buckets are part of the product S3.
pub(crate) const LINK: Ask<'static> = Ask { action: Action::SourceWrite, resource: "", product: Some(Product::S3) };
pub(crate) const LOOK: Ask<'static> = Ask { action: Action::SourceRead, resource: "", product: Some(Product::S3) };

/// What is needed to link an account. The secret goes in and never comes out.
#[derive(Clone)]
pub struct NewAccount {
    /// Name as shown.
    pub name: String,
    /// `https://s3.example.net`, with port if needed.
    pub endpoint: String,
    /// Region to sign for.
    pub region: String,
    /// `path` or `virtual_host`.
    pub style: String,
    /// The account's access key id.
    pub access_key: String,
    /// The account's secret key.
    pub secret_key: String,
}

fn style_of(text: &str) -> Result<Style, Failure> {
    match text {
        "path" => Ok(Style::Path),
        "virtual_host" => Ok(Style::VirtualHost),
        other => Err(Failure::invalid("style", other, "is not one of path, virtual_host")),
    }
}

pub(crate) fn upstream_of(app: &App, account: &Account) -> Result<Upstream, Failure> {
    app.outside.check_endpoint(&account.endpoint)?;
    let secret = app.vault.open(&account.id.to_string(), &account.secret_sealed)?;
    let style = style_of(&account.style)?;
    Upstream::new(&account.endpoint, &account.region, style, &account.access_key, &secret)
        .map_err(|error| Failure::invalid("endpoint", &account.endpoint, error))
}

/// Tries an account without keeping it: lists its buckets. The exact answer of the other side is shown.
///
/// # Errors
/// [`Kind::Upstream`] with what went wrong.
pub async fn test(cx: &Cx, org: OrgId, new: &NewAccount) -> Result<Vec<String>, Failure> {
    cx.allow_ask(LINK, org).await?;
    cx.app.outside.check_reach(&new.endpoint).await?;
    let upstream = Upstream::new(&new.endpoint, &new.region, style_of(&new.style)?, &new.access_key, &new.secret_key)
        .map_err(|error| Failure::invalid("endpoint", &new.endpoint, error))?;
    list_buckets(cx, &upstream).await
}

async fn list_buckets(cx: &Cx, upstream: &Upstream) -> Result<Vec<String>, Failure> {
    let listed = cx.app.s3.list_buckets(upstream, cx.now_us()).await;
    listed.map_err(|error| Failure::new(Kind::Upstream, format!("{}: {error}", upstream.endpoint())))
}

/// Tries a linked account.
///
/// # Errors
/// [`Kind::Upstream`] with what went wrong.
pub async fn test_linked(cx: &Cx, account: AccountId) -> Result<Vec<String>, Failure> {
    let account = get(cx, account).await?;
    list_buckets(cx, &upstream_of(&cx.app, &account)?).await
}

/// The account, for whoever may change sources there, or just this one.
pub(crate) async fn get(cx: &Cx, account: AccountId) -> Result<Account, Failure> {
    Ok(cx.find::<Account>(account, LINK.on(&format!("source:{account}"))).await?.1)
}

/// Links an account to `org`, after it answered.
///
/// # Errors
/// [`Failure`] naming the field at fault, or [`Kind::Upstream`]; nothing is kept then.
pub async fn link(cx: &Cx, org: OrgId, new: NewAccount) -> Result<Account, Failure> {
    orgs::check_name("name", &new.name)?;
    for (field, value) in [("region", &new.region), ("access_key", &new.access_key), ("secret_key", &new.secret_key)] {
        if value.is_empty() || value.len() > 256 || value.chars().any(char::is_control) {
            // A secret is never shown, not even a wrong one.
            return Err(Failure::unreadable(field, "must have 1 to 256 printable characters"));
        }
    }
    test(cx, org, &new).await?;
    let grant = cx.allow_ask(LINK, org).await?;
    let id = AccountId(cx.app.fresh());
    let account = Account {
        id,
        org,
        name: new.name.trim().to_owned(),
        endpoint: new.endpoint,
        region: new.region,
        style: new.style,
        access_key: new.access_key,
        secret_sealed: cx.app.vault.seal(cx.app.world.as_ref(), &id.to_string(), &new.secret_key),
        created_us: cx.now_us(),
    };
    let mut tx = cx.change_with(&grant).await?;
    match accounts::insert(&mut tx, &account).await {
        Err(store::StoreError::Conflict(_)) => {
            return Err(Failure::conflict(format!("name: an account {:?} is linked already", account.name)));
        }
        other => other?,
    }
    let detail = serde_json::json!({ "name": account.name, "endpoint": account.endpoint });
    tx.done(org, "account.link", &id.to_string(), detail).await?;
    Ok(account)
}

/// Accounts of `org` and below.
///
/// # Errors
/// [`Failure`].
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<Account>, Failure> {
    let (grant, span) = cx.span_ask(LOOK, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let mut found = accounts::below(&mut tx, org).await?;
    found.retain(|account| span.has(account.org));
    Ok(found)
}
