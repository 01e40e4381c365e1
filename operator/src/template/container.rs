//! Containers: our own, and what is added to those that users write.

use serde_json::{Map, Value, json};

use super::Place;

/// Where the init container puts our program in other images.
const INSTALL: &str = "/opt/dasklet";
/// Where the engine's image has it.
const PROGRAM: &str = "/usr/bin/dasklet";
/// User and group of the engine's image.
const ENGINE_USER: u32 = 1000;

/// Appends variables to every container (not init container), where it does not set them itself.
pub(super) fn add_env(pod: &mut Value, variables: &[Value]) {
    let containers = pod.get_mut("containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten().filter_map(Value::as_object_mut) {
        let env = container.entry("env").or_insert_with(|| json!([]));
        if env.is_null() {
            *env = json!([]);
        }
        let Some(env) = env.as_array_mut() else { continue };
        for variable in variables {
            if env.iter().all(|present| present["name"] != variable["name"]) {
                env.push(variable.clone());
            }
        }
    }
}

/// A variable.
pub(super) fn variable(name: &str, value: &str) -> Value {
    json!({"name": name, "value": value})
}

/// A variable with a field of the pod.
pub(super) fn field(name: &str, path: &str) -> Value {
    json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}})
}

/// A pod that runs our own program in a role, in the engine's image or, put there by an init
/// container, in any other.
pub(super) struct Ours<'a> {
    /// Name of the container.
    pub name: &'a str,
    /// Another image than the engine's.
    pub image: Option<&'a str>,
    /// Arguments of the program.
    pub args: Vec<String>,
    /// Further fields of the container.
    pub fields: Value,
    /// Its volumes.
    pub volumes: Vec<Value>,
    /// Where they are seen.
    pub mounts: Vec<Value>,
}

impl Ours<'_> {
    /// The pod's spec.
    pub fn pod(self, place: &Place) -> Value {
        let Self { name, image, args, fields, mut volumes, mut mounts } = self;
        let security = json!({
            "allowPrivilegeEscalation": false,
            "capabilities": {"drop": ["ALL"]},
        });
        let mut pod = json!({
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "securityContext": {"seccompProfile": {"type": "RuntimeDefault"}},
        });
        let mut program = PROGRAM.to_owned();
        if image.is_some() {
            let mut install = json!({
                "name": "install-dasklet",
                "image": place.engine_image,
                "command": ["cp", PROGRAM, format!("{INSTALL}/dasklet")],
                "volumeMounts": [{"name": "dasklet", "mountPath": INSTALL}],
                "securityContext": security,
            });
            set_pull_policy(&mut install, place);
            pod["initContainers"] = json!([install]);
            volumes.push(json!({"name": "dasklet", "emptyDir": {}}));
            mounts.push(json!({"name": "dasklet", "mountPath": INSTALL, "readOnly": true}));
            program = format!("{INSTALL}/dasklet");
        } else {
            pod["securityContext"]["runAsNonRoot"] = json!(true);
            pod["securityContext"]["runAsUser"] = json!(ENGINE_USER);
            pod["securityContext"]["runAsGroup"] = json!(ENGINE_USER);
        }
        let mut container = json!({
            "name": name,
            "image": image.unwrap_or(&place.engine_image),
            "command": [program],
            "args": args,
            "securityContext": security,
        });
        if image.is_none() {
            set_pull_policy(&mut container, place);
        }
        if !mounts.is_empty() {
            container["volumeMounts"] = Value::Array(mounts);
        }
        merge(&mut container, fields);
        pod["containers"] = json!([container]);
        if !volumes.is_empty() {
            pod["volumes"] = Value::Array(volumes);
        }
        pod
    }
}

fn set_pull_policy(container: &mut Value, place: &Place) {
    if !place.pull_policy.is_empty() {
        container["imagePullPolicy"] = json!(place.pull_policy);
    }
}

fn merge(container: &mut Value, fields: Value) {
    let fields = if let Value::Object(fields) = fields { fields } else { Map::new() };
    for (name, value) in fields {
        container[name] = value;
    }
}
