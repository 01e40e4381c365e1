//! Where others find this worker.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use tokio::net::lookup_host;

use crate::options::Settings;

/// `host:port` under which peers and clients reach the outputs served at `port`: as the options
/// say, or else the address from which this machine reaches the scheduler.
///
/// # Errors
/// A sentence, where that cannot be found out now. An address that is wrong would be worse than
/// none: whoever needs an output would look for it in vain.
pub(crate) async fn data_address(settings: &Settings, port: u16) -> Result<String, String> {
    let host = match &settings.data_host {
        Some(host) => host.clone(),
        None => own_address(&settings.scheduler).await?.to_string(),
    };
    Ok(if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    })
}

async fn own_address(scheduler: &str) -> Result<IpAddr, String> {
    let (host, _) = scheduler.rsplit_once(':').unwrap_or((scheduler, ""));
    let remedy = "--data-host names the address of this worker where that cannot be found out";
    let addresses = lookup_host(scheduler).await.map_err(|error| {
        format!("the name '{host}' of the scheduler cannot be resolved: {error}; {remedy}")
    })?;
    let mut reason = "it has no address".to_owned();
    for address in addresses {
        match local_end(address) {
            Ok(own) => return Ok(own),
            Err(error) => reason = error.to_string(),
        }
    }
    Err(format!("there is no way from here to '{host}': {reason}; {remedy}"))
}

/// The address of this machine on the way to another one. Nothing is sent to find out.
fn local_end(of: SocketAddr) -> std::io::Result<IpAddr> {
    let any = if of.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let socket = UdpSocket::bind(any)?;
    socket.connect(of)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;

    async fn found(scheduler: &str, data_host: Option<&str>) -> Result<String, String> {
        let mut options = Options::new(scheduler);
        options.data_host = data_host.map(str::to_owned);
        data_address(&Settings::resolve(&options).unwrap(), 77).await
    }

    #[tokio::test]
    async fn a_worker_is_found_where_it_is_or_nowhere() {
        assert_eq!(found("tcp://127.0.0.1:8786", None).await.unwrap(), "127.0.0.1:77");
        assert_eq!(found("localhost:8786", Some("pod.example")).await.unwrap(), "pod.example:77");
        for host in ["::1", "[::1]"] {
            assert_eq!(found("a.invalid:8786", Some(host)).await.unwrap(), "[::1]:77");
        }
        let error = found("scheduler.invalid:8786", None).await.unwrap_err();
        assert!(error.contains("'scheduler.invalid'") && error.contains("--data-host"), "{error}");
    }
}
