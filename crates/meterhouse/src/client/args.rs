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
    /// Only these fields of the answer, such as id or total.amount: one row a line, tabs between. For scripts.
    #[arg(long, global = true, value_name = "NAMES", value_delimiter = ',')]
    pub(super) fields: Vec<String>,
    /// Rows of a list.
    #[arg(long, global = true, default_value_t = 50)]
    pub(super) limit: usize,
    /// All rows of a list, however many.
    #[arg(long, global = true)]
    pub(super) all: bool,
}

/// Flags of acts that stop something or cannot be taken back: what they do is said first, then asked about.
#[derive(Args, Debug, Clone, Copy)]
pub(crate) struct Sure {
    /// Only say what would happen.
    #[arg(long, conflicts_with = "yes")]
    pub(super) dry_run: bool,
    /// Do it without asking.
    #[arg(long)]
    pub(super) yes: bool,
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
    /// Products of an organisation.
    Product(Noun<ProductVerb>),
    /// People.
    User(Noun<UserVerb>),
    /// Groups of people.
    Group(Noun<GroupVerb>),
    /// Policies: what they say, who has them, who can do what.
    Policy(Noun<PolicyVerb>),
    /// API tokens.
    Token(Noun<TokenVerb>),
    /// Programs and their tokens.
    Service(Noun<ServiceVerb>),
    /// Cloud accounts and whose they are.
    Link(Noun<LinkVerb>),
    /// Costs and margin of a month.
    Cost(Noun<CostVerb>),
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
    /// List the organisations at which you have something.
    List,
    /// Show an organisation.
    Get,
    /// Show an organisation and everything below it.
    Tree,
    /// List the direct children with their accounts and people.
    Children,
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
        /// Short name; made from the name if left out.
        #[arg(long)]
        slug: Option<String>,
        /// A product that it gets: s3, cloudstack, cloud_bills or store_front; may be given again.
        #[arg(long, value_name = "PRODUCT")]
        product: Vec<String>,
        /// Cost that its pages show first: list, contracted, billed, effective or charged.
        #[arg(long, value_name = "COST")]
        cost_default: Option<String>,
    },
    /// Change settings of an organisation (--org). What is left out stays.
    Set(OrgSetArgs),
    /// Move an organisation (--org) with everything below it.
    Move {
        /// Its new parent.
        #[arg(long, value_name = "ORG")]
        to: String,
        /// Only say what would change.
        #[arg(long)]
        dry_run: bool,
        /// Name of the organisation, typed once more.
        #[arg(long, value_name = "NAME", required_unless_present = "dry_run")]
        confirm: Option<String>,
    },
    /// Suspend an organisation (--org) and everything below it.
    Suspend {
        /// What the S3 gateway does: deny, read_only or continue.
        #[arg(long, default_value = "deny", value_name = "RULE")]
        gateway: String,
        /// Name of the organisation, typed once more.
        #[arg(long, value_name = "NAME")]
        confirm: String,
    },
    /// End a suspension (--org).
    Resume,
    /// Delete an organisation (--org). For thirty days it can be restored.
    Delete {
        /// Also everything below it.
        #[arg(long)]
        cascade: bool,
        /// Leave usage that no paper holds yet unbilled.
        #[arg(long)]
        without_final_invoice: bool,
        /// Name of the organisation, typed once more.
        #[arg(long, value_name = "NAME")]
        confirm: String,
    },
    /// Take a deletion back (--org).
    Restore,
}

