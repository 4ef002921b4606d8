//! Prices, rating, documents, costs, and the way from a cent back to its records.

pub mod bills;
pub mod costs;
pub(crate) mod pdf_turns;
pub mod prices;
pub mod rating;
pub mod recomputed;
pub mod trace;
