//! Work in a realm for which nobody stands who is signed in: background runs, the operator's commands, and requests
//! whose secret is itself the right (a session's cookie, a link, a provider's answer).
//!
//! [`SystemCx`] and [`Door`] are the only ways to it, and a use case that a face reaches with a `Cx` has neither.

use super::log::Doer;
use super::{App, Change};
use crate::failure::Failure;
use access::{Grant, decide_job};
use base::{OrgId, RealmId, World};
use std::ops::Deref;
use std::sync::Arc;
use store::across::Claimed;
use store::{Store, Tx, epoch};

/// A realm to work in.
pub(crate) struct Ground {
    app: Arc<App>,
    realm: RealmId,
    doer: String,
}

impl Ground {
    fn grant(&self, org: OrgId) -> Grant {
        decide_job(self.realm, org)
    }

    /// The application.
    pub(crate) fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// The realm.
    pub(crate) fn realm(&self) -> RealmId {
        self.realm
    }

    /// Time.
    pub(crate) fn now_us(&self) -> i64 {
        self.app.now_us()
    }

    /// A transaction that only reads.
    pub(crate) async fn read(&self) -> Result<Tx, Failure> {
        Ok(self.app.store.read(&self.grant(self.realm.root())).await?)
    }

    /// A transaction for rows that no person sees: attempts, times of last use, jobs. Nothing of it is in the log.
    pub(crate) async fn keep(&self, org: OrgId) -> Result<Tx, Failure> {
        Ok(self.app.store.write(&self.grant(org)).await?)
    }

    /// A change that touches rights.
    pub(crate) async fn change(&self, org: OrgId) -> Result<Change, Failure> {
        let mut change = self.record(org).await?;
        epoch::bump(&mut change).await?;
        Ok(change)
    }

    /// A change that touches nobody's rights.
    pub(crate) async fn record(&self, org: OrgId) -> Result<Change, Failure> {
        let tx = self.keep(org).await?;
        Ok(Change::new(tx, &self.app, Doer::named(&self.doer, self.now_us()), None))
    }
}

/// Background work in one realm.
pub(crate) struct SystemCx(Ground);

impl SystemCx {
    /// The context of a job that this process has claimed.
    pub(crate) fn of_job(app: &Arc<App>, job: &Claimed) -> Self {
        Self::of_timer(app, job.realm)
    }

    /// The context of what time does to a realm. `crate::runs` visits each.
    pub(crate) fn of_timer(app: &Arc<App>, realm: RealmId) -> Self {
        Self(Ground { app: app.clone(), realm, doer: "system".to_owned() })
    }
}

impl Deref for SystemCx {
    type Target = Ground;
    fn deref(&self) -> &Ground {
        &self.0
    }
}

/// The operator at the machine itself. A server on the same store may run meanwhile.
pub struct Operator {
    store: Store,
    world: Arc<dyn World>,
}

impl Operator {
    /// Works on this store. Only the program's own commands call it (tidy).
    #[must_use]
    pub fn at(store: Store, world: Arc<dyn World>) -> Self {
        Self { store, world }
    }

    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    pub(crate) fn world(&self) -> &dyn World {
        self.world.as_ref()
    }

    pub(crate) async fn read(&self, realm: RealmId) -> Result<Tx, Failure> {
        Ok(self.store.read(&decide_job(realm, realm.root())).await?)
    }

    /// A change that touches rights, by the operator as the log says it.
    pub(crate) async fn change(&self, realm: RealmId, org: OrgId) -> Result<Change, Failure> {
        let tx = self.store.write(&decide_job(realm, org)).await?;
        let doer = Doer::named("operator", self.world.now_us());
        let mut change = Change::beside(tx, self.world.clone(), doer);
        epoch::bump(&mut change).await?;
        Ok(change)
    }
}

impl Operator {
    /// A change that brings an organisation back which nobody can run: it is not asked who could, since nobody can.
    pub(crate) async fn restore(&self, realm: RealmId, org: OrgId) -> Result<Change, Failure> {
        Ok(self.change(realm, org).await?.that_restores())
    }
}

/// Where somebody stands who has shown a secret and is not signed in yet, or is being signed in by it.
pub(crate) struct Door(Ground);

impl Door {
    /// The door of the realm that a secret names.
    pub(crate) fn at(app: &Arc<App>, realm: RealmId) -> Self {
        Self(Ground { app: app.clone(), realm, doer: "system".to_owned() })
    }

    /// The same, with who it was in the log.
    pub(crate) fn of(app: &Arc<App>, realm: RealmId, who: impl ToString) -> Self {
        Self(Ground { app: app.clone(), realm, doer: who.to_string() })
    }
}

impl Deref for Door {
    type Target = Ground;
    fn deref(&self) -> &Ground {
        &self.0
    }
}
