//! What each command of people, groups, policies, tokens and services asks, and what it shows.

use super::args::{GroupVerb, GuardVerb, PolicyVerb, ServiceVerb, TokenVerb, UserVerb};
use super::http::{Call, encode};
use super::output::Column;
use super::session::{Session, read_input};
use crate::Exit;
use crate::init::read_secret;
use serde_json::{Value, json};
use std::path::Path;

const USERS: [Column; 5] =
    [("ID", "/id"), ("EMAIL", "/email"), ("NAME", "/name"), ("STATE", "/state"), ("KIND", "/kind")];
const SERVICES: [Column; 4] = [("ID", "/id"), ("NAME", "/name"), ("STATE", "/state"), ("HOME", "/home_org")];
const NEW_SERVICE: [Column; 4] =
    [("ID", "/id"), ("NAME", "/display_name"), ("STATE", "/state"), ("FOR", "/description")];
const INVITATIONS: [Column; 6] = [
    ("ID", "/id"),
    ("ORG", "/org"),
    ("EMAIL", "/email"),
    ("POLICY", "/policy"),
    ("EXPIRES", "/expires_at"),
    ("SECRET", "/secret"),
];
const RESETS: [Column; 3] = [("EMAIL", "/email"), ("LINK", "/path"), ("UNTIL", "/expires_at")];
const GROUPS: [Column; 5] =
    [("ID", "/id"), ("NAME", "/name"), ("ORG", "/org"), ("SOURCE", "/source"), ("MEMBERS", "/members")];
const POLICIES: [Column; 5] =
    [("ID", "/id"), ("NAME", "/name"), ("LEVEL", "/level"), ("VERSION", "/version"), ("ORG", "/org")];
const BUILT_IN: [Column; 5] =
    [("POLICY", "/id"), ("NAME", "/name"), ("LEVEL", "/level"), ("REACHES", "/reaches"), ("ACTIONS", "/actions")];
const GIVABLE: [Column; 4] = [("POLICY", "/policy"), ("NAME", "/name"), ("REACHES", "/reaches"), ("FOR", "/sentence")];
const WHO: [Column; 4] = [("USER", "/user"), ("NAME", "/name"), ("CAN", "/allowed"), ("WHY NOT", "/reason")];
const GUARDS: [Column; 3] = [("ID", "/id"), ("POLICY", "/policy_name"), ("LAID BY", "/laid_by")];
const MADE: [Column; 1] = [("ID", "/id")];
const TOKENS: [Column; 9] = [
    ("ID", "/id"),
    ("NAME", "/name"),
    ("BEGINS", "/prefix"),
    ("ORG", "/scope_org"),
    ("ACTIONS", "/actions"),
    ("EXPIRES", "/expires_at"),
    ("REVOKED", "/revoked_at"),
    ("USED", "/last_used_at"),
    ("SECRET", "/secret"),
];

/// `user`.
pub(super) async fn user(session: Session, verb: UserVerb) -> Result<u8, Exit> {
    match verb {
        UserVerb::Suspend { user, everywhere } => set_suspended(session, &user, everywhere, true).await,
        UserVerb::Resume { user, everywhere } => set_suspended(session, &user, everywhere, false).await,
        UserVerb::Rename { user, name } => {
            let call = Call::patch(format!("/v1/users/{}", encode(&user)), &json!({ "name": name }));
            session.quietly(call, "The name is changed.").await
        }
        UserVerb::Reset { user } => {
            let call = Call::post(format!("/v1/users/{}/reset-link", encode(&user)), &json!({}));
            session.change(call, &RESETS).await
        }
        UserVerb::Shut { user, confirm } => shut(session, &user, &confirm).await,
        other => user_at(session, other).await,
    }
}

async fn user_at(session: Session, verb: UserVerb) -> Result<u8, Exit> {
    let path = format!("/v1/orgs/{}", session.org().await?);
    match verb {
        UserVerb::Invite { email, policy, propagate } => {
            let body = json!({ "email": email, "policy": policy, "propagate": propagate });
            session.change(Call::post(format!("{path}/invitations"), &body), &INVITATIONS).await
        }
        UserVerb::Invitations => session.list(&format!("{path}/invitations"), &[], &INVITATIONS).await,
        UserVerb::Uninvite { invitation } => {
            let call = Call::delete(format!("{path}/invitations/{}", encode(&invitation)));
            session.quietly(call, "The invitation is withdrawn.").await
        }
        UserVerb::AddMember { user, policy } => {
            let call = Call::post(format!("{path}/members"), &json!({ "user": user, "policy": policy }));
            session.quietly(call, "The person is a member now.").await
        }
        UserVerb::Remove { user, sure } => {
            let row = person(&session, &user).await?;
            let said = [
                format!("{} leaves this organisation.", row["email"].as_str().unwrap_or(&user)),
                "Their policies, sessions, tokens and access keys here end at once.".to_owned(),
            ];
            if !session.goes_on(sure, &said)? {
                return Ok(0);
            }
            let call = Call::delete(format!("{path}/users/{}", encode(&user)));
            session.quietly(call, "The person is out; sessions, tokens and keys there have ended.").await
        }
        UserVerb::List { search: Some(text) } => session.list(&format!("{path}/users"), &[("q", &text)], &USERS).await,
        _ => session.list(&format!("{path}/users"), &[], &USERS).await,
    }
}

