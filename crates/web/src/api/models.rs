//! Answers about people, organisations, keys and sources. Ids and times are texts.

use app::people::Person;
use app::rows;
use base::period::format_instant;
use billing::InvoiceKind;
use serde::Serialize;
use utoipa::ToSchema;

/// A page of a list.
#[derive(Serialize, ToSchema)]
pub(super) struct List<T> {
    /// The rows.
    pub(super) data: Vec<T>,
    /// Where the next page begins; send it back as `cursor`.
    pub(super) next_cursor: Option<String>,
    /// Whether there is a next page.
    pub(super) has_more: bool,
}

/// A failure, RFC 9457.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes what crate::problem and api::request write")]
pub(super) struct ProblemBody {
    /// Where the kind of failure is explained.
    #[serde(rename = "type")]
    kind: String,
    /// The status in words.
    title: String,
    /// The status.
    status: u16,
    /// What happened.
    detail: String,
    /// Short name of the kind of failure.
    code: String,
    /// Whether the same request may work later.
    retryable: bool,
    /// Fields at fault; left out when it is no field's fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    errors: Vec<FieldProblem>,
}

/// A field at fault.
#[derive(ToSchema)]
#[allow(dead_code, reason = "it describes what crate::problem and api::request write")]
pub(super) struct FieldProblem {
    /// Name of the field or JSON pointer to it.
    pointer: String,
    /// Short name of the kind of failure.
    code: String,
    /// What is wrong with it.
    detail: String,
}

/// An API token.
#[derive(Serialize, ToSchema)]
pub(super) struct Token {
    pub(super) id: String,
    /// What it is for.
    pub(super) name: String,
    pub(super) created_at: String,
    pub(super) expires_at: String,
    pub(super) revoked_at: Option<String>,
    /// Only there and below; everywhere if `null`.
    pub(super) scope_org: Option<String>,
    /// Patterns of actions that it may be used for.
    pub(super) actions: Vec<String>,
    /// Its first characters, by which people know it again.
    pub(super) prefix: String,
    /// To the minute.
    pub(super) last_used_at: Option<String>,
    /// The token itself, shown once: when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
}

impl From<rows::Token> for Token {
    fn from(row: rows::Token) -> Self {
        Self {
            id: row.id.to_string(),
            name: row.name,
            created_at: format_instant(row.created_us),
            expires_at: format_instant(row.expires_us),
            revoked_at: row.revoked_us.map(format_instant),
            scope_org: row.scope_org.map(|org| org.to_string()),
            actions: row.actions,
            prefix: row.prefix,
            last_used_at: row.last_used_us.map(format_instant),
            secret: None,
        }
    }
}

/// Who asks.
#[derive(Serialize, ToSchema)]
pub(super) struct Me {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) name: String,
    /// The organisation tree he lives in.
    pub(super) realm: String,
    /// Where he was made.
    pub(super) home_org: String,
    /// Organisations at which he has a role, highest first.
    pub(super) orgs: Vec<Org>,
}

/// An organisation.
#[derive(Serialize, ToSchema)]
pub(super) struct Org {
    pub(super) id: String,
    /// The organisation above it; `null` for the root.
    pub(super) parent: Option<String>,
    /// `provider`, `reseller`, `customer`, `department` or `project`.
    pub(super) kind: String,
    pub(super) name: String,
    /// Short name, unique among its siblings.
    pub(super) slug: String,
    /// `active`, `suspended`, `pending_deletion` or `deleted`: its own; what lies above it may say more.
    pub(super) state: String,
    /// Address lines as printed on its papers.
    pub(super) address: Vec<String>,
    /// ISO 4217 code of its papers.
    pub(super) currency: String,
    /// IANA time zone of its months.
    pub(super) zone: String,
    /// What it gets at the end of a month: `invoice` or `statement`.
    pub(super) paper: String,
    pub(super) created_at: String,
    /// The caller's own roles there; only in the list of his organisations.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) policies: Vec<String>,
}

impl From<rows::Org> for Org {
    fn from(row: rows::Org) -> Self {
        let paper = match row.invoice_kind {
            InvoiceKind::Invoice => "invoice",
            InvoiceKind::Statement => "statement",
        };
        Self {
            id: row.id.to_string(),
            parent: row.parent.map(|parent| parent.to_string()),
            kind: row.kind,
            name: row.name,
            slug: row.slug,
            state: row.state.code().to_owned(),
            address: row.address,
            currency: row.currency.to_string(),
            zone: row.zone.name().to_owned(),
            paper: paper.to_owned(),
            created_at: format_instant(row.created_us),
            policies: Vec::new(),
        }
    }
}

