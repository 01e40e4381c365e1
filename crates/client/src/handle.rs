//! Handles of submitted tasks. While one exists the data is kept; dropping the last releases it.

use std::{
    future::{Future, IntoFuture},
    marker::PhantomData,
    pin::Pin,
    sync::Arc,
};

use bytes::Bytes;
use dasklet_protocol::v1;
use serde::de::DeserializeOwned;

use crate::{
    core::{Extent, Hold},
    error::ClientError,
    read::{self, Targets},
    session::{Shared, table::Member},
};

/// One task, or one member of a task array, whose result is a `T`. Awaiting it gives the result.
///
/// Also an argument of other tasks: the value then goes from worker to worker.
pub struct TaskFuture<T> {
    hold: Arc<Hold>,
    member: Member,
    output: u32,
    result: PhantomData<fn() -> T>,
}

impl<T> Clone for TaskFuture<T> {
    fn clone(&self) -> Self {
        Self { hold: Arc::clone(&self.hold), result: PhantomData, ..*self }
    }
}

impl<T> std::fmt::Debug for TaskFuture<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "TaskFuture({}.{})", self.member.0, self.member.1)
    }
}

impl<T> TaskFuture<T> {
    pub(crate) fn new(hold: Arc<Hold>, member: Member) -> Self {
        Self { hold, member, output: 0, result: PhantomData }
    }

    pub(crate) fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }

    pub(crate) fn member(&self) -> Member {
        self.member
    }

    pub(crate) fn output_number(&self) -> u32 {
        self.output
    }

    /// Another output of the same task (the first is 0), or the same as another type.
    #[must_use]
    pub fn output<U>(&self, number: u32) -> TaskFuture<U> {
        let hold = Arc::clone(&self.hold);
        TaskFuture { hold, member: self.member, output: number, result: PhantomData }
    }

    /// True once it has ended, well or not.
    #[must_use]
    pub fn is_done(&self) -> bool {
        !self.hold.shared().session().table.is_pending(self.member)
    }

    /// Waits until it has ended well; its data stays where it is.
    ///
    /// # Errors
    /// It failed, or the session has ended.
    pub async fn wait(&self) -> Result<(), ClientError> {
        read::wait(self.hold.shared(), Targets::List(&[(self.member, self.output)]), true).await
    }

    /// Waits for the result as the worker wrote it (MessagePack of an operation's value, what a
    /// command printed).
    ///
    /// # Errors
    /// It failed, or the session has ended.
    pub async fn bytes(&self) -> Result<Bytes, ClientError> {
        let mut result = Bytes::new();
        let target = [(self.member, self.output)];
        read::read(self.hold.shared(), Targets::List(&target), |_, bytes| {
            result = bytes;
            Ok(())
        })
        .await?;
        Ok(result)
    }

    /// Stops it if it has not ended: it and all that needs it fail as cancelled.
    pub fn cancel(&self) {
        let (local, start) = self.member;
        let (end, count) = if self.hold.is_array() { (start + 1, 0) } else { (0, 1) };
        let range = v1::LocalRange { local, start, end, count };
        self.hold.shared().change(|session| session.outbox.other(|rest| rest.cancel.push(range)));
    }
}

impl<T: DeserializeOwned> TaskFuture<T> {
    /// Waits for the result.
    ///
    /// # Errors
    /// It failed, is not a `T`, or the session has ended.
    pub async fn result(&self) -> Result<T, ClientError> {
        read::decode(&self.bytes().await?, self.member)
    }
}

impl<T: DeserializeOwned + 'static> IntoFuture for TaskFuture<T> {
    type Output = Result<T, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.result().await })
    }
}

impl<'a, T: DeserializeOwned> IntoFuture for &'a TaskFuture<T> {
    type Output = Result<T, ClientError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.result())
    }
}

/// Waits for many results, whichever handles they are of; one request for each worker.
///
/// # Errors
/// The first failure that is known, at once.
pub async fn gather<'a, T: DeserializeOwned + 'a>(
    futures: impl IntoIterator<Item = &'a TaskFuture<T>>,
) -> Result<Vec<T>, ClientError> {
    let mut shared = None;
    let mut list = Vec::new();
    for future in futures {
        let first = shared.get_or_insert_with(|| Arc::clone(future.hold.shared()));
        if !Arc::ptr_eq(first, future.hold.shared()) {
            return Err(ClientError::Foreign { what: "a handle", owner: "client" });
        }
        list.push((future.member, future.output));
    }
    match shared {
        Some(shared) => read::read_values(&shared, Targets::List(&list)).await,
        None => Ok(Vec::new()),
    }
}

