//! A change: the one kind of transaction that writes what people can see.
//!
//! It is opened by somebody who may (`Cx::change`), by a background run or for whoever showed a secret (`Ground`). It
//! raises the realm's epoch where rights are touched, commits only with an entry in the audit log, looks at every
//! organisation that it may leave without anybody to run it, and makes this process forget what it knew. Dropped
//! without [`Change::commit`] or [`Change::done`], nothing of it happened.

use super::effects::{self, Preview};
use super::log::{Act, Doer, append};
use super::{App, lockout};
use crate::failure::Failure;
use access::decide_job;
use base::{OrgId, World};
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use store::Tx;

/// A transaction that changes something.
pub struct Change {
    tx: Tx,
    world: Arc<dyn World>,
    /// Whose memory of rights and keys is cleared; none when the operator works beside a server.
    app: Option<Arc<App>>,
    doer: Doer,
    /// Where the person sits who does it: rules that ask for an address are tried from there.
    ip: Option<IpAddr>,
    forget: Vec<String>,
    /// Brings back what nobody can run: it is not asked who could.
    restores: bool,
    /// Whether it is only tried.
    preview: Preview,
}

impl Deref for Change {
    type Target = Tx;
    fn deref(&self) -> &Tx {
        &self.tx
    }
}

impl DerefMut for Change {
    fn deref_mut(&mut self) -> &mut Tx {
        &mut self.tx
    }
}

impl Change {
    pub(super) fn new(tx: Tx, app: &Arc<App>, doer: Doer, ip: Option<IpAddr>) -> Self {
        Self {
            tx,
            world: app.world.clone(),
            app: Some(app.clone()),
            doer,
            ip,
            forget: Vec::new(),
            restores: false,
            preview: Preview::default(),
        }
    }

    /// Beside a server, which sees the change within half a second.
    pub(super) fn beside(tx: Tx, world: Arc<dyn World>, doer: Doer) -> Self {
        let preview = Preview::default();
        Self { tx, world, app: None, doer, ip: None, forget: Vec::new(), restores: false, preview }
    }

    /// The same, to be tried only, if that is asked for.
    pub(super) fn tried(self, preview: Preview) -> Self {
        Self { preview, ..self }
    }

    /// The same, of the operator who brings an organisation back.
    pub(super) fn that_restores(self) -> Self {
        Self { restores: true, ..self }
    }

    /// A fresh id.
    pub(crate) fn fresh(&self) -> u128 {
        self.world.fresh_id()
    }

    /// When it began: the time of all that it writes.
    pub(crate) fn now_us(&self) -> i64 {
        self.doer.at_us
    }

    /// Who does it, as the log says it.
    pub(crate) fn doer(&self) -> &str {
        &self.doer.actor
    }

    /// Writes one of several entries into the audit log. `detail` never holds a secret.
    pub(crate) async fn note(
        &mut self,
        org: OrgId,
        action: &str,
        target: &str,
        detail: serde_json::Value,
    ) -> Result<(), Failure> {
        let act = Act { org, action, target, outcome: "allow", reason: String::new(), detail };
        append(&self.doer, &mut self.tx, act).await
    }

    /// Writes an entry about what was refused.
    pub(crate) async fn note_denied(
        &mut self,
        org: OrgId,
        (action, target): (&str, &str),
        reason: &str,
        detail: serde_json::Value,
    ) -> Result<(), Failure> {
        let act = Act { org, action, target, outcome: "deny", reason: reason.to_owned(), detail };
        append(&self.doer, &mut self.tx, act).await
    }

    /// Signing keys derived from this access key are forgotten with the commit.
    pub(crate) fn forget_key(&mut self, key_id: &str) {
        self.forget.push(key_id.to_owned());
    }

    /// Writes the entry of the act and commits.
    ///
    /// # Errors
    /// [`Failure`]; nothing happened then. [`crate::Kind::Conflict`] with `last_organization_admin` when an
    /// organisation would be left without anybody who can run it.
    pub(crate) async fn done(
        mut self,
        org: OrgId,
        action: &str,
        target: &str,
        detail: serde_json::Value,
    ) -> Result<(), Failure> {
        self.note(org, action, target, detail).await?;
        self.commit().await
    }

    /// Looks now at the organisations that may be left without anybody to run them, as the commit does.
    pub(crate) async fn check_lockout(&mut self) -> Result<(), Failure> {
        if self.restores {
            return Ok(());
        }
        let store = self.app.as_ref().map(|app| &app.store);
        lockout::check_watched(&mut self.tx, store, &lockout::trial(self.doer.at_us, self.ip)).await
    }

    /// Commits what was noted already.
    ///
    /// # Errors
    /// As [`Change::done`].
    ///
    /// # Panics
    /// When nothing was written into the audit log: only a bug can do that.
    pub(crate) async fn commit(mut self) -> Result<(), Failure> {
        assert!(self.tx.is_noted(), "a change stands in the audit log");
        self.check_lockout().await?;
        if let Some(app) = self.app.as_ref().filter(|_| self.preview.is_on()) {
            let mut before = app.store.read(&decide_job(self.tx.realm(), self.tx.realm().root())).await?;
            self.preview.put(effects::of(&mut before, &mut self.tx, self.doer.at_us).await?);
            return Err(Failure::conflict("this was only tried; nothing is changed").coded("only_tried"));
        }
        self.tx.commit().await?;
        if let Some(app) = self.app {
            app.caches.clear();
            self.forget.iter().for_each(|key_id| app.s3.forget(key_id));
        }
        Ok(())
    }
}
