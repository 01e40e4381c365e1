//! An API server's objects in memory: versions, identities, generations, finalizers, owners.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::asked::Asked;

/// One change, as watches tell it.
#[derive(Debug, Clone)]
pub struct Change {
    pub version: u64,
    pub plural: String,
    pub kind: &'static str,
    pub object: Value,
}

/// A refusal as the API server words it.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub code: u16,
    pub reason: &'static str,
    pub message: String,
}

fn refuse(code: u16, reason: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { code, reason, message: message.into() }
}

type Place = (String, String, String);

/// The objects and their history.
#[derive(Debug)]
pub struct Store {
    version: u64,
    uids: u64,
    pub objects: BTreeMap<Place, Value>,
    pub history: Vec<Change>,
    /// What server-side apply last said, by object and manager.
    applied: BTreeMap<(Place, String), Value>,
    /// Seconds of creation times.
    pub clock: fn() -> String,
    /// Every write in words.
    pub log: Vec<String>,
}

fn place(plural: &str, namespace: &str, name: &str) -> Place {
    (plural.to_owned(), namespace.to_owned(), name.to_owned())
}

impl Store {
    pub fn new(clock: fn() -> String) -> Self {
        Self {
            version: 100,
            uids: 0,
            objects: BTreeMap::new(),
            history: Vec::new(),
            applied: BTreeMap::new(),
            clock,
            log: Vec::new(),
        }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// The answer to a list as of a version.
    pub fn list_at(&self, asked: &Asked, version: u64) -> Value {
        let mut objects: BTreeMap<(&str, &str), &Value> = BTreeMap::new();
        for change in &self.history {
            if change.version > version || change.plural != asked.plural {
                continue;
            }
            let text = |field: &str| change.object["metadata"][field].as_str().unwrap_or_default();
            let name = (text("namespace"), text("name"));
            if change.kind == "DELETED" || !asked.matches(&change.object) {
                objects.remove(&name);
            } else {
                objects.insert(name, &change.object);
            }
        }
        let items: Vec<&Value> = objects.into_values().collect();
        json!({
            "kind": "List", "apiVersion": "v1",
            "metadata": {"resourceVersion": version.to_string()},
            "items": items,
        })
    }

    /// The answer to a list as of so many changes ago; `None` where none is known.
    pub fn list_before(&self, asked: &Asked, changes: usize) -> Option<Value> {
        let of = |change: &&Change| change.plural == asked.plural && asked.matches(&change.object);
        // Changes of one kind are known in their order, and without gaps.
        let mut known = self.history.iter().rev().filter(of).map(|change| change.version);
        let version = known.nth(changes)?;
        Some(self.list_at(asked, version))
    }

    /// Takes note of a change that was made elsewhere.
    pub fn record(&mut self, deleted: bool, plural: &str, object: Value) {
        let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default();
        let version = text("resourceVersion").parse().unwrap_or(0);
        let place = place(plural, text("namespace"), text("name"));
        let present = self.objects.get(&place);
        if !deleted && present == Some(&object) {
            return;
        }
        let kind = match (deleted, present) {
            (true, _) => "DELETED",
            (false, Some(_)) => "MODIFIED",
            (false, None) => "ADDED",
        };
        self.version = self.version.max(version);
        if deleted {
            self.objects.remove(&place);
        } else {
            self.objects.insert(place, object.clone());
        }
        self.history.push(Change { version, plural: plural.to_owned(), kind, object });
    }

    pub fn get(&self, plural: &str, namespace: &str, name: &str) -> Option<&Value> {
        self.objects.get(&place(plural, namespace, name))
    }

    pub fn list(&self, plural: &str) -> impl Iterator<Item = &Value> {
        self.objects.iter().filter(move |((of, _, _), _)| of == plural).map(|(_, object)| object)
    }

    pub fn create(
        &mut self,
        plural: &str,
        namespace: &str,
        mut object: Value,
        dry_run: bool,
    ) -> Result<Value, Refusal> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let place = place(plural, namespace, &name);
        validate(plural, &object)?;
        if self.objects.contains_key(&place) {
            let words = format!("{plural} \"{name}\" already exists");
            return Err(refuse(409, "AlreadyExists", words));
        }
        if dry_run {
            return Ok(object);
        }
        self.uids += 1;
        let uid = format!("00000000-0000-4000-8000-{:012x}", self.uids);
        let metadata = &mut object["metadata"];
        metadata["namespace"] = json!(namespace);
        metadata["uid"] = json!(uid);
        metadata["generation"] = json!(1);
        metadata["creationTimestamp"] = json!((self.clock)());
        if plural == "pods" {
            object["status"] = json!({"phase": "Pending"});
        }
        self.log.push(format!("create {plural} {name}"));
        Ok(self.put("ADDED", place, object))
    }

