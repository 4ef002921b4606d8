//! Price books and rating: from rolled-up usage to exact charges on every edge of the tree.
//!
//! Pure and repeatable: the same book and usage give the same charges to the last 10^-12.

pub mod book;
pub mod edge;
pub mod rate;

pub use book::{BookError, Model, PriceBook, PriceItem, Tier, UnitBasis, Window};
pub use edge::{EdgeCharge, pass_through};
pub use rate::{Charge, ChargePart, ItemUsage, RatingError, Unrated, rate};
