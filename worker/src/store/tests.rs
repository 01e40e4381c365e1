use std::{fs, path::Path, sync::Arc};

use bytes::Bytes;
use dasklet_core::{ErrorClass, SpecId, TaskId};
use proptest::prelude::*;
use smallvec::smallvec;

use super::{
    Reading, Scratch, Store,
    keep::{Figures, Missing},
};

const KIB: u64 = 1024;

fn store(base: &Path, target: u64) -> Store {
    Store::new(Scratch::create(base).unwrap(), target, target * 4 / 3)
}

fn value(seed: u8, length: usize) -> Bytes {
    Bytes::from((0..length).map(|i| (i as u8).wrapping_mul(31) ^ seed).collect::<Vec<_>>())
}

fn task(n: u32) -> TaskId {
    TaskId::new(SpecId(n / 100), n % 100)
}

fn put(store: &Store, n: u32, length: usize) {
    store.put(0, task(n), smallvec![value(n as u8, length)]).unwrap();
}

fn files(store: &Store) -> usize {
    fs::read_dir(store.scratch().path()).unwrap().count() - 1
}

#[test]
fn what_is_too_much_goes_to_disk_and_comes_back_intact() {
    let base = tempfile::tempdir().unwrap();
    let store = store(base.path(), 100 * KIB);
    for n in 0..50 {
        put(&store, n, 10 * KIB as usize);
        assert!(store.figures().in_memory <= 100 * KIB);
    }
    assert_eq!(store.figures().on_disk, 400 * KIB);
    assert_eq!(store.figures().spilled_total, 400 * KIB);
    assert_eq!(files(&store), 40);
    for n in 0..50 {
        assert_eq!(store.load(task(n), 0).unwrap(), value(n as u8, 10 * KIB as usize));
    }
    assert_eq!(store.load(task(50), 0), Err(Missing));
    store.forget(&[0]);
    assert_eq!(store.figures(), Figures { spilled_total: 400 * KIB, ..Figures::default() });
    assert_eq!(files(&store), 0);
}

#[test]
fn the_least_recently_used_goes_first() {
    let base = tempfile::tempdir().unwrap();
    let store = store(base.path(), 30 * KIB);
    for n in 0..3 {
        put(&store, n, 10 * KIB as usize);
    }
    store.load(task(0), 0).unwrap();
    put(&store, 3, 10 * KIB as usize);
    for (n, on_disk) in [(0, false), (1, true), (2, false), (3, false)] {
        let found = store.find(task(n), 0).unwrap();
        assert_eq!(matches!(found, super::Found::Disk(_)), on_disk, "task {n}");
    }
}

fn read(store: &Store, n: u32, shared: bool) -> Arc<Reading> {
    store.read(0, task(n), value(n as u8, 10 * KIB as usize), shared).unwrap()
}

fn bits(tasks: &[u32]) -> Vec<u64> {
    tasks.iter().map(|n| task(*n).to_bits()).collect()
}

#[test]
fn inputs_count_and_are_spilled_until_nobody_needs_them() {
    let base = tempfile::tempdir().unwrap();
    let store = store(base.path(), 30 * KIB);
    let readings: Vec<_> = (0..10).map(|n| read(&store, n, n % 2 == 0)).collect();
    assert_eq!(store.figures().in_memory, 100 * KIB);
    assert!(store.is_too_full());
    store.make_room().unwrap();
    assert!(!store.is_too_full());
    let figures = store.figures();
    assert_eq!((figures.in_memory, figures.on_disk), (30 * KIB, 70 * KIB));
    for (n, reading) in readings.iter().enumerate() {
        assert_eq!(reading.load().unwrap(), value(n as u8, 10 * KIB as usize));
        let shown = store.find(task(n as u32), 0).is_some();
        assert_eq!(shown, n % 2 == 0, "others read only what may be shared");
    }
    assert!(store.take_dropped().is_empty());
    drop(readings);
    // Only number 8 is in memory and may be shared; what was on disk goes, and is told to.
    let figures = store.figures();
    assert_eq!((figures.in_memory, figures.on_disk), (10 * KIB, 0));
    assert_eq!(store.take_dropped(), bits(&[0, 2, 4, 6]));
    assert_eq!(files(&store), 0);
    assert!(store.held().task.is_empty(), "inputs are nothing to count on");
}