    pub fn merge(
        &mut self,
        plural: &str,
        namespace: &str,
        name: &str,
        patch: &Value,
        status: bool,
    ) -> Result<Value, Refusal> {
        let place = place(plural, namespace, name);
        let Some(old) = self.objects.get(&place).cloned() else {
            return Err(refuse(404, "NotFound", format!("{plural} \"{name}\" not found")));
        };
        let wants = &patch["metadata"];
        for field in ["uid", "resourceVersion"] {
            if !wants[field].is_null() && wants[field] != old["metadata"][field] {
                return Err(refuse(409, "Conflict", format!("{field} differs")));
            }
        }
        let mut new = old.clone();
        let mut patch = patch.clone();
        if let Some(fields) = patch.as_object_mut() {
            if status {
                fields.retain(|field, _| field == "status");
            } else if plural != "pods" || !fields.contains_key("status") {
                fields.remove("status");
            }
        }
        merge_into(&mut new, &patch);
        validate(plural, &new)?;
        self.log.push(format!("patch {plural} {name}{}", if status { " status" } else { "" }));
        Ok(self.replace(place, &old, new))
    }

    pub fn apply(
        &mut self,
        plural: &str,
        namespace: &str,
        name: &str,
        manager: &str,
        body: &Value,
    ) -> Result<Value, Refusal> {
        let place = place(plural, namespace, name);
        let said = self.applied.insert((place.clone(), manager.to_owned()), body.clone());
        let Some(old) = self.objects.get(&place).cloned() else {
            return self.create(plural, namespace, body.clone(), false);
        };
        validate(plural, body)?;
        let mut new = old.clone();
        if let Some(said) = said {
            remove_unsaid(&mut new, &said, body);
        }
        merge_into(&mut new, body);
        self.log.push(format!("apply {plural} {name}"));
        Ok(self.replace(place, &old, new))
    }

    pub fn delete(
        &mut self,
        plural: &str,
        namespace: &str,
        name: &str,
        uid: Option<&str>,
        at_once: bool,
    ) -> Result<Value, Refusal> {
        let place = place(plural, namespace, name);
        let Some(mut object) = self.objects.get(&place).cloned() else {
            return Err(refuse(404, "NotFound", format!("{plural} \"{name}\" not found")));
        };
        if uid.is_some_and(|uid| object["metadata"]["uid"] != uid) {
            return Err(refuse(409, "Conflict", "the UID in the precondition differs"));
        }
        self.log.push(format!("delete {plural} {name}"));
        let pinned = object["metadata"]["finalizers"].as_array().is_some_and(|f| !f.is_empty());
        let runs = plural == "pods" && object["spec"]["nodeName"].is_string() && !at_once;
        if pinned || runs {
            if object["metadata"]["deletionTimestamp"].is_null() {
                object["metadata"]["deletionTimestamp"] = json!((self.clock)());
                return Ok(self.put("MODIFIED", place, object));
            }
            return Ok(object);
        }
        self.finish(&place);
        Ok(json!({"kind": "Status", "status": "Success"}))
    }

