//! The application and the context of one request: who asks, and the one way to be allowed.

use crate::failure::Failure;
use crate::passwords::Passwords;
use crate::s3_session::Caches;
use crate::secrets::Vault;
use crate::sign_in::WrongPasswords;
use access::{Action, Actor, Grant, Place, decide, decide_job};
use base::{OrgId, RealmId, UserId, World};
use lake::Lake;
use std::sync::Arc;
use store::{Store, orgs};

/// Everything that lives as long as the process.
pub struct App {
    pub(crate) store: Store,
    pub(crate) lake: Lake,
    pub(crate) world: Arc<dyn World>,
    pub(crate) vault: Vault,
    pub(crate) passwords: Passwords,
    pub(crate) s3: Arc<s3::Client>,
    pub(crate) caches: Caches,
    pub(crate) wrong_passwords: WrongPasswords,
}

impl App {
    /// Puts the parts together.
    ///
    /// # Errors
    /// When the TLS roots of the S3 client cannot be loaded.
    pub fn new(store: Store, lake: Lake, world: Arc<dyn World>, vault: Vault) -> Result<Arc<Self>, Failure> {
        let client = s3::Client::new().map_err(|error| Failure::new(crate::Kind::Internal, error.to_string()))?;
        Ok(Arc::new(Self {
            store,
            lake,
            world,
            vault,
            passwords: Passwords::default(),
            s3: Arc::new(client),
            caches: Caches::default(),
            wrong_passwords: WrongPasswords::default(),
        }))
    }

    /// The client for upstream S3 accounts, shared with the gateway.
    #[must_use]
    pub fn s3_client(&self) -> Arc<s3::Client> {
        self.s3.clone()
    }

    /// Time and chance.
    #[must_use]
    pub fn world(&self) -> Arc<dyn World> {
        self.world.clone()
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.world.now_us()
    }

    pub(crate) fn fresh(&self) -> u128 {
        self.world.fresh_id()
    }

    /// Whether the databases answer.
    ///
    /// # Errors
    /// What they say instead.
    pub async fn ready(&self) -> Result<(), Failure> {
        self.store.ping().await?;
        self.lake.watermark().await?;
        Ok(())
    }

    /// Ends: what was acknowledged is on disk already.
    pub async fn close(&self) {
        self.lake.close().await;
        self.store.close().await;
    }
}

/// The context of one request.
#[derive(Clone)]
pub struct Cx {
    /// The application.
    pub app: Arc<App>,
    /// Who asks; `None` for background work and the operator's own commands.
    pub actor: Option<Actor>,
    /// In which realm.
    pub realm: RealmId,
}

impl Cx {
    /// The context of the operator's commands and of background work in one realm.
    #[must_use]
    pub fn system(app: Arc<App>, realm: RealmId) -> Self {
        Self { app, actor: None, realm }
    }

    /// The user who asks.
    ///
    /// # Errors
    /// [`crate::Kind::Unauthenticated`] for background work.
    pub fn user(&self) -> Result<UserId, Failure> {
        self.actor
            .as_ref()
            .map(|actor| actor.user)
            .ok_or_else(|| Failure::new(crate::Kind::Unauthenticated, "sign in first"))
    }

    /// Time.
    #[must_use]
    pub fn now_us(&self) -> i64 {
        self.app.now_us()
    }

    /// May we do `action` at `org`? The answer is the grant that the store wants to see.
    ///
    /// # Errors
    /// [`crate::Kind::NotFound`] or [`crate::Kind::Forbidden`].
    pub async fn allow(&self, action: Action, org: OrgId) -> Result<Grant, Failure> {
        let Some(actor) = &self.actor else {
            return Ok(decide_job(self.realm, org));
        };
        let place = self.place(org).await?;
        match decide(actor, action, &place) {
            Ok(grant) => Ok(grant),
            Err(denied) => {
                tracing::info!(user = %actor.user, ?action, %org, "denied");
                Err(denied.into())
            }
        }
    }

    /// Whether the actor may do `action` at `org`: for menus and buttons. Nothing is logged, nothing granted.
    pub async fn may(&self, action: Action, org: OrgId) -> bool {
        let Some(actor) = &self.actor else { return true };
        self.place(org).await.is_ok_and(|place| decide(actor, action, &place).is_ok())
    }

    /// The grant to look at one's own things.
    pub(crate) fn own(&self) -> Grant {
        decide_job(self.realm, self.realm.root())
    }

    pub(crate) async fn place(&self, org: OrgId) -> Result<Place, Failure> {
        let mut tx = self.app.store.read(&self.own()).await?;
        Ok(orgs::place(&mut tx, org).await?)
    }
}
