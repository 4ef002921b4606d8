//! What each command of keys, sources, meters and the log asks, and what it shows.

use super::args::{
    ApiArgs, AuditFilterArgs, AuditVerb, BucketVerb, ClientCommand, Global, KeyVerb, LoginArgs, MeterVerb,
    SourceAddArgs, SourceVerb,
};
use super::context::{self, Context};
use super::http::{Api, Call, encode};
use super::money;
use super::output::{self, Column};
use super::session::{Session, read_input};
use super::{rights, tree};
use crate::Exit;
use crate::init::read_secret;
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::path::Path;

const ME: [Column; 5] =
    [("ID", "/id"), ("EMAIL", "/email"), ("NAME", "/name"), ("REALM", "/realm"), ("HOME", "/home_org")];
const KEYS: [Column; 7] = [
    ("KEY", "/key_id"),
    ("NAME", "/name"),
    ("USER", "/user"),
    ("ORG", "/org"),
    ("CREATED", "/created_at"),
    ("REVOKED", "/revoked_at"),
    ("SECRET", "/secret"),
];
const SOURCES: [Column; 6] = [
    ("ID", "/id"),
    ("NAME", "/name"),
    ("ENDPOINT", "/endpoint"),
    ("REGION", "/region"),
    ("ACCESS KEY", "/access_key"),
    ("ORG", "/org"),
];
const TRIED: [Column; 1] = [("BUCKETS", "/buckets")];
const SWEPT: [Column; 5] = [
    ("COMPARED", "/compared"),
    ("ADDED", "/added"),
    ("REMOVED", "/removed"),
    ("RESIZED", "/resized"),
    ("BYTES", "/bytes"),
];
const FORMER: [Column; 7] = [
    ("ID", "/id"),
    ("ORG", "/org"),
    ("BUCKET", "/bucket"),
    ("FOLDER", "/folder"),
    ("CHARGE", "/charge"),
    ("REAL BUCKET", "/real_bucket"),
    ("REMOVED", "/removed_at"),
];
const BUCKETS: [Column; 9] = [
    ("ID", "/id"),
    ("BUCKET", "/bucket"),
    ("FOLDER", "/folder"),
    ("ORG", "/org"),
    ("USER", "/user"),
    ("ACCOUNT", "/account"),
    ("REAL BUCKET", "/real_bucket"),
    ("PREFIX", "/prefix"),
    ("ACCESS", "/access"),
];
const METERS: [Column; 4] =
    [("CODE", "/code"), ("UNIT", "/unit"), ("AGGREGATION", "/aggregation"), ("DIMENSIONS", "/dimensions")];
const AUDIT: [Column; 6] = [
    ("SEQ", "/seq"),
    ("AT", "/at"),
    ("ACTOR", "/actor"),
    ("ACTION", "/action"),
    ("TARGET", "/target"),
    ("DETAIL", "/detail"),
];
const VERIFIED: [Column; 3] = [("SOUND", "/sound"), ("ENTRIES", "/entries"), ("FIRST BAD", "/first_bad")];

