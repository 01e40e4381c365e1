//! What keeps a pod from running, with the remedy.

use crate::observe::{ContainerState, Pod, PodPhase};

/// Something that is wrong with a pod.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Trouble {
    /// One word.
    pub reason: &'static str,
    /// The pod, what is wrong, and what to do.
    pub message: String,
}

/// What is wrong with a pod, if something is.
#[must_use]
pub fn trouble(pod: &Pod) -> Option<Trouble> {
    let name = &pod.meta.name;
    let say = |reason, message| Some(Trouble { reason, message });
    if pod.reason == "Evicted" {
        return say("Evicted", format!("pod {name} was evicted: {}", pod.message));
    }
    for container in &pod.containers {
        let inside = format!("container {} of pod {name}", container.name);
        match &container.state {
            ContainerState::Waiting { reason, message } => match reason.as_str() {
                "ImagePullBackOff" | "ErrImagePull" | "InvalidImageName" | "ErrImageNeverPull" => {
                    return say(
                        "ImagePullFailed",
                        format!("{inside}: {message}. Check the image's name and the pull secrets"),
                    );
                }
                "CrashLoopBackOff" => {
                    let how = container.last.as_ref().map(end_in_words).unwrap_or_default();
                    return say("CrashLoop", again_and_again(&inside, &how, name));
                }
                "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" => {
                    return say("ContainerCannotStart", format!("{inside}: {message}"));
                }
                _ => {}
            },
            ContainerState::Terminated { reason, code, .. } if *code != 0 => {
                let how = end_in_words(&container.state);
                if reason == "OOMKilled" {
                    return say(
                        "OutOfMemory",
                        format!("{inside} used more memory than its limit{how}. Raise its memory"),
                    );
                }
                if container.last.is_some() {
                    return say("CrashLoop", again_and_again(&inside, &how, name));
                }
                return say("Failed", format!("{inside} ended{how}. See kubectl logs {name}"));
            }
            _ => {}
        }
    }
    if let Some(message) = &pod.unschedulable
        && pod.phase == PodPhase::Pending
    {
        return say(
            "Unschedulable",
            format!("no node takes pod {name}: {message}. Add nodes or lower its requests"),
        );
    }
    None
}

fn again_and_again(container: &str, how: &str, pod: &str) -> String {
    format!("{container} ends again and again{how}. See kubectl logs --previous {pod}")
}

fn end_in_words(state: &ContainerState) -> String {
    match state {
        ContainerState::Terminated { reason, code, message } => {
            let mut words = format!(" ({reason}, exit code {code})");
            if !message.is_empty() {
                words.push_str(": ");
                words.extend(message.chars().take(200));
            }
            words
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::{Container, Meta};

    fn pod(state: ContainerState, last: Option<ContainerState>) -> Pod {
        Pod {
            meta: Meta { name: "p".to_owned(), ..Meta::default() },
            containers: vec![Container {
                name: "worker".to_owned(),
                state,
                last,
                ..Container::default()
            }],
            ..Pod::default()
        }
    }

    fn waiting(reason: &str, message: &str) -> ContainerState {
        ContainerState::Waiting { reason: reason.to_owned(), message: message.to_owned() }
    }

    fn ended(reason: &str, code: i32) -> ContainerState {
        ContainerState::Terminated { reason: reason.to_owned(), code, message: String::new() }
    }

    #[test]
    fn each_trouble_names_the_pod_and_a_remedy() {
        let unschedulable = Pod {
            unschedulable: Some("0/1 nodes".to_owned()),
            ..pod(ContainerState::default(), None)
        };
        for (pod, reason, words) in [
            (
                pod(waiting("ImagePullBackOff", "no such image"), None),
                "ImagePullFailed",
                "image's name",
            ),
            (
                pod(waiting("CrashLoopBackOff", ""), Some(ended("Error", 1))),
                "CrashLoop",
                "(Error, exit code 1). See kubectl logs --previous p",
            ),
            (
                pod(ended("Error", 1), Some(ended("Error", 1))),
                "CrashLoop",
                "(Error, exit code 1). See kubectl logs --previous p",
            ),
            (pod(ended("OOMKilled", 137), None), "OutOfMemory", "Raise its memory"),
            (pod(ended("Error", 2), None), "Failed", "kubectl logs p"),
            (unschedulable, "Unschedulable", "0/1 nodes. Add nodes"),
        ] {
            let found = trouble(&pod).unwrap();
            assert_eq!(found.reason, reason);
            assert!(found.message.contains(words), "{}", found.message);
        }
        assert_eq!(trouble(&pod(ContainerState::Running, None)), None);
        assert_eq!(trouble(&pod(ended("Completed", 0), None)), None);
    }
}
