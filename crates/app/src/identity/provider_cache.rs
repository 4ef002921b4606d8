//! Documents and keys of identity providers, kept for a few minutes.

use identity::oidc::{KeySet, Provider};
use std::collections::BTreeMap;
use std::sync::Mutex;

/// Discovery documents and keys are kept so long at most.
const KEEP_US: i64 = 5 * 60_000_000;
/// Providers that are remembered at once.
const PROVIDERS_MAX: usize = 1_000;
/// Documents of providers, by issuer: until when, and what.
#[derive(Default)]
pub(crate) struct Providers(Mutex<BTreeMap<String, (i64, Provider, KeySet)>>);

impl Providers {
    /// What is known of an issuer and not too old.
    pub(crate) fn get(&self, issuer: &str, now_us: i64) -> Option<(Provider, KeySet)> {
        let known = self.0.lock().ok()?;
        let (until_us, provider, keys) = known.get(issuer)?;
        (*until_us > now_us).then(|| (provider.clone(), keys.clone()))
    }

    /// Keeps what an issuer said.
    pub(crate) fn put(&self, issuer: &str, provider: &Provider, keys: &KeySet, now_us: i64) {
        let Ok(mut known) = self.0.lock() else { return };
        if known.len() >= PROVIDERS_MAX {
            known.clear();
        }
        known.insert(issuer.to_owned(), (now_us + KEEP_US, provider.clone(), keys.clone()));
    }
}
