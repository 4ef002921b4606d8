//! Foreign usage in: parses a format into typed records or rejects with a reason, never half of both.

pub mod events;