async fn set_suspended(session: Session, user: &str, everywhere: bool, suspended: bool) -> Result<u8, Exit> {
    let path = if everywhere {
        format!("/v1/users/{}", encode(user))
    } else {
        format!("/v1/orgs/{}/users/{}", session.org().await?, encode(user))
    };
    let done = match (everywhere, suspended) {
        (true, true) => "The account is suspended.",
        (true, false) => "The account is open again.",
        (false, true) => "The membership is suspended.",
        (false, false) => "The membership is open again.",
    };
    session.quietly(Call::put(path, &json!({ "suspended": suspended })), done).await
}

/// Everybody at the organisation and below.
async fn everybody(session: &Session) -> Result<Vec<Value>, Exit> {
    let found = session.all_rows(&format!("/v1/orgs/{}/users", session.org().await?)).await?;
    Ok(found["data"].as_array().cloned().unwrap_or_default())
}

async fn person(session: &Session, user: &str) -> Result<Value, Exit> {
    let unknown = || Exit { code: 3, text: format!("{user}: is not at this organisation or below") };
    everybody(session).await?.into_iter().find(|row| row["id"] == user).ok_or_else(unknown)
}

async fn shut(session: Session, user: &str, confirm: &str) -> Result<u8, Exit> {
    let row = person(&session, user).await?;
    let name = if row["kind"] == "service" { &row["name"] } else { &row["email"] };
    let name = name.as_str().unwrap_or_default();
    if !name.eq_ignore_ascii_case(confirm.trim()) {
        return Err(Exit::usage(format!("--confirm: is not {name:?}")));
    }
    session.quietly(Call::delete(format!("/v1/users/{}", encode(user))), "The account is shut for good.").await
}

/// `group`.
pub(super) async fn group(session: Session, verb: GroupVerb) -> Result<u8, Exit> {
    let path = format!("/v1/orgs/{}/groups", session.org().await?);
    let member = |group: &str, user: &str| format!("{path}/{}/members/{}", encode(group), encode(user));
    match verb {
        GroupVerb::List => {
            let found = session.ask(&path).await?;
            session.show(&found, &GROUPS)
        }
        GroupVerb::Create { name } => session.change(Call::post(path, &json!({ "name": name })), &GROUPS).await,
        GroupVerb::Delete { group, sure } => {
            let found = session.ask(&path).await?;
            let unknown = || Exit { code: 3, text: format!("{group}: is not a group of this organisation") };
            let mut rows = found["data"].as_array().into_iter().flatten();
            let row = rows.find(|row| row["id"] == group.as_str()).ok_or_else(unknown)?;
            let members =
                row["members"].as_array().map_or_else(|| row["members"].to_string(), |list| list.len().to_string());
            let name = row["name"].as_str().unwrap_or_default();
            let said = [format!("The group {name} is deleted: {members} people lose what they have by it.")];
            if !session.goes_on(sure, &said)? {
                return Ok(0);
            }
            let call = Call::delete(format!("{path}/{}", encode(&group)));
            session.quietly(call, "The group is deleted.").await
        }
        GroupVerb::Add { group, user } => {
            session.quietly(Call::put(member(&group, &user), &Value::Null), "The person is in the group.").await
        }
        GroupVerb::Remove { group, user } => {
            session.quietly(Call::delete(member(&group, &user)), "The person is out of the group.").await
        }
    }
}

/// Reads a document of a policy.
fn document(file: &Path) -> Result<Value, Exit> {
    let unfit = |error| Exit::usage(format!("{}: is not JSON: {error}", file.display()));
    serde_json::from_slice(&read_input(file)?).map_err(unfit)
}

