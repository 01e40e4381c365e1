//! Tasks whose keys begin alike: what people see as one thing, such as all parts of one step.
//!
//! A *prefix* is the beginning of keys, as Dask cuts them, and has totals for the whole life of
//! the scheduler. A *group* is a prefix within a job. Both are few: what comes when there are many
//! already is counted as [`OTHER`].

use dasklet_core::{JobId, Key};

use super::{FastMap, TaskState};

/// The prefix of what has none of its own.
const OTHER: &str = "other";
/// Most prefixes, that included.
const MOST_PREFIXES: usize = 256;
/// Most groups of a job.
const MOST_GROUPS: usize = 64;
/// Longest prefix that is told from others, in bytes.
const LONGEST: usize = 128;

/// Totals of the tasks of a prefix since the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PrefixTotals {
    /// Runs that ended with their worker or process.
    pub deaths: u64,
    /// Time in runs that ended well, in microseconds.
    pub run_micros: u64,
    /// Bytes of outputs held by workers now, each counted once.
    pub bytes: u64,
}

/// The tasks of a job under one prefix.
#[derive(Debug)]
pub(super) struct Group {
    pub job: JobId,
    prefix: u32,
    /// By [`TaskState`], forgotten ones included.
    pub tasks: [u64; TaskState::COUNT],
}

/// All prefixes and groups.
#[derive(Debug)]
pub(super) struct Groups {
    names: Vec<(Box<str>, PrefixTotals)>,
    by_name: FastMap<Box<str>, u32>,
    slots: Vec<Option<Group>>,
    free: Vec<u32>,
}

impl Default for Groups {
    fn default() -> Self {
        Self {
            names: vec![(OTHER.into(), PrefixTotals::default())],
            by_name: FastMap::default(),
            slots: Vec::new(),
            free: Vec::new(),
        }
    }
}

impl Groups {
    /// The prefix of a key.
    pub fn prefix(&mut self, key: &Key) -> u32 {
        let Some(name) = std::str::from_utf8(key.as_bytes()).ok().map(prefix_of) else { return 0 };
        if name.is_empty() || name.len() > LONGEST || name == OTHER {
            return 0;
        }
        if let Some(known) = self.by_name.get(name) {
            return *known;
        }
        if self.names.len() == MOST_PREFIXES {
            return 0;
        }
        let number = self.names.len() as u32;
        self.names.push((name.into(), PrefixTotals::default()));
        self.by_name.insert(name.into(), number);
        number
    }

    /// The group of a job for a prefix, `of_job` being those that it has.
    pub fn group(&mut self, job: JobId, of_job: &mut Vec<(u32, u32)>, prefix: u32) -> u32 {
        let find = |prefix: u32, of_job: &[(u32, u32)]| {
            of_job.iter().find(|(known, _)| *known == prefix).map(|(_, group)| *group)
        };
        // One place is for the rest.
        let is_full = of_job.len() >= MOST_GROUPS - 1;
        let known = find(prefix, of_job);
        let prefix = if is_full && known.is_none() { 0 } else { prefix };
        if let Some(known) = known.or_else(|| find(prefix, of_job)) {
            return known;
        }
        let group = Group { job, prefix, tasks: [0; TaskState::COUNT] };
        let number = match self.free.pop() {
            Some(number) => {
                self.slots[number as usize] = Some(group);
                number
            }
            None => {
                self.slots.push(Some(group));
                self.slots.len() as u32 - 1
            }
        };
        of_job.push((prefix, number));
        number
    }

    pub fn get(&self, group: u32) -> Option<&Group> {
        self.slots.get(group as usize)?.as_ref()
    }

    pub fn get_mut(&mut self, group: u32) -> Option<&mut Group> {
        self.slots.get_mut(group as usize)?.as_mut()
    }

