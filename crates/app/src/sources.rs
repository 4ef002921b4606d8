//! S3 accounts and the name space over them.

use crate::authority::log::path_text;
use crate::authority::{App, Cx, SystemCx};
use crate::failure::{Failure, Kind};
use crate::orgs;
use access::{Action, Ask, Product};
use base::{AccountId, MappingId, OrgId, RealmId, UserId};
use lake::{Drift, SeenObject};
use s3::{ListQuery, Style, Upstream};
use std::collections::{BTreeMap, BTreeSet};
use store::Tx;
use store::accounts::{self, Account, Mapping};

/// Accounts and buckets are part of the product S3.
const LINK: Ask<'static> = Ask { action: Action::SourceWrite, resource: "", product: Some(Product::S3) };
const LOOK: Ask<'static> = Ask { action: Action::SourceRead, resource: "", product: Some(Product::S3) };

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
async fn get(cx: &Cx, account: AccountId) -> Result<Account, Failure> {
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

/// What a row of the name space says.
#[derive(Debug, Clone)]
pub struct NewMapping {
    /// Only this user sees it; `None`: everybody at the organisation and below.
    pub user: Option<UserId>,
    /// Bucket as seen.
    pub virtual_bucket: String,
    /// Folder in it; empty for the whole bucket.
    pub folder: String,
    /// Account.
    pub account: AccountId,
    /// Bucket there.
    pub real_bucket: String,
    /// Prefix there; empty for the whole bucket.
    pub prefix: String,
    /// `write` or `read`.
    pub access: String,
}

fn check_folder(field: &str, text: &str) -> Result<(), Failure> {
    if text.is_empty() {
        return Ok(());
    }
    let plain = text.len() <= 512
        && text.ends_with('/')
        && !text.starts_with('/')
        && !text.contains("//")
        && text.split('/').all(|part| part != "." && part != "..")
        && !text.chars().any(char::is_control);
    if plain {
        Ok(())
    } else {
        Err(Failure::invalid(field, text, "must be a path such as team-a/2026/, ending with one /"))
    }
}

/// Adds a row to the name space. The account must answer for the bucket.
///
/// # Errors
/// [`Failure`] naming the field at fault; nothing is kept then.
pub async fn map(cx: &Cx, org: OrgId, new: NewMapping) -> Result<Shown, Failure> {
    let grant = cx.allow_ask(LINK, org).await?;
    if !s3::names::valid_bucket_name(&new.virtual_bucket) {
        return Err(Failure::invalid(
            "bucket",
            &new.virtual_bucket,
            "is not an S3 bucket name: 3 to 63 of a-z 0-9 . -",
        ));
    }
    if !s3::names::valid_bucket_name(&new.real_bucket) {
        return Err(Failure::invalid(
            "real_bucket",
            &new.real_bucket,
            "is not an S3 bucket name: 3 to 63 of a-z 0-9 . -",
        ));
    }
    check_folder("folder", &new.folder)?;
    check_folder("prefix", &new.prefix)?;
    if new.access != "write" && new.access != "read" {
        return Err(Failure::invalid("access", &new.access, "is not one of write, read"));
    }
    if let Some(user) = new.user {
        let mut tx = cx.look_around().await?;
        if !store::users::is_below(&mut tx, user, org).await? {
            return Err(Failure::not_found("user"));
        }
    }
    let account = get(cx, new.account).await?;
    let upstream = upstream_of(&cx.app, &account)?;
    let page = ListQuery { keys_max: 1, ..ListQuery::default() };
    let tried = cx.app.s3.list_objects_v2(&upstream, &new.real_bucket, page, cx.now_us()).await;
    if let Err(error) = tried {
        return Err(Failure::invalid("real_bucket", &new.real_bucket, format!("cannot be listed: {error}")));
    }
    let mapping = Mapping {
        id: MappingId(cx.app.fresh()),
        org,
        user: new.user,
        virtual_bucket: new.virtual_bucket,
        folder: new.folder,
        account: new.account,
        real_bucket: new.real_bucket,
        prefix: new.prefix,
        access: new.access,
        created_us: cx.now_us(),
    };
    let mut tx = cx.change_with(&grant).await?;
    check_owner(&mut tx, &account, org).await?;
    match accounts::insert_mapping(&mut tx, &mapping).await {
        Err(store::StoreError::Conflict(_)) => {
            return Err(Failure::conflict("bucket: this bucket and folder are mapped here already"));
        }
        other => other?,
    }
    let detail = serde_json::json!({ "bucket": mapping.virtual_bucket, "folder": mapping.folder });
    tx.done(org, "bucket.map", &mapping.id.to_string(), detail).await?;
    Ok(shown(cx, mapping, account.org).await)
}

/// An account serves the organisation that it belongs to and those below it.
async fn check_owner(tx: &mut store::Tx, account: &Account, org: OrgId) -> Result<(), Failure> {
    if store::orgs::path(tx, org).await?.contains(&account.org) {
        return Ok(());
    }
    Err(Failure::invalid("account", &account.id.to_string(), "belongs to no organisation on the way to this one"))
}

/// What stands behind a row of the name space: the business of the organisation that owns the account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behind {
    /// Account.
    pub account: AccountId,
    /// Bucket there.
    pub real_bucket: String,
    /// Prefix there; empty for the whole bucket.
    pub prefix: String,
}

