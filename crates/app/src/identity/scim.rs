//! SCIM 2.0: what a directory does to the people and groups of the one organisation that its token is for.
//!
//! A directory knows the users that it made or linked, and the groups of its organisation; nobody else
//! exists for it. It never learns whether an address that it cannot prove is known in the tree, never
//! changes what people were given by hand, and never takes the last admin away. Every message is one
//! transaction under the realm's epoch.

mod groups;
mod joining;
mod users;

use crate::authority::{Change, Cx};
use crate::failure::{Failure, Kind};
use crate::tokens;
use crate::tokens::NewToken;
use access::Action;
use base::OrgId;
use identity::scim::{Filter, Page, Projection, ScimType, list_response};
use serde_json::Value;
use std::future::Future;
use store::Tx;
use store::tokens::Token;

pub(crate) use joining::{merge, put_in_place, take_over, waiting, waiting_for};

/// What faces need of the wire form.
pub use identity::scim::{BODY_BYTES_MAX, MEDIA_TYPE, ScimError};

/// Makes a token for a directory that provisions `org`. Its text is shown once. Groups can give whatever is
/// given at the organisation and below it, so only who could give all of that makes one.
///
/// # Errors
/// [`Failure`] naming the field at fault.
pub async fn create_token(cx: &Cx, org: OrgId, name: &str, days: i64) -> Result<(Token, String), Failure> {
    cx.allow(Action::IdpWrite, org).await?;
    let new = NewToken {
        name: name.to_owned(),
        days,
        scope_org: Some(org),
        actions: vec![Action::ScimProvision.code().to_owned()],
    };
    tokens::create_scim(cx, org, new).await
}

/// Why a message was refused: by the wire form, or by a rule of the tree.
enum Refused {
    Scim(ScimError),
    Failed(Failure),
}

impl From<ScimError> for Refused {
    fn from(error: ScimError) -> Self {
        Self::Scim(error)
    }
}

impl<E: Into<Failure>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn failed(refused: Refused) -> ScimError {
    match refused {
        Refused::Scim(error) => error,
        Refused::Failed(failure) => error_of(&failure),
    }
}

/// A failure as a directory reads it.
#[must_use]
pub fn error_of(failure: &Failure) -> ScimError {
    let (status, kind) = match (failure.kind, failure.code) {
        (Kind::Invalid, _) => (400, Some(ScimType::InvalidValue)),
        (Kind::Unauthenticated | Kind::StepUp, _) => (401, None),
        (Kind::Forbidden, _) => (403, None),
        (Kind::NotFound | Kind::Gone, _) => (404, None),
        (Kind::Conflict, Some("name_taken" | "user_exists_in_tree")) => (409, Some(ScimType::Uniqueness)),
        (Kind::Conflict, _) => (409, Some(ScimType::Mutability)),
        (Kind::TooMany, _) => (429, None),
        (Kind::Busy, _) => (503, None),
        (Kind::Upstream | Kind::Internal, _) => {
            let cause = std::error::Error::source(failure).map(ToString::to_string).unwrap_or_default();
            tracing::error!(%failure, cause, "a message of a directory failed");
            (500, None)
        }
    };
    ScimError::new(status, kind, failure.text.clone())
}

fn taken(field: &str, value: &str) -> Refused {
    let shown: String = value.chars().take(200).collect();
    ScimError::new(409, Some(ScimType::Uniqueness), format!("{field}: {shown:?} is taken")).into()
}

fn unknown(what: &str) -> Refused {
    ScimError::new(404, None, format!("{what} not found")).into()
}

/// What a list is asked for, as it stands in the query.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// `filter`.
    pub filter: String,
    /// `startIndex`.
    pub start_index: Option<String>,
    /// `count`.
    pub count: Option<String>,
    /// `attributes`.
    pub attributes: Option<String>,
    /// `excludedAttributes`.
    pub excluded: Option<String>,
}

impl Asked {
    fn projection(&self) -> Result<Projection, ScimError> {
        Projection::read(self.attributes.as_deref(), self.excluded.as_deref())
    }

    fn page(&self) -> Result<Page, ScimError> {
        Page::read(self.start_index.as_deref(), self.count.as_deref())
    }

    fn filter(&self) -> Result<Filter, ScimError> {
        Filter::read(&self.filter)
    }
}

/// A directory at work: who it is, for which organisation, and where its resources are.
pub struct Directory {
    cx: Cx,
    org: OrgId,
    base_url: String,
}

