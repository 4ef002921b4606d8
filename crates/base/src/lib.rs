//! The words and numbers every other crate speaks: ids, money, quantities, periods, currencies and
//! the [`World`] that hands out time and chance.
//!
//! This crate never does I/O, never reads a clock and knows nothing of tenants.

pub mod currency;
pub mod decimal;
pub mod ids;
pub mod period;
pub mod text;
pub mod world;

pub use currency::Currency;
pub use decimal::{AmountMinor, AmountPico, DecimalError, QuantityNano, RatePico, Rounding};
pub use ids::{
    AccessKeyId, AccountId, AgreementId, BindingId, CloudLinkId, EntryId, FactorId, GroupId, GuardRailId, IdError,
    IdpId, InvitationId, InvoiceId, JobId, MappingId, OrgId, PolicyId, RealmId, RequestId, RunId, SessionId, TokenId,
    UserId,
};
pub use period::{Period, PeriodError, Zone};
pub use world::World;
