//! Faults below the client, against a real API server: a slice of them, and all of them where
//! `DASKLET_TEST_FULL` is set.

use std::sync::{
    Mutex,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use super::RealServer;
use crate::{
    scenario::{difference, in_weather, killed_after},
    walk,
    weather::Faults,
};

/// Lives that go on side by side: they wait for most of their time.
const AT_ONCE: usize = 3;
/// The slice: the first writes, where the parts are made, and some of each later stage.
const SLICE: [usize; 7] = [1, 2, 4, 7, 12, 19, 30];
/// No life has more writes than this.
const MOST: usize = 400;

fn is_full() -> bool {
    std::env::var_os("DASKLET_TEST_FULL").is_some()
}

#[test]
#[ignore = "needs DASKLET_TEST_KUBECONFIG; cargo xtask test sets it"]
fn killed_after_every_kth_write() {
    let expected = in_weather(RealServer::start("undisturbed"), Faults::default());
    let tried: Vec<usize> = if is_full() { (1..MOST).collect() } else { SLICE.to_vec() };
    let (next, over) = (AtomicUsize::new(0), AtomicBool::new(false));
    let (recovered, differences) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while !over.load(Ordering::SeqCst)
                    && let Some(&k) = tried.get(next.fetch_add(1, Ordering::SeqCst))
                {
                    let (end, died) = killed_after(RealServer::start(&format!("kill-{k}")), k);
                    let what = format!("killed at write {k}");
                    differences.lock().unwrap().extend(difference(&expected, &end, &what));
                    println!("{what}: {}", if died { "recovered" } else { "not reached" });
                    if died {
                        recovered.fetch_add(1, Ordering::SeqCst);
                    } else {
                        over.store(true, Ordering::SeqCst);
                    }
                }
            });
        }
    });
    assert_eq!(differences.into_inner().unwrap(), Vec::<String>::new());
    let recovered = recovered.into_inner();
    assert!(recovered >= SLICE.len(), "only {recovered} lives reached their kill");
}

#[test]
#[ignore = "needs DASKLET_TEST_KUBECONFIG; cargo xtask test sets it"]
fn bad_weather() {
    let expected = in_weather(RealServer::start("fair-weather"), Faults::default());
    for seed in 0..if is_full() { 12 } else { 2 } {
        let faults = Faults {
            seed,
            failing_writes: 0.15,
            odd_events: 0.3,
            stale_lists: 0.5,
            kill_after: None,
        };
        let end = in_weather(RealServer::start(&format!("weather-{seed}")), faults);
        assert_eq!(difference(&expected, &end, &format!("seed {seed}")), None);
        println!("weather {seed}: recovered");
    }
}

#[test]
#[ignore = "needs DASKLET_TEST_KUBECONFIG; cargo xtask test sets it"]
fn random_walks_end_where_a_fresh_apply_does() {
    for seed in 0..if is_full() { 10 } else { 1 } {
        let (walked, fresh) = (format!("walk-{seed}"), format!("fresh-{seed}"));
        let servers = (RealServer::start(&walked), RealServer::start(&fresh));
        walk::ends_where_a_fresh_apply_does(servers.0, servers.1, seed);
        println!("walk {seed}: as a fresh apply");
    }
}