/// A row of the name space as the caller may see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// Its id.
    pub id: MappingId,
    /// Where it was made.
    pub org: OrgId,
    /// Whose it is; `None`: everybody's at the organisation and below.
    pub user: Option<UserId>,
    /// Bucket as seen.
    pub virtual_bucket: String,
    /// Folder in it.
    pub folder: String,
    /// `write` or `read`.
    pub access: String,
    /// When it was made.
    pub created_us: i64,
    /// Real names; `None` below the organisation that owns the account.
    pub behind: Option<Behind>,
}

async fn shown(cx: &Cx, row: Mapping, owner: OrgId) -> Shown {
    let behind = Behind { account: row.account, real_bucket: row.real_bucket, prefix: row.prefix };
    Shown {
        id: row.id,
        org: row.org,
        user: row.user,
        virtual_bucket: row.virtual_bucket,
        folder: row.folder,
        access: row.access,
        created_us: row.created_us,
        behind: cx.may_ask(LOOK, owner).await.then_some(behind),
    }
}

/// Rows made at `org` and below.
///
/// # Errors
/// [`Failure`].
pub async fn mappings(cx: &Cx, org: OrgId) -> Result<Vec<Shown>, Failure> {
    let (grant, span) = cx.span_ask(LOOK, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let (mut found, mut owners) = (Vec::new(), BTreeMap::new());
    for row in
        accounts::mappings_below(&mut tx, org).await?.into_iter().filter(|row| span.has(row.org)).collect::<Vec<_>>()
    {
        let owner = match owners.get(&row.account) {
            Some(owner) => *owner,
            None => accounts::get(&mut tx, row.account).await?.org,
        };
        owners.insert(row.account, owner);
        found.push((row, owner));
    }
    drop(tx);
    let mut rows = Vec::new();
    for (row, owner) in found {
        rows.push(shown(cx, row, owner).await);
    }
    Ok(rows)
}

/// Removes a row. The objects stay where they are; what was counted stays counted.
///
/// # Errors
/// [`Failure`].
pub async fn unmap(cx: &Cx, org: OrgId, mapping: MappingId) -> Result<(), Failure> {
    let mut tx = cx.change_ask(LINK, org).await?;
    if accounts::delete_mapping(&mut tx, org, mapping).await? == 0 {
        return Err(Failure::not_found("mapping"));
    }
    tx.done(org, "bucket.unmap", &mapping.to_string(), serde_json::json!({})).await?;
    Ok(())
}

/// Compares the object index with the account itself and books the difference.
///
/// # Errors
/// [`Kind::Upstream`] when the account cannot be listed; nothing is booked then.
pub async fn sweep(cx: &Cx, account: AccountId) -> Result<Drift, Failure> {
    let account = get(cx, account).await?;
    let tx = cx.look_around().await?;
    sweep_account(&cx.app, cx.realm, tx, &account).await
}

/// As [`sweep`], by the job that does it each day.
pub(crate) async fn sweep_by_job(cx: &SystemCx, account: AccountId) -> Result<Drift, Failure> {
    let mut tx = cx.read().await?;
    let account = accounts::get(&mut tx, account).await?;
    sweep_account(cx.app(), cx.realm(), tx, &account).await
}

async fn sweep_account(app: &App, realm: RealmId, mut tx: Tx, account: &Account) -> Result<Drift, Failure> {
    let upstream = upstream_of(app, account)?;
    let started_us = app.now_us();
    let mut rows = accounts::mappings_below(&mut tx, realm.root()).await?;
    rows.retain(|row| row.account == account.id);
    // The longest prefix owns an object; a person's own row comes before their department's.
    rows.sort_by_key(|row| (std::cmp::Reverse(row.prefix.len()), row.user.is_none(), row.id));
    let mut paths: BTreeMap<OrgId, String> = BTreeMap::new();
    for row in &rows {
        if let std::collections::btree_map::Entry::Vacant(e) = paths.entry(row.org) {
            e.insert(path_text(&store::orgs::path(&mut tx, row.org).await?));
        }
    }
    drop(tx);
    let buckets: BTreeSet<&str> = rows.iter().map(|row| row.real_bucket.as_str()).collect();
    let mut seen = Vec::new();
    for bucket in buckets {
        let mut token: Option<String> = None;
        loop {
            let query = ListQuery { keys_max: 1_000, token: token.as_deref(), ..ListQuery::default() };
            let page = app.s3.list_objects_v2(&upstream, bucket, query, app.now_us()).await;
            let page = page.map_err(|error| Failure::new(Kind::Upstream, format!("bucket {bucket}: {error}")))?;
            for object in page.objects {
                let owner = rows.iter().find(|row| row.real_bucket == bucket && object.key.starts_with(&row.prefix));
                let Some(row) = owner else { continue };
                seen.push(SeenObject {
                    object: s3::names::object_hash(account.id, bucket, object.key.as_bytes()),
                    size_bytes: object.size_bytes,
                    org: row.org,
                    org_path: paths[&row.org].clone(),
                    user: row.user,
                    bucket: row.virtual_bucket.clone(),
                });
            }
            token = page.next_token;
            if token.is_none() {
                break;
            }
        }
    }
    let drift = app.lake.reconcile(realm, account.id, &seen, started_us).await?;
    tracing::info!(account = %account.id, ?drift, "swept");
    Ok(drift)
}
