//! Users and groups: as they come in, and as they go out (RFC 7643 sections 4.1 and 4.2).

use crate::scim::values::{get, needed, object, text, text_of, truth};
use crate::scim::{GROUP_SCHEMA, ScimError, ScimType, USER_SCHEMA};
use serde_json::{Map, Value, json};

const EMAILS_MAX: usize = 20;
/// Members in one message.
const MEMBERS_MAX: usize = 10_000;

/// A name in its parts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Name {
    /// As a whole.
    pub formatted: Option<String>,
    /// First name.
    pub given: Option<String>,
    /// Last name.
    pub family: Option<String>,
}

/// An address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email {
    /// The address itself.
    pub value: String,
    /// `work`, `home`, `other`; lower case.
    pub kind: Option<String>,
    /// Whether it is the main one.
    pub primary: bool,
}

/// A user in a group, or a group of a user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reference {
    /// Id.
    pub id: String,
    /// Name to show.
    pub display: String,
}

/// A user as POST and PUT bring it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewUser {
    /// What the person signs in with; unique in any case.
    pub user_name: String,
    /// The directory's own id.
    pub external_id: Option<String>,
    /// Name in parts.
    pub name: Name,
    /// Name to show.
    pub display_name: Option<String>,
    /// Addresses.
    pub emails: Vec<Email>,
    /// Whether the person may sign in; none when nothing is said.
    pub active: Option<bool>,
}

/// A group as POST and PUT bring it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewGroup {
    /// Name.
    pub display_name: String,
    /// The directory's own id.
    pub external_id: Option<String>,
    /// Ids of users, each once; none when nothing is said.
    pub members: Option<Vec<String>>,
}

/// A user as it goes out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct User {
    /// Our id.
    pub id: String,
    /// What the person signs in with.
    pub user_name: String,
    /// The directory's own id.
    pub external_id: Option<String>,
    /// Name in parts.
    pub name: Name,
    /// Name to show.
    pub display_name: Option<String>,
    /// Addresses.
    pub emails: Vec<Email>,
    /// Whether the person may sign in.
    pub active: bool,
    /// Groups of the person.
    pub groups: Vec<Reference>,
    /// Made at, microseconds.
    pub created_us: i64,
    /// Changed at, microseconds.
    pub modified_us: i64,
}

/// A group as it goes out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Group {
    /// Our id.
    pub id: String,
    /// Name.
    pub display_name: String,
    /// The directory's own id.
    pub external_id: Option<String>,
    /// Its users.
    pub members: Vec<Reference>,
    /// Made at, microseconds.
    pub created_us: i64,
    /// Changed at, microseconds.
    pub modified_us: i64,
}

pub(crate) fn name(value: &Value) -> Result<Name, ScimError> {
    match value {
        Value::Null => Ok(Name::default()),
        Value::Object(parts) => Ok(Name {
            formatted: text_of(parts, "formatted")?,
            given: text_of(parts, "givenName")?,
            family: text_of(parts, "familyName")?,
        }),
        _ => Err(ScimError::value("name", value, "is not an object")),
    }
}

/// A list of addresses; a single one and bare texts are tolerated.
pub(crate) fn emails(value: &Value) -> Result<Vec<Email>, ScimError> {
    let one = std::slice::from_ref(value);
    let list = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) if list.len() <= EMAILS_MAX => list.as_slice(),
        Value::Array(_) => return Err(ScimError::value("emails", &json!([]), "has more than 20 entries")),
        _ => one,
    };
    list.iter().map(email).filter_map(Result::transpose).collect()
}

fn email(value: &Value) -> Result<Option<Email>, ScimError> {
    let Value::Object(parts) = value else {
        return Ok(text("emails.value", value)?.map(|value| Email { value, kind: None, primary: false }));
    };
    let Some(address) = text_of(parts, "value")? else { return Ok(None) };
    let kind = text_of(parts, "type")?.map(|kind| kind.to_ascii_lowercase());
    let primary = get(parts, "primary")?.filter(|value| !value.is_null());
    let primary = primary.map_or(Ok(false), |value| truth("emails.primary", value))?;
    Ok(Some(Email { value: address, kind, primary }))
}

/// Ids of members, each once. An entry without an id is an error, and so is a group inside a group.
pub(crate) fn members(value: &Value) -> Result<Vec<String>, ScimError> {
    let one = std::slice::from_ref(value);
    let list = match value {
        Value::Null => return Ok(Vec::new()),
        Value::Array(list) if list.len() <= MEMBERS_MAX => list.as_slice(),
        Value::Array(_) => {
            return Err(ScimError::new(413, Some(ScimType::TooMany), "members has more than 10000 entries"));
        }
        _ => one,
    };
    let mut ids = std::collections::BTreeSet::new();
    list.iter().map(member).filter(|id| id.as_ref().map_or(true, |id| ids.insert(id.clone()))).collect()
}

fn member(value: &Value) -> Result<String, ScimError> {
    let Value::Object(parts) = value else { return needed("members.value", value) };
    if text_of(parts, "type")?.is_some_and(|kind| kind.eq_ignore_ascii_case("group")) {
        return Err(ScimError::value("members.type", value, "is a group; groups have users only"));
    }
    needed("members.value", get(parts, "value")?.unwrap_or(&Value::Null))
}

