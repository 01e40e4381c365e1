//! Addresses of schedulers as people write them.

use std::{fmt, str::FromStr};

use crate::error::ClientError;

/// Where a scheduler listens: `tcp://host:port`, `host:port` or just `host` (port 8786).
///
/// ```
/// use dasklet_client::Address;
///
/// let address: Address = "tcp://scheduler:8786".parse()?;
/// assert_eq!(address, "scheduler".parse()?);
/// assert_eq!(address.to_string(), "tcp://scheduler:8786");
/// assert!("tcp://scheduler:many".parse::<Address>().is_err());
/// # Ok::<(), dasklet_client::ClientError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

/// The port of a scheduler unless another is given.
pub const DEFAULT_PORT: u16 = 8786;

impl Address {
    /// The value of `DASK_SCHEDULER_ADDRESS`.
    ///
    /// # Errors
    /// It is not set, or is no address.
    pub fn from_environment() -> Result<Self, ClientError> {
        match std::env::var("DASK_SCHEDULER_ADDRESS") {
            Ok(text) if !text.is_empty() => text.parse(),
            _ => Err(ClientError::BadAddress {
                address: String::new(),
                reason: "no address is given and DASK_SCHEDULER_ADDRESS is not set".to_owned(),
            }),
        }
    }

    /// As a URI of gRPC.
    pub(crate) fn uri(&self) -> String {
        format!("http://{}:{}", self.host, self.port)
    }
}

impl FromStr for Address {
    type Err = ClientError;

    fn from_str(text: &str) -> Result<Self, ClientError> {
        let bad = |reason: &str| ClientError::BadAddress {
            address: text.to_owned(),
            reason: reason.to_owned(),
        };
        let rest = match text.trim().split_once("://") {
            Some(("tcp", rest)) => rest,
            Some((scheme, _)) => {
                return Err(bad(&format!("the scheme '{scheme}' is not supported")));
            }
            None => text.trim(),
        };
        let rest = rest.trim_end_matches('/');
        let (host, port) = match rest.rsplit_once(':') {
            // A bare IPv6 address has colons but no port.
            Some((host, _)) if host.contains(':') && !host.ends_with(']') => (rest, None),
            Some((host, port)) => (host, Some(port)),
            None => (rest, None),
        };
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c == '/') {
            return Err(bad("the host is missing or not a name"));
        }
        let port = match port {
            Some(port) => port.parse().map_err(|_| bad("the port is not a number below 65536"))?,
            None => DEFAULT_PORT,
        };
        let bare_ipv6 = host.contains(':') && !host.starts_with('[');
        let host = if bare_ipv6 { format!("[{host}]") } else { host.to_owned() };
        Ok(Self { host, port })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "tcp://{}:{}", self.host, self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_as_people_write_them() {
        for (text, expected) in [
            ("tcp://a.b:1", Some("tcp://a.b:1")),
            ("a:2", Some("tcp://a:2")),
            ("127.0.0.1", Some("tcp://127.0.0.1:8786")),
            ("tcp://[::1]:5/", Some("tcp://[::1]:5")),
            ("::1", Some("tcp://[::1]:8786")),
            ("", None),
            ("tcp://", None),
            ("tls://a:1", None),
            ("a:99999", None),
            ("a b:1", None),
        ] {
            let parsed = text.parse::<Address>().ok().map(|address| address.to_string());
            assert_eq!(parsed.as_deref(), expected, "{text}");
        }
    }
}
