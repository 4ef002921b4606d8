//! Domains that organisations claim: a TXT record shows that a domain is theirs, and only then may their
//! identity provider speak for addresses in it.

use crate::authority::{Cx, Operator};
use crate::failure::{Failure, Kind};
use crate::secrets;
use access::Action;
use access::tree::OrgState;
use base::OrgId;
use identity::guard::Host;
use store::domains::{self, Claim};
use store::{Tx, across, idps};

const DAY_US: i64 = 86_400_000_000;
/// Domains of one organisation at most.
const CLAIMS_MAX: usize = 50;
/// A claim that nobody verified for so long makes way for another one.
const UNVERIFIED_US: i64 = 7 * DAY_US;
/// The record stands below this label, so that it disturbs no other.
const LABEL: &str = "_meterhouse";

/// Where the TXT record of a domain must stand.
#[must_use]
pub fn record_name(domain: &str) -> String {
    format!("{LABEL}.{domain}")
}

/// The domain of an address, as DNS asks for it.
pub(crate) fn domain_of(email: &str) -> Option<String> {
    let (_, domain) = email.trim().rsplit_once('@')?;
    Some(base::text::domain_key(domain)).filter(|domain| !domain.is_empty())
}

fn read(text: &str) -> Result<String, Failure> {
    let text = text.trim().trim_end_matches('.');
    let wrong = || Failure::invalid("domain", text, "is not a domain such as example.com");
    match base::text::domain_key(text).parse::<Host>() {
        Ok(Host::Name(name)) if name.contains('.') && !name.contains('_') => Ok(name),
        _ => Err(wrong()),
    }
}

/// Domains that an organisation claims.
///
/// # Errors
/// [`Failure`].
pub async fn list(cx: &Cx, org: OrgId) -> Result<Vec<Claim>, Failure> {
    let mut tx = cx.read(Action::IdpRead, org).await?;
    Ok(domains::at_org(&mut tx, org).await?)
}

/// Claims a domain. Its record must say the challenge before it counts.
///
/// # Errors
/// [`Kind::Conflict`] with the code `domain_taken` when the tree has it already.
pub async fn claim(cx: &Cx, org: OrgId, domain: &str) -> Result<Claim, Failure> {
    let domain = read(domain)?;
    let mut tx = cx.change(Action::IdpWrite, org).await?;
    if domains::at_org(&mut tx, org).await?.len() >= CLAIMS_MAX {
        return Err(Failure::conflict(format!("an organisation can claim {CLAIMS_MAX} domains")));
    }
    if let Some(known) = domains::get(&mut tx, &domain).await? {
        let is_old = known.verified_us.is_none() && known.created_us + UNVERIFIED_US <= cx.now_us();
        if !is_old {
            let text = format!("domain: {domain:?} is claimed in this tree already");
            return Err(Failure::conflict(text).coded("domain_taken"));
        }
        domains::delete(&mut tx, known.org, &domain).await?;
        let detail = serde_json::json!({ "reason": "never verified" });
        tx.note(known.org, "domain.lapse", &domain, detail).await?;
    }
    let claim = Claim {
        challenge: format!("meterhouse-domain={}", secrets::random_text(cx.app.world.as_ref(), 24)),
        domain,
        org,
        verified_us: None,
        created_us: cx.now_us(),
    };
    domains::insert(&mut tx, &claim).await?;
    tx.done(org, "domain.claim", &claim.domain, serde_json::json!({})).await?;
    Ok(claim)
}

/// Looks for the record of a claimed domain.
///
/// # Errors
/// [`Kind::Upstream`] with what was found instead.
pub async fn verify(cx: &Cx, org: OrgId, domain: &str) -> Result<Claim, Failure> {
    let domain = read(domain)?;
    let grant = cx.allow(Action::IdpWrite, org).await?;
    let mut tx = cx.read_with(&grant).await?;
    let claim = of(&mut tx, org, &domain).await?;
    drop(tx);
    let name = record_name(&domain);
    let records = (cx.app.outside.txt)(name.clone()).await;
    let records = records.map_err(|reason| Failure::new(Kind::Upstream, format!("{name}: {reason}")))?;
    if !records.contains(&claim.challenge) {
        let found: Vec<String> = records.iter().take(5).map(|text| text.chars().take(80).collect()).collect();
        let found = if found.is_empty() { "nothing".to_owned() } else { format!("{found:?}") };
        let text = format!("{name}: the TXT record should say {:?}, it says {found}", claim.challenge);
        return Err(Failure::new(Kind::Upstream, text));
    }
    let mut tx = cx.change_with(&grant).await?;
    let claim = of(&mut tx, org, &domain).await?;
    domains::verify(&mut tx, &domain, cx.now_us()).await?;
    tx.done(org, "domain.verify", &domain, serde_json::json!({ "how": "dns" })).await?;
    Ok(Claim { verified_us: Some(cx.now_us()), ..claim })
}

