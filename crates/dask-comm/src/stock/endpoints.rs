//! Where a stock scheduler is reached, and for how long one waits.

use std::{fmt, str::FromStr, time::Duration};

use super::HttpError;
use crate::rpc::Address;

/// The two addresses of a scheduler: Services name them `tcp-comm` and `http-dashboard`. One
/// suffices.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoints {
    /// Its protocol, port 8786 as a rule.
    pub rpc: Option<Address>,
    /// Its HTTP interface, port 8787 as a rule.
    pub http: Option<HttpAddress>,
}

/// How long one waits for a scheduler.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// For a connection, handshake included.
    pub connect: Duration,
    /// For an answer that needs no work.
    pub answer: Duration,
    /// For one retirement, in which data is moved. The scheduler goes on after that; a drain
    /// asks again.
    pub retire: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(3),
            answer: Duration::from_secs(10),
            retire: Duration::from_secs(600),
        }
    }
}

/// Host and port of an `http://` address.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpAddress(Address);

impl HttpAddress {
    /// A name or IP address, and a port.
    #[must_use]
    pub fn new(host: &str, port: u16) -> Self {
        Self(Address::new(host, port))
    }

    pub(super) fn socket(&self) -> (&str, u16) {
        self.0.socket()
    }

    /// Host and port, as a request's `Host` header has them.
    pub(super) fn authority(&self) -> String {
        self.0.to_string().trim_start_matches("tcp://").to_owned()
    }
}

impl fmt::Display for HttpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority())
    }
}

impl FromStr for HttpAddress {
    type Err = HttpError;

    fn from_str(text: &str) -> Result<Self, HttpError> {
        let bad = |reason: String| HttpError::BadAddress { address: text.to_owned(), reason };
        let rest = match text.split_once("://") {
            None => text,
            Some(("http", rest)) => rest,
            Some((scheme, _)) => return Err(bad(format!("{scheme}:// is not spoken here"))),
        };
        rest.trim_end_matches('/')
            .parse()
            .map(Self)
            .map_err(|_| bad("it is not HOST:PORT".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in ["http://10.0.0.1:8787", "10.0.0.1:8787", "http://10.0.0.1:8787/"] {
            assert_eq!(text.parse::<HttpAddress>().unwrap().to_string(), "http://10.0.0.1:8787");
        }
        for (text, reason) in [("https://h:1", "https:// is not spoken"), ("h", "HOST:PORT")] {
            let error = text.parse::<HttpAddress>().unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