macro_rules! many_handles {
    () => {
        /// The handle at this position; `None` past the end.
        #[must_use]
        pub fn get(&self, position: u32) -> Option<TaskFuture<T>> {
            let hold = self.hold_of(position)?;
            let (member, _) = self.targets().at(position as usize);
            Some(TaskFuture::new(Arc::clone(hold), member))
        }

        /// True if there are none.
        #[must_use]
        pub fn is_empty(&self) -> bool {
            self.len() == 0
        }

        /// A handle for each, in order.
        pub fn iter(&self) -> impl Iterator<Item = TaskFuture<T>> + '_ {
            (0..self.len()).filter_map(|position| self.get(position))
        }

        /// Waits until all have ended well; their data stays where it is.
        ///
        /// # Errors
        /// The first failure that is known, at once.
        pub async fn wait(&self) -> Result<(), ClientError> {
            match self.shared() {
                Some(shared) => read::wait(shared, self.targets(), true).await,
                None => Ok(()),
            }
        }

        /// Waits until all have ended, well or not.
        ///
        /// # Errors
        /// The session has ended.
        pub async fn wait_ended(&self) -> Result<(), ClientError> {
            match self.shared() {
                Some(shared) => read::wait(shared, self.targets(), false).await,
                None => Ok(()),
            }
        }

        /// Waits for all results as the workers wrote them, in order.
        ///
        /// # Errors
        /// The first failure that is known, at once.
        pub async fn gather_bytes(&self) -> Result<Vec<Bytes>, ClientError> {
            let Some(shared) = self.shared() else { return Ok(Vec::new()) };
            let targets = self.targets();
            let mut results = vec![Bytes::new(); targets.len()];
            read::read(shared, targets, |position, bytes| {
                results[position] = bytes;
                Ok(())
            })
            .await?;
            Ok(results)
        }
    };
}

/// Described tasks that were submitted together, as by [`Job::map`](crate::Job::map).
pub struct TaskSet<T> {
    segments: Arc<[Segment]>,
    result: PhantomData<fn() -> T>,
}

/// Tasks with consecutive local numbers, from a position on. There is one, unless something else
/// was submitted meanwhile.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) offset: usize,
    pub(crate) hold: Arc<Hold>,
}

impl Segment {
    pub(crate) fn end(&self) -> usize {
        match self.hold.extent() {
            Extent::Described(count) => self.offset + usize::try_from(count).unwrap_or(usize::MAX),
            Extent::Array(_) => self.offset,
        }
    }
}

impl<T> TaskSet<T> {
    pub(crate) fn new(segments: Vec<Segment>) -> Self {
        Self { segments: segments.into(), result: PhantomData }
    }

    fn targets(&self) -> Targets<'_> {
        Targets::Segments(&self.segments)
    }

    fn shared(&self) -> Option<&Arc<Shared>> {
        self.segments.first().map(|segment| segment.hold.shared())
    }

    fn hold_of(&self, position: u32) -> Option<&Arc<Hold>> {
        let segment = self.segments.partition_point(|segment| segment.end() <= position as usize);
        self.segments.get(segment).map(|segment| &segment.hold)
    }

    /// How many they are.
    #[must_use]
    pub fn len(&self) -> u32 {
        self.targets().len() as u32
    }

    /// Stops those that have not ended.
    pub fn cancel(&self) {
        for segment in self.segments.iter() {
            let (local, count) = (segment.hold.local(), (segment.end() - segment.offset) as u64);
            let range = v1::LocalRange { local, start: 0, end: 0, count };
            let cancel = |rest: &mut v1::ClientMessage| rest.cancel.push(range);
            segment.hold.shared().change(|session| session.outbox.other(cancel));
        }
    }

    many_handles!();
}

/// A task array: one description, many members. As an argument it is the list of all results.
pub struct TaskArray<T> {
    hold: Arc<Hold>,
    result: PhantomData<fn() -> T>,
}

impl<T> TaskArray<T> {
    pub(crate) fn new(hold: Arc<Hold>) -> Self {
        Self { hold, result: PhantomData }
    }

    fn targets(&self) -> Targets<'_> {
        let (local, count) = (self.hold.local(), self.len() as usize);
        Targets::Members { local, start: 0, count }
    }

    pub(crate) fn hold(&self) -> &Arc<Hold> {
        &self.hold
    }

    pub(crate) fn local(&self) -> u64 {
        self.hold.local()
    }

    fn shared(&self) -> Option<&Arc<Shared>> {
        Some(self.hold.shared())
    }

    fn hold_of(&self, position: u32) -> Option<&Arc<Hold>> {
        (position < self.len()).then_some(&self.hold)
    }

    /// Number of members.
    #[must_use]
    pub fn len(&self) -> u32 {
        match self.hold.extent() {
            Extent::Array(length) => length,
            Extent::Described(_) => 0,
        }
    }

    /// How many members have ended, well or not. Looks at each of them.
    #[must_use]
    pub fn ended(&self) -> u32 {
        let (local, session) = (self.hold.local(), self.hold.shared().session());
        let ended = |index: &u32| !session.table.is_pending((local, *index));
        (0..self.len()).filter(ended).count() as u32
    }

    /// Stops the members that have not ended.
    pub fn cancel(&self) {
        let range = v1::LocalRange { local: self.hold.local(), start: 0, end: 0, count: 0 };
        self.hold.shared().change(|session| session.outbox.other(|rest| rest.cancel.push(range)));
    }

    many_handles!();
}

macro_rules! many_results {
    ($handle:ident, $held:ident) => {
        impl<T: DeserializeOwned> $handle<T> {
            /// Waits for all results, in order.
            ///
            /// # Errors
            /// The first failure that is known, at once.
            pub async fn gather(&self) -> Result<Vec<T>, ClientError> {
                match self.shared() {
                    Some(shared) => read::read_values(shared, self.targets()).await,
                    None => Ok(Vec::new()),
                }
            }
        }

        impl<T> Clone for $handle<T> {
            fn clone(&self) -> Self {
                Self { $held: Arc::clone(&self.$held), result: PhantomData }
            }
        }

        impl<T> std::fmt::Debug for $handle<T> {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                write!(f, "{} of {}", stringify!($handle), self.len())
            }
        }
    };
}

many_results!(TaskSet, segments);
many_results!(TaskArray, hold);