    /// Removes an object and, as the garbage collector does, all that it owns.
    fn finish(&mut self, place: &Place) {
        let Some(mut object) = self.objects.remove(place) else { return };
        self.applied.retain(|(of, _), _| of != place);
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        let uid = object["metadata"]["uid"].clone();
        self.tell("DELETED", &place.0, object);
        let owned: Vec<(Place, Value)> = self
            .objects
            .iter()
            .filter(|(_, object)| {
                let owners = object["metadata"]["ownerReferences"].as_array();
                owners.is_some_and(|owners| owners.iter().any(|owner| owner["uid"] == uid))
            })
            .map(|(place, object)| (place.clone(), object.clone()))
            .collect();
        for ((plural, namespace, name), _) in owned {
            let _ = self.delete(&plural, &namespace, &name, None, false);
        }
    }

    /// Changes an object as controllers and kubelets do.
    pub fn change(
        &mut self,
        plural: &str,
        namespace: &str,
        name: &str,
        edit: impl FnOnce(&mut Value),
    ) {
        let place = place(plural, namespace, name);
        if let Some(old) = self.objects.get(&place).cloned() {
            let mut new = old.clone();
            edit(&mut new);
            self.replace(place, &old, new);
        }
    }

    fn replace(&mut self, place: Place, old: &Value, mut new: Value) -> Value {
        if new["spec"] != old["spec"] {
            let generation = old["metadata"]["generation"].as_u64().unwrap_or(0) + 1;
            new["metadata"]["generation"] = json!(generation);
        }
        if *old == new {
            return new;
        }
        let leaving = !new["metadata"]["deletionTimestamp"].is_null();
        let pinned = new["metadata"]["finalizers"].as_array().is_some_and(|f| !f.is_empty());
        if leaving && !pinned && place.0 != "pods" {
            self.objects.insert(place.clone(), new.clone());
            self.finish(&place);
            return new;
        }
        self.put("MODIFIED", place, new)
    }

    fn put(&mut self, kind: &'static str, place: Place, mut object: Value) -> Value {
        self.version += 1;
        object["metadata"]["resourceVersion"] = json!(self.version.to_string());
        self.objects.insert(place.clone(), object.clone());
        self.tell(kind, &place.0, object.clone());
        object
    }

    fn tell(&mut self, kind: &'static str, plural: &str, object: Value) {
        let version = self.version;
        self.history.push(Change { version, plural: plural.to_owned(), kind, object });
    }
}

/// A few of the API server's own rules.
fn validate(plural: &str, object: &Value) -> Result<(), Refusal> {
    if plural == "pods" || plural == "deployments" {
        let spec =
            if plural == "pods" { &object["spec"] } else { &object["spec"]["template"]["spec"] };
        let containers = spec["containers"].as_array().cloned().unwrap_or_default();
        let bad = containers.iter().any(|container| {
            let spaces = |field: &str| container[field].as_str().is_some_and(|t| t.contains(' '));
            spaces("image") || spaces("name")
        });
        if containers.is_empty() || bad {
            return Err(refuse(422, "Invalid", "spec.containers[0].image: Invalid value"));
        }
    }
    Ok(())
}

pub fn merge_into(target: &mut Value, patch: &Value) {
    let Value::Object(fields) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    for (name, value) in fields {
        if value.is_null() {
            target.as_object_mut().map(|object| object.shift_remove(name));
        } else {
            merge_into(&mut target[name.as_str()], value);
        }
    }
}

fn remove_unsaid(object: &mut Value, before: &Value, now: &Value) {
    let (Some(fields), Some(said)) = (object.as_object_mut(), before.as_object()) else { return };
    for (name, value) in said {
        match now.get(name) {
            None => drop(fields.shift_remove(name)),
            Some(still) => {
                if let Some(inner) = fields.get_mut(name) {
                    remove_unsaid(inner, value, still);
                }
            }
        }
    }
}
