//! The objects by cluster.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use super::Object;
use crate::{
    observe::{ClusterObject, Key, Observed},
    plan::Kind,
};

/// How many identities of deleted objects are remembered, against late news about them.
const TOMBS: usize = 8192;

/// All objects that are known.
#[derive(Debug, Default)]
pub struct World {
    homes: HashMap<Key, Observed>,
    places: HashMap<(Kind, Key), Key>,
    tombs: VecDeque<String>,
    buried: HashSet<String>,
}

/// What a piece of news has changed.
#[derive(Debug, Default)]
pub struct Change {
    /// Clusters to be planned anew.
    pub dirty: Vec<Key>,
    /// The object as it was known.
    pub old: Option<Object>,
    /// False where the news was old.
    pub news: bool,
}

impl World {
    /// Takes in an object, unless a newer version of it is known.
    pub fn upsert(&mut self, object: Object) -> Change {
        let place = (object.kind(), object.meta().key());
        let old = self.get(place.0, &place.1);
        let (meta, before) = (object.meta(), old.as_ref().map(Object::meta));
        let stale = before.is_some_and(|before| {
            before.uid == meta.uid && before.resource_version > meta.resource_version
        });
        if stale || self.buried.contains(&meta.uid) || old.as_ref() == Some(&object) {
            return Change { old, ..Change::default() };
        }
        let mut change = Change { news: true, ..Change::default() };
        if let Some(gone) = before.filter(|before| before.uid != meta.uid) {
            let uid = gone.uid.clone();
            self.bury(uid);
        }
        let home = object.home();
        if let Some(present) = self.places.get(&place).cloned()
            && Some(&present) != home.as_ref()
        {
            self.take(&place, &present);
            change.dirty.push(present);
        }
        if let Object::Cluster(_) = &object {
            // Jobs that look for a cluster may have found one.
            change.dirty.extend(self.searching(&place.1.namespace));
        }
        if let Some(home) = home {
            let bucket =
                self.homes.entry(home.clone()).or_insert_with(|| Observed::empty(home.clone()));
            object.put_into(bucket);
            self.places.insert(place, home.clone());
            change.dirty.push(home);
        }
        change.old = old;
        change
    }

    /// Forgets an object; with `uid` only if it is that very one.
    pub fn remove(&mut self, kind: Kind, key: &Key, uid: Option<&str>) -> Change {
        let Some(old) = self.get(kind, key) else { return Change::default() };
        if uid.is_some_and(|uid| uid != old.meta().uid) {
            return Change::default();
        }
        self.bury(old.meta().uid.clone());
        let place = (kind, key.clone());
        let Some(home) = self.places.get(&place).cloned() else { return Change::default() };
        self.take(&place, &home);
        Change { dirty: vec![home], old: Some(old), news: true }
    }

    /// An object as it is known.
    #[must_use]
    pub fn get(&self, kind: Kind, key: &Key) -> Option<Object> {
        let home = self.places.get(&(kind, key.clone()))?;
        Object::look_in(self.homes.get(home)?, kind, &key.name)
    }

    /// All that belongs to a cluster; `None` where nothing does.
    #[must_use]
    pub fn observed(&self, key: &Key) -> Option<Observed> {
        let mut observed = self.homes.get(key)?.clone();
        if !observed.jobs.is_empty() && observed.cluster.is_none() {
            observed.selectable = self.clusters(&key.namespace);
        }
        Some(observed)
    }

    /// The names of all objects of a kind, in a namespace or in all.
    #[must_use]
    pub fn names(&self, kind: Kind, namespace: Option<&str>) -> Vec<Key> {
        self.places
            .keys()
            .filter(|(of, key)| *of == kind && namespace.is_none_or(|name| key.namespace == name))
            .map(|(_, key)| key.clone())
            .collect()
    }

    /// The keys of all clusters that anything belongs to.
    pub fn keys(&self) -> impl Iterator<Item = &Key> {
        self.homes.keys()
    }

    fn clusters(&self, namespace: &str) -> Vec<Arc<ClusterObject>> {
        let mut clusters: Vec<Arc<ClusterObject>> = self
            .homes
            .iter()
            .filter(|(key, _)| key.namespace == namespace)
            .filter_map(|(_, home)| home.cluster.clone())
            .collect();
        clusters.sort_by(|a, b| a.meta.name.cmp(&b.meta.name));
        clusters
    }

    fn searching(&self, namespace: &str) -> Vec<Key> {
        let searching = |key: &&Key| key.namespace == namespace && key.name.starts_with('?');
        self.homes.keys().filter(searching).cloned().collect()
    }

    fn take(&mut self, place: &(Kind, Key), home: &Key) {
        self.places.remove(place);
        if let Some(bucket) = self.homes.get_mut(home) {
            Object::take_from(bucket, place.0, &place.1.name);
            if bucket.is_empty() {
                self.homes.remove(home);
            }
        }
    }

    fn bury(&mut self, uid: String) {
        if self.tombs.len() >= TOMBS
            && let Some(oldest) = self.tombs.pop_front()
        {
            self.buried.remove(&oldest);
        }
        self.buried.insert(uid.clone());
        self.tombs.push_back(uid);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{
        names,
        observe::{Meta, Pod},
    };

    fn pod(name: &str, uid: &str, version: u64, cluster: &str) -> Object {
        let labels = BTreeMap::from([(names::CLUSTER_NAME.to_owned(), cluster.to_owned())]);
        let meta = Meta {
            namespace: "n".to_owned(),
            name: name.to_owned(),
            uid: uid.to_owned(),
            resource_version: version,
            labels,
            ..Meta::default()
        };
        Object::Pod(Arc::new(Pod { meta, ..Pod::default() }))
    }

    #[test]
    fn time_never_goes_back() {
        let mut world = World::default();
        let key = Key::new("n", "p");
        assert!(world.upsert(pod("p", "1", 5, "c")).news);
        assert!(!world.upsert(pod("p", "1", 4, "c")).news);
        assert!(!world.remove(Kind::Pod, &key, Some("0")).news);
        assert!(world.remove(Kind::Pod, &key, Some("1")).news);
        // An event that was late does not bring it back to life.
        assert!(!world.upsert(pod("p", "1", 6, "c")).news);
        assert!(world.observed(&Key::new("n", "c")).is_none());
        // A new object of the same name is another one, and the old one stays dead.
        assert!(world.upsert(pod("p", "2", 7, "c")).news);
        assert!(!world.upsert(pod("p", "1", 8, "c")).news);
        assert_eq!(world.get(Kind::Pod, &key).unwrap().meta().uid, "2");
    }

    #[test]
    fn an_object_moves_with_its_label() {
        let mut world = World::default();
        world.upsert(pod("p", "1", 1, "a"));
        let change = world.upsert(pod("p", "1", 2, "b"));
        assert_eq!(change.dirty, [Key::new("n", "a"), Key::new("n", "b")]);
        assert!(world.observed(&Key::new("n", "a")).is_none());
        assert_eq!(world.observed(&Key::new("n", "b")).unwrap().pods.len(), 1);
    }
}
