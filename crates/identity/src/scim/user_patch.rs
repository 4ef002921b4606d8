//! Changes of a user, as Okta, Entra and others send them.

use crate::scim::operations::{Step, Verb, steps};
use crate::scim::resources::emails;
use crate::scim::values::{needed, text, truth};
use crate::scim::{Email, ScimError, User};
use serde_json::Value;

/// Which address is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EmailPick {
    /// All of them.
    All,
    /// The main one.
    Primary,
    /// Those of a type.
    Kind(String),
    /// Those that are one of these.
    Values(Vec<String>),
}

/// One change. `None` takes a value away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UserChange {
    /// Whether the person may sign in.
    Active(bool),
    /// What the person signs in with.
    UserName(String),
    /// The directory's own id.
    ExternalId(Option<String>),
    /// Name to show.
    DisplayName(Option<String>),
    /// Name as a whole.
    FormattedName(Option<String>),
    /// First name.
    GivenName(Option<String>),
    /// Last name.
    FamilyName(Option<String>),
    /// These addresses instead of all there are.
    Emails(Vec<Email>),
    /// These addresses too.
    AddEmails(Vec<Email>),
    /// Another address for those picked; a new one if there is none.
    SetEmail(EmailPick, String),
    /// Without those picked.
    RemoveEmails(EmailPick),
}

/// Reads the body of PATCH on a user.
///
/// # Errors
/// Naming the attribute at fault; for `active` whenever it is not plainly true or false.
pub fn read_user_patch(body: &[u8]) -> Result<Vec<UserChange>, ScimError> {
    let steps = steps(body)?;
    let changes: Result<Vec<Option<UserChange>>, ScimError> = steps.iter().map(change).collect();
    Ok(changes?.into_iter().flatten().collect())
}

fn change(step: &Step) -> Result<Option<UserChange>, ScimError> {
    let attribute = step.path.attribute.as_str();
    if attribute == "active" {
        return active(step).map(Some);
    }
    if attribute == "emails" {
        return email_change(step);
    }
    // A value that is removed is empty.
    let value = || if step.verb == Verb::Remove { Ok(None) } else { text(attribute, &step.value) };
    if !step.path.filter.is_empty() {
        return Ok(None);
    }
    Ok(Some(match (attribute, step.path.sub.as_deref()) {
        ("username", None) if step.verb == Verb::Remove => {
            return Err(ScimError::value("userName", &Value::Null, "cannot be removed"));
        }
        ("username", None) => UserChange::UserName(needed("userName", &step.value)?),
        ("externalid", None) => UserChange::ExternalId(value()?),
        ("displayname", None) => UserChange::DisplayName(value()?),
        ("name", Some("formatted")) => UserChange::FormattedName(value()?),
        ("name", Some("givenname")) => UserChange::GivenName(value()?),
        ("name", Some("familyname")) => UserChange::FamilyName(value()?),
        _ => return Ok(None),
    }))
}

fn active(step: &Step) -> Result<UserChange, ScimError> {
    if step.verb == Verb::Remove {
        return Err(ScimError::value("active", &step.value, "cannot be removed; replace it by true or false"));
    }
    if step.path.sub.is_some() || !step.path.filter.is_empty() {
        return Err(ScimError::value("active", &step.value, "has no parts"));
    }
    truth("active", &step.value).map(UserChange::Active)
}

fn pick(step: &Step) -> Result<EmailPick, ScimError> {
    match &step.path.filter[..] {
        [] if step.path.sub.is_some() => Ok(EmailPick::Primary),
        [] => Ok(EmailPick::All),
        [one] if one.operator == "eq" => match (one.path.to_ascii_lowercase().as_str(), &one.operand) {
            ("type", Some(Value::String(kind))) => Ok(EmailPick::Kind(kind.to_ascii_lowercase())),
            ("value", Some(Value::String(value))) => Ok(EmailPick::Values(vec![value.clone()])),
            ("primary", Some(value)) if truth("primary", value) == Ok(true) => Ok(EmailPick::Primary),
            _ => Err(unsupported(step)),
        },
        _ => Err(unsupported(step)),
    }
}

fn unsupported(step: &Step) -> ScimError {
    ScimError::value("emails", &step.value, "is picked by a filter that is not supported; use type, value or primary")
}

fn email_change(step: &Step) -> Result<Option<UserChange>, ScimError> {
    let pick = pick(step)?;
    match (step.verb, &pick, step.path.sub.as_deref()) {
        // Entra lists what is to go.
        (Verb::Remove, EmailPick::All, None) if step.has_value => {
            let gone = emails(&step.value)?.into_iter().map(|email| email.value).collect();
            Ok(Some(UserChange::RemoveEmails(EmailPick::Values(gone))))
        }
        (Verb::Remove, _, None | Some("value")) => Ok(Some(UserChange::RemoveEmails(pick))),
        (Verb::Add, EmailPick::All, None) => Ok(Some(UserChange::AddEmails(emails(&step.value)?))),
        (Verb::Replace, EmailPick::All, None) => Ok(Some(UserChange::Emails(emails(&step.value)?))),
        (_, _, Some("value")) => Ok(Some(match text("emails.value", &step.value)? {
            Some(value) => UserChange::SetEmail(pick, value),
            None => UserChange::RemoveEmails(pick),
        })),
        (_, _, None) => {
            let email = emails(&step.value)?.into_iter().next();
            Ok(email.map(|email| UserChange::SetEmail(pick, email.value)))
        }
        // Types, labels, marks of an address are left as they are.
        _ => Ok(None),
    }
}

impl EmailPick {
    fn fits(&self, email: &Email) -> bool {
        match self {
            Self::All => true,
            Self::Primary => email.primary,
            Self::Kind(kind) => email.kind.as_deref() == Some(kind),
            Self::Values(values) => values.iter().any(|value| email.value.eq_ignore_ascii_case(value)),
        }
    }
}

impl User {
    /// Makes the changes, in their order.
    pub fn apply(&mut self, changes: &[UserChange]) {
        for change in changes {
            match change.clone() {
                UserChange::Active(active) => self.active = active,
                UserChange::UserName(name) => self.user_name = name,
                UserChange::ExternalId(id) => self.external_id = id,
                UserChange::DisplayName(name) => self.display_name = name,
                UserChange::FormattedName(name) => self.name.formatted = name,
                UserChange::GivenName(name) => self.name.given = name,
                UserChange::FamilyName(name) => self.name.family = name,
                UserChange::Emails(emails) => self.emails = emails,
                UserChange::AddEmails(emails) => emails.into_iter().for_each(|email| self.add_email(email)),
                UserChange::SetEmail(pick, value) => self.set_email(&pick, value),
                UserChange::RemoveEmails(pick) => self.emails.retain(|email| !pick.fits(email)),
            }
        }
    }

    /// RFC 7644 section 3.5.2.1: what is there is not added twice; a new main address unseats the old one.
    fn add_email(&mut self, email: Email) {
        if email.primary {
            self.emails.iter_mut().for_each(|known| known.primary = false);
        }
        match self.emails.iter_mut().find(|known| known.value.eq_ignore_ascii_case(&email.value)) {
            Some(known) => *known = email,
            None => self.emails.push(email),
        }
    }

    fn set_email(&mut self, pick: &EmailPick, value: String) {
        match self.emails.iter_mut().find(|email| pick.fits(email)) {
            Some(email) => email.value = value,
            None => {
                let kind = if let EmailPick::Kind(kind) = pick { Some(kind.clone()) } else { None };
                self.emails.push(Email { value, kind, primary: *pick == EmailPick::Primary });
            }
        }
    }
}
