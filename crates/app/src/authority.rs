//! Authority: the application, the context of one request, the one way to be allowed and the one way to write.
//!
//! [`Cx`] is somebody who is signed in; there is always somebody. [`Cx::read`] and [`Cx::change`] ask for the right,
//! with product, fresh proof and token scope, before they open a transaction. What nobody stands for who is signed in
//! goes through `Door` (a secret was shown) or `SystemCx` (a claimed job, a timer, the operator's command). No other
//! module opens a transaction (tidy), and this one knows no use case.

mod change;
mod effects;
mod ground;
mod known;
pub(crate) mod lockout;
pub(crate) mod log;

use crate::failure::{Failure, Kind};
use crate::health::Health;
use crate::outside::Outside;
use crate::passwords::Passwords;
use crate::pdf_turns::PdfTurns;
use crate::provider_cache::Providers;
use crate::s3_cache::Caches;
use crate::secrets::Vault;
use crate::sweeps::Sweeps;
use crate::throttle::Throttle;
use access::{Action, Actor, Ask, Context, Denied, Grant, Place, decide, decide_job, decide_own, reach};
use base::{OrgId, RealmId, SessionId, TokenId, UserId, World};
pub use change::Change;
pub(crate) use effects::Effects;
pub use effects::Preview;
pub use ground::Operator;
pub(crate) use ground::{Door, SystemCx};
use identity::fetch::Fetcher;
use known::Known;
pub(crate) use known::actor_of;
use lake::Lake;
use std::collections::BTreeSet;
use std::sync::Arc;
use store::{Store, StoreError, Tx, epoch, orgs};

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
    pub(crate) refusals: log::Refusals,
    pub(crate) health: Health,
    pub(crate) throttle: Throttle,
    /// Accounts that are being swept.
    pub(crate) sweeps: Sweeps,
    pub(crate) outside: Outside,
    pub(crate) fetcher: Fetcher,
    pub(crate) providers: Providers,
    pub(crate) pdf_turns: PdfTurns,
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
            refusals: log::Refusals::default(),
            health: Health::default(),
            throttle: Throttle::default(),
            sweeps: Sweeps::default(),
            outside,
            fetcher,
            providers: Providers::default(),
            pdf_turns: PdfTurns::default(),
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

    /// Refuses a store and a lake that are not of the same time: a document made from usage that the lake does not
    /// have could never be explained, and new usage would take the place of what is gone.
    ///
    /// # Errors
    /// [`Failure`] that says which is older.
    pub async fn check_together(&self) -> Result<(), Failure> {
        let (documents, usage) = (store::across::newest_watermark(&self.store).await?, self.lake.watermark().await?);
        if documents <= usage {
            return Ok(());
        }
        let text = format!(
            "the usage lake is older than the store: a document was made from batch {documents}, the newest batch is \
             {usage}. Restore both from one backup"
        );
        Err(Failure::new(Kind::Internal, text))
    }

    /// How the background parts are.
    #[must_use]
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Usage files that are not what was written.
    #[must_use]
    pub fn damaged(&self) -> Vec<lake::Damage> {
        self.lake.damaged()
    }

    /// Bytes of events that wait to be sealed.
    #[must_use]
    pub fn waiting_bytes(&self) -> u64 {
        self.lake.waiting_bytes()
    }

    /// Whether the database takes a write now, and sealing works.
    ///
    /// # Errors
    /// What stands in the way.
    pub async fn ready(&self) -> Result<(), Failure> {
        store::across::heartbeat(&self.store, self.now_us()).await?;
        self.lake.watermark().await?;
        if let Some(error) = self.health.stuck("seal", self.now_us()) {
            return Err(Failure::new(Kind::Busy, format!("usage is not sealed: {error}")));
        }
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

/// The context of one request of somebody who is signed in.
#[derive(Clone)]
pub struct Cx {
    /// The application.
    pub app: Arc<App>,
    /// Who asks.
    pub actor: Arc<Actor>,
    /// In which realm.
    pub realm: RealmId,
    /// Under which circumstances.
    pub context: Context,
    /// From where.
    pub origin: Origin,
    /// Whether changes are only tried.
    pub preview: Preview,
}

/// Which rows of a list the caller is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Span {
    /// Those of the organisation and of everything below it.
    Below,
    /// Those of these organisations.
    Only(BTreeSet<OrgId>),
}