impl Directory {
    /// The directory that a token belongs to. `base_url` is the address of the SCIM service.
    ///
    /// # Errors
    /// 403 when the token was not made for a directory.
    pub fn of(cx: Cx, base_url: String) -> Result<Self, ScimError> {
        match &cx.context.token {
            Some(token) if token.kind == "scim" => Ok(Self { org: token.org, cx, base_url }),
            _ => Err(ScimError::new(403, None, "this token was not made for SCIM; make one at the organisation")),
        }
    }

    /// `/ServiceProviderConfig`.
    #[must_use]
    pub fn service_provider_config(&self) -> Value {
        identity::scim::service_provider_config(&self.base_url)
    }

    /// `/ResourceTypes`, or one of them.
    ///
    /// # Errors
    /// 404 for an unknown one.
    pub fn resource_types(&self, id: Option<&str>) -> Result<Value, ScimError> {
        described(identity::scim::resource_types(&self.base_url), id)
    }

    /// `/Schemas`, or one of them.
    ///
    /// # Errors
    /// 404 for an unknown one.
    pub fn schemas(&self, id: Option<&str>) -> Result<Value, ScimError> {
        described(identity::scim::schemas(&self.base_url), id)
    }

    async fn read(&self) -> Result<Tx, Refused> {
        let grant = self.cx.allow(Action::ScimProvision, self.org).await?;
        Ok(self.cx.read_with(&grant).await?)
    }

    /// Begins a change: under the realm's epoch, because all of them change rights.
    async fn begin(&self) -> Result<Change, Refused> {
        Ok(self.cx.change(Action::ScimProvision, self.org).await?)
    }

    /// Commits a message. One that changed nothing but what the directory itself keeps is noted as such.
    async fn commit(&self, mut tx: Change) -> Result<(), Refused> {
        if !tx.is_noted() {
            tx.note(self.org, "scim.update", &self.org.to_string(), serde_json::json!({})).await?;
        }
        Ok(tx.commit().await?)
    }

    async fn note(&self, tx: &mut Change, action: &str, target: &str, detail: Value) -> Result<(), Refused> {
        Ok(tx.note(self.org, action, target, detail).await?)
    }

    /// Runs a change. When it would have taken the last admin away, that is written down as an alert.
    async fn change<T>(&self, target: &str, work: impl Future<Output = Result<T, Refused>>) -> Result<T, ScimError> {
        let failure = match work.await {
            Ok(done) => return Ok(done),
            Err(Refused::Scim(error)) => return Err(error),
            Err(Refused::Failed(failure)) => failure,
        };
        if failure.code == Some("last_organization_admin") {
            let detail = serde_json::json!({ "reason": failure.text });
            self.alert("scim.last_admin_kept", target, detail).await?;
        }
        Err(error_of(&failure))
    }

    /// Refuses a message that could not be read. When it may have been meant to deactivate somebody, that is
    /// written down as an alert: he keeps his access until somebody looks.
    async fn unread(&self, target: &str, body: &[u8], error: ScimError) -> ScimError {
        if !touches_active(body) {
            return error;
        }
        let detail = serde_json::json!({ "reason": error.detail });
        match self.alert("scim.unreadable_deactivation", target, detail).await {
            Ok(()) => ScimError::new(400, Some(ScimType::InvalidValue), error.detail),
            Err(failed) => failed,
        }
    }

    async fn alert(&self, action: &str, target: &str, detail: Value) -> Result<(), ScimError> {
        tracing::warn!(action, target, org = %self.org, "a directory's message was refused");
        let work = async {
            let tx = self.cx.change(Action::ScimProvision, self.org).await?;
            let target: String = target.chars().take(100).collect();
            tx.done(self.org, action, &target, detail).await
        };
        work.await.map_err(|failure| error_of(&failure))
    }
}

/// Whether a message that could not be read speaks of `active`, in whatever case and place.
fn touches_active(body: &[u8]) -> bool {
    body.windows(6).any(|word| word.eq_ignore_ascii_case(b"active"))
}

fn described(all: Vec<Value>, id: Option<&str>) -> Result<Value, ScimError> {
    let Some(id) = id else {
        let page = Page { skip: 0, take: all.len() };
        return Ok(list_response(all.len(), page, all));
    };
    let found = all.into_iter().find(|one| one["id"] == id);
    found.ok_or_else(|| ScimError::new(404, None, format!("{id:?} not found")))
}
