//! The JSON API below `/v1`: bearer token in, use case of `app`, JSON out. Errors are problem+json.
//!
//! One table names every route. From it come the router, the list [`ROUTES`] and the OpenAPI description,
//! so that none can be forgotten in another. Handlers decide nothing: rights are checked in `app`.

mod audit;
mod bodies;
mod describe;
mod figures;
mod idempotent;
mod identity;
mod invitations;
mod me;
mod models;
mod money;
mod orgs;
mod people;
mod request;
mod scim_tokens;
mod sources;
mod tenancy;
mod usage;

use crate::Web;
use crate::problem::Problem;
use app::Failure;
use axum::Router;
use axum::http::StatusCode;
use axum::middleware;
use axum::routing::{self, MethodFilter};
use request::Refused;
use utoipa::OpenApi as _;

macro_rules! routes {
    ($($method:ident $path:literal $module:ident :: $handler:ident,)*) => {
        /// Every route of the API: method and path.
        pub const ROUTES: &[(&str, &str)] = &[$((stringify!($method), $path)),*];

        #[derive(utoipa::OpenApi)]
        #[openapi(
            info(
                title = "Meterhouse API",
                description = "Metering, prices and papers of one organisation tree. Decimal numbers are strings, times are RFC 3339 in UTC."
            ),
            paths($($module::$handler),*),
            components(schemas(models::ProblemBody)),
            security(("token" = []))
        )]
        struct Description;

        fn routed() -> Router<Web> {
            Router::new()$(.route($path, routing::on(MethodFilter::$method, $module::$handler)))*
        }
    };
}

