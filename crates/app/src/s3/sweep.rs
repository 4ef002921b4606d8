//! The sweep: compares what an account holds with what the gateway saw, and books the difference.
//!
//! What is seen: all versions of objects, and the parts of unfinished uploads. A store that lists no versions or no
//! uploads is compared as far as it lists; what it does not list stays as it is, and the result says so.

use crate::authority::log::path_text;
use crate::authority::{App, Change, Cx, SystemCx};
use crate::failure::{Failure, Kind};
use crate::sources::{LINK, upstream_of};
use base::{AccountId, JobId, MappingId, OrgId, RealmId};
use lake::{Drift, Listing, SeenObject, SeenOwner};
use metering::s3::{OBJECT_BYTES_MAX, storage_class};
use s3::{ClientError, ListQuery, ListedVersion, Upstream, VersionsPage, names};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use store::Tx;
use store::accounts::{self, Account, Mapping};
use store::former_mappings::{self, Charge};
use store::jobs::{self, Job};

/// Things that are named as not listed.
const UNLISTED_MAX: usize = 20;
/// How long the lists of one bucket may take: a hundred million objects at a slow store.
const BUCKET_MAX: Duration = Duration::from_secs(4 * 3_600);

/// Compares the object index with the account itself and books the difference.
///
/// # Errors
/// [`Kind::Upstream`] when the account cannot be listed; nothing is booked then. [`Kind::Busy`] while it is being swept
/// already.
pub async fn sweep(cx: &Cx, account: AccountId) -> Result<Drift, Failure> {
    let (grant, account) = cx.find::<Account>(account, LINK.on(&format!("source:{account}"))).await?;
    let tx = cx.look_around().await?;
    let (drift, _) = sweep_account(&cx.app, cx.realm, tx, &account).await?;
    if drift.is_any() {
        note(cx.change_with(&grant).await?, &account, &drift).await?;
    }
    Ok(drift)
}

/// As [`sweep`], by the job that does it each day.
pub(crate) async fn sweep_by_job(cx: &SystemCx, account: AccountId) -> Result<Drift, Failure> {
    let mut tx = cx.read().await?;
    let account = accounts::get(&mut tx, account).await?;
    let (drift, empty) = sweep_account(cx.app(), cx.realm(), tx, &account).await?;
    if drift.is_any() {
        note(cx.record(account.org).await?, &account, &drift).await?;
    }
    if !empty.is_empty() {
        let mut tx = cx.keep(account.org).await?;
        for row in empty {
            former_mappings::forget(&mut tx, row).await?;
        }
        tx.commit().await?;
    }
    Ok(drift)
}

async fn note(tx: Change, account: &Account, drift: &Drift) -> Result<(), Failure> {
    let detail = serde_json::json!({
        "added": drift.added,
        "removed": drift.removed,
        "resized": drift.resized,
        "moved": drift.moved,
        "bytes": drift.bytes,
        "examples": drift.examples,
    });
    tx.done(account.org, "account.sweep", &account.id.to_string(), detail).await
}

/// Has an account swept as soon as a worker is free.
pub(crate) async fn sweep_soon(tx: &mut Change, account: AccountId) -> Result<(), Failure> {
    let org = accounts::get(tx, account).await?.org;
    let job = job_of(JobId(tx.fresh()), (account, org), tx.now_us());
    Ok(jobs::hasten(tx, &job).await?)
}

/// The job that sweeps an account.
pub(crate) fn job_of(id: JobId, (account, org): (AccountId, OrgId), due_us: i64) -> Job {
    Job {
        id,
        org,
        kind: "sweep_account".to_owned(),
        unique_key: format!("sweep/{account}"),
        payload_json: serde_json::json!({ "account": account }).to_string(),
        due_us,
    }
}

/// A row of the name space, live or removed.
struct Cover {
    row: Mapping,
    /// Removed, and what becomes of the charge.
    former: Option<Charge>,
    owner: Arc<SeenOwner>,
}