impl NewUser {
    /// Reads the body of POST or PUT.
    ///
    /// # Errors
    /// Naming the attribute at fault.
    pub fn read(body: &[u8]) -> Result<Self, ScimError> {
        let user = object(body)?;
        let active = get(&user, "active")?;
        Ok(Self {
            user_name: needed("userName", get(&user, "userName")?.unwrap_or(&Value::Null))?,
            external_id: text_of(&user, "externalId")?,
            name: get(&user, "name")?.map_or(Ok(Name::default()), name)?,
            display_name: text_of(&user, "displayName")?,
            emails: get(&user, "emails")?.map_or(Ok(Vec::new()), emails)?,
            active: active.map(|value| truth("active", value)).transpose()?,
        })
    }

    /// The main address: the one that says so, else one for work, else the first, else a user name that
    /// looks like one.
    #[must_use]
    pub fn main_email(&self) -> Option<&str> {
        let find = |fits: fn(&&Email) -> bool| self.emails.iter().find(fits);
        find(|email| email.primary)
            .or_else(|| find(|email| email.kind.as_deref() == Some("work")))
            .or_else(|| self.emails.first())
            .map(|email| email.value.as_str())
            .or_else(|| Some(self.user_name.as_str()).filter(|name| name.contains('@')))
    }
}

impl NewGroup {
    /// Reads the body of POST or PUT.
    ///
    /// # Errors
    /// Naming the attribute at fault.
    pub fn read(body: &[u8]) -> Result<Self, ScimError> {
        let group = object(body)?;
        Ok(Self {
            display_name: needed("displayName", get(&group, "displayName")?.unwrap_or(&Value::Null))?,
            external_id: text_of(&group, "externalId")?,
            members: get(&group, "members")?.map(members).transpose()?,
        })
    }
}

/// Puts what has a value.
fn put(object: &mut Map<String, Value>, name: &str, value: &Option<String>) {
    if let Some(text) = value {
        object.insert(name.to_owned(), json!(text));
    }
}

fn meta(kind: &str, location: &str, created_us: i64, modified_us: i64) -> Value {
    let date = |time_us| jiff::Timestamp::from_microsecond(time_us).unwrap_or_default().to_string();
    json!({
        "resourceType": kind,
        "location": location,
        "created": date(created_us),
        "lastModified": date(modified_us),
    })
}

impl User {
    /// Writes the resource. `base_url` is the address of the SCIM service, without a slash at its end.
    #[must_use]
    pub fn to_json(&self, base_url: &str) -> Value {
        let location = format!("{base_url}/Users/{}", self.id);
        let mut out = Map::new();
        out.insert("schemas".to_owned(), json!([USER_SCHEMA]));
        out.insert("id".to_owned(), json!(self.id));
        put(&mut out, "externalId", &self.external_id);
        out.insert("userName".to_owned(), json!(self.user_name));
        let mut parts = Map::new();
        put(&mut parts, "formatted", &self.name.formatted);
        put(&mut parts, "givenName", &self.name.given);
        put(&mut parts, "familyName", &self.name.family);
        if !parts.is_empty() {
            out.insert("name".to_owned(), Value::Object(parts));
        }
        put(&mut out, "displayName", &self.display_name);
        if !self.emails.is_empty() {
            out.insert("emails".to_owned(), self.emails.iter().map(email_json).collect());
        }
        out.insert("active".to_owned(), json!(self.active));
        if !self.groups.is_empty() {
            out.insert("groups".to_owned(), references(&self.groups, base_url, "Groups"));
        }
        out.insert("meta".to_owned(), meta("User", &location, self.created_us, self.modified_us));
        Value::Object(out)
    }
}

fn email_json(email: &Email) -> Value {
    let mut out = Map::new();
    out.insert("value".to_owned(), json!(email.value));
    put(&mut out, "type", &email.kind);
    out.insert("primary".to_owned(), json!(email.primary));
    Value::Object(out)
}

fn references(list: &[Reference], base_url: &str, folder: &str) -> Value {
    let one = |reference: &Reference| {
        json!({
            "value": reference.id,
            "$ref": format!("{base_url}/{folder}/{}", reference.id),
            "display": reference.display,
        })
    };
    list.iter().map(one).collect()
}

impl Group {
    /// Writes the resource. `base_url` is the address of the SCIM service, without a slash at its end.
    #[must_use]
    pub fn to_json(&self, base_url: &str) -> Value {
        let location = format!("{base_url}/Groups/{}", self.id);
        let mut out = Map::new();
        out.insert("schemas".to_owned(), json!([GROUP_SCHEMA]));
        out.insert("id".to_owned(), json!(self.id));
        put(&mut out, "externalId", &self.external_id);
        out.insert("displayName".to_owned(), json!(self.display_name));
        if !self.members.is_empty() {
            out.insert("members".to_owned(), references(&self.members, base_url, "Users"));
        }
        out.insert("meta".to_owned(), meta("Group", &location, self.created_us, self.modified_us));
        Value::Object(out)
    }
}
