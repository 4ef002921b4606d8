//! Prefixed, time-ordered identifiers: `org_` + 26 characters of Crockford's base 32.
//!
//! An id is 128 bits (48 bits of milliseconds, 80 bits of chance). It is a name, never a secret and
//! never a right.

use std::fmt;
use std::str::FromStr;

const ALPHABET: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// A text that is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("id {text:?} is not {prefix:?} followed by 26 characters of 0-9 a-z without i l o u")]
pub struct IdError {
    /// What was given.
    pub text: String,
    /// The prefix the kind of id has.
    pub prefix: &'static str,
}

/// Writes 128 bits as 26 characters; order of texts equals order of numbers.
#[must_use]
pub fn encode_base32(value: u128) -> String {
    let mut out = [0_u8; 26];
    let mut rest = value;
    for slot in out.iter_mut().rev() {
        *slot = ALPHABET[(rest & 31) as usize];
        rest >>= 5;
    }
    out.iter().map(|byte| char::from(*byte)).collect()
}

fn decode_base32(text: &str) -> Option<u128> {
    if text.len() != 26 {
        return None;
    }
    let mut value: u128 = 0;
    for (index, byte) in text.bytes().enumerate() {
        let digit = ALPHABET.iter().position(|known| *known == byte)? as u128;
        if index == 0 && digit > 7 {
            return None; // 26 x 5 = 130 bits: the first character carries three.
        }
        value = (value << 5) | digit;
    }
    Some(value)
}

macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident $prefix:literal),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub u128);

        impl $name {
            /// The prefix of this kind of id, without the underscore.
            pub const PREFIX: &'static str = $prefix;
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "_{}"), encode_base32(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                text.strip_prefix(concat!($prefix, "_"))
                    .and_then(decode_base32)
                    .map(Self)
                    .ok_or_else(|| IdError { text: text.to_owned(), prefix: concat!($prefix, "_") })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<'de, str>::deserialize(d)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

ids! {
    /// One organisation tree; its number equals the number of the root organisation.
    RealmId "rlm",
    /// A node of the tree.
    OrgId "org",
    /// A person or a service.
    UserId "usr",
    /// A role given to a user at an organisation.
    BindingId "bnd",
    /// A group of users of one organisation.
    GroupId "grp",
    /// A custom policy.
    PolicyId "pol",
    /// A policy laid on an organisation and everything below it as a guard-rail.
    GuardRailId "grd",
    /// A cloud account that belongs to an organisation for a time.
    CloudLinkId "lnk",
    /// An identity provider.
    IdpId "idp",
    /// A second factor: an authenticator app or a passkey.
    FactorId "fac",
    /// A console session, as people see it; its secret is something else.
    SessionId "ses",
    /// An invitation to join an organisation.
    InvitationId "ivt",
    /// A linked upstream S3 account.
    AccountId "acc",
    /// A row of the name space: virtual bucket or folder to account, bucket and prefix.
    MappingId "map",
    /// A virtual S3 access key.
    AccessKeyId "key",
    /// An API token.
    TokenId "tok",
    /// One metered request.
    RequestId "req",
    /// A price agreement on an edge.
    AgreementId "agr",
    /// One execution of a run.
    RunId "run",
    /// A statement or an invoice.
    InvoiceId "inv",
    /// A ledger entry.
    EntryId "ent",
    /// A unit of background work.
    JobId "job",
}

impl RealmId {
    /// The root organisation of the realm.
    #[must_use]
    pub fn root(self) -> OrgId {
        OrgId(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_round_trips_and_keeps_order(a: u128, b: u128) {
            prop_assert_eq!(OrgId(a).to_string().parse::<OrgId>(), Ok(OrgId(a)));
            prop_assert_eq!(OrgId(a).to_string().cmp(&OrgId(b).to_string()), a.cmp(&b));
        }
    }

    #[test]
    fn refuses_other_kinds_and_broken_texts() {
        let org = OrgId(7).to_string();
        assert!(org.parse::<UserId>().is_err());
        assert!(org[..org.len() - 1].parse::<OrgId>().is_err());
        assert!("org_80000000000000000000000000".parse::<OrgId>().is_err());
        assert!("org_0000000000000000000000000u".parse::<OrgId>().is_err());
    }
}
