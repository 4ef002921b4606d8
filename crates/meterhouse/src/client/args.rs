//! Nouns, verbs and flags of the client commands.

use clap::{Args, Subcommand, ValueEnum};
use std::path::PathBuf;

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Format {
    /// For eyes; may change.
    #[default]
    Table,
    /// The answer of the API.
    Json,
    /// The columns of the table, for spreadsheets.
    Csv,
}

/// Flags of every command that asks a server.
#[derive(Args)]
pub(crate) struct Global {
    /// Address of the server; that of `meterhouse login` if left out.
    #[arg(long, global = true, value_name = "URL")]
    pub(super) url: Option<String>,
    /// File with an API token; that of `meterhouse login` if left out.
    #[arg(long, global = true, value_name = "FILE")]
    pub(super) token_file: Option<PathBuf>,
    /// Organisation; the highest at which you have a role if left out.
    #[arg(long, global = true, value_name = "ORG")]
    pub(super) org: Option<String>,
    /// How the answer is written.
    #[arg(short, long, global = true, value_enum, default_value_t)]
    pub(super) output: Format,
    /// Rows of a list.
    #[arg(long, global = true, default_value_t = 50)]
    pub(super) limit: usize,
    /// All rows of a list, however many.
    #[arg(long, global = true)]
    pub(super) all: bool,
}

/// A noun with its verbs.
#[derive(Args)]
pub(crate) struct Noun<V: Subcommand> {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) verb: V,
}

/// The commands that ask a server.
#[derive(Subcommand)]
pub(crate) enum ClientCommand {
    /// Sign in to a server and remember the token.
    Login(LoginArgs),
    /// Revoke the remembered token and forget it.
    Logout(Global),
    /// Show who the token belongs to.
    Whoami(Global),
    /// Organisations.
    Org(Noun<OrgVerb>),
    /// People.
    User(Noun<UserVerb>),
    /// S3 access keys.
    Key(Noun<KeyVerb>),
    /// Linked S3 accounts.
    Source(Noun<SourceVerb>),
    /// The name space: virtual buckets and what is behind them.
    Bucket(Noun<BucketVerb>),
    /// What can be measured.
    Meter(Noun<MeterVerb>),
    /// Usage: look at it, send it.
    Usage(Noun<UsageVerb>),
    /// Prices of an organisation.
    Price(Noun<PriceVerb>),
    /// Statements and invoices.
    Bill(Noun<BillVerb>),
    /// The audit log.
    Audit(Noun<AuditVerb>),
    /// Call the API directly.
    Api(ApiArgs),
}

/// Flags of `login`.
#[derive(Args)]
pub(crate) struct LoginArgs {
    /// Address of the server: `http://127.0.0.1:8080`.
    #[arg(value_name = "URL")]
    pub(super) address: String,
    /// E-mail address.
    #[arg(long)]
    pub(super) email: String,
    /// File with the password; else it is asked for, or read from standard input.
    #[arg(long, value_name = "FILE")]
    pub(super) password_file: Option<PathBuf>,
    /// File with a code of the authenticator app or a recovery code; else it is asked for when one is wanted.
    #[arg(long, value_name = "FILE")]
    pub(super) code_file: Option<PathBuf>,
    /// Days that the token lives.
    #[arg(long, default_value_t = 90)]
    pub(super) days: i64,
}

/// Verbs of `org`.
#[derive(Subcommand)]
pub(crate) enum OrgVerb {
    /// List the organisations at which you have a role.
    List,
    /// Show an organisation and everything below it.
    Tree,
    /// Create an organisation below another one.
    Create {
        /// Its name, unique among its siblings.
        name: String,
        /// reseller, customer, department or project.
        #[arg(long)]
        kind: String,
        /// A line of the address on its papers; may be given again.
        #[arg(long, value_name = "LINE")]
        address: Vec<String>,
        /// Currency of its papers; the parent's if left out.
        #[arg(long)]
        currency: Option<String>,
        /// Time zone of its months; the parent's if left out.
        #[arg(long)]
        zone: Option<String>,
    },
}

/// Verbs of `user`.
#[derive(Subcommand)]
pub(crate) enum UserVerb {
    /// List the people at an organisation and below.
    List,
    /// Invite somebody. The secret of the link is shown once.
    Invite {
        /// E-mail address.
        email: String,
        /// member, department_head, organization_admin ..., or the id of a custom policy.
        #[arg(long)]
        policy: String,
    },
    /// Take a person out of an organisation.
    Remove {
        /// The user's id.
        user: String,
    },
}

/// Verbs of `key`.
#[derive(Subcommand)]
pub(crate) enum KeyVerb {
    /// List the keys charged to an organisation and below.
    List {
        /// Only your own, everywhere.
        #[arg(long)]
        mine: bool,
    },
    /// Make a key. Its secret is shown once.
    Create {
        /// What it is for.
        name: String,
        /// Whose key; your own if left out.
        #[arg(long)]
        user: Option<String>,
    },
    /// Revoke a key at once.
    Revoke {
        /// The access key id.
        key_id: String,
    },
}

/// Verbs of `source`.
#[derive(Subcommand)]
pub(crate) enum SourceVerb {
    /// List the S3 accounts of an organisation and below.
    List,
    /// Link an S3 account, after it answered.
    Add(SourceAddArgs),
    /// Try a linked account: list its buckets.
    Test {
        /// The account's id.
        account: String,
    },
    /// Compare what is stored in an account with what was counted, and book the difference.
    Sweep {
        /// The account's id.
        account: String,
    },
}

