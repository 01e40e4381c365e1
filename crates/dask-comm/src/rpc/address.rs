//! Where a scheduler listens.

use std::{fmt, str::FromStr};

use super::RpcError;

/// Host and port of a `tcp://` address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    host: String,
    port: u16,
}

impl Address {
    /// A name or IP address, and a port.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port }
    }

    /// As the resolver takes it.
    pub(crate) fn socket(&self) -> (&str, u16) {
        (&self.host, self.port)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "tcp://[{}]:{}", self.host, self.port),
            false => write!(f, "tcp://{}:{}", self.host, self.port),
        }
    }
}

impl FromStr for Address {
    type Err = RpcError;

    fn from_str(text: &str) -> Result<Self, RpcError> {
        let bad = |reason: &str| RpcError::BadAddress {
            address: text.to_owned(),
            reason: reason.to_owned(),
        };
        let rest = match text.split_once("://") {
            None => text,
            Some(("tcp", rest)) => rest,
            Some((scheme, _)) => {
                return Err(bad(&format!("{scheme}:// is not spoken here, only tcp://")));
            }
        };
        let (host, port) = rest.rsplit_once(':').ok_or_else(|| bad("it has no port"))?;
        let port = port.parse().map_err(|_| bad("its port is no number below 65536"))?;
        let host = match host.strip_prefix('[') {
            Some(host) => host.strip_suffix(']').ok_or_else(|| bad("it lacks a ']'"))?,
            None if host.contains(':') => return Err(bad("an IPv6 address needs [ ] around it")),
            None => host,
        };
        if host.is_empty() {
            return Err(bad("it has no host"));
        }
        Ok(Self::new(host, port))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for (text, shown) in [
            ("tcp://10.0.0.1:8786", "tcp://10.0.0.1:8786"),
            ("demo-scheduler.default:8786", "tcp://demo-scheduler.default:8786"),
            ("tcp://[fd00::1]:8786", "tcp://[fd00::1]:8786"),
        ] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), shown);
        }
    }

    #[test]
    fn what_is_no_address_is_told_why() {
        for (text, reason) in [
            ("tls://h:1", "tls:// is not spoken here"),
            ("tcp://h", "no port"),
            ("tcp://h:99999", "no number"),
            ("tcp://fd00::1:8786", "needs [ ]"),
            ("tcp://:8786", "no host"),
        ] {
            let error = text.parse::<Address>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