impl Org {
    /// An organisation with the caller's roles there.
    pub(super) fn of_mine(mine: app::orgs::Mine) -> Self {
        let policies = mine.policies.into_iter().map(|(policy, _)| policy.to_string()).collect();
        Self { policies, ..Self::from(mine.org) }
    }
}

/// A person.
#[derive(Serialize, ToSchema)]
pub(super) struct User {
    pub(super) id: String,
    pub(super) email: String,
    pub(super) name: String,
    /// `active` or `suspended`.
    pub(super) state: String,
    pub(super) home_org: String,
    pub(super) created_at: String,
    /// `human` or `service`.
    pub(super) kind: String,
    /// Where he is a member, as far as the caller may see the places.
    pub(super) memberships: Vec<MemberAt>,
    /// What he was given, as far as the caller may see the places.
    pub(super) policies: Vec<GivenAt>,
}

/// A membership.
#[derive(Serialize, ToSchema)]
pub(super) struct MemberAt {
    pub(super) org: String,
    pub(super) org_name: String,
    /// `active` or `suspended`.
    pub(super) state: String,
}

/// A policy that somebody was given at an organisation.
#[derive(Serialize, ToSchema)]
pub(super) struct GivenAt {
    /// The binding: what is named to take it away.
    pub(super) id: String,
    /// Word of a built-in policy or id of a custom one.
    pub(super) policy: String,
    pub(super) name: String,
    pub(super) org: String,
    pub(super) org_name: String,
    /// `self` or `subtree`.
    pub(super) propagate: String,
    pub(super) ends_at: Option<String>,
    /// Name of the group it came through.
    pub(super) group: Option<String>,
}

impl From<app::people::Given> for GivenAt {
    fn from(given: app::people::Given) -> Self {
        Self {
            id: given.id.to_string(),
            policy: given.policy.to_string(),
            name: given.name,
            org: given.org.to_string(),
            org_name: given.org_name,
            propagate: given.propagate.code().to_owned(),
            ends_at: given.not_after_us.map(format_instant),
            group: given.via,
        }
    }
}

impl From<Person> for User {
    fn from(person: Person) -> Self {
        let member_at =
            |(org, org_name, state): (base::OrgId, String, String)| MemberAt { org: org.to_string(), org_name, state };
        Self {
            id: person.user.id.to_string(),
            email: person.user.email,
            name: person.user.display_name,
            state: person.user.state,
            home_org: person.user.home_org.to_string(),
            created_at: format_instant(person.user.created_us),
            kind: person.user.kind,
            memberships: person.memberships.into_iter().map(member_at).collect(),
            policies: person.given.into_iter().map(GivenAt::from).collect(),
        }
    }
}

/// An invitation to an organisation.
#[derive(Serialize, ToSchema)]
pub(super) struct Invitation {
    pub(super) id: String,
    pub(super) org: String,
    pub(super) email: String,
    pub(super) policy: String,
    /// `self` or `subtree`.
    pub(super) propagate: String,
    /// `pending`, `accepted` or `cancelled`.
    pub(super) state: String,
    pub(super) created_at: String,
    pub(super) expires_at: String,
    /// The secret of the link, shown once: when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
}

impl From<rows::Invitation> for Invitation {
    fn from(row: rows::Invitation) -> Self {
        Self {
            id: row.id.to_string(),
            org: row.org.to_string(),
            email: row.email,
            policy: row.policy.to_string(),
            propagate: row.propagate.code().to_owned(),
            state: row.state,
            created_at: format_instant(row.created_us),
            expires_at: format_instant(row.expires_us),
            secret: None,
        }
    }
}

/// What an invitation offers.
#[derive(Serialize, ToSchema)]
pub(super) struct Offer {
    /// Name of the organisation.
    pub(super) org: String,
    /// Name of the person who invited; empty when it was the operator.
    pub(super) invited_by: String,
    /// The address that was invited.
    pub(super) email: String,
    /// Name of the policy that comes with it.
    pub(super) role: String,
    /// `self` or `subtree`.
    pub(super) propagate: String,
    pub(super) expires_at: String,
}

impl From<app::invitations::Offer> for Offer {
    fn from(offer: app::invitations::Offer) -> Self {
        Self {
            org: offer.org,
            invited_by: offer.invited_by,
            email: offer.email,
            role: offer.role,
            propagate: offer.propagate.code().to_owned(),
            expires_at: format_instant(offer.expires_us),
        }
    }
}

/// Who joined, and where.
#[derive(Serialize, ToSchema)]
pub(super) struct Joined {
    pub(super) realm: String,
    pub(super) user: String,
}

