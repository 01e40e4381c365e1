//! `GET /metrics`: Prometheus text. Dask's names where they apply, so that existing boards work,
//! and ours beside them. Labels are bounded: no task or key names.

use std::{fmt::Write, sync::Arc};

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use dasklet_core::demand::{Member, MemberState};

use super::dask;
use crate::{
    histogram::Histogram,
    server::shell::{Core, Shell},
    state::{TaskState, Time},
};

/// Answers a scrape.
pub(super) async fn metrics(State(shell): State<Arc<Shell>>) -> Response {
    let text = write(&mut shell.lock(), shell.now());
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

fn write(core: &mut Core, now: Time) -> String {
    let members = core.state.members(now);
    let mut text = Text::default();
    write_peers(&mut text, core, &members, now);
    write_tasks(&mut text, core);
    write_ours(&mut text, core, &members);
    core.metrics.longest_tick_micros = 0;
    text.0
}

fn write_peers(text: &mut Text, core: &Core, members: &[Member], now: Time) {
    let counters = core.state.counters();
    let sessions = &core.sessions;
    text.gauge("dask_scheduler_clients", "Connected clients", sessions.connected() as f64);
    text.counter(
        "dask_scheduler_client_connections_added_total",
        "Connections of clients",
        sessions.connected_total as f64,
    );
    text.counter(
        "dask_scheduler_client_connections_removed_total",
        "Connections of clients that ended",
        sessions.disconnected_total as f64,
    );
    text.gauge(
        "dask_scheduler_desired_workers",
        "Workers that the present work needs",
        f64::from(dask::desired_workers(core, now)),
    );
    text.family("dask_scheduler_workers", "gauge", "Workers by state");
    let count = |test: &dyn Fn(&Member) -> bool| members.iter().filter(|m| test(m)).count() as f64;
    let leaving = |m: &Member| matches!(m.state, MemberState::Draining | MemberState::Drained);
    let partly =
        |m: &Member| m.state == MemberState::Serving && !dask::is_idle(m) && !dask::is_saturated(m);
    for (state, number) in [
        ("idle", count(&dask::is_idle)),
        ("partially_saturated", count(&partly)),
        ("saturated", count(&dask::is_saturated)),
        ("paused", count(&|m| m.state == MemberState::Paused)),
        ("retiring", count(&leaving)),
    ] {
        text.sample("dask_scheduler_workers", &[("state", state)], number);
    }
    text.counter(
        "dask_scheduler_workers_added_total",
        "Workers that came",
        counters.workers_added as f64,
    );
    text.counter(
        "dask_scheduler_workers_removed_total",
        "Workers that went",
        counters.workers_removed as f64,
    );
}

fn write_tasks(text: &mut Text, core: &Core) {
    let counters = core.state.counters();
    let count = |state| counters.in_state(state) as f64;
    text.family("dask_scheduler_tasks", "gauge", "Tasks by state, in Dask's words");
    let nowhere = if counters.workers == 0 { count(TaskState::Ready) } else { 0.0 };
    for (state, number) in [
        ("released", count(TaskState::Released) + count(TaskState::Cancelled)),
        ("waiting", count(TaskState::Waiting) + count(TaskState::Delayed)),
        ("no-worker", nowhere),
        ("queued", count(TaskState::Ready) - nowhere),
        ("processing", count(TaskState::Assigned)),
        ("memory", count(TaskState::Done)),
        ("erred", count(TaskState::Failed)),
    ] {
        text.sample("dask_scheduler_tasks", &[("state", state)], number);
    }
    let all = &[("task_prefix_name", "all")];
    for (name, kind, help, value) in [
        (
            "dask_scheduler_tasks_suspicious_total",
            "counter",
            "Runs that ended with their worker or process",
            counters.deaths as f64,
        ),
        (
            "dask_scheduler_tasks_compute_seconds_total",
            "counter",
            "Seconds in runs that ended well",
            counters.run_micros as f64 / 1e6,
        ),
        (
            "dask_scheduler_tasks_output_bytes",
            "gauge",
            "Bytes of outputs held by workers",
            counters.bytes_stored as f64,
        ),
    ] {
        text.family(name, kind, help);
        text.sample(name, all, value);
    }
    text.gauge(
        "dask_scheduler_tick_duration_maximum_seconds",
        "Longest tick since the last scrape",
        core.metrics.longest_tick_micros as f64 / 1e6,
    );
    text.counter("dask_scheduler_tick_count_total", "Ticks", core.metrics.ticks as f64);
}

fn write_ours(text: &mut Text, core: &Core, members: &[Member]) {
    let counters = core.state.counters();
    text.family("dasklet_tasks", "gauge", "Tasks by state");
    for state in TaskState::ALL {
        text.sample("dasklet_tasks", &[("state", state.name())], counters.in_state(state) as f64);
    }
    for (name, help, value) in [
        ("dasklet_tasks_accepted_total", "Tasks accepted", counters.accepted),
        (
            "dasklet_tasks_recomputed_total",
            "Tasks run again for a lost output",
            counters.recomputed,
        ),
        ("dasklet_runs_assigned_total", "Runs handed to workers", counters.assigned),
        ("dasklet_runs_finished_total", "Runs that ended well", counters.finished),
        ("dasklet_runs_failed_total", "Runs that ended with an error", counters.errors),
        (
            "dasklet_runs_died_total",
            "Runs that ended with their worker or process",
            counters.deaths,
        ),
        ("dasklet_runs_returned_total", "Runs given back unstarted", counters.returned),
        ("dasklet_messages_stale_total", "Messages about runs that were over", counters.stale),
        ("dasklet_output_bytes_total", "Bytes of outputs produced", counters.bytes_produced),
    ] {
        text.counter(name, help, value as f64);
    }
    let sum = |part: fn(&Member) -> u64| members.iter().map(part).sum::<u64>() as f64;
    for (name, help, value) in [
        ("dasklet_stored_bytes", "Outputs held by workers", counters.bytes_stored as f64),
        ("dasklet_spilled_bytes", "Outputs on the workers' disks", sum(|m| m.bytes_spilled)),
        (
            "dasklet_inline_bytes",
            "Small values kept by the scheduler",
            counters.bytes_inline as f64,
        ),
        ("dasklet_worker_memory_bytes", "Resident memory of all workers", sum(|m| m.memory_used)),
        ("dasklet_worker_memory_limit_bytes", "Their limits", sum(|m| m.memory_limit)),
        (
            "dasklet_worker_cpu_seconds",
            "Their processor time",
            members.iter().map(|m| m.cpu_seconds).sum(),
        ),
        (
            "dasklet_sessions",
            "Sessions, those whose client is away included",
            f64::from(counters.sessions),
        ),
    ] {
        text.gauge(name, help, value);
    }
    let metrics = &core.metrics;
    for (name, help, histogram) in [
        (
            "dasklet_dispatch_seconds",
            "From the event that made a run possible to its message",
            &metrics.dispatch_seconds,
        ),
        (
            "dasklet_queue_wait_seconds",
            "From the moment a task could run to its being handed to a worker",
            core.state.queue_wait(),
        ),
        ("dasklet_run_seconds", "Run times of runs that ended well", &metrics.run_seconds),
        (
            "dasklet_recovery_seconds",
            "From a worker's death to the first further attempt",
            &metrics.recovery_seconds,
        ),
    ] {
        text.histogram(name, help, histogram);
    }
}

/// Prometheus text in the making.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing into a string cannot fail.
        let _ = self.0.write_fmt(line);
        self.0.push('\n');
    }

    fn family(&mut self, name: &str, kind: &str, help: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: f64) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{value}\"")).collect();
        self.line(format_args!("{name}{{{}}} {value}", labels.join(",")));
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "gauge", help);
        self.line(format_args!("{name} {value}"));
    }

    fn counter(&mut self, name: &str, help: &str, value: f64) {
        self.family(name, "counter", help);
        self.line(format_args!("{name} {value}"));
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) {
        self.family(name, "histogram", help);
        for (bound, count) in histogram.cumulative() {
            self.line(format_args!("{name}_bucket{{le=\"{bound}\"}} {count}"));
        }
        let count = histogram.count();
        self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {count}"));
        self.line(format_args!("{name}_sum {}", histogram.sum_seconds()));
        self.line(format_args!("{name}_count {count}"));
    }
}
