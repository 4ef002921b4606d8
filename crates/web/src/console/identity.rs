//! How people of an organisation sign in: its provider, the domains that are its own, who waits to be let in, and
//! at the top the accounts for emergencies.

use super::frame::{
    Answer, Empty, Menu, NavItem, Page, Says, TREE_TABS, go, may, mendable, org_of, parse, show_with, tabs,
};
use crate::Web;
use crate::auth::Visitor;
use access::Action;
use app::idps::{self, Emergency};
use app::rows::{Claim, Idp, Org, User};
use app::{Cx, Failure, domains};
use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, Query};
use axum::http::StatusCode;
use axum::routing::{get, post};
use base::Zone;
use serde::Deserialize;

pub(super) fn router() -> Router<Web> {
    Router::new()
        .route("/o/{org}/identity", get(identity))
        .route("/o/{org}/identity/domains", post(claim))
        .route("/o/{org}/identity/domains/{domain}/verify", post(verify))
        .route("/o/{org}/identity/domains/{domain}/release", post(release))
        .route("/o/{org}/identity/waiting/{waiting}/let-in", post(let_in))
        .route("/o/{org}/identity/waiting/{waiting}/turn-away", post(turn_away))
        .route("/o/{org}/identity/break-glass", post(mark))
}

/// The provider, for people.
struct ProviderFacts {
    name: String,
    issuer: String,
    active: bool,
    enforced: bool,
    words: Vec<&'static str>,
}

struct DomainRow {
    domain: String,
    record: String,
    challenge: String,
    verified: String,
    href: String,
}

struct WaitingRow {
    name: String,
    said: String,
    since: String,
    href: String,
}

#[derive(Template)]
#[template(path = "console/identity.html")]
struct IdentityPage {
    page: Page,
    says: Says,
    tabs: Vec<NavItem>,
    base: String,
    provider: Option<ProviderFacts>,
    no_provider: Empty,
    domains: Vec<DomainRow>,
    no_domains: Empty,
    waiting: Vec<WaitingRow>,
    /// Admins at the top; empty elsewhere.
    emergencies: Vec<Emergency>,
    writes: bool,
    lets_in: bool,
    /// The domain as it was typed.
    domain: String,
}