impl Cover {
    fn has(&self, bucket: &str, key: &str) -> bool {
        self.row.real_bucket == bucket && key.starts_with(&self.row.prefix)
    }
}

/// All rows over an account: the longest prefix owns an object that nobody wrote; at the same prefix a live row comes
/// before one that was removed, a person's own before their department's.
async fn covers(tx: &mut Tx, realm: RealmId, account: AccountId) -> Result<Vec<Cover>, Failure> {
    let live = accounts::mappings_below(tx, realm.root()).await?.into_iter().filter(|row| row.account == account);
    let former = former_mappings::of_account(tx, account).await?.into_iter();
    let all: Vec<(Mapping, Option<Charge>)> =
        live.map(|row| (row, None)).chain(former.map(|former| (former.row, Some(former.charge)))).collect();
    let mut paths: BTreeMap<OrgId, String> = BTreeMap::new();
    let mut covers = Vec::new();
    for (row, former) in all {
        let org_path = match paths.get(&row.org) {
            Some(path) => path.clone(),
            None => paths.entry(row.org).or_insert(path_text(&store::orgs::path(tx, row.org).await?)).clone(),
        };
        let owner = SeenOwner { org: row.org, org_path, user: row.user, bucket: row.virtual_bucket.clone() };
        covers.push(Cover { row, former, owner: Arc::new(owner) });
    }
    let order =
        |Cover { row, former, .. }: &Cover| (Reverse(row.prefix.len()), former.is_some(), row.user.is_none(), row.id);
    covers.sort_by_key(order);
    Ok(covers)
}

/// What differed, and the removed rows below which nothing is stored any more.
async fn sweep_account(
    app: &App,
    realm: RealmId,
    mut tx: Tx,
    account: &Account,
) -> Result<(Drift, Vec<MappingId>), Failure> {
    // One at a time: a store that never ends its lists keeps one task, however often it is asked for.
    let busy =
        || Failure::new(Kind::Busy, "this account is being swept already; its result is in the audit log").waiting(60);
    let _one = app.sweeps.begin(account.id).ok_or_else(busy)?;
    let upstream = upstream_of(app, account)?;
    let started_us = app.now_us();
    let covers = covers(&mut tx, realm, account.id).await?;
    drop(tx);
    let listing = Listing { has_versions: true, has_parts: true, ..Listing::default() };
    let former = covers.iter().filter(|row| row.former.is_some());
    let empty: BTreeSet<MappingId> = former.map(|cover| cover.row.id).collect();
    let mut walk = Walk { app, upstream, account: account.id, covers, listing, unlisted: Vec::new(), empty };
    let buckets: BTreeSet<String> = walk.covers.iter().map(|cover| cover.row.real_bucket.clone()).collect();
    for bucket in &buckets {
        let walked = tokio::time::timeout(BUCKET_MAX, walk.bucket(bucket)).await;
        let late = |_| ClientError::Timeout { host: account.endpoint.clone(), seconds: BUCKET_MAX.as_secs() };
        match walked.unwrap_or_else(|elapsed| Err(late(elapsed))) {
            Err(ClientError::Refused { code, .. }) if code == "NoSuchBucket" => {
                walk.unlisted.push(format!("bucket {bucket} is not there any more"));
            }
            done => {
                done.map_err(|error| Failure::new(Kind::Upstream, format!("bucket {bucket}: {}", explain(&error))))?
            }
        }
    }
    let mut drift = app.lake.reconcile(realm, account.id, &walk.listing, started_us).await?;
    // Where something could not be listed, nothing is known to be gone.
    let empty = if walk.unlisted.is_empty() { walk.empty.into_iter().collect() } else { Vec::new() };
    drift.unlisted = walk.unlisted;
    tracing::info!(account = %account.id, ?drift, "swept");
    Ok((drift, empty))
}

