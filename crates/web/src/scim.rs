//! SCIM 2.0 at `/scim/v2`: a directory's bearer token in, use case of `app`, `application/scim+json` out.
//! Every answer is in SCIM form, refusals and unknown paths too.

use crate::{Web, auth};
use app::scim::{Asked, BODY_BYTES_MAX, Directory, MEDIA_TYPE, ScimError, error_of};
use app::tokens;
use axum::Router;
use axum::body::{Bytes, to_bytes};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use serde::Deserialize;
use serde_json::Value;

/// The routes of SCIM, with errors in its form for what is not one.
pub fn router() -> Router<Web> {
    let users = get(list_users).post(create_user);
    let user = get(get_user).put(replace_user).patch(patch_user).delete(delete_user);
    let groups = get(list_groups).post(create_group);
    let group = get(get_group).put(replace_group).patch(patch_group).delete(delete_group);
    Router::new()
        .route("/scim/v2/ServiceProviderConfig", get(service_provider_config))
        .route("/scim/v2/ResourceTypes", get(list_resource_types))
        .route("/scim/v2/ResourceTypes/{id}", get(get_resource_type))
        .route("/scim/v2/Schemas", get(list_schemas))
        .route("/scim/v2/Schemas/{id}", get(get_schema))
        .route("/scim/v2/Users", users)
        .route("/scim/v2/Users/{id}", user)
        .route("/scim/v2/Groups", groups)
        .route("/scim/v2/Groups/{id}", group)
        .route("/scim/v2/Me", any(not_offered))
        .route("/scim/v2/Bulk", any(not_offered))
        .route("/scim/v2/.search", any(not_offered))
        .route("/scim/v2", any(unknown))
        .route("/scim/v2/{*rest}", any(unknown))
        .method_not_allowed_fallback(wrong_method)
}

/// An answer, or why there is none.
type Answer = Result<Response, Refused>;

/// A refusal in SCIM form.
struct Refused(ScimError);

impl From<ScimError> for Refused {
    fn from(error: ScimError) -> Self {
        Self(error)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.0.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = answer(status, &self.0.to_json());
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if matches!(status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body.to_string()).into_response()
}

/// A resource with its address in the header that says where it is.
fn resource(status: StatusCode, body: &Value) -> Response {
    let mut response = answer(status, body);
    let location = body["meta"]["location"].as_str().and_then(|text| HeaderValue::from_str(text).ok());
    if let Some(location) = location {
        let name = if status == StatusCode::CREATED { header::LOCATION } else { header::CONTENT_LOCATION };
        response.headers_mut().insert(name, location);
    }
    response
}

/// The directory that asks: by bearer token only, cookies do not count.
struct Caller(Directory);

impl FromRequestParts<Web> for Caller {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, web: &Web) -> Result<Self, Refused> {
        let missing = || ScimError::new(401, None, "send Authorization: Bearer TOKEN");
        let value = parts.headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, token) = value.and_then(|value| value.split_once(' ')).ok_or_else(missing)?;
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Err(missing().into());
        }
        let found = tokens::by_token(&web.app, token.trim(), &auth::client(parts)).await;
        let signed_in = found.map_err(|failure| error_of(&failure))?;
        let base_url = format!("{}/scim/v2", crate::console::own_url(web, &parts.headers));
        Ok(Self(Directory::of(signed_in.cx, base_url)?))
    }
}

/// A message with a body, of a directory.
struct Message {
    directory: Directory,
    body: Bytes,
}

impl FromRequest<Web> for Message {
    type Rejection = Refused;
    async fn from_request(request: Request, web: &Web) -> Result<Self, Refused> {
        let (mut parts, body) = request.into_parts();
        let Caller(directory) = Caller::from_request_parts(&mut parts, web).await?;
        check_media(&parts.headers)?;
        let too_large = |_| ScimError::new(413, None, format!("the body has more than {BODY_BYTES_MAX} bytes"));
        Ok(Self { directory, body: to_bytes(body, BODY_BYTES_MAX).await.map_err(too_large)? })
    }
}

/// SCIM's own media type, or plain JSON; some directories name none.
fn check_media(headers: &HeaderMap) -> Result<(), ScimError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = value.to_str().unwrap_or_default();
    let media = text.split(';').next().unwrap_or_default().trim();
    if [MEDIA_TYPE, "application/json"].iter().any(|known| media.eq_ignore_ascii_case(known)) {
        return Ok(());
    }
    Err(ScimError::new(415, None, format!("Content-Type: must be {MEDIA_TYPE} or application/json")))
}

