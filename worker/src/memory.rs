//! Measures memory, and does what the ladder says.

use std::{
    fs,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use nix::sys::resource::{UsageWho, getrusage};
use tokio::task::JoinHandle;

use crate::{
    command::RunKey,
    ladder::{Disk, DiskNews, Measured, Pause, climb},
    worker::Worker,
};

/// Memory is measured this often.
const EVERY: Duration = Duration::from_millis(100);

/// Measures for as long as the worker lives.
pub(crate) async fn watch(worker: Arc<Worker>) {
    let limit = worker.settings.memory_limit;
    let mut paused = false;
    let mut disk = Disk::default();
    let mut patience = Pause::default();
    let mut shrinking: Option<JoinHandle<Result<(), String>>> = None;
    let mut ticks = tokio::time::interval(EVERY);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        worker.agenda.report_started();
        let dropped = worker.store.take_dropped();
        if !dropped.is_empty() {
            worker.agenda.tell(|message| message.dropped.extend(dropped));
        }
        let children: Vec<(RunKey, u64)> =
            worker.commands.pids().into_iter().map(|(run, pid)| (run, family(pid))).collect();
        let resident = resident() + children.iter().map(|(_, bytes)| bytes).sum::<u64>();
        worker.counters.resident.store(resident, Ordering::Relaxed);
        let measured = Measured { resident, managed: worker.store.figures().in_memory };
        let steps = climb(limit, &worker.settings.fractions, measured);
        let running = worker.agenda.figures().0 as usize + children.len();
        let may_go_down = running > 0 || (steps.spill_to.is_some() && disk.takes_more());
        let pause = patience.decide(steps.pause, may_go_down);
        if pause != paused {
            paused = pause;
            worker.agenda.set_paused(paused);
            worker.counters.paused.store(paused, Ordering::Relaxed);
        }
        if steps.kill
            && let Some((run, bytes)) = children.iter().max_by_key(|(_, bytes)| *bytes)
        {
            worker.commands.kill_for_memory(*run, *bytes, resident, limit);
        }
        if let Some(done) = shrinking.take_if(|shrinking| shrinking.is_finished()) {
            // A pause cannot help where nothing can be spilled: the next task that needs room has to
            // fail with this sentence, or all would wait for ever.
            match disk.tried(done.await.unwrap_or_else(|error| Err(error.to_string()))) {
                Some(DiskNews::Full(sentence)) => tracing::warn!("{sentence}"),
                Some(DiskNews::Free) => tracing::warn!("the disk takes outputs again"),
                None => {}
            }
        }
        if let (Some(bytes), None) = (steps.spill_to, &shrinking) {
            let store = worker.clone();
            shrinking = Some(tokio::task::spawn_blocking(move || store.store.shrink_to(bytes)));
        }
    }
}

/// Resident memory of this process.
pub(crate) fn resident() -> u64 {
    fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|status| {
            let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
            resident.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        })
        .map_or(0, |kib| kib * 1024)
}

/// Memory of a process and all below it, shared pages by their share.
fn family(pid: u32) -> u64 {
    let mut total = proportional(pid);
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
    for child in children.unwrap_or_default().split_whitespace() {
        if let Ok(child) = child.parse() {
            total += family(child);
        }
    }
    total
}

fn proportional(pid: u32) -> u64 {
    fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))
        .ok()
        .and_then(|rollup| {
            let pss = rollup.lines().find_map(|line| line.strip_prefix("Pss:"))?;
            pss.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()
        })
        .map_or(0, |kib| kib * 1024)
}

/// Processor time of this process and of the children that have ended.
pub(crate) fn cpu_seconds() -> f64 {
    [UsageWho::RUSAGE_SELF, UsageWho::RUSAGE_CHILDREN]
        .into_iter()
        .filter_map(|who| getrusage(who).ok())
        .flat_map(|usage| [usage.user_time(), usage.system_time()])
        .map(|time| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6)
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_a_size_and_has_worked() {
        assert!(resident() > 100 << 10);
        assert!(family(std::process::id()) > 100 << 10);
        assert!(cpu_seconds() > 0.0);
    }
}
