//! The tree's life, groups, policies, tokens of services, cloud connections and costs. Answers are the use
//! cases' own, with instants as RFC 3339.

use super::idempotent::Change;
use super::models::List;
use super::request::{Answer, Asked, Refused, cut, id, instant, page_limit, parsed, products_of, word};
use crate::auth::Caller;
use access::policy::Document;
use access::tree::{AdminMode, GatewayRule, MfaPolicy};
use access::{Action, Builtin, Cost, Costs, Level, Product, Propagate};
use app::bindings::NewBinding;
use app::cloud_links::{self, NewLink};
use app::org_life::{self, Deletion};
use app::orgs::{self, OrgChange};
use app::policies::{self, PolicyChange};
use app::rows::Holder;
use app::tokens::{self, NewToken};
use app::{Failure, bindings, costs, giving, groups, people, resets, sessions, who_can};
use axum::Json;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use base::period::format_instant;
use base::{BindingId, CloudLinkId, GroupId, GuardRailId, OrgId, PolicyId, SessionId, TokenId, UserId};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::{IntoParams, ToSchema};

/// A use case's answer as JSON: what ends with `_us` becomes an instant that ends with `_at`.
fn shown(value: impl Serialize) -> Result<Value, Refused> {
    Ok(with_instants(serde_json::to_value(value)?))
}

fn with_instants(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(with_instants).collect(),
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| match (name.strip_suffix("_us"), value.as_i64()) {
                (Some(stem), Some(at_us)) => (format!("{stem}_at"), Value::String(format_instant(at_us))),
                (Some(stem), None) => (format!("{stem}_at"), value),
                (None, _) => (name, with_instants(value)),
            })
            .collect(),
        other => other,
    }
}

/// A list as the other lists of the API are.
fn list(rows: impl Serialize) -> Answer<Value> {
    Ok(Json(json!({ "data": shown(rows)?, "next_cursor": null, "has_more": false })))
}

fn org_id(text: &str) -> Result<OrgId, Refused> {
    Ok(id(text, "organisation")?)
}

fn costs_of(words: &[String]) -> Result<Costs, Refused> {
    words.iter().map(|text| word("visible_costs", text, Cost::from_code)).collect()
}

/// Which children.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ChildrenAsked {
    /// Part of a name, in any case.
    q: Option<String>,
    /// At most so many; 50 if left out.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the direct children with their accounts, people and children, by name.
#[utoipa::path(get, path = "/v1/orgs/{org}/children", params(ChildrenAsked), responses((status = 200, body = Value)))]
pub(super) async fn list_children(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<ChildrenAsked>,
) -> Answer<Value> {
    let limit = page_limit(asked.limit);
    let cursor = asked.cursor.unwrap_or_default();
    let (after_id, after_name) = cursor.split_once(' ').unwrap_or(("", ""));
    let search = asked.q.unwrap_or_default();
    let page = app::rows::ChildrenAsked { after: (after_name, after_id), search: &search, limit: limit as i64 + 1 };
    let rows = orgs::children(&me.cx, org_id(&org)?, page).await?;
    let List { data, next_cursor, has_more } = cut(rows, limit, |row| format!("{} {}", row.org.id, row.org.name));
    Ok(Json(json!({ "data": shown(data)?, "next_cursor": next_cursor, "has_more": has_more })))
}

/// What is to change of an organisation. What is left out stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrgPatch {
    name: Option<String>,
    address: Option<Vec<String>>,
    /// `list`, `contracted`, `billed`, `effective` or `charged`.
    cost_default: Option<String>,
    child_cost_default: Option<String>,
    /// `off`, `optional` or `required`.
    mfa_policy: Option<String>,
    token_days_max: Option<i64>,
    /// Products of new children.
    child_products: Option<Vec<String>>,
}

/// Changes an organisation's settings.
#[utoipa::path(patch, path = "/v1/orgs/{org}", request_body = OrgPatch, responses((status = 200, body = Value)))]
pub(super) async fn update_org(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let body: OrgPatch = change.json()?;
    let cost = |field: &str, text: Option<String>| text.map(|text| word(field, &text, Cost::from_code)).transpose();
    let new = OrgChange {
        name: body.name,
        address: body.address,
        cost_default: cost("cost_default", body.cost_default)?,
        child_cost_default: cost("child_cost_default", body.child_cost_default)?,
        mfa_policy: body.mfa_policy.map(|text| word("mfa_policy", &text, MfaPolicy::from_code)).transpose()?,
        token_days_max: body.token_days_max,
        child_products: body.child_products.map(|words| products_of("child_products", &words)).transpose()?,
    };
    change.once(StatusCode::OK, async { shown(orgs::update(change.cx(), org, new).await?) }).await
}

