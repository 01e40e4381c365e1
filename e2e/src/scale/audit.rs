//! How much is written to the API, by the API server's own count.

use anyhow::{Context, Result};
use kube::Client;

/// Requests that write.
const VERBS: [&str; 5] = ["POST", "PUT", "PATCH", "APPLY", "DELETE"];
/// What others write when nothing happens: Leases, and what nodes say of themselves.
const OF_OTHERS: [&str; 2] = ["leases", "nodes"];

/// Writes to all objects so far, but to Leases and nodes.
pub async fn writes(client: &Client) -> Result<u64> {
    let request = http::Request::get("/metrics").body(Vec::new())?;
    let text = client.request_text(request).await.context("the API server's metrics")?;
    Ok(count(&text))
}

fn count(metrics: &str) -> u64 {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("apiserver_request_total{"));
    lines
        .filter_map(|line| {
            let (labels, value) = line.split_once("} ")?;
            let label = |name: &str| {
                let (_, rest) = labels.split_once(&format!("{name}=\""))?;
                rest.split_once('"').map(|(value, _)| value)
            };
            let counts = VERBS.contains(&label("verb")?)
                && !label("dry_run").is_some_and(|dry| !dry.is_empty())
                // `subresource` ends with the same word.
                && !OF_OTHERS.contains(&label(",resource")?);
            counts.then(|| value.trim().parse::<f64>().ok()).flatten()
        })
        .sum::<f64>() as u64
}

#[cfg(test)]
mod tests {
    #[test]
    fn writes_are_counted_and_leases_are_not() {
        let text = "\
# HELP apiserver_request_total Counter of requests\n\
apiserver_request_total{code=\"201\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\",scope=\"resource\",subresource=\"\",verb=\"POST\",version=\"v1\"} 21\n\
apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"\",resource=\"pods\",scope=\"cluster\",subresource=\"\",verb=\"LIST\",version=\"v1\"} 7\n\
apiserver_request_total{code=\"201\",component=\"apiserver\",dry_run=\"All\",group=\"\",resource=\"pods\",scope=\"resource\",subresource=\"\",verb=\"POST\",version=\"v1\"} 3\n\
apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"kubernetes.dask.org\",resource=\"daskclusters\",scope=\"resource\",subresource=\"status\",verb=\"PATCH\",version=\"v1\"} 4\n\
apiserver_request_total{code=\"200\",component=\"apiserver\",dry_run=\"\",group=\"coordination.k8s.io\",resource=\"leases\",scope=\"resource\",subresource=\"\",verb=\"PUT\",version=\"v1\"} 90\n";
        assert_eq!(super::count(text), 25);
    }
}
