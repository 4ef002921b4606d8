//! What an ID token or the userinfo endpoint says of a person (OpenID Connect Core sections 2 and 5.1).

use crate::Rejected;
use serde_json::{Map, Value};

const TEXT_BYTES_MAX: usize = 1_024;
/// Section 2: a subject has at most 255 ASCII characters.
const SUBJECT_BYTES_MAX: usize = 255;
const GROUPS_MAX: usize = 1_000;
const METHODS_MAX: usize = 32;
/// How deep arrays of groups may lie in each other.
const DEPTH_MAX: usize = 4;

/// The groups that the provider names. Only `Named` may take memberships away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Groups {
    /// The claim is not there: nothing is said.
    Absent,
    /// There are too many for a token; they stand elsewhere (section 5.6.2, as Microsoft Entra does it).
    Elsewhere,
    /// All of them, in the order sent, each once.
    Named(Vec<String>),
}

/// The claims of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// Who says it.
    pub issuer: String,
    /// Who it is about; unique and never given again with this issuer.
    pub subject: String,
    /// Address.
    pub email: Option<String>,
    /// Whether the provider has checked the address, where it says so: `true`, or the text "true" that some send. Entra
    /// ID never does.
    pub email_verified: Option<bool>,
    /// Name to show.
    pub name: Option<String>,
    /// Groups.
    pub groups: Groups,
    /// How the person proved himself (RFC 8176): `pwd`, `otp`, `hwk`, `mfa`.
    pub methods: Vec<String>,
    /// Class of the proof.
    pub context: Option<String>,
    /// When he proved himself, microseconds.
    pub auth_time_us: Option<i64>,
}

fn text(claims: &Map<String, Value>, name: &str) -> Result<Option<String>, Rejected> {
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.len() <= TEXT_BYTES_MAX => Ok(Some(text.clone()).filter(|t| !t.is_empty())),
        Some(_) => Err(Rejected::silent(name, "is not a text of at most 1024 bytes")),
    }
}

/// A time in seconds, perhaps with a fraction (RFC 7519 section 2, NumericDate), in microseconds.
pub(crate) fn time_us(claims: &Map<String, Value>, name: &str) -> Result<Option<i64>, Rejected> {
    let wrong = || Rejected::silent(name, "is not a time in seconds");
    match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Number(number)) => {
            let seconds = number.as_i64().or_else(|| whole_seconds(&number.to_string())).ok_or_else(wrong)?;
            seconds.checked_mul(1_000_000).map(Some).ok_or_else(wrong)
        }
        Some(_) => Err(wrong()),
    }
}

fn whole_seconds(text: &str) -> Option<i64> {
    text.split_once('.')?.0.parse().ok()
}

impl Claims {
    /// Reads the claims. `groups_claim` is the name of the claim with groups; when no claim has this very
    /// name, it is a path with dots: `realm_access.roles`.
    pub(crate) fn read(claims: &Map<String, Value>, groups_claim: Option<&str>) -> Result<Self, Rejected> {
        let subject = text(claims, "sub")?.ok_or_else(|| Rejected::silent("sub", "is missing"))?;
        if subject.len() > SUBJECT_BYTES_MAX {
            return Err(Rejected::silent("sub", "has more than 255 bytes"));
        }
        Ok(Self {
            issuer: text(claims, "iss")?.unwrap_or_default(),
            subject,
            email: text(claims, "email")?,
            email_verified: match claims.get("email_verified") {
                None => None,
                Some(Value::Bool(verified)) => Some(*verified),
                Some(Value::String(text)) => Some(text == "true"),
                Some(_) => Some(false),
            },
            name: text(claims, "name")?,
            groups: groups_claim.map_or(Ok(Groups::Absent), |name| groups(claims, name))?,
            methods: methods(claims)?,
            context: text(claims, "acr")?,
            auth_time_us: time_us(claims, "auth_time")?,
        })
    }

    /// Adds what the userinfo endpoint says where the ID token was silent.
    ///
    /// # Errors
    /// When the answer is unreadable or about somebody else (section 5.3.2: that must be refused).
    pub fn complete(mut self, userinfo: &[u8], groups_claim: Option<&str>) -> Result<Self, Rejected> {
        let more: Map<String, Value> =
            serde_json::from_slice(userinfo).map_err(|_| Rejected::silent("userinfo", "cannot be read"))?;
        let more = Self::read(&more, groups_claim)?;
        if more.subject != self.subject {
            return Err(Rejected::silent("userinfo", "is about another subject than the ID token"));
        }
        // Address and its check come together, so that one source's check never covers the other's address.
        if self.email.is_none() {
            (self.email, self.email_verified) = (more.email, more.email_verified);
        }
        self.name = self.name.or(more.name);
        if self.groups == Groups::Absent {
            self.groups = more.groups;
        }
        Ok(self)
    }
}

fn methods(claims: &Map<String, Value>) -> Result<Vec<String>, Rejected> {
    let wrong = || Rejected::silent("amr", "is not a list of at most 32 texts");
    let list = match claims.get("amr") {
        None | Some(Value::Null) => return Ok(Vec::new()),
        Some(Value::String(one)) => return Ok(vec![one.clone()]),
        Some(Value::Array(list)) if list.len() <= METHODS_MAX => list,
        Some(_) => return Err(wrong()),
    };
    list.iter().map(|method| method.as_str().map(str::to_owned).ok_or_else(wrong)).collect()
}

fn groups(claims: &Map<String, Value>, name: &str) -> Result<Groups, Rejected> {
    if claims.get("_claim_names").and_then(|names| names.get(name)).is_some() {
        return Ok(Groups::Elsewhere);
    }
    let found = claims.get(name).or_else(|| {
        let mut steps = name.split('.');
        let first = claims.get(steps.next()?)?;
        steps.try_fold(first, |value, step| value.as_object()?.get(step))
    });
    let Some(value) = found.filter(|value| !value.is_null()) else { return Ok(Groups::Absent) };
    let mut named = Vec::new();
    collect(value, name, 0, &mut named)?;
    Ok(Groups::Named(named))
}

fn collect(value: &Value, claim: &str, depth: usize, named: &mut Vec<String>) -> Result<(), Rejected> {
    match value {
        Value::String(group) if group.is_empty() => Ok(()),
        Value::String(group) if group.len() <= TEXT_BYTES_MAX => {
            if named.len() == GROUPS_MAX {
                return Err(Rejected::silent(claim, "names more than 1000 groups"));
            }
            if !named.contains(group) {
                named.push(group.clone());
            }
            Ok(())
        }
        Value::Array(list) if depth < DEPTH_MAX => {
            list.iter().try_for_each(|item| collect(item, claim, depth + 1, named))
        }
        _ => Err(Rejected::silent(claim, "is not a text or a list of texts of at most 1024 bytes")),
    }
}
