//! The calls to a provider, through the guard.

use crate::Rejected;
use crate::fetch::{Basic, FetchError, Fetched, Fetcher};
use crate::guard::Target;
use crate::oidc::{Claims, Client, KeySet, OidcError, Provider, TokenAnswer, TokenRequest, discovery_url};

/// Why a call failed.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The network, the guard, or a status.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What was answered.
    #[error(transparent)]
    Oidc(#[from] OidcError),
}

impl From<Rejected> for CallError {
    fn from(error: Rejected) -> Self {
        Self::Oidc(error.into())
    }
}

async fn document(fetcher: &Fetcher, url: &str) -> Result<Fetched, CallError> {
    let fetched = fetcher.get(url).await?;
    if fetched.status == 200 { Ok(fetched) } else { Err(status(url, fetched.status)) }
}

fn status(url: &str, status: u16) -> CallError {
    match url.parse::<Target>() {
        Ok(target) => FetchError::Status { host: target.host.to_string(), path: target.path, status }.into(),
        Err(error) => error.into(),
    }
}

/// Fetches a provider's discovery document.
///
/// # Errors
/// [`CallError`].
pub async fn discover(fetcher: &Fetcher, issuer: &str) -> Result<Provider, CallError> {
    let fetched = document(fetcher, &discovery_url(issuer, fetcher.allowed())?).await?;
    Ok(Provider::read(issuer, &fetched.body, fetcher.allowed())?)
}

/// Fetches a provider's keys, and says for how many seconds they may be kept if the provider does.
///
/// # Errors
/// [`CallError`].
pub async fn keys(fetcher: &Fetcher, provider: &Provider) -> Result<(KeySet, Option<u64>), CallError> {
    let fetched = document(fetcher, &provider.jwks_uri).await?;
    Ok((KeySet::read(&fetched.body)?, fetched.max_age_s))
}

/// Exchanges a code for tokens.
///
/// # Errors
/// [`CallError`].
pub async fn exchange(
    fetcher: &Fetcher,
    provider: &Provider,
    client: &Client<'_>,
    code: &str,
    verifier: &str,
) -> Result<TokenAnswer, CallError> {
    let request = TokenRequest::new(provider, client, code, verifier);
    let fields: Vec<(&str, &str)> = request.fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let basic = request.basic.as_ref().map(|(name, secret)| Basic { name, secret });
    let fetched = fetcher.post_form(&provider.token_endpoint, &fields, basic).await?;
    Ok(TokenAnswer::read(fetched.status, &fetched.body)?)
}

/// Asks the userinfo endpoint for what the ID token left out. A provider without one leaves the claims as
/// they are.
///
/// # Errors
/// [`CallError`].
pub async fn complete(
    fetcher: &Fetcher,
    provider: &Provider,
    claims: Claims,
    access_token: &str,
    groups_claim: Option<&str>,
) -> Result<Claims, CallError> {
    let Some(url) = &provider.userinfo_endpoint else { return Ok(claims) };
    let fetched = fetcher.get_as(url, access_token).await?;
    if fetched.status != 200 {
        return Err(status(url, fetched.status));
    }
    Ok(claims.complete(&fetched.body, groups_claim)?)
}
