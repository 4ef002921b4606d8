//! What the S3 gateway asks: who holds this key, what does he see, and "this happened".

use crate::cx::{App, Cx};
use crate::failure::Failure;
use access::tree::GatewayRule;
use access::{Action, Actor, Ask, Context, Place, decide, decide_job};
use base::{AccountId, MappingId, OrgId, RealmId, UserId};
use lake::RawBatch;
use metering::s3::S3Request;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use store::{accounts, across, orgs};

/// How long an answer is kept: a change made in another process is seen within this time, one made in
/// this process at once.
const KEPT_US: i64 = 500_000;
/// Answers kept at once.
const KEPT_MAX: usize = 10_000;

/// The holder of a live access key.
pub struct KeyHolder {
    /// Realm.
    pub realm: RealmId,
    /// Who is charged.
    pub org: OrgId,
    /// The organisation's place: `/org_a/org_b/`.
    pub org_path: String,
    /// Who uses it.
    pub user: UserId,
    /// The key's public id.
    pub key_id: String,
    /// Its secret.
    pub secret: String,
}

/// A virtual bucket with the places behind it.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// Name as its users see it.
    pub name: String,
    /// When the first row of it was made.
    pub created_us: i64,
    /// The whole bucket and folders in it.
    pub places: Vec<BucketPlace>,
}

/// One row of the name space, with the account ready to use.
#[derive(Debug, Clone)]
pub struct BucketPlace {
    /// The row.
    pub mapping: MappingId,
    /// Folder, empty for the whole bucket.
    pub folder: String,
    /// Account.
    pub account: AccountId,
    /// How to reach it.
    pub upstream: Arc<s3::Upstream>,
    /// Bucket there.
    pub real_bucket: String,
    /// Prefix there.
    pub prefix: String,
    /// Whether writing is allowed.
    pub writable: bool,
}

type Kept<K, V> = RwLock<BTreeMap<K, (i64, V)>>;

/// Answers that are asked for with every request.
#[derive(Default)]
pub(crate) struct Caches {
    holders: Kept<String, Option<Arc<KeyHolder>>>,
    buckets: Kept<(RealmId, OrgId, UserId), Arc<Vec<Bucket>>>,
}

fn look_up<K: Ord + Borrow<Q>, Q: Ord + ?Sized, V: Clone>(kept: &Kept<K, V>, key: &Q, now_us: i64) -> Option<V> {
    let kept = kept.read().ok()?;
    kept.get(key).filter(|(at_us, _)| (now_us - at_us).abs() < KEPT_US).map(|(_, value)| value.clone())
}

fn keep<K: Ord, V>(kept: &Kept<K, V>, key: K, now_us: i64, value: V) {
    if let Ok(mut kept) = kept.write() {
        if kept.len() >= KEPT_MAX {
            kept.clear();
        }
        kept.insert(key, (now_us, value));
    }
}

impl Caches {
    /// Forgets everything: something that the answers depend on has changed.
    pub(crate) fn clear(&self) {
        if let Ok(mut kept) = self.holders.write() {
            kept.clear();
        }
        if let Ok(mut kept) = self.buckets.write() {
            kept.clear();
        }
    }
}

/// `/org_a/org_b/`.
pub(crate) fn path_text(path: &[OrgId]) -> String {
    path.iter().fold("/".to_owned(), |text, org| format!("{text}{org}/"))
}

/// The holder of a key; `None` when it is unknown, revoked or its user is not active.
///
/// # Errors
/// [`Failure`].
pub async fn key_holder(app: &App, key_id: &str) -> Result<Option<Arc<KeyHolder>>, Failure> {
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

async fn fetch_holder(app: &App, key_id: &str) -> Result<Option<KeyHolder>, Failure> {
    let Some((realm, key)) = across::access_key(&app.store, key_id).await? else { return Ok(None) };
    if key.revoked_us.is_some() {
        return Ok(None);
    }
    let mut tx = app.store.read(&decide_job(realm, key.org)).await?;
    if store::users::get(&mut tx, key.user).await?.state != "active" {
        return Ok(None);
    }
    let place = match orgs::place(&mut tx, key.org).await {
        Err(store::StoreError::NotFound(_)) => return Ok(None),
        other => other?,
    };
    // A key lives only as long as its holder may use keys there, and the product is on.
    let holder = crate::cx::actor_of(app, &mut tx, key.user).await?;
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
pub async fn buckets(app: &App, realm: RealmId, org: OrgId, user: UserId) -> Result<Arc<Vec<Bucket>>, Failure> {
    let (key, now_us) = ((realm, org, user), app.now_us());
    if let Some(found) = look_up(&app.caches.buckets, &key, now_us) {
        return Ok(found);
    }
    let found = Arc::new(fetch_buckets(app, realm, org, user).await?);
    keep(&app.caches.buckets, key, now_us, found.clone());
    Ok(found)
}

async fn fetch_buckets(app: &App, realm: RealmId, org: OrgId, user: UserId) -> Result<Vec<Bucket>, Failure> {
    let mut tx = app.store.read(&decide_job(realm, org)).await?;
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
pub fn kept_holder(app: &App, key_id: &str) -> Option<Option<Arc<KeyHolder>>> {
    look_up(&app.caches.holders, key_id, app.now_us())
}

/// As [`buckets`], if the answer is kept in memory.
#[must_use]
pub fn kept_buckets(app: &App, realm: RealmId, org: OrgId, user: UserId) -> Option<Arc<Vec<Bucket>>> {
    look_up(&app.caches.buckets, &(realm, org, user), app.now_us())
}

/// As [`batch`], if all that is needed is kept in memory.
#[must_use]
pub fn kept_batch(app: &App, requests: &[S3Request]) -> Option<RawBatch> {
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
pub async fn batch(app: &App, requests: &[S3Request]) -> Result<RawBatch, Failure> {
    let mut batch = RawBatch::default();
    for request in requests {
        match key_holder(app, &request.access_key).await? {
            Some(holder) if holder.org == request.org => batch.push_s3(&holder.org_path, request),
            // The key was revoked while the request ran: it still counts.
            _ => {
                let mut tx = app.store.read(&decide_job(request.realm, request.org)).await?;
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
pub async fn record(app: &App, batch: RawBatch) -> Result<(), Failure> {
    Ok(app.lake.append(batch).await?)
}

/// What the caller of this context sees through the gateway.
///
/// # Errors
/// [`Failure`].
pub async fn my_buckets(cx: &Cx, org: OrgId) -> Result<Arc<Vec<Bucket>>, Failure> {
    let grant = cx.allow(Action::S3OwnKeys, org).await?;
    buckets(&cx.app, grant.realm(), org, cx.user()?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whoever asks with ever new keys gets no more memory than this.
    #[test]
    fn answers_for_unknown_keys_are_bounded() {
        let kept: Kept<String, Option<Arc<KeyHolder>>> = Kept::default();
        for no in 0..KEPT_MAX + 5 {
            keep(&kept, format!("stranger{no}"), 0, None);
            assert!(kept.read().unwrap().len() <= KEPT_MAX);
        }
        assert!(matches!(look_up(&kept, format!("stranger{}", KEPT_MAX + 4).as_str(), 0), Some(None)));
        assert!(look_up(&kept, format!("stranger{}", KEPT_MAX + 4).as_str(), KEPT_US).is_none(), "nor for long");
    }
}
