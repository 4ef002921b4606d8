//! Statements and invoices: drafts, numbers, and what never changes afterwards.
//!
//! Pure. A draft is a value that can be made again; a finalised paper is frozen with everything that it
//! needs to be printed, so that later changes of names or prices never touch it.

pub mod invoice;

pub use invoice::{
    Adjustment, BillError, Draft, Invoice, InvoiceKind, InvoiceLine, InvoiceState, LineSource, Party, Profile, draft,
    finalise,
};
