//! Identity providers, claimed domains, who waits to be let in, accounts for emergencies, and one's own second
//! factors.

use super::idempotent::Change;
use super::models::List;
use super::request::{Answer, Asked, ListAsked, Refused, id, page, parsed};
use crate::auth::Caller;
use app::idps::{self, Emergency, NewIdp};
use app::rows::{Claim, Factor, Idp, IdpSettings, User};
use app::{Failure, domains, factors};
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use base::period::format_instant;
use base::{OrgId, UserId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// An identity provider. Its client secret is never shown.
#[derive(Serialize, ToSchema)]
pub(super) struct Provider {
    pub(super) id: String,
    pub(super) org: String,
    /// Name as shown on the sign-in page.
    pub(super) name: String,
    pub(super) issuer: String,
    pub(super) client_id: String,
    /// `active` or `disabled`.
    pub(super) state: String,
    /// Name of the claim with groups; empty: none is looked at.
    pub(super) groups_claim: String,
    /// Value of the claim to ids of groups.
    pub(super) group_map: BTreeMap<String, Vec<String>>,
    /// Groups that everybody gets.
    pub(super) default_groups: Vec<String>,
    /// Whether group memberships that came by sign-in go when they are no longer named.
    pub(super) authoritative: bool,
    /// Whether its word counts as a second factor.
    pub(super) trusted_for_mfa: bool,
    /// Values of `acr` that mean two factors.
    pub(super) mfa_contexts: Vec<String>,
    /// Whether those it serves may sign in with nothing else. It can be set once an admin has signed in by the provider.
    pub(super) enforced: bool,
    /// Whether an address of a proven domain counts as verified where the provider does not say.
    pub(super) vouches_for_domains: bool,
}

impl From<Idp> for Provider {
    fn from(idp: Idp) -> Self {
        let texts = |groups: Vec<base::GroupId>| groups.iter().map(ToString::to_string).collect();
        Self {
            id: idp.id.to_string(),
            org: idp.org.to_string(),
            name: idp.name,
            issuer: idp.issuer,
            client_id: idp.client_id,
            state: idp.state,
            groups_claim: idp.settings.groups_claim,
            group_map: idp.settings.group_map.into_iter().map(|(name, groups)| (name, texts(groups))).collect(),
            default_groups: texts(idp.settings.default_groups),
            authoritative: idp.settings.authoritative,
            trusted_for_mfa: idp.settings.trusted_for_mfa,
            mfa_contexts: idp.settings.mfa_contexts,
            enforced: idp.settings.enforced,
            vouches_for_domains: idp.settings.vouches_for_domains,
        }
    }
}

/// An identity provider to set.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewProvider {
    /// Name as shown on the sign-in page.
    name: String,
    /// Exactly as its discovery document says it.
    issuer: String,
    client_id: String,
    /// Sealed and never shown again; the known one is kept if left out.
    #[serde(default)]
    client_secret: Option<String>,
    /// Whether it may be used.
    #[serde(default = "yes")]
    active: bool,
    #[serde(default)]
    groups_claim: String,
    #[serde(default)]
    group_map: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    default_groups: Vec<String>,
    #[serde(default)]
    authoritative: bool,
    #[serde(default)]
    trusted_for_mfa: bool,
    #[serde(default)]
    mfa_contexts: Vec<String>,
    #[serde(default)]
    enforced: bool,
    #[serde(default)]
    vouches_for_domains: bool,
}

fn yes() -> bool {
    true
}

impl NewProvider {
    fn read(self) -> Result<NewIdp, Refused> {
        let groups = |field: &str, texts: Vec<String>| -> Result<Vec<base::GroupId>, Refused> {
            texts.iter().map(|text| Ok(parsed(field, text)?)).collect()
        };
        let mut group_map = BTreeMap::new();
        for (name, texts) in self.group_map {
            group_map.insert(name, groups("group_map", texts)?);
        }
        let settings = IdpSettings {
            groups_claim: self.groups_claim,
            group_map,
            default_groups: groups("default_groups", self.default_groups)?,
            authoritative: self.authoritative,
            trusted_for_mfa: self.trusted_for_mfa,
            mfa_contexts: self.mfa_contexts,
            enforced: self.enforced,
            vouches_for_domains: self.vouches_for_domains,
        };
        Ok(NewIdp {
            name: self.name,
            issuer: self.issuer,
            client_id: self.client_id,
            client_secret: self.client_secret,
            settings,
            active: self.active,
        })
    }
}

/// A provider to try.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TestedProvider {
    /// Its issuer.
    issuer: String,
}

/// What a provider answered.
#[derive(Serialize, ToSchema)]
pub(super) struct ProviderTest {
    authorization_endpoint: String,
    token_endpoint: String,
    scopes: Vec<String>,
}

