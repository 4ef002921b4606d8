//! What the S3 gateway asks: who holds this key, what does he see, and "this happened".

use crate::authority::log::path_text;
use crate::authority::{App, Cx, Door};
use crate::failure::Failure;
pub use crate::s3_cache::{Bucket, BucketPlace, KeyHolder};
use crate::s3_cache::{keep, look_up};
use access::tree::GatewayRule;
use access::{Action, Actor, Ask, Context, Place, decide};
use base::{AccountId, OrgId, RealmId, UserId};
use lake::RawBatch;
use metering::s3::S3Request;
use std::collections::BTreeMap;
use std::sync::Arc;
use store::{accounts, across, orgs};

/// The holder of a key; `None` when it is unknown, revoked or its user is not active.
///
/// # Errors
/// [`Failure`].
pub async fn key_holder(app: &Arc<App>, key_id: &str) -> Result<Option<Arc<KeyHolder>>, Failure> {
    if let Some(found) = kept_holder(app, key_id) {
        return Ok(found);
    }
    let now_us = app.now_us();
    let found = fetch_holder(app, key_id).await?.map(Arc::new);
    keep(&app.caches.holders, key_id.to_owned(), now_us, found.clone());
    Ok(found)
}

/// Whether a user may use S3 keys at a place. What a suspension means for the gateway is a setting of the
/// organisation, not of the decision.
pub(crate) fn may_use_keys(holder: &Actor, place: &Place, now_us: i64) -> bool {
    let context = Context { now_us, ..Context::default() };
    let place = Place { suspended_from: None, ..place.clone() };
    decide(holder, &Ask::of(Action::S3OwnKeys), &place, &context).is_ok()
}

async fn fetch_holder(app: &Arc<App>, key_id: &str) -> Result<Option<KeyHolder>, Failure> {
    let Some((realm, key)) = across::access_key(&app.store, key_id).await? else { return Ok(None) };
    if key.revoked_us.is_some() {
        return Ok(None);
    }
    let mut tx = Door::at(app, realm).read().await?;
    if store::users::get(&mut tx, key.user).await?.state != "active" {
        return Ok(None);
    }
    let place = match orgs::place(&mut tx, key.org).await {
        Err(store::StoreError::NotFound(_)) => return Ok(None),
        other => other?,
    };
    // A key lives only as long as its holder may use keys there, and the product is on.
    let holder = crate::authority::actor_of(app, &mut tx, key.user).await?;
    if !may_use_keys(&holder, &place, app.now_us()) || rule_of(&mut tx, &place).await? == GatewayRule::Deny {
        return Ok(None);
    }
    let org_path = path_text(&place.path);
    let secret = app.vault.open(&key.key_id, &key.secret_sealed)?;
    Ok(Some(KeyHolder { realm, org: key.org, org_path, user: key.user, key_id: key.key_id, secret }))
}

/// What the gateway does at a place: the rule of the first suspended organisation on the way to it.
async fn rule_of(tx: &mut store::Tx, place: &Place) -> Result<GatewayRule, Failure> {
    match place.suspended_from {
        None => Ok(GatewayRule::Continue),
        Some(index) => Ok(orgs::get(tx, place.path[index]).await?.settings.gateway_when_suspended),
    }
}

/// The name space of a user at an organisation, by bucket name. Where several rows name one place, his
/// own comes first, then the nearest organisation's.
///
/// # Errors
/// [`Failure`].
pub async fn buckets(app: &Arc<App>, realm: RealmId, org: OrgId, user: UserId) -> Result<Arc<Vec<Bucket>>, Failure> {
    let (key, now_us) = ((realm, org, user), app.now_us());
    if let Some(found) = look_up(&app.caches.buckets, &key, now_us) {
        return Ok(found);
    }
    let found = Arc::new(fetch_buckets(app, realm, org, user).await?);
    keep(&app.caches.buckets, key, now_us, found.clone());
    Ok(found)
}