/// The query of a read. Names that are not known are left out, as directories add their own.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Questions {
    filter: Option<String>,
    start_index: Option<String>,
    count: Option<String>,
    attributes: Option<String>,
    excluded_attributes: Option<String>,
}

/// The query as a use case wants it.
struct Read(Asked);

impl FromRequestParts<Web> for Read {
    type Rejection = Refused;
    async fn from_request_parts(parts: &mut Parts, _: &Web) -> Result<Self, Refused> {
        let Query(asked) = Query::<Questions>::try_from_uri(&parts.uri)
            .map_err(|error| ScimError::new(400, None, error.body_text()))?;
        Ok(Self(Asked {
            filter: asked.filter.unwrap_or_default(),
            start_index: asked.start_index,
            count: asked.count,
            attributes: asked.attributes,
            excluded: asked.excluded_attributes,
        }))
    }
}

async fn service_provider_config(Caller(directory): Caller) -> Answer {
    Ok(answer(StatusCode::OK, &directory.service_provider_config()))
}

/// RFC 7644 section 4: descriptions are not filtered.
fn unfiltered(asked: &Asked) -> Result<(), ScimError> {
    if asked.filter.is_empty() {
        return Ok(());
    }
    Err(ScimError::new(403, None, "filter: this list cannot be filtered"))
}

async fn list_resource_types(Caller(directory): Caller, Read(asked): Read) -> Answer {
    unfiltered(&asked)?;
    Ok(answer(StatusCode::OK, &directory.resource_types(None)?))
}

async fn get_resource_type(Caller(directory): Caller, Path(id): Path<String>) -> Answer {
    Ok(answer(StatusCode::OK, &directory.resource_types(Some(&id))?))
}

async fn list_schemas(Caller(directory): Caller, Read(asked): Read) -> Answer {
    unfiltered(&asked)?;
    Ok(answer(StatusCode::OK, &directory.schemas(None)?))
}

async fn get_schema(Caller(directory): Caller, Path(id): Path<String>) -> Answer {
    Ok(answer(StatusCode::OK, &directory.schemas(Some(&id))?))
}

async fn list_users(Caller(directory): Caller, Read(asked): Read) -> Answer {
    Ok(answer(StatusCode::OK, &directory.users(&asked).await?))
}

async fn get_user(Caller(directory): Caller, Path(id): Path<String>, Read(asked): Read) -> Answer {
    Ok(resource(StatusCode::OK, &directory.user(&id, &asked).await?))
}

async fn create_user(message: Message) -> Answer {
    Ok(resource(StatusCode::CREATED, &message.directory.create_user(&message.body).await?))
}

async fn replace_user(Path(id): Path<String>, message: Message) -> Answer {
    Ok(resource(StatusCode::OK, &message.directory.replace_user(&id, &message.body).await?))
}

async fn patch_user(Path(id): Path<String>, message: Message) -> Answer {
    Ok(resource(StatusCode::OK, &message.directory.patch_user(&id, &message.body).await?))
}

async fn delete_user(Caller(directory): Caller, Path(id): Path<String>) -> Answer {
    directory.delete_user(&id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn list_groups(Caller(directory): Caller, Read(asked): Read) -> Answer {
    Ok(answer(StatusCode::OK, &directory.groups(&asked).await?))
}

async fn get_group(Caller(directory): Caller, Path(id): Path<String>, Read(asked): Read) -> Answer {
    Ok(resource(StatusCode::OK, &directory.group(&id, &asked).await?))
}

async fn create_group(message: Message) -> Answer {
    Ok(resource(StatusCode::CREATED, &message.directory.create_group(&message.body).await?))
}

async fn replace_group(Path(id): Path<String>, message: Message) -> Answer {
    Ok(resource(StatusCode::OK, &message.directory.replace_group(&id, &message.body).await?))
}

async fn patch_group(Path(id): Path<String>, message: Message) -> Answer {
    Ok(resource(StatusCode::OK, &message.directory.patch_group(&id, &message.body).await?))
}

async fn delete_group(Caller(directory): Caller, Path(id): Path<String>) -> Answer {
    directory.delete_group(&id).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn not_offered(_: Caller) -> Refused {
    ScimError::new(501, None, "this is not offered; see ServiceProviderConfig").into()
}

async fn unknown(_: Caller) -> Refused {
    ScimError::new(404, None, "path not found").into()
}

async fn wrong_method() -> Refused {
    ScimError::new(405, None, "this path has other methods").into()
}
