//! What callers send. Unknown fields are refused.

use serde::Deserialize;
use utoipa::ToSchema;

/// Who wants a token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewToken {
    /// E-mail address.
    pub(super) email: String,
    /// Password of the console.
    pub(super) password: String,
    /// A code of the authenticator app or a recovery code, for a person with a second factor.
    #[serde(default)]
    pub(super) code: String,
    /// What the token is for.
    #[serde(default = "token_name")]
    pub(super) name: String,
    /// Days that it lives: 1 to 365, 30 if left out.
    #[serde(default = "token_days")]
    pub(super) days: i64,
    /// Only there and below; everywhere its owner may act if left out.
    #[serde(default)]
    pub(super) scope_org: Option<String>,
    /// Patterns of actions that it may be used for; all that its owner may do if left out.
    #[serde(default = "all_actions")]
    pub(super) actions: Vec<String>,
}

pub(super) fn all_actions() -> Vec<String> {
    vec!["*".to_owned()]
}

fn token_name() -> String {
    "api".to_owned()
}

fn token_days() -> i64 {
    30
}

/// A child of an organisation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewOrg {
    /// Unique among its siblings.
    pub(super) name: String,
    /// `reseller`, `customer`, `department` or `project`.
    pub(super) kind: String,
    /// Address lines as printed on its papers.
    #[serde(default)]
    pub(super) address: Vec<String>,
    /// ISO 4217 code; the parent's if left out.
    #[serde(default)]
    pub(super) currency: Option<String>,
    /// IANA time zone; the parent's if left out.
    #[serde(default)]
    pub(super) zone: Option<String>,
    /// Short name, unique among its siblings; made from the name if left out.
    #[serde(default)]
    pub(super) slug: Option<String>,
    /// Its products; what the parent gives to new children if left out.
    #[serde(default)]
    pub(super) products: Option<Vec<String>>,
    /// The cost that its pages show first; what the parent says for new children if left out.
    #[serde(default)]
    pub(super) cost_default: Option<String>,
}

/// Somebody who is asked to join.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewInvitation {
    /// E-mail address.
    pub(super) email: String,
    /// Word of a built-in policy, such as `organization_admin`, `department_head` or `member`, or the id of a
    /// custom one.
    pub(super) policy: String,
    /// `self` or `subtree`; as far as the policy usually reaches if left out.
    #[serde(default)]
    pub(super) propagate: Option<String>,
}

/// The secret of an invitation's link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct HeldInvitation {
    pub(super) secret: String,
}

/// Somebody who accepts an invitation.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Acceptance {
    pub(super) secret: String,
    /// The password of the account, or a new one.
    pub(super) password: String,
    /// Name as shown, of somebody new.
    #[serde(default)]
    pub(super) name: String,
}

/// A virtual S3 access key.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewKey {
    /// What it is for.
    pub(super) name: String,
    /// Whose key; the caller's own if left out.
    #[serde(default)]
    pub(super) user: Option<String>,
}

/// An S3 account to link or to try.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewAccount {
    /// Name as shown; may be left out for a test.
    #[serde(default)]
    pub(super) name: String,
    /// `https://s3.example.net`, with port if needed.
    pub(super) endpoint: String,
    /// Region to sign for.
    #[serde(default = "region")]
    pub(super) region: String,
    /// `path` or `virtual_host`.
    #[serde(default = "style")]
    pub(super) style: String,
    /// The account's access key id.
    pub(super) access_key: String,
    /// The account's secret key. It is sealed and never shown again.
    pub(super) secret_key: String,
}

fn region() -> String {
    "us-east-1".to_owned()
}

fn style() -> String {
    "path".to_owned()
}

/// A row of the name space.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMapping {
    /// Only this user sees it; everybody at the organisation and below if left out.
    #[serde(default)]
    pub(super) user: Option<String>,
    /// Bucket as seen.
    pub(super) bucket: String,
    /// Folder in it, ending with `/`; the whole bucket if left out.
    #[serde(default)]
    pub(super) folder: String,
    /// The linked account.
    pub(super) account: String,
    /// Bucket there.
    pub(super) real_bucket: String,
    /// Prefix there, ending with `/`; the whole bucket if left out.
    #[serde(default)]
    pub(super) prefix: String,
    /// `write` or `read`.
    #[serde(default = "access")]
    pub(super) access: String,
    /// Yes to a place that others have mapped, too.
    #[serde(default)]
    pub(super) overlap: bool,
}

fn access() -> String {
    "write".to_owned()
}

/// A meter for one's own events.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewMeter {
    /// Lower-case words joined by dots: `vm.hours`.
    pub(super) code: String,
    /// Singular unit of the quantity: `hour`.
    pub(super) unit: String,
    /// How quantities are put together: `sum`.
    #[serde(default = "aggregation")]
    #[schema(value_type = String)]
    pub(super) aggregation: metering::Aggregation,
    /// Names that usage is rolled up by.
    #[serde(default)]
    pub(super) dimensions: Vec<String>,
}

fn aggregation() -> metering::Aggregation {
    metering::Aggregation::Sum
}

/// What an organisation pays its parent.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPrices {
    /// First month: `2026-10`.
    pub(super) month: String,
    /// The price book: `{"currency":"EUR","items":[…]}`.
    #[schema(value_type = Object)]
    pub(super) book: serde_json::Value,
}

/// A month to close.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct CloseMonth {
    /// `2026-10`.
    pub(super) month: String,
    /// Whether papers are issued, and not only drafted.
    #[serde(default)]
    pub(super) issue: bool,
}