/// Runs a command; the result is the exit code.
pub(super) async fn dispatch(command: ClientCommand) -> Result<u8, Exit> {
    match command {
        ClientCommand::Login(args) => login(args).await,
        ClientCommand::Logout(global) => logout(global).await,
        ClientCommand::Whoami(global) => {
            let session = Session::open(global)?;
            let me = session.ask("/v1/me").await?;
            session.show(&me, &ME)
        }
        ClientCommand::Org(noun) => tree::org(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Product(noun) => tree::product(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::User(noun) => rights::user(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Group(noun) => rights::group(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Policy(noun) => rights::policy(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Token(noun) => rights::token(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Service(noun) => rights::service(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Link(noun) => tree::link(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Cost(noun) => money::cost(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Key(noun) => key(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Source(noun) => source(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Bucket(noun) => bucket(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Meter(noun) => meter(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Usage(noun) => money::usage(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Price(noun) => money::price(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Bill(noun) => money::bill(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Audit(noun) => audit(Session::open(noun.global)?, noun.verb).await,
        ClientCommand::Api(args) => api(args).await,
    }
}

async fn login(args: LoginArgs) -> Result<u8, Exit> {
    let file = context::path()?;
    let server = Api::new(&args.address, None)?;
    let password = read_secret("Password", args.password_file.as_ref())?;
    let mut body = json!({ "email": args.email, "password": password, "name": "meterhouse CLI", "days": args.days });
    if let Some(file) = &args.code_file {
        body["code"] = read_secret("Code", Some(file))?.into();
    }
    let mut reply = server.exchange(&Call::post("/v1/tokens", &body).only_once()).await?;
    if reply.wants_code() && args.code_file.is_none() {
        body["code"] = read_secret("Code of your authenticator app, or a recovery code", None)?.into();
        reply = server.exchange(&Call::post("/v1/tokens", &body).only_once()).await?;
    }
    let token = reply.or_refusal()?.json()?;
    let (Some(id), Some(secret)) = (token["id"].as_str(), token["secret"].as_str()) else {
        return Err(Exit::failed("the server answered without a token"));
    };
    let url = args.address.trim().trim_end_matches('/').to_owned();
    context::save(&file, &Context { url, token_id: id.to_owned(), token: secret.to_owned() })?;
    let until = token["expires_at"].as_str().unwrap_or("its end");
    eprintln!("Signed in until {until}; the token is in {}. Next: meterhouse org list", file.display());
    Ok(0)
}

async fn logout(global: Global) -> Result<u8, Exit> {
    let file = context::path()?;
    let Some(kept) = context::load(&file)? else {
        eprintln!("Nobody is signed in.");
        return Ok(0);
    };
    let session = Session::open(Global { url: None, token_file: None, ..global })?;
    let revoked = session.send(Call::delete(format!("/v1/tokens/{}", encode(&kept.token_id)))).await;
    context::remove(&file)?;
    match revoked {
        Ok(_) => eprintln!("The token is revoked and forgotten."),
        // A token that was revoked or has ended is no reason to keep it.
        Err(exit) if exit.code == 3 || exit.code == 4 => eprintln!("The token had ended already; it is forgotten."),
        Err(exit) => return Err(Exit { text: format!("forgotten here, but not revoked: {}", exit.text), ..exit }),
    }
    Ok(0)
}

async fn key(session: Session, verb: KeyVerb) -> Result<u8, Exit> {
    match verb {
        KeyVerb::List { mine: true } => session.list("/v1/me/keys", &[], &KEYS).await,
        KeyVerb::List { mine: false } => {
            session.list(&format!("/v1/orgs/{}/keys", session.org().await?), &[], &KEYS).await
        }
        KeyVerb::Create { name, user } => {
            let path = format!("/v1/orgs/{}/keys", session.org().await?);
            session.change(Call::post(path, &json!({ "name": name, "user": user })), &KEYS).await
        }
        KeyVerb::Revoke { key_id, sure } => {
            let said = [
                format!("Every program that uses {key_id} is refused at once."),
                "It cannot be taken back: whoever needs access again gets a new key.".to_owned(),
            ];
            if !session.goes_on(sure, &said)? {
                return Ok(0);
            }
            session.quietly(Call::delete(format!("/v1/keys/{}", encode(&key_id))), "The key is revoked.").await
        }
    }
}

async fn source(session: Session, verb: SourceVerb) -> Result<u8, Exit> {
    match verb {
        SourceVerb::List => {
            session.list(&format!("/v1/orgs/{}/s3-accounts", session.org().await?), &[], &SOURCES).await
        }
        SourceVerb::Add(args) => source_add(session, args).await,
        SourceVerb::Test { account } => {
            let path = format!("/v1/s3-accounts/{}/test", encode(&account));
            session.change(Call::post(path, &Value::Null), &TRIED).await
        }
        SourceVerb::Sweep { account } => {
            let path = format!("/v1/s3-accounts/{}/sweep", encode(&account));
            session.change(Call::post(path, &Value::Null).slow(), &SWEPT).await
        }
    }
}

async fn source_add(session: Session, args: SourceAddArgs) -> Result<u8, Exit> {
    let body = json!({
        "name": args.name,
        "endpoint": args.endpoint,
        "region": args.region,
        "style": args.style,
        "access_key": args.access_key,
        "secret_key": read_secret("Secret key", args.secret_file.as_ref())?,
    });
    let path = format!("/v1/orgs/{}/s3-accounts", session.org().await?);
    if args.test_only {
        return session.change(Call::post(format!("{path}/test"), &body), &TRIED).await;
    }
    session.change(Call::post(path, &body), &SOURCES).await
}

async fn bucket(session: Session, verb: BucketVerb) -> Result<u8, Exit> {
    let org = session.org().await?;
    let (path, former) = (format!("/v1/orgs/{org}/buckets"), format!("/v1/orgs/{org}/former-buckets"));
    match verb {
        BucketVerb::List => session.list(&path, &[], &BUCKETS).await,
        BucketVerb::Map { bucket, account, real_bucket, folder, prefix, user, access, overlap } => {
            let body = json!({
                "bucket": bucket, "account": account, "real_bucket": real_bucket, "folder": folder,
                "prefix": prefix, "user": user, "access": access, "overlap": overlap,
            });
            session.change(Call::post(path, &body), &BUCKETS).await
        }
        BucketVerb::Unmap { mapping, stop_charge } => {
            let (charge, says) = if stop_charge {
                ("stop", "The row is removed; the objects stay where they are and are charged no more.")
            } else {
                ("goes_on", "The row is removed; the objects stay where they are and are charged until they are gone.")
            };
            let call = Call::delete(format!("{path}/{}?charge={charge}", encode(&mapping)));
            session.quietly(call, says).await
        }
        BucketVerb::Former => session.list(&former, &[], &FORMER).await,
        BucketVerb::StopCharge { mapping } => {
            let call = Call::post(format!("{former}/{}/stop", encode(&mapping)), &json!({}));
            session.quietly(call, "What is stored there is charged no more.").await
        }
    }
}

async fn meter(session: Session, verb: MeterVerb) -> Result<u8, Exit> {
    match verb {
        MeterVerb::List => session.list("/v1/meters", &[], &METERS).await,
        MeterVerb::Define { code, unit, dimension } => {
            let body = json!({ "code": code, "unit": unit, "dimensions": dimension });
            session.change(Call::post("/v1/meters", &body), &METERS).await
        }
    }
}

fn filter_query(filter: &AuditFilterArgs) -> Vec<(&'static str, &str)> {
    let named = [
        ("action", &filter.action),
        ("actor", &filter.actor),
        ("target", &filter.target),
        ("outcome", &filter.outcome),
        ("since", &filter.since),
    ];
    named.into_iter().filter_map(|(name, value)| Some((name, value.as_deref()?))).collect()
}

async fn audit(session: Session, verb: AuditVerb) -> Result<u8, Exit> {
    match verb {
        AuditVerb::List(filter) => {
            let query = filter_query(&filter);
            session.list(&format!("/v1/orgs/{}/audit", session.org().await?), &query, &AUDIT).await
        }
        AuditVerb::Export { file, format, filter } => {
            let mut body = json!({ "format": format });
            for (name, value) in filter_query(&filter) {
                body[name] = value.into();
            }
            let path = format!("/v1/orgs/{}/audit/export", session.org().await?);
            let reply = session.send(Call::post(path, &body).slow()).await?;
            money::save(&file, &reply.bytes)
        }
        AuditVerb::Verify => {
            let answer = session.ask("/v1/audit/verify").await?;
            session.show(&answer, &VERIFIED)?;
            if answer["sound"] == Value::Bool(true) {
                return Ok(0);
            }
            let text = format!("the audit log is not whole: entry {} does not fit", answer["first_bad"]);
            Err(Exit { code: 9, text })
        }
    }
}

async fn api(args: ApiArgs) -> Result<u8, Exit> {
    let unfit = |_| Exit::usage(format!("{:?} is not a method such as GET", args.method));
    let method = Method::from_bytes(args.method.to_uppercase().as_bytes()).map_err(unfit)?;
    if !args.path.starts_with('/') {
        return Err(Exit::usage(format!("{:?} is not a path such as /v1/me", args.path)));
    }
    let body = match args.data.as_deref() {
        None => Bytes::new(),
        Some("-") => read_input(Path::new("-"))?,
        Some(text) => match text.strip_prefix('@') {
            Some(file) => read_input(Path::new(file))?,
            None => Bytes::from(text.to_owned()),
        },
    };
    let media = if args.data.is_some() { args.content_type.as_str() } else { "" };
    let session = Session::open(args.global)?;
    let reply = session.exchange(&Call::new(method, args.path.as_str(), media, body).slow()).await?;
    output::write(&reply.bytes)?;
    if reply.code() != 0 {
        eprintln!("meterhouse: the server answered {}", reply.status);
    }
    Ok(reply.code())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    #[command(version, propagate_version = true)]
    struct Cli {
        #[command(subcommand)]
        _command: ClientCommand,
    }

    fn check(line: &str, good: bool) {
        assert_eq!(Cli::try_parse_from(line.split_whitespace()).is_ok(), good, "{line}");
    }

    #[test]
    fn commands_are_noun_and_verb() {
        <Cli as clap::CommandFactory>::command().debug_assert();
        check("m login http://127.0.0.1:8080 --email a@b.c", true);
        check("m login http://127.0.0.1:8080 --email a@b.c --password x", false);
        check("m org list -o json --all", true);
        check("m -o json org list", false);
        check("m org --org org_1 tree", true);
        check("m org create Physics --kind department --address One --address Two", true);
        check("m source add s3 --endpoint http://x --access-key AK --secret-key SK", false);
        check("m bucket map photos --account acc_1 --real-bucket real", true);
        check("m usage show --by org,user --daily --month 2026-10", true);
        check("m price set - --month 2026-10 --org org_1", true);
        check("m bill close --month 2026-10 --issue -o csv", true);
        check("m bill close --month 2026-10 --issue --dry-run", true);
        check("m bill close --month 2026-10 --issue --dry-run --yes", false);
        check("m key revoke MH1 --yes", true);
        check("m group delete grp_1 --dry-run", true);
        check("m org list --fields id,name", true);
        check("m bill pdf inv_1", true);
        check("m api GET /v1/me", true);
        check("m api POST /v1/meters -d @meter.json", true);
        check("m org get --org org_1", true);
        check("m org set --org org_1 --mfa-policy required --token-days-max 30", true);
        check("m org set --org org_1", false);
        check("m org move --org org_1 --to org_2", false);
        check("m org move --org org_1 --to org_2 --dry-run", true);
        check("m org delete --org org_1", false);
        check("m org delete --org org_1 --confirm Physics --cascade", true);
        check("m org suspend --org org_1 --confirm Physics", true);
        check("m user shut usr_1", false);
        check("m user suspend usr_1 --everywhere", true);
        check("m group add grp_1 usr_1", true);
        check("m policy bind auditor --user usr_1 --propagate self", true);
        check("m policy bind auditor", false);
        check("m policy bind auditor --user usr_1 --group grp_1", false);
        check("m policy delete pol_1 --detach", false);
        check("m policy guard lay pol_1 --org org_1", true);
        check("m policy update pol_1 file.json --if-version 3", true);
        check("m policy who-can invoice:read --org org_1", true);
        check("m token create ci --action usage:* --days 30", true);
        check("m token create ci --password x", false);
        check("m service token usr_1 ci --action usage:send", true);
        check("m product set s3 off --org org_1", true);
        check("m product set s3 maybe --org org_1", false);
        check("m cost show --month 2026-10 --sort charged -o csv", true);
        check("m link hand-over lnk_1 --to org_2", true);
        check("m audit export - --format csv --outcome deny", true);
        check("m org", false);
        check("m orgs list", false);
    }
}
