//! What of the outside world the program may speak to when people name an address.

use crate::failure::Failure;
use identity::guard::{Allowed, Host, Network, Target, check_address, check_answers, check_url};
use identity::{Rejected, dns};
use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;

/// The texts of a domain's TXT records, or why they cannot be had. Tests put their own in its place.
pub type TxtRecords =
    Arc<dyn Fn(String) -> Pin<Box<dyn Future<Output = Result<Vec<String>, String>> + Send>> + Send + Sync>;

/// Addresses that people may name, and how names are asked for.
#[derive(Clone)]
pub struct Outside {
    /// What may be spoken to besides public addresses by https.
    pub allowed: Allowed,
    /// TXT records of a domain.
    pub txt: TxtRecords,
}

impl Default for Outside {
    /// Public addresses only, and no names.
    fn default() -> Self {
        let txt: TxtRecords = Arc::new(|_| Box::pin(async { Err("no resolver is configured".to_owned()) }));
        Self { allowed: Allowed::default(), txt }
    }
}

/// Reads what the operator opens: networks such as `10.20.0.0/16`, and ports.
///
/// # Errors
/// [`Failure`] naming the network that is none.
pub fn allowed(networks: &[String], ports: &[u16]) -> Result<Allowed, Failure> {
    let networks: Vec<Network> = networks
        .iter()
        .map(|text| text.parse())
        .collect::<Result<_, Rejected>>()
        .map_err(|error| Failure::unreadable("network.allow", error))?;
    Ok(Allowed { loopback: networks.iter().any(Network::is_loopback), networks, ports: ports.to_vec() })
}

/// TXT records as these resolvers tell them. `id` gives a random number for each question.
pub fn txt_records(servers: Vec<SocketAddr>, id: impl Fn() -> u16 + Send + Sync + 'static) -> TxtRecords {
    Arc::new(move |name| {
        let (servers, id) = (servers.clone(), id());
        Box::pin(async move { dns::txt(&name, &servers, id).await.map_err(|error| error.to_string()) })
    })
}

impl Outside {
    /// The check of what the S3 client connects to. Plain http goes only to what the operator opened, wherever the
    /// name led when the account was linked.
    pub(crate) fn address_check(&self) -> s3::AddressCheck {
        let allowed = self.allowed.clone();
        Arc::new(move |destination: &s3::Destination<'_>| {
            for address in destination.addresses {
                check_address(*address, &allowed).map_err(|error| error.to_string())?;
                if !destination.is_https && !allowed.opens(*address) {
                    return Err(format!("{address} is spoken to by https only"));
                }
            }
            Ok(())
        })
    }

    /// Checks how an S3 endpoint is written, and its address if it is one. Plain http goes only to what the
    /// operator opened.
    pub(crate) fn check_endpoint(&self, endpoint: &str) -> Result<Target, Failure> {
        let refused = |error: Rejected| Failure::unreadable("endpoint", error);
        let target: Target = endpoint.parse().map_err(refused)?;
        let opened = match &target.host {
            Host::Address(address) => self.allowed.opens(*address),
            Host::Name(name) => !is_local(name) && (self.allowed.loopback || !self.allowed.networks.is_empty()),
        };
        if target.https || !opened {
            return check_url(endpoint, &self.allowed).map_err(refused);
        }
        if let Host::Address(address) = &target.host {
            check_address(*address, &self.allowed).map_err(refused)?;
        }
        Ok(target)
    }

    /// The same, and what its name leads to at this moment. What is connected to is checked once more, by then.
    pub(crate) async fn check_reach(&self, endpoint: &str) -> Result<(), Failure> {
        let refused = |error: Rejected| Failure::unreadable("endpoint", error);
        let target = self.check_endpoint(endpoint)?;
        let Host::Name(name) = &target.host else { return Ok(()) };
        // A name that leads nowhere is told by whoever connects.
        let Ok(answers) = tokio::net::lookup_host((name.as_str(), target.port)).await else { return Ok(()) };
        let answers: Vec<IpAddr> = answers.map(|answer| answer.ip()).collect();
        let all_opened = !answers.is_empty() && answers.iter().all(|address| self.allowed.opens(*address));
        let as_https = Target { https: target.https || all_opened, ..target.clone() };
        check_answers(&target.host, &answers, &as_https, &self.allowed).map(drop).map_err(refused)
    }
}

fn is_local(name: &str) -> bool {
    name == "localhost" || name.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The spellings that the guard's own test refuses.
    fn spellings() -> Vec<&'static str> {
        let text = include_str!("../../identity/tests/it/guard.rs");
        let (_, rest) = text.split_once("REFUSED_URLS: &str = \"").expect("the table is there");
        let (table, _) = rest.split_once("\";").expect("the table ends");
        table.split(['\n', '|']).map(|case| case.trim_matches(' ')).filter(|case| !case.is_empty()).collect()
    }

    #[tokio::test]
    async fn no_spelling_of_a_closed_address_is_an_endpoint() {
        let (outside, cases) = (Outside::default(), spellings());
        assert!(cases.len() >= 200, "{}", cases.len());
        for case in cases {
            assert!(outside.check_endpoint(case).is_err(), "{case}");
            assert!(outside.check_reach(case).await.is_err(), "{case}");
        }
    }

    #[tokio::test]
    async fn what_is_opened_is_reached() {
        let opened = |networks: &[&str]| {
            let networks: Vec<String> = networks.iter().map(|text| (*text).to_owned()).collect();
            Outside { allowed: allowed(&networks, &[]).unwrap(), ..Outside::default() }
        };
        let check = async |networks: &[&str], endpoint: &str, want: bool| {
            assert_eq!(opened(networks).check_reach(endpoint).await.is_ok(), want, "{networks:?} {endpoint}");
        };
        check(&[], "https://203.0.112.9", true).await;
        check(&["127.0.0.0/8"], "http://127.0.0.1:9000", true).await;
        check(&["127.0.0.0/8"], "http://localhost:9000", true).await;
        check(&["127.0.0.0/8"], "http://10.1.2.3:9000", false).await;
        check(&["127.0.0.0/8"], "http://203.0.112.9", false).await;
        check(&["10.0.0.0/8"], "http://10.1.2.3:9000", true).await;
        check(&["10.0.0.0/8"], "http://127.0.0.1:9000", false).await;
        check(&["0.0.0.0/8", "169.254.0.0/16"], "https://169.254.169.254", false).await;
    }

    #[test]
    fn names_are_checked_by_what_they_lead_to() {
        let check = |outside: &Outside, is_https: bool, addresses: &[&str]| {
            let addresses: Vec<IpAddr> = addresses.iter().map(|text| text.parse().unwrap()).collect();
            outside.address_check()(&s3::Destination { host: "s3.example", is_https, addresses: &addresses }).is_ok()
        };
        let closed = Outside::default();
        assert!(check(&closed, true, &["203.0.112.9"]));
        assert!(!check(&closed, true, &["203.0.112.9", "10.0.0.1"]));
        assert!(!check(&closed, true, &["169.254.169.254"]));
        // A name that led to an opened network and now leads elsewhere gets no plain http there.
        let opened = Outside { allowed: allowed(&["10.0.0.0/8".to_owned()], &[]).unwrap(), ..Outside::default() };
        assert!(check(&opened, false, &["10.0.0.1"]));
        assert!(!check(&opened, false, &["203.0.112.9"]));
        assert!(!check(&opened, false, &["10.0.0.1", "203.0.112.9"]));
    }
}
