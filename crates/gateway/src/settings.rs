//! What an operator may set.

use std::time::Duration;

/// Settings of a gateway.
#[derive(Clone)]
pub struct Settings {
    /// Domain of virtual-host style requests (`bucket.domain`); path style only when none.
    pub domain: Option<String>,
    /// Host names that clients use when a terminator in front rewrites `Host`.
    pub public_hosts: Vec<String>,
    /// `https://host` shown in `Location`; derived from the request's `Host` when none.
    pub public_url: Option<String>,
    /// The only region accepted in signatures; any when none.
    pub region: Option<String>,
    /// Key of continuation tokens, the same in every process of an installation.
    pub token_key: [u8; 32],
    /// A client that sends or takes nothing of a body for so long is gone.
    pub client_idle_max: Duration,
    /// Reverse proxies that say whom they speak for.
    pub proxies: app::Proxies,
    /// An upstream that sends or takes nothing of a body for so long is gone.
    pub upstream_idle_max: Duration,
    /// How long an upstream may work on a request before its answer begins. Completing an upload or
    /// copying a large object takes some stores minutes.
    pub answer_max: Duration,
    /// How long running requests may take after the stop; then they are cut off.
    pub drain_max: Duration,
}

impl Settings {
    /// Makes settings with path style, any region and the given token key.
    #[must_use]
    pub fn new(token_key: [u8; 32]) -> Self {
        Self {
            domain: None,
            public_hosts: Vec::new(),
            public_url: None,
            region: None,
            token_key,
            client_idle_max: Duration::from_secs(60),
            proxies: app::Proxies::default(),
            upstream_idle_max: Duration::from_secs(60),
            answer_max: Duration::from_secs(900),
            drain_max: Duration::from_secs(25),
        }
    }
}
