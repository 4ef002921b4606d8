//! The application and the context of one request: who asks, and the one way to be allowed.

use crate::audit;
use crate::failure::Failure;
use crate::outside::Outside;
use crate::passwords::Passwords;
use crate::s3_session::Caches;
use crate::secrets::Vault;
use crate::sign_in::WrongPasswords;
use crate::sso::Providers;
use access::{Action, Actor, Ask, Context, Denied, Grant, Place, decide, decide_job};
use base::{OrgId, RealmId, SessionId, TokenId, UserId, World};
use identity::fetch::Fetcher;
use lake::Lake;
use std::collections::BTreeMap;
use std::sync::{Arc, RwLock};
use store::{Store, actors, epoch, orgs};

/// Everything that lives as long as the process.
pub struct App {
    pub(crate) store: Store,
    pub(crate) lake: Lake,
    pub(crate) world: Arc<dyn World>,
    pub(crate) vault: Vault,
    pub(crate) passwords: Passwords,
    pub(crate) s3: Arc<s3::Client>,
    pub(crate) caches: Caches,
    pub(crate) known: Known,
    pub(crate) refusals: audit::Refusals,
    pub(crate) wrong_passwords: WrongPasswords,
    pub(crate) outside: Outside,
    pub(crate) fetcher: Fetcher,
    pub(crate) providers: Providers,
}

