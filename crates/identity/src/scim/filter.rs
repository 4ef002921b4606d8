//! Filters of lists (RFC 7644 section 3.4.2.2): `eq`, `co`, `sw`, `pr`, for times also `gt`, `ge`, `lt`,
//! `le`, joined by `and`. Others are refused, never guessed at.

use crate::Rejected;
use crate::scim::path::{Comparison, Path, comparisons};
use crate::scim::{Group, ScimError, ScimType, User};
use serde_json::Value;

/// What can be compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attribute {
    /// `id`: exact case.
    Id,
    /// `externalId`: exact case.
    ExternalId,
    /// `userName`: any case.
    UserName,
    /// `displayName`: any case.
    DisplayName,
    /// `emails.value`: any case; of one type when the filter names it.
    Email(Option<String>),
    /// `active`.
    Active,
    /// `members.value`: exact case.
    Member,
    /// `meta.lastModified`.
    LastModified,
}

/// What a value is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Operand {
    /// A text.
    Text(String),
    /// True or false.
    Truth(bool),
    /// A time, microseconds.
    TimeUs(i64),
}

/// How.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Test {
    /// It has a value.
    Present,
    /// Equal.
    Equals(Operand),
    /// Contains the text.
    Contains(String),
    /// Begins with the text.
    StartsWith(String),
    /// From this time on, or after it when not inclusive.
    After {
        /// Microseconds.
        time_us: i64,
        /// Whether the time itself counts.
        inclusive: bool,
    },
    /// Up to this time, or before it when not inclusive.
    Before {
        /// Microseconds.
        time_us: i64,
        /// Whether the time itself counts.
        inclusive: bool,
    },
}

/// One comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    /// Of what.
    pub attribute: Attribute,
    /// With what.
    pub test: Test,
}

/// Comparisons that must all hold; none of them holds for everything.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter(pub Vec<Term>);

fn refused(comparison: &Comparison, reason: &str) -> ScimError {
    let shown = format!("{} {}", comparison.path, comparison.operator);
    ScimError::bad(ScimType::InvalidFilter, &Rejected::new("filter", &shown, reason))
}

fn attribute(comparison: &Comparison) -> Result<Attribute, ScimError> {
    let unknown = || refused(comparison, "asks for an attribute that cannot be filtered by");
    let path = Path::read(&comparison.path)?.ok_or_else(unknown)?;
    let kind = match &path.filter[..] {
        [] => None,
        [one] if path.attribute == "emails" && one.path.eq_ignore_ascii_case("type") && one.operator == "eq" => {
            one.operand.as_ref().and_then(Value::as_str).map(str::to_owned)
        }
        _ => return Err(unknown()),
    };
    match (path.attribute.as_str(), path.sub.as_deref()) {
        ("id", None) => Ok(Attribute::Id),
        ("externalid", None) => Ok(Attribute::ExternalId),
        ("username", None) => Ok(Attribute::UserName),
        ("displayname", None) => Ok(Attribute::DisplayName),
        ("emails", None | Some("value")) => Ok(Attribute::Email(kind)),
        ("active", None) => Ok(Attribute::Active),
        ("members", None | Some("value")) => Ok(Attribute::Member),
        ("meta", Some("lastmodified")) => Ok(Attribute::LastModified),
        _ => Err(unknown()),
    }
}

fn operand(attribute: &Attribute, comparison: &Comparison) -> Result<Operand, ScimError> {
    let unfit = || refused(comparison, "is compared with a value of another type");
    match (attribute, comparison.operand.as_ref().ok_or_else(unfit)?) {
        (Attribute::Active, value) => {
            crate::scim::values::truth("active", value).map(Operand::Truth).map_err(|_| unfit())
        }
        (Attribute::LastModified, Value::String(text)) => {
            text.parse::<jiff::Timestamp>().map(|time| Operand::TimeUs(time.as_microsecond())).map_err(|_| unfit())
        }
        (Attribute::LastModified, _) => Err(unfit()),
        (_, Value::String(text)) => Ok(Operand::Text(text.clone())),
        _ => Err(unfit()),
    }
}

fn term(comparison: &Comparison) -> Result<Term, ScimError> {
    let attribute = attribute(comparison)?;
    if comparison.operator == "pr" {
        return Ok(Term { attribute, test: Test::Present });
    }
    let test = match (comparison.operator.as_str(), operand(&attribute, comparison)?) {
        ("eq", operand) => Test::Equals(operand),
        ("co", Operand::Text(text)) => Test::Contains(text),
        ("sw", Operand::Text(text)) => Test::StartsWith(text),
        ("gt", Operand::TimeUs(time_us)) => Test::After { time_us, inclusive: false },
        ("ge", Operand::TimeUs(time_us)) => Test::After { time_us, inclusive: true },
        ("lt", Operand::TimeUs(time_us)) => Test::Before { time_us, inclusive: false },
        ("le", Operand::TimeUs(time_us)) => Test::Before { time_us, inclusive: true },
        _ => return Err(refused(comparison, "uses an operator that is not supported here")),
    };
    Ok(Term { attribute, test })
}

