//! What both faces need to stay open to everybody: limits on connections, silences and bodies.
//!
//! It knows nothing of what is served. A port that cannot be filled by one who sends half a head, and bodies that
//! together never take more memory than was set aside.

pub mod budget;
pub mod connections;
pub mod files;
pub mod held;
pub mod http;
pub mod idle;
pub mod wire;

/// What a body fails with.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;
