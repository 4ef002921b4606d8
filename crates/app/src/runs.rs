//! Work that nobody asks for: timers, and how they are.

pub mod health;
pub mod timers;