/// `policy`.
pub(super) async fn policy(session: Session, verb: PolicyVerb) -> Result<u8, Exit> {
    if let PolicyVerb::List { built_in: true, .. } = verb {
        return session.show(&session.ask("/v1/policies").await?, &BUILT_IN);
    }
    let org = format!("/v1/orgs/{}", session.org().await?);
    let at = |policy: &str| format!("{org}/policies/{}", encode(policy));
    match verb {
        PolicyVerb::List { givable: true, .. } => {
            session.show(&session.ask(&format!("{org}/givable-policies")).await?, &GIVABLE)
        }
        PolicyVerb::List { .. } => session.show(&session.ask(&format!("{org}/policies")).await?, &POLICIES),
        PolicyVerb::Get { policy } => {
            let found = session.ask(&at(&policy)).await?;
            super::output::write(super::output::json(&found).as_bytes()).map(|()| 0)
        }
        PolicyVerb::Create { name, file, level } => {
            let body = json!({ "name": name, "level": level, "document": document(&file)? });
            session.change(Call::post(format!("{org}/policies"), &body), &POLICIES).await
        }
        PolicyVerb::Update { policy, file, name, if_version } => {
            let now = session.ask(&at(&policy)).await?;
            let body = json!({
                "name": name.map_or_else(|| now["name"].clone(), Value::from),
                "level": now["level"],
                "version": if_version.map_or_else(|| now["version"].clone(), Value::from),
                "document": document(&file)?,
            });
            session.change(Call::put(at(&policy), &body), &POLICIES).await
        }
        PolicyVerb::Delete { policy, detach, confirm } => {
            if let Some(confirm) = confirm {
                let now = session.ask(&at(&policy)).await?;
                if now["name"] != confirm.trim() {
                    return Err(Exit::usage(format!("--confirm: is not the name {}", now["name"])));
                }
            }
            let call = Call::delete(format!("{}?detach={detach}", at(&policy)));
            session.quietly(call, "The policy is deleted.").await
        }
        PolicyVerb::WhoCan { action, resource, draft, user } => {
            let draft = draft.map(|file| document(&file)).transpose()?;
            let body = json!({ "action": action, "resource": resource, "draft": draft, "user": user });
            let found = session.send(Call::post(format!("{org}/who-can"), &body)).await?.json()?;
            session.show(&found, &WHO)
        }
        PolicyVerb::Bind { policy, user, group, propagate, resource, not_before, not_after } => {
            let body = json!({
                "policy": policy, "user": user, "group": group, "propagate": propagate, "resources": resource,
                "not_before": not_before, "not_after": not_after,
            });
            session.change(Call::post(format!("{org}/bindings"), &body), &MADE).await
        }
        PolicyVerb::Unbind { binding } => {
            let call = Call::delete(format!("{org}/bindings/{}", encode(&binding)));
            session.quietly(call, "The policy is taken away.").await
        }
        PolicyVerb::Guard(verb) => guard(session, &format!("{org}/guard-rails"), verb).await,
    }
}

async fn guard(session: Session, path: &str, verb: GuardVerb) -> Result<u8, Exit> {
    match verb {
        GuardVerb::List => session.show(&session.ask(path).await?, &GUARDS),
        GuardVerb::Lay { policy } => session.change(Call::post(path, &json!({ "policy": policy })), &MADE).await,
        GuardVerb::Lift { guard } => {
            session.quietly(Call::delete(format!("{path}/{}", encode(&guard))), "The guard-rail is lifted.").await
        }
    }
}

/// `token`.
pub(super) async fn token(session: Session, verb: TokenVerb) -> Result<u8, Exit> {
    match verb {
        TokenVerb::List { of_org: false } => session.list("/v1/tokens", &[], &TOKENS).await,
        TokenVerb::List { of_org: true } => {
            session.show(&session.ask(&format!("/v1/orgs/{}/tokens", session.org().await?)).await?, &TOKENS)
        }
        TokenVerb::Create { name, days, scope_org, action, password_file } => {
            let me = session.ask("/v1/me").await?;
            let password = read_secret("Password", password_file.as_ref())?;
            let mut body = json!({
                "email": me["email"], "password": password, "name": name, "days": days, "scope_org": scope_org,
            });
            if !action.is_empty() {
                body["actions"] = action.into();
            }
            let mut reply = session.exchange(&Call::post("/v1/tokens", &body).only_once()).await?;
            if reply.wants_code() {
                body["code"] = read_secret("Code of your authenticator app, or a recovery code", None)?.into();
                reply = session.exchange(&Call::post("/v1/tokens", &body).only_once()).await?;
            }
            session.once_shown(&reply.or_refusal()?.json()?, &TOKENS)
        }
        TokenVerb::Revoke { token, of_org } => {
            let path = if of_org { format!("/v1/orgs/{}/tokens", session.org().await?) } else { "/v1/tokens".into() };
            session.quietly(Call::delete(format!("{path}/{}", encode(&token))), "The token is revoked.").await
        }
    }
}

/// `service`.
pub(super) async fn service(session: Session, verb: ServiceVerb) -> Result<u8, Exit> {
    match verb {
        ServiceVerb::List => {
            let rows: Vec<Value> =
                everybody(&session).await?.into_iter().filter(|row| row["kind"] == "service").collect();
            session.show(&json!({ "data": rows, "next_cursor": null, "has_more": false }), &SERVICES)
        }
        ServiceVerb::Create { name, description } => {
            let body = json!({ "name": name, "description": description });
            let path = format!("/v1/orgs/{}/services", session.org().await?);
            session.change(Call::post(path, &body), &NEW_SERVICE).await
        }
        ServiceVerb::Token { service, name, days, action } => {
            let body = json!({ "name": name, "days": days, "actions": action });
            let path = format!("/v1/orgs/{}/services/{}/tokens", session.org().await?, encode(&service));
            session.change(Call::post(path, &body), &TOKENS).await
        }
    }
}