    pub fn remove(&mut self, group: u32) {
        if self.slots.get_mut(group as usize).is_some_and(|slot| slot.take().is_some()) {
            self.free.push(group);
        }
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &Group)> {
        let numbered = self.slots.iter().enumerate();
        numbered.filter_map(|(id, group)| group.as_ref().map(|group| (id as u32, group)))
    }

    /// The totals that a group's tasks count for.
    pub fn totals_mut(&mut self, group: u32) -> &mut PrefixTotals {
        let prefix = self.get(group).map_or(0, |group| group.prefix);
        &mut self.names[prefix as usize].1
    }

    /// The name of a group's prefix.
    pub fn name(&self, group: &Group) -> &str {
        &self.names[group.prefix as usize].0
    }

    /// All prefixes that have a task or had one.
    pub fn prefixes(&self) -> impl Iterator<Item = (&str, &PrefixTotals)> {
        self.names.iter().map(|(name, totals)| (&**name, totals))
    }
}

/// What a key begins with, as Dask cuts it (`dask.utils.key_split`): its first word, and the words
/// after it up to the first that is a number or a hash.
fn prefix_of(key: &str) -> &str {
    // A tuple's key is cut in its name.
    let key = key.strip_prefix("('").map_or(key, |rest| rest.split('\'').next().unwrap_or(rest));
    let mut words = key.split('-');
    let mut end = words.next().map_or(0, str::len);
    if is_hash(&key[..end], 32) {
        return "data";
    }
    for word in words {
        let is_word = !word.is_empty() && word.chars().all(char::is_alphabetic);
        if !is_word || is_hash(word, 8) {
            break;
        }
        end += 1 + word.len();
    }
    &key[..end]
}

fn is_hash(word: &str, length: usize) -> bool {
    let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    word.len() == length && word.bytes().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_cut_as_dask_cuts_them() {
        for (key, prefix) in [
            ("x", "x"),
            ("x-1", "x"),
            ("x-1-2-3", "x"),
            ("hello-world-1", "hello-world"),
            ("('x-2', 1)", "x"),
            ("('sum-aggregate-0123456789abcdef0123456789abcdef', 0, 3)", "sum-aggregate"),
            ("inc-abcdefab", "inc"),
            ("inc-9f2b1c44d7a03e5b9f2b1c44d7a03e5b", "inc"),
            ("ae05086432ca935f6eba409a8ecd4896", "data"),
            ("work/load", "work/load"),
            ("work/load-17", "work/load"),
            ("part_0012", "part_0012"),
            ("x-", "x"),
            ("-1", ""),
            ("", ""),
        ] {
            assert_eq!(prefix_of(key), prefix, "{key}");
        }
    }

    #[test]
    fn prefixes_and_groups_are_bounded() {
        let mut groups = Groups::default();
        let mut of_job = Vec::new();
        let letters = |mut n: u32| {
            let mut word = String::new();
            for _ in 0..4 {
                word.push((b'a' + (n % 20) as u8) as char);
                n /= 20;
            }
            word
        };
        let mut numbers = Vec::new();
        for n in 0..1000 {
            let prefix = groups.prefix(&Key::new(letters(n)));
            numbers.push(groups.group(JobId(1), &mut of_job, prefix));
        }
        assert_eq!(groups.prefixes().count(), MOST_PREFIXES);
        assert_eq!(of_job.len(), MOST_GROUPS);
        let last = groups.get(numbers[999]).unwrap();
        assert_eq!(groups.name(last), OTHER);
        assert_eq!(groups.name(groups.get(numbers[0]).unwrap()), "aaaa");
        // The same prefix of another job is another group, with the same totals.
        let prefix = groups.prefix(&Key::new(letters(0)));
        let other = groups.group(JobId(2), &mut Vec::new(), prefix);
        assert_ne!(other, numbers[0]);
        groups.totals_mut(other).deaths += 2;
        assert_eq!(groups.totals_mut(numbers[0]).deaths, 2);
        for (_, group) in of_job {
            groups.remove(group);
        }
        assert_eq!(groups.iter().count(), 1);
    }
}
