//! The port, as the application fills it.

use crate::port::{Caller, Mapping, Port, PortError, VirtualBucket};
use app::s3_session::KeyHolder;
use app::{App, Failure, s3_session};
use metering::s3::S3Request;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

/// State behind the gateway: the application.
///
/// What is kept in memory is answered in the caller's runtime; databases are asked in the one that this
/// was made in, because their connections belong to it.
pub struct AppPort {
    app: Arc<App>,
    databases: Handle,
    callers: Translated<KeyHolder, Caller>,
    name_spaces: Translated<Vec<s3_session::Bucket>, Vec<VirtualBucket>>,
}

/// The last translations, by what was translated.
type Translated<A, B> = Mutex<Vec<(Arc<A>, Arc<B>)>>;

/// Translations kept at once.
const TRANSLATED_MAX: usize = 64;

/// Gives the same translation for the same original.
fn translate<A, B>(kept: &Translated<A, B>, original: &Arc<A>, make: impl FnOnce(&A) -> B) -> Arc<B> {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, known)) = kept.iter().find(|(known, _)| Arc::ptr_eq(known, original)) {
        return Arc::clone(known);
    }
    if kept.len() >= TRANSLATED_MAX {
        kept.clear();
    }
    let made = Arc::new(make(original));
    kept.push((Arc::clone(original), Arc::clone(&made)));
    made
}

fn port_error(failure: Failure) -> PortError {
    let cause = std::error::Error::source(&failure).map(ToString::to_string).unwrap_or_default();
    PortError(format!("{failure} {cause}"))
}

impl AppPort {
    /// Makes the port; call it in the runtime of the databases.
    ///
    /// # Panics
    /// Outside of a runtime.
    #[must_use]
    pub fn new(app: Arc<App>) -> Self {
        Self { app, databases: Handle::current(), callers: Mutex::default(), name_spaces: Mutex::default() }
    }

    /// Does work with databases.
    async fn ask<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, PortError> {
        let done = self.databases.spawn(work).await;
        done.map_err(|error| PortError(error.to_string()))?.map_err(port_error)
    }
}

impl Port for AppPort {
    async fn caller(&self, access_key_id: &str) -> Result<Option<Arc<Caller>>, PortError> {
        let found = match s3_session::kept_holder(&self.app, access_key_id) {
            Some(found) => found,
            None => {
                let (app, key_id) = (Arc::clone(&self.app), access_key_id.to_owned());
                self.ask(async move { s3_session::key_holder(&app, &key_id).await }).await?
            }
        };
        Ok(found.map(|holder| translate(&self.callers, &holder, to_caller)))
    }

    async fn buckets(&self, caller: &Caller) -> Result<Arc<Vec<VirtualBucket>>, PortError> {
        let (realm, org, user) = (caller.realm, caller.org, caller.user);
        let found = match s3_session::kept_buckets(&self.app, realm, org, user) {
            Some(found) => found,
            None => {
                let app = Arc::clone(&self.app);
                self.ask(async move { s3_session::buckets(&app, realm, org, user).await }).await?
            }
        };
        Ok(translate(&self.name_spaces, &found, |buckets| buckets.iter().map(to_virtual).collect()))
    }

    async fn record(&self, events: &[S3Request]) -> Result<(), PortError> {
        let batch = match s3_session::kept_batch(&self.app, events) {
            Some(batch) => batch,
            None => {
                let (app, events) = (Arc::clone(&self.app), events.to_vec());
                self.ask(async move { s3_session::batch(&app, &events).await }).await?
            }
        };
        s3_session::record(&self.app, batch).await.map_err(port_error)
    }
}

fn to_caller(holder: &KeyHolder) -> Caller {
    Caller {
        realm: holder.realm,
        org: holder.org,
        user: holder.user,
        access_key_id: holder.key_id.clone(),
        secret: holder.secret.clone(),
    }
}

fn to_virtual(bucket: &s3_session::Bucket) -> VirtualBucket {
    let mappings = bucket.places.iter().map(|place| Mapping {
        mapping: place.mapping,
        folder: place.folder.clone(),
        account: place.account,
        upstream: place.upstream.clone(),
        real_bucket: place.real_bucket.clone(),
        prefix: place.prefix.clone(),
        writable: place.writable,
    });
    VirtualBucket { name: bucket.name.clone(), created_us: bucket.created_us, mappings: mappings.collect() }
}
