//! Web pages must not change the cluster behind their readers' backs.
//!
//! A browser on a machine that reaches the scheduler sends what any page tells it to send, and says
//! in `Origin` which page that was. Tools and programs send no such header.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{
        HeaderMap, Uri,
        header::{HOST, ORIGIN},
        uri::Authority,
    },
    middleware::Next,
    response::{IntoResponse, Response},
};

use super::answer::Refusal;
use crate::server::shell::Shell;

/// Lets a request pass unless another site's page sent it.
pub(super) async fn check(
    State(shell): State<Arc<Shell>>,
    request: Request,
    next: Next,
) -> Response {
    match judge(request.headers(), request.uri(), shell.options.token.is_some()) {
        Ok(()) => next.run(request).await,
        Err(sentence) => Refusal::forbidden(sentence).into_response(),
    }
}

fn judge(headers: &HeaderMap, uri: &Uri, has_token: bool) -> Result<(), String> {
    let Some(origin) = headers.get(ORIGIN) else { return Ok(()) };
    let origin = origin.to_str().unwrap_or("?");
    // Where the request names its host in its first line, it need not have the header.
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let host = host.or(uri.authority().map(Authority::as_str)).unwrap_or_default();
    let site = origin.split_once("://");
    if site.is_none_or(|(scheme, site)| !same_site(scheme, site, host)) {
        return Err(format!(
            "a page of '{origin}' sent this to '{host}': what changes the cluster is not taken from pages of other sites; send it with a program, or without the header Origin"
        ));
    }
    // A name can be made to lead here by whoever owns it, and then its pages are of this site.
    if !has_token && !is_own_name(host) {
        return Err(format!(
            "a page of '{origin}' sent this, and anybody can give this scheduler such a name: start the scheduler with --token to take changes from pages"
        ));
    }
    Ok(())
}

fn same_site(scheme: &str, site: &str, host: &str) -> bool {
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let bare = |name: &str| name.strip_suffix(usual).unwrap_or(name).to_ascii_lowercase();
    !host.is_empty() && bare(site) == bare(host)
}

/// An address, or this machine: nobody else can make it lead here.
fn is_own_name(host: &str) -> bool {
    let Ok(authority) = host.parse::<Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes(origin: &str, host: &str, has_token: bool) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(ORIGIN, origin.parse().unwrap());
        headers.insert(HOST, host.parse().unwrap());
        judge(&headers, &Uri::from_static("/api/v1/drain"), has_token).is_ok()
    }

    #[test]
    fn pages_of_other_sites_change_nothing() {
        for (origin, host, expected) in [
            ("http://127.0.0.1:8787", "127.0.0.1:8787", true),
            ("http://localhost:8787", "LOCALHOST:8787", true),
            ("http://[::1]:8787", "[::1]:8787", true),
            ("http://127.0.0.1", "127.0.0.1:80", true),
            ("https://10.0.0.1", "10.0.0.1", true),
            // Another program of the same machine has pages, too.
            ("http://127.0.0.1:9999", "127.0.0.1:8787", false),
            ("http://evil.example", "127.0.0.1:8787", false),
            ("https://evil.example", "evil.example:8787", false),
            ("null", "127.0.0.1:8787", false),
            ("file://", "127.0.0.1:8787", false),
            ("http://", "127.0.0.1:8787", false),
        ] {
            assert_eq!(passes(origin, host, false), expected, "{origin} {host}");
            assert_eq!(passes(origin, host, true), expected, "{origin} {host}");
        }
        // A name that was made to lead here.
        assert!(!passes("http://evil.example:8787", "evil.example:8787", false));
        assert!(passes("https://dask.example", "dask.example", true));
    }

    #[test]
    fn programs_send_no_origin() {
        assert!(judge(&HeaderMap::new(), &Uri::from_static("/"), false).is_ok());
    }
}
