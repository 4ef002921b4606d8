//! SCIM: payloads as Okta and Entra send them, filters, lists.

use identity::scim::{
    Attribute, Email, EmailPick, Filter, Group, GroupChange, NewGroup, NewUser, Page, Projection, Reference, ScimError,
    ScimType, User, UserChange, list_response, read_group_patch, read_user_patch, resource_types, schemas,
    service_provider_config,
};
use serde_json::{Value, json};

fn email(value: &str, kind: &str, primary: bool) -> Email {
    Email { value: value.into(), kind: Some(kind.into()).filter(|kind: &String| !kind.is_empty()), primary }
}

fn user() -> User {
    User {
        id: "usr_1".into(),
        user_name: "Ann@Example.com".into(),
        external_id: Some("00u1Ab".into()),
        display_name: Some("Ann".into()),
        emails: vec![email("ann@example.com", "work", true), email("ann@home.example", "home", false)],
        active: true,
        modified_us: 1_800_000_000_000_000,
        ..User::default()
    }
}

fn patch(operations: Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": operations })
}

fn changes(operations: Value) -> Result<Vec<UserChange>, ScimError> {
    read_user_patch(patch(operations).to_string().as_bytes())
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

#[test]
fn deactivation_in_all_its_forms() {
    let check = |operation: Value, want: bool| {
        assert_eq!(changes(json!([operation.clone()])), Ok(vec![UserChange::Active(want)]), "{operation}");
    };
    // Okta
    check(json!({ "op": "replace", "value": { "active": false } }), false);
    check(json!({ "op": "replace", "value": { "active": true } }), true);
    // Entra
    check(json!({ "op": "Replace", "path": "active", "value": "False" }), false);
    check(json!({ "op": "Replace", "path": "active", "value": "True" }), true);
    check(json!({ "op": "Add", "path": "active", "value": "true" }), true);
    check(json!({ "op": "replace", "path": "active", "value": false }), false);
    // others
    check(json!({ "op": "REPLACE", "path": "Active", "value": "FALSE" }), false);
    check(json!({ "OP": "replace", "Path": "active", "Value": false }), false);
    check(json!({ "op": "replace", "value": { "ACTIVE": "false" } }), false);
    check(json!({ "op": "replace", "path": "", "value": { "active": false } }), false);
    check(json!({ "op": "replace", "path": null, "value": { "active": false } }), false);
    check(json!({ "op": "replace", "path": " active ", "value": false }), false);
    check(
        json!({ "op": "replace", "path": "urn:ietf:params:scim:schemas:core:2.0:User:active", "value": false }),
        false,
    );
    check(json!({ "op": "replace", "value": { "urn:ietf:params:scim:schemas:core:2.0:User:active": false } }), false);
    check(
        json!({ "op": "replace", "value": { "urn:ietf:params:scim:schemas:core:2.0:User": { "active": false } } }),
        false,
    );
    check(json!({ "op": "replace", "value": { "id": "1", "schemas": [], "active": false, "unknown": {} } }), false);
}

/// Whatever touches `active` and is not understood is an error with status 400, never success.
#[test]
fn deactivation_that_cannot_be_read() {
    for operation in [
        json!({ "op": "replace", "path": "active", "value": "no" }),
        json!({ "op": "replace", "path": "active", "value": "" }),
        json!({ "op": "replace", "path": "active", "value": 0 }),
        json!({ "op": "replace", "path": "active", "value": null }),
        json!({ "op": "replace", "path": "active" }),
        json!({ "op": "replace", "path": "active", "value": [false] }),
        json!({ "op": "replace", "path": "active", "value": { "value": false } }),
        json!({ "op": "replace", "path": "active.value", "value": false }),
        json!({ "op": "replace", "path": "active[value eq true]", "value": false }),
        json!({ "op": "remove", "path": "active" }),
        json!({ "op": "Remove", "path": "active", "value": "False" }),
        json!({ "op": "replace", "value": { "active": "inactive" } }),
        json!({ "op": "replace", "value": { "active": null } }),
        json!({ "op": "replace", "value": { "active": true, "Active": false } }),
        json!({ "op": "replace", "value": { "active": true, "urn:ietf:params:scim:schemas:core:2.0:User:active": false } }),
        json!({ "op": "replace", "value": { "active.value": false } }),
        json!({ "op": "replace", "value": { "urn:other:User": { "active": false } } }),
        json!({ "op": "replace", "path": "urn:other:User", "value": { "active": false } }),
        json!({ "op": "replace", "path": "urn:other:User:active", "value": false }),
        json!({ "op": "replace", "path": "/active", "value": false }),
        json!({ "op": "replace", "path": "$.active", "value": false }),
        json!({ "op": "replace", "path": "user.active", "value": false }),
        json!({ "op": "replace", "path": "user", "value": { "Active": false } }),
        json!({ "op": "replace", "value": { "user": { "active": false } } }),
        json!({ "op": "replace", "path": "active false" }),
        json!({ "op": "replace", "value": "active" }),
        json!({ "op": "replace", "value": [{ "active": false }] }),
        json!({ "op": "replace" }),
        json!({ "op": "set", "path": "active", "value": false }),
        json!({ "path": "active", "value": false }),
        json!({ "op": "remove", "value": { "active": false } }),
        json!("active"),
    ] {
        let error = changes(json!([operation.clone()])).expect_err(&operation.to_string());
        assert_eq!(error.status, 400, "{operation}");
        assert!(error.kind.is_some(), "{operation}");
        // A good neighbour does not help.
        let good = json!({ "op": "replace", "path": "displayName", "value": "x" });
        assert!(changes(json!([good, operation])).is_err());
    }
    for body in ["{}", "[]", "", r#"{"Operations":[]}"#, r#"{"Operations":{"op":"replace"}}"#, r#"{"active":false}"#] {
        assert_eq!(read_user_patch(body.as_bytes()).unwrap_err().status, 400, "{body}");
    }
    let error = changes(json!([{ "op": "replace", "path": "active", "value": "no" }])).unwrap_err();
    assert_eq!(error.kind, Some(ScimType::InvalidValue));
    assert_eq!(error.detail, r#"active "\"no\"" is neither true nor false"#);
}

/// Entra: documented requests of its provisioning service.
#[test]
fn changes_as_entra_sends_them() {
    let got = changes(json!([
        { "op": "Add", "path": "nickName", "value": "Babs" },
        { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "updated@example.com" },
        { "op": "Replace", "path": "name.familyName", "value": "Updated" },
        { "op": "Add", "path": "name.givenName", "value": "Ann" },
        { "op": "Replace", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department", "value": "Sales" },
        { "op": "Add", "path": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:manager", "value": "usr_2" },
        { "op": "Remove", "path": "phoneNumbers[type eq \"fax\"].value" },
        { "op": "Replace", "path": "userName", "value": "new@example.com" },
        { "op": "Remove", "path": "displayName" },
        { "op": "Add", "path": "externalId", "value": "f1" },
    ]));
    assert_eq!(
        got.unwrap(),
        [
            UserChange::SetEmail(EmailPick::Kind("work".into()), "updated@example.com".into()),
            UserChange::FamilyName(some("Updated")),
            UserChange::GivenName(some("Ann")),
            UserChange::UserName("new@example.com".into()),
            UserChange::DisplayName(None),
            UserChange::ExternalId(some("f1")),
        ]
    );
    // Everything in one value, with paths as names.
    let got = changes(json!([{ "op": "replace", "value": {
        "displayName": "Bjfe", "name.givenName": "Kim", "emails[type eq \"work\"].value": "kim@example.com",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department": "Sales",
    } }]));
    assert_eq!(
        got.unwrap(),
        [
            UserChange::DisplayName(some("Bjfe")),
            UserChange::SetEmail(EmailPick::Kind("work".into()), "kim@example.com".into()),
            UserChange::GivenName(some("Kim")),
        ]
    );
}

/// Okta: profile push in one value.
#[test]
fn changes_as_okta_sends_them() {
    let got = changes(json!([{ "op": "replace", "value": {
        "id": "usr_1", "userName": "ann@example.com", "name": { "givenName": "Ann", "familyName": "" },
        "emails": [{ "primary": true, "value": "ann@example.com", "type": "work", "display": "x" }],
        "groups": [], "locale": "en-US", "password": "secret",
        "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "x" },
    } }]));
    assert_eq!(
        got.unwrap(),
        [
            UserChange::Emails(vec![email("ann@example.com", "work", true)]),
            UserChange::FamilyName(None),
            UserChange::GivenName(some("Ann")),
            UserChange::UserName("ann@example.com".into()),
        ]
    );
}

#[test]
fn changes_of_addresses_and_names() {
    let check = |operation: Value, want: Vec<UserChange>| {
        assert_eq!(changes(json!([operation.clone()])), Ok(want), "{operation}")
    };
    let kind = |kind: &str| EmailPick::Kind(kind.into());
    check(
        json!({ "op": "add", "path": "emails", "value": [{ "value": "a@b.c", "type": "Home", "primary": "True" }] }),
        vec![UserChange::AddEmails(vec![email("a@b.c", "home", true)])],
    );
    check(
        json!({ "op": "replace", "path": "emails", "value": "a@b.c" }),
        vec![UserChange::Emails(vec![email("a@b.c", "", false)])],
    );
    check(
        json!({ "op": "replace", "path": "emails.value", "value": "a@b.c" }),
        vec![UserChange::SetEmail(EmailPick::Primary, "a@b.c".into())],
    );
    check(
        json!({ "op": "replace", "path": "emails[primary eq true].value", "value": "a@b.c" }),
        vec![UserChange::SetEmail(EmailPick::Primary, "a@b.c".into())],
    );
    check(
        json!({ "op": "replace", "path": "emails[type eq \"work\"]", "value": { "value": "a@b.c" } }),
        vec![UserChange::SetEmail(kind("work"), "a@b.c".into())],
    );
    check(json!({ "op": "remove", "path": "emails[type eq \"work\"]" }), vec![UserChange::RemoveEmails(kind("work"))]);
    check(
        json!({ "op": "remove", "path": "emails[type eq \"work\"].value" }),
        vec![UserChange::RemoveEmails(kind("work"))],
    );
    check(json!({ "op": "remove", "path": "emails" }), vec![UserChange::RemoveEmails(EmailPick::All)]);
    check(
        json!({ "op": "remove", "path": "emails", "value": [{ "value": "a@b.c" }, { "value": "d@e.f" }] }),
        vec![UserChange::RemoveEmails(EmailPick::Values(vec!["a@b.c".into(), "d@e.f".into()]))],
    );
    check(json!({ "op": "replace", "path": "emails[type eq \"work\"].display", "value": "x" }), vec![]);
    check(
        json!({ "op": "remove", "path": "name" }),
        vec![UserChange::FormattedName(None), UserChange::GivenName(None), UserChange::FamilyName(None)],
    );
    check(
        json!({ "op": "replace", "path": "name", "value": { "formatted": "Ann" } }),
        vec![UserChange::FormattedName(some("Ann"))],
    );
    for wrong in [
        json!({ "op": "replace", "path": "emails[type co \"w\"].value", "value": "a@b.c" }),
        json!({ "op": "replace", "path": "emails[type eq \"work\"", "value": "a@b.c" }),
        json!({ "op": "replace", "path": "emails[type eq work].value", "value": "a@b.c" }),
        json!({ "op": "replace", "path": "emails[].value", "value": "a@b.c" }),
        json!({ "op": "replace", "path": "emails", "value": 5 }),
        json!({ "op": "replace", "path": "userName", "value": "" }),
        json!({ "op": "remove", "path": "userName" }),
        json!({ "op": "replace", "path": "displayName", "value": ["x"] }),
        json!({ "op": "replace", "path": "displayName", "value": "a\u{0}b" }),
        json!({ "op": "replace", "path": "displayName", "value": "x".repeat(1_025) }),
        json!({ "op": "replace", "path": "name", "value": "Ann" }),
        json!({ "op": "replace", "path": 5, "value": "x" }),
    ] {
        assert_eq!(changes(json!([wrong.clone()])).map_err(|error| error.status), Err(400), "{wrong}");
    }
}

#[test]
fn changes_are_made() {
    let mut ann = user();
    ann.apply(&[
        UserChange::Active(false),
        UserChange::SetEmail(EmailPick::Kind("work".into()), "new@example.com".into()),
        UserChange::SetEmail(EmailPick::Kind("other".into()), "other@example.com".into()),
        UserChange::AddEmails(vec![email("ANN@home.example", "home", true)]),
    ]);
    assert!(!ann.active);
    let want = [
        email("new@example.com", "work", false),
        email("ANN@home.example", "home", true),
        email("other@example.com", "other", false),
    ];
    assert_eq!(ann.emails, want);
    ann.apply(&[UserChange::RemoveEmails(EmailPick::Primary), UserChange::DisplayName(None)]);
    assert_eq!((ann.emails.len(), ann.display_name.as_ref()), (2, None));
}

#[test]
fn changes_of_groups() {
    let read = |operation: &Value| read_group_patch(patch(json!([operation])).to_string().as_bytes());
    let check = |operation: Value, want: &[GroupChange]| assert_eq!(read(&operation).unwrap(), want, "{operation}");
    let ids = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>();
    // Entra
    check(
        json!({ "op": "Add", "path": "members", "value": [{ "$ref": null, "value": "usr_1" }] }),
        &[GroupChange::AddMembers(ids(&["usr_1"]))],
    );
    check(
        json!({ "op": "Remove", "path": "members", "value": [{ "$ref": null, "value": "usr_1" }] }),
        &[GroupChange::RemoveMembers(ids(&["usr_1"]))],
    );
    check(
        json!({ "op": "Remove", "path": "members[value eq \"usr_1\"]" }),
        &[GroupChange::RemoveMembers(ids(&["usr_1"]))],
    );
    check(
        json!({ "op": "Replace", "path": "displayName", "value": "Staff" }),
        &[GroupChange::DisplayName("Staff".into())],
    );
    // Okta
    check(
        json!({ "op": "replace", "value": { "id": "grp_1", "displayName": "Staff" } }),
        &[GroupChange::DisplayName("Staff".into())],
    );
    check(
        json!({ "op": "add", "path": "members", "value": [{ "value": "usr_1", "display": "ann" }, { "value": "usr_2" }, { "value": "usr_1" }] }),
        &[GroupChange::AddMembers(ids(&["usr_1", "usr_2"]))],
    );
    check(
        json!({ "op": "remove", "path": "members[value eq \"usr_2\"]" }),
        &[GroupChange::RemoveMembers(ids(&["usr_2"]))],
    );
    check(
        json!({ "op": "replace", "path": "members", "value": [{ "value": "usr_1" }] }),
        &[GroupChange::ReplaceMembers(ids(&["usr_1"]))],
    );
    // others
    check(json!({ "op": "remove", "path": "members" }), &[GroupChange::ReplaceMembers(vec![])]);
    check(json!({ "op": "remove", "path": "members", "value": [] }), &[GroupChange::RemoveMembers(vec![])]);
    check(json!({ "op": "replace", "path": "members", "value": [] }), &[GroupChange::ReplaceMembers(vec![])]);
    check(
        json!({ "op": "add", "path": "members", "value": { "value": "usr_1" } }),
        &[GroupChange::AddMembers(ids(&["usr_1"]))],
    );
    check(
        json!({ "op": "add", "value": { "members": [{ "value": "usr_1" }], "externalId": "e" } }),
        &[GroupChange::ExternalId(some("e")), GroupChange::AddMembers(ids(&["usr_1"]))],
    );
    check(json!({ "op": "replace", "path": "description", "value": "x" }), &[]);
    for wrong in [
        json!({ "op": "add", "path": "members" }),
        json!({ "op": "add", "path": "members", "value": [{ "display": "ann" }] }),
        json!({ "op": "add", "path": "members", "value": [{ "value": "grp_2", "type": "Group" }] }),
        json!({ "op": "add", "path": "members", "value": [5] }),
        json!({ "op": "replace", "path": "members", "value": null }),
        json!({ "op": "remove", "path": "members[display eq \"ann\"]" }),
        json!({ "op": "remove", "path": "members[value eq \"a\" or value eq \"b\"]" }),
        json!({ "op": "remove", "path": "members[value eq \"a\" and value eq \"b\"]" }),
        json!({ "op": "remove", "path": "displayName" }),
        json!({ "op": "remove" }),
    ] {
        assert_eq!(read(&wrong).map_err(|error| error.status), Err(400), "{wrong}");
    }
    let many: Vec<Value> = (0..10_001).map(|no| json!({ "value": no.to_string() })).collect();
    let error = read(&json!({ "op": "add", "path": "members", "value": many })).unwrap_err();
    assert_eq!((error.status, error.kind), (413, Some(ScimType::TooMany)));
}

#[test]
fn bodies_of_users() {
    let read = |body: &Value| NewUser::read(body.to_string().as_bytes());
    // Entra's POST.
    let got = read(&json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User", "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"],
        "externalId": "0a21f0f2", "userName": "Test_User@example.com", "active": true,
        "emails": [{ "primary": true, "type": "work", "value": "Test@example.com" }],
        "meta": { "resourceType": "User" }, "name": { "formatted": "given family", "familyName": "family", "givenName": "given" },
        "roles": [], "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User": { "department": "x" },
    }))
    .unwrap();
    assert_eq!(
        (got.user_name.as_str(), got.active, got.main_email()),
        ("Test_User@example.com", Some(true), Some("Test@example.com"))
    );
    assert_eq!(got.name.given.as_deref(), Some("given"));
    let got = read(&json!({ "USERNAME": "ann@example.com", "displayName": null, "emails": null })).unwrap();
    assert_eq!((got.active, got.main_email(), &got.display_name), (None, Some("ann@example.com"), &None));
    for wrong in [
        json!({}),
        json!({ "userName": "" }),
        json!({ "userName": 5 }),
        json!({ "userName": "a", "active": "maybe" }),
        json!({ "userName": "a", "active": null }),
        json!({ "userName": "a", "username": "b" }),
        json!({ "userName": "a", "active": true, "Active": false }),
        json!({ "userName": "a", "emails": [5] }),
        json!({ "userName": "a", "emails": vec![json!("a@b.c"); 21] }),
        json!({ "userName": "a", "name": "Ann" }),
        json!(["userName"]),
    ] {
        assert_eq!(read(&wrong).map_err(|error| error.status), Err(400), "{wrong}");
    }
    assert!(NewUser::read(&vec![b' '; 1024 * 1024 + 1]).is_err());
    assert!(NewUser::read("[".repeat(100_000).as_bytes()).is_err());
}

#[test]
fn bodies_of_groups() {
    let read = |body: Value| NewGroup::read(body.to_string().as_bytes());
    let got = read(json!({ "displayName": "Staff", "members": [{ "value": "usr_1" }], "externalId": "e" })).unwrap();
    assert_eq!((got.display_name.as_str(), got.members), ("Staff", Some(vec!["usr_1".to_owned()])));
    assert_eq!(read(json!({ "displayName": "Staff" })).unwrap().members, None);
    assert!(read(json!({ "members": [] })).is_err());
    assert!(read(json!({ "displayName": "Staff", "members": [{}] })).is_err());
}

#[test]
fn filters_of_users() {
    let check =
        |filter: &str, want: bool| assert_eq!(Filter::read(filter).unwrap().matches_user(&user()), want, "{filter}");
    check("", true);
    check(r#"userName eq "ann@example.com""#, true);
    check(r#"USERNAME EQ "ANN@EXAMPLE.COM""#, true);
    check(r#"userName eq "bob@example.com""#, false);
    check(r#"urn:ietf:params:scim:schemas:core:2.0:User:userName eq "ann@example.com""#, true);
    check(r#"externalId eq "00u1Ab""#, true);
    check(r#"externalId eq "00U1AB""#, false); // exact case
    check(r#"id eq "usr_1""#, true);
    check(r#"emails.value eq "ann@home.example""#, true);
    check(r#"emails eq "ann@home.example""#, true);
    check(r#"emails[type eq "work"].value eq "ann@home.example""#, false);
    check(r#"emails[type eq "work"].value eq "ann@example.com""#, true);
    check(r#"displayName sw "A""#, true);
    check(r#"displayName co "x""#, false);
    check("active eq true", true);
    check(r#"active eq "True""#, true);
    check("active eq false", false);
    check("externalId pr", true);
    check("members.value pr", false);
    check(r#"userName sw "ann" and active eq true and emails pr"#, true);
    check(r#"userName sw "ann" AND active eq false"#, false);
    check(r#"displayName eq "say \"hi\" (and) [x]""#, false);
    check(r#"meta.lastModified gt "2027-01-15T07:59:59Z""#, true);
    check(r#"meta.lastModified gt "2027-01-15T08:00:00Z""#, false);
    check(r#"meta.lastModified ge "2027-01-15T09:00:00+01:00""#, true);
    check(r#"meta.lastModified eq "2027-01-15T08:00:00.000Z""#, true);
    check(r#"meta.lastModified lt "2027-01-15T08:00:00Z""#, false);
    check(r#"meta.lastModified le "2027-01-15T08:00:00Z""#, true);
    let filter = Filter::read(r#"active eq true and userName eq "Ann""#).unwrap();
    assert_eq!((filter.equals(&Attribute::UserName), filter.equals(&Attribute::Id)), (Some("Ann"), None));
}

#[test]
fn filters_that_are_refused() {
    for filter in [
        "userName",
        "userName eq",
        r#"userName eq "a"#,
        "userName eq a",
        "userName eq 5",
        "userName eq true",
        r#"userName ne "a""#,
        r#"userName ew "a""#,
        r#"userName gt "a""#,
        r#"userName eq "a" or userName eq "b""#,
        r#"not (userName eq "a")"#,
        r#"(userName eq "a")"#,
        r#"userName eq "a" and"#,
        r#"userName eq "a" userName eq "b""#,
        r#"and userName eq "a""#,
        r#"nickName eq "a""#,
        r#"password eq "a""#,
        r#"password sw "a""#,
        r#"active eq "maybe""#,
        r#"active co "t""#,
        r#"meta.lastModified eq "yesterday""#,
        r#"meta.lastModified co "2027""#,
        "meta.created pr",
        r#"name.givenName eq "a""#,
        r#"members[value eq "a"].value eq "b""#,
        r#"emails[type eq "work" eq "a""#,
        r#"urn:x:department eq "a""#,
        r#"userName eq "a" ; drop table user"#,
        r#"userName == "a""#,
    ] {
        let error = Filter::read(filter).expect_err(filter);
        assert_eq!(error.status, 400, "{filter}");
    }
    assert!(Filter::read(&format!("userName eq \"{}\"", "a".repeat(3_000))).is_err());
    assert!(Filter::read(&["active eq true"; 11].join(" and ")).is_err());
    assert!(Filter::read(&["active eq true"; 10].join(" and ")).is_ok());
}

fn group() -> Group {
    let members = vec![Reference { id: "usr_1".into(), display: "Ann".into() }];
    Group { id: "grp_1".into(), display_name: "Staff".into(), members, ..Group::default() }
}

#[test]
fn filters_of_groups() {
    let check =
        |filter: &str, want: bool| assert_eq!(Filter::read(filter).unwrap().matches_group(&group()), want, "{filter}");
    check(r#"displayName eq "staff""#, true);
    check(r#"members.value eq "usr_1""#, true);
    check(r#"members eq "usr_2""#, false);
    check(r#"id eq "grp_1" and members.value eq "usr_1""#, true); // Entra asks so
    check(r#"userName eq "staff""#, false);
    check("externalId pr", false);
}

#[test]
fn resources_go_out() {
    let out = user().to_json("https://meter.example/scim/v2");
    assert_eq!(out["meta"]["location"], "https://meter.example/scim/v2/Users/usr_1");
    assert_eq!(out["meta"]["lastModified"], "2027-01-15T08:00:00Z");
    assert_eq!(out["emails"][0], json!({ "value": "ann@example.com", "type": "work", "primary": true }));
    assert!(out.get("name").is_none() && out.get("groups").is_none());
    let out = group().to_json("https://meter.example/scim/v2");
    assert_eq!(out["members"][0]["$ref"], "https://meter.example/scim/v2/Users/usr_1");
    let page = Page::read(Some("3"), Some("1")).unwrap();
    let list = list_response(7, page, vec![out]);
    assert_eq!((&list["totalResults"], &list["startIndex"], &list["itemsPerPage"]), (&json!(7), &json!(3), &json!(1)));
    let error = ScimError::new(409, Some(ScimType::Mutability), "last_organization_admin").to_json();
    assert_eq!((&error["status"], &error["scimType"]), (&json!("409"), &json!("mutability")));
}

#[test]
fn pages() {
    let check = |start: Option<&str>, count: Option<&str>, want: Option<(usize, usize)>| {
        assert_eq!(Page::read(start, count).ok().map(|page| (page.skip, page.take)), want, "{start:?} {count:?}");
    };
    check(None, None, Some((0, 200)));
    check(Some("1"), Some("100"), Some((0, 100)));
    check(Some("11"), Some("0"), Some((10, 0)));
    check(Some("0"), Some("-1"), Some((0, 0)));
    check(Some("-5"), Some("100000"), Some((0, 200)));
    check(Some("x"), None, None);
    check(None, Some("1.5"), None);
}

#[test]
fn parts_of_resources() {
    let check = |attributes: Option<&str>, excluded: Option<&str>, want: &str| {
        let mut out = user().to_json("x");
        Projection::read(attributes, excluded).unwrap().apply(&mut out);
        let names: Vec<&str> = out.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names.join(" "), want, "{attributes:?} {excluded:?}");
    };
    check(Some("userName"), None, "id meta schemas userName");
    check(Some("USERNAME, emails.value"), None, "emails id meta schemas userName");
    check(Some("urn:ietf:params:scim:schemas:core:2.0:User:userName"), None, "id meta schemas userName");
    check(None, Some("emails,displayName,id"), "active externalId id meta schemas userName");
    check(Some(""), None, "active displayName emails externalId id meta schemas userName");
    let mut out = user().to_json("x");
    Projection::read(Some("emails.value"), None).unwrap().apply(&mut out);
    assert_eq!(out["emails"][0], json!({ "value": "ann@example.com" }));
    assert!(!Projection::read(None, Some("members")).unwrap().wants("members"));
    assert!(Projection::read(Some(&"a,".repeat(51)), None).is_err());
}

#[test]
fn the_service_describes_itself() {
    let config = service_provider_config("https://meter.example/scim/v2");
    assert_eq!((&config["patch"]["supported"], &config["bulk"]["supported"]), (&json!(true), &json!(false)));
    let (types, schemas) = (resource_types("x"), schemas("x"));
    for (kind, schema) in types.iter().zip(&schemas) {
        assert_eq!(kind["schema"], schema["id"]);
        assert!(schema["attributes"].as_array().unwrap().iter().all(|attribute| attribute["name"].is_string()));
    }
}