impl App {
    /// Puts the parts together.
    ///
    /// # Errors
    /// When the TLS roots of the S3 client cannot be loaded.
    pub fn new(
        store: Store,
        lake: Lake,
        world: Arc<dyn World>,
        vault: Vault,
        outside: Outside,
    ) -> Result<Arc<Self>, Failure> {
        let fetcher = Fetcher::new(outside.allowed.clone(), &[])
            .map_err(|error| Failure::new(crate::Kind::Internal, error.to_string()))?;
        let client = s3::Client::checked(outside.address_check())
            .map_err(|error| Failure::new(crate::Kind::Internal, error.to_string()))?;
        Ok(Arc::new(Self {
            store,
            lake,
            world,
            vault,
            passwords: Passwords::default(),
            s3: Arc::new(client),
            caches: Caches::default(),
            known: Known::default(),
            refusals: audit::Refusals::default(),
            wrong_passwords: WrongPasswords::default(),
            outside,
            fetcher,
            providers: Providers::default(),
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

/// Who asks from where: for the audit log.
#[derive(Debug, Clone, Default)]
pub struct Origin {
    /// What the client says it is.
    pub agent: String,
    /// The session.
    pub session: Option<SessionId>,
    /// The token.
    pub token: Option<TokenId>,
}

/// The context of one request.
#[derive(Clone)]
pub struct Cx {
    /// The application.
    pub app: Arc<App>,
    /// Who asks; `None` for background work and the operator's own commands.
    pub actor: Option<Arc<Actor>>,
    /// In which realm.
    pub realm: RealmId,
    /// Under which circumstances.
    pub context: Context,
    /// From where.
    pub origin: Origin,
}

impl Cx {
    /// The context of the operator's commands and of background work in one realm.
    #[must_use]
    pub fn system(app: Arc<App>, realm: RealmId) -> Self {
        let context = Context { now_us: app.now_us(), ..Context::default() };
        Self { app, actor: None, realm, context, origin: Origin::default() }
    }

    /// The user who asks.
    ///
    /// # Errors
    /// [`crate::Kind::Unauthenticated`] for background work.
    pub fn user(&self) -> Result<UserId, Failure> {
        self.actor
            .as_ref()
            .map(|actor| actor.user())
            .ok_or_else(|| Failure::new(crate::Kind::Unauthenticated, "sign in first"))
    }

    /// The user's id as text, or `system`: who did it.
    #[must_use]
    pub fn doer(&self) -> String {
        self.actor.as_ref().map_or_else(|| "system".to_owned(), |actor| actor.user().to_string())
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
        self.allow_ask(Ask::of(action), org).await
    }

    /// The same for a single thing or a part of a product.
    ///
    /// # Errors
    /// As [`Cx::allow`].
    pub async fn allow_ask(&self, ask: Ask<'_>, org: OrgId) -> Result<Grant, Failure> {
        let Some(actor) = &self.actor else {
            return Ok(decide_job(self.realm, org));
        };
        let place = self.place(org).await?;
        match decide(actor, &ask, &place, &self.now()) {
            Ok(grant) => Ok(grant),
            Err(denied) => {
                audit::refused(self, &ask, &place, &denied).await?;
                Err(denied.into())
            }
        }
    }

    /// Whether the actor may do `action` at `org`: for menus and buttons. Nothing is logged, nothing granted.
    /// An act that only wants a fresh proof is shown: the proof is asked for when it is done.
    pub async fn may(&self, action: Action, org: OrgId) -> bool {
        self.may_ask(Ask::of(action), org).await
    }

    /// The same for a single thing or a part of a product.
    pub async fn may_ask(&self, ask: Ask<'_>, org: OrgId) -> bool {
        let Some(actor) = &self.actor else { return true };
        let Ok(place) = self.place(org).await else { return false };
        matches!(decide(actor, &ask, &place, &self.now()), Ok(_) | Err(Denied::StepUp(_)))
    }

    /// Whether the actor may do `action` at a child of `org` about which nothing else is said.
    pub async fn may_below(&self, action: Action, org: OrgId) -> bool {
        let Some(actor) = &self.actor else { return true };
        let Ok(place) = self.place(org).await else { return false };
        let mut below = Place::clone(&place);
        below.path.push(OrgId(0));
        matches!(decide(actor, &Ask::of(action), &below, &self.now()), Ok(_) | Err(Denied::StepUp(_)))
    }

    /// The circumstances at this moment.
    pub(crate) fn now(&self) -> Context {
        Context { now_us: self.now_us(), ..self.context.clone() }
    }

    /// The grant to look at one's own things.
    pub(crate) fn own(&self) -> Grant {
        decide_job(self.realm, self.realm.root())
    }

    /// The place of an organisation, as of the realm's present epoch.
    pub(crate) async fn place(&self, org: OrgId) -> Result<Arc<Place>, Failure> {
        let mut tx = self.app.store.read(&self.own()).await?;
        let now = epoch::get(&mut tx).await?;
        let key = (self.realm, org);
        if let Some(place) = look_up(&self.app.known.places, &key, now) {
            return Ok(place);
        }
        let place = Arc::new(orgs::place(&mut tx, org).await?);
        keep(&self.app.known.places, key, now, &place);
        Ok(place)
    }
}

/// What was worked out for an epoch of a realm, and is good as long as that lasts.
#[derive(Default)]
pub(crate) struct Known {
    places: Memory<(RealmId, OrgId), Place>,
    actors: Memory<(RealmId, UserId), Actor>,
}

type Memory<K, V> = RwLock<BTreeMap<K, (i64, Arc<V>)>>;

/// Entries kept at once.
const KNOWN_MAX: usize = 20_000;

fn look_up<K: Ord, V>(memory: &Memory<K, V>, key: &K, epoch: Option<i64>) -> Option<Arc<V>> {
    let memory = memory.read().ok()?;
    memory.get(key).filter(|(at, _)| Some(*at) == epoch).map(|(_, value)| value.clone())
}

fn keep<K: Ord, V>(memory: &Memory<K, V>, key: K, epoch: Option<i64>, value: &Arc<V>) {
    let (Some(epoch), Ok(mut memory)) = (epoch, memory.write()) else { return };
    if memory.len() >= KNOWN_MAX {
        memory.clear();
    }
    memory.insert(key, (epoch, value.clone()));
}

/// The actor that a user is at this moment. A transaction that writes reads him anew and leaves nothing behind: it
/// may have a new epoch that never comes true, and another one with the same number would be taken for it.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn actor_of(app: &App, tx: &mut store::Tx, user: UserId) -> Result<Arc<Actor>, Failure> {
    if tx.writes() {
        return Ok(Arc::new(actors::load(tx, user).await?));
    }
    let (key, now) = ((tx.realm(), user), epoch::get(tx).await?);
    if let Some(actor) = look_up(&app.known.actors, &key, now) {
        return Ok(actor);
    }
    let actor = Arc::new(actors::load(tx, user).await?);
    keep(&app.known.actors, key, now, &actor);
    Ok(actor)
}
