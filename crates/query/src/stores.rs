//! Object stores, made when a URL first names them; credentials come from the environment.

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    common::{DataFusionError, Result},
    execution::object_store::ObjectStoreRegistry,
};
use object_store::{ObjectStore, local::LocalFileSystem};
use std::sync::{Mutex, PoisonError};
use url::Url;

/// One store for each scheme and host.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    known: Mutex<HashMap<String, Arc<dyn ObjectStore>>>,
}

fn key_of(url: &Url) -> String {
    url[..url::Position::BeforePath].to_owned()
}

/// The store that a URL names.
pub(crate) fn connect(url: &Url) -> Result<Arc<dyn ObjectStore>> {
    if url.scheme() == "file" {
        return Ok(Arc::new(LocalFileSystem::new()));
    }
    let variables = std::env::vars().map(|(name, value)| (name.to_ascii_lowercase(), value));
    let (store, _) = object_store::parse_url_opts(url, variables).map_err(|error| {
        DataFusionError::Configuration(format!(
            "cannot use {url}: {error}; give a local path or an s3, gs, az or http URL, and the \
             store's credentials in the environment"
        ))
    })?;
    Ok(Arc::from(store))
}

impl ObjectStoreRegistry for Stores {
    fn register_store(
        &self,
        url: &Url,
        store: Arc<dyn ObjectStore>,
    ) -> Option<Arc<dyn ObjectStore>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(key_of(url), store)
    }

    fn get_store(&self, url: &Url) -> Result<Arc<dyn ObjectStore>> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = known.get(&key_of(url)) {
            return Ok(Arc::clone(store));
        }
        let store = connect(url)?;
        known.insert(key_of(url), Arc::clone(&store));
        Ok(store)
    }
}