/// A refusal that an admin can mend is said with what is missing.
fn explain(error: &ClientError) -> String {
    match error {
        ClientError::Refused { status: 403, .. } => {
            format!("{error}; the key must be allowed to list versions (s3:ListBucketVersions)")
        }
        other => other.to_string(),
    }
}

/// Whether the store does not know the operation at all.
fn is_unknown(error: &ClientError) -> bool {
    let ClientError::Refused { status, code, .. } = error else { return false };
    matches!(status, 405 | 501) || ["NotImplemented", "MethodNotAllowed"].contains(&code.as_str())
}

/// A walk over an account's buckets.
struct Walk<'a> {
    app: &'a App,
    upstream: Upstream,
    account: AccountId,
    covers: Vec<Cover>,
    listing: Listing,
    unlisted: Vec<String>,
    /// Removed rows below which nothing was seen yet.
    empty: BTreeSet<MappingId>,
}

impl Walk<'_> {
    async fn bucket(&mut self, bucket: &str) -> Result<(), ClientError> {
        match self.versions(bucket).await {
            Ok(versions) => {
                for found in versions.into_iter().filter(|found| !found.is_marker) {
                    let name = names::object_hash(self.account, bucket, found.key.as_bytes());
                    let name = names::version_hash(&name, &found.version);
                    self.see(name, (bucket, &found.key), found.size_bytes, &found.storage_class);
                }
            }
            Err(error) if is_unknown(&error) => {
                self.listing.has_versions = false;
                self.current_objects(bucket).await?;
            }
            Err(error) => return Err(error),
        }
        self.parts(bucket).await
    }

    /// Notes something that is stored, unless no row covers it, or those that do have given it up.
    fn see(&mut self, object: String, (bucket, key): (&str, &str), size_bytes: u64, class: &str) {
        if size_bytes > OBJECT_BYTES_MAX {
            // No store holds that; it would be the end of every sum.
            self.unlisted.push(format!("an object of bucket {bucket} is said to have {size_bytes} bytes"));
            self.unlisted.truncate(UNLISTED_MAX);
        }
        let size_bytes = size_bytes.min(OBJECT_BYTES_MAX);
        let over: Vec<&Cover> = self.covers.iter().filter(|cover| cover.has(bucket, key)).collect();
        for cover in &over {
            self.empty.remove(&cover.row.id);
        }
        let Some(Cover { row, owner, .. }) = over.iter().find(|cover| cover.former != Some(Charge::Stop)) else {
            return;
        };
        let stopped = over.iter().filter(|other| other.former == Some(Charge::Stop));
        let given_up = stopped
            .filter(|other| other.row.prefix.len() >= row.prefix.len())
            .map(|other| (other.row.org, other.row.virtual_bucket.clone()))
            .find(|(org, bucket)| (*org, bucket) != (row.org, &row.virtual_bucket));
        let rest = key.strip_prefix(row.prefix.as_str()).unwrap_or_default();
        self.listing.objects.push(SeenObject {
            object,
            size_bytes,
            class: storage_class(class),
            owner: Arc::clone(owner),
            given_up,
            shown: format!("{}/{}{rest}", row.virtual_bucket, row.folder),
        });
    }

    async fn page(
        &self,
        bucket: &str,
        (prefix, delimiter): (&str, &str),
        after: Option<&(String, String)>,
    ) -> Result<VersionsPage, ClientError> {
        let after = after.map(|(key, version)| (key.as_str(), version.as_str()));
        let now_us = self.app.now_us();
        self.app.s3.list_object_versions(&self.upstream, bucket, (prefix, delimiter), after, now_us).await
    }

    /// All versions of a bucket. Of a store whose pages lose versions in between: folder by folder, each on one page
    /// where it fits.
    async fn versions(&self, bucket: &str) -> Result<Vec<ListedVersion>, ClientError> {
        let mut found: BTreeMap<(String, String), ListedVersion> = BTreeMap::new();
        let mut keep = |versions: Vec<ListedVersion>| {
            found.extend(versions.into_iter().map(|one| ((one.key.clone(), one.version.clone()), one)));
        };
        let mut todo = vec![String::new()];
        while let Some(prefix) = todo.pop() {
            let page = self.page(bucket, (&prefix, ""), None).await?;
            let delimiter = if page.by_folder { "/" } else { "" };
            let mut next = page.next;
            match (&next, page.by_folder) {
                (None, _) | (Some(_), false) => keep(page.versions),
                (Some(_), true) => {
                    let level = self.page(bucket, (&prefix, delimiter), None).await?;
                    keep(level.versions);
                    todo.extend(level.common_prefixes);
                    next = level.next;
                }
            }
            while let Some(after) = next {
                let page = self.page(bucket, (&prefix, delimiter), Some(&after)).await?;
                keep(page.versions);
                todo.extend(page.common_prefixes);
                next = page.next;
            }
        }
        Ok(found.into_values().collect())
    }

    async fn current_objects(&mut self, bucket: &str) -> Result<(), ClientError> {
        let mut token: Option<String> = None;
        loop {
            let query = ListQuery { keys_max: 1_000, token: token.as_deref(), ..ListQuery::default() };
            let page = self.app.s3.list_objects_v2(&self.upstream, bucket, query, self.app.now_us()).await?;
            for object in page.objects {
                let name = names::object_hash(self.account, bucket, object.key.as_bytes());
                self.see(name, (bucket, &object.key), object.size_bytes, &object.storage_class);
            }
            if page.next_token.is_none() {
                return Ok(());
            }
            if page.next_token == token {
                let reason = "a page of the list leads to itself".to_owned();
                return Err(ClientError::Answer { host: self.upstream.host(bucket), reason });
            }
            token = page.next_token;
        }
    }

    /// Parts of the unfinished uploads of a bucket. Where they cannot be listed, those that are known stay.
    async fn parts(&mut self, bucket: &str) -> Result<(), ClientError> {
        let mut after: Option<(String, String)> = None;
        loop {
            let from = after.as_ref().map(|(key, upload)| (key.as_str(), upload.as_str()));
            let listed = self.app.s3.list_multipart_uploads(&self.upstream, bucket, "", from, self.app.now_us()).await;
            let page = match listed {
                Err(error) if is_unknown(&error) || matches!(error, ClientError::Refused { status: 403, .. }) => {
                    self.listing.has_parts = false;
                    self.unlisted.push(format!("unfinished uploads of bucket {bucket} cannot be listed: {error}"));
                    return Ok(());
                }
                listed => listed?,
            };
            for upload in page.uploads {
                let sizes = self.sizes_of_parts(bucket, &upload.key, &upload.upload_id).await?;
                let name = names::upload_hash(self.account, &upload.upload_id);
                for (part, size_bytes) in sizes {
                    self.see(lake::part_name(&name, part), (bucket, &upload.key), size_bytes, &upload.storage_class);
                }
            }
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }

    /// Bytes by part number. A store that keeps every try of a part lists each: all are stored.
    async fn sizes_of_parts(&self, bucket: &str, key: &str, upload: &str) -> Result<BTreeMap<u32, u64>, ClientError> {
        let mut sizes: BTreeMap<u32, u64> = BTreeMap::new();
        let mut after = 0;
        loop {
            let listed = self.app.s3.list_parts(&self.upstream, bucket, key, upload, after, self.app.now_us()).await;
            let page = match listed {
                // It ended meanwhile.
                Err(ClientError::Refused { status: 404, .. }) => return Ok(BTreeMap::new()),
                listed => listed?,
            };
            for part in page.parts {
                *sizes.entry(part.part).or_default() += part.size_bytes;
            }
            match page.next {
                Some(next) => after = next,
                None => return Ok(sizes),
            }
        }
    }
}