/// Costs that an organisation's people may be shown.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct VisibleCosts {
    /// Of `list`, `contracted`, `billed`, `effective`, `charged`.
    visible_costs: Vec<String>,
}

/// Says which costs an organisation's people may be shown; decided by its parent.
#[utoipa::path(put, path = "/v1/orgs/{org}/visible-costs", request_body = VisibleCosts, responses((status = 200, body = Value)))]
pub(super) async fn set_visible_costs(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let costs = costs_of(&change.json::<VisibleCosts>()?.visible_costs)?;
    change.once(StatusCode::OK, async { shown(orgs::set_visible_costs(change.cx(), org, costs).await?) }).await
}

/// Lists an organisation's products: granted to it, effective, given to new children.
#[utoipa::path(get, path = "/v1/orgs/{org}/products", responses((status = 200, body = Value)))]
pub(super) async fn list_products(Caller(me): Caller, Path(org): Path<String>) -> Answer<Value> {
    list(orgs::products(&me.cx, org_id(&org)?).await?)
}

/// Whether a product is granted.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Granted {
    granted: bool,
}

/// Grants or withholds a product; decided by the parent.
#[utoipa::path(put, path = "/v1/orgs/{org}/products/{product}", request_body = Granted, responses((status = 204)))]
pub(super) async fn set_product(
    Path((org, product)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let (org, product) = (org_id(&org)?, word("product", &product, Product::from_code)?);
    let granted = change.json::<Granted>()?.granted;
    let work = async { Ok(orgs::set_product(change.cx(), org, product, granted).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// Where to.
#[derive(Deserialize, IntoParams, ToSchema)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MoveTo {
    /// The new parent.
    parent: String,
}

/// Says what moving an organisation would change.
#[utoipa::path(get, path = "/v1/orgs/{org}/move", params(MoveTo), responses((status = 200, body = Value)))]
pub(super) async fn preview_move(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(to): Asked<MoveTo>,
) -> Answer<Value> {
    Ok(Json(shown(org_life::preview_move(&me.cx, org_id(&org)?, org_id(&to.parent)?).await?)?))
}

/// Moves an organisation with everything below it.
#[utoipa::path(post, path = "/v1/orgs/{org}/move", request_body = MoveTo, responses((status = 200, body = Value)))]
pub(super) async fn move_org(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let (org, to) = (org_id(&org)?, org_id(&change.json::<MoveTo>()?.parent)?);
    change.once(StatusCode::OK, async { shown(org_life::move_org(change.cx(), org, to).await?) }).await
}

/// How to suspend.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Suspension {
    /// What the S3 gateway does: `deny`, `read_only` or `continue`.
    gateway: String,
}

/// Suspends an organisation and everything below it.
#[utoipa::path(post, path = "/v1/orgs/{org}/suspend", request_body = Suspension, responses((status = 200, body = Value)))]
pub(super) async fn suspend_org(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let rule = word("gateway", &change.json::<Suspension>()?.gateway, GatewayRule::from_code)?;
    change.once(StatusCode::OK, async { shown(org_life::suspend(change.cx(), org, rule).await?) }).await
}

/// Ends a suspension.
#[utoipa::path(post, path = "/v1/orgs/{org}/resume", responses((status = 200, body = Value)))]
pub(super) async fn resume_org(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    change.once(StatusCode::OK, async { shown(org_life::resume(change.cx(), org).await?) }).await
}

/// How to delete.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Removal {
    /// The organisation's name, once more.
    confirm: String,
    /// Also everything below it.
    #[serde(default)]
    cascade: bool,
    /// Leave unbilled usage unbilled.
    #[serde(default)]
    without_final_invoice: bool,
}

/// Marks an organisation for deletion; for thirty days it can be restored.
#[utoipa::path(delete, path = "/v1/orgs/{org}", request_body = Removal, responses((status = 200, body = Value)))]
pub(super) async fn delete_org(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let body: Removal = change.json()?;
    let how =
        Deletion { confirm: body.confirm, cascade: body.cascade, without_final_invoice: body.without_final_invoice };
    change.once(StatusCode::OK, async { shown(org_life::delete(change.cx(), org, &how).await?) }).await
}

/// Takes a deletion back.
#[utoipa::path(post, path = "/v1/orgs/{org}/restore", responses((status = 200, body = Value)))]
pub(super) async fn restore_org(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    change.once(StatusCode::OK, async { shown(org_life::restore(change.cx(), org).await?) }).await
}

/// Who runs an organisation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct AdminModeBody {
    /// `own` or `inherited`.
    admin_mode: String,
}

