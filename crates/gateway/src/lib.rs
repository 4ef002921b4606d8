//! The S3 gateway: verifies a tenant's virtual key, maps the name, signs again with the account's key,
//! streams both ways and meters what crossed the socket.
//!
//! It reaches state only through [`Port`]. It never buffers an object, never retries a body, and never
//! shows a real name, an upstream's id or an upstream's refusal of our own key.

mod answer;
mod buckets;
mod copies;
mod delete_objects;
mod folder_lists;
mod forward;
mod gateway;
mod inbound;
mod listing;
mod lists;
mod meter;
mod objects;
mod port;
mod races;
mod recorder;
mod route;
mod server;
mod session;
mod settings;
mod stored;
mod tokens;
mod upload;
mod upstream_errors;

pub use gateway::Gateway;
pub use port::{Caller, Mapping, Port, PortError, VirtualBucket};
pub use server::serve;
pub use session::AppPort;
pub use settings::Settings;