/// The value of a resource that a term looks at.
enum Seen<'a> {
    Exact(Vec<&'a str>),
    AnyCase(Vec<&'a str>),
    Truth(bool),
    TimeUs(i64),
}

impl Test {
    fn holds(&self, seen: &Seen<'_>) -> bool {
        let any = |check: &dyn Fn(&str, &str) -> bool, wanted: &str| match seen {
            Seen::Exact(texts) => texts.iter().any(|text| check(text, wanted)),
            Seen::AnyCase(texts) => {
                let wanted = wanted.to_lowercase();
                texts.iter().any(|text| check(&text.to_lowercase(), &wanted))
            }
            _ => false,
        };
        match (self, seen) {
            (Self::Present, Seen::Exact(texts) | Seen::AnyCase(texts)) => !texts.is_empty(),
            (Self::Present, _) => true,
            (Self::Equals(Operand::Text(wanted)), _) => any(&|text, wanted| text == wanted, wanted),
            (Self::Contains(wanted), _) => any(&|text, wanted| text.contains(wanted), wanted),
            (Self::StartsWith(wanted), _) => any(&|text, wanted| text.starts_with(wanted), wanted),
            (Self::Equals(Operand::Truth(wanted)), Seen::Truth(truth)) => truth == wanted,
            (Self::Equals(Operand::TimeUs(wanted)), Seen::TimeUs(time_us)) => time_us == wanted,
            (Self::After { time_us: wanted, inclusive }, Seen::TimeUs(time_us)) => {
                time_us > wanted || (*inclusive && time_us == wanted)
            }
            (Self::Before { time_us: wanted, inclusive }, Seen::TimeUs(time_us)) => {
                time_us < wanted || (*inclusive && time_us == wanted)
            }
            _ => false,
        }
    }
}

impl Filter {
    /// Reads a filter; an empty text filters nothing.
    ///
    /// # Errors
    /// `invalidFilter` naming the part that is not supported.
    pub fn read(text: &str) -> Result<Self, ScimError> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        comparisons(text)?.iter().map(term).collect::<Result<Vec<Term>, ScimError>>().map(Self)
    }

    /// The value that an attribute must equal, if the filter says so: for a look-up by index.
    #[must_use]
    pub fn equals(&self, attribute: &Attribute) -> Option<&str> {
        self.0.iter().find_map(|term| match &term.test {
            Test::Equals(Operand::Text(text)) if term.attribute == *attribute => Some(text.as_str()),
            _ => None,
        })
    }

    /// Whether a user passes.
    #[must_use]
    pub fn matches_user(&self, user: &User) -> bool {
        self.0.iter().all(|term| {
            let seen = match &term.attribute {
                Attribute::Id => Seen::Exact(vec![&user.id]),
                Attribute::ExternalId => Seen::Exact(user.external_id.as_deref().into_iter().collect()),
                Attribute::UserName => Seen::AnyCase(vec![&user.user_name]),
                Attribute::DisplayName => Seen::AnyCase(user.display_name.as_deref().into_iter().collect()),
                Attribute::Email(kind) => Seen::AnyCase(
                    user.emails
                        .iter()
                        .filter(|email| kind.is_none() || email.kind == *kind)
                        .map(|email| email.value.as_str())
                        .collect(),
                ),
                Attribute::Active => Seen::Truth(user.active),
                Attribute::Member => Seen::Exact(Vec::new()),
                Attribute::LastModified => Seen::TimeUs(user.modified_us),
            };
            term.test.holds(&seen)
        })
    }

    /// Whether a group passes.
    #[must_use]
    pub fn matches_group(&self, group: &Group) -> bool {
        self.0.iter().all(|term| {
            let seen = match &term.attribute {
                Attribute::Id => Seen::Exact(vec![&group.id]),
                Attribute::ExternalId => Seen::Exact(group.external_id.as_deref().into_iter().collect()),
                Attribute::DisplayName => Seen::AnyCase(vec![&group.display_name]),
                Attribute::Member => Seen::Exact(group.members.iter().map(|member| member.id.as_str()).collect()),
                Attribute::LastModified => Seen::TimeUs(group.modified_us),
                Attribute::UserName | Attribute::Email(_) | Attribute::Active => Seen::Exact(Vec::new()),
            };
            term.test.holds(&seen)
        })
    }
}