routes! {
    GET "/v1/openapi.json" describe::openapi_json,
    POST "/v1/tokens" me::create_token,
    GET "/v1/tokens" me::list_tokens,
    DELETE "/v1/tokens/{token}" me::revoke_token,
    GET "/v1/me" me::who_am_i,
    GET "/v1/me/keys" me::list_my_keys,
    GET "/v1/me/factors" identity::list_my_factors,
    GET "/v1/orgs/{org}/idp" identity::get_idp,
    PUT "/v1/orgs/{org}/idp" identity::put_idp,
    DELETE "/v1/orgs/{org}/idp" identity::delete_idp,
    POST "/v1/orgs/{org}/idp/test" identity::test_idp,
    GET "/v1/orgs/{org}/domains" identity::list_domains,
    POST "/v1/orgs/{org}/domains" identity::claim_domain,
    POST "/v1/orgs/{org}/domains/{domain}/verify" identity::verify_domain,
    DELETE "/v1/orgs/{org}/domains/{domain}" identity::release_domain,
    GET "/v1/orgs/{org}/waiting" identity::list_waiting,
    POST "/v1/orgs/{org}/waiting/{waiting}/let-in" identity::let_in,
    DELETE "/v1/orgs/{org}/waiting/{waiting}" identity::turn_away,
    GET "/v1/orgs/{org}/break-glass" identity::list_break_glass,
    PUT "/v1/orgs/{org}/break-glass/{user}" identity::mark_break_glass,
    DELETE "/v1/orgs/{org}/break-glass/{user}" identity::unmark_break_glass,
    GET "/v1/orgs" orgs::list_my_orgs,
    GET "/v1/orgs/{org}" orgs::get_org,
    GET "/v1/orgs/{org}/tree" orgs::get_tree,
    POST "/v1/orgs/{org}/children" orgs::create_child,
    GET "/v1/orgs/{org}/users" people::list_users,
    DELETE "/v1/orgs/{org}/users/{user}" people::remove_user,
    POST "/v1/orgs/{org}/invitations" people::invite,
    GET "/v1/orgs/{org}/keys" people::list_keys,
    POST "/v1/orgs/{org}/keys" people::create_key,
    DELETE "/v1/keys/{key_id}" people::revoke_key,
    GET "/v1/orgs/{org}/s3-accounts" sources::list_accounts,
    POST "/v1/orgs/{org}/s3-accounts" sources::link_account,
    POST "/v1/orgs/{org}/s3-accounts/test" sources::try_account,
    POST "/v1/s3-accounts/{account}/test" sources::test_account,
    POST "/v1/s3-accounts/{account}/sweep" sources::sweep_account,
    GET "/v1/orgs/{org}/buckets" sources::list_buckets,
    POST "/v1/orgs/{org}/buckets" sources::map_bucket,
    DELETE "/v1/orgs/{org}/buckets/{mapping}" sources::unmap_bucket,
    GET "/v1/orgs/{org}/former-buckets" sources::list_former_buckets,
    POST "/v1/orgs/{org}/former-buckets/{former}/stop" sources::stop_former_bucket,
    GET "/v1/meters" usage::list_meters,
    POST "/v1/meters" usage::define_meter,
    POST "/v1/events" usage::send_events,
    POST "/v1/orgs/{org}/events" usage::send_events_to,
    GET "/v1/orgs/{org}/usage" usage::ask_usage,
    GET "/v1/orgs/{org}/quarantine" usage::list_quarantine,
    GET "/v1/orgs/{org}/prices" money::list_prices,
    PUT "/v1/orgs/{org}/prices" money::set_prices,
    POST "/v1/orgs/{org}/close" money::close_month,
    GET "/v1/orgs/{org}/papers" money::list_papers,
    GET "/v1/papers/{id}" money::get_paper,
    GET "/v1/papers/{id}/pdf" money::get_paper_pdf,
    GET "/v1/papers/{id}/csv" money::get_paper_csv,
    GET "/v1/papers/{id}/lines/{no}/records" money::list_records,
    GET "/v1/orgs/{org}/ledger" money::list_balances,
    GET "/v1/orgs/{org}/audit" audit::list_audit,
    GET "/v1/orgs/{org}/children" tenancy::list_children,
    PATCH "/v1/orgs/{org}" tenancy::update_org,
    DELETE "/v1/orgs/{org}" tenancy::delete_org,
    POST "/v1/orgs/{org}/restore" tenancy::restore_org,
    POST "/v1/orgs/{org}/suspend" tenancy::suspend_org,
    POST "/v1/orgs/{org}/resume" tenancy::resume_org,
    GET "/v1/orgs/{org}/move" tenancy::preview_move,
    POST "/v1/orgs/{org}/move" tenancy::move_org,
    PUT "/v1/orgs/{org}/admin-mode" tenancy::set_admin_mode,
    PUT "/v1/orgs/{org}/visible-costs" tenancy::set_visible_costs,
    GET "/v1/orgs/{org}/products" tenancy::list_products,
    PUT "/v1/orgs/{org}/products/{product}" tenancy::set_product,
    POST "/v1/orgs/{org}/members" tenancy::add_member,
    PUT "/v1/orgs/{org}/users/{user}" tenancy::set_membership,
    PUT "/v1/users/{user}" tenancy::set_account,
    DELETE "/v1/users/{user}" tenancy::shut_account,
    POST "/v1/users/{user}/erase" people::erase_user,
    GET "/v1/unattached-users" people::list_unattached,
    GET "/v1/orgs/{org}/givable-policies" tenancy::list_givable,
    POST "/v1/orgs/{org}/bindings" tenancy::bind,
    DELETE "/v1/orgs/{org}/bindings/{binding}" tenancy::unbind,
    GET "/v1/orgs/{org}/groups" tenancy::list_groups,
    POST "/v1/orgs/{org}/groups" tenancy::create_group,
    DELETE "/v1/orgs/{org}/groups/{group}" tenancy::delete_group,
    PUT "/v1/orgs/{org}/groups/{group}/members/{user}" tenancy::add_to_group,
    DELETE "/v1/orgs/{org}/groups/{group}/members/{user}" tenancy::take_from_group,
    GET "/v1/orgs/{org}/policies" tenancy::list_policies,
    POST "/v1/orgs/{org}/policies" tenancy::create_policy,
    PUT "/v1/orgs/{org}/policies/{policy}" tenancy::update_policy,
    DELETE "/v1/orgs/{org}/policies/{policy}" tenancy::delete_policy,
    POST "/v1/orgs/{org}/who-can" tenancy::who_can,
    GET "/v1/orgs/{org}/guard-rails" tenancy::list_guards,
    POST "/v1/orgs/{org}/guard-rails" tenancy::lay_guard,
    DELETE "/v1/orgs/{org}/guard-rails/{guard}" tenancy::lift_guard,
    POST "/v1/orgs/{org}/services" tenancy::create_service,
    POST "/v1/orgs/{org}/services/{service}/tokens" tenancy::create_service_token,
    POST "/v1/orgs/{org}/scim-tokens" scim_tokens::create_scim_token,
    GET "/v1/orgs/{org}/tokens" tenancy::list_org_tokens,
    DELETE "/v1/orgs/{org}/tokens/{token}" tenancy::revoke_org_token,
    GET "/v1/me/security" tenancy::my_security,
    GET "/v1/me/sessions" tenancy::list_sessions,
    DELETE "/v1/me/sessions/{session}" tenancy::end_session,
    GET "/v1/orgs/{org}/cloud-links" tenancy::list_links,
    POST "/v1/orgs/{org}/cloud-links" tenancy::link,
    POST "/v1/cloud-links/{link}/hand-over" tenancy::hand_over,
    DELETE "/v1/cloud-links/{link}" tenancy::unlink,
    GET "/v1/orgs/{org}/costs" tenancy::get_costs,
    GET "/v1/orgs/{org}/costs/csv" tenancy::get_costs_csv,
    GET "/v1/orgs/{org}/margin" tenancy::get_margin,
    PATCH "/v1/users/{user}" tenancy::rename_user,
    POST "/v1/users/{user}/reset-link" tenancy::make_reset_link,
    GET "/v1/orgs/{org}/invitations" people::list_invitations,
    DELETE "/v1/orgs/{org}/invitations/{invitation}" people::cancel_invitation,
    POST "/v1/invitations/show" invitations::show_invitation,
    POST "/v1/invitations/accept" invitations::accept_invitation,
    POST "/v1/invitations/decline" invitations::decline_invitation,
    GET "/v1/orgs/{org}/policies/{policy}" tenancy::get_policy,
    GET "/v1/policies" tenancy::list_built_in,
    GET "/v1/me/reach" tenancy::list_reach,
    POST "/v1/orgs/{org}/audit/export" audit::export_audit,
    GET "/v1/audit/verify" audit::verify_audit,
}