async fn fetch_buckets(app: &Arc<App>, realm: RealmId, org: OrgId, user: UserId) -> Result<Vec<Bucket>, Failure> {
    let mut tx = Door::at(app, realm).read().await?;
    let place = orgs::place(&mut tx, org).await?;
    let writes = rule_of(&mut tx, &place).await? == GatewayRule::Continue;
    let mut upstreams: BTreeMap<AccountId, Arc<s3::Upstream>> = BTreeMap::new();
    let mut found: Vec<Bucket> = Vec::new();
    for row in accounts::mappings_for(&mut tx, org, user).await? {
        let upstream = match upstreams.get(&row.account) {
            Some(upstream) => upstream.clone(),
            None => {
                let account = accounts::get(&mut tx, row.account).await?;
                let upstream = Arc::new(crate::sources::upstream_of(app, &account)?);
                upstreams.insert(row.account, upstream.clone());
                upstream
            }
        };
        if found.last().is_none_or(|bucket| bucket.name != row.virtual_bucket) {
            found.push(Bucket { name: row.virtual_bucket.clone(), created_us: row.created_us, places: Vec::new() });
        }
        let bucket = found.last_mut().expect("one was pushed");
        bucket.created_us = bucket.created_us.min(row.created_us);
        if bucket.places.iter().any(|place| place.folder == row.folder) {
            continue; // A nearer row was there before.
        }
        bucket.places.push(BucketPlace {
            mapping: row.id,
            folder: row.folder,
            account: row.account,
            upstream,
            real_bucket: row.real_bucket,
            prefix: row.prefix,
            writable: writes && row.access == "write",
        });
    }
    Ok(found)
}

/// As [`key_holder`], if the answer is kept in memory.
#[must_use]
pub fn kept_holder(app: &Arc<App>, key_id: &str) -> Option<Option<Arc<KeyHolder>>> {
    look_up(&app.caches.holders, key_id, app.now_us())
}

/// As [`buckets`], if the answer is kept in memory.
#[must_use]
pub fn kept_buckets(app: &Arc<App>, realm: RealmId, org: OrgId, user: UserId) -> Option<Arc<Vec<Bucket>>> {
    look_up(&app.caches.buckets, &(realm, org, user), app.now_us())
}

/// As [`batch`], if all that is needed is kept in memory.
#[must_use]
pub fn kept_batch(app: &Arc<App>, requests: &[S3Request]) -> Option<RawBatch> {
    let mut batch = RawBatch::default();
    for request in requests {
        let holder = kept_holder(app, &request.access_key)??;
        if holder.org != request.org {
            return None;
        }
        batch.push_s3(&holder.org_path, request);
    }
    Some(batch)
}

/// Requests with their organisations' places, ready to be recorded.
///
/// # Errors
/// [`Failure`].
pub async fn batch(app: &Arc<App>, requests: &[S3Request]) -> Result<RawBatch, Failure> {
    let mut batch = RawBatch::default();
    for request in requests {
        match key_holder(app, &request.access_key).await? {
            Some(holder) if holder.org == request.org => batch.push_s3(&holder.org_path, request),
            // The key was revoked while the request ran: it still counts.
            _ => {
                let mut tx = Door::at(app, request.realm).read().await?;
                batch.push_s3(&path_text(&orgs::path(&mut tx, request.org).await?), request);
            }
        }
    }
    Ok(batch)
}

/// Records requests; durable when it returns. However often one is recorded, it counts once.
///
/// # Errors
/// [`Failure`]; all of them may be recorded again then.
pub async fn record(app: &Arc<App>, batch: RawBatch) -> Result<(), Failure> {
    Ok(app.lake.append(batch).await?)
}

/// What the caller of this context sees through the gateway.
///
/// # Errors
/// [`Failure`].
pub async fn my_buckets(cx: &Cx, org: OrgId) -> Result<Arc<Vec<Bucket>>, Failure> {
    let grant = cx.allow(Action::S3OwnKeys, org).await?;
    buckets(&cx.app, grant.realm(), org, cx.user()).await
}
