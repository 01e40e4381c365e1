//! Waits for tasks and reads their outputs, for one handle as for a million.

use std::{
    collections::HashMap,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use dasklet_core::{SpecId, TaskId};
use dasklet_protocol::v1;
use foldhash::fast::RandomState;
use futures::{StreamExt, stream::FuturesUnordered};
use serde::de::DeserializeOwned;

use crate::{
    error::ClientError,
    fetch::{Fetched, OUTPUTS_PER_REQUEST},
    handle::Segment,
    session::{
        Session, Shared,
        cell::Cell,
        table::{End, Member, Waiter},
    },
};

/// Waits between rounds in which something could not be read.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Outputs that are resolved together; bounds how long the lock is kept.
const BLOCK: usize = 4096;

/// Outputs that are waited for or read, by position.
#[derive(Clone, Copy)]
pub(crate) enum Targets<'a> {
    /// Of described tasks.
    Segments(&'a [Segment]),
    /// Of members of a task array.
    Members { local: u64, start: u32, count: usize },
    /// Any: member and output.
    List(&'a [(Member, u32)]),
}

impl Targets<'_> {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Segments(segments) => segments.last().map_or(0, Segment::end),
            Self::Members { count, .. } => *count,
            Self::List(list) => list.len(),
        }
    }

    pub(crate) fn at(&self, position: usize) -> (Member, u32) {
        match self {
            Self::Segments(segments) => {
                let which = match segments {
                    [_] => 0,
                    _ => segments.partition_point(|segment| segment.end() <= position),
                };
                let Segment { offset, hold } = &segments[which];
                ((hold.local() + (position - offset) as u64, 0), 0)
            }
            Self::Members { local, start, .. } => ((*local, start + position as u32), 0),
            Self::List(list) => list[position],
        }
    }
}

/// How far a wait is. Given up, it leaves nothing behind.
struct Wait<'a> {
    shared: &'a Shared,
    targets: Targets<'a>,
    stop_at_failure: bool,
    cursor: usize,
    failures_seen: u64,
    /// Its number among those who wait, once it does.
    number: Option<u64>,
}

impl Wait<'_> {
    /// Registers for the first task that has not ended: news comes in batches, so walking on from
    /// there costs less than a registration for each.
    fn poll(&mut self, context: &Context<'_>) -> Poll<Result<(), ClientError>> {
        let targets = self.targets;
        let mut session = self.shared.session();
        while self.cursor < targets.len() {
            let (member, _) = targets.at(self.cursor);
            if session.table.is_pending(member) {
                break;
            }
            if self.stop_at_failure && session.table.is_failed(member) {
                return Poll::Ready(Err(failure(&session, member)));
            }
            self.cursor += 1;
        }
        if self.cursor == targets.len() {
            return Poll::Ready(Ok(()));
        }
        if let Some(end) = &session.end {
            return Poll::Ready(Err(end.clone()));
        }
        let number = *self.number.get_or_insert_with(|| session.table.waiter());
        // The end of the last one is told by itself.
        if self.stop_at_failure && self.cursor + 1 < targets.len() {
            let count = session.table.failure_count();
            if std::mem::replace(&mut self.failures_seen, count) != count {
                let mut rest = (self.cursor..targets.len()).map(|position| targets.at(position).0);
                if let Some(member) = rest.find(|member| session.table.is_failed(*member)) {
                    return Poll::Ready(Err(failure(&session, member)));
                }
            }
            session.table.watch_failures(number, context.waker().clone());
        }
        let (member, _) = targets.at(self.cursor);
        session.table.wait(member, Waiter::Wake(number, context.waker().clone()));
        Poll::Pending
    }
}

impl Drop for Wait<'_> {
    fn drop(&mut self) {
        let Some(number) = self.number else { return };
        let mut session = self.shared.session();
        session.table.ignore_failures(number);
        if self.cursor < self.targets.len() {
            let (member, _) = self.targets.at(self.cursor);
            let waker = Waker::noop().clone();
            session.table.stop_waiting(member, &Waiter::Wake(number, waker));
        }
    }
}

/// Why a task that has failed did so.
fn failure(session: &Session, member: Member) -> ClientError {
    match session.table.end(member, &mut Cell::pending(false)) {
        End::Failed(failure) => ClientError::Task(failure),
        _ => gone(session, member),
    }
}

