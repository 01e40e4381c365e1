//! Rules of names.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::Problem;
use crate::checked::{BadName, ClusterName, GroupName, JobName, check as check_form};

/// Longest name of any object, as in Kubernetes.
const LONGEST_OF_ALL: usize = 253;

/// Checks an object's name by the rule of its kind.
pub(super) fn check(
    metadata: &ObjectMeta,
    rule: fn(&str) -> Result<(), BadName>,
    problems: &mut Vec<Problem>,
) {
    match (&metadata.name, &metadata.generate_name) {
        (None, Some(_)) => {}
        (None, None) => {
            problems.push(Problem::new("metadata", "the field 'name' is missing: add it"));
        }
        (Some(name), _) => {
            if let Err(error) = rule(name) {
                problems.push(Problem::new("metadata.name", error.to_string()));
            }
        }
    }
}

pub(super) fn cluster(name: &str) -> Result<(), BadName> {
    ClusterName::new(name).map(drop)
}

pub(super) fn group(name: &str) -> Result<(), BadName> {
    GroupName::new(name).map(drop)
}

pub(super) fn job(name: &str) -> Result<(), BadName> {
    JobName::new(name).map(drop)
}

pub(super) fn any(name: &str) -> Result<(), BadName> {
    check_form(name, true, LONGEST_OF_ALL)
}