/// A claimed domain.
#[derive(Serialize, ToSchema)]
pub(super) struct Domain {
    domain: String,
    org: String,
    /// Where the TXT record must stand.
    record: String,
    /// What it must say.
    challenge: String,
    /// When that was seen.
    verified_at: Option<String>,
}

impl From<Claim> for Domain {
    fn from(claim: Claim) -> Self {
        Self {
            record: domains::record_name(&claim.domain),
            domain: claim.domain,
            org: claim.org.to_string(),
            challenge: claim.challenge,
            verified_at: claim.verified_us.map(format_instant),
        }
    }
}

/// A domain to claim.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewDomain {
    /// `example.com`.
    domain: String,
}

/// A second factor.
#[derive(Serialize, ToSchema)]
pub(super) struct FactorRow {
    id: String,
    /// `totp` or `passkey`.
    kind: String,
    name: String,
    created_at: String,
    last_used_at: Option<String>,
}

impl From<Factor> for FactorRow {
    fn from(factor: Factor) -> Self {
        Self {
            id: factor.id.to_string(),
            kind: factor.kind,
            name: factor.name,
            created_at: format_instant(factor.created_us),
            last_used_at: factor.last_used_us.map(format_instant),
        }
    }
}

fn org_id(text: &str) -> Result<OrgId, Refused> {
    Ok(id(text, "organisation")?)
}

/// Lists one's own second factors. They are kept in the console only.
#[utoipa::path(get, path = "/v1/me/factors", params(ListAsked), responses((status = 200, body = List<FactorRow>)))]
pub(super) async fn list_my_factors(Caller(me): Caller, Asked(asked): Asked<ListAsked>) -> Answer<List<FactorRow>> {
    let rows = factors::mine(&me.cx).await?.factors.into_iter().map(FactorRow::from).collect();
    Ok(Json(page(rows, &asked, |factor| factor.id.clone())?))
}

/// Gives the identity provider of an organisation.
#[utoipa::path(get, path = "/v1/orgs/{org}/idp", responses((status = 200, body = Provider)))]
pub(super) async fn get_idp(Caller(me): Caller, Path(org): Path<String>) -> Answer<Provider> {
    let found = idps::get(&me.cx, org_id(&org)?).await?;
    let found = found.ok_or_else(|| Failure::not_found("identity provider"))?;
    Ok(Json(found.into()))
}

/// Sets the identity provider of an organisation.
#[utoipa::path(put, path = "/v1/orgs/{org}/idp", request_body = NewProvider, responses((status = 200, body = Provider)))]
pub(super) async fn put_idp(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let new = change.json::<NewProvider>()?.read()?;
    let work = async { Ok(Provider::from(idps::put(change.cx(), org, new).await?)) };
    change.once(StatusCode::OK, work).await
}

/// Deletes the identity provider of an organisation.
///
/// Tokens and sessions of those who have no other way to sign in end for good.
#[utoipa::path(delete, path = "/v1/orgs/{org}/idp", responses((status = 204)))]
pub(super) async fn delete_idp(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let work = async { Ok(idps::delete(change.cx(), org).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// Asks an identity provider for its discovery document and its keys.
#[utoipa::path(
    post,
    path = "/v1/orgs/{org}/idp/test",
    request_body = TestedProvider,
    responses((status = 200, body = ProviderTest))
)]
pub(super) async fn test_idp(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let asked: TestedProvider = change.json()?;
    let work = async {
        let found = idps::test(change.cx(), org, &asked.issuer).await?;
        Ok(ProviderTest {
            authorization_endpoint: found.authorization_endpoint,
            token_endpoint: found.token_endpoint,
            scopes: found.scopes,
        })
    };
    change.once(StatusCode::OK, work).await
}

/// Lists the domains that an organisation claims.
#[utoipa::path(get, path = "/v1/orgs/{org}/domains", params(ListAsked), responses((status = 200, body = List<Domain>)))]
pub(super) async fn list_domains(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<Domain>> {
    let rows = domains::list(&me.cx, org_id(&org)?).await?.into_iter().map(Domain::from).collect();
    Ok(Json(page(rows, &asked, |row| row.domain.clone())?))
}

/// Claims a domain.
#[utoipa::path(
    post,
    path = "/v1/orgs/{org}/domains",
    request_body = NewDomain,
    responses((status = 201, body = Domain))
)]
pub(super) async fn claim_domain(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let new: NewDomain = change.json()?;
    let work = async { Ok(Domain::from(domains::claim(change.cx(), org, &new.domain).await?)) };
    change.once(StatusCode::CREATED, work).await
}