/// Flags of `org set`.
#[derive(Args)]
#[group(required = true, multiple = true, id = "settings")]
pub(crate) struct OrgSetArgs {
    /// Name.
    #[arg(long, group = "settings")]
    pub(super) name: Option<String>,
    /// A line of the address on its papers; may be given again.
    #[arg(long, value_name = "LINE", group = "settings")]
    pub(super) address: Vec<String>,
    /// Cost that its pages show first.
    #[arg(long, value_name = "COST", group = "settings")]
    pub(super) cost_default: Option<String>,
    /// The same for new children.
    #[arg(long, value_name = "COST", group = "settings")]
    pub(super) child_cost_default: Option<String>,
    /// Second factor of its people: off, optional or required.
    #[arg(long, value_name = "WORD", group = "settings")]
    pub(super) mfa_policy: Option<String>,
    /// Days that a token may live at most.
    #[arg(long, value_name = "DAYS", group = "settings")]
    pub(super) token_days_max: Option<i64>,
    /// A product of new children; may be given again.
    #[arg(long, value_name = "PRODUCT", group = "settings")]
    pub(super) child_product: Vec<String>,
    /// A cost that its people may be shown, decided by its parent; may be given again.
    #[arg(long, value_name = "COST", group = "settings")]
    pub(super) visible_cost: Vec<String>,
    /// own or inherited: who runs it, decided from above.
    #[arg(long, value_name = "MODE", group = "settings")]
    pub(super) admin_mode: Option<String>,
}

/// Verbs of `product`.
#[derive(Subcommand)]
pub(crate) enum ProductVerb {
    /// List the products of an organisation.
    List,
    /// Grant or withhold a product (--org); decided by its parent.
    Set {
        /// s3, cloudstack, cloud_bills or store_front.
        product: String,
        /// on or off.
        #[arg(value_parser = ["on", "off"])]
        state: String,
        #[command(flatten)]
        sure: Sure,
    },
}

