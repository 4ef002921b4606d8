//! The name space: which virtual bucket or folder is where, for whom.

use crate::authority::Cx;
use crate::failure::Failure;
use crate::sources::{LINK, LOOK, get, upstream_of};
use crate::sweep::sweep_soon;
use base::{AccountId, MappingId, OrgId, UserId};
use s3::ListQuery;
use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use store::Tx;
use store::accounts::{self, Account, Mapping};
use store::former_mappings::{self, Charge};

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
    /// Whether it may lie over what others have mapped.
    pub overlap: bool,
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
    let over = overlapping(&mut tx, &mapping, &account).await?;
    if !over.is_empty() && !new.overlap {
        return Err(overlaps(cx, &mapping, &over).await);
    }
    former_mappings::forget_place(&mut tx, &mapping).await?;
    match accounts::insert_mapping(&mut tx, &mapping).await {
        Err(store::StoreError::Conflict(_)) => {
            return Err(Failure::conflict("bucket: this bucket and folder are mapped here already"));
        }
        other => other?,
    }
    let over: Vec<MappingId> = over.iter().map(|other| other.id).collect();
    let detail = serde_json::json!({ "bucket": mapping.virtual_bucket, "folder": mapping.folder, "over": over });
    tx.done(org, "bucket.map", &mapping.id.to_string(), detail).await?;
    Ok(shown(cx, mapping, account.org).await)
}

/// Whether one of two prefixes lies below the other.
fn nest(one: &str, other: &str) -> bool {
    one.starts_with(other) || other.starts_with(one)
}

/// What others have of the place of a new row, or had and are still charged for. Two accounts with one endpoint may lead
/// to one store.
async fn overlapping(tx: &mut Tx, new: &Mapping, account: &Account) -> Result<Vec<Mapping>, Failure> {
    let live = accounts::mappings_on(tx, &new.real_bucket).await?.into_iter();
    let live = live.filter(|(row, endpoint)| row.account == account.id || *endpoint == account.endpoint);
    let former = former_mappings::of_account(tx, account.id).await?.into_iter();
    let former = former.filter(|former| former.charge == Charge::GoesOn && former.row.real_bucket == new.real_bucket);
    let mut found: Vec<Mapping> = live.map(|(row, _)| row).chain(former.map(|former| former.row)).collect();
    // The same people's: whoever writes there, it is charged to them.
    found.retain(|other| (other.org, other.user) != (new.org, new.user) && nest(&other.prefix, &new.prefix));
    Ok(found)
}

/// Names the first of the rows that a new one would lie over, as far as the caller may know of it.
async fn overlaps(cx: &Cx, new: &Mapping, over: &[Mapping]) -> Failure {
    let mut said = "another organisation has mapped".to_owned();
    for other in over {
        if cx.may_ask(LOOK, other.org).await {
            let seen = format!("{}/{}", other.virtual_bucket, other.folder);
            let behind = if other.prefix.is_empty() { "the whole bucket" } else { other.prefix.as_str() };
            said = format!("{} has {behind:?} as {seen:?}", other.org);
            break;
        }
    }
    let more = match over.len() - 1 {
        0 => String::new(),
        1 => " (and there is one more)".to_owned(),
        more => format!(" (and there are {more} more)"),
    };
    let place = if new.prefix.is_empty() { "the whole bucket" } else { new.prefix.as_str() };
    let text = format!(
        "prefix: {place:?} overlaps with what {said}{more}: both would read and write the same objects, each charged to \
         whoever wrote it last. Say so to map it all the same"
    );
    Failure::conflict(text).coded("mapping_overlap").about("prefix")
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
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<Shown>, Failure> {
    let (grant, span) = cx.span_ask(LOOK, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let mut found = accounts::mappings_below(&mut tx, org).await?;
    found.retain(|row| span.has(row.org));
    all_shown(cx, tx, found).await
}

/// Rows as the caller may see them.
async fn all_shown(cx: &Cx, mut tx: Tx, found: Vec<Mapping>) -> Result<Vec<Shown>, Failure> {
    let mut owners: BTreeMap<AccountId, OrgId> = BTreeMap::new();
    for row in &found {
        if let Entry::Vacant(place) = owners.entry(row.account) {
            place.insert(accounts::get(&mut tx, row.account).await?.org);
        }
    }
    drop(tx);
    let mut rows = Vec::new();
    for row in found {
        let owner = owners[&row.account];
        rows.push(shown(cx, row, owner).await);
    }
    Ok(rows)
}

/// Reads what becomes of a charge; nothing said is that it goes on.
///
/// # Errors
/// [`Failure`] naming the words there are.
pub fn parse_charge(text: &str) -> Result<Charge, Failure> {
    if text.is_empty() {
        return Ok(Charge::GoesOn);
    }
    text.parse().map_err(|()| Failure::invalid("charge", text, "is not one of goes_on, stop"))
}

/// Removes a row. The objects stay where they are, and what was counted stays counted. Unless `charge` stops it, what
/// is stored below it is charged on to whoever wrote it, until it is gone.
///
/// # Errors
/// [`Failure`].
pub async fn unmap(cx: &Cx, org: OrgId, mapping: MappingId, charge: Charge) -> Result<(), Failure> {
    let mut tx = cx.change_ask(LINK, org).await?;
    let row = accounts::mapping_at(&mut tx, org, mapping).await?.ok_or_else(|| Failure::not_found("mapping"))?;
    accounts::delete_mapping(&mut tx, org, mapping).await?;
    former_mappings::insert(&mut tx, &row, charge, cx.now_us()).await?;
    if charge == Charge::Stop {
        sweep_soon(&mut tx, row.account).await?;
    }
    let detail = serde_json::json!({ "bucket": row.virtual_bucket, "folder": row.folder, "charge": charge });
    tx.done(org, "bucket.unmap", &mapping.to_string(), detail).await
}

/// A row that was removed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Former {
    /// The row as the caller may see it.
    pub row: Shown,
    /// What becomes of the charge for what is still stored there.
    pub charge: Charge,
    /// When it was removed.
    pub removed_us: i64,
}

/// Rows that were removed at `org` and below, the last one first. A row is forgotten when nothing is stored there any
/// more.
///
/// # Errors
/// [`Failure`].
pub async fn former(cx: &Cx, org: OrgId) -> Result<Vec<Former>, Failure> {
    let (grant, span) = cx.span_ask(LOOK, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let mut found = former_mappings::below(&mut tx, org).await?;
    found.retain(|former| span.has(former.row.org));
    let (rows, ends): (Vec<_>, Vec<_>) =
        found.into_iter().map(|former| (former.row, (former.charge, former.removed_us))).unzip();
    let shown = all_shown(cx, tx, rows).await?;
    let with = |(row, (charge, removed_us))| Former { row, charge, removed_us };
    Ok(shown.into_iter().zip(ends).map(with).collect())
}

/// Ends the charge for what is still stored below a row that was removed, as of the sweep that is due now.
///
/// # Errors
/// [`Failure`].
pub async fn stop(cx: &Cx, org: OrgId, mapping: MappingId) -> Result<(), Failure> {
    let mut tx = cx.change_ask(LINK, org).await?;
    let account = former_mappings::stop(&mut tx, org, mapping).await?.ok_or_else(|| Failure::not_found("mapping"))?;
    sweep_soon(&mut tx, account).await?;
    tx.done(org, "bucket.stop_charge", &mapping.to_string(), serde_json::json!({})).await
}
