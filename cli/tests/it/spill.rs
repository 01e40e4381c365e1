//! More results than memory.

use std::time::Instant;

use dasklet_client::{Client, TaskArray};
use serde_json::Value;

use crate::{
    manifest::cluster,
    support::{Scene, Up, eventually, runtime, signal, text},
};

const PIECES: u32 = 256;
const LENGTH: u32 = 4 << 20;
const MEMORY: u64 = 2 * (256 << 20);
/// Before the bytes of a binary as it travels.
const HEADER: usize = 5;

#[test]
fn a_gigabyte_of_wanted_results_outlives_little_memory_and_a_death() {
    let scene = Scene::new();
    let cluster = cluster("spill", "replicas: 2, threads: 1, memory: 256Mi");
    let cluster = scene.file("cluster.yaml", &cluster);
    let up = Up::start(&scene, &["-f", text(&cluster)]);
    runtime().block_on(async {
        let client = Client::connect(&up.scheduler).await.unwrap();
        let pieces: TaskArray<Value> = client.array_with("bytes", PIECES, (LENGTH,)).unwrap();
        pieces.wait().await.unwrap();

        let total = u64::from(PIECES) * u64::from(LENGTH);
        eventually("what does not fit into memory is on disk", || {
            let spilled = sum(&up.members(), "bytesSpilled");
            (spilled >= total - MEMORY).then_some(())
        });
        assert!(sum(&up.members(), "bytesStored") >= total);
        let listed = scene.run(&["get", "workers", "--http", &up.dashboard]);
        assert!(listed.assert_code(0).out.contains("SPILLED"), "{}", listed.out);
        assert_intact(&pieces).await;
        assert_eq!(up.recomputed(), 0);

        let victim = scene.processes_named("dasklet-worker")[0];
        signal("KILL", victim);
        assert_intact(&pieces).await;
        assert!(up.recomputed() >= 1);
        client.close().await;
    });
    up.interrupt().assert_code(130).assert_says(&["SIGKILL"]);
    scene.assert_nothing_runs();
}

fn sum(members: &[Value], field: &str) -> u64 {
    members.iter().map(|member| member[field].as_u64().unwrap()).sum()
}

/// All are what the operation `bytes` gives for their index.
async fn assert_intact(pieces: &TaskArray<Value>) {
    let begun = Instant::now();
    let mut expected = vec![0; LENGTH as usize];
    for (index, piece) in pieces.iter().enumerate() {
        let bytes = piece.bytes().await.unwrap();
        pseudo_random(index as u64, &mut expected);
        assert!(bytes[HEADER..] == expected[..], "piece {index} is damaged");
    }
    println!("read {PIECES} pieces in {:.1} s", begun.elapsed().as_secs_f64());
}

/// As the operation does it: SplitMix64 (Steele and others 2014) from the seed.
fn pseudo_random(seed: u64, bytes: &mut [u8]) {
    let mut state = seed.wrapping_mul(0x2545_f491_4f6c_dd1d);
    for chunk in bytes.chunks_mut(8) {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        chunk.copy_from_slice(&(z ^ (z >> 31)).to_le_bytes()[..chunk.len()]);
    }
}