/// Looks for the TXT record of a claimed domain.
#[utoipa::path(post, path = "/v1/orgs/{org}/domains/{domain}/verify", responses((status = 200, body = Domain)))]
pub(super) async fn verify_domain(
    Path((org, domain)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let work = async { Ok(Domain::from(domains::verify(change.cx(), org, &domain).await?)) };
    change.once(StatusCode::OK, work).await
}

/// Gives a domain up.
#[utoipa::path(delete, path = "/v1/orgs/{org}/domains/{domain}", responses((status = 204)))]
pub(super) async fn release_domain(
    Path((org, domain)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let work = async { Ok(domains::release(change.cx(), org, &domain).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// Somebody whom a provider knows and nobody here does yet.
#[derive(Serialize, ToSchema)]
pub(super) struct Waiting {
    user: String,
    name: String,
    /// The address that the provider says, checked or not; empty if it says none.
    said_email: String,
    created_at: String,
}

impl From<User> for Waiting {
    fn from(user: User) -> Self {
        Self {
            user: user.id.to_string(),
            name: user.display_name,
            said_email: user.description,
            created_at: format_instant(user.created_us),
        }
    }
}

/// Lists who signed in with the provider of an organisation and waits to be let in.
#[utoipa::path(get, path = "/v1/orgs/{org}/waiting", params(ListAsked), responses((status = 200, body = List<Waiting>)))]
pub(super) async fn list_waiting(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<Waiting>> {
    let rows = idps::pending(&me.cx, org_id(&org)?).await?.into_iter().map(Waiting::from).collect();
    Ok(Json(page(rows, &asked, |row| row.user.clone())?))
}

/// Whom somebody was let in as.
#[derive(Serialize, ToSchema)]
pub(super) struct LetIn {
    /// The same account, or the one that a directory had made for his address.
    user: String,
}

/// Lets somebody in who waits.
///
/// If a directory made an account for the address that the provider says, he becomes that one.
#[utoipa::path(post, path = "/v1/orgs/{org}/waiting/{waiting}/let-in", responses((status = 200, body = LetIn)))]
pub(super) async fn let_in(Path((org, waiting)): Path<(String, String)>, change: Change) -> Result<Response, Refused> {
    let (org, user): (_, UserId) = (org_id(&org)?, id(&waiting, "user")?);
    let work = async { Ok(LetIn { user: idps::let_in(change.cx(), org, user).await?.to_string() }) };
    change.once(StatusCode::OK, work).await
}

/// Turns somebody away who waits. He may ask again.
#[utoipa::path(delete, path = "/v1/orgs/{org}/waiting/{waiting}", responses((status = 204)))]
pub(super) async fn turn_away(
    Path((org, waiting)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let (org, user): (_, UserId) = (org_id(&org)?, id(&waiting, "user")?);
    let work = async { Ok(idps::turn_away(change.cx(), org, user).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// An admin of the highest organisation.
#[derive(Serialize, ToSchema)]
pub(super) struct EmergencyRow {
    user: String,
    name: String,
    email: String,
    /// Whether his password works where a provider is enforced.
    marked: bool,
    /// What he lacks to be marked: `a password`, `a second factor`, or nothing.
    lacks: String,
}

impl From<Emergency> for EmergencyRow {
    fn from(found: Emergency) -> Self {
        Self {
            user: found.user.to_string(),
            name: found.name,
            email: found.email,
            marked: found.is_marked,
            lacks: found.lacks.to_owned(),
        }
    }
}

/// Lists the admins of the highest organisation, who can be marked as accounts for emergencies.
#[utoipa::path(
    get,
    path = "/v1/orgs/{org}/break-glass",
    params(ListAsked),
    responses((status = 200, body = List<EmergencyRow>))
)]
pub(super) async fn list_break_glass(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<EmergencyRow>> {
    let rows = idps::emergencies(&me.cx, org_id(&org)?).await?.into_iter().map(EmergencyRow::from).collect();
    Ok(Json(page(rows, &asked, |row| row.user.clone())?))
}

/// Marks an admin of the highest organisation as an account for emergencies.
///
/// His password works where a provider is enforced; each use is an alarm in the audit log. Three at most.
#[utoipa::path(put, path = "/v1/orgs/{org}/break-glass/{user}", responses((status = 204)))]
pub(super) async fn mark_break_glass(
    Path((org, user)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let (org, user): (_, UserId) = (org_id(&org)?, id(&user, "user")?);
    let work = async { Ok(idps::set_emergency(change.cx(), org, user, true).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// Takes the mark of an account for emergencies away. The last one stays while a provider is enforced.
#[utoipa::path(delete, path = "/v1/orgs/{org}/break-glass/{user}", responses((status = 204)))]
pub(super) async fn unmark_break_glass(
    Path((org, user)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let (org, user): (_, UserId) = (org_id(&org)?, id(&user, "user")?);
    let work = async { Ok(idps::set_emergency(change.cx(), org, user, false).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}
