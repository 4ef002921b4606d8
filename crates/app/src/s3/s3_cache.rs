//! What the S3 gateway asks with every request, kept for a moment.

use base::{AccountId, MappingId, OrgId, RealmId, UserId};
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};

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

pub(crate) type Kept<K, V> = RwLock<BTreeMap<K, (i64, V)>>;

/// Answers that are asked for with every request.
#[derive(Default)]
pub(crate) struct Caches {
    pub(crate) holders: Kept<String, Option<Arc<KeyHolder>>>,
    pub(crate) buckets: Kept<(RealmId, OrgId, UserId), Arc<Vec<Bucket>>>,
}

pub(crate) fn look_up<K: Ord + Borrow<Q>, Q: Ord + ?Sized, V: Clone>(
    kept: &Kept<K, V>,
    key: &Q,
    now_us: i64,
) -> Option<V> {
    let kept = kept.read().ok()?;
    kept.get(key).filter(|(at_us, _)| (now_us - at_us).abs() < KEPT_US).map(|(_, value)| value.clone())
}

pub(crate) fn keep<K: Ord, V>(kept: &Kept<K, V>, key: K, now_us: i64, value: V) {
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