#[test]
fn caches_go_first_and_never_make_others_go_to_disk() {
    let base = tempfile::tempdir().unwrap();
    let store = store(base.path(), 30 * KIB);
    put(&store, 4, 10 * KIB as usize);
    for n in 0..3 {
        drop(read(&store, n, true));
    }
    store.make_room().unwrap();
    assert_eq!(store.take_dropped(), bits(&[0]));
    let again = store.read_again(task(1), 0).unwrap();
    assert!(store.read_again(task(0), 0).is_none());
    assert!(store.read_again(task(1), 1).is_none());
    put(&store, 5, 10 * KIB as usize);
    assert_eq!(store.take_dropped(), bits(&[2]), "somebody reads the older one");
    assert_eq!(store.figures().on_disk, 0);
    drop(again);
    put(&store, 6, 10 * KIB as usize);
    assert_eq!(store.take_dropped(), bits(&[1]));
    assert_eq!(store.figures().on_disk, 0);
}

#[test]
fn a_cache_can_become_a_copy_to_count_on() {
    let base = tempfile::tempdir().unwrap();
    for spilled in [false, true] {
        let store = store(base.path(), 30 * KIB);
        let reading = read(&store, 0, true);
        if spilled {
            store.shrink_to(0).unwrap();
        }
        assert_eq!(store.make_own(task(0)), Some(10 * KIB));
        assert_eq!(store.make_own(task(0)), Some(10 * KIB), "it is that already");
        assert_eq!(store.held().task, bits(&[0]));
        assert!(store.read_again(task(0), 0).is_none(), "it is no cache any more");
        drop(reading);
        assert!(store.take_dropped().is_empty());
        assert_eq!(store.load(task(0), 0).unwrap(), value(0, 10 * KIB as usize));
        store.release(&bits(&[0]));
        assert_eq!((store.figures().in_memory, store.figures().on_disk), (0, 0));
    }
}

#[test]
fn what_is_released_stays_for_those_who_read_it_and_for_nobody_else() {
    let base = tempfile::tempdir().unwrap();
    let store = store(base.path(), 30 * KIB);
    let reading = read(&store, 1, true);
    store.forget(&[0]);
    assert_eq!(store.outputs(task(1)), None);
    // The same id, and another task.
    let other = store.read(0, task(1), value(77, 5000), true).unwrap();
    assert_eq!(reading.load().unwrap(), value(1, 10 * KIB as usize));
    assert_eq!(other.load().unwrap(), value(77, 5000));
    drop(reading);
    assert_eq!(store.figures().in_memory, 5000);
    assert!(store.take_dropped().is_empty());
    store.begin_session(1);
    assert_eq!(other.load().unwrap(), value(77, 5000));
    drop(other);
    assert_eq!(store.figures().in_memory, 0);
    assert!(store.read(0, task(2), value(1, 5000), true).is_none(), "of the session before");
}

#[test]
fn what_is_here_again_is_not_told_to_be_gone() {
    let base = tempfile::tempdir().unwrap();
    let store = store(base.path(), 30 * KIB);
    drop(read(&store, 1, true));
    drop(read(&store, 2, true));
    store.shrink_to(0).unwrap();
    put(&store, 1, 2 * KIB as usize);
    let mut dropped = store.take_dropped();
    assert_eq!(dropped, bits(&[1, 2]));
    store.only_gone(&mut dropped);
    assert_eq!(dropped, bits(&[2]));
}

#[test]
fn outputs_of_one_task_are_kept_one_by_one() {
    let base = tempfile::tempdir().unwrap();
    let store = store(base.path(), 15 * KIB);
    let outputs = smallvec![value(1, 10_000), value(2, 0), value(3, 10_000)];
    store.put(0, task(7), outputs).unwrap();
    assert_eq!(store.outputs(task(7)), Some(3));
    assert_eq!(store.figures().on_disk, 10_000);
    for (output, expected) in [(0, value(1, 10_000)), (1, Bytes::new()), (2, value(3, 10_000))] {
        assert_eq!(store.load(task(7), output).unwrap(), expected);
    }
    assert_eq!(store.load(task(7), 3), Err(Missing));
}

#[test]
fn a_damaged_file_is_never_given_out() {
    let base = tempfile::tempdir().unwrap();
    for damage in [
        (|bytes: &mut Vec<u8>| bytes[40] ^= 1) as fn(&mut Vec<u8>),
        |bytes| bytes.truncate(100),
        |bytes| bytes[5] = 9,
    ] {
        let store = store(base.path(), KIB);
        put(&store, 1, 5000);
        let path = store.scratch().path().join("0");
        let mut bytes = fs::read(&path).unwrap();
        damage(&mut bytes);
        fs::write(&path, bytes).unwrap();
        assert_eq!(store.load(task(1), 0), Err(Missing));
        assert_eq!(store.take_dropped(), [task(1).to_bits()]);
        assert_eq!(store.figures().on_disk, 0);
    }
}