/// Says whether an organisation is run by admins of its own or by those above; decided from above.
#[utoipa::path(put, path = "/v1/orgs/{org}/admin-mode", request_body = AdminModeBody, responses((status = 200, body = Value)))]
pub(super) async fn set_admin_mode(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let mode = word("admin_mode", &change.json::<AdminModeBody>()?.admin_mode, AdminMode::from_code)?;
    change.once(StatusCode::OK, async { shown(org_life::set_admin_mode(change.cx(), org, mode).await?) }).await
}

/// Somebody of the tree who becomes a member of one more organisation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMember {
    user: String,
    /// `member`, or what he is given with it.
    policy: String,
}

/// Makes somebody who is in the tree a member of one more organisation.
#[utoipa::path(post, path = "/v1/orgs/{org}/members", request_body = NewMember, responses((status = 204)))]
pub(super) async fn add_member(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let body: NewMember = change.json()?;
    let user: UserId = parsed("user", &body.user)?;
    let policy = giving::parse_policy(&body.policy)?;
    let work = async { Ok(people::add_member(change.cx(), org, user, policy).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// Whether somebody is suspended.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Suspended {
    suspended: bool,
}

/// Suspends or opens somebody's membership at one organisation.
#[utoipa::path(put, path = "/v1/orgs/{org}/users/{user}", request_body = Suspended, responses((status = 204)))]
pub(super) async fn set_membership(
    Path((org, user)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let (org, user): (OrgId, UserId) = (org_id(&org)?, id(&user, "user")?);
    let suspended = change.json::<Suspended>()?.suspended;
    let work = async { Ok(people::set_membership_suspended(change.cx(), org, user, suspended).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// Suspends or opens an account.
#[utoipa::path(put, path = "/v1/users/{user}", request_body = Suspended, responses((status = 204)))]
pub(super) async fn set_account(Path(user): Path<String>, change: Change) -> Result<Response, Refused> {
    let user: UserId = id(&user, "user")?;
    let suspended = change.json::<Suspended>()?.suspended;
    let work = async { Ok(people::set_suspended(change.cx(), user, suspended).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// Shuts an account for good.
#[utoipa::path(delete, path = "/v1/users/{user}", responses((status = 204)))]
pub(super) async fn shut_account(Path(user): Path<String>, change: Change) -> Result<Response, Refused> {
    let user: UserId = id(&user, "user")?;
    change.once(StatusCode::NO_CONTENT, async { Ok(people::deprovision(change.cx(), user).await?) }).await
}

/// A policy to give.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct BindingBody {
    /// To this person ...
    user: Option<String>,
    /// ... or to this group.
    group: Option<String>,
    /// Word of a built-in policy or id of a custom one.
    policy: String,
    /// `self` or `subtree`; as far as the policy reaches if left out.
    propagate: Option<String>,
    /// Only on these, as `service:id`.
    #[serde(default)]
    resources: Vec<String>,
    not_before: Option<String>,
    not_after: Option<String>,
}

/// Gives a policy to a person or a group of an organisation.
#[utoipa::path(post, path = "/v1/orgs/{org}/bindings", request_body = BindingBody, responses((status = 201, body = Value)))]
pub(super) async fn bind(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let body: BindingBody = change.json()?;
    let holder = match (&body.user, &body.group) {
        (Some(user), None) => Holder::User(parsed("user", user)?),
        (None, Some(group)) => Holder::Group(parsed("group", group)?),
        _ => return Err(Failure::unreadable("user", "name a user or a group, one of them").into()),
    };
    let policy = giving::parse_policy(&body.policy)?;
    let propagate = match &body.propagate {
        Some(text) => word("propagate", text, Propagate::from_code)?,
        None => giving::usual_reach(policy),
    };
    let new = NewBinding {
        holder,
        policy,
        propagate,
        not_before_us: instant("not_before", &body.not_before)?,
        not_after_us: instant("not_after", &body.not_after)?,
        resources: body.resources,
    };
    let work = async { Ok(json!({ "id": bindings::bind(change.cx(), org, new).await? })) };
    change.once(StatusCode::CREATED, work).await
}

/// Takes a policy away.
#[utoipa::path(delete, path = "/v1/orgs/{org}/bindings/{binding}", responses((status = 204)))]
pub(super) async fn unbind(Path((org, binding)): Path<(String, String)>, change: Change) -> Result<Response, Refused> {
    let (org, binding): (OrgId, BindingId) = (org_id(&org)?, id(&binding, "binding")?);
    change.once(StatusCode::NO_CONTENT, async { Ok(bindings::unbind(change.cx(), org, binding).await?) }).await
}

/// Lists the policies that the caller can give at an organisation.
#[utoipa::path(get, path = "/v1/orgs/{org}/givable-policies", responses((status = 200, body = Value)))]
pub(super) async fn list_givable(Caller(me): Caller, Path(org): Path<String>) -> Answer<Value> {
    list(giving::givable(&me.cx, org_id(&org)?).await?)
}

/// A name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Named {
    name: String,
}

/// Lists an organisation's groups with their people and policies.
#[utoipa::path(get, path = "/v1/orgs/{org}/groups", responses((status = 200, body = Value)))]
pub(super) async fn list_groups(Caller(me): Caller, Path(org): Path<String>) -> Answer<Value> {
    list(groups::list(&me.cx, org_id(&org)?).await?)
}

/// Makes a group.
#[utoipa::path(post, path = "/v1/orgs/{org}/groups", request_body = Named, responses((status = 201, body = Value)))]
pub(super) async fn create_group(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let body: Named = change.json()?;
    change.once(StatusCode::CREATED, async { shown(groups::create(change.cx(), org, &body.name).await?) }).await
}

/// Deletes a group.
#[utoipa::path(delete, path = "/v1/orgs/{org}/groups/{group}", responses((status = 204)))]
pub(super) async fn delete_group(
    Path((org, group)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let (org, group): (OrgId, GroupId) = (org_id(&org)?, id(&group, "group")?);
    change.once(StatusCode::NO_CONTENT, async { Ok(groups::delete(change.cx(), org, group).await?) }).await
}

/// Puts a member of the organisation into a group.
#[utoipa::path(put, path = "/v1/orgs/{org}/groups/{group}/members/{user}", responses((status = 204)))]
pub(super) async fn add_to_group(
    Path((org, group, user)): Path<(String, String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let (org, group, user): (OrgId, GroupId, UserId) = (org_id(&org)?, id(&group, "group")?, id(&user, "user")?);
    let work = async { Ok(groups::add_member(change.cx(), org, group, user).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// Takes somebody out of a group.
#[utoipa::path(delete, path = "/v1/orgs/{org}/groups/{group}/members/{user}", responses((status = 204)))]
pub(super) async fn take_from_group(
    Path((org, group, user)): Path<(String, String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let (org, group, user): (OrgId, GroupId, UserId) = (org_id(&org)?, id(&group, "group")?, id(&user, "user")?);
    let work = async { Ok(groups::remove_member(change.cx(), org, group, user).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// A custom policy.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyBody {
    name: String,
    /// `org` or `resource`; fixed once it exists.
    level: String,
    /// `{"statements": [{"effect": "ALLOW", "actions": ["invoice:*"], "resources": ["*"], "condition": {...}}]}`.
    #[schema(value_type = Value)]
    document: Document,
    /// When it changes: the version that was read.
    #[serde(default)]
    version: i64,
}

/// Lists the custom policies that can be given at an organisation.
#[utoipa::path(get, path = "/v1/orgs/{org}/policies", responses((status = 200, body = Value)))]
pub(super) async fn list_policies(Caller(me): Caller, Path(org): Path<String>) -> Answer<Value> {
    list(policies::list(&me.cx, org_id(&org)?).await?)
}

/// Makes a custom policy.
#[utoipa::path(post, path = "/v1/orgs/{org}/policies", request_body = PolicyBody, responses((status = 201, body = Value)))]
pub(super) async fn create_policy(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let body: PolicyBody = change.json()?;
    let level = word("level", &body.level, Level::from_code)?;
    let work = async { shown(policies::create(change.cx(), org, &body.name, level, body.document.clone()).await?) };
    change.once(StatusCode::CREATED, work).await
}

/// Changes a custom policy for everybody who holds it.
#[utoipa::path(put, path = "/v1/orgs/{org}/policies/{policy}", request_body = PolicyBody, responses((status = 200, body = Value)))]
pub(super) async fn update_policy(
    Path((org, policy)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let (org, policy): (OrgId, PolicyId) = (org_id(&org)?, id(&policy, "policy")?);
    let body: PolicyBody = change.json()?;
    let new = PolicyChange {
        version: body.version,
        name: Some(body.name),
        level: Some(word("level", &body.level, Level::from_code)?),
        document: Some(body.document),
    };
    change.once(StatusCode::OK, async { shown(policies::update(change.cx(), org, policy, new).await?) }).await
}

/// Whether to take it from everybody first.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct Detach {
    /// `true` to take it from everybody who holds it.
    detach: Option<bool>,
    /// Read by every change of rights: whether it is only tried.
    #[serde(rename = "preview")]
    #[param(ignore)]
    _preview: Option<bool>,
}

/// Deletes a custom policy.
#[utoipa::path(delete, path = "/v1/orgs/{org}/policies/{policy}", params(Detach), responses((status = 204)))]
pub(super) async fn delete_policy(
    Path((org, policy)): Path<(String, String)>,
    Asked(how): Asked<Detach>,
    change: Change,
) -> Result<Response, Refused> {
    let (org, policy): (OrgId, PolicyId) = (org_id(&org)?, id(&policy, "policy")?);
    let detach = how.detach.unwrap_or(false);
    let work = async { Ok(policies::delete(change.cx(), org, policy, detach).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// A question about rights.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct WhoCan {
    /// `invoice:void`.
    action: String,
    /// `service:id`; the organisation itself if left out.
    #[serde(default)]
    resource: String,
    /// A policy as if it were given to them.
    #[schema(value_type = Option<Value>)]
    draft: Option<Document>,
    /// Only about this person.
    user: Option<String>,
}

/// Says who can do something at an organisation, and why. Changes nothing.
#[utoipa::path(post, path = "/v1/orgs/{org}/who-can", request_body = WhoCan, responses((status = 200, body = Value)))]
pub(super) async fn who_can(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let body: WhoCan = change.json()?;
    let action = word("action", &body.action, Action::from_code)?;
    let user = body.user.as_ref().map(|text| parsed::<UserId>("user", text)).transpose()?;
    if body.draft.is_some() && user.is_none() {
        return Err(Failure::unreadable("user", "is missing: say to whom the draft is given").into());
    }
    let found = who_can::who_can(change.cx(), org, action, &body.resource, user, body.draft.as_ref()).await?;
    let data = shown(found.people)?;
    let answer =
        json!({ "asked": found.asked, "can": found.can, "data": data, "next_cursor": null, "has_more": false });
    Ok(Json(answer).into_response())
}

/// Lists the guard-rails on the way to an organisation.
#[utoipa::path(get, path = "/v1/orgs/{org}/guard-rails", responses((status = 200, body = Value)))]
pub(super) async fn list_guards(Caller(me): Caller, Path(org): Path<String>) -> Answer<Value> {
    let found = policies::guards(&me.cx, org_id(&org)?).await?;
    let rows: Vec<Value> =
        found.into_iter().map(|(org, id, name)| json!({ "id": id, "laid_by": org, "policy_name": name })).collect();
    list(rows)
}

/// A policy to lay.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct GuardBody {
    policy: String,
}

/// Lays a policy on an organisation and everything below it.
#[utoipa::path(post, path = "/v1/orgs/{org}/guard-rails", request_body = GuardBody, responses((status = 201, body = Value)))]
pub(super) async fn lay_guard(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let policy: PolicyId = parsed("policy", &change.json::<GuardBody>()?.policy)?;
    let work = async { Ok(json!({ "id": policies::lay_guard(change.cx(), org, policy).await? })) };
    change.once(StatusCode::CREATED, work).await
}

/// Lifts a guard-rail that the organisation laid.
#[utoipa::path(delete, path = "/v1/orgs/{org}/guard-rails/{guard}", responses((status = 204)))]
pub(super) async fn lift_guard(
    Path((org, guard)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let (org, guard): (OrgId, GuardRailId) = (org_id(&org)?, id(&guard, "guard-rail")?);
    change.once(StatusCode::NO_CONTENT, async { Ok(policies::lift_guard(change.cx(), org, guard).await?) }).await
}

/// A program.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceBody {
    name: String,
    #[serde(default)]
    description: String,
}

/// Makes a service: a user that is a program.
#[utoipa::path(post, path = "/v1/orgs/{org}/services", request_body = ServiceBody, responses((status = 201, body = Value)))]
pub(super) async fn create_service(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let body: ServiceBody = change.json()?;
    let work = async { shown(tokens::create_service(change.cx(), org, &body.name, &body.description).await?) };
    change.once(StatusCode::CREATED, work).await
}

/// A token of a service.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ServiceToken {
    name: String,
    days: i64,
    /// Patterns of actions, such as `usage:send`.
    actions: Vec<String>,
    /// Only there and below; the service's organisation if left out.
    scope_org: Option<String>,
}

/// Makes a token of a service. It is shown once.
#[utoipa::path(post, path = "/v1/orgs/{org}/services/{service}/tokens", request_body = ServiceToken, responses((status = 201, body = Value)))]
pub(super) async fn create_service_token(
    Path((org, service)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let (org, service): (OrgId, UserId) = (org_id(&org)?, id(&service, "service")?);
    let body: ServiceToken = change.json()?;
    let scope_org = body.scope_org.map(|text| parsed("scope_org", &text)).transpose()?;
    let new = NewToken { name: body.name, days: body.days, scope_org, actions: body.actions };
    let work = async {
        let (token, secret) = tokens::create_programmatic(change.cx(), org, service, new).await?;
        let mut value = shown(token)?;
        value["secret"] = Value::String(secret);
        Ok(value)
    };
    change.once(StatusCode::CREATED, work).await
}

/// Lists the tokens that are scoped to an organisation or below it.
#[utoipa::path(get, path = "/v1/orgs/{org}/tokens", responses((status = 200, body = Value)))]
pub(super) async fn list_org_tokens(Caller(me): Caller, Path(org): Path<String>) -> Answer<Value> {
    list(tokens::list(&me.cx, org_id(&org)?).await?)
}

/// Revokes a token that is scoped to an organisation or below it.
#[utoipa::path(delete, path = "/v1/orgs/{org}/tokens/{token}", responses((status = 204)))]
pub(super) async fn revoke_org_token(
    Path((org, token)): Path<(String, String)>,
    change: Change,
) -> Result<Response, Refused> {
    let (org, token): (OrgId, TokenId) = (org_id(&org)?, id(&token, "token")?);
    change.once(StatusCode::NO_CONTENT, async { Ok(tokens::revoke(change.cx(), org, token).await?) }).await
}

/// Lists one's own console sessions.
#[utoipa::path(get, path = "/v1/me/sessions", responses((status = 200, body = Value)))]
pub(super) async fn list_sessions(Caller(me): Caller) -> Answer<Value> {
    let found = sessions::my_sessions(&me.cx).await?;
    let row = |session: &app::rows::Session| {
        json!({ "id": session.id, "ip": session.ip, "agent": session.agent, "created_us": session.created_us,
                "seen_us": session.seen_us, "expires_us": session.expires_us })
    };
    list(found.iter().map(row).collect::<Vec<_>>())
}

/// Says what happened to one's own account: failed tries of the last two days, sign-ins and changes, newest first.
#[utoipa::path(get, path = "/v1/me/security", responses((status = 200, body = Value)))]
pub(super) async fn my_security(Caller(me): Caller) -> Answer<Value> {
    let mine = app::security::mine(&me.cx, 0).await?;
    // Never the whole entry: its path and detail can name organisations that this person may not know.
    let event = |event: &app::rows::AuditEvent| json!({ "at_us": event.at_us, "action": event.action, "outcome": event.outcome, "reason": event.reason });
    let events: Vec<Value> = mine.events.iter().map(event).collect();
    Ok(Json(json!({ "failed_tries": mine.troubles, "events": events })))
}

/// Ends one of one's own console sessions.
#[utoipa::path(delete, path = "/v1/me/sessions/{session}", responses((status = 204)))]
pub(super) async fn end_session(Path(session): Path<String>, change: Change) -> Result<Response, Refused> {
    let session: SessionId = id(&session, "session")?;
    change.once(StatusCode::NO_CONTENT, async { Ok(sessions::end_session(change.cx(), session).await?) }).await
}

/// An external account.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct LinkBody {
    /// `s3`, `cloudstack`, `aws`, `azure`, `gcp` or `other`.
    provider: String,
    external_account: String,
    name: String,
    /// From when on; now if left out.
    from: Option<String>,
}

/// Lists the cloud connections of an organisation and below, past ones included.
#[utoipa::path(get, path = "/v1/orgs/{org}/cloud-links", responses((status = 200, body = Value)))]
pub(super) async fn list_links(Caller(me): Caller, Path(org): Path<String>) -> Answer<Value> {
    list(cloud_links::list(&me.cx, org_id(&org)?).await?)
}

/// Connects an external account to an organisation.
#[utoipa::path(post, path = "/v1/orgs/{org}/cloud-links", request_body = LinkBody, responses((status = 201, body = Value)))]
pub(super) async fn link(Path(org): Path<String>, change: Change) -> Result<Response, Refused> {
    let org = org_id(&org)?;
    let body: LinkBody = change.json()?;
    let from_us = instant("from", &body.from)?;
    let new = NewLink { provider: body.provider, external_account: body.external_account, name: body.name, from_us };
    change.once(StatusCode::CREATED, async { shown(cloud_links::link(change.cx(), org, new).await?) }).await
}

/// To whom, and from when on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HandOver {
    /// The organisation that gets it.
    org: String,
    /// From the first of this month on; the next month if left out.
    month: Option<String>,
}

/// Hands an external account over to another organisation.
#[utoipa::path(post, path = "/v1/cloud-links/{link}/hand-over", request_body = HandOver, responses((status = 200, body = Value)))]
pub(super) async fn hand_over(Path(link): Path<String>, change: Change) -> Result<Response, Refused> {
    let link: CloudLinkId = id(&link, "cloud connection")?;
    let body: HandOver = change.json()?;
    let to = org_id(&body.org)?;
    let work = async { shown(cloud_links::hand_over(change.cx(), link, to, body.month.as_deref()).await?) };
    change.once(StatusCode::OK, work).await
}

/// Ends a cloud connection now. Its history stays.
#[utoipa::path(delete, path = "/v1/cloud-links/{link}", responses((status = 204)))]
pub(super) async fn unlink(Path(link): Path<String>, change: Change) -> Result<Response, Refused> {
    let link: CloudLinkId = id(&link, "cloud connection")?;
    change.once(StatusCode::NO_CONTENT, async { Ok(cloud_links::unlink(change.cx(), link).await?) }).await
}

/// Which costs.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct CostsAsked {
    /// `2026-10`.
    month: String,
    /// A column, largest first.
    #[serde(default)]
    sort: String,
    /// `charged>100`.
    #[serde(default)]
    filter: String,
}

/// Gives the costs of a month, in the columns that the caller may see.
#[utoipa::path(get, path = "/v1/orgs/{org}/costs", params(CostsAsked), responses((status = 200, body = Value)))]
pub(super) async fn get_costs(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<CostsAsked>,
) -> Answer<Value> {
    let table = costs::table(&me.cx, org_id(&org)?, &asked.month, &asked.sort, &asked.filter).await?;
    Ok(Json(shown(table)?))
}

/// Gives the same table as CSV.
#[utoipa::path(get, path = "/v1/orgs/{org}/costs/csv", params(CostsAsked), responses((status = 200, body = String)))]
pub(super) async fn get_costs_csv(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<CostsAsked>,
) -> Result<Response, Refused> {
    let table = costs::table(&me.cx, org_id(&org)?, &asked.month, &asked.sort, &asked.filter).await?;
    Ok(([(header::CONTENT_TYPE, "text/csv; charset=utf-8")], costs::csv(&table)).into_response())
}

/// Which month.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct MonthAsked {
    /// `2026-10`.
    month: String,
}

/// Gives an organisation's own margin: charged below, owed above, the difference.
#[utoipa::path(get, path = "/v1/orgs/{org}/margin", params(MonthAsked), responses((status = 200, body = Value)))]
pub(super) async fn get_margin(
    Caller(me): Caller,
    Path(org): Path<String>,
    Asked(asked): Asked<MonthAsked>,
) -> Answer<Value> {
    Ok(Json(shown(costs::margin(&me.cx, org_id(&org)?, &asked.month).await?)?))
}

/// Changes a person's name as shown.
#[utoipa::path(patch, path = "/v1/users/{user}", request_body = Named, responses((status = 204)))]
pub(super) async fn rename_user(Path(user): Path<String>, change: Change) -> Result<Response, Refused> {
    let user: UserId = id(&user, "user")?;
    let body: Named = change.json()?;
    let work = async { Ok(people::rename(change.cx(), user, &body.name).await?) };
    change.once(StatusCode::NO_CONTENT, work).await
}

/// A link that brings somebody back in.
#[derive(Serialize, ToSchema)]
pub(super) struct ResetLink {
    user: String,
    email: String,
    /// Path of the link at the console, with its secret: shown once.
    path: String,
    expires_at: String,
}

/// Makes a link for somebody who lost his password or second factors: good once, for a day, shown once.
#[utoipa::path(post, path = "/v1/users/{user}/reset-link", responses((status = 201, body = ResetLink)))]
pub(super) async fn make_reset_link(Path(user): Path<String>, change: Change) -> Result<Response, Refused> {
    let user: UserId = id(&user, "user")?;
    let work = async {
        let made = resets::begin(change.cx(), user).await?;
        Ok(ResetLink {
            user: made.user.to_string(),
            email: made.email,
            path: format!("/reset?secret={}", made.secret),
            expires_at: format_instant(made.expires_us),
        })
    };
    change.once(StatusCode::CREATED, work).await
}

/// Gives a custom policy that can be given at an organisation.
#[utoipa::path(get, path = "/v1/orgs/{org}/policies/{policy}", responses((status = 200, body = Value)))]
pub(super) async fn get_policy(Caller(me): Caller, Path((org, policy)): Path<(String, String)>) -> Answer<Value> {
    let (org, policy): (OrgId, PolicyId) = (org_id(&org)?, id(&policy, "policy")?);
    Ok(Json(shown(policies::get(&me.cx, org, policy).await?)?))
}

/// Lists the policies that every installation has.
#[utoipa::path(get, path = "/v1/policies", responses((status = 200, body = Value)))]
pub(super) async fn list_built_in(_caller: Caller) -> Answer<Value> {
    let row = |builtin: &Builtin| {
        let actions: Vec<Action> = builtin.actions().iter().collect();
        json!({ "id": builtin.code(), "name": builtin.words(), "sentence": builtin.sentence(),
                "level": builtin.level(), "reaches": builtin.reaches(), "actions": actions })
    };
    list(Builtin::ALL.iter().map(row).collect::<Vec<_>>())
}

/// Which act.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(super) struct ReachAsked {
    /// `usage:read`.
    action: String,
    /// At most so many; 50 if left out.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
}

/// Lists the organisations at which the caller may do something, in order of id.
///
/// Suspension, products and guard-rails of single places are not looked at: they are asked when it is done.
#[utoipa::path(get, path = "/v1/me/reach", params(ReachAsked), responses((status = 200, body = Value)))]
pub(super) async fn list_reach(Caller(me): Caller, Asked(asked): Asked<ReachAsked>) -> Answer<Value> {
    let action = word("action", &asked.action, Action::from_code)?;
    let limit = page_limit(asked.limit);
    let after = asked.cursor.unwrap_or_default();
    let rows = orgs::reached(&me.cx, action, &after, limit as i64 + 1).await?;
    let found = cut(rows, limit, ToString::to_string);
    let data: Vec<Value> = found.data.into_iter().map(|org| json!({ "org": org })).collect();
    Ok(Json(json!({ "data": data, "next_cursor": found.next_cursor, "has_more": found.has_more })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_written_for_people() {
        let value = json!({ "to_us": null, "rows": [{ "from_us": 0, "amount": "1" }] });
        let want = json!({ "to_at": null, "rows": [{ "from_at": "1970-01-01T00:00:00Z", "amount": "1" }] });
        assert_eq!(with_instants(value), want);
    }
}
