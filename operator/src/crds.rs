//! Puts the definitions of the resources into a cluster, new or in place of older ones: also
//! those of dask-kubernetes, which Helm would never upgrade.

use std::time::Duration;

use dasklet_api::{crd_yaml, crds};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::wait::{Condition, conditions::is_crd_established},
};

/// Who the definitions belong to, for server-side apply.
const FIELD_MANAGER: &str = "dasklet-crds";
/// An API server takes up a definition within a second or two.
const ESTABLISHED_WITHIN: Duration = Duration::from_secs(60);

/// Why the definitions are not all in place.
#[derive(Debug, thiserror::Error)]
pub enum CrdError {
    /// The API server refused one.
    #[error(
        "cannot apply the definition {name}: {told}. This needs the rights to create, get and patch \
         customresourcedefinitions"
    )]
    Apply {
        /// The definition.
        name: String,
        /// What the API server said.
        told: String,
    },
    /// One is there, and not served.
    #[error(
        "the definition {0} was applied, but the API server does not serve it after 60 s: \
         see its conditions with kubectl describe crd {0}"
    )]
    NotEstablished(String),
    /// It cannot be written as text.
    #[error("cannot write a definition as YAML: {0}")]
    Text(String),
}

/// Applies all of them and waits until the API server serves them. What others have written into
/// the same fields is overwritten: there is one right definition for one version.
///
/// # Errors
/// [`CrdError`] names the definition.
pub async fn apply(client: Client) -> Result<(), CrdError> {
    let api = Api::<CustomResourceDefinition>::all(client);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    for definition in crds() {
        let name = definition.metadata.name.clone().unwrap_or_default();
        api.patch(&name, &params, &Patch::Apply(&definition))
            .await
            .map_err(|error| CrdError::Apply { name: name.clone(), told: words(error) })?;
        tracing::info!(definition = name, "applied");
    }
    for definition in crds() {
        let name = definition.metadata.name.clone().unwrap_or_default();
        established(&api, &name).await?;
    }
    Ok(())
}

/// The API server's own words.
fn words(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => status.message,
        other => other.to_string(),
    }
}

/// Asks again and again instead of watching, which needs no right to list all definitions.
async fn established(api: &Api<CustomResourceDefinition>, name: &str) -> Result<(), CrdError> {
    let asked = async {
        loop {
            let definition = api.get_opt(name).await;
            if let Ok(Some(definition)) = &definition
                && is_crd_established().matches_object(Some(definition))
            {
                return;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    let waited = tokio::time::timeout(ESTABLISHED_WITHIN, asked).await;
    waited.map_err(|_| CrdError::NotEstablished(name.to_owned()))
}

/// All of them as one file for kubectl.
///
/// # Errors
/// None for these definitions; what the YAML writer would say.
pub fn print() -> Result<String, CrdError> {
    let texts: Result<Vec<String>, _> = crds().iter().map(crd_yaml).collect();
    texts.map(|texts| texts.join("---\n")).map_err(|error| CrdError::Text(error.to_string()))
}