#[test]
fn a_full_disk_is_a_clear_error_and_leaves_nothing_behind() {
    let mount = tempfile::tempdir().unwrap();
    let mounted = std::process::Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"])
        .arg(mount.path())
        .status()
        .is_ok_and(|status| status.success());
    if !mounted {
        eprintln!("skipped: this user may not mount a small file system");
        return;
    }
    let store = store(mount.path(), 30 * KIB);
    put(&store, 0, 25 * KIB as usize);
    put(&store, 1, 25 * KIB as usize);
    put(&store, 2, 12 * KIB as usize);
    let outputs = smallvec![value(3, 200 * KIB as usize)];
    let error = store.put(0, task(3), outputs).unwrap_err();
    assert_eq!(error.class, ErrorClass::WorkerFault);
    let folder = store.scratch().path().display().to_string();
    for part in ["is full", folder.as_str(), "needs 12.0 KiB", "are free", "more scratch space"] {
        assert!(error.message.contains(part), "{part}: {}", error.message);
    }
    assert_eq!(store.outputs(task(3)), None);
    for (n, length) in [(0, 25), (1, 25), (2, 12)] {
        assert_eq!(store.load(task(n), 0).unwrap(), value(n as u8, length * KIB as usize));
    }
    let unfinished = fs::read_dir(store.scratch().path())
        .unwrap()
        .filter(|file| file.as_ref().unwrap().file_name().to_string_lossy().ends_with("tmp"))
        .count();
    assert_eq!(unfinished, 0);
    drop(store);
    std::process::Command::new("umount").arg(mount.path()).status().unwrap();
}

#[test]
fn runs_of_an_earlier_session_leave_nothing() {
    let base = tempfile::tempdir().unwrap();
    let store = store(base.path(), KIB);
    store.begin_session(1);
    assert!(!store.put(0, task(1), smallvec![value(1, 10)]).unwrap());
    assert_eq!(store.outputs(task(1)), None);
}

#[test]
fn what_is_held_is_announced_and_only_what_is_of_use_kept() {
    let base = tempfile::tempdir().unwrap();
    let store = store(base.path(), 1000 * KIB);
    for n in [1, 2, 105] {
        store.put(0, task(n), smallvec![value(1, n as usize)]).unwrap();
    }
    let held = store.held();
    let mut held: Vec<_> = held.task.into_iter().zip(held.nbytes).collect();
    held.sort_unstable();
    assert_eq!(held, [1, 2, 105].map(|n| (task(n).to_bits(), u64::from(n))));
    store.keep_only(&[task(2).to_bits()]);
    assert_eq!([1, 2, 105].map(|n| store.outputs(task(n))), [None, Some(1), None]);
    assert_eq!(store.figures().in_memory, 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever happens, accounts agree with what is there, and every output reads as it was.
    #[test]
    fn accounts_agree(steps in prop::collection::vec((0u8..8, 0u32..300, 0usize..6000), 1..80)) {
        let base = tempfile::tempdir().unwrap();
        let store = store(base.path(), 20 * KIB);
        let mut model = std::collections::BTreeMap::new();
        let mut readings: Vec<(Arc<Reading>, Bytes)> = Vec::new();
        for (what, n, length) in steps {
            match what {
                // Of specs that have no outputs here.
                4 | 5 => {
                    let bytes = value(length as u8, length);
                    let reading = store.read(0, task(n + 1000), bytes.clone(), what == 4);
                    readings.push((reading.unwrap(), bytes));
                    store.make_room().unwrap();
                }
                6 if !readings.is_empty() => {
                    readings.swap_remove(n as usize % readings.len());
                }
                7 => {
                    if let Some(reading) = store.read_again(task(n + 1000), 0) {
                        let bytes = reading.load().unwrap();
                        readings.push((reading, bytes));
                    }
                }
                0 | 1 => {
                    put(&store, n, length);
                    model.insert(n, length);
                }
                2 => {
                    let (spec, start, end) = (n / 100, n % 100, n % 100 + length as u32 % 50);
                    store.release_range(SpecId(spec), start, end);
                    model.retain(|n, _| {
                        n / 100 != spec || !(start..end).contains(&(n % 100))
                    });
                }
                _ => {
                    let got = store.load(task(n), 0).ok();
                    prop_assert_eq!(got, model.get(&n).map(|length| value(n as u8, *length)));
                }
            }
            let figures = store.figures();
            let total: usize = model.values().sum();
            let kept = figures.in_memory + figures.on_disk;
            // The rest are caches, and inputs that several read.
            prop_assert!(kept >= total as u64);
            for (reading, bytes) in &readings {
                prop_assert_eq!(&reading.load().unwrap(), bytes);
            }
        }
        drop(readings);
        store.begin_session(1);
        let total: usize = model.values().sum();
        let figures = store.figures();
        prop_assert_eq!(figures.in_memory + figures.on_disk, total as u64);
        for (n, length) in &model {
            prop_assert_eq!(store.load(task(*n), 0).unwrap(), value(*n as u8, *length));
        }
    }
}
