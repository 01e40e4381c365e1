//! Lines of the log that tools around dask-kubernetes look for, word for word.

use serde_json::Value;

use crate::{
    observe::Key,
    plan::{Action, Kind, Write},
};

/// Says what the log of dask-kubernetes would say about a write that was made.
#[must_use]
pub fn line(key: &Key, write: &Write) -> Option<String> {
    let Action::Patch { kind: Kind::Job, name, patch, status: true, .. } = &write.action else {
        return None;
    };
    let namespace = &key.namespace;
    Some(match patch.pointer("/status/jobStatus").and_then(Value::as_str)? {
        "JobCreated" => format!("A DaskJob has been created called {name} in {namespace}."),
        "Successful" => "Job succeeded, deleting Dask cluster.".to_owned(),
        "Failed" => "Job failed, deleting Dask cluster.".to_owned(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plan::{Stage, Target};

    #[test]
    fn a_job_is_told_of_in_the_words_that_tools_know() {
        let said = |status: Value| {
            let write = Write {
                stage: Stage::Intent,
                target: Target::new(Kind::Job, "j (status)"),
                action: Action::Patch {
                    kind: Kind::Job,
                    name: "j".to_owned(),
                    patch: json!({"status": status}),
                    manager: "dasklet-status",
                    status: true,
                },
            };
            line(&Key::new("n", "c"), &write)
        };
        for (status, words) in [
            ("JobCreated", Some("A DaskJob has been created called j in n.")),
            ("Successful", Some("Job succeeded, deleting Dask cluster.")),
            ("Failed", Some("Job failed, deleting Dask cluster.")),
            ("Running", None),
        ] {
            assert_eq!(said(json!({"jobStatus": status})).as_deref(), words);
        }
        assert_eq!(said(json!({"attempts": 2})), None);
    }
}
