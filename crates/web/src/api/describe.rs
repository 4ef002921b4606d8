//! The API's own description, OpenAPI 3.1: what every operation has in common is added here.

use super::models::ProblemBody;
use axum::Json;
use utoipa::ToSchema;
use utoipa::openapi::path::{Operation, Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::response::ResponseBuilder;
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, OpenApi, Ref, RefOr, Required};

/// Operations that do their work each time, whatever key is sent.
const WITHOUT_KEY: [&str; 5] =
    ["create_token", "export_audit", "show_invitation", "accept_invitation", "decline_invitation"];

/// Operations that change rights, and can be tried first.
const WITH_PREVIEW: [&str; 26] = [
    "add_member",
    "add_to_group",
    "bind",
    "create_policy",
    "create_service",
    "delete_group",
    "delete_org",
    "delete_policy",
    "erase_user",
    "lay_guard",
    "lift_guard",
    "move_org",
    "put_idp",
    "delete_idp",
    "remove_user",
    "restore_org",
    "resume_org",
    "set_account",
    "set_admin_mode",
    "set_membership",
    "set_product",
    "shut_account",
    "suspend_org",
    "take_from_group",
    "unbind",
    "update_policy",
];

/// Gives this description.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    tag = "description",
    responses((status = 200, description = "OpenAPI 3.1")),
    security(())
)]
pub(super) async fn openapi_json() -> Json<OpenApi> {
    Json(super::openapi())
}

/// Adds the token, the problem that any operation may answer with, and the key of changes.
pub(super) fn complete(description: &mut OpenApi) {
    let bearer = HttpBuilder::new()
        .scheme(HttpAuthScheme::Bearer)
        .description(Some("A token of POST /v1/tokens or of the console; it has the rights of its owner."))
        .build();
    let components = description.components.get_or_insert_default();
    components.add_security_scheme("token", SecurityScheme::Http(bearer));
    for item in description.paths.paths.values_mut() {
        for operation in
            [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten()
        {
            complete_operation(operation);
        }
        for operation in [&mut item.put, &mut item.post, &mut item.patch, &mut item.delete].into_iter().flatten() {
            if operation.operation_id.as_deref().is_none_or(|id| !WITHOUT_KEY.contains(&id)) {
                operation.parameters.get_or_insert_default().push(RefOr::T(key_parameter()));
            }
            if operation.operation_id.as_deref().is_some_and(|id| WITH_PREVIEW.contains(&id)) {
                operation.parameters.get_or_insert_default().push(RefOr::T(preview_parameter()));
            }
        }
    }
}

fn complete_operation(operation: &mut Operation) {
    for response in operation.responses.responses.values_mut() {
        if let RefOr::T(response) = response
            && response.description.is_empty()
        {
            response.description = "The answer.".to_owned();
        }
    }
    let problem = ResponseBuilder::new()
        .description("It failed: `code` and `detail` say why.")
        .content("application/problem+json", Content::new(Some(Ref::from_schema_name(ProblemBody::name()))))
        .build();
    operation.responses.responses.insert("default".to_owned(), RefOr::T(problem));
}

fn preview_parameter() -> Parameter {
    ParameterBuilder::new()
        .name("preview")
        .parameter_in(ParameterIn::Query)
        .required(Required::False)
        .description(Some(
            "true: nothing is changed; the answer, 200, says who would gain and lose what, as `changes` and `is_complete`.",
        ))
        .schema(Some(ObjectBuilder::new().schema_type(Type::Boolean)))
        .build()
}

fn key_parameter() -> Parameter {
    ParameterBuilder::new()
        .name("Idempotency-Key")
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("1 to 255 characters. The same key and request give the kept answer, for 30 days."))
        .schema(Some(ObjectBuilder::new().schema_type(Type::String)))
        .build()
}
