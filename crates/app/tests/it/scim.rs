//! What directories may do by SCIM, on both engines.

use super::*;
use access::Action;
use app::bindings::NewBinding;
use app::rows::{Holder, PeopleQuestion};
use app::scim::{Asked, Directory, ScimError};
use app::{bindings, groups, invitations, scim};
use base::GroupId;
use identity::scim::ScimType;
use serde_json::{Value, json};

const BASE: &str = "http://x/scim/v2";
const MEMBER: PolicyRef = PolicyRef::Builtin(Builtin::Member);
const KEPT: (u16, Option<ScimType>) = (409, Some(ScimType::Mutability));

impl Bench {
    pub(super) async fn directory(&self, org: OrgId) -> Directory {
        let (_, text) = scim::create_token(&self.cx, org, "Okta", 30).await.unwrap();
        let found = by_token(&self.app, &text, &Client::default()).await.unwrap();
        Directory::of(found.cx, BASE.to_owned()).unwrap()
    }

    /// Makes `org` the proved owner of a domain.
    fn claim(&self, org: OrgId, domain: &str) {
        let realm = self.cx.realm;
        self.execute(&format!(
            "insert into domain_claim (realm_id, domain, org_id, challenge, verified_us, created_us)
             values ('{realm}', '{domain}', '{org}', '', 1, 1)"
        ));
    }

    async fn alerts(&self, org: OrgId, action: &str) -> usize {
        let filter = AuditFilter { action: action.to_owned(), ..AuditFilter::default() };
        audit::list(&self.cx, org, 0, &filter, 100).await.unwrap().len()
    }

    async fn admin_group(&self, org: OrgId, group: GroupId) {
        let new = NewBinding {
            holder: Holder::Group(group),
            policy: PolicyRef::ADMIN,
            propagate: Propagate::Subtree,
            resources: Vec::new(),
            not_before_us: None,
            not_after_us: None,
        };
        bindings::bind(&self.cx, org, new).await.unwrap();
    }

    async fn is_member(&self, org: OrgId, user: UserId) -> bool {
        let people = people::list(&self.cx, org, &PeopleQuestion::default()).await.unwrap();
        let found = people.iter().find(|person| person.user.id == user);
        found.is_some_and(|person| person.memberships.iter().any(|(at, _, state)| *at == org && state == "active"))
    }

    async fn invited(&self, org: OrgId, email: &str) -> String {
        invitations::invite(&self.cx, org, email, MEMBER, Propagate::Here).await.unwrap().1
    }
}

on_both_engines!(
    t24_the_last_admin_stays,
    a_group_change_keeps_the_last_admin,
    what_cannot_be_read_deactivates_nobody,
    other_people_do_not_exist,
    a_proved_domain_links,
    an_invitation_takes_over_what_waits,
    an_invitation_joins_two_accounts,
    nobody_invites_himself_into_more,
    a_leaver_loses_everything,
    a_suspension_belongs_to_who_made_it,
    removal_is_from_one_organisation,
    local_members_are_not_the_directorys,
    the_token_does_nothing_else,
    lists_have_filters_and_pages,
    the_account_follows_its_directory,
);

fn user(email: &str) -> Vec<u8> {
    json!({ "userName": email, "externalId": format!("ext-{email}"), "displayName": "Ann Example",
            "emails": [{ "value": email, "type": "work", "primary": true }], "active": true })
    .to_string()
    .into_bytes()
}

fn active(value: Value) -> Vec<u8> {
    json!({ "Operations": [{ "op": "Replace", "path": "active", "value": value }] }).to_string().into_bytes()
}

fn work_email(value: &str) -> Vec<u8> {
    let path = "emails[type eq \"work\"].value";
    json!({ "Operations": [{ "op": "replace", "path": path, "value": value }] }).to_string().into_bytes()
}