async fn of(tx: &mut Tx, org: OrgId, domain: &str) -> Result<Claim, Failure> {
    let found = domains::get(tx, domain).await?.filter(|claim| claim.org == org);
    found.ok_or_else(|| Failure::not_found("domain"))
}

/// Whether the tree has an organisation that is not deleted.
async fn is_in_use(tx: &mut Tx, org: OrgId) -> bool {
    store::orgs::get(tx, org).await.is_ok_and(|found| found.state != OrgState::Deleted)
}

/// Takes the operator's word, given at the machine itself, that a domain belongs to whoever claims it. Trees do not
/// know each other: if several claim it, `org` says which claim is meant. Named, it also takes the place of somebody
/// else in its tree who claims the domain and never showed that it is his. Runs beside a server on the same store.
///
/// # Errors
/// [`Kind::NotFound`] when nobody claims it; [`Kind::Conflict`] with the claims when there are several, and for a
/// domain that is another's by proof.
pub async fn verify_by_operator(operator: &Operator, domain: &str, org: Option<OrgId>) -> Result<Claim, Failure> {
    let domain = read(domain)?;
    let mut found = Vec::new();
    for (realm, _) in across::realms(operator.store()).await? {
        let mut tx = operator.read(realm).await?;
        let Some(claim) = domains::get(&mut tx, &domain).await? else { continue };
        match org {
            Some(org) if claim.org != org && !is_in_use(&mut tx, org).await => {}
            _ => found.push((realm, claim)),
        }
    }
    let (realm, claim) = match found.as_slice() {
        [] => return Err(Failure::new(Kind::NotFound, format!("domain: nobody claims {domain:?}; they do so first"))),
        [one] => one.clone(),
        several => {
            let orgs: Vec<String> = several.iter().map(|(_, claim)| claim.org.to_string()).collect();
            let text = format!("domain: {domain:?} is claimed by {}; say which with --org", orgs.join(" and "));
            return Err(Failure::conflict(text));
        }
    };
    let mut tx = operator.change(realm, realm.root()).await?;
    let now_us = tx.now_us();
    let standing = domains::get(&mut tx, &domain).await?.filter(|now| now.org == claim.org);
    let mut claim = standing.ok_or_else(|| Failure::not_found("domain"))?;
    if let Some(org) = org.filter(|org| *org != claim.org) {
        if claim.verified_us.is_some() {
            let text = format!("domain: {domain:?} is verified for {}; it is released there first", claim.org);
            return Err(Failure::conflict(text));
        }
        domains::delete(&mut tx, claim.org, &domain).await?;
        let detail = serde_json::json!({ "reason": "the operator vouched for another organisation" });
        tx.note(claim.org, "domain.lapse", &domain, detail).await?;
        claim.org = org;
        domains::insert(&mut tx, &claim).await?;
    }
    domains::verify(&mut tx, &domain, now_us).await?;
    let detail = serde_json::json!({ "how": "operator" });
    tx.done(claim.org, "domain.verify", &domain, detail).await?;
    Ok(Claim { verified_us: Some(now_us), ..claim })
}

/// Gives a domain up.
///
/// # Errors
/// [`Kind::NotFound`].
pub async fn release(cx: &Cx, org: OrgId, domain: &str) -> Result<(), Failure> {
    let domain = read(domain)?;
    let mut tx = cx.change(Action::IdpWrite, org).await?;
    if domains::delete(&mut tx, org, &domain).await? == 0 {
        return Err(Failure::not_found("domain"));
    }
    tx.done(org, "domain.release", &domain, serde_json::json!({})).await
}

/// Whether a provider may speak for an address: its domain was shown to belong to an organisation that this
/// provider serves.
pub(crate) async fn speaks_for(tx: &mut Tx, idp: &idps::Idp, email: &str) -> Result<bool, Failure> {
    let Some(domain) = domain_of(email) else { return Ok(false) };
    let Some(claim) = domains::get(tx, &domain).await?.filter(|claim| claim.verified_us.is_some()) else {
        return Ok(false);
    };
    Ok(idps::serving(tx, claim.org).await?.is_some_and(|found| found.id == idp.id))
}
