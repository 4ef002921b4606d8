//! The S3 protocol: signatures, payload framings, operations, names, errors and a client.
//!
//! Spoken by the gateway (as a server and towards the upstreams), by `app` (connection test, daily
//! sweep) and by the simulator. It knows nothing of tenants and never reads a clock: the time comes in
//! as a value.

pub mod client;
pub mod dates;
pub mod endpoint;
pub mod error;
pub mod names;
pub mod operation;
pub mod payload;
pub mod query;
pub mod rewrite;
pub mod sigv4;
pub mod xml;

mod calls;
mod canonical;
mod checksum;
mod sign;

pub use calls::{
    ListPage, ListQuery, ListedObject, ListedPart, ListedUpload, ListedVersion, ObjectHead, PartsPage, UploadsPage,
    VersionsPage, read_error,
};
pub use client::{AddressCheck, Body, BoxError, Client, ClientError, Destination, Outgoing, empty_body, full_body};
pub use endpoint::{Style, Upstream};
pub use error::S3Error;
pub use operation::{Class, Operation};
pub use payload::PayloadDecoder;
pub use query::Query;
pub use sigv4::{AuthKind, PayloadMode, Verified};