fn members(op: &str, ids: &[&str]) -> Vec<u8> {
    let value: Vec<Value> = ids.iter().map(|id| json!({ "value": id })).collect();
    json!({ "Operations": [{ "op": op, "path": "members", "value": value }] }).to_string().into_bytes()
}

fn id(value: &Value) -> String {
    value["id"].as_str().unwrap().to_owned()
}

fn told<T>(result: Result<T, ScimError>) -> (u16, Option<ScimType>) {
    let error = result.map(drop).unwrap_err();
    (error.status, error.kind)
}

fn asked(filter: &str) -> Asked {
    Asked { filter: filter.to_owned(), ..Asked::default() }
}

async fn t24_the_last_admin_stays(bench: Bench) {
    let (cx, boss) = bench.person(bench.red, "boss", Builtin::OrganizationAdmin).await;
    let directory = bench.directory(bench.red).await;
    let linked = id(&directory.create_user(&user("boss@example.com")).await.unwrap());
    assert_eq!(linked, boss.to_string(), "a member is linked, not made twice");
    assert_eq!(told(directory.patch_user(&linked, &active(json!("False"))).await), KEPT);
    let whole = json!({ "userName": "boss@example.com", "active": false }).to_string();
    assert_eq!(told(directory.replace_user(&linked, whole.as_bytes()).await), KEPT);
    assert_eq!(told(directory.delete_user(&linked).await), KEPT);
    assert!(bench.is_member(bench.red, boss).await && orgs::get(&cx, bench.red).await.is_ok(), "the user stays");
    assert_eq!(directory.user(&linked, &Asked::default()).await.unwrap()["active"], true);
    assert_eq!(bench.alerts(bench.red, "scim.last_admin_kept").await, 3);
    // With a second one he can go.
    bench.person(bench.red, "second", Builtin::OrganizationAdmin).await;
    assert_eq!(directory.patch_user(&linked, &active(json!(false))).await.unwrap()["active"], false);
    assert!(!bench.is_member(bench.red, boss).await);
}

