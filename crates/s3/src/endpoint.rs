//! Where an upstream is and how it is addressed.

use std::fmt;

/// How a bucket is named in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// `https://host/bucket/key`.
    Path,
    /// `https://bucket.host/key`.
    VirtualHost,
}

/// An upstream account with its endpoint.
#[derive(Clone, PartialEq, Eq)]
pub struct Upstream {
    /// TLS or not.
    pub https: bool,
    /// Host, with the port when it is not the scheme's own.
    pub authority: String,
    /// Region of the signature scope.
    pub region: String,
    /// How buckets are named.
    pub style: Style,
    /// Public id of the account's key.
    pub access_key_id: String,
    /// The account's secret.
    pub secret: String,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The secret stays out of logs.
        write!(f, "Upstream({} as {} in {})", self.endpoint(), self.access_key_id, self.region)
    }
}

/// A text that is not an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("endpoint {text:?} is not of the form https://host or http://host:port, without a path")]
pub struct EndpointError {
    /// What was given.
    pub text: String,
}

impl Upstream {
    /// Reads `https://host[:port]` and joins it with the account's key.
    pub fn new(
        endpoint: &str,
        region: &str,
        style: Style,
        access_key_id: &str,
        secret: &str,
    ) -> Result<Self, EndpointError> {
        let (https, authority) = parse_endpoint(endpoint)?;
        Ok(Self {
            https,
            authority,
            region: region.to_owned(),
            style,
            access_key_id: access_key_id.to_owned(),
            secret: secret.to_owned(),
        })
    }

    /// The endpoint as a URL without a path.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("{}://{}", if self.https { "https" } else { "http" }, self.authority)
    }

    /// The `Host` of requests to a bucket; an empty bucket means the account itself.
    #[must_use]
    pub fn host(&self, bucket: &str) -> String {
        match self.style {
            Style::VirtualHost if !bucket.is_empty() => format!("{bucket}.{}", self.authority),
            _ => self.authority.clone(),
        }
    }

    /// The path of a bucket or an object, `raw_key` in the canonical encoding.
    #[must_use]
    pub fn path(&self, bucket: &str, raw_key: &str) -> String {
        match self.style {
            _ if bucket.is_empty() => "/".to_owned(),
            Style::VirtualHost => format!("/{raw_key}"),
            Style::Path if raw_key.is_empty() => format!("/{bucket}"),
            Style::Path => format!("/{bucket}/{raw_key}"),
        }
    }
}

/// Splits an endpoint into TLS or not, and the authority without the scheme's own port.
pub fn parse_endpoint(text: &str) -> Result<(bool, String), EndpointError> {
    let refused = || EndpointError { text: text.to_owned() };
    let (https, rest) = match (text.strip_prefix("https://"), text.strip_prefix("http://")) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return Err(refused()),
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest).to_ascii_lowercase();
    let parsed: http::uri::Authority = authority.parse().map_err(|_| refused())?;
    if parsed.host().is_empty() || authority.contains('@') {
        return Err(refused());
    }
    let own_port = if https { ":443" } else { ":80" };
    Ok((https, authority.strip_suffix(own_port).unwrap_or(&authority).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        assert_eq!(parse_endpoint("https://S3.example.com/"), Ok((true, "s3.example.com".to_owned())));
        assert_eq!(parse_endpoint("https://s3.example.com:443"), Ok((true, "s3.example.com".to_owned())));
        assert_eq!(parse_endpoint("http://127.0.0.1:8333"), Ok((false, "127.0.0.1:8333".to_owned())));
        for bad in ["", "s3.example.com", "ftp://x", "https://", "https://a/b", "https://u@h"] {
            assert!(parse_endpoint(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn styles() {
        let mut upstream = Upstream::new("https://h", "r", Style::Path, "k", "s").unwrap();
        assert_eq!((upstream.host("b"), upstream.path("b", "k%20")), ("h".to_owned(), "/b/k%20".to_owned()));
        upstream.style = Style::VirtualHost;
        assert_eq!((upstream.host("b"), upstream.path("b", "k")), ("b.h".to_owned(), "/k".to_owned()));
        assert_eq!((upstream.host(""), upstream.path("", "")), ("h".to_owned(), "/".to_owned()));
    }
}
