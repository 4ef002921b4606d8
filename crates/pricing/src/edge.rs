//! What an edge without prices of its own owes: its share of the edge above, to the last 10^-12.

use crate::rate::Charge;
use base::{AmountPico, OrgId};

/// The charges of an edge, with where they come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeCharge {
    /// The child of the edge: who owes.
    pub payer: OrgId,
    /// The charge.
    pub charge: Charge,
}

/// The part of the charges of the edge above that was caused below `payer`. Because an item's charges
/// add up to its total, the departments' parts and the parent's own part add up to the parent's bill.
pub fn pass_through(charges: &[Charge], payer: OrgId, is_below: impl Fn(OrgId) -> bool) -> Vec<EdgeCharge> {
    charges
        .iter()
        .filter(|charge| is_below(charge.org))
        .map(|charge| EdgeCharge { payer, charge: charge.clone() })
        .collect()
}

/// Adds charges up.
///
/// # Errors
/// [`base::DecimalError::Overflow`].
pub fn total(charges: &[Charge]) -> Result<AmountPico, base::DecimalError> {
    charges.iter().try_fold(AmountPico(0), |sum, charge| sum.plus(charge.amount))
}
