//! Usage: taken in, asked for, set aside.

pub mod events;
pub mod quarantine;
mod question;

pub use question::{Question, Scope, Usage, ask};