/// Flags of `source add`.
#[derive(Args)]
pub(crate) struct SourceAddArgs {
    /// Name as shown.
    pub(super) name: String,
    /// `https://s3.example.net`, with port if needed.
    #[arg(long)]
    pub(super) endpoint: String,
    /// Region to sign for.
    #[arg(long, default_value = "us-east-1")]
    pub(super) region: String,
    /// path or virtual_host.
    #[arg(long, default_value = "path")]
    pub(super) style: String,
    /// The account's access key id.
    #[arg(long)]
    pub(super) access_key: String,
    /// File with the secret key; else it is asked for, or read from standard input.
    #[arg(long, value_name = "FILE")]
    pub(super) secret_file: Option<PathBuf>,
    /// Only try it; keep nothing.
    #[arg(long)]
    pub(super) test_only: bool,
}

/// Verbs of `bucket`.
#[derive(Subcommand)]
pub(crate) enum BucketVerb {
    /// List the rows made at an organisation and below.
    List,
    /// Map a virtual bucket, or a folder in it, to a bucket of an account.
    Map {
        /// Bucket as seen.
        bucket: String,
        /// The linked account.
        #[arg(long)]
        account: String,
        /// Bucket there.
        #[arg(long)]
        real_bucket: String,
        /// Folder in the virtual bucket, ending with /.
        #[arg(long, default_value = "")]
        folder: String,
        /// Prefix in the real bucket, ending with /.
        #[arg(long, default_value = "")]
        prefix: String,
        /// Only this user sees it.
        #[arg(long)]
        user: Option<String>,
        /// write or read.
        #[arg(long, default_value = "write")]
        access: String,
    },
    /// Remove a row. The objects stay where they are.
    Unmap {
        /// The row's id.
        mapping: String,
    },
}

/// Verbs of `meter`.
#[derive(Subcommand)]
pub(crate) enum MeterVerb {
    /// List the meters.
    List,
    /// Define a meter for your own events.
    Define {
        /// Lower-case words joined by dots: vm.hours.
        code: String,
        /// Singular unit of the quantity: hour.
        #[arg(long)]
        unit: String,
        /// A name that usage is rolled up by; may be given again.
        #[arg(long, value_name = "NAME")]
        dimension: Vec<String>,
    },
}

/// Verbs of `usage`.
#[derive(Subcommand)]
pub(crate) enum UsageVerb {
    /// Show the usage of a month.
    Show {
        /// `2026-10`; the current month if left out.
        #[arg(long)]
        month: Option<String>,
        /// Only this meter.
        #[arg(long)]
        meter: Option<String>,
        /// Only this user.
        #[arg(long)]
        user: Option<String>,
        /// What is kept apart, joined by commas: org, user, dimensions.
        #[arg(long)]
        by: Option<String>,
        /// Cut into local days.
        #[arg(long)]
        daily: bool,
    },
    /// Send CloudEvents: one, a JSON array or one a line.
    Send {
        /// The file, or - for standard input.
        file: PathBuf,
    },
}

/// Verbs of `price`.
#[derive(Subcommand)]
pub(crate) enum PriceVerb {
    /// Show what an organisation (--org) pays its parent, newest version first.
    Get,
    /// Set what an organisation (--org) pays its parent.
    Set {
        /// The price book as JSON, or - for standard input.
        file: PathBuf,
        /// First month: 2026-10.
        #[arg(long)]
        month: String,
    },
}

/// Verbs of `bill`.
#[derive(Subcommand)]
pub(crate) enum BillVerb {
    /// Rate a month below an organisation and draft, or issue, its papers.
    Close {
        /// `2026-10`.
        #[arg(long)]
        month: String,
        /// Issue the papers: from then on they cannot change.
        #[arg(long)]
        issue: bool,
    },
    /// List the papers to an organisation and below.
    List,
    /// Show a paper.
    Get {
        /// The paper's id.
        paper: String,
    },
    /// Save a paper as PDF.
    Pdf {
        /// The paper's id.
        paper: String,
        /// The file, or - for standard output; PAPER.pdf if left out.
        file: Option<PathBuf>,
    },
    /// Save the lines of a paper as CSV.
    Csv {
        /// The paper's id.
        paper: String,
        /// The file, or - for standard output; PAPER.csv if left out.
        file: Option<PathBuf>,
    },
    /// Show the usage records that make a line.
    Records {
        /// The paper's id.
        paper: String,
        /// Number of the line.
        line: u32,
    },
}

/// Verbs of `audit`.
#[derive(Subcommand)]
pub(crate) enum AuditVerb {
    /// List the newest entries at an organisation and below.
    List,
    /// Check that no entry was changed or taken out.
    Verify,
}

/// Flags of `api`.
#[derive(Args)]
pub(crate) struct ApiArgs {
    #[command(flatten)]
    pub(super) global: Global,
    /// GET, POST, PUT or DELETE.
    pub(super) method: String,
    /// Path with query: /v1/me.
    pub(super) path: String,
    /// Body: a text, @FILE, or - for standard input.
    #[arg(short, long, value_name = "BODY")]
    pub(super) data: Option<String>,
    /// Media type of the body.
    #[arg(long, default_value = "application/json")]
    pub(super) content_type: String,
}
