//! A ledger outside the cluster sees the effect of every task, and every result can be read
//! after each change of size, under random loads. Three runs; fifty where `DASKLET_TEST_FULL` is
//! set.

use std::{
    collections::HashSet,
    fs,
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use dasklet_client::{Client, Command, TaskArray, TaskSpec};
use serde_json::Value;

use crate::{
    manifest::{cluster, elastic},
    support::{Scene, Up, assert_numbers, events, events_of, eventually, runtime, text},
};

/// Times that a run grows and shrinks.
const WAVES: usize = 3;
/// Runs at once.
const LANES: usize = 3;

#[test]
fn every_effect_is_seen_and_every_result_can_be_read() {
    let runs = if std::env::var_os("DASKLET_TEST_FULL").is_some() { 50 } else { LANES as u64 };
    let next = AtomicU64::new(0);
    thread::scope(|scope| {
        for _ in 0..LANES {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= runs {
                        return;
                    }
                    println!("ledger: run with seed {seed}");
                    Run::new(seed).go();
                }
            });
        }
    });
}

/// One cluster under one random load.
struct Run {
    scene: Scene,
    random: Random,
    /// Lines that the ledger has to hold, but for the attempts.
    expected: HashSet<(String, u32)>,
}

impl Run {
    fn new(seed: u64) -> Self {
        Self { scene: Scene::new(), random: Random(seed), expected: HashSet::new() }
    }

    fn go(mut self) {
        let cluster = self.scene.file("cluster.yaml", &cluster("ledger", &elastic(5, 0)));
        let log = self.scene.path("events.jsonl");
        let up = Up::start(&self.scene, &["-f", text(&cluster), "--events", text(&log)]);
        let alive = || {
            let all = events(&log);
            events_of(&all, "workerStarted").len() - events_of(&all, "workerEnded").len()
        };
        runtime().block_on(async {
            let client = Client::connect(&up.scheduler).await.unwrap();
            let mut wanted = Vec::new();
            for wave in 0..WAVES {
                // Many short tasks, then a few long ones that outlast the others' workers.
                let (many, few) = (20 + self.random.below(60), 1 + self.random.below(3));
                let naps = [self.random.below(80), 300 + self.random.below(700)];
                let burst = self.submit(&client, format!("burst-{wave}"), many, naps[0]);
                let tail = self.submit(&client, format!("tail-{wave}"), few, naps[1]);
                wanted.extend([burst.clone(), tail.clone()]);
                burst.wait().await.unwrap();
                // Workers are on their way out now, and hand over what they hold.
                for array in &wanted {
                    assert_numbers(array).await;
                }
                tail.wait().await.unwrap();
                eventually("one holder is left", || (alive() == 1).then_some(()));
                for array in &wanted {
                    assert_numbers(array).await;
                }
            }
            drop(wanted);
            eventually("nothing is wanted and all workers are gone", || {
                (alive() == 0).then_some(())
            });
            client.close().await;
        });
        self.check_ledger();
        let all = events(&log);
        for (position, event) in all.iter().enumerate() {
            if event["event"] == "workerEnded" {
                // One that was not needed any more before it served has nothing to hand over.
                let before = all[..position].iter().rev().find(|e| e["worker"] == event["worker"]);
                let served = before.is_some_and(|before| before["event"] != "workerStarted");
                let cause = if served { "drained" } else { "deleted" };
                assert_eq!(event["cause"], cause, "{event}");
            }
        }
        let shrunk =
            |event: &&Value| event["to"].as_u64().unwrap() < event["from"].as_u64().unwrap();
        let times = events_of(&all, "decision").into_iter().filter(shrunk).count();
        assert!(times >= WAVES, "it shrank {times} times");
        up.interrupt().assert_code(130);
        self.scene.assert_nothing_runs();
    }

    /// Tasks that write a line into the ledger, take a nap, and give their number in a text too
    /// long to travel with the news of their end.
    fn submit(
        &mut self,
        client: &Client,
        key: String,
        members: u32,
        nap_millis: u32,
    ) -> TaskArray<Value> {
        let ledger = self.scene.path("ledger");
        let script = format!(
            "echo \"$DASKLET_TASK $DASKLET_ARRAY_INDEX $DASKLET_ATTEMPT\" >> '{}'; \
             sleep {}; printf %05000d $DASKLET_ARRAY_INDEX",
            ledger.display(),
            f64::from(nap_millis) / 1000.0
        );
        self.expected.extend((0..members).map(|index| (key.clone(), index)));
        let spec = TaskSpec::command(Command::new(["sh", "-c", &script])).key(key);
        client.submit_array(&spec, members).unwrap()
    }

    fn check_ledger(&self) {
        let text = fs::read_to_string(self.scene.path("ledger")).unwrap();
        let lines: HashSet<&str> = text.lines().collect();
        assert_eq!(lines.len(), text.lines().count(), "an attempt has run twice");
        let seen: HashSet<(String, u32)> = lines
            .into_iter()
            .map(|line| {
                let words: Vec<&str> = line.split(' ').collect();
                let key = words[0].split('[').next().unwrap();
                (key.to_owned(), words[1].parse().unwrap())
            })
            .collect();
        assert_eq!(seen, self.expected);
    }
}

/// Numbers that depend on the seed alone (SplitMix64, Steele and others 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % u64::from(bound)) as u32
    }
}