fn gone(session: &Session, (local, index): Member) -> ClientError {
    session.end.clone().unwrap_or_else(|| {
        ClientError::BadTask(format!("task {local} has no member {index}, or it was released"))
    })
}

fn no_such_output((local, index): Member, outputs: u32, output: u32) -> ClientError {
    ClientError::NoSuchOutput { task: format!("{local}.{index}"), outputs, output }
}

/// Waits until all have ended; with `stop_at_failure` until one has failed.
pub(crate) async fn wait(
    shared: &Shared,
    targets: Targets<'_>,
    stop_at_failure: bool,
) -> Result<(), ClientError> {
    let mut wait =
        Wait { shared, targets, stop_at_failure, cursor: 0, failures_seen: 0, number: None };
    poll_fn(|context| wait.poll(context)).await
}

/// Waits for all and reads them: `each` gets every position once, not in order.
pub(crate) async fn read(
    shared: &Arc<Shared>,
    targets: Targets<'_>,
    mut each: impl FnMut(usize, Bytes) -> Result<(), ClientError>,
) -> Result<(), ClientError> {
    wait(shared, targets, true).await?;
    for start in (0..targets.len()).step_by(BLOCK) {
        let mut open: Vec<usize> = (start..targets.len().min(start + BLOCK)).collect();
        let mut rounds = 0;
        while !open.is_empty() {
            if rounds > 1 {
                // The same holders again, probably: it takes them a moment to come back.
                tokio::time::sleep((FIRST_PAUSE * rounds).min(LONGEST_PAUSE)).await;
            }
            rounds += 1;
            open = read_block(shared, targets, &open, &mut each).await?;
        }
    }
    Ok(())
}

/// Reads what can be read of `open`, and returns what could not.
async fn read_block(
    shared: &Arc<Shared>,
    targets: Targets<'_>,
    open: &[usize],
    each: &mut impl FnMut(usize, Bytes) -> Result<(), ClientError>,
) -> Result<Vec<usize>, ClientError> {
    let resolved = resolve(&shared.session(), targets, open)?;
    for (position, start, end) in resolved.values {
        each(position, resolved.buffer.slice(start..end))?;
    }
    let mut failed = Vec::new();
    let mut requests: FuturesUnordered<_> = resolved
        .remote
        .iter()
        .map(|(holder, outputs)| fetch_all(shared, *holder, resolved.epoch, outputs))
        .collect();
    while let Some((holder, results)) = requests.next().await {
        for (position, bytes) in results {
            match bytes {
                Fetched::Here(bytes) => each(position, bytes)?,
                Fetched::NoSuch { outputs } => {
                    let (member, output) = targets.at(position);
                    return Err(no_such_output(member, outputs, output));
                }
                Fetched::Missing => failed.push((position, holder, true)),
                Fetched::Unread => failed.push((position, holder, false)),
            }
        }
    }
    drop(requests);
    refetch(shared, targets, &failed);
    let mut again: Vec<usize> = resolved.pending;
    again.extend(failed.into_iter().map(|(position, ..)| position));
    if !again.is_empty() {
        let list: Vec<_> = again.iter().map(|position| targets.at(*position)).collect();
        wait(shared, Targets::List(&list), true).await?;
    }
    Ok(again)
}

/// Where the outputs of a block are.
struct Resolved {
    epoch: u64,
    buffer: Bytes,
    /// Position, and where in the buffer its value is.
    values: Vec<(usize, usize, usize)>,
    remote: HashMap<u32, Vec<(usize, v1::OutputId)>, RandomState>,
    pending: Vec<usize>,
}

fn resolve(
    session: &Session,
    targets: Targets<'_>,
    open: &[usize],
) -> Result<Resolved, ClientError> {
    let mut buffer = BytesMut::new();
    let mut values = Vec::new();
    let mut remote: HashMap<u32, Vec<_>, RandomState> = HashMap::default();
    let mut pending = Vec::new();
    let mut scratch = Cell::pending(false);
    for position in open.iter().copied() {
        let (member, output) = targets.at(position);
        match session.table.end(member, &mut scratch) {
            End::Value(_) if output > 0 => return Err(no_such_output(member, 1, output)),
            End::Value(value) => {
                values.push((position, buffer.len(), buffer.len() + value.len()));
                buffer.extend_from_slice(value);
            }
            End::Remote { holder, spec } => {
                let task = TaskId::new(SpecId(spec), member.1).to_bits();
                remote.entry(holder).or_default().push((position, v1::OutputId { task, output }));
            }
            End::Failed(failure) => return Err(ClientError::Task(failure)),
            End::Pending => pending.push(position),
            End::Released => return Err(gone(session, member)),
        }
    }
    if let (false, Some(end)) = (remote.is_empty(), &session.end) {
        return Err(end.clone());
    }
    Ok(Resolved { epoch: session.epoch, buffer: buffer.freeze(), values, remote, pending })
}