async fn a_group_change_keeps_the_last_admin(bench: Bench) {
    let (_, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    let directory = bench.directory(bench.red).await;
    let linked = id(&directory.create_user(&user("ann@example.com")).await.unwrap());
    let group = id(&directory.create_group(br#"{"displayName":"Bosses"}"#).await.unwrap());
    bench.admin_group(bench.red, group.parse().unwrap()).await;
    directory.patch_group(&group, &members("add", &[&linked])).await.unwrap();
    let actor = app::sessions::actor_now(&bench.app, bench.cx.realm, ann).await.unwrap();
    let by_group = Cx { actor, ..bench.cx.clone() };
    assert!(by_group.may(Action::PolicyBind, bench.red).await, "the group gives it");
    assert_eq!(told(directory.patch_group(&group, &members("Remove", &[&linked])).await), KEPT);
    assert_eq!(told(directory.patch_group(&group, &members("replace", &[])).await), KEPT);
    assert_eq!(told(directory.delete_group(&group).await), KEPT);
    assert_eq!(told(directory.patch_user(&linked, &active(json!(false))).await), KEPT);
    let shown = directory.group(&group, &Asked::default()).await.unwrap();
    assert_eq!(shown["members"][0]["value"], linked.as_str());
    assert_eq!(bench.alerts(bench.red, "scim.last_admin_kept").await, 4);
    // Within one message only its end counts.
    let swap = json!({ "Operations": [
        { "op": "remove", "path": format!("members[value eq \"{linked}\"]") },
        { "op": "add", "path": "members", "value": [{ "value": linked }] },
    ] });
    assert!(directory.patch_group(&group, swap.to_string().as_bytes()).await.is_ok());
}

async fn what_cannot_be_read_deactivates_nobody(bench: Bench) {
    bench.person(bench.red, "ann", Builtin::Member).await;
    let directory = bench.directory(bench.red).await;
    let linked = id(&directory.create_user(&user("ann@example.com")).await.unwrap());
    let bad: [&[u8]; 6] = [
        br#"{"Operations":[{"op":"replace","path":"active","value":"maybe"}]}"#,
        br#"{"Operations":[{"op":"replace","path":"active"}]}"#,
        br#"{"Operations":[{"op":"remove","path":"active"}]}"#,
        br#"{"Operations":[{"op":"replace","value":{"user":{"active":false}}}]}"#,
        br#"{"Operations":[{"op":"deactivate","path":"active","value":false}]}"#,
        br#"{"Operations":[{"op":"replace","path":"ACTIVE","value":false}"#,
    ];
    for body in bad {
        let said = told(directory.patch_user(&linked, body).await);
        assert_eq!(said, (400, Some(ScimType::InvalidValue)), "{}", String::from_utf8_lossy(body));
    }
    let put = directory.replace_user(&linked, br#"{"userName":"ann@example.com","active":"no"}"#).await;
    assert_eq!(told(put), (400, Some(ScimType::InvalidValue)));
    assert_eq!(bench.alerts(bench.red, "scim.unreadable_deactivation").await, 7);
    assert_eq!(directory.user(&linked, &Asked::default()).await.unwrap()["active"], true);
    // What has nothing to do with it raises no alert.
    let other = br#"{"Operations":[{"op":"move","path":"displayName"}]}"#;
    assert_eq!(told(directory.patch_user(&linked, other).await), (400, Some(ScimType::InvalidSyntax)));
    assert_eq!(bench.alerts(bench.red, "scim.unreadable_deactivation").await, 7);
    assert!(audit::verify(&bench.cx).await.unwrap().is_ok());
}

/// The same answer but for ids, addresses and times.
fn shape(value: &Value) -> Value {
    let mut value = value.clone();
    for name in ["id", "userName", "externalId", "emails", "meta"] {
        value[name] = Value::Null;
    }
    value
}

async fn other_people_do_not_exist(bench: Bench) {
    let (_, eve) = bench.person(bench.blue, "eve", Builtin::Member).await;
    let directory = bench.directory(bench.red).await;
    let known = directory.create_user(&user("eve@example.com")).await.unwrap();
    let fresh = directory.create_user(&user("fresh@example.com")).await.unwrap();
    assert_eq!(shape(&known), shape(&fresh), "whether somebody is known elsewhere is not told");
    assert_ne!(id(&known), eve.to_string());
    assert!(!bench.is_member(bench.red, eve).await, "nobody is pulled in");
    let (theirs, nobody) = (eve.to_string(), UserId(12_345).to_string());
    for id in [&theirs, &nobody] {
        let error = directory.user(id, &Asked::default()).await.unwrap_err();
        assert_eq!((error.status, error.detail.as_str()), (404, "user not found"));
        assert_eq!(told(directory.patch_user(id, &active(json!(false))).await).0, 404);
        assert_eq!(told(directory.delete_user(id).await).0, 404);
    }
    // Members whom the directory did not link are none of its users.
    let (_, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    assert_eq!(told(directory.user(&ann.to_string(), &Asked::default()).await).0, 404);
    // A group elsewhere, and its members, neither.
    let group = groups::create(&bench.cx, bench.blue, "Blue group").await.unwrap().id.to_string();
    assert_eq!(told(directory.group(&group, &Asked::default()).await).0, 404);
    assert_eq!(told(directory.patch_group(&group, &members("add", &[&id(&fresh)])).await).0, 404);
    let own = id(&directory.create_group(br#"{"displayName":"Red group"}"#).await.unwrap());
    let added = directory.patch_group(&own, &members("add", &[&theirs])).await;
    assert_eq!(told(added), (400, Some(ScimType::InvalidValue)));
    // The account that waits takes nobody's address, and nobody signs in with it.
    assert!(sign_in(&bench.app, "fresh@example.com", "").await.is_err());
    assert!(people::add(&bench.cx, bench.blue, "fresh@example.com", "Fresh", MEMBER, Some(PASSWORD)).await.is_ok());
    assert_eq!(told(directory.create_user(&user("FRESH@example.com")).await), (409, Some(ScimType::Uniqueness)));
}

async fn a_proved_domain_links(bench: Bench) {
    let (_, eve) = bench.person(bench.blue, "eve", Builtin::Member).await;
    bench.claim(bench.red, "example.com");
    let directory = bench.directory(bench.red).await;
    assert_eq!(id(&directory.create_user(&user("Eve@Example.com")).await.unwrap()), eve.to_string());
    assert!(bench.is_member(bench.red, eve).await && bench.is_member(bench.blue, eve).await);
    // The account is not the directory's alone: only its own membership is suspended.
    let shown = directory.patch_user(&eve.to_string(), &active(json!(false))).await.unwrap();
    assert_eq!(shown["active"], false);
    assert!(!bench.is_member(bench.red, eve).await && bench.is_member(bench.blue, eve).await);
    assert!(sign_in(&bench.app, "eve@example.com", PASSWORD).await.is_ok());
    directory.patch_user(&eve.to_string(), &active(json!(true))).await.unwrap();
    assert!(bench.is_member(bench.red, eve).await);
    // Somebody new gets a whole account, without password.
    let new = id(&directory.create_user(&user("new@example.com")).await.unwrap());
    let again = people::add(&bench.cx, bench.blue, "new@example.com", "New", MEMBER, None).await;
    assert_eq!(again.unwrap_err().code, Some("user_exists_in_tree"));
    assert!(sign_in(&bench.app, "new@example.com", "").await.is_err());
    let secret = bench.invited(bench.red, "new@example.com").await;
    let (_, joined) = invitations::accept(&bench.app, &secret, joiner("New", PASSWORD)).await.unwrap();
    assert_eq!(joined.to_string(), new, "an invitation lets him in");
    assert!(sign_in(&bench.app, "new@example.com", PASSWORD).await.is_ok());
    // Who signs in by a provider has his account already: no invitation sets a password for it.
    let linked = id(&directory.create_user(&user("sso@example.com")).await.unwrap());
    know_by_provider(&bench, bench.red, linked.parse().unwrap()).await;
    let secret = bench.invited(bench.red, "sso@example.com").await;
    assert!(invitations::accept(&bench.app, &secret, joiner("Thief", PASSWORD)).await.is_err());
    // Not one of an organisation that the directory does not run.
    let other = id(&directory.create_user(&user("other@example.com")).await.unwrap());
    let secret = bench.invited(bench.blue, "other@example.com").await;
    assert!(invitations::accept(&bench.app, &secret, joiner("Thief", PASSWORD)).await.is_err());
    assert!(directory.user(&other, &Asked::default()).await.is_ok());
}

async fn know_by_provider(bench: &Bench, org: OrgId, user: UserId) {
    let store = Store::open(&bench.url).await.unwrap();
    let mut tx = store.write(&access::decide_job(bench.cx.realm, org)).await.unwrap();
    let idp = store::idps::Idp {
        id: base::IdpId(7),
        org,
        name: "P".into(),
        issuer: "https://p.example".into(),
        client_id: "c".into(),
        secret_sealed: String::new(),
        settings: store::idps::Settings::default(),
        state: "active".into(),
        created_us: 1,
        set_us: 0,
    };
    store::idps::put(&mut tx, &idp).await.unwrap();
    store::idps::add_identity(&mut tx, idp.id, "sub", user, 1).await.unwrap();
    tx.commit().await.unwrap();
}

async fn an_invitation_takes_over_what_waits(bench: Bench) {
    let directory = bench.directory(bench.red).await;
    let waits = id(&directory.create_user(&user("ann@example.com")).await.unwrap());
    let group = id(&directory.create_group(br#"{"displayName":"Team"}"#).await.unwrap());
    directory.patch_group(&group, &members("add", &[&waits])).await.unwrap();
    let secret = bench.invited(bench.red, "ann@example.com").await;
    let (_, ann) = invitations::accept(&bench.app, &secret, joiner("Ann", PASSWORD)).await.unwrap();
    assert_eq!(ann.to_string(), waits);
    assert!(sign_in(&bench.app, "ann@example.com", PASSWORD).await.is_ok());
    let shown = directory.user(&waits, &Asked::default()).await.unwrap();
    assert_eq!((&shown["active"], &shown["groups"][0]["display"]), (&json!(true), &json!("Team")));
    // Whom the directory has switched off gets in by no invitation.
    let off = id(&directory.create_user(&user("off@example.com")).await.unwrap());
    directory.patch_user(&off, &active(json!(false))).await.unwrap();
    let secret = bench.invited(bench.red, "off@example.com").await;
    let refused = invitations::accept(&bench.app, &secret, joiner("Off", PASSWORD)).await;
    assert_eq!(refused.unwrap_err().kind, Kind::Conflict);
}

async fn an_invitation_joins_two_accounts(bench: Bench) {
    let (_, eve) = bench.person(bench.blue, "eve", Builtin::Member).await;
    let directory = bench.directory(bench.red).await;
    let known_as = id(&directory.create_user(&user("eve@example.com")).await.unwrap());
    let group = id(&directory.create_group(br#"{"displayName":"Team"}"#).await.unwrap());
    directory.patch_group(&group, &members("add", &[&known_as])).await.unwrap();
    let secret = bench.invited(bench.red, "eve@example.com").await;
    assert!(invitations::accept(&bench.app, &secret, joiner("Eve", "another long phrase")).await.is_err());
    let (_, joined) = invitations::accept(&bench.app, &secret, joiner("Eve", PASSWORD)).await.unwrap();
    assert_eq!(joined, eve, "she keeps her one account");
    let shown = directory.user(&known_as, &Asked::default()).await.unwrap();
    assert_eq!(shown["id"], known_as.as_str(), "the directory keeps its id");
    let shown = directory.group(&group, &Asked::default()).await.unwrap();
    assert_eq!(shown["members"][0]["value"], known_as.as_str());
    directory.patch_user(&known_as, &active(json!(false))).await.unwrap();
    assert!(!bench.is_member(bench.red, eve).await, "it is her membership now");
    assert!(bench.is_member(bench.blue, eve).await);
}

async fn nobody_invites_himself_into_more(bench: Bench) {
    bench.person(bench.red, "boss", Builtin::OrganizationAdmin).await;
    let (head, _) = bench.person(bench.red, "head", Builtin::DepartmentHead).await;
    let directory = bench.directory(bench.red).await;
    let waits = id(&directory.create_user(&user("ann@example.com")).await.unwrap());
    let group = id(&directory.create_group(br#"{"displayName":"Bosses"}"#).await.unwrap());
    bench.admin_group(bench.red, group.parse().unwrap()).await;
    directory.patch_group(&group, &members("add", &[&waits])).await.unwrap();
    let (_, secret) = invitations::invite(&head, bench.red, "ann@example.com", MEMBER, Propagate::Here).await.unwrap();
    let refused = invitations::accept(&bench.app, &secret, joiner("Head", PASSWORD)).await;
    assert_eq!(refused.unwrap_err().kind, Kind::Forbidden, "he could not give what the account holds");
}

async fn a_leaver_loses_everything(bench: Bench) {
    bench.claim(bench.red, "example.com");
    let directory = bench.directory(bench.red).await;
    let (_, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    let linked = id(&directory.create_user(&user("ann@example.com")).await.unwrap());
    for removal in [false, true] {
        let (cookie, signed_in) = sign_in(&bench.app, "ann@example.com", PASSWORD).await.unwrap();
        let new = NewToken { scope_org: Some(bench.red), ..NewToken::whole("t", 30) };
        let (_, text) = tokens::create(&signed_in.cx, new).await.unwrap();
        let (key, _) = keys::create(&bench.cx, bench.red, ann, "k").await.unwrap();
        let nobody = Client::default();
        assert!(by_session(&bench.app, &cookie, &nobody).await.is_ok());
        assert!(by_token(&bench.app, &text, &nobody).await.is_ok());
        assert!(s3_session::key_holder(&bench.app, &key.key_id).await.unwrap().is_some());
        if removal {
            directory.delete_user(&linked).await.unwrap();
        } else {
            directory.patch_user(&linked, &active(json!(false))).await.unwrap();
        }
        // At once: no clock was moved.
        assert!(by_session(&bench.app, &cookie, &nobody).await.is_err());
        assert!(by_token(&bench.app, &text, &nobody).await.is_err());
        assert!(s3_session::key_holder(&bench.app, &key.key_id).await.unwrap().is_none());
        assert_eq!(sign_in(&bench.app, "ann@example.com", PASSWORD).await.is_ok(), removal, "the person stays");
        if !removal {
            directory.patch_user(&linked, &active(json!(true))).await.unwrap();
            assert!(by_token(&bench.app, &text, &nobody).await.is_ok(), "a suspended token comes back");
            assert!(by_session(&bench.app, &cookie, &nobody).await.is_err(), "a session does not");
        }
    }
    assert_eq!(id(&directory.create_user(&user("ann@example.com")).await.unwrap()), linked, "and is linked anew");
    let filter = AuditFilter { action: "membership.suspend".into(), ..AuditFilter::default() };
    let noted = audit::list(&bench.cx, bench.red, 0, &filter, 10).await.unwrap();
    assert!(noted[0].context_json.contains("\"token\""), "the token is named: {}", noted[0].context_json);
}

async fn a_suspension_belongs_to_who_made_it(bench: Bench) {
    bench.claim(bench.red, "example.com");
    let directory = bench.directory(bench.red).await;
    let ann = id(&directory.create_user(&user("ann@example.com")).await.unwrap());
    people::set_suspended(&bench.cx, ann.parse().unwrap(), true).await.unwrap();
    let shown = directory.patch_user(&ann, &active(json!(true))).await.unwrap();
    assert_eq!(shown["active"], false, "what an admin suspended stays, and the answer says so");
    people::set_suspended(&bench.cx, ann.parse().unwrap(), false).await.unwrap();
    people::set_membership_suspended(&bench.cx, bench.red, ann.parse().unwrap(), true).await.unwrap();
    directory.patch_user(&ann, &active(json!(false))).await.unwrap();
    let shown = directory.patch_user(&ann, &active(json!(true))).await.unwrap();
    assert_eq!(shown["active"], false);
    people::set_membership_suspended(&bench.cx, bench.red, ann.parse().unwrap(), false).await.unwrap();
    assert_eq!(directory.user(&ann, &Asked::default()).await.unwrap()["active"], true);
    let off = json!({ "userName": "off@example.com", "active": "False" }).to_string();
    assert_eq!(directory.create_user(off.as_bytes()).await.unwrap()["active"], false);
}

async fn removal_is_from_one_organisation(bench: Bench) {
    let directory = bench.directory(bench.customer).await;
    let (_, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    let linked = id(&directory.create_user(&user("ann@example.com")).await.unwrap());
    assert_eq!(linked, ann.to_string(), "a member below is seen");
    assert!(bench.is_member(bench.customer, ann).await);
    directory.delete_user(&linked).await.unwrap();
    assert!(!bench.is_member(bench.customer, ann).await && bench.is_member(bench.red, ann).await);
    assert_eq!(told(directory.user(&linked, &Asked::default()).await).0, 404);
    assert_eq!(told(directory.delete_user(&linked).await).0, 404);
    // Taken out by hand, he is unknown to the directory as well.
    let again = id(&directory.create_user(&user("ann@example.com")).await.unwrap());
    people::remove(&bench.cx, bench.customer, ann).await.unwrap();
    assert_eq!(told(directory.user(&again, &Asked::default()).await).0, 404);
}

async fn local_members_are_not_the_directorys(bench: Bench) {
    let directory = bench.directory(bench.red).await;
    let (_, ann) = bench.person(bench.red, "ann", Builtin::Member).await;
    bench.person(bench.red, "bob", Builtin::Member).await;
    let group = groups::create(&bench.cx, bench.red, "By hand").await.unwrap().id;
    groups::add_member(&bench.cx, bench.red, group, ann).await.unwrap();
    let ids = [
        id(&directory.create_user(&user("ann@example.com")).await.unwrap()),
        id(&directory.create_user(&user("bob@example.com")).await.unwrap()),
    ];
    let name = group.to_string();
    let shown = directory.patch_group(&name, &members("add", &[&ids[0], &ids[1]])).await.unwrap();
    assert_eq!(shown["members"].as_array().unwrap().len(), 1, "Ann is there by hand");
    directory.patch_group(&name, &members("remove", &[&ids[0], &ids[1]])).await.unwrap();
    directory.patch_group(&name, &members("replace", &[])).await.unwrap();
    let left = groups::list(&bench.cx, bench.red).await.unwrap();
    assert_eq!(left[0].members.iter().map(|member| member.0).collect::<Vec<_>>(), [ann]);
    let renamed = directory.replace_group(&name, br#"{"displayName":"Taken over"}"#).await;
    assert_eq!(told(renamed), KEPT);
    assert_eq!(told(directory.delete_group(&name).await), KEPT);
    let same = directory.create_group(br#"{"displayName":"BY HAND"}"#).await;
    assert_eq!(told(same), (409, Some(ScimType::Uniqueness)));
}

async fn the_token_does_nothing_else(bench: Bench) {
    let (editor, _) = bench.person(bench.red, "editor", Builtin::OrganizationEditor).await;
    let (member, _) = bench.person(bench.red, "member", Builtin::Member).await;
    for cx in [&editor, &member] {
        let made = scim::create_token(cx, bench.red, "Mine", 30).await;
        assert_eq!(made.unwrap_err().kind, Kind::Forbidden, "groups give more than he holds");
    }
    let (boss, _) = bench.person(bench.red, "boss", Builtin::OrganizationAdmin).await;
    let (token, text) = scim::create_token(&boss, bench.red, "Entra", 30).await.unwrap();
    assert!(text.starts_with("mh_scim_") && tokens::is_well_formed(&text));
    let found = by_token(&bench.app, &text, &Client::default()).await.unwrap().cx;
    assert!(found.may(Action::ScimProvision, bench.red).await);
    for org in [bench.red, bench.blue, bench.customer] {
        assert!(!found.may(Action::UserRead, org).await && !found.may(Action::PolicyBind, org).await);
    }
    assert!(!found.may(Action::ScimProvision, bench.blue).await);
    assert!(!found.may(Action::ScimProvision, bench.customer).await);
    assert!(Directory::of(boss.clone(), BASE.to_owned()).is_err(), "a person is no directory");
    let (_, own) = tokens::create(&boss, NewToken::whole("all", 1)).await.unwrap();
    let by = by_token(&bench.app, &own, &Client::default()).await.unwrap().cx;
    assert_eq!(told(Directory::of(by, BASE.to_owned())).0, 403);
    let listed = tokens::list(&bench.cx, bench.red).await.unwrap();
    assert!(listed.iter().any(|found| found.id == token.id && found.kind == "scim"));
    tokens::revoke(&boss, bench.red, token.id).await.unwrap();
    assert!(by_token(&bench.app, &text, &Client::default()).await.is_err());
    // Taking the service out of the organisation ends all its tokens.
    let (token, text) = scim::create_token(&boss, bench.red, "Entra", 30).await.unwrap();
    people::remove(&bench.cx, bench.red, token.user).await.unwrap();
    assert!(by_token(&bench.app, &text, &Client::default()).await.is_err());
}

async fn lists_have_filters_and_pages(bench: Bench) {
    let directory = bench.directory(bench.red).await;
    for name in ["ann", "bob", "cid", "dan", "eve"] {
        directory.create_user(&user(&format!("{name}@example.com"))).await.unwrap();
    }
    let check = async |filter: &str, total: usize| {
        let found = directory.users(&asked(filter)).await.unwrap();
        assert_eq!(found["totalResults"], total, "{filter}");
    };
    check("", 5).await;
    check(r#"userName eq "BOB@example.com""#, 1).await;
    check(r#"userName eq "nobody@example.com""#, 0).await;
    check(r#"externalId eq "ext-cid@example.com""#, 1).await;
    check(r#"emails[type eq "work"].value eq "dan@example.com""#, 1).await;
    check(r#"userName sw "e" and active eq true"#, 1).await;
    let page = Asked { start_index: Some("4".into()), count: Some("3".into()), ..Asked::default() };
    let found = directory.users(&page).await.unwrap();
    let shown = (&found["totalResults"], &found["itemsPerPage"], &found["startIndex"]);
    assert_eq!(shown, (&json!(5), &json!(2), &json!(4)));
    let bad = directory.users(&asked(r#"userName ne "x""#)).await;
    assert_eq!(told(bad), (400, Some(ScimType::InvalidFilter)));
    for name in ["A", "B"] {
        let body = json!({ "displayName": name, "externalId": format!("g-{name}") }).to_string();
        directory.create_group(body.as_bytes()).await.unwrap();
    }
    let found = directory.groups(&asked(r#"displayName eq "b""#)).await.unwrap();
    assert_eq!((&found["totalResults"], &found["Resources"][0]["externalId"]), (&json!(1), &json!("g-B")));
}

async fn the_account_follows_its_directory(bench: Bench) {
    bench.claim(bench.red, "example.com");
    let directory = bench.directory(bench.red).await;
    let ann = id(&directory.create_user(&user("ann@example.com")).await.unwrap());
    let named = async |user: &str| {
        let people = people::list(&bench.cx, bench.cx.realm.root(), &PeopleQuestion::default()).await.unwrap();
        let found = people.into_iter().find(|person| person.user.id.to_string() == user).unwrap().user;
        (found.display_name, found.email)
    };
    let marry = json!({ "Operations": [
        { "op": "replace", "path": "displayName", "value": "Ann Other" },
        { "op": "replace", "path": "userName", "value": "ann.other@example.com" },
        { "op": "replace", "path": "emails[type eq \"work\"].value", "value": "ann.other@example.com" },
    ] });
    directory.patch_user(&ann, marry.to_string().as_bytes()).await.unwrap();
    assert_eq!(named(&ann).await, ("Ann Other".into(), "ann.other@example.com".into()));
    // Out of the proved domain the account does not follow.
    let shown = directory.patch_user(&ann, &work_email("admin@elsewhere.example")).await.unwrap();
    assert_eq!(shown["emails"][0]["value"], "admin@elsewhere.example");
    assert_eq!(named(&ann).await.1, "ann.other@example.com");
    // And whoever accepts an invitation to that address gets an account of his own.
    let secret = bench.invited(bench.red, "admin@elsewhere.example").await;
    let (_, other) = invitations::accept(&bench.app, &secret, joiner("Other", PASSWORD)).await.unwrap();
    assert_ne!(other.to_string(), ann);
    // An address of somebody else is taken.
    let (_, eve) = bench.person(bench.blue, "eve", Builtin::Member).await;
    let taken = directory.patch_user(&ann, &work_email("eve@example.com")).await;
    assert_eq!(told(taken), (409, Some(ScimType::Uniqueness)));
    // Whoever belongs elsewhere too keeps his own name.
    directory.create_user(&user("eve@example.com")).await.unwrap();
    assert_eq!(named(&eve.to_string()).await.0, "eve");
}