impl Span {
    /// Whether rows of an organisation, which lies in the subtree that was asked for, are shown.
    pub(crate) fn has(&self, org: OrgId) -> bool {
        match self {
            Self::Below => true,
            Self::Only(orgs) => orgs.contains(&org),
        }
    }
}

/// Organisations of one span at most.
const SPAN_MAX: i64 = 100_000;

/// A thing with an id that somebody can name.
pub(crate) trait Named: Sized {
    /// Its id.
    type Id: Send + Sync + std::fmt::Display;
    /// What it is called where it is not found.
    const WHAT: &'static str;

    /// Reads it.
    fn load(tx: &mut Tx, id: Self::Id) -> impl Future<Output = Result<Self, StoreError>> + Send;

    /// The organisation whose it is.
    fn org(&self) -> OrgId;
}

/// Whether somebody may do something, a fresh proof aside: that is asked for when it is done.
fn offers(actor: &Actor, ask: &Ask<'_>, place: &Place, context: &Context) -> bool {
    matches!(decide(actor, ask, place, context), Ok(_) | Err(Denied::StepUp(_)))
}

impl Cx {
    /// The user who asks.
    #[must_use]
    pub fn user(&self) -> UserId {
        self.actor.user()
    }

    /// The user's id as text: who did it.
    #[must_use]
    pub fn doer(&self) -> String {
        self.user().to_string()
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
        self.allow_named(ask, org, &org.to_string()).await
    }

    /// The same, with what the request named: only that may stand in a stranger's log.
    async fn allow_named(&self, ask: Ask<'_>, org: OrgId, tried: &str) -> Result<Grant, Failure> {
        let place = match self.place(org).await {
            Err(failure) if failure.kind == Kind::NotFound => {
                self.note_stranger(&ask, tried).await?;
                return Err(failure);
            }
            place => place?,
        };
        match decide(&self.actor, &ask, &place, &self.now()) {
            Ok(grant) => Ok(grant),
            Err(denied) => {
                self.note_refused(&ask, &place, &denied, tried).await?;
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
        let Ok(place) = self.place(org).await else { return false };
        offers(&self.actor, &ask, &place, &self.now())
    }

    /// Whether the actor may do `action` at a child of `org` about which nothing else is said.
    pub async fn may_below(&self, action: Action, org: OrgId) -> bool {
        let Ok(place) = self.place(org).await else { return false };
        offers(&self.actor, &Ask::of(action), &place.somewhere_below(), &self.now())
    }

    /// A transaction that reads, for somebody who may do `action` at `org`.
    ///
    /// # Errors
    /// As [`Cx::allow`].
    pub(crate) async fn read(&self, action: Action, org: OrgId) -> Result<Tx, Failure> {
        self.read_with(&self.allow(action, org).await?).await
    }

    /// A transaction that reads, with a right that was asked for before.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn read_with(&self, grant: &Grant) -> Result<Tx, Failure> {
        Ok(self.app.store.read(grant).await?)
    }

    /// A change, for somebody who may do `action` at `org`.
    ///
    /// # Errors
    /// As [`Cx::allow`].
    pub(crate) async fn change(&self, action: Action, org: OrgId) -> Result<Change, Failure> {
        self.change_with(&self.allow(action, org).await?).await
    }

    /// The same for a single thing or a part of a product.
    ///
    /// # Errors
    /// As [`Cx::allow`].
    pub(crate) async fn change_ask(&self, ask: Ask<'_>, org: OrgId) -> Result<Change, Failure> {
        self.change_with(&self.allow_ask(ask, org).await?).await
    }

    /// A change, with a right that was asked for before. Where its action touches rights, the realm's epoch is
    /// raised, which is a lock of the whole realm: two such changes never judge the same state.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn change_with(&self, grant: &Grant) -> Result<Change, Failure> {
        if self.preview.is_on() && !grant.action().touches_rights() {
            return Err(self.no_preview());
        }
        let tx = self.app.store.write(grant).await?;
        let change = Change::new(tx, &self.app, log::Doer::of(self), self.context.ip);
        let mut change = change.tried(self.preview.clone());
        if grant.action().touches_rights() {
            epoch::bump(&mut change).await?;
        }
        Ok(change)
    }

