//! What a request to the API server is about.

use http::Request;
use serde_json::Value;

/// A request's target.
#[derive(Debug, Clone)]
pub struct Asked {
    pub plural: String,
    /// Empty: all namespaces.
    pub namespace: String,
    /// Empty: all objects.
    pub name: String,
    /// Such as `status`.
    pub sub: String,
    query: Vec<(String, String)>,
}

impl Asked {
    pub fn of<B>(request: &Request<B>) -> Option<Self> {
        let path: Vec<&str> = request.uri().path().trim_matches('/').split('/').collect();
        let rest = match *path.first()? {
            "api" => path.get(2..)?,
            "apis" => path.get(3..)?,
            _ => return None,
        };
        let (namespace, rest) = match rest {
            ["namespaces", namespace, rest @ ..] => ((*namespace).to_owned(), rest),
            rest => (String::new(), rest),
        };
        let text = |at: usize| rest.get(at).map_or(String::new(), |part| (*part).to_owned());
        let query = request.uri().query().unwrap_or_default();
        let query = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.replace("%2F", "/")))
            .collect();
        let plural = rest.first()?.to_string();
        Some(Self { plural, namespace, name: text(1), sub: text(2), query })
    }

    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }

    pub fn is_watch(&self) -> bool {
        self.name.is_empty() && self.query("watch").is_some()
    }

    pub fn is_list(&self) -> bool {
        self.name.is_empty() && self.query("watch").is_none()
    }

    /// Whether an object is among those that are asked for.
    pub fn matches(&self, object: &Value) -> bool {
        let here = self.namespace.is_empty() || object["metadata"]["namespace"] == self.namespace;
        let label = self.query("labelSelector").unwrap_or_default();
        here && (label.is_empty() || !object["metadata"]["labels"][label].is_null())
    }
}
