//! Which accounts are being swept: one sweep of each at a time.

use base::AccountId;
use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

/// Accounts that are being swept.
#[derive(Default)]
pub(crate) struct Sweeps(Mutex<BTreeSet<AccountId>>);

/// A sweep that is running; dropped, it is over.
pub(crate) struct Sweeping<'a> {
    sweeps: &'a Sweeps,
    account: AccountId,
}

impl Sweeps {
    /// Begins a sweep, unless one of the account is running.
    pub(crate) fn begin(&self, account: AccountId) -> Option<Sweeping<'_>> {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        running.insert(account).then_some(Sweeping { sweeps: self, account })
    }
}

impl Drop for Sweeping<'_> {
    fn drop(&mut self) {
        self.sweeps.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.account);
    }
}