/// A virtual S3 access key.
#[derive(Serialize, ToSchema)]
pub(super) struct Key {
    /// The access key id.
    pub(super) key_id: String,
    /// Who is charged.
    pub(super) org: String,
    /// Who uses it.
    pub(super) user: String,
    pub(super) name: String,
    pub(super) created_at: String,
    pub(super) revoked_at: Option<String>,
    /// The secret access key, shown once: when it is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
}

impl From<rows::AccessKey> for Key {
    fn from(row: rows::AccessKey) -> Self {
        Self {
            key_id: row.key_id,
            org: row.org.to_string(),
            user: row.user.to_string(),
            name: row.name,
            created_at: format_instant(row.created_us),
            revoked_at: row.revoked_us.map(format_instant),
            secret: None,
        }
    }
}

/// A linked S3 account. Its secret never comes out.
#[derive(Serialize, ToSchema)]
pub(super) struct Account {
    pub(super) id: String,
    pub(super) org: String,
    pub(super) name: String,
    pub(super) endpoint: String,
    pub(super) region: String,
    /// `path` or `virtual_host`.
    pub(super) style: String,
    /// The account's access key id.
    pub(super) access_key: String,
    pub(super) created_at: String,
}

impl From<rows::Account> for Account {
    fn from(row: rows::Account) -> Self {
        Self {
            id: row.id.to_string(),
            org: row.org.to_string(),
            name: row.name,
            endpoint: row.endpoint,
            region: row.region,
            style: row.style,
            access_key: row.access_key,
            created_at: format_instant(row.created_us),
        }
    }
}

/// What a tried account answered.
#[derive(Serialize, ToSchema)]
pub(super) struct Tried {
    /// Its buckets.
    pub(super) buckets: Vec<String>,
}

/// What a sweep found and booked.
#[derive(Serialize, ToSchema)]
pub(super) struct Swept {
    /// Objects compared.
    pub(super) compared: u64,
    /// In the account, not in the index.
    pub(super) added: u64,
    /// In the index, not in the account.
    pub(super) removed: u64,
    /// With another size.
    pub(super) resized: u64,
    /// In another storage class, or another organisation's since its own gave them up.
    pub(super) moved: u64,
    /// Bytes booked, net.
    pub(super) bytes: i64,
    /// What the account does not list, in words.
    pub(super) unlisted: Vec<String>,
    /// The first of the differences, by bucket and key.
    pub(super) examples: Vec<String>,
}

impl From<rows::Drift> for Swept {
    fn from(drift: rows::Drift) -> Self {
        let rows::Drift { compared, added, removed, resized, moved, bytes, unlisted, examples } = drift;
        Self { compared, added, removed, resized, moved, bytes, unlisted, examples }
    }
}

/// A row of the name space.
#[derive(Serialize, ToSchema)]
pub(super) struct Mapping {
    pub(super) id: String,
    /// Everybody at this organisation or below sees it …
    pub(super) org: String,
    /// … or only this user.
    pub(super) user: Option<String>,
    /// Bucket as seen.
    pub(super) bucket: String,
    /// Folder in it; empty for the whole bucket.
    pub(super) folder: String,
    /// The S3 account behind it; hidden below the organisation that owns the account, like the two after it.
    pub(super) account: Option<String>,
    /// Bucket there.
    pub(super) real_bucket: Option<String>,
    /// Prefix there; empty for the whole bucket.
    pub(super) prefix: Option<String>,
    /// `write` or `read`.
    pub(super) access: String,
    pub(super) created_at: String,
}

/// A row of the name space that was removed.
#[derive(Serialize, ToSchema)]
pub(super) struct FormerMapping {
    /// The row as it was.
    #[serde(flatten)]
    pub(super) row: Mapping,
    /// `goes_on`: what is stored there is charged until it is gone; `stop`: not any more.
    pub(super) charge: String,
    pub(super) removed_at: String,
}

impl From<app::buckets::Former> for FormerMapping {
    fn from(former: app::buckets::Former) -> Self {
        Self {
            row: former.row.into(),
            charge: former.charge.code().to_owned(),
            removed_at: format_instant(former.removed_us),
        }
    }
}

impl From<app::buckets::Shown> for Mapping {
    fn from(row: app::buckets::Shown) -> Self {
        let behind = row.behind;
        Self {
            id: row.id.to_string(),
            org: row.org.to_string(),
            user: row.user.map(|user| user.to_string()),
            bucket: row.virtual_bucket,
            folder: row.folder,
            account: behind.as_ref().map(|behind| behind.account.to_string()),
            real_bucket: behind.as_ref().map(|behind| behind.real_bucket.clone()),
            prefix: behind.map(|behind| behind.prefix),
            access: row.access,
            created_at: format_instant(row.created_us),
        }
    }
}
