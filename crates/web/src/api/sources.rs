//! S3 accounts and the name space over them.

use super::bodies::{NewAccount, NewMapping};
use super::idempotent::Change;
use super::models::{Account, FormerMapping, List, Mapping, Swept, Tried};
use super::request::{Answer, Asked, ListAsked, Refused, id, page, parsed};
use crate::auth::Caller;
use app::{buckets, sources};
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use base::{AccountId, MappingId, OrgId};
use serde::Deserialize;
use utoipa::IntoParams;

impl From<NewAccount> for sources::NewAccount {
    fn from(body: NewAccount) -> Self {
        Self {
            name: body.name,
            endpoint: body.endpoint,
            region: body.region,
            style: body.style,
            access_key: body.access_key,
            secret_key: body.secret_key,
        }
    }
}

/// Lists the S3 accounts of an organisation and below.
#[utoipa::path(
    get,
    path = "/v1/orgs/{org}/s3-accounts",
    params(ListAsked),
    responses((status = 200, body = List<Account>))
)]
pub(super) async fn list_accounts(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<Account>> {
    let rows = sources::list(&me.cx, id(&org, "organisation")?).await?.into_iter().map(Account::from).collect();
    Ok(Json(page(rows, &asked, |account| account.id.clone())?))
}

/// Links an S3 account to an organisation, after it answered.
#[utoipa::path(
    post,
    path = "/v1/orgs/{org}/s3-accounts",
    request_body = NewAccount,
    responses((status = 201, body = Account))
)]
pub(super) async fn link_account(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org: OrgId = id(&org, "organisation")?;
    let new = sources::NewAccount::from(change.json::<NewAccount>()?);
    let work = async { Ok(Account::from(sources::link(change.cx(), org, new).await?)) };
    change.once(StatusCode::CREATED, work).await
}

/// Tries an S3 account without keeping it.
#[utoipa::path(
    post,
    path = "/v1/orgs/{org}/s3-accounts/test",
    request_body = NewAccount,
    responses((status = 200, body = Tried))
)]
pub(super) async fn try_account(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org: OrgId = id(&org, "organisation")?;
    let new = sources::NewAccount::from(change.json::<NewAccount>()?);
    let work = async { Ok(Tried { buckets: sources::test(change.cx(), org, &new).await? }) };
    change.once(StatusCode::OK, work).await
}

/// Tries a linked S3 account.
#[utoipa::path(post, path = "/v1/s3-accounts/{account}/test", responses((status = 200, body = Tried)))]
pub(super) async fn test_account(Path(account): Path<String>, change: Change) -> Result<Response, Refused> {
    let account: AccountId = id(&account, "S3 account")?;
    let work = async { Ok(Tried { buckets: sources::test_linked(change.cx(), account).await? }) };
    change.once(StatusCode::OK, work).await
}

/// Compares what is stored in an S3 account with what was counted, and books the difference.
#[utoipa::path(post, path = "/v1/s3-accounts/{account}/sweep", responses((status = 200, body = Swept)))]
pub(super) async fn sweep_account(Path(account): Path<String>, change: Change) -> Result<Response, Refused> {
    let account: AccountId = id(&account, "S3 account")?;
    let work = async { Ok(Swept::from(app::sweep::sweep(change.cx(), account).await?)) };
    change.once(StatusCode::OK, work).await
}

/// Lists the rows of the name space made at an organisation and below.
#[utoipa::path(
    get,
    path = "/v1/orgs/{org}/buckets",
    params(ListAsked),
    responses((status = 200, body = List<Mapping>))
)]
pub(super) async fn list_buckets(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<Mapping>> {
    let rows = buckets::list(&me.cx, id(&org, "organisation")?).await?.into_iter().map(Mapping::from).collect();
    Ok(Json(page(rows, &asked, |mapping| mapping.id.clone())?))
}

/// Maps a virtual bucket or a folder in it to a bucket of an S3 account.
#[utoipa::path(
    post,
    path = "/v1/orgs/{org}/buckets",
    request_body = NewMapping,
    responses((status = 201, body = Mapping))
)]
pub(super) async fn map_bucket(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org: OrgId = id(&org, "organisation")?;
    let body: NewMapping = change.json()?;
    let new = buckets::NewMapping {
        user: body.user.map(|text| parsed("user", &text)).transpose()?,
        virtual_bucket: body.bucket,
        folder: body.folder,
        account: parsed("account", &body.account)?,
        real_bucket: body.real_bucket,
        prefix: body.prefix,
        access: body.access,
        overlap: body.overlap,
    };
    let work = async { Ok(Mapping::from(buckets::map(change.cx(), org, new).await?)) };
    change.once(StatusCode::CREATED, work).await
}

/// Removes a row of the name space. The objects stay where they are, and are charged on until they are gone.
#[utoipa::path(
    delete,
    path = "/v1/orgs/{org}/buckets/{mapping}",
    params(Unmapping),
    responses((status = 204))
)]
pub(super) async fn unmap_bucket(
    Path((org, mapping)): Path<(String, String)>,
    Asked(asked): Asked<Unmapping>,
    change: Change,
) -> Result<Response, Refused> {
    let org: OrgId = id(&org, "organisation")?;
    let mapping: MappingId = id(&mapping, "mapping")?;
    let charge = buckets::parse_charge(&asked.charge)?;
    let work = async { Ok(buckets::unmap(change.cx(), org, mapping, charge).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// What becomes of the charge for what is stored there.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Unmapping {
    /// `goes_on` (the usual): until the objects are gone; `stop`: not any more from the next sweep on.
    #[serde(default)]
    charge: String,
}

/// Lists the rows of the name space that were removed, as long as something is stored there.
#[utoipa::path(
    get,
    path = "/v1/orgs/{org}/former-buckets",
    params(ListAsked),
    responses((status = 200, body = List<FormerMapping>))
)]
pub(super) async fn list_former_buckets(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ListAsked>,
) -> Answer<List<FormerMapping>> {
    let rows = buckets::former(&me.cx, id(&org, "organisation")?).await?.into_iter().map(FormerMapping::from).collect();
    Ok(Json(page(rows, &asked, |former| former.row.id.clone())?))
}

/// Ends the charge for what is still stored below a row that was removed, from the sweep on that is due now.
#[utoipa::path(post, path = "/v1/orgs/{org}/former-buckets/{former}/stop", responses((status = 204)))]
pub(super) async fn stop_former_bucket(
    Path((org, former)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let org: OrgId = id(&org, "organisation")?;
    let mapping: MappingId = id(&former, "mapping")?;
    let work = async { Ok(buckets::stop(change.cx(), org, mapping).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}