/// The routes of the API, with problems for what is not one.
pub fn router() -> Router<Web> {
    routed()
        .route("/v1/{*rest}", routing::any(unknown))
        .method_not_allowed_fallback(wrong_method)
        .layer(middleware::from_fn(idempotent::to_the_end))
}

/// Waits for changes whose clients went away before the answer.
pub(crate) async fn all_at_their_end() {
    idempotent::all_at_their_end().await;
}

/// The OpenAPI 3.1 description of the API, generated from the handlers.
#[must_use]
pub fn openapi() -> utoipa::openapi::OpenApi {
    let mut description = Description::openapi();
    describe::complete(&mut description);
    description
}

async fn unknown() -> Problem {
    Problem(Failure::not_found("path"))
}

async fn wrong_method() -> Refused {
    let text = "this path has other methods; see /v1/openapi.json";
    Refused::plain(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "", text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_description_and_the_router_name_the_same_routes() {
        let json = serde_json::to_value(openapi()).unwrap();
        let described: BTreeSet<(String, String)> = json["paths"]
            .as_object()
            .unwrap()
            .iter()
            .flat_map(|(path, item)| {
                item.as_object().unwrap().keys().map(|method| (method.to_uppercase(), path.clone()))
            })
            .collect();
        let routed: BTreeSet<(String, String)> =
            ROUTES.iter().map(|(method, path)| ((*method).to_owned(), (*path).to_owned())).collect();
        assert_eq!(described, routed);
        assert_eq!(routed.len(), ROUTES.len(), "no route stands twice");
        let _ = router(); // Panics when two routes clash.
    }

    #[test]
    fn the_description_is_complete() {
        let json = serde_json::to_value(openapi()).unwrap();
        assert!(json["openapi"].as_str().unwrap().starts_with("3.1."), "{}", json["openapi"]);
        assert_eq!(json["components"]["securitySchemes"]["token"]["scheme"], "bearer");
        let mut ids = BTreeSet::new();
        for (path, item) in json["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                let id = operation["operationId"].as_str().unwrap();
                assert!(ids.insert(id.to_owned()), "{id} stands twice");
                assert!(operation["summary"].is_string(), "{method} {path} has no words");
                let named = operation["parameters"].as_array().cloned().unwrap_or_default();
                let in_path = named.iter().filter(|parameter| parameter["in"] == "path").count();
                assert_eq!(in_path, path.matches('{').count(), "{method} {path}");
                for (status, answer) in operation["responses"].as_object().unwrap() {
                    assert!(answer["description"].is_string(), "{method} {path} {status}");
                }
            }
        }
    }

    #[test]
    fn every_reference_of_the_description_leads_somewhere() {
        let json = serde_json::to_value(openapi()).unwrap();
        let text = json.to_string();
        for part in text.split("\"$ref\":\"#").skip(1) {
            let pointer = part.split('"').next().unwrap();
            assert!(json.pointer(pointer).is_some(), "{pointer}");
        }
    }
}