/// What the page says, and what was typed.
#[derive(Default)]
struct Shown {
    says: Says,
    domain: String,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Done {
    done: String,
}

fn words_of_done(done: &str) -> Says {
    match done {
        "saved" => Says::good("The provider is saved."),
        "deleted" => Says::good("The provider is deleted. Whoever could sign in with nothing else is shut out."),
        "verified" => Says::good("The record is there: the domain is verified."),
        "in" => Says::good("Let in. They can sign in with the provider now."),
        "away" => Says::good("Turned away."),
        _ => Says::default(),
    }
}

async fn identity(visitor: Visitor, Path(org): Path<String>, Query(query): Query<Done>) -> Answer {
    let org = org_of(&visitor, &org).await?;
    let shown = Shown { says: words_of_done(&query.done), ..Shown::default() };
    identity_page(&visitor, &org, StatusCode::OK, shown).await
}

fn facts_of(idp: Idp) -> ProviderFacts {
    let settings = &idp.settings;
    let said = [
        (settings.enforced, "People it serves sign in with it only, but for accounts for emergencies."),
        (settings.vouches_for_domains, "Addresses of proven domains count as verified where it does not say."),
        (settings.trusted_for_mfa, "Its word counts as a second factor."),
        (!settings.groups_claim.is_empty(), "It brings people into groups."),
        (settings.authoritative, "Groups that came by sign-in go when it no longer names them."),
    ];
    ProviderFacts {
        name: idp.name,
        active: idp.state == "active",
        enforced: settings.enforced,
        words: said.into_iter().filter_map(|(holds, words)| holds.then_some(words)).collect(),
        issuer: idp.issuer,
    }
}

fn domain_row(base: &str, claim: Claim, zone: &Zone) -> DomainRow {
    DomainRow {
        record: domains::record_name(&claim.domain),
        challenge: claim.challenge,
        verified: claim.verified_us.map(|at_us| zone.time_of(at_us)).unwrap_or_default(),
        href: format!("{base}/domains/{}", claim.domain),
        domain: claim.domain,
    }
}

fn waiting_row(base: &str, user: User, zone: &Zone) -> WaitingRow {
    WaitingRow {
        name: user.display_name,
        said: user.description,
        since: zone.time_of(user.created_us),
        href: format!("{base}/waiting/{}", user.id),
    }
}

async fn no_provider(cx: &Cx, org: &Org, writes: bool) -> Result<Empty, Failure> {
    let text = match idps::inherited(cx, org.id).await? {
        None => "People sign in with passwords and passkeys. With a provider that speaks OpenID Connect they sign in \
                 with the account they have at work."
            .to_owned(),
        Some(name) => {
            format!("{name} of an organisation above serves this one too. A provider of its own takes its place.")
        }
    };
    let href = if writes { format!("/o/{}/identity/provider", org.id) } else { String::new() };
    Ok(Empty { title: "No provider of its own", text, href, label: "Set up a provider" })
}

async fn identity_page(visitor: &Visitor, org: &Org, status: StatusCode, shown: Shown) -> Answer {
    let cx = &visitor.0.cx;
    let base = format!("/o/{}/identity", org.id);
    let writes = may(cx, Action::IdpWrite, org.id).await;
    let provider = idps::get(cx, org.id).await?.map(facts_of);
    let domains = domains::list(cx, org.id).await?;
    let waiting = idps::pending(cx, org.id).await.unwrap_or_default();
    let emergencies = if org.parent.is_none() { idps::emergencies(cx, org.id).await? } else { Vec::new() };
    let page = IdentityPage {
        page: Page::at(visitor, org, Menu::Tree, "Sign-in").await,
        says: shown.says,
        tabs: tabs(cx, org.id, TREE_TABS, "identity").await,
        provider,
        no_provider: no_provider(cx, org, writes).await?,
        domains: domains.into_iter().map(|claim| domain_row(&base, claim, &org.zone)).collect(),
        no_domains: Empty::nothing_yet("No domain is claimed yet.", "", ""),
        waiting: waiting.into_iter().map(|user| waiting_row(&base, user, &org.zone)).collect(),
        emergencies,
        writes,
        lets_in: may(cx, Action::UserInvite, org.id).await,
        domain: shown.domain,
        base,
    };
    show_with(status, &page)
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct PlainForm {
    csrf: String,
    domain: String,
    mark: String,
    unmark: String,
}

/// Back to the page, or the page with what went wrong and what was typed.
async fn after(visitor: &Visitor, org: &Org, result: Result<(), Failure>, (done, form): (&str, PlainForm)) -> Answer {
    match result {
        Ok(()) => go(&format!("/o/{}/identity{done}", org.id)),
        Err(failure) => {
            let (status, says) = mendable(failure)?;
            identity_page(visitor, org, status, Shown { says, domain: form.domain }).await
        }
    }
}

async fn claim(visitor: Visitor, Path(org): Path<String>, Form(form): Form<PlainForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let result = domains::claim(&visitor.0.cx, org.id, &form.domain).await.map(drop);
    after(&visitor, &org, result, ("", form)).await
}

async fn verify(visitor: Visitor, Path((org, domain)): Path<(String, String)>, Form(form): Form<PlainForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let result = domains::verify(&visitor.0.cx, org.id, &domain).await.map(drop);
    after(&visitor, &org, result, ("?done=verified", form)).await
}

async fn release(visitor: Visitor, Path((org, domain)): Path<(String, String)>, Form(form): Form<PlainForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let result = domains::release(&visitor.0.cx, org.id, &domain).await;
    after(&visitor, &org, result, ("", form)).await
}

async fn let_in(visitor: Visitor, Path((org, waiting)): Path<(String, String)>, Form(form): Form<PlainForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let result = idps::let_in(&visitor.0.cx, org.id, parse(&waiting, "user")?).await.map(drop);
    after(&visitor, &org, result, ("?done=in", form)).await
}

async fn turn_away(
    visitor: Visitor,
    Path((org, waiting)): Path<(String, String)>,
    Form(form): Form<PlainForm>,
) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let result = idps::turn_away(&visitor.0.cx, org.id, parse(&waiting, "user")?).await;
    after(&visitor, &org, result, ("?done=away", form)).await
}

/// Marks an admin for emergencies, or takes the mark away.
async fn mark(visitor: Visitor, Path(org): Path<String>, Form(form): Form<PlainForm>) -> Answer {
    visitor.check_csrf(&form.csrf)?;
    let org = org_of(&visitor, &org).await?;
    let (on, user) = if form.mark.is_empty() { (false, &form.unmark) } else { (true, &form.mark) };
    let result = idps::set_emergency(&visitor.0.cx, org.id, parse(user, "user")?, on).await;
    after(&visitor, &org, result, ("", form)).await
}