/// Reads from one holder.
async fn fetch_all(
    shared: &Shared,
    holder: u32,
    epoch: u64,
    wanted: &[(usize, v1::OutputId)],
) -> (u32, Vec<(usize, Fetched)>) {
    let mut results = Vec::with_capacity(wanted.len());
    for part in wanted.chunks(OUTPUTS_PER_REQUEST) {
        let outputs: Vec<_> = part.iter().map(|(_, output)| *output).collect();
        let bytes = shared.holders.fetch(holder, epoch, &outputs).await;
        results.extend(part.iter().map(|(position, _)| *position).zip(bytes));
    }
    (holder, results)
}

/// Tells the scheduler what could not be read, once for each task.
fn refetch(shared: &Shared, targets: Targets<'_>, failed: &[(usize, u32, bool)]) {
    if failed.is_empty() {
        return;
    }
    shared.change(|session| {
        for (position, failed_holder, missing) in failed.iter().copied() {
            let (member, _) = targets.at(position);
            if session.table.lost(member, failed_holder) {
                let (local, index) = member;
                let request = v1::LocalMember { local, index, failed_holder, missing };
                session.outbox.other(|rest| rest.refetch.push(request));
            }
        }
    });
}

/// A value from its bytes; no bytes at all stand for nothing.
pub(crate) fn decode<T: DeserializeOwned>(bytes: &[u8], member: Member) -> Result<T, ClientError> {
    const NIL: &[u8] = &[0xc0];
    rmp_serde::from_slice(if bytes.is_empty() { NIL } else { bytes }).map_err(|error| {
        ClientError::Decode {
            task: format!("{}.{}", member.0, member.1),
            expected: std::any::type_name::<T>(),
            reason: error.to_string(),
        }
    })
}

/// Waits for all and decodes them, in order.
pub(crate) async fn read_values<T: DeserializeOwned>(
    shared: &Arc<Shared>,
    targets: Targets<'_>,
) -> Result<Vec<T>, ClientError> {
    let mut values: Vec<Option<T>> = Vec::new();
    values.resize_with(targets.len(), || None);
    read(shared, targets, |position, bytes| {
        values[position] = Some(decode(&bytes, targets.at(position).0)?);
        Ok(())
    })
    .await?;
    // Every position was given, or `read` would not have returned.
    Ok(values.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{client::DirectToWorkers, fetch::Holders};

    #[test]
    fn a_wait_that_is_given_up_leaves_nothing_behind() {
        let holders = Holders::new(DirectToWorkers::Auto, Duration::from_secs(1));
        let shared = Shared::new("127.0.0.1:1".parse().unwrap(), holders);
        let list: Vec<(Member, u32)> =
            (0..3).map(|_| ((shared.session().table.push_described(), 0), 0)).collect();
        let targets = Targets::List(&list);
        let new = |stop_at_failure| Wait {
            shared: &shared,
            targets,
            stop_at_failure,
            cursor: 0,
            failures_seen: 0,
            number: None,
        };
        let context = Context::from_waker(Waker::noop());
        let (mut one, mut other) = (new(true), new(false));
        for _ in 0..2 {
            assert!(one.poll(&context).is_pending() && other.poll(&context).is_pending());
        }
        assert_eq!(shared.session().table.waiting(), 3, "each waits, and one for failures");
        // The first task ends, and both wait for the next one.
        let mut woken = Vec::new();
        shared.session().table.done((0, 0), 1, Some(&[]), &mut woken);
        assert_eq!(woken.len(), 2);
        assert!(one.poll(&context).is_pending() && other.poll(&context).is_pending());
        drop(one);
        assert_eq!(shared.session().table.waiting(), 1);
        drop(other);
        assert_eq!(shared.session().table.waiting(), 0);
    }
}