    /// A transaction for rows that no person sees, with a right that was asked for before: charges that can be made
    /// again at any time, answers kept for a retry. Nothing of it is in the log.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn keep_with(&self, grant: &Grant) -> Result<Tx, Failure> {
        if self.preview.is_on() {
            return Err(self.no_preview());
        }
        Ok(self.app.store.write(grant).await?)
    }

    /// The same context, in which changes of rights are only tried.
    #[must_use]
    pub fn previewing(&self) -> Self {
        Self { preview: Preview::on(), ..self.clone() }
    }

    fn no_preview(&self) -> Failure {
        Failure::invalid("preview", "true", "is for changes of rights; this changes nobody's")
    }

    /// A change that begins or goes on with a sign-in of this person. It touches nobody's rights.
    ///
    /// # Errors
    /// [`Failure`].
    pub(crate) async fn record_sign_in(&self, home: OrgId) -> Result<Change, Failure> {
        let tx = self.app.store.write(&decide_job(self.realm, home)).await?;
        Ok(Change::new(tx, &self.app, log::Doer::of(self), self.context.ip))
    }

    /// A transaction for what is kept for the caller and no person sees: answers for a retry.
    pub(crate) async fn keep_own(&self) -> Result<Tx, Failure> {
        if self.preview.is_on() {
            return Err(self.no_preview());
        }
        Ok(self.app.store.write(&decide_job(self.realm, self.realm.root())).await?)
    }

    /// The right to something of one's own. Policies say nothing about it; a token must have been made for it.
    ///
    /// # Errors
    /// [`crate::Kind::Forbidden`] with `token_scope`.
    pub(crate) fn allow_own(&self, action: Action) -> Result<Grant, Failure> {
        Ok(decide_own(&self.actor, action, &self.now())?)
    }

    /// A transaction that reads what is one's own.
    ///
    /// # Errors
    /// As [`Cx::allow_own`].
    pub(crate) async fn own(&self, action: Action) -> Result<Tx, Failure> {
        self.read_with(&self.allow_own(action)?).await
    }

    /// A change of what is one's own.
    ///
    /// # Errors
    /// As [`Cx::allow_own`].
    pub(crate) async fn change_own(&self, action: Action) -> Result<Change, Failure> {
        self.change_with(&self.allow_own(action)?).await
    }

    /// Looks something up that was named, with the caller's eyes: what they may not do `ask` with is as unknown as
    /// what never was.
    ///
    /// # Errors
    /// [`Kind::NotFound`]; [`Kind::StepUp`] and a token's scope are said as they are.
    pub(crate) async fn find<T: Named>(&self, id: T::Id, ask: Ask<'_>) -> Result<(Grant, T), Failure> {
        let tried = id.to_string();
        let mut tx = self.look_around().await?;
        let found = T::load(&mut tx, id).await;
        drop(tx);
        let found = match found {
            Err(StoreError::NotFound(_)) => {
                self.note_stranger(&ask, &tried).await?;
                return Err(Failure::not_found(T::WHAT));
            }
            other => other?,
        };
        match self.allow_named(ask, found.org(), &tried).await {
            Ok(grant) => Ok((grant, found)),
            Err(failure)
                if matches!(failure.kind, Kind::Forbidden | Kind::NotFound)
                    && !matches!(failure.code, Some("token_scope" | "product_not_enabled")) =>
            {
                Err(Failure::not_found(T::WHAT))
            }
            Err(failure) => Err(failure),
        }
    }

    /// Which rows the caller sees of a list of `org` and what is below it: the same decision as for a single one.
    ///
    /// # Errors
    /// As [`Cx::allow`].
    pub(crate) async fn span(&self, action: Action, org: OrgId) -> Result<(Grant, Span), Failure> {
        self.span_ask(Ask::of(action), org).await
    }

    /// The same for a part of a product.
    ///
    /// # Errors
    /// As [`Cx::allow`].
    pub(crate) async fn span_ask(&self, ask: Ask<'_>, org: OrgId) -> Result<(Grant, Span), Failure> {
        let grant = self.allow_ask(ask, org).await?;
        let place = self.place(org).await?;
        let reach = reach(&self.actor, ask.action, &self.now());
        let reaches_all = reach.below.iter().any(|above| place.is_at_or_below(*above))
            && reach.not_here.is_empty()
            && reach.not_below.is_empty();
        if reaches_all {
            return Ok((grant, Span::Below));
        }
        let mut tx = self.look_around().await?;
        let reached = orgs::reached(&mut tx, &reach, "", SPAN_MAX).await?;
        let below: BTreeSet<OrgId> = orgs::names_below(&mut tx, org).await?.into_iter().map(|(org, _)| org).collect();
        Ok((grant, Span::Only(reached.into_iter().filter(|org| below.contains(org)).collect())))
    }

    /// The circumstances at this moment.
    pub(crate) fn now(&self) -> Context {
        Context { now_us: self.now_us(), ..self.context.clone() }
    }

    /// Refuses when the last proof of who it is is too old.
    pub(crate) fn check_fresh(&self) -> Result<(), Failure> {
        if self.now().is_fresh() {
            return Ok(());
        }
        Err(Failure::new(Kind::StepUp, "prove once more who you are to do this"))
    }

    /// A transaction in which rights are worked out: what it reads is shown to nobody before a decision.
    pub(crate) async fn look_around(&self) -> Result<Tx, Failure> {
        Ok(self.app.store.read(&decide_job(self.realm, self.realm.root())).await?)
    }

    /// The place of an organisation, as of the realm's present epoch.
    pub(crate) async fn place(&self, org: OrgId) -> Result<Arc<Place>, Failure> {
        let mut tx = self.look_around().await?;
        known::place_of(&self.app, &mut tx, org).await
    }

    /// Writes a refused act into the log: of the place, where the person belongs on the way to it; of their own home, where
    /// they are a stranger there.
    async fn note_refused(&self, ask: &Ask<'_>, place: &Place, denied: &Denied, tried: &str) -> Result<(), Failure> {
        tracing::info!(user = %self.user(), action = ask.action.code(), org = %place.org(), %denied, "refused");
        if !self.belongs_on_the_way_to(place) {
            return self.note_stranger(ask, tried).await;
        }
        self.note_deny(ask, place.org(), (ask.resource, denied.to_string()), serde_json::json!({})).await
    }

    /// Whether they are a member of a place or of something above it: to all others there they are a stranger.
    pub(crate) fn belongs_on_the_way_to(&self, place: &Place) -> bool {
        self.actor.memberships().iter().any(|org| place.is_at_or_below(*org))
    }

    /// Writes what somebody tried where they are a stranger into the log of their own home: their id and address are
    /// nobody else's business. What is there and what never was look the same in it, and whose it is does not stand there.
    async fn note_stranger(&self, ask: &Ask<'_>, tried: &str) -> Result<(), Failure> {
        let mut tx = self.look_around().await?;
        let home = store::users::get(&mut tx, self.user()).await?.home_org;
        drop(tx);
        self.note_deny(ask, home, ("", "not found".to_owned()), serde_json::json!({ "tried": tried })).await
    }

    async fn note_deny(
        &self,
        ask: &Ask<'_>,
        org: OrgId,
        (target, reason): (&str, String),
        detail: serde_json::Value,
    ) -> Result<(), Failure> {
        if !self.app.refusals.count(self.user(), self.now_us()) {
            return Ok(());
        }
        let mut tx = self.app.store.write(&decide_job(self.realm, org)).await?;
        let act = log::Act { org, action: ask.action.code(), target, outcome: "deny", reason, detail };
        log::append(&log::Doer::of(self), &mut tx, act).await?;
        Ok(tx.commit().await?)
    }
}
