//! Whether two templates are the same, and how one becomes the other.

use serde_json::{Map, Value};

/// A fingerprint of a JSON value that does not depend on the order of its fields (FNV-1a, 64 bit).
#[must_use]
pub fn fingerprint(value: &Value) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325;
    mix(value, &mut hash);
    format!("{hash:016x}")
}

fn mix(value: &Value, hash: &mut u64) {
    match value {
        Value::Object(fields) => {
            add(b"{", hash);
            let mut names: Vec<&String> = fields.keys().collect();
            names.sort();
            for name in names {
                add(name.as_bytes(), hash);
                add(b":", hash);
                mix(&fields[name], hash);
            }
            add(b"}", hash);
        }
        Value::Array(items) => {
            add(b"[", hash);
            for item in items {
                mix(item, hash);
                add(b",", hash);
            }
            add(b"]", hash);
        }
        plain => add(plain.to_string().as_bytes(), hash),
    }
}

fn add(bytes: &[u8], hash: &mut u64) {
    for byte in bytes {
        *hash = (*hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    }
}

/// The merge patch (RFC 7386) that turns `present` into `wanted`; `None` where they are equal.
#[must_use]
pub fn merge_diff(present: &Value, wanted: &Value) -> Option<Value> {
    let (Value::Object(old), Value::Object(new)) = (present, wanted) else {
        return (present != wanted).then(|| wanted.clone());
    };
    let mut patch = Map::new();
    for name in old.keys().filter(|name| !new.contains_key(*name)) {
        patch.insert(name.clone(), Value::Null);
    }
    for (name, value) in new {
        match old.get(name) {
            Some(present) => {
                if let Some(change) = merge_diff(present, value) {
                    patch.insert(name.clone(), change);
                }
            }
            None => {
                patch.insert(name.clone(), value.clone());
            }
        }
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_order_of_fields_does_not_matter_and_that_of_items_does() {
        let one = fingerprint(&json!({"a": [1, 2], "b": {"c": "x", "d": null}}));
        assert_eq!(one, fingerprint(&json!({"b": {"d": null, "c": "x"}, "a": [1, 2]})));
        assert_ne!(one, fingerprint(&json!({"b": {"d": null, "c": "x"}, "a": [2, 1]})));
        assert_ne!(fingerprint(&json!({"a": "1"})), fingerprint(&json!({"a": 1})));
    }

    #[test]
    fn a_patch_removes_changes_and_adds() {
        let old = json!({"a": 1, "b": {"x": 1, "y": [1]}, "c": 3});
        let new = json!({"b": {"x": 2, "y": [1]}, "c": 3, "d": {}});
        let patch = json!({"a": null, "b": {"x": 2}, "d": {}});
        assert_eq!(merge_diff(&old, &new), Some(patch));
        assert_eq!(merge_diff(&new, &new), None);
    }
}
