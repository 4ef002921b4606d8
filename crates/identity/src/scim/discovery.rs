//! What the service says of itself (RFC 7643 sections 5 to 8, RFC 7644 section 4).

use crate::scim::{GROUP_SCHEMA, RESULTS_MAX, USER_SCHEMA};
use serde_json::{Value, json};

/// `/ServiceProviderConfig`.
#[must_use]
pub fn service_provider_config(base_url: &str) -> Value {
    let no = json!({ "supported": false });
    json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"],
        "patch": { "supported": true },
        "bulk": { "supported": false, "maxOperations": 0, "maxPayloadSize": 0 },
        "filter": { "supported": true, "maxResults": RESULTS_MAX },
        "changePassword": no,
        "sort": no,
        "etag": no,
        "authenticationSchemes": [{
            "type": "oauthbearertoken",
            "name": "Bearer token",
            "description": "A token of this organisation in the header Authorization",
            "specUri": "https://www.rfc-editor.org/info/rfc6750",
            "primary": true,
        }],
        "meta": {
            "resourceType": "ServiceProviderConfig",
            "location": format!("{base_url}/ServiceProviderConfig"),
        },
    })
}

/// The entries of `/ResourceTypes`.
#[must_use]
pub fn resource_types(base_url: &str) -> Vec<Value> {
    let one = |name: &str, endpoint: &str, schema: &str, description: &str| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:ResourceType"],
            "id": name,
            "name": name,
            "endpoint": endpoint,
            "description": description,
            "schema": schema,
            "meta": { "resourceType": "ResourceType", "location": format!("{base_url}/ResourceTypes/{name}") },
        })
    };
    vec![
        one("User", "/Users", USER_SCHEMA, "A person who may sign in"),
        one("Group", "/Groups", GROUP_SCHEMA, "Persons with the same rights"),
    ]
}

/// A simple attribute; the rest is changed by [`with`].
fn attribute(name: &str, kind: &str, description: &str) -> Value {
    json!({
        "name": name,
        "type": kind,
        "multiValued": false,
        "description": description,
        "required": false,
        "caseExact": false,
        "mutability": "readWrite",
        "returned": "default",
        "uniqueness": "none",
    })
}

fn with(mut attribute: Value, changes: &[(&str, Value)]) -> Value {
    for (name, value) in changes {
        attribute[*name] = value.clone();
    }
    attribute
}

fn text(name: &str, description: &str) -> Value {
    attribute(name, "string", description)
}

fn complex(name: &str, description: &str, many: bool, parts: Vec<Value>) -> Value {
    with(attribute(name, "complex", description), &[("multiValued", json!(many)), ("subAttributes", json!(parts))])
}

/// Ids with links, as members and groups are.
fn references(name: &str, description: &str, target: &str, mutability: &str) -> Value {
    let part_mutability = if mutability == "readOnly" { "readOnly" } else { "immutable" };
    let fixed = [("mutability", json!(part_mutability))];
    let parts = vec![
        with(with(text("value", "Id"), &fixed), &[("caseExact", json!(true))]),
        with(with(attribute("$ref", "reference", "Address"), &fixed), &[("referenceTypes", json!([target]))]),
        with(text("display", "Name"), &[("mutability", json!("readOnly"))]),
    ];
    with(complex(name, description, true, parts), &[("mutability", json!(mutability))])
}

fn user_attributes() -> Vec<Value> {
    let name =
        vec![text("formatted", "Name as a whole"), text("familyName", "Last name"), text("givenName", "First name")];
    let email = vec![
        text("value", "Address"),
        with(text("type", "Kind"), &[("canonicalValues", json!(["work", "home", "other"]))]),
        attribute("primary", "boolean", "Whether it is the main one"),
    ];
    vec![
        with(
            text("userName", "What the person signs in with"),
            &[("required", json!(true)), ("uniqueness", json!("server"))],
        ),
        complex("name", "Name in its parts", false, name),
        text("displayName", "Name to show"),
        attribute("active", "boolean", "Whether the person may sign in"),
        complex("emails", "Addresses", true, email),
        references("groups", "Groups of the person", "Group", "readOnly"),
    ]
}

fn group_attributes() -> Vec<Value> {
    vec![
        with(text("displayName", "Name"), &[("required", json!(true))]),
        references("members", "Persons in the group", "User", "readWrite"),
    ]
}

/// The entries of `/Schemas`.
#[must_use]
pub fn schemas(base_url: &str) -> Vec<Value> {
    let one = |id: &str, name: &str, description: &str, attributes: Vec<Value>| {
        json!({
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Schema"],
            "id": id,
            "name": name,
            "description": description,
            "attributes": attributes,
            "meta": { "resourceType": "Schema", "location": format!("{base_url}/Schemas/{id}") },
        })
    };
    vec![
        one(USER_SCHEMA, "User", "A person who may sign in", user_attributes()),
        one(GROUP_SCHEMA, "Group", "Persons with the same rights", group_attributes()),
    ]
}