/// Verbs of `group`.
#[derive(Subcommand)]
pub(crate) enum GroupVerb {
    /// List the groups of an organisation.
    List,
    /// Make a group.
    Create {
        /// Its name.
        name: String,
    },
    /// Delete a group: its people lose what they had by it.
    Delete {
        /// The group's id.
        group: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Put a member of the organisation into a group.
    Add {
        /// The group's id.
        group: String,
        /// The user's id.
        user: String,
    },
    /// Take somebody out of a group.
    Remove {
        /// The group's id.
        group: String,
        /// The user's id.
        user: String,
    },
}

/// Verbs of `policy`.
#[derive(Subcommand)]
pub(crate) enum PolicyVerb {
    /// List the custom policies that can be given at an organisation.
    List {
        /// The built-in ones instead.
        #[arg(long)]
        built_in: bool,
        /// Those that you can give there.
        #[arg(long, conflicts_with = "built_in")]
        givable: bool,
    },
    /// Show a custom policy.
    Get {
        /// Its id.
        policy: String,
    },
    /// Make a custom policy. It gives nobody anything until it is bound.
    Create {
        /// Its name.
        name: String,
        /// The document as JSON, or - for standard input.
        file: PathBuf,
        /// org or resource; fixed once it exists.
        #[arg(long, default_value = "org")]
        level: String,
    },
    /// Change a custom policy for everybody who holds it.
    Update {
        /// Its id.
        policy: String,
        /// The document as JSON, or - for standard input.
        file: PathBuf,
        /// Another name.
        #[arg(long)]
        name: Option<String>,
        /// Only if the version is still this one; the newest if left out.
        #[arg(long, value_name = "VERSION")]
        if_version: Option<i64>,
    },
    /// Delete a custom policy.
    Delete {
        /// Its id.
        policy: String,
        /// Take it from everybody who holds it.
        #[arg(long, requires = "confirm")]
        detach: bool,
        /// Name of the policy, typed once more.
        #[arg(long, value_name = "NAME")]
        confirm: Option<String>,
    },
    /// Say who can do something at an organisation, and why.
    WhoCan {
        /// invoice:read.
        action: String,
        /// The single thing, as service:id.
        #[arg(long, default_value = "")]
        resource: String,
        /// As if this document were given to them.
        #[arg(long, value_name = "FILE", requires = "user")]
        draft: Option<PathBuf>,
        /// Only about this user.
        #[arg(long)]
        user: Option<String>,
    },
    /// Give a policy at an organisation.
    Bind {
        /// Word of a built-in policy or id of a custom one.
        policy: String,
        /// To this user ...
        #[arg(long, required_unless_present = "group", conflicts_with = "group")]
        user: Option<String>,
        /// ... or to this group.
        #[arg(long)]
        group: Option<String>,
        /// self or subtree; as far as the policy usually reaches if left out.
        #[arg(long)]
        propagate: Option<String>,
        /// Only on this, as service:id; may be given again.
        #[arg(long, value_name = "PATTERN")]
        resource: Vec<String>,
        /// From this instant on.
        #[arg(long, value_name = "INSTANT")]
        not_before: Option<String>,
        /// Until this instant.
        #[arg(long, value_name = "INSTANT")]
        not_after: Option<String>,
    },
    /// Take a policy away.
    Unbind {
        /// The binding's id.
        binding: String,
    },
    /// Guard-rails: what they deny is denied to everybody at and below an organisation.
    #[command(subcommand)]
    Guard(GuardVerb),
}

/// Verbs of `policy guard`.
#[derive(Subcommand)]
pub(crate) enum GuardVerb {
    /// List the guard-rails on the way to an organisation.
    List,
    /// Lay a custom policy on an organisation.
    Lay {
        /// The policy's id.
        policy: String,
    },
    /// Lift a guard-rail that the organisation laid.
    Lift {
        /// The guard-rail's id.
        guard: String,
    },
}

/// Verbs of `token`.
#[derive(Subcommand)]
pub(crate) enum TokenVerb {
    /// List your own tokens.
    List {
        /// Those of everybody that are scoped to an organisation (--org) or below it.
        #[arg(long)]
        of_org: bool,
    },
    /// Make a token of your own. It is shown once.
    Create {
        /// What it is for.
        name: String,
        /// Days that it lives.
        #[arg(long, default_value_t = 90)]
        days: i64,
        /// Only there and below.
        #[arg(long, value_name = "ORG")]
        scope_org: Option<String>,
        /// What it may be used for, such as usage:*; may be given again. All if left out.
        #[arg(long, value_name = "PATTERN")]
        action: Vec<String>,
        /// File with the password; else it is asked for, or read from standard input.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
    },
    /// Revoke a token of your own.
    Revoke {
        /// The token's id.
        token: String,
        /// One of somebody else, scoped to an organisation (--org) or below it.
        #[arg(long)]
        of_org: bool,
    },
}

/// Verbs of `service`.
#[derive(Subcommand)]
pub(crate) enum ServiceVerb {
    /// List the services of an organisation and below.
    List,
    /// Make a service.
    Create {
        /// Its name.
        name: String,
        /// What it is for.
        #[arg(long, default_value = "")]
        description: String,
    },
    /// Make a token of a service. It is shown once.
    Token {
        /// The service's id.
        service: String,
        /// What the token is for.
        name: String,
        /// Days that it lives.
        #[arg(long, default_value_t = 90)]
        days: i64,
        /// What it may be used for, such as usage:send; may be given again.
        #[arg(long, value_name = "PATTERN", required = true)]
        action: Vec<String>,
    },
}

/// Verbs of `link`.
#[derive(Subcommand)]
pub(crate) enum LinkVerb {
    /// List the cloud accounts of an organisation and below, past ones included.
    List,
    /// Connect a cloud account to an organisation.
    Add {
        /// s3, cloudstack, aws, azure, gcp or other.
        provider: String,
        /// The account's own name at the provider.
        account: String,
        /// Name as shown.
        #[arg(long)]
        name: String,
        /// From this instant on; now if left out.
        #[arg(long, value_name = "INSTANT")]
        from: Option<String>,
    },
    /// Hand an account over to another organisation.
    HandOver {
        /// The connection's id.
        link: String,
        /// Who gets it.
        #[arg(long, value_name = "ORG")]
        to: String,
        /// From the first of this month on; the next one if left out.
        #[arg(long)]
        month: Option<String>,
    },
    /// End a connection now. Its history stays.
    End {
        /// The connection's id.
        link: String,
    },
}

/// Verbs of `cost`.
#[derive(Subcommand)]
pub(crate) enum CostVerb {
    /// Show what a month costs, in the columns that you may see.
    Show {
        /// `2026-10`.
        #[arg(long)]
        month: String,
        /// Largest of this column first.
        #[arg(long, default_value = "")]
        sort: String,
        /// Only rows above: charged>100.
        #[arg(long, default_value = "")]
        filter: String,
    },
    /// Show what an organisation charges below, owes above, and keeps.
    Margin {
        /// `2026-10`.
        #[arg(long)]
        month: String,
    },
}

/// Verbs of `user`.
#[derive(Subcommand)]
pub(crate) enum UserVerb {
    /// List the people at an organisation and below, by address.
    List {
        /// Only those with this in name or address, in any case.
        #[arg(long, value_name = "TEXT")]
        search: Option<String>,
    },
    /// Invite somebody. The secret of the link is shown once.
    Invite {
        /// E-mail address.
        email: String,
        /// member, department_head, organization_admin ..., or the id of a custom policy.
        #[arg(long)]
        policy: String,
        /// self or subtree; as far as the policy usually reaches if left out.
        #[arg(long)]
        propagate: Option<String>,
    },
    /// List the invitations that wait.
    Invitations,
    /// Withdraw an invitation.
    Uninvite {
        /// The invitation's id.
        invitation: String,
    },
    /// Make somebody of the tree a member of one more organisation.
    AddMember {
        /// The user's id.
        user: String,
        /// What he gets with it.
        #[arg(long, default_value = "member")]
        policy: String,
    },
    /// Take a person out of an organisation.
    Remove {
        /// The user's id.
        user: String,
        #[command(flatten)]
        sure: Sure,
    },
    /// Change a person's name.
    Rename {
        /// The user's id.
        user: String,
        /// The name.
        name: String,
    },
    /// Suspend a membership, or the whole account.
    Suspend {
        /// The user's id.
        user: String,
        /// The account, and not only the membership at one organisation.
        #[arg(long)]
        everywhere: bool,
    },
    /// Open it again.
    Resume {
        /// The user's id.
        user: String,
        /// The account, and not only the membership at one organisation.
        #[arg(long)]
        everywhere: bool,
    },
    /// Make a link for somebody who lost his password or second factors: good once, for a day, shown once.
    Reset {
        /// The user's id.
        user: String,
    },
    /// Shut an account for good.
    Shut {
        /// The user's id.
        user: String,
        /// E-mail address of the person, or name of the service, typed once more.
        #[arg(long, value_name = "NAME")]
        confirm: String,
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
        #[command(flatten)]
        sure: Sure,
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
        /// Yes to a place that others have mapped, too.
        #[arg(long)]
        overlap: bool,
    },
    /// Remove a row. The objects stay where they are.
    Unmap {
        /// The row's id.
        mapping: String,
        /// Charge for what is stored there no more.
        #[arg(long)]
        stop_charge: bool,
    },
    /// List the rows that were removed, as long as something is stored there.
    Former,
    /// Charge no more for what is stored below a row that was removed.
    StopCharge {
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
        #[command(flatten)]
        sure: Sure,
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
    /// List entries at an organisation and below, newest first.
    List(AuditFilterArgs),
    /// Export entries; the export is noted in the log.
    Export {
        /// The file, or - for standard output.
        file: PathBuf,
        /// jsonl or csv.
        #[arg(long, default_value = "jsonl")]
        format: String,
        #[command(flatten)]
        filter: AuditFilterArgs,
    },
    /// Check that no entry was changed or taken out.
    Verify,
}

/// Which entries of the log.
#[derive(Args)]
pub(crate) struct AuditFilterArgs {
    /// Only this action: user.remove.
    #[arg(long)]
    pub(super) action: Option<String>,
    /// Only this user's.
    #[arg(long)]
    pub(super) actor: Option<String>,
    /// Only on this thing.
    #[arg(long)]
    pub(super) target: Option<String>,
    /// Only allow or deny.
    #[arg(long)]
    pub(super) outcome: Option<String>,
    /// Not before this instant.
    #[arg(long, value_name = "INSTANT")]
    pub(super) since: Option<String>,
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
