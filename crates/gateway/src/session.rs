//! The port, as the application fills it.

use crate::port::{Caller, Mapping, Port, PortError, VirtualBucket};
use app::{App, Failure, s3_session};
use metering::s3::S3Request;
use std::sync::Arc;

/// State behind the gateway: the application.
#[derive(Clone)]
pub struct AppPort(
    /// The application.
    pub Arc<App>,
);

fn port_error(failure: Failure) -> PortError {
    let cause = std::error::Error::source(&failure).map(ToString::to_string).unwrap_or_default();
    PortError(format!("{failure} {cause}"))
}

impl Port for AppPort {
    async fn caller(&self, access_key_id: &str) -> Result<Option<Arc<Caller>>, PortError> {
        let holder = s3_session::key_holder(&self.0, access_key_id).await.map_err(port_error)?;
        Ok(holder.map(|holder| {
            Arc::new(Caller {
                realm: holder.realm,
                org: holder.org,
                user: holder.user,
                access_key_id: holder.key_id.clone(),
                secret: holder.secret.clone(),
            })
        }))
    }

    async fn buckets(&self, caller: &Caller) -> Result<Arc<Vec<VirtualBucket>>, PortError> {
        let found = s3_session::buckets(&self.0, caller.realm, caller.org, caller.user).await.map_err(port_error)?;
        Ok(Arc::new(found.iter().map(to_virtual).collect()))
    }

    async fn record(&self, event: S3Request) -> Result<(), PortError> {
        s3_session::record(&self.0, event).await.map_err(port_error)
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
